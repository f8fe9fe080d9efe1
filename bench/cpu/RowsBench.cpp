//===- RowsBench.cpp - Row kernels against hand-written loops ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The loops written by hand do as much as is needed to move the same bytes: element-wise ones add what they read and
// store the sum, so they show what memory gives; those of RMSNorm and of the sum of squares compute all of it, since
// passes over a row decide how memory and arithmetic overlap. A row of logits is read twice; by hand it is only added
// up, where the kernel takes a maximum, and exponentials.
//
//===----------------------------------------------------------------------===//

#include "RowsBench.h"

#include "KernelModule.h"

#include "nlohmann/json.hpp"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <immintrin.h>

using namespace ftc;
using namespace ftc::bench;

#define FTC_AVX2 __attribute__((target("avx2,fma")))

namespace {

/// One row of each matrix, inputs before outputs, and what else a kernel has.
struct Row {
  int64_t columns;
  float *matrices[8];
  const float *weight;
  float *partial; ///< sums of the task, which start where `first` is true
  float *number;  ///< of this row
  bool first;
};
using RowLoop = void (*)(const Row &row);

template <int inputs, int outputs> FTC_AVX2 void stream(const Row &row) {
  float *const *rows = row.matrices;
  for (int64_t c = 0; c < row.columns; c += 16) {
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

FTC_AVX2 float sum(const __m256 (&sums)[4]) {
  return sum(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
}

FTC_AVX2 float sumOfSquares(const float *row, int64_t columns) {
  __m256 sums[4] = {};
  for (int64_t c = 0; c < columns; c += 32)
    for (int k = 0; k < 4; ++k) {
      __m256 x = _mm256_loadu_ps(row + c + 8 * k);
      sums[k] = _mm256_fmadd_ps(x, x, sums[k]);
    }
  return sum(sums);
}

FTC_AVX2 void squares(const Row &row) {
  float all = sumOfSquares(row.matrices[0], row.columns);
  *row.partial = row.first ? all : *row.partial + all;
}

FTC_AVX2 void rmsNorm(const Row &row) {
  float *const *rows = row.matrices;
  float total = sumOfSquares(rows[0], row.columns);
  __m256 scale = _mm256_set1_ps(1.0f / std::sqrt(total / static_cast<float>(row.columns) + 1e-5f));
  for (int64_t c = 0; c < row.columns; c += 8)
    _mm256_storeu_ps(rows[1] + c, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(rows[0] + c), scale),
                                                _mm256_loadu_ps(row.weight + c)));
}

FTC_AVX2 void rmsNormGrad(const Row &row) {
  float *const *rows = row.matrices;
  __m256 squares[4] = {}, products[4] = {};
  for (int64_t c = 0; c < row.columns; c += 32)
    for (int k = 0; k < 4; ++k) {
      int64_t i = c + 8 * k;
      __m256 x = _mm256_loadu_ps(rows[0] + i);
      __m256 u = _mm256_mul_ps(_mm256_loadu_ps(rows[1] + i), _mm256_loadu_ps(row.weight + i));
      squares[k] = _mm256_fmadd_ps(x, x, squares[k]);
      products[k] = _mm256_fmadd_ps(x, u, products[k]);
    }
  float root = 1.0f / std::sqrt(sum(squares) / static_cast<float>(row.columns) + 1e-5f);
  __m256 scale = _mm256_set1_ps(root),
         slope = _mm256_set1_ps(root * root * root * (sum(products) / static_cast<float>(row.columns)));
  for (int64_t c = 0; c < row.columns; c += 8) {
    __m256 x = _mm256_loadu_ps(rows[0] + c), d = _mm256_loadu_ps(rows[1] + c);
    __m256 w = _mm256_mul_ps(_mm256_mul_ps(d, x), scale);
    if (!row.first)
      w = _mm256_add_ps(w, _mm256_loadu_ps(row.partial + c));
    _mm256_storeu_ps(row.partial + c, w);
    __m256 u = _mm256_mul_ps(scale, _mm256_mul_ps(d, _mm256_loadu_ps(row.weight + c)));
    _mm256_storeu_ps(rows[2] + c, _mm256_sub_ps(u, _mm256_mul_ps(x, slope)));
  }
}

FTC_AVX2 void addTwice(const Row &row) {
  __m256 sums[4] = {};
  for (int pass = 0; pass < 2; ++pass)
    for (int64_t c = 0; c < row.columns; c += 32)
      for (int k = 0; k < 4; ++k)
        sums[k] = _mm256_add_ps(_mm256_loadu_ps(row.matrices[0] + c + 8 * k), sums[k]);
  *row.number = sum(sums);
}

/// A row kernel: its buffers (M: a matrix, W: a weight, P: partial sums of rows, Q: of numbers, S: three scalars, L: a
/// label a row, R: a number a row), its body, its rival, its size.
struct RowCase {
  const char *name, *buffers, *body;
  RowLoop loop;
  int64_t rows = 8192, columns = 1536, perTask = 128;
};

// Bodies as convert-train-to-plan writes them; T is a row value, I one of i32, C the number of columns, the other
// letters are types of buffers.
const char *const rmsNormBody = R"(
      %x = plan.load %0[%r] : M -> T
      %w = plan.load %2[] : W -> T
      %xx = arith.mulf %x, %x : T
      %sum = plan.reduce add %xx : T -> f32
      %n = arith.constant C : f32
      %eps = arith.constant 1.0e-5 : f32
      %mean = arith.divf %sum, %n : f32
      %some = arith.addf %mean, %eps : f32
      %scale = math.rsqrt %some : f32
      %scaleT = plan.broadcast %scale : f32 -> T
      %q = arith.mulf %x, %scaleT : T
      %y = arith.mulf %q, %w : T
      plan.store %y, %1[%r] : T, M)";

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
    {"RMSNorm", "MMW", rmsNormBody, rmsNorm},
    {"RMSNorm of heads of 128", "MMW", rmsNormBody, rmsNorm, 98304, 128, 40},
    {"RMSNorm of heads of 64", "MMW", rmsNormBody, rmsNorm, 196608, 64, 80},
    {"RMSNorm backward", "MMMWP", R"(
      %x = plan.load %0[%r] : M -> T
      %d = plan.load %1[%r] : M -> T
      %w = plan.load %3[] : W -> T
      %u = arith.mulf %d, %w : T
      %xx = arith.mulf %x, %x : T
      %s = plan.reduce add %xx : T -> f32
      %ux = arith.mulf %u, %x : T
      %p = plan.reduce add %ux : T -> f32
      %n = arith.constant C : f32
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
    {"sum of squares", "MQ", R"(
      %x = plan.load %0[%r] : M -> T
      %xx = arith.mulf %x, %x : T
      %s = plan.reduce add %xx : T -> f32
      plan.accumulate %s, %1 : f32, Q)",
     squares},
    {"cross-entropy", "MLR", R"(
      %x = plan.load %0[%r] : M -> T
      %label = plan.load %1[%r] : L -> i32
      %column = plan.column : I
      %labelI = plan.broadcast %label : i32 -> I
      %is = arith.cmpi eq, %column, %labelI : I
      %zero = arith.constant dense<0.0> : T
      %one = arith.select %is, %x, %zero : B, T
      %picked = plan.reduce add %one : T -> f32
      %max = plan.reduce max %x : T -> f32
      %maxT = plan.broadcast %max : f32 -> T
      %below = arith.subf %x, %maxT : T
      %e = math.exp %below : T
      %s = plan.reduce add %e : T -> f32
      %log = math.log %s : f32
      %lse = arith.addf %max, %log : f32
      %loss = arith.subf %lse, %picked : f32
      plan.store %loss, %2[%r] : f32, R)",
     addTwice, 512, 49152, 1},
};

