//===- PackingTest.cpp - Samples to rows, worked by hand ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DataFixture.h"

using namespace ftc;

namespace {

using Packing = DataFixture;

TEST_F(Packing, TextGoesOnInTheNextRow) {
  // Samples BOS a b c d EOS (6 tokens) and BOS e f g h i j EOS (8) in rows of 8.
  auto data = load(write("d.jsonl", "{\"text\": \"abcd\"}\n{\"text\": \"efghij\"}\n"));
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(data->train.samples(), 2);
  EXPECT_EQ(data->train.tokens(), 14);
  ASSERT_EQ(data->train.rows(), 2);
  EXPECT_EQ(data->heldOut.rows(), 0);
  Batch first = row(data->train, 0);
  EXPECT_EQ(first.tokens, (Ints{BOS, 'a', 'b', 'c', 'd', EOS, BOS, 'e'}));
  EXPECT_EQ(first.labels, (Ints{'a', 'b', 'c', 'd', EOS, X, 'e', 'f'})); // f is in the next row
  EXPECT_EQ(first.positions, (Ints{0, 1, 2, 3, 4, 5, 0, 1}));
  EXPECT_EQ(first.segments, (Ints{0, 0, 0, 0, 0, 0, 6, 6}));
  Batch second = row(data->train, 1);
  EXPECT_EQ(second.tokens, (Ints{'f', 'g', 'h', 'i', 'j', EOS, PAD, PAD}));
  EXPECT_EQ(second.labels, (Ints{'g', 'h', 'i', 'j', EOS, X, X, X}));
  EXPECT_EQ(second.positions, (Ints{2, 3, 4, 5, 6, 7, 0, 0})); // counted on
  EXPECT_EQ(second.segments, (Ints{0, 0, 0, 0, 0, 0, 6, 7}));
  EXPECT_EQ(data->train.validLabels(), 12);
}

TEST_F(Packing, PositionsStayConsecutiveAndWithinTheTable) {
  // Sample of 2, then one of 21: parts of 6, 8 and 7 tokens at 0, 6 and 14.
  options.addEos = false;
  std::string path = write("d.jsonl", "{\"text\": \"a\"}\n{\"text\": \"ABCDEFGHIJKLMNOPQRST\"}\n");
  auto data = load(path);
  ASSERT_TRUE(data) << messages();
  ASSERT_EQ(data->train.rows(), 3);
  EXPECT_EQ(row(data->train, 0).positions, (Ints{0, 1, 0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(row(data->train, 1).positions, (Ints{0, 1, 2, 3, 4, 5, 6, 7})); // 6 + 8 > 8: as high as there is room
  EXPECT_EQ(row(data->train, 2).positions, (Ints{1, 2, 3, 4, 5, 6, 7, 0})); // 14 mod 8 = 6, but 6 + 7 > 8
  options.maxPositions = 100;
  data = load(path);
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(row(data->train, 1).positions, (Ints{6, 7, 8, 9, 10, 11, 12, 13}));
  EXPECT_EQ(row(data->train, 2).positions, (Ints{14, 15, 16, 17, 18, 19, 20, 0}));
}

/// A text that is cut has no end, and all its labels, whatever else is in the data; a conversation ends.
TEST_F(Packing, ATextIsCutAlikeBesideAConversation) {
  options.packed = false;
  options.seqLen = 16;
  const std::string longText = "{\"text\": \"" + std::string(40, 't') + "\"}\n";
  const std::string chat = R"({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": ")";
  auto alone = load(write("a.jsonl", longText));
  ASSERT_TRUE(alone) << messages();
  EXPECT_EQ(alone->train.validLabels(), 15);
  // 70 texts in front, so that their bits are in more than one number.
  std::string lines;
  for (int i = 0; i < 70; ++i)
    lines += longText;
  lines += chat + "a\"}]}\n" + longText + chat + std::string(40, 'a') + "\"}]}\n" + longText;
  auto mixed = load(write("b.jsonl", lines));
  ASSERT_TRUE(mixed) << messages();
  ASSERT_EQ(mixed->train.rows(), 74);
  for (int64_t i = 0; i < 74; ++i) {
    const Batch batch = row(mixed->train, i);
    if (i == 70)
      continue;
    if (i == 72)
      EXPECT_EQ(batch.tokens.back(), EOS);
    else
      EXPECT_EQ(batch.tokens, row(alone->train, 0).tokens) << i;
    if (i == 72)
      EXPECT_EQ(batch.labels[14], X);
    else
      EXPECT_EQ(batch.labels, row(alone->train, 0).labels) << i;
  }
  EXPECT_TRUE(says("74 samples are longer than a row")) << messages();
}

TEST_F(Packing, WholeSamplesMoveToTheNextRow) {
  options.splitAcrossPack = false;
  auto data =
      load(write("d.jsonl", "{\"text\": \"a\"}\n{\"text\": \"bcd\"}\n{\"text\": \"e\"}\n{\"text\": \"fghijklmn\"}"));
  ASSERT_TRUE(data) << messages();
  // 3 + 5 = 8 fills row 0; 3 in row 1; the last, 11 tokens, is cut to 8.
  ASSERT_EQ(data->train.rows(), 3);
  EXPECT_EQ(row(data->train, 0).tokens, (Ints{BOS, 'a', EOS, BOS, 'b', 'c', 'd', EOS}));
  EXPECT_EQ(row(data->train, 0).labels, (Ints{'a', EOS, X, 'b', 'c', 'd', EOS, X}));
  EXPECT_EQ(row(data->train, 0).segments, (Ints{0, 0, 0, 3, 3, 3, 3, 3}));
  EXPECT_EQ(row(data->train, 1).tokens, (Ints{BOS, 'e', EOS, PAD, PAD, PAD, PAD, PAD}));
  EXPECT_EQ(row(data->train, 1).segments, (Ints{0, 0, 0, 3, 4, 5, 6, 7}));
  EXPECT_EQ(row(data->train, 2).tokens, (Ints{BOS, 'f', 'g', 'h', 'i', 'j', 'k', 'l'}));
  EXPECT_EQ(row(data->train, 2).labels, (Ints{'f', 'g', 'h', 'i', 'j', 'k', 'l', X}));
  EXPECT_TRUE(says("1 samples are longer than a row")) << messages();
}

TEST_F(Packing, UnpackedIsOneSampleARow) {
  options.packed = false;
  auto data = load(write("d.jsonl", "{\"text\": \"a\"}\n{\"text\": \"bcdefghijk\"}"));
  ASSERT_TRUE(data) << messages();
  ASSERT_EQ(data->train.rows(), 2);
  EXPECT_EQ(row(data->train, 0).tokens, (Ints{BOS, 'a', EOS, PAD, PAD, PAD, PAD, PAD}));
  EXPECT_EQ(row(data->train, 1).tokens, (Ints{BOS, 'b', 'c', 'd', 'e', 'f', 'g', 'h'}));
  EXPECT_EQ(data->train.tokens(), 11);
}

TEST_F(Packing, OnlyTheAssistantIsTrained) {
  options.seqLen = 48;
  auto data = load(write(
      "d.jsonl",
      R"({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"},
)"
      R"({"role": "assistant", "content": "AB"}, {"role": "user", "content": "V"}, {"role": "assistant", "content": "C"}]})"));
  ASSERT_FALSE(data); // the object is on two lines
  EXPECT_TRUE(says("d.jsonl:1:")) << messages();
  EXPECT_TRUE(says("d.jsonl:2:")) << messages();
  data = load(write(
      "d.jsonl",
      R"({"messages": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "AB"}, )"
      R"({"role": "user", "content": [{"type": "text", "text": "V"}]}, {"role": "assistant", "content": "C"}]})"));
  ASSERT_TRUE(data) << messages();
  ASSERT_EQ(data->train.rows(), 1);
  Batch batch = row(data->train, 0);
  Ints tokens = {BOS}, labels;
  auto say = [&](std::string_view text, bool trained) {
    for (unsigned char letter : text) {
      tokens.push_back(letter);
      labels.push_back(trained ? letter : X);
    }
  };
  auto end = [&] {
    tokens.push_back(EOS);
    labels.push_back(EOS);
  };
  say("user:\nU\n\nassistant:\n", false);
  say("AB", true);
  end();
  say("user:\nV\n\nassistant:\n", false);
  say("C", true);
  end();
  labels.push_back(X);
  tokens.resize(48, PAD);
  labels.resize(48, X);
  EXPECT_EQ(batch.tokens, tokens);
  EXPECT_EQ(batch.labels, labels);
  EXPECT_EQ(data->train.validLabels(), 5);
}

TEST_F(Packing, ACutConversationEndsUntrained) {
  options.seqLen = 20; // BOS "user:\nU\n\nassistant:\n" is 21 tokens with the BOS
  std::string line = R"({"messages": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "ABCDEF"}]})";
  EXPECT_FALSE(load(write("d.jsonl", line)));
  EXPECT_TRUE(
      says("no token is trained: every label is masked or a sample's last; where answers lie behind the first "
           "20 tokens, recompile with a larger tokenizer.max_seq_len; chat_dataset's dataset.train_on_input=True"))
      << messages();
  options.seqLen = 24;
  auto data = load(write("d.jsonl", line + "\n" + line));
  ASSERT_TRUE(data) << messages();
  ASSERT_EQ(data->train.rows(), 2); // conversations are never split
  for (int64_t i = 0; i < 2; ++i) {
    Batch batch = row(data->train, i);
    EXPECT_EQ(Ints(batch.tokens.begin() + 20, batch.tokens.end()), (Ints{'\n', 'A', 'B', EOS}));
    EXPECT_EQ(Ints(batch.labels.begin() + 19, batch.labels.end()), (Ints{X, 'A', 'B', X, X}));
  }
  EXPECT_TRUE(says("2 samples are longer than a row")) << messages();
}

TEST_F(Packing, MasksSurviveAfterPlainText) {
  // 70 tokens of text come first, so that the bits begin in the second word.
  options.seqLen = 128;
  auto data = load(
      write("d.jsonl", "{\"text\": \"" + std::string(68, 'x') + "\"}\n" +
                           R"({"messages": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}]})"
                           "\n{\"text\": \"yz\"}"));
  ASSERT_TRUE(data) << messages();
  ASSERT_EQ(data->train.rows(), 1);
  EXPECT_EQ(data->train.validLabels(), 69 + 2 + 3);
  Batch batch = row(data->train, 0);
  EXPECT_EQ(batch.labels[68], EOS);
  EXPECT_EQ(batch.labels[69], X);
  EXPECT_EQ(Ints(batch.labels.begin() + 90, batch.labels.begin() + 98), (Ints{'A', EOS, X, 'y', 'z', EOS, X, X}));
}

TEST_F(Packing, ALongTextAmongConversationsIsCut) {
  // Nothing of the short conversation is held out, so the held-out set has no masks.
  options.heldOut = 0.04;
  options.seqLen = 32;
  auto data = load(write(
      "d.jsonl", "{\"text\": \"" + std::string(998, 'x') + "\"}\n" +
                     R"({"messages": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}]})"));
  ASSERT_TRUE(data) << messages();
  ASSERT_EQ(data->heldOut.rows(), 1);
  EXPECT_EQ(row(data->heldOut, 0).tokens, Ints(32, 'x'));
  EXPECT_EQ(data->heldOut.validLabels(), 31);
  EXPECT_EQ(data->train.rows(), 2);
  EXPECT_TRUE(says("2 samples are longer than a row")) << messages();
}

TEST_F(Packing, TheTailOfEachDocumentIsHeldOut) {
  options.heldOut = 0.25;
  auto data = load(write("d.jsonl", "{\"text\": \"abcdefghij\"}\n{\"text\": \"k\"}\n{\"text\": \"lmnopq\"}"));
  ASSERT_TRUE(data) << messages();
  // 12 tokens: the last 3 (i, j, EOS); 3 tokens: none; 8 tokens: the last 2 (q, EOS).
  ASSERT_EQ(data->heldOut.rows(), 1);
  Batch held = row(data->heldOut, 0);
  EXPECT_EQ(held.tokens, (Ints{'i', 'j', EOS, 'q', EOS, PAD, PAD, PAD}));
  EXPECT_EQ(held.labels, (Ints{'j', EOS, X, EOS, X, X, X, X}));
  EXPECT_EQ(held.positions, (Ints{0, 1, 2, 0, 1, 0, 0, 0}));
  EXPECT_EQ(data->train.tokens(), 9 + 3 + 6);
  EXPECT_EQ(row(data->train, 0).tokens, (Ints{BOS, 'a', 'b', 'c', 'd', 'e', 'f', 'g'}));
  EXPECT_EQ(row(data->train, 1).tokens, (Ints{'h', BOS, 'k', EOS, BOS, 'l', 'm', 'n'}));
  EXPECT_EQ(row(data->train, 1).labels, (Ints{X, 'k', EOS, X, 'l', 'm', 'n', 'o'}));

  options.heldOut = 0.01;
  EXPECT_FALSE(load(options.path));
  EXPECT_TRUE(says("raise the share")) << messages();
}

TEST_F(Packing, WhatIsCutIsCounted) {
  options.packed = false;
  options.seqLen = 24;
  const std::string question = R"({"messages": [{"role": "user", "content": "UUUUUUUU"}, )";
  // 29 tokens up to the answer: nothing of it is left. 21 and an answer of 6 with its end: 3 are left. 23: all.
  const std::string lines =
      question + R"({"role": "assistant", "content": "A"}]})"
                 "\n"
                 R"({"messages": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "ABCDEF"}]})"
                 "\n"
                 R"({"messages": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}]})";
  auto data = load(write("d.jsonl", lines));
  ASSERT_TRUE(data) << messages();
  EXPECT_TRUE(
      says("2 samples are longer than a row and were cut to 24 tokens: 10 of all 81 tokens (12.3 %) are dropped, "
           "and 1 of these samples have no trained token left; raise tokenizer.max_seq_len\n"))
      << messages();
  EXPECT_EQ(data->train.tokens(), 71);
  EXPECT_EQ(data->train.validLabels(), 2 + 2);
  data = load(write("t.txt", std::string(20000, 'x')));
  ASSERT_TRUE(data) << messages();
  EXPECT_TRUE(says("1 samples are longer than a row and were cut to 24 tokens: 19978 of all 20002 tokens (99.9 %) are "
                   "dropped; raise tokenizer.max_seq_len, or use packed: True with split_across_pack: True"))
      << messages();
}

/// Lines of conversations whose answers are a, b and so on.
std::string chats(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i)
    lines += R"({"messages": [{"role": "user", "content": "U"}, {"role": "assistant", "content": ")" +
             std::string(1, static_cast<char>('a' + i)) + "\"}]}\n";
  return lines;
}

