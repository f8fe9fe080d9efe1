//===- Nf4.h - Weights of four bits -----------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// NF4 (Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", 2023): the elements of a matrix, row-major,
// in blocks of 64. Each is one of 16 numbers times the block's largest magnitude (absmax), which in turn is kept in 8
// bits (double quantization): 4.127 bits a weight. Two libraries do it, with different numbers and different rounding:
//
//   bitsandbytes (0.50) computes in fp32. absmax less its mean is one of 256 numbers (`nf4ScaleMap`) times the most of
//                256 absmax. Any number of elements.
//   torchao      (0.18, torchtune's) rounds each operation to the weight's type. absmax less its mean is a whole number
//                from -128 to 127 over a factor for each 256 absmax. A multiple of 16384 elements.
//
// A quantized weight is four arrays: `codes`, two a byte, the first in the upper four bits; `absmax`, a byte a block;
// `nested`, fp32, one for each 256 blocks (largest magnitude, or factor); `offset`, one fp32, the mean of absmax.
//
// The mean is summed in double: the libraries add in fp32, in an order that depends on the machine. So `offset`, and
// what follows from it, can differ from theirs in the last bits.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_SUPPORT_NF4_H
#define FTC_SUPPORT_NF4_H

#include <array>
#include <cstdint>
#include <vector>

namespace ftc {

enum class Nf4Quantizer : uint8_t { Bitsandbytes, Torchao };

/// How a weight is quantized: whose way, and whether it is bf16 (else fp32) before and after.
struct Nf4Format {
  Nf4Quantizer quantizer = Nf4Quantizer::Bitsandbytes;
  bool bf16 = false;

  friend bool operator==(const Nf4Format &, const Nf4Format &) = default;
};

constexpr int64_t nf4Block = 64;        ///< elements of one absmax
constexpr int64_t nf4NestedBlock = 256; ///< absmax of one `nested`

/// Elements of the four arrays, for a weight of `elements`.
constexpr int64_t nf4CodeBytes(int64_t elements) { return (elements + 1) / 2; }
constexpr int64_t nf4Blocks(int64_t elements) { return (elements + nf4Block - 1) / nf4Block; }
constexpr int64_t nf4NestedBlocks(int64_t elements) {
  return (nf4Blocks(elements) + nf4NestedBlock - 1) / nf4NestedBlock;
}
/// Whether `quantizer` takes a weight of so many elements.
constexpr bool nf4Takes(Nf4Quantizer quantizer, int64_t elements) {
  return quantizer == Nf4Quantizer::Bitsandbytes || elements % (nf4Block * nf4NestedBlock) == 0;
}

/// The numbers that codes 0 to 15 stand for, ascending.
const std::array<float, 16> &nf4Codes(const Nf4Format &format);

/// The numbers that bitsandbytes' 8-bit codes of absmax stand for, ascending: its signed dynamic map.
const std::array<float, 256> &nf4ScaleMap();

/// Where a quantized weight lies.
struct Nf4Arrays {
  uint8_t *codes = nullptr;
  uint8_t *absmax = nullptr;
  float *nested = nullptr;
  float *offset = nullptr;
};

/// Quantizes one weight as its elements come. Holds four bytes a block besides.
class Nf4Encoder {
public:
  /// `elements` is a number that the format takes.
  Nf4Encoder(Nf4Format format, int64_t elements, const Nf4Arrays &out);

  /// The next `count` elements in row-major order, numbers of the weight's type. After the last of all, what is in
  /// `out` is complete.
  void append(const float *values, int64_t count);

private:
  void encodeBlock(const float *values, int64_t count);
  void finish();

  Nf4Format format;
  int64_t elements, done = 0;
  Nf4Arrays out;
  std::vector<float> absmax;
  std::array<float, nf4Block> pending;
  int64_t waiting = 0;
};

/// The factor of block `block`.
float nf4Scale(Nf4Format format, const Nf4Arrays &weight, int64_t block);

/// Elements `first` to `first + count - 1`, numbers of the weight's type.
void nf4Decode(Nf4Format format, const Nf4Arrays &weight, int64_t first, int64_t count, float *values);

} // namespace ftc

#endif // FTC_SUPPORT_NF4_H
