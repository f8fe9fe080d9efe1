//===- SafetensorsTest.cpp - The file format, its faults, conversions -----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CheckpointFixture.h"

#include "lib/Checkpoint/Convert.h"

#include <cmath>
#include <random>

using namespace ftc;

namespace {

using Safetensors = CheckpointFixture;

TEST_F(Safetensors, RoundTrip) {
  std::vector<float> a = {1, 2, 3, 4, 5, 6};
  std::vector<uint16_t> b = {0x3F80, 0xC000};
  std::vector<int64_t> step = {-12};
  std::vector<TensorView> tensors = {{{"step", TensorType::I64, {}}, step.data()},
                                     {{"a.weight", TensorType::F32, {2, 3}}, a.data()},
                                     {{"b \"quoted\"\n", TensorType::BF16, {2}}, b.data()},
                                     {{"none", TensorType::F32, {0, 4}}, nullptr}};
  std::string path = root / "x.safetensors";
  ASSERT_TRUE(writeSafetensors(path, tensors, {{"format", "pt"}}, diags)) << messages();
  auto opened = SafetensorsFile::open(path, diags);
  ASSERT_TRUE(opened) << messages();
  EXPECT_EQ(opened->entries().size(), 4u);
  EXPECT_EQ(opened->metadata().at("format"), "pt");
  for (const TensorView &tensor : tensors) {
    const auto *entry = opened->find(tensor.spec.name);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->spec.shape, tensor.spec.shape);
    EXPECT_EQ(entry->spec.type, tensor.spec.type);
    EXPECT_EQ(entry->offset % typeBytes(tensor.spec.type), 0u);
    std::vector<char> bytes(tensor.spec.bytes());
    ASSERT_TRUE(opened->read(*entry, tensor.spec.type, bytes.data(), diags)) << messages();
    EXPECT_TRUE(bytes.empty() || !std::memcmp(bytes.data(), tensor.data, bytes.size()));
  }
  EXPECT_FALSE(opened->find("a"));
  std::string first = readAll(path);
  ASSERT_TRUE(writeSafetensors(path, tensors, {{"format", "pt"}}, diags));
  EXPECT_EQ(readAll(path), first);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(root), {}), 1); // nothing temporary is left
}

TEST_F(Safetensors, NoTensors) {
  std::string path = root / "x.safetensors";
  ASSERT_TRUE(writeSafetensors(path, {}, {}, diags));
  auto opened = SafetensorsFile::open(path, diags);
  ASSERT_TRUE(opened) << messages();
  EXPECT_TRUE(opened->entries().empty());
}

TEST_F(Safetensors, ConvertsWhileReading) {
  // More elements than a block, so that blocks meet without a seam.
  std::vector<float> values(70001);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = std::sin(static_cast<float>(i)) * 100;
  TensorView tensor{{"t", TensorType::F32, {70001}}, values.data()};
  std::string path = root / "x.safetensors";
  ASSERT_TRUE(writeSafetensors(path, {&tensor, 1}, {}, diags));
  auto opened = SafetensorsFile::open(path, diags);
  ASSERT_TRUE(opened) << messages();
  std::vector<uint16_t> half(values.size());
  ASSERT_TRUE(opened->read(*opened->find("t"), TensorType::BF16, half.data(), diags));
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(half[i], floatToBf16(values[i]));
  tensor = {{"t", TensorType::BF16, {70001}}, half.data()};
  ASSERT_TRUE(writeSafetensors(path, {&tensor, 1}, {}, diags));
  opened = SafetensorsFile::open(path, diags);
  std::vector<float> back(values.size());
  ASSERT_TRUE(opened->read(*opened->find("t"), TensorType::F32, back.data(), diags));
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(back[i], bf16ToFloat(half[i]));
  EXPECT_FALSE(opened->read(*opened->find("t"), TensorType::I32, back.data(), diags));
  EXPECT_TRUE(says("tensor 't': BF16 cannot be read as I32")) << messages();
}

struct Fault {
  const char *header;
  size_t dataBytes;
  const char *message;
};

