//===- Nf4Test.cpp - Four-bit weights against bitsandbytes and torchao ------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// test/oracle/goldens/nf4.safetensors is what the libraries make of some weights (test/oracle/golden_nf4.py).
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Nf4.h"
#include "ftc/Checkpoint/Safetensors.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace ftc;

namespace {

class Golden {
public:
  Golden() : file(SafetensorsFile::open(FTC_SOURCE_DIR "/test/oracle/goldens/nf4.safetensors", diags)) {}
  bool isOpen() const { return file != nullptr; }
  const auto &entries() const { return file->entries(); }

  std::vector<float> floats(const std::string &name) {
    std::vector<float> values(elements(name));
    EXPECT_TRUE(file->read(*file->find(name), TensorType::F32, values.data(), diags)) << name;
    return values;
  }
  std::vector<uint8_t> bytes(const std::string &name) {
    std::vector<uint8_t> values(elements(name));
    EXPECT_TRUE(file->read(*file->find(name), TensorType::U8, values.data(), diags)) << name;
    return values;
  }

private:
  size_t elements(const std::string &name) { return static_cast<size_t>(file->find(name)->spec.elements()); }

  std::vector<Diagnostic> diags;
  std::unique_ptr<SafetensorsFile> file;
};

/// A weight in four bits.
struct Encoded {
  std::vector<uint8_t> codes, absmax;
  std::vector<float> nested;
  float offset = 0;

  explicit Encoded(int64_t elements)
      : codes(nf4CodeBytes(elements)), absmax(nf4Blocks(elements)), nested(nf4NestedBlocks(elements)) {}
  Nf4Arrays arrays() { return {codes.data(), absmax.data(), nested.data(), &offset}; }
};

void expectNear(float ours, float theirs, const std::string &what) {
  EXPECT_LE(std::abs(ours - theirs), 4e-7f * std::abs(theirs)) << what << ": " << ours << " for " << theirs;
}

TEST(Nf4, TablesAreTheLibraries) {
  Golden golden;
  ASSERT_TRUE(golden.isOpen());
  std::vector<float> map = golden.floats("bitsandbytes.map"), code = golden.floats("bitsandbytes.code");
  EXPECT_TRUE(std::equal(map.begin(), map.end(), nf4ScaleMap().begin(), nf4ScaleMap().end()));
  const auto &ours = nf4Codes({Nf4Quantizer::Bitsandbytes, false});
  EXPECT_TRUE(std::equal(code.begin(), code.end(), ours.begin(), ours.end()));
}

// Codes of both kinds are equal, one for one; the fp32 numbers but for the order in which a mean is summed.
TEST(Nf4, CodesAreTheLibraries) {
  Golden golden;
  ASSERT_TRUE(golden.isOpen());
  int cases = 0;
  for (const auto &[name, entry] : golden.entries()) {
    if (!name.ends_with(".weight"))
      continue;
    ++cases;
    SCOPED_TRACE(name);
    std::string prefix = name.substr(0, name.size() - 6);
    Nf4Format format{name.starts_with("torchao") ? Nf4Quantizer::Torchao : Nf4Quantizer::Bitsandbytes,
                     prefix.ends_with("bf16.")};
    std::vector<float> weight = golden.floats(name);
    const auto elements = static_cast<int64_t>(weight.size());
    // In pieces of no particular size.
    Encoded encoded(elements);
    Nf4Encoder encoder(format, elements, encoded.arrays());
    for (int64_t at = 0, piece = 1; at < elements; at += piece, piece = std::min<int64_t>(piece * 3, elements))
      encoder.append(weight.data() + at, std::min(piece, elements - at));
    EXPECT_EQ(encoded.codes, golden.bytes(prefix + "codes"));
    EXPECT_EQ(encoded.absmax, golden.bytes(prefix + "absmax"));
    std::vector<float> nested = golden.floats(prefix + "nested_absmax");
    ASSERT_EQ(encoded.nested.size(), nested.size());
    for (size_t i = 0; i < nested.size(); ++i)
      expectNear(encoded.nested[i], nested[i], "nested");
    expectNear(encoded.offset, golden.floats(prefix + "offset")[0], "offset");

    // What the library's own arrays decode to, all at once and from the middle of a block on.
    Encoded theirs(elements);
    theirs.codes = golden.bytes(prefix + "codes");
    theirs.absmax = golden.bytes(prefix + "absmax");
    theirs.nested = nested;
    theirs.offset = golden.floats(prefix + "offset")[0];
    std::vector<float> decoded(weight.size()), expected = golden.floats(prefix + "decoded");
    nf4Decode(format, theirs.arrays(), 0, elements, decoded.data());
    EXPECT_EQ(decoded, expected);
    nf4Decode(format, theirs.arrays(), 37, elements - 37, decoded.data());
    EXPECT_TRUE(std::equal(expected.begin() + 37, expected.end(), decoded.begin()));
  }
  EXPECT_EQ(cases, 14);
}

TEST(Nf4, TorchaoTakesWholeBlocksOfBlocks) {
  EXPECT_TRUE(nf4Takes(Nf4Quantizer::Torchao, 3 * 16384));
  EXPECT_FALSE(nf4Takes(Nf4Quantizer::Torchao, 64 * 128));
  EXPECT_TRUE(nf4Takes(Nf4Quantizer::Bitsandbytes, 99));
}

} // namespace