TEST_F(Packing, ConversationsAreHeldOutWhole) {
  options.seqLen = 32;
  options.packed = false;
  // The answers of each share: spread over the file, and the first is trained.
  auto answers = [&](const DataSet &set) {
    std::string letters;
    for (int64_t i = 0; i < set.rows(); ++i) {
      Batch batch = row(set, i);
      // BOS "user:\nU\n\nassistant:\n", the answer, and its end, which are trained or judged.
      EXPECT_EQ(Ints(batch.labels.begin() + 20, batch.labels.begin() + 23), (Ints{batch.tokens[21], EOS, X}));
      EXPECT_EQ(batch.tokens[0], BOS);
      letters += static_cast<char>(batch.tokens[21]);
    }
    return letters;
  };
  const std::string path = write("d.jsonl", chats(20));
  const std::tuple<double, const char *, const char *> shares[] = {{0.05, "abcdefghijklmnopqrs", "t"},
                                                                   {0.1, "abcdefghiklmnopqrs", "jt"},
                                                                   {0.25, "abcefgijkmnoqrs", "dhlpt"},
                                                                   {0.5, "acegikmoqs", "bdfhjlnprt"},
                                                                   {0.999, "a", "bcdefghijklmnopqrst"}};
  for (const auto &[share, trained, held] : shares) {
    options.heldOut = share;
    auto data = load(path);
    ASSERT_TRUE(data) << messages();
    EXPECT_EQ(answers(data->train), trained) << share;
    EXPECT_EQ(answers(data->heldOut), held) << share;
    EXPECT_TRUE(says(std::to_string(std::string(held).size()) + " of 20 conversations are held out")) << messages();
  }
  options.heldOut = 0.04;
  EXPECT_FALSE(load(path));
  EXPECT_TRUE(says("holding out 0.04 of 20 conversations keeps none to evaluate on; raise the share to 0.053 or more"))
      << messages();
  options.heldOut = 0.999;
  EXPECT_FALSE(load(write("d.jsonl", chats(1))));
  EXPECT_TRUE(says("holding out 0.999 of 1 conversations keeps none to evaluate on; one is trained at least"))
      << messages();
  // Records of questions are conversations too.
  options.heldOut = 0.5;
  options.records = RecordKind::Instruct;
  auto data = load(write("q.jsonl", R"({"input": "U", "output": "a"})"
                                    "\n"
                                    R"({"input": "U", "output": "b"})"));
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(answers(data->train), "a");
  EXPECT_EQ(answers(data->heldOut), "b");
}

