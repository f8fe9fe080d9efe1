//===- RowsBench.cpp - Row kernels against hand-written loops ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The loops written by hand do as much as is needed to move the same bytes: element-wise ones add what they read and
// store the sum, so they show what memory gives; the two of RMSNorm compute all of it, since their two passes over a
// row decide how memory and arithmetic overlap.
//
//===----------------------------------------------------------------------===//

#include "RowsBench.h"

#include "KernelModule.h"

#include "nlohmann/json.hpp"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <immintrin.h>

using namespace ftc;
using namespace ftc::bench;

#define FTC_AVX2 __attribute__((target("avx2,fma")))

namespace {

constexpr int64_t numRows = 8192, numColumns = 1536, rowsPerTask = 128;

/// One row of each buffer: inputs, then outputs; `first` where partial sums start.
using RowLoop = void (*)(float *const *rows, const float *weight, float *partial, bool first);

template <int inputs, int outputs> FTC_AVX2 void stream(float *const *rows, const float *, float *, bool) {
  for (int64_t c = 0; c < numColumns; c += 16) {
    __m256 low = _mm256_loadu_ps(rows[0] + c), high = _mm256_loadu_ps(rows[0] + c + 8);
    for (int k = 1; k < inputs; ++k) {
      low = _mm256_add_ps(low, _mm256_loadu_ps(rows[k] + c));
      high = _mm256_add_ps(high, _mm256_loadu_ps(rows[k] + c + 8));
    }
    for (int k = 0; k < outputs; ++k) {
      _mm256_storeu_ps(rows[inputs + k] + c, low);
      _mm256_storeu_ps(rows[inputs + k] + c + 8, high);
    }
  }
}

FTC_AVX2 float sum(__m256 x) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_shuffle_ps(half, half, 1)));
}

FTC_AVX2 void rmsNorm(float *const *rows, const float *weight, float *, bool) {
  __m256 sums[4] = {};
  for (int64_t c = 0; c < numColumns; c += 32)
    for (int k = 0; k < 4; ++k) {
      __m256 x = _mm256_loadu_ps(rows[0] + c + 8 * k);
      sums[k] = _mm256_fmadd_ps(x, x, sums[k]);
    }
  float total = sum(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
  __m256 scale = _mm256_set1_ps(1.0f / std::sqrt(total / numColumns + 1e-5f));
  for (int64_t c = 0; c < numColumns; c += 8)
    _mm256_storeu_ps(rows[1] + c,
                     _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(rows[0] + c), scale), _mm256_loadu_ps(weight + c)));
}

FTC_AVX2 void rmsNormGrad(float *const *rows, const float *weight, float *partial, bool first) {
  __m256 squares[4] = {}, products[4] = {};
  for (int64_t c = 0; c < numColumns; c += 32)
    for (int k = 0; k < 4; ++k) {
      int64_t i = c + 8 * k;
      __m256 x = _mm256_loadu_ps(rows[0] + i);
      __m256 u = _mm256_mul_ps(_mm256_loadu_ps(rows[1] + i), _mm256_loadu_ps(weight + i));
      squares[k] = _mm256_fmadd_ps(x, x, squares[k]);
      products[k] = _mm256_fmadd_ps(x, u, products[k]);
    }
  float s = sum(_mm256_add_ps(_mm256_add_ps(squares[0], squares[1]), _mm256_add_ps(squares[2], squares[3])));
  float p = sum(_mm256_add_ps(_mm256_add_ps(products[0], products[1]), _mm256_add_ps(products[2], products[3])));
  float root = 1.0f / std::sqrt(s / numColumns + 1e-5f);
  __m256 scale = _mm256_set1_ps(root), slope = _mm256_set1_ps(root * root * root * (p / numColumns));
  for (int64_t c = 0; c < numColumns; c += 8) {
    __m256 x = _mm256_loadu_ps(rows[0] + c), d = _mm256_loadu_ps(rows[1] + c);
    __m256 w = _mm256_mul_ps(_mm256_mul_ps(d, x), scale);
    if (!first)
      w = _mm256_add_ps(w, _mm256_loadu_ps(partial + c));
    _mm256_storeu_ps(partial + c, w);
    __m256 u = _mm256_mul_ps(scale, _mm256_mul_ps(d, _mm256_loadu_ps(weight + c)));
    _mm256_storeu_ps(rows[2] + c, _mm256_sub_ps(u, _mm256_mul_ps(x, slope)));
  }
}

/// A row kernel: its buffers (M: a matrix, W: a weight, P: partial sums, S: three scalars), its body, its rival.
struct RowCase {
  const char *name, *buffers, *body;
  RowLoop loop;
};

