//===- BenchCpu.cpp - Emitted kernels against the machine's ceilings ---------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Matrix products and attention as a share of the FMA peak; fused row kernels as a share of a hand-written AVX2 loop
// with the same memory traffic. A kernel and its ceiling take turns within one run, and the best time of each counts,
// so that a change of the machine's speed meets both. A case takes some seconds: a kernel runs for tens of
// milliseconds, the peak is measured in ten, and where neighbours share the machine, long undisturbed times are rarer.
//
//===----------------------------------------------------------------------===//

#include "KernelModule.h"
#include "RowsBench.h"

#include "ftc/Runtime/CPU/FmaPeak.h"
#include "ftc/Support/Nf4.h"

#include "CLI/CLI.hpp"
#include "nlohmann/json.hpp"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>

using namespace ftc;
using namespace ftc::bench;

namespace {

struct Options {
  std::string cpu = "native", json, only, product;
  double seconds = 2.5;
  std::vector<unsigned> threads{1, 2};
};

struct ProductCase {
  std::string name;
  int64_t m, n, k;
  bool transposeA, transposeB, bf16;
  bool nf4 = false; ///< B in four bits, bitsandbytes'
};

std::string matrix(int64_t rows, int64_t columns, const std::string &element) {
  return "memref<" + std::to_string(rows) + "x" + std::to_string(columns) + "x" + element + ">";
}

KernelText productText(const ProductCase &c, const std::string &name) {
  std::string e = c.bf16 ? "bf16" : "f32";
  std::string a = c.transposeA ? matrix(c.k, c.m, e) : matrix(c.m, c.k, e);
  std::string b = c.transposeB ? matrix(c.n, c.k, e) : matrix(c.k, c.n, e), out = matrix(c.m, c.n, e);
  std::string read = c.bf16 ? "{\n^bb0(%e: bf16):\n%f = arith.extf %e : bf16 to f32\nplan.yield %f : f32\n}" : "{}";
  std::string store = c.bf16 ? "{\n^bb0(%s: f32):\n%q = arith.truncf %s : f32 to bf16\nplan.yield %q : bf16\n}" : "{}";
  std::string arguments, decode, readB = read;
  KernelText kernel{name, {a, b, out}, {}};
  if (c.nf4) {
    const int64_t elements = c.n * c.k;
    auto vector = [](int64_t size, const char *type) { return "memref<" + std::to_string(size) + "x" + type + ">"; };
    std::string absmax = vector(nf4Blocks(elements), "i8"), nested = vector(nf4NestedBlocks(elements), "f32");
    b = vector(nf4CodeBytes(elements), "i8");
    kernel.buffers = {a, b, out, absmax, nested, "memref<1xf32>"};
    arguments = ", %scales: " + absmax + ", %n: " + nested + ", %o: memref<1xf32>";
    decode = std::string(" decode_b <bitsandbytes, ") + e + "> scales(%scales, %n, %o : " + absmax + ", " + nested +
             ", memref<1xf32>)";
    readB = "{}";
  }
  kernel.text = "plan.kernel @" + name + " {\n^bb0(%a: " + a + ", %b: " + b + ", %c: " + out + arguments +
                "):\nplan.matmul %a, %b, %c" + decode + (c.transposeA ? " transpose_a" : "") +
                (c.transposeB ? " transpose_b" : "") + " : " + a + ", " + b + ", " + out + " read_a " + read +
                " read_b " + readB + " store_c " + store + "\n}";
  return kernel;
}

double secondsOf(const std::function<void()> &work) {
  auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Runs `work` and measures the peak by turns for about `seconds`: the best time of one, the best rate of the other.
std::pair<double, double> againstPeak(ThreadPool &pool, double seconds, const std::function<void()> &work) {
  work();
  double best = 1e30, peak = 0, spent = 0;
  for (int round = 0; round < 3 || spent < seconds; ++round) {
    peak = std::max(peak, measureFmaPeak(pool, 0.01));
    double took = secondsOf(work);
    best = std::min(best, took);
    spent += took + 0.01;
  }
  return {best, peak};
}

/// The three products of a linear layer of `tokens` rows, `in` and `out` features.
std::vector<ProductCase> linearLayer(int64_t tokens, int64_t in, int64_t out, bool bf16) {
  std::string size =
      std::to_string(tokens) + "x" + std::to_string(in) + "x" + std::to_string(out) + (bf16 ? " bf16" : "");
  return {{"X W^T  " + size, tokens, out, in, false, true, bf16},
          {"dY W   " + size, tokens, in, out, false, false, bf16},
          {"dY^T X " + size, out, in, tokens, true, false, bf16}};
}

void benchProducts(const Options &options, nlohmann::json &report) {
  std::vector<ProductCase> cases;
  for (bool bf16 : {false, true})
    for (auto [tokens, in, out] : {std::array<int64_t, 3>{4096, 576, 1536}, {1024, 2048, 2048}})
      for (const ProductCase &c : linearLayer(tokens, in, out, bf16))
        cases.push_back(c);
  for (const ProductCase &c : linearLayer(2048, 576, 49152, false))
    cases.push_back(c);
  // A frozen weight in four bits, against the same product above: X W^T and dY W of a layer of 2048 x 2048.
  for (int64_t tokens : {1024, 2048})
    for (bool bf16 : {false, true})
      for (ProductCase c : linearLayer(tokens, 2048, 2048, bf16)) {
        if (c.transposeA)
          continue;
        if (tokens != 1024)
          cases.push_back(c);
        c.name += " nf4";
        c.nf4 = true;
        cases.push_back(c);
      }
  if (!options.product.empty()) {
    long m = 0, n = 0, k = 0;
    char form = 'n';
    if (sscanf(options.product.c_str(), "%ldx%ldx%ld%c", &m, &n, &k, &form) < 3)
      throw CLI::ValidationError("--product", "expected MxNxK, then n, a or b");
    cases = {{options.product, m, n, k, form == 'a', form == 'b', false}};
  }
  printf("%-32s %8s %12s %12s %8s\n", "product", "threads", "GFLOP/s", "peak", "share");
  for (const ProductCase &c : cases) {
    if (c.name.find(options.only) == std::string::npos)
      continue;
    KernelModule kernel({productText(c, "product")}, options.cpu, options.threads.back());
    for (unsigned threads : options.threads) {
      ThreadPool pool(threads);
      auto [seconds, peak] = againstPeak(pool, options.seconds, [&] { kernel.run(0, pool); });
      double rate = 2.0 * static_cast<double>(c.m) * static_cast<double>(c.n) * static_cast<double>(c.k) / seconds;
      printf("%-32s %8u %12.1f %12.1f %7.1f%%\n", c.name.c_str(), threads, rate / 1e9, peak / 1e9, 100 * rate / peak);
      fflush(stdout);
      report["products"].push_back({{"name", c.name}, {"threads", threads}, {"flops", rate}, {"peak", peak}});
    }
  }
}

void benchAttention(const Options &options, nlohmann::json &report) {
  struct Shape {
    int64_t batch, sequence, heads, kvHeads, headDim;
  };
  printf("\n%-32s %8s %12s %12s %8s\n", "attention", "threads", "GFLOP/s", "peak", "share");
  for (Shape s : {Shape{4, 512, 9, 3, 64}, Shape{1, 2048, 32, 8, 128}, Shape{1, 2048, 8, 1, 256}}) {
    int64_t rows = s.batch * s.sequence;
    std::string q = matrix(rows, s.heads * s.headDim, "f32"), k = matrix(rows, s.kvHeads * s.headDim, "f32");
    std::string starts = "memref<" + std::to_string(rows) + "xi32>", lse = matrix(rows, s.heads, "f32");
    std::vector<KernelText> kernels;
    for (bool grad : {false, true}) {
      KernelText kernel{grad ? "backward" : "forward", {q, k, k, starts, q, lse}, {}};
      if (grad)
        kernel.buffers.insert(kernel.buffers.end(), {q, q, k, k});
      std::string arguments, operands, types;
      for (size_t i = 0; i < kernel.buffers.size(); ++i) {
        std::string comma = i ? ", " : "";
        arguments += comma + "%" + std::to_string(i) + ": " + kernel.buffers[i];
        operands += comma + "%" + std::to_string(i);
        types += comma + kernel.buffers[i];
      }
      kernel.text = "plan.kernel @" + kernel.name + " {\n^bb0(" + arguments + "):\nplan.attention" +
                    (grad ? "_grad " : " ") + operands + " batch " + std::to_string(s.batch) + " heads " +
                    std::to_string(s.heads) + " kv_heads " + std::to_string(s.kvHeads) + " scale 1.25e-01 : " + types +
                    "\n}";
      kernels.push_back(kernel);
    }
    KernelModule module(kernels, options.cpu, options.threads.back());
    // One document a row.
    for (size_t kernel : {0, 1})
      std::fill_n(static_cast<int32_t *>(module.buffer(kernel, 3)), rows, 0);
    for (size_t kernel : {0, 1}) {
      std::string name = std::string(kernel ? "backward " : "forward ") + std::to_string(s.batch) + "x" +
                         std::to_string(s.sequence) + " heads " + std::to_string(s.heads) + "/" +
                         std::to_string(s.kvHeads) + " of " + std::to_string(s.headDim);
      if (name.find(options.only) == std::string::npos)
        continue;
      for (unsigned threads : options.threads) {
        ThreadPool pool(threads);
        auto [seconds, peak] = againstPeak(pool, options.seconds, [&] { module.run(kernel, pool); });
        // Two products of the visible triangle forward, four in the gradients; computing scores again is not counted.
        double pairs = static_cast<double>(s.batch * s.heads) * static_cast<double>(s.sequence) *
                       static_cast<double>(s.sequence + 1) / 2;
        double rate = (kernel ? 8.0 : 4.0) * pairs * static_cast<double>(s.headDim) / seconds;
        printf("%-32s %8u %12.1f %12.1f %7.1f%%\n", name.c_str(), threads, rate / 1e9, peak / 1e9, 100 * rate / peak);
        fflush(stdout);
        report["attention"].push_back({{"name", name}, {"threads", threads}, {"flops", rate}, {"peak", peak}});
      }
    }
  }
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("Emitted kernels against the machine's ceilings");
  Options options;
  app.add_option("--cpu", options.cpu, "CPU to compile for");
  app.add_option("--json", options.json, "file to write results to");
  app.add_option("--only", options.only, "only cases whose name contains this");
  app.add_option("--product", options.product, "one product instead, e.g. 512x512x512b (op(B) transposed; a: op(A))");
  app.add_option("--seconds", options.seconds, "seconds a case");
  app.add_option("--threads", options.threads, "numbers of threads, ascending");
  CLI11_PARSE(app, argc, argv);
  nlohmann::json report;
  benchProducts(options, report);
  if (options.product.empty()) {
    benchAttention(options, report);
    benchRows(options.cpu, options.only, options.seconds, options.threads, report);
  }
  if (!options.json.empty())
    std::ofstream(options.json) << report.dump(2) << "\n";
}