TEST_F(Packing, EveryLayoutKeepsEveryToken) {
  // Against a plain model: rows read back give the samples back.
  std::string lines, all;
  for (int i = 0; i < 50; ++i) {
    std::string text(1 + i * 7 % 13, static_cast<char>('a' + i % 26));
    lines += "{\"text\": \"" + text + "\"}\n";
    all += text;
  }
  std::string path = write("d.jsonl", lines);
  for (int64_t seqLen : {2, 3, 15, 16, 64})
    for (bool split : {true, false}) {
      options.seqLen = seqLen;
      options.splitAcrossPack = split;
      auto data = load(path);
      ASSERT_TRUE(data) << messages();
      std::string text;
      int64_t valid = 0;
      for (int64_t i = 0; i < data->train.rows(); ++i) {
        Batch batch = row(data->train, i);
        for (int64_t t = 0; t < seqLen; ++t) {
          if (batch.tokens[t] < 256)
            text += static_cast<char>(batch.tokens[t]);
          valid += batch.labels[t] != X;
          ASSERT_LE(batch.segments[t], t);
          ASSERT_LT(batch.positions[t], seqLen);
          if (batch.segments[t] < t) {
            ASSERT_EQ(batch.positions[t], batch.positions[t - 1] + 1);
          }
          // Within a row a label is the next token, always.
          if (t + 1 < seqLen && batch.labels[t] != X) {
            ASSERT_EQ(batch.labels[t], batch.tokens[t + 1]);
          }
        }
      }
      EXPECT_EQ(valid, data->train.validLabels());
      if (split || seqLen >= 15) {
        EXPECT_EQ(text, all);
      }
    }
}

} // namespace