// Bodies as convert-train-to-plan writes them; T is a row value, M, W, P, S the types of buffers.
const RowCase cases[] = {
    {"AdamW", "SMMMMMMM", R"(
      %z0 = arith.constant 0 : index
      %z1 = arith.constant 1 : index
      %z2 = arith.constant 2 : index
      %keep = plan.load %0[%z0] : S -> f32
      %rate = plan.load %0[%z1] : S -> f32
      %bias = plan.load %0[%z2] : S -> f32
      %p = plan.load %1[%r] : M -> T
      %g = plan.load %2[%r] : M -> T
      %m = plan.load %3[%r] : M -> T
      %v = plan.load %4[%r] : M -> T
      %a1 = arith.constant dense<0.1> : T
      %a2 = arith.constant dense<0.05> : T
      %b2 = arith.constant dense<0.95> : T
      %eps = arith.constant dense<1.0e-8> : T
      %dm = arith.subf %g, %m : T
      %m1 = math.fma %a1, %dm, %m : T
      %gg = arith.mulf %g, %g : T
      %ag = arith.mulf %a2, %gg : T
      %v1 = math.fma %b2, %v, %ag : T
      %root = math.sqrt %v1 : T
      %biasT = plan.broadcast %bias : f32 -> T
      %below = math.fma %root, %biasT, %eps : T
      %keepT = plan.broadcast %keep : f32 -> T
      %kept = arith.mulf %p, %keepT : T
      %q = arith.divf %m1, %below : T
      %rateT = plan.broadcast %rate : f32 -> T
      %move = arith.mulf %rateT, %q : T
      %p1 = arith.subf %kept, %move : T
      plan.store %p1, %5[%r] : T, M
      plan.store %m1, %6[%r] : T, M
      plan.store %v1, %7[%r] : T, M)",
     stream<4, 3>},
    {"SwiGLU", "MMM", R"(
      %g = plan.load %0[%r] : M -> T
      %u = plan.load %1[%r] : M -> T
      %one = arith.constant dense<1.0> : T
      %n = arith.negf %g : T
      %e = math.exp %n : T
      %b = arith.addf %one, %e : T
      %s = arith.divf %g, %b : T
      %y = arith.mulf %s, %u : T
      plan.store %y, %2[%r] : T, M)",
     stream<2, 1>},
    {"SwiGLU backward", "MMMMM", R"(
      %g = plan.load %0[%r] : M -> T
      %u = plan.load %1[%r] : M -> T
      %d = plan.load %2[%r] : M -> T
      %one = arith.constant dense<1.0> : T
      %n = arith.negf %g : T
      %e = math.exp %n : T
      %b = arith.addf %one, %e : T
      %s = arith.divf %one, %b : T
      %c = arith.subf %one, %s : T
      %f = math.fma %g, %c, %one : T
      %t = arith.mulf %s, %f : T
      %du = arith.mulf %d, %u : T
      %y = arith.mulf %du, %t : T
      %dg = arith.mulf %d, %g : T
      %z = arith.mulf %dg, %s : T
      plan.store %y, %3[%r] : T, M
      plan.store %z, %4[%r] : T, M)",
     stream<3, 2>},
    {"RMSNorm", "MMW", R"(
      %x = plan.load %0[%r] : M -> T
      %w = plan.load %2[] : W -> T
      %xx = arith.mulf %x, %x : T
      %sum = plan.reduce add %xx : T -> f32
      %n = arith.constant 1536.0 : f32
      %eps = arith.constant 1.0e-5 : f32
      %mean = arith.divf %sum, %n : f32
      %some = arith.addf %mean, %eps : f32
      %scale = math.rsqrt %some : f32
      %scaleT = plan.broadcast %scale : f32 -> T
      %q = arith.mulf %x, %scaleT : T
      %y = arith.mulf %q, %w : T
      plan.store %y, %1[%r] : T, M)",
     rmsNorm},
    {"RMSNorm backward", "MMMWP", R"(
      %x = plan.load %0[%r] : M -> T
      %d = plan.load %1[%r] : M -> T
      %w = plan.load %3[] : W -> T
      %u = arith.mulf %d, %w : T
      %xx = arith.mulf %x, %x : T
      %s = plan.reduce add %xx : T -> f32
      %ux = arith.mulf %u, %x : T
      %p = plan.reduce add %ux : T -> f32
      %n = arith.constant 1536.0 : f32
      %eps = arith.constant 1.0e-5 : f32
      %mean = arith.divf %s, %n : f32
      %along = arith.divf %p, %n : f32
      %some = arith.addf %mean, %eps : f32
      %scale = math.rsqrt %some : f32
      %s2 = arith.mulf %scale, %scale : f32
      %s3 = arith.mulf %s2, %scale : f32
      %slope = arith.mulf %s3, %along : f32
      %scaleT = plan.broadcast %scale : f32 -> T
      %slopeT = plan.broadcast %slope : f32 -> T
      %su = arith.mulf %scaleT, %u : T
      %sx = arith.mulf %x, %slopeT : T
      %dx = arith.subf %su, %sx : T
      %xd = arith.mulf %d, %x : T
      %dw1 = arith.mulf %xd, %scaleT : T
      plan.accumulate %dw1, %4 : T, P
      plan.store %dx, %2[%r] : T, M)",
     rmsNormGrad},
};

