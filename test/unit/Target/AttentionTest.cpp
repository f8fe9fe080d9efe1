//===- AttentionTest.cpp - Emitted attention against plain loops -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "JitKernel.h"
#include "TestMatrix.h"

#include <gtest/gtest.h>

using namespace ftc;
using namespace ftc::test;

namespace {

struct Case {
  int64_t batch, sequence, heads, kvHeads, headDim;
  bool bf16 = false;
  int64_t document = 0; // tokens of a document; 0: a row is one
};

/// Inputs and the results of plain loops in double.
struct Problem {
  Case c;
  double scale;
  Matrix query, key, value, gradient;
  std::vector<int32_t> starts;
  std::vector<double> output, lse, queryGradient, keyGradient, valueGradient;

  Problem(const Case &c, unsigned seed)
      : c(c), scale(0.3), query(c.bf16, rows() * c.heads * c.headDim), key(c.bf16, rows() * c.kvHeads * c.headDim),
        value(c.bf16, key.size()), gradient(c.bf16, query.size()), starts(rows()), output(query.size()),
        lse(rows() * c.heads), queryGradient(query.size()), keyGradient(key.size()), valueGradient(key.size()) {
    std::mt19937 random(seed);
    for (Matrix *matrix : {&query, &key, &value, &gradient})
      matrix->fill(random);
    for (int64_t row = 0; row < rows(); ++row) {
      int64_t t = row % c.sequence;
      starts[row] = static_cast<int32_t>(c.document ? t / c.document * c.document : 0);
    }
    solve();
  }
  int64_t rows() const { return c.batch * c.sequence; }
  int64_t queryAt(int64_t row, int64_t head) const { return (row * c.heads + head) * c.headDim; }
  int64_t keyAt(int64_t row, int64_t head) const { return (row * c.kvHeads + head) * c.headDim; }

  void solve() {
    auto dot = [&](auto &x, int64_t i, auto &y, int64_t j) {
      double sum = 0;
      for (int64_t d = 0; d < c.headDim; ++d)
        sum += x[i + d] * y[j + d];
      return sum;
    };
    for (int64_t b = 0; b < c.batch; ++b)
      for (int64_t h = 0; h < c.heads; ++h)
        for (int64_t t = 0; t < c.sequence; ++t) {
          int64_t row = b * c.sequence + t, q = queryAt(row, h), kvHead = h / (c.heads / c.kvHeads);
          std::vector<double> p(t + 1);
          double sum = 0;
          for (int64_t s = starts[row]; s <= t; ++s)
            sum += p[s] = std::exp(scale * dot(query, q, key, keyAt(b * c.sequence + s, kvHead)));
          lse[row * c.heads + h] = std::log(sum);
          for (int64_t s = starts[row]; s <= t; ++s)
            for (int64_t d = 0; d < c.headDim; ++d)
              output[q + d] += p[s] / sum * value[keyAt(b * c.sequence + s, kvHead) + d];
          double mean = dot(gradient, q, output, q);
          for (int64_t s = starts[row]; s <= t; ++s) {
            int64_t k = keyAt(b * c.sequence + s, kvHead);
            double slope = p[s] / sum * (dot(gradient, q, value, k) - mean);
            for (int64_t d = 0; d < c.headDim; ++d) {
              valueGradient[k + d] += p[s] / sum * gradient[q + d];
              queryGradient[q + d] += scale * slope * key[k + d];
              keyGradient[k + d] += scale * slope * query[q + d];
            }
          }
        }
  }

