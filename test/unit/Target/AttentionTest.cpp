//===- AttentionTest.cpp - Emitted attention against plain loops -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "JitKernel.h"
#include "TestMatrix.h"

#include "lib/Target/CPU/LowerAttention.h"

#include <gtest/gtest.h>

using namespace ftc;
using namespace ftc::test;

namespace {

struct Case {
  int64_t batch, sequence, heads, kvHeads, headDim;
  bool bf16 = false;
  int64_t document = 0; // tokens of a document; 0: a row is one
  int64_t window = 0;   // 0: none
  double softcap = 0;   // 0: none
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
  int64_t firstKey(int64_t row) const {
    int64_t t = row % c.sequence;
    return c.window ? std::max<int64_t>(starts[row], t - c.window + 1) : starts[row];
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
          std::vector<double> p(t + 1), slopes(t + 1, 1.0);
          double sum = 0;
          for (int64_t s = firstKey(row); s <= t; ++s) {
            double score = scale * dot(query, q, key, keyAt(b * c.sequence + s, kvHead));
            if (c.softcap) {
              double ratio = std::tanh(score / c.softcap);
              score = c.softcap * ratio;
              slopes[s] = 1 - ratio * ratio;
            }
            sum += p[s] = std::exp(score);
          }
          lse[row * c.heads + h] = std::log(sum);
          for (int64_t s = firstKey(row); s <= t; ++s)
            for (int64_t d = 0; d < c.headDim; ++d)
              output[q + d] += p[s] / sum * value[keyAt(b * c.sequence + s, kvHead) + d];
          double mean = dot(gradient, q, output, q);
          for (int64_t s = firstKey(row); s <= t; ++s) {
            int64_t k = keyAt(b * c.sequence + s, kvHead);
            double slope = p[s] / sum * (dot(gradient, q, value, k) - mean);
            for (int64_t d = 0; d < c.headDim; ++d) {
              valueGradient[k + d] += p[s] / sum * gradient[q + d];
              queryGradient[q + d] += scale * slopes[s] * slope * key[k + d];
              keyGradient[k + d] += scale * slopes[s] * slope * query[q + d];
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
           std::to_string(c.kvHeads) + " scale 3.0e-01" + (c.window ? " window " + std::to_string(c.window) : "") +
           (c.softcap ? " softcap " + std::to_string(c.softcap) : "") + " : " + typeList + "\n}\n";
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

/// Output, log-sum-exp and the gradients of query, key and value, as the kernels compiled for `target` give them.
std::vector<Matrix> solve(Problem &problem, const cpu::CpuTarget &target, unsigned threads) {
  const Case &c = problem.c;
  std::vector<Matrix> r;
  r.emplace_back(c.bf16, problem.query.size());
  r.emplace_back(false, problem.rows() * c.heads);
  r.emplace_back(c.bf16, problem.query.size());
  r.emplace_back(c.bf16, problem.key.size());
  r.emplace_back(c.bf16, problem.key.size());
  std::vector<void *> buffers{problem.query.data(),  problem.key.data(), problem.value.data(),
                              problem.starts.data(), r[0].data(),        r[1].data()};
  EXPECT_TRUE(JitKernel(problem.text(false), target).run(buffers, threads)) << "wrote past its scratch memory";
  buffers.insert(buffers.end(), {problem.gradient.data(), r[2].data(), r[3].data(), r[4].data()});
  EXPECT_TRUE(JitKernel(problem.text(true), target).run(buffers, threads)) << "wrote past its scratch memory";
  return r;
}

void check(const Case &c, const std::string &cpu) {
  SCOPED_TRACE(cpu + ": batch " + std::to_string(c.batch) + " sequence " + std::to_string(c.sequence) + " heads " +
               std::to_string(c.heads) + "/" + std::to_string(c.kvHeads) + " of " + std::to_string(c.headDim) +
               (c.bf16 ? " bf16" : "") + " documents of " + std::to_string(c.document) + " window " +
               std::to_string(c.window) + " softcap " + std::to_string(c.softcap));
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
    for (const Case &c :
         {Case{2, 131, 6, 2, 64, false, 37}, Case{2, 200, 4, 1, 128, false, 150}, Case{1, 70, 8, 1, 256}})
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

// With AVX2 blocks of the gradient have 96 keys, panels of the forward pass 6: windows inside of one, on its border,
// and over several.
TEST(Attention, Windows) {
  for (const char *cpu : cpus)
    for (const Case &c : {Case{1, 40, 2, 1, 16, false, 0, 1}, Case{1, 230, 2, 2, 32, false, 0, 5},
                          Case{2, 300, 4, 2, 64, false, 70, 48}, Case{1, 290, 1, 1, 20, false, 0, 96},
                          Case{1, 310, 2, 1, 64, false, 150, 101}, Case{1, 210, 2, 1, 32, true, 90, 33}})
      if (check(c, cpu); HasFatalFailure())
        return;
}

// The product of a query and a key is mostly below 6 in size, its score below 2.
TEST(Attention, CappedScores) {
  for (const char *cpu : cpus)
    for (const Case &c : {Case{1, 97, 2, 1, 64, false, 0, 0, 50.0}, Case{2, 131, 4, 2, 32, false, 37, 0, 0.7},
                          Case{1, 230, 2, 1, 64, false, 120, 50, 1.5}, Case{1, 210, 2, 1, 32, true, 90, 33, 1.0}})
      if (check(c, cpu); HasFatalFailure())
        return;
}

// What lies before a window is not read but in the blocks that reach into it: 0 times NaN would be NaN.
TEST(Attention, BlocksBeforeTheWindowAreSkipped) {
  const Case c{1, 300, 2, 1, 16, false, 0, 20};
  Problem problem(c, 5);
  cpu::CpuTarget target = targetFor("x86-64-v3", 2);
  for (int64_t d = 0; d < c.headDim; ++d) {
    problem.key.set(d, NAN);
    problem.value.set(d, NAN);
  }
  Matrix output(false, problem.query.size()), lse(false, problem.rows() * c.heads);
  Matrix query(false, problem.query.size()), key(false, problem.key.size()), value(false, problem.key.size());
  std::vector<void *> buffers{problem.query.data(),  problem.key.data(), problem.value.data(),
                              problem.starts.data(), output.data(),      lse.data()};
  ASSERT_TRUE(JitKernel(problem.text(false), target).run(buffers, 2));
  buffers.insert(buffers.end(), {problem.gradient.data(), query.data(), key.data(), value.data()});
  ASSERT_TRUE(JitKernel(problem.text(true), target).run(buffers, 2));
  auto isFinite = [&](const Matrix &matrix, int64_t firstRow) {
    for (int64_t i = problem.queryAt(firstRow, 0); i < matrix.size(); ++i)
      if (!std::isfinite(matrix[i]))
        return false;
    return true;
  };
  EXPECT_FALSE(isFinite(output, 0));
  // With AVX2 panels of 16 queries and 6 keys forward, and blocks of 96 of both for the gradient.
  EXPECT_TRUE(isFinite(output, 20 + 16 + 6));
  EXPECT_TRUE(isFinite(query, 2 * 96));
}

// A window that hides nothing gives the bits that none gives.
TEST(Attention, AWindowOfTheWholeRow) {
  const Case c{2, 131, 2, 1, 32, false, 37};
  Problem problem(c, 5);
  cpu::CpuTarget target = targetFor("native", 3);
  std::vector<std::vector<Matrix>> runs;
  for (int64_t window : {0, 131, 1000000}) {
    problem.c.window = window;
    std::vector<Matrix> &r = runs.emplace_back(solve(problem, target, 2));
    for (size_t i = 0; i < r.size(); ++i)
      ASSERT_TRUE(r[i] == runs.front()[i]) << "window " << window << ", result " << i;
  }
}

cpu::AttentionShape shapeOf(const Case &c) {
  return {c.batch, c.sequence, c.heads, c.kvHeads, c.headDim, 0.3, c.window, c.softcap};
}

cpu::AttentionGradBlocks gradBlocks(const Case &c, unsigned threads = 3) {
  return {shapeOf(c), targetFor("x86-64-v3", threads)};
}

// Few heads with long rows: keys in strips, of which documents and windows leave some queries nothing to see.
TEST(Attention, StripsOfKeys) {
  for (const Case &c : {Case{1, 800, 2, 1, 16}, Case{1, 1300, 1, 1, 20, false, 130},
                        Case{2, 900, 2, 2, 16, false, 0, 150}, Case{1, 1160, 3, 1, 16, true, 700, 500}}) {
    ASSERT_GT(gradBlocks(c).strips.size(), 1u);
    for (const char *cpu : cpus)
      if (check(c, cpu); HasFatalFailure())
        return;
  }
}

// How many heads are worked on at once depends on the number of threads that a step is planned for; bits do not. For
// one thread a group of heads is done in parts here, and sums are carried from one to the next.
TEST(Attention, PlannedThreadsAreNotInTheBits) {
  for (const Case &c : {Case{2, 200, 8, 1, 256}, Case{1, 800, 4, 1, 128, false, 500}}) {
    Problem problem(c, 5);
    EXPECT_GT(gradBlocks(c, 1).carriedSums, 0);
    EXPECT_EQ(gradBlocks(c, 16).carriedSums, 0);
    std::vector<std::vector<Matrix>> runs;
    for (unsigned threads : {1, 16}) {
      std::vector<Matrix> &r = runs.emplace_back(solve(problem, targetFor("x86-64-v3", threads), threads));
      for (size_t i = 0; i < r.size(); ++i)
        ASSERT_TRUE(r[i] == runs.front()[i]) << "planned for " << threads << " threads, result " << i;
    }
    expectNear(runs.front()[2], problem.queryGradient, "gradient of query");
    expectNear(runs.front()[3], problem.keyGradient, "gradient of key");
    expectNear(runs.front()[4], problem.valueGradient, "gradient of value");
  }
}

// Strips hold every key once and all queries that see it, and have about the same work.
TEST(AttentionGradBlocks, StripsCoverWhatIsSeen) {
  for (const Case &c : {Case{1, 4096, 8, 1, 256}, Case{1, 4096, 8, 1, 256, true, 0, 1024}, Case{1, 8192, 32, 8, 128},
                        Case{1, 8192, 1, 1, 64, false, 0, 1}, Case{2, 1000, 2, 1, 64, false, 0, 97}}) {
    SCOPED_TRACE(std::to_string(c.sequence) + " window " + std::to_string(c.window));
    cpu::AttentionGradBlocks blocks = gradBlocks(c);
    ASSERT_GT(blocks.strips.size(), 1u);
    EXPECT_LE(blocks.strips.size() * static_cast<size_t>(c.batch * c.heads), 64u);
    int64_t key = 0, sums = 0, least = INT64_MAX, most = 0;
    for (const auto &strip : blocks.strips) {
      EXPECT_EQ(strip.firstKey, key);
      EXPECT_GT(strip.endKey, strip.firstKey);
      EXPECT_GE(strip.sums, sums);
      int64_t lastQuery = c.window ? std::min(c.sequence, strip.endKey + c.window - 1) - 1 : c.sequence - 1;
      EXPECT_GT(strip.endQuery, lastQuery);
      EXPECT_LE(strip.endQuery, blocks.count * blocks.block);
      key = strip.endKey;
      sums = strip.sums + (strip.endQuery - strip.firstKey) * blocks.width;
      int64_t work = 0; // pairs of blocks
      for (int64_t k = strip.firstKey; k < strip.endKey; k += blocks.block)
        for (int64_t q = k; q < blocks.count * blocks.block; q += blocks.block)
          work += !c.window || q - (k + blocks.block - 1) < c.window;
      least = std::min(least, work);
      most = std::max(most, work);
    }
    EXPECT_EQ(key, blocks.count * blocks.block);
    EXPECT_LE(sums, blocks.queryParts);
    EXPECT_LE(most - least, 2 * blocks.count);
  }
}

} // namespace