KernelText textOf(const RowCase &c) {
  std::string rows = std::to_string(numRows), columns = std::to_string(numColumns);
  auto typeOf = [&](char buffer) -> std::string {
    switch (buffer) {
    case 'M':
      return "memref<" + rows + "x" + columns + "xf32>";
    case 'W':
      return "memref<" + columns + "xf32>";
    case 'P':
      return "memref<" + std::to_string(numRows / rowsPerTask) + "x" + columns + "xf32>";
    default:
      return "memref<3xf32>";
    }
  };
  KernelText kernel{"rows", {}, "plan.kernel @rows {\n^bb0("};
  for (int i = 0; c.buffers[i]; ++i) {
    kernel.buffers.push_back(typeOf(c.buffers[i]));
    kernel.text += (i ? ", %" : "%") + std::to_string(i) + ": " + kernel.buffers.back();
  }
  kernel.text += "):\nplan.rows " + rows + " per_task " + std::to_string(rowsPerTask) + " parallel {\n^bb0(%r: index):";
  std::string body = c.body;
  // A type stands between blanks, or a blank and the end of a line or a comma.
  for (char letter : {'M', 'W', 'P', 'S', 'T'}) {
    std::string type = letter == 'T' ? "tensor<" + columns + "xf32>" : typeOf(letter);
    for (size_t at = 0; (at = body.find(std::string(" ") + letter, at)) != std::string::npos; ++at)
      if (at + 2 == body.size() || body[at + 2] == ' ' || body[at + 2] == '\n' || body[at + 2] == ',')
        body.replace(at + 1, 1, type);
  }
  kernel.text += body + "\n}\n}";
  return kernel;
}

/// The loop written by hand, in the same blocks of rows, on the same pool.
struct Rival {
  const RowCase &rowCase;
  std::vector<float *> matrices;
  float *weight = nullptr, *partial = nullptr;

  static void task(void *self, uint64_t number, uint32_t) {
    const auto &rival = *static_cast<const Rival *>(self);
    int64_t first = static_cast<int64_t>(number) * rowsPerTask;
    for (int64_t row = first; row < first + rowsPerTask; ++row) {
      float *rows[8];
      for (size_t k = 0; k < rival.matrices.size(); ++k)
        rows[k] = rival.matrices[k] + row * numColumns;
      rival.rowCase.loop(rows, rival.weight, rival.partial ? rival.partial + number * numColumns : nullptr,
                         row == first);
    }
  }
  void run(ThreadPool &pool) {
    const ftrt_services *services = pool.services();
    services->parallel_for(services->context, task, this, numRows / rowsPerTask);
  }
};

double secondsOf(const std::function<void()> &work) {
  auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}
} // namespace

void bench::benchRows(const std::string &cpu, const std::string &only, double seconds,
                      const std::vector<unsigned> &threads, nlohmann::json &report) {
  std::printf("\n%-32s %8s %12s %12s %8s\n", "row kernel, 8192 x 1536", "threads", "GB/s", "by hand", "share");
  for (const RowCase &c : cases) {
    if (std::string(c.name).find(only) == std::string::npos)
      continue;
    KernelModule kernel({textOf(c)}, cpu, threads.back());
    Rival rival{c, {}};
    for (int i = 0; c.buffers[i]; ++i) {
      auto *data = static_cast<float *>(kernel.buffer(0, i));
      if (c.buffers[i] == 'M')
        rival.matrices.push_back(data);
      else if (c.buffers[i] == 'W')
        rival.weight = data;
      else if (c.buffers[i] == 'P')
        rival.partial = data;
    }
    double bytes = static_cast<double>(rival.matrices.size()) * numRows * numColumns * sizeof(float);
    for (unsigned count : threads) {
      ThreadPool pool(count);
      double ours = 1e30, theirs = 1e30, spent = 0;
      for (int round = 0; round < 5 || spent < seconds; ++round) {
        double hand = secondsOf([&] { rival.run(pool); }), emitted = secondsOf([&] { kernel.run(0, pool); });
        theirs = std::min(theirs, hand);
        ours = std::min(ours, emitted);
        spent += hand + emitted;
      }
      std::printf("%-32s %8u %12.1f %12.1f %7.1f%%\n", c.name, count, bytes / ours / 1e9, bytes / theirs / 1e9,
                  100 * theirs / ours);
      std::fflush(stdout);
      report["rows"].push_back({{"name", c.name}, {"threads", count}, {"seconds", ours}, {"by_hand", theirs}});
    }
  }
}