KernelText textOf(const RowCase &c) {
  std::string rows = std::to_string(c.rows), columns = std::to_string(c.columns),
              tasks = std::to_string((c.rows + c.perTask - 1) / c.perTask);
  auto textOf = [&](char letter) -> std::string {
    switch (letter) {
    case 'M':
      return "memref<" + rows + "x" + columns + "xf32>";
    case 'W':
      return "memref<" + columns + "xf32>";
    case 'P':
      return "memref<" + tasks + "x" + columns + "xf32>";
    case 'Q':
      return "memref<" + tasks + "xf32>";
    case 'L':
      return "memref<" + rows + "xi32>";
    case 'R':
      return "memref<" + rows + "xf32>";
    case 'S':
      return "memref<3xf32>";
    case 'C':
      return columns + ".0";
    default:
      return "tensor<" + columns + (letter == 'I' ? "xi32>" : letter == 'B' ? "xi1>" : "xf32>");
    }
  };
  KernelText kernel{"rows", {}, "plan.kernel @rows {\n^bb0("};
  for (int i = 0; c.buffers[i]; ++i) {
    kernel.buffers.push_back(textOf(c.buffers[i]));
    kernel.text += (i ? ", %" : "%") + std::to_string(i) + ": " + kernel.buffers.back();
  }
  kernel.text += "):\nplan.rows " + rows + " per_task " + std::to_string(c.perTask) + " parallel {\n^bb0(%r: index):";
  std::string body = c.body;
  // A letter stands between blanks, or a blank and the end of a line or a comma.
  for (char letter : std::string("MWPQLRSCTIB")) {
    for (size_t at = 0; (at = body.find(std::string(" ") + letter, at)) != std::string::npos; ++at)
      if (at + 2 == body.size() || body[at + 2] == ' ' || body[at + 2] == '\n' || body[at + 2] == ',')
        body.replace(at + 1, 1, textOf(letter));
  }
  kernel.text += body + "\n}\n}";
  return kernel;
}

/// The loop written by hand, in the same blocks of rows, on the same pool.
struct Rival {
  const RowCase &rowCase;
  std::vector<float *> matrices;
  float *weight = nullptr, *partial = nullptr, *numbers = nullptr;

  static void task(void *self, uint64_t number, uint32_t) {
    const auto &rival = *static_cast<const Rival *>(self);
    const RowCase &c = rival.rowCase;
    int64_t first = static_cast<int64_t>(number) * c.perTask;
    bool wide = strchr(c.buffers, 'P') != nullptr;
    for (int64_t at = first; at < std::min(first + c.perTask, c.rows); ++at) {
      Row row{c.columns, {}, rival.weight, rival.partial, rival.numbers, at == first};
      for (size_t k = 0; k < rival.matrices.size(); ++k)
        row.matrices[k] = rival.matrices[k] + at * c.columns;
      if (row.partial)
        row.partial += static_cast<int64_t>(number) * (wide ? c.columns : 1);
      if (row.number)
        row.number += at;
      c.loop(row);
    }
  }
  void run(ThreadPool &pool) {
    const ftrt_services *services = pool.services();
    services->parallel_for(services->context, task, this, (rowCase.rows + rowCase.perTask - 1) / rowCase.perTask);
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
  std::printf("\n%-32s %8s %12s %12s %8s\n", "row kernel", "threads", "GB/s", "by hand", "share");
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
      else if (c.buffers[i] == 'P' || c.buffers[i] == 'Q')
        rival.partial = data;
      else if (c.buffers[i] == 'R')
        rival.numbers = data;
    }
    double bytes = static_cast<double>(rival.matrices.size()) * static_cast<double>(c.rows * c.columns) * sizeof(float);
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