  std::string text(bool grad) const {
    std::string element = c.bf16 ? "bf16" : "f32", rowsText = std::to_string(rows());
    std::string q = "memref<" + rowsText + "x" + std::to_string(c.heads * c.headDim) + "x" + element + ">";
    std::string k = "memref<" + rowsText + "x" + std::to_string(c.kvHeads * c.headDim) + "x" + element + ">";
    std::string starts = "memref<" + rowsText + "xi32>";
    std::string lse = "memref<" + rowsText + "x" + std::to_string(c.heads) + "xf32>";
    std::vector<std::string> types{q, k, k, starts, q, lse};
    if (grad)
      types.insert(types.end(), {q, q, k, k});
    std::string arguments, operands, typeList;
    for (size_t i = 0; i < types.size(); ++i) {
      std::string comma = i ? ", " : "";
      arguments += comma + "%" + std::to_string(i) + ": " + types[i];
      operands += comma + "%" + std::to_string(i);
      typeList += comma + types[i];
    }
    return "plan.kernel @attend {\n^bb0(" + arguments + "):\n  plan.attention" + (grad ? "_grad " : " ") + operands +
           " batch " + std::to_string(c.batch) + " heads " + std::to_string(c.heads) + " kv_heads " +
           std::to_string(c.kvHeads) + " scale 3.0e-01 : " + typeList + "\n}\n";
  }
};

void expectNear(const Matrix &actual, const std::vector<double> &expected, const char *what) {
  double size = 0;
  for (double value : expected)
    size = std::max(size, std::abs(value));
  double tolerance = size * (actual.bf16 ? 1.0 / 64 : 4e-6) + 1e-6;
  for (int64_t i = 0; i < actual.size(); ++i)
    ASSERT_NEAR(actual[i], expected[i], tolerance) << what << ", element " << i;
}

void check(const Case &c, const std::string &cpu) {
  SCOPED_TRACE(cpu + ": batch " + std::to_string(c.batch) + " sequence " + std::to_string(c.sequence) + " heads " +
               std::to_string(c.heads) + "/" + std::to_string(c.kvHeads) + " of " + std::to_string(c.headDim) +
               (c.bf16 ? " bf16" : "") + " documents of " + std::to_string(c.document));
  Problem problem(c, 5);
  cpu::CpuTarget target = targetFor(cpu, 3);
  JitKernel forward(problem.text(false), target), backward(problem.text(true), target);
  int64_t queries = problem.query.size(), keys = problem.key.size();
  std::vector<std::vector<Matrix>> runs;
  for (unsigned threads : {1, 2, 3}) {
    std::vector<Matrix> &r = runs.emplace_back();
    r.emplace_back(c.bf16, queries);
    r.emplace_back(false, problem.rows() * c.heads);
    r.emplace_back(c.bf16, queries);
    r.emplace_back(c.bf16, keys);
    r.emplace_back(c.bf16, keys);
    std::vector<void *> buffers{problem.query.data(),  problem.key.data(), problem.value.data(),
                                problem.starts.data(), r[0].data(),        r[1].data()};
    ASSERT_TRUE(forward.run(buffers, threads)) << "wrote past its scratch memory";
    buffers.insert(buffers.end(), {problem.gradient.data(), r[2].data(), r[3].data(), r[4].data()});
    ASSERT_TRUE(backward.run(buffers, threads)) << "wrote past its scratch memory";
    for (size_t i = 0; i < r.size(); ++i)
      ASSERT_TRUE(r[i] == runs.front()[i]) << threads << " threads give other bits than one, result " << i;
  }
  std::vector<Matrix> &r = runs.front();
  expectNear(r[0], problem.output, "output");
  expectNear(r[1], problem.lse, "log-sum-exp");
  expectNear(r[2], problem.queryGradient, "gradient of query");
  expectNear(r[3], problem.keyGradient, "gradient of key");
  expectNear(r[4], problem.valueGradient, "gradient of value");
}

constexpr const char *cpus[] = {"native", "x86-64-v3"};

TEST(Attention, OneHead) {
  for (const char *cpu : cpus)
    for (const Case &c : {Case{1, 1, 1, 1, 16}, Case{1, 97, 1, 1, 64}})
      if (check(c, cpu); HasFatalFailure())
        return;
}

TEST(Attention, GroupsAndDocuments) {
  for (const char *cpu : cpus)
    for (const Case &c : {Case{2, 131, 6, 2, 64, false, 37}, Case{2, 200, 4, 1, 128, false, 150}})
      if (check(c, cpu); HasFatalFailure())
        return;
}

TEST(Attention, OddHeads) {
  for (const char *cpu : cpus)
    for (const Case &c : {Case{1, 50, 2, 2, 20}, Case{3, 33, 2, 1, 7, false, 10}})
      if (check(c, cpu); HasFatalFailure())
        return;
}

TEST(Attention, HalfPrecision) {
  for (const char *cpu : cpus)
    for (const Case &c : {Case{1, 300, 3, 3, 16, true, 110}, Case{2, 129, 4, 2, 64, true}})
      if (check(c, cpu); HasFatalFailure())
        return;
}

} // namespace
