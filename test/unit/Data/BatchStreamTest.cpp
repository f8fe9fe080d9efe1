//===- BatchStreamTest.cpp - Order, resumption and counts of batches ------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DataFixture.h"

#include <numeric>
#include <set>

using namespace ftc;

namespace {

class Batches : public DataFixture {
protected:
  /// A data set whose row r begins with id r.
  DataSet numbered(int rows) {
    std::vector<uint16_t> ids;
    for (int r = 0; r < rows; ++r)
      for (int t = 0; t < 4; ++t)
        ids.push_back(static_cast<uint16_t>(r));
    options.seqLen = 4;
    options.vocabSize = 65536;
    auto data = load(writeIds("n.bin", ids, true));
    EXPECT_TRUE(data) << messages();
    return std::move(data->train);
  }

  /// First ids of the rows of the next `count` batches.
  Ints walk(BatchStream &stream, int64_t batchSize, int64_t count) {
    Ints seen;
    Batch batch(batchSize * 4);
    for (int64_t i = 0; i < count; ++i) {
      int64_t ahead = stream.countValid();
      EXPECT_EQ(stream.next(batch.view(), 4), ahead);
      for (int64_t r = 0; r < batchSize; ++r)
        seen.push_back(batch.tokens[r * 4]);
    }
    return seen;
  }
};

TEST(DataPosition, InBatchesOfAnotherSize) {
  for (int64_t batch : {0, 1, 2, 3, 7, 100})
    for (int64_t then : {1, 2, 3, 8})
      for (int64_t now : {1, 2, 3, 8})
        EXPECT_EQ((DataPosition{5, batch}.inBatchesOf(now, then)), (DataPosition{5, batch * then / now}));
}

TEST(Permutation, IsOneForEverySize) {
  for (uint64_t size = 1; size <= 130; ++size) {
    std::set<uint64_t> values;
    Permutation permutation(size, 42, 3);
    for (uint64_t i = 0; i < size; ++i)
      values.insert(permutation(i));
    EXPECT_EQ(values.size(), size);
    EXPECT_EQ(*values.rbegin(), size - 1);
  }
}

TEST(Permutation, DependsOnSeedAndEpochAndMixes) {
  constexpr uint64_t size = 1000;
  auto order = [](uint64_t seed, uint64_t epoch) {
    std::vector<uint64_t> values;
    Permutation permutation(size, seed, epoch);
    for (uint64_t i = 0; i < size; ++i)
      values.push_back(permutation(i));
    return values;
  };
  auto base = order(1, 0);
  EXPECT_EQ(base, order(1, 0));
  for (auto other : {order(2, 0), order(1, 1), order(uint64_t(1) << 32 | 1, 0), order(1, uint64_t(1) << 32)}) {
    int64_t same = 0;
    for (uint64_t i = 0; i < size; ++i)
      same += base[i] == other[i];
    EXPECT_LT(same, 10); // 1 is expected of two random orders
  }
  // Of random orders the mean distance of neighbours is a third of the size.
  double distance = 0;
  for (uint64_t i = 1; i < size; ++i)
    distance += std::abs(static_cast<double>(base[i]) - static_cast<double>(base[i - 1]));
  EXPECT_NEAR(distance / (size - 1), size / 3.0, 30);
}

TEST_F(Batches, InOrderWithoutShuffle) {
  DataSet data = numbered(7);
  BatchStream stream(data, {.batchSize = 2, .shuffle = false});
  EXPECT_EQ(stream.batchesPerEpoch(), 3);
  EXPECT_EQ(walk(stream, 2, 4), (Ints{0, 1, 2, 3, 4, 5, 0, 1})); // row 6 is dropped
  EXPECT_EQ(stream.position(), (DataPosition{1, 1}));
}

TEST_F(Batches, AnEpochHasEveryRowOnce) {
  DataSet data = numbered(60);
  BatchStream stream(data, {.batchSize = 4, .shuffle = true, .seed = 5});
  Ints first = walk(stream, 4, 15), second = walk(stream, 4, 15);
  EXPECT_NE(first, second);
  for (Ints *epoch : {&first, &second}) {
    std::sort(epoch->begin(), epoch->end());
    Ints all(60);
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(*epoch, all);
  }
}

TEST_F(Batches, ResumesAnywhere) {
  DataSet data = numbered(23);
  BatchStreamOptions order{.batchSize = 3, .shuffle = true, .seed = 99};
  BatchStream whole(data, order);
  Ints all = walk(whole, 3, 20);
  for (int64_t cut = 0; cut <= 20; ++cut) {
    BatchStream before(data, order), after(data, order);
    walk(before, 3, cut);
    after.seek(before.position());
    EXPECT_EQ(walk(after, 3, 20 - cut), Ints(all.begin() + cut * 3, all.end()));
  }
  BatchStream far(data, order);
  far.seek({0, 9}); // 7 batches an epoch
  EXPECT_EQ(far.position(), (DataPosition{1, 2}));
}

TEST_F(Batches, TheLastBatchIsFilledUpForEvaluation) {
  DataSet data = numbered(5);
  BatchStream stream(data, {.batchSize = 4, .shuffle = false, .dropLast = false});
  ASSERT_EQ(stream.batchesPerEpoch(), 2);
  Batch batch(16);
  EXPECT_EQ(stream.next(batch.view(), 4), 12);
  EXPECT_EQ(stream.next(batch.view(), 4), 3);
  EXPECT_EQ(Ints(batch.tokens.begin() + 4, batch.tokens.end()), Ints(12, PAD));
  EXPECT_EQ(Ints(batch.labels.begin() + 4, batch.labels.end()), Ints(12, X));
  EXPECT_EQ(Ints(batch.segments.begin() + 4, batch.segments.begin() + 8), (Ints{0, 1, 2, 3}));
  EXPECT_EQ(stream.position(), (DataPosition{1, 0}));
}

TEST_F(Batches, TooFewRows) {
  DataSet data = numbered(3);
  EXPECT_EQ(BatchStream(data, {.batchSize = 4}).batchesPerEpoch(), 0);
}

TEST_F(Batches, CountsAheadOverSeveralBatches) {
  options.seqLen = 16;
  auto data = load(
      write("d.jsonl", "{\"text\": \"abc\"}\n{\"text\": \"defghijklmnopqrstuvwxyz\"}\n{\"text\": \"0123456789\"}"));
  ASSERT_TRUE(data) << messages();
  ASSERT_EQ(data->train.rows(), 3);
  BatchStream stream(data->train, {.batchSize = 1, .shuffle = true, .seed = 3});
  int64_t ahead = stream.countValid(3), sum = 0;
  Batch batch(16);
  for (int i = 0; i < 3; ++i)
    sum += stream.next(batch.view(), 16);
  EXPECT_EQ(ahead, sum);
  EXPECT_EQ(sum, data->train.validLabels());
}

TEST_F(Batches, RowsOfOneSampleAreCutWhereTheirPaddingBegins) {
  options.seqLen = 32;
  options.packed = false;
  options.splitAcrossPack = false;
  auto data = load(
      write("d.jsonl", "{\"text\": \"abc\"}\n{\"text\": \"defghijklmnopqrstuvwxyz\"}\n{\"text\": \"0123456789\"}"));
  ASSERT_TRUE(data) << messages();
  Ints lengths;
  for (int64_t row = 0; row < 3; ++row) {
    Batch whole = this->row(data->train, row);
    const int64_t length = data->train.rowLength(row);
    lengths.push_back(static_cast<int32_t>(length));
    ASSERT_LT(length, 32);
    // What is cut off is padding alone, and what is left does not change.
    for (int64_t shorter : {length, length + 1, int64_t(31)}) {
      Batch cut(shorter);
      EXPECT_EQ(data->train.fillRow(row, cut.view(), shorter), data->train.countValid(row));
      EXPECT_EQ(cut.tokens, Ints(whole.tokens.begin(), whole.tokens.begin() + shorter));
      EXPECT_EQ(cut.labels, Ints(whole.labels.begin(), whole.labels.begin() + shorter));
      EXPECT_EQ(cut.positions, Ints(whole.positions.begin(), whole.positions.begin() + shorter));
      EXPECT_EQ(cut.segments, Ints(whole.segments.begin(), whole.segments.begin() + shorter));
    }
    EXPECT_EQ(Ints(whole.tokens.begin() + length, whole.tokens.end()), Ints(32 - length, PAD));
    EXPECT_NE(whole.tokens[length - 1], PAD);
  }
  EXPECT_EQ(lengths, (Ints{5, 25, 12})); // with begin and end of text
  BatchStream stream(data->train, {.batchSize = 2, .shuffle = false, .dropLast = false});
  EXPECT_EQ(stream.longest(), 25);
  Batch batch(2 * 25);
  EXPECT_EQ(stream.next(batch.view(), 25), 4 + 24);
  EXPECT_EQ(batch.tokens[5], PAD);
  EXPECT_EQ(batch.tokens[25], this->row(data->train, 1).tokens[0]);
  EXPECT_EQ(stream.longest(), 12); // beside a row of padding
}

TEST_F(Batches, RowsOfTokenFilesAreFull) {
  DataSet data = numbered(3);
  EXPECT_EQ(data.rowLength(2), 4);
  EXPECT_EQ(BatchStream(data, {.batchSize = 2}).longest(), 4);
}

TEST_F(Batches, FingerprintFollowsContentsAndRows) {
  auto print = [&](const std::string &text) {
    auto data = load(write("f.jsonl", text));
    EXPECT_TRUE(data) << messages();
    return data->train.fingerprint();
  };
  uint64_t base = print("{\"text\": \"ab\"}\n{\"text\": \"c\"}");
  EXPECT_EQ(base, print("{\"text\": \"ab\"}\n\n{\"text\":\"c\"}"));
  EXPECT_NE(base, print("{\"text\": \"ab\"}\n{\"text\": \"d\"}"));
  options.seqLen = 16;
  EXPECT_NE(base, print("{\"text\": \"ab\"}\n{\"text\": \"c\"}"));
}

} // namespace