TEST_F(Safetensors, FaultsAreNamed) {
  const Fault faults[] = {
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7, "tensor 't': its bytes 0 to 8 are not within"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 9, "the tensors end at byte 8 of the data"},
      {R"({"t":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, "tensor 't': shape [3] of F32 needs 12 bytes"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8, "tensor 't': its bytes 8 to 0"},
      {R"({"t":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})", 8, "tensor 't': unknown dtype 'F31'"},
      {R"({"t":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8, "tensor 't': 'shape' holds something"},
      {R"({"t":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8, "tensor 't': 'shape' holds something"},
      {R"({"t":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0, "is too large"},
      {R"({"t":{"dtype":"F32","shape":[0,9223372036854775807,9223372036854775807],"data_offsets":[0,0]}})", 0,
       "is too large"},
      {R"({"t":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,0]}})", 0, "'shape' holds something"},
      {R"({"t":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})", 8, "'shape' is missing or not a list"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", 8, "'data_offsets' is missing or not a pair"},
      {R"({"t":{"dtype":"F32","shape":[2]}})", 8, "'data_offsets' is missing or not a pair"},
      {R"({"t":{"dtype":7,"shape":[2],"data_offsets":[0,8]}})", 8, "'dtype' is missing or not a string"},
      {R"({"t":[1]})", 0, "tensor 't': its entry is not an object"},
      {R"({"t":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"u":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
       6, "tensor 'u' overlaps tensor 't'"},
      {R"({"t":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"u":{"dtype":"U8","shape":[2],"data_offsets":[6,8]}})",
       8, "2 bytes before tensor 'u' belong to no tensor"},
      {R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
       1, "tensor 't' is in the header twice"},
      {R"({"__metadata__":5})", 0, "'__metadata__' is not an object"},
      {R"([1])", 0, "not a JSON object"},
      {R"({"t":)", 0, "not a JSON object"},
      {"", 0, "not a JSON object"},
  };
  for (const Fault &fault : faults) {
    diags.clear();
    EXPECT_FALSE(SafetensorsFile::open(file("f.safetensors", fault.header, fault.dataBytes), diags)) << fault.header;
    ASSERT_EQ(diags.size(), 1u) << fault.header;
    EXPECT_TRUE(says(fault.message)) << fault.header << "\n" << messages();
    EXPECT_TRUE(says("f.safetensors: error: ")) << messages();
  }
}

TEST_F(Safetensors, FilesThatAreNone) {
  EXPECT_FALSE(SafetensorsFile::open(write("a", "short"), diags));
  EXPECT_TRUE(says("5 bytes are too few")) << messages();
  EXPECT_FALSE(SafetensorsFile::open(write("a", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}"), diags));
  EXPECT_TRUE(says("this is not a safetensors file")) << messages();
  EXPECT_FALSE(SafetensorsFile::open(
      write("a", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"), diags));
  EXPECT_TRUE(says("a: error: holds a reference to the weights, not the weights; fetch them with git lfs pull"))
      << messages();
  EXPECT_FALSE(SafetensorsFile::open(root / "missing", diags));
  EXPECT_TRUE(says("cannot open")) << messages();
  EXPECT_FALSE(SafetensorsFile::open(root, diags));
  EXPECT_TRUE(says("not a regular file")) << messages();
  EXPECT_FALSE(SafetensorsFile::open(file("a", std::string(100000, '['), 0), diags));
}

TEST_F(Safetensors, AFileThatShrinksIsNoticed) {
  std::string path = file("a", R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  auto opened = SafetensorsFile::open(path, diags);
  ASSERT_TRUE(opened) << messages();
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  float out[2];
  EXPECT_FALSE(opened->read(*opened->find("t"), TensorType::F32, out, diags));
  EXPECT_TRUE(says("tensor 't': cannot read: the file has become shorter")) << messages();
}

TEST_F(Safetensors, MutatedFilesNeverCrash) {
  std::vector<float> values(24, 1.0f);
  std::vector<TensorView> tensors = {{{"model.embed.weight", TensorType::F32, {4, 3}}, values.data()},
                                     {{"model.norm.weight", TensorType::BF16, {8}}, values.data()},
                                     {{"x", TensorType::U8, {}}, values.data()}};
  std::string path = root / "good.safetensors";
  ASSERT_TRUE(writeSafetensors(path, tensors, {{"format", "pt"}}, diags));
  const std::string good = readAll(path);
  std::mt19937 random(3);
  int accepted = 0, refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bad = good;
    for (unsigned edits = 1 + random() % 3; edits && !bad.empty(); --edits) {
      size_t at = random() % std::min<size_t>(bad.size(), random() % 4 ? 300 : 10);
      switch (random() % 5) {
      case 0:
        bad[at] = static_cast<char>(random());
        break;
      case 1:
        bad[at] = "0123456789"[random() % 10];
        break;
      case 2:
        bad.erase(at, 1 + random() % 4);
        break;
      case 3:
        bad.insert(at, 1, "\"{}[],:-e9"[random() % 10]);
        break;
      case 4:
        bad.resize(random() % bad.size());
        break;
      }
    }
    diags.clear();
    auto opened = SafetensorsFile::open(write("m.safetensors", bad), diags);
    if (!opened) {
      ++refused;
      ASSERT_EQ(diags.size(), 1u);
      continue;
    }
    ++accepted;
    for (const auto &[name, entry] : opened->entries()) {
      std::vector<char> bytes(entry.spec.bytes());
      EXPECT_TRUE(opened->read(entry, entry.spec.type, bytes.data(), diags)) << messages();
    }
  }
  EXPECT_GT(accepted, 20);
  EXPECT_GT(refused, 20);
}

//===----------------------------------------------------------------------===//
// Conversions
//===----------------------------------------------------------------------===//

TEST(Convert, EveryHalfComesBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    uint16_t half = static_cast<uint16_t>(bits);
    float narrow = f16ToFloat(half), brain = bf16ToFloat(half);
    if (std::isnan(narrow))
      EXPECT_TRUE(std::isnan(f16ToFloat(floatToF16(narrow))));
    else
      ASSERT_EQ(floatToF16(narrow), half);
    if (std::isnan(brain))
      EXPECT_TRUE(std::isnan(bf16ToFloat(floatToBf16(brain))));
    else
      ASSERT_EQ(floatToBf16(brain), half);
  }
}

TEST(Convert, RoundsToNearestTiesToEven) {
  // Between two neighbours: below, at and above the middle, in exact double arithmetic.
  for (uint32_t bits = 0; bits < 0x7BFF; ++bits) {
    float low = f16ToFloat(static_cast<uint16_t>(bits)), high = f16ToFloat(static_cast<uint16_t>(bits + 1));
    float middle = (low + high) / 2;
    ASSERT_EQ(floatToF16(std::nextafter(middle, 0.0f)), bits);
    ASSERT_EQ(floatToF16(middle), bits + (bits & 1));
    ASSERT_EQ(floatToF16(std::nextafter(middle, 1e9f)), bits + 1);
    ASSERT_EQ(floatToF16(-middle), 0x8000 + bits + (bits & 1));
  }
  for (uint32_t bits = 0; bits < 0x7F7F; ++bits) {
    float low = bf16ToFloat(static_cast<uint16_t>(bits));
    float middle = std::bit_cast<float>(std::bit_cast<uint32_t>(low) + 0x8000);
    ASSERT_EQ(floatToBf16(std::bit_cast<float>(std::bit_cast<uint32_t>(middle) - 1)), bits);
    ASSERT_EQ(floatToBf16(middle), bits + (bits & 1));
    ASSERT_EQ(floatToBf16(std::bit_cast<float>(std::bit_cast<uint32_t>(middle) + 1)), bits + 1);
  }
  EXPECT_EQ(floatToF16(65519.996f), 0x7BFF);
  EXPECT_EQ(floatToF16(65520.0f), 0x7C00);
  EXPECT_EQ(floatToF16(-1e30f), 0xFC00);
  EXPECT_EQ(floatToBf16(3.4e38f), 0x7F80);
  EXPECT_EQ(floatToBf16(std::bit_cast<float>(0x7F800001u)) & 0x7FFF, 0x7FC0); // a NaN, not infinity
}

} // namespace
