//===- Nf4.cpp - Weights of four bits -------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Nf4.h"

#include "lib/Support/DynamicMap.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

#pragma STDC FP_CONTRACT OFF

namespace ftc {

/// To nearest, ties to even. Numbers here are no NaN but where torchao divides zero by zero, and a NaN stays one.
static float toBf16(float value) {
  if (std::isnan(value))
    return value;
  uint32_t bits = std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000u);
}

static constexpr std::array<float, 16> bitsandbytesCodes = {
    -1.0f,           -0x1.647362p-1f, -0x1.0cd66p-1f,  -0x1.94654p-2f,
    -0x1.23449ap-2f, -0x1.7a6a7ep-3f, -0x1.74f0e2p-4f, 0.0f,
    0x1.45f5fep-4f,  0x1.4995c6p-3f,  0x1.f809bap-3f,  0x1.5a0674p-2f,
    0x1.c34970p-2f,  0x1.200f56p-1f,  0x1.722766p-1f,  1.0f};

static constexpr std::array<float, 16> torchaoCodes = {-1.0f,    -0.6962f, -0.5251f, -0.3949f, -0.2844f, -0.1848f,
                                                       -0.0911f, 0.0f,     0.0796f,  0.1609f,  0.2461f,  0.3379f,
                                                       0.4407f,  0.5626f,  0.7230f,  1.0f};

const std::array<float, 16> &nf4Codes(const Nf4Format &format) {
  static const std::array<float, 16> rounded = [] {
    std::array<float, 16> codes = torchaoCodes;
    for (float &code : codes)
      code = toBf16(code);
    return codes;
  }();
  if (format.quantizer == Nf4Quantizer::Bitsandbytes)
    return bitsandbytesCodes;
  return format.bf16 ? rounded : torchaoCodes;
}

/// Element `i` of torch.linspace(0.1, 1, n), fp32: counted from the nearer end, fused.
static float linspace(int i, int n) {
  float step = (1.0f - 0.1f) / static_cast<float>(n - 1);
  return i < n / 2 ? std::fma(step, static_cast<float>(i), 0.1f) : std::fma(-step, static_cast<float>(n - 1 - i), 1.0f);
}

const std::array<float, 256> &nf4ScaleMap() {
  static const std::array<float, 256> map = [] {
    std::array<float, 256> numbers{0.0f, 1.0f};
    size_t used = 2;
    static constexpr float powers[] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1.0f};
    for (int exponent = 0; exponent < 7; ++exponent)
      for (int i = 0, n = 1 << exponent; i < n; ++i) {
        float middle = (linspace(i, n + 1) + linspace(i + 1, n + 1)) / 2.0f;
        numbers[used++] = powers[exponent] * middle;
        numbers[used++] = -(powers[exponent] * middle);
      }
    std::sort(numbers.begin(), numbers.end());
    return numbers;
  }();
  return map;
}

static uint8_t bitsandbytesCode(float scaled) {
  unsigned code = 0;
  for (unsigned i = 0; i < 15; ++i)
    code += scaled > (bitsandbytesCodes[i] + bitsandbytesCodes[i + 1]) / 2.0f;
  return static_cast<uint8_t>(code);
}

/// The nearest code, the lower of two; 0 for a NaN.
static uint8_t torchaoCode(float scaled, const std::array<float, 16> &codes, bool bf16) {
  unsigned best = 0;
  float least = 0;
  for (unsigned i = 0; i < 16; ++i) {
    float distance = std::abs(scaled - codes[i]);
    if (bf16)
      distance = toBf16(distance);
    if (i == 0 || distance < least) {
      best = i;
      least = distance;
    }
  }
  return static_cast<uint8_t>(best);
}

Nf4Encoder::Nf4Encoder(Nf4Format format, int64_t elements, const Nf4Arrays &out)
    : format(format), elements(elements), out(out) {
  assert(nf4Takes(format.quantizer, elements));
  absmax.reserve(static_cast<size_t>(nf4Blocks(elements)));
}

void Nf4Encoder::append(const float *values, int64_t count) {
  assert(done + waiting + count <= elements);
  while (count > 0) {
    if (waiting == 0 && count >= nf4Block) {
      encodeBlock(values, nf4Block);
      values += nf4Block;
      count -= nf4Block;
      continue;
    }
    int64_t taken = std::min(count, nf4Block - waiting);
    std::copy_n(values, taken, pending.begin() + waiting);
    waiting += taken;
    values += taken;
    count -= taken;
    if (waiting == nf4Block || done + waiting == elements) {
      encodeBlock(pending.data(), waiting);
      waiting = 0;
    }
  }
  if (done == elements)
    finish();
}

void Nf4Encoder::encodeBlock(const float *values, int64_t count) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i)
    largest = std::max(largest, std::abs(values[i]));
  uint8_t codes[nf4Block + 1];
  codes[count] = 7; // the number 0: what fills up the last byte of an odd number of elements
  if (format.quantizer == Nf4Quantizer::Torchao) {
    const std::array<float, 16> &table = nf4Codes(format);
    for (int64_t i = 0; i < count; ++i) {
      float scaled = values[i] / largest;
      codes[i] = torchaoCode(format.bf16 ? toBf16(scaled) : scaled, table, format.bf16);
    }
  } else if (count == nf4Block) {
    float inverse = 1.0f / std::max(largest, 1e-38f);
    for (int64_t i = 0; i < count; ++i)
      codes[i] = bitsandbytesCode(std::clamp(values[i] * inverse, -1.0f, 1.0f));
  } else {
    // A block that is cut off is divided by its absmax.
    largest = std::max(largest, 1e-38f);
    for (int64_t i = 0; i < count; ++i)
      codes[i] = bitsandbytesCode(std::clamp(values[i] / largest, -1.0f, 1.0f));
  }
  absmax.push_back(largest);
  uint8_t *to = out.codes + done / 2;
  for (int64_t i = 0; i < count; i += 2)
    *to++ = static_cast<uint8_t>(codes[i] << 4 | codes[i + 1]);
  done += count;
}

void Nf4Encoder::finish() {
  double sum = 0;
  for (float value : absmax)
    sum += value;
  float mean = static_cast<float>(sum) / static_cast<float>(absmax.size());
  auto round = [&](float value) { return format.bf16 ? toBf16(value) : value; };
  const bool torchao = format.quantizer == Nf4Quantizer::Torchao;
  if (torchao)
    mean = round(mean);
  *out.offset = mean;
  const auto count = static_cast<int64_t>(absmax.size());
  for (int64_t first = 0; first < count; first += nf4NestedBlock) {
    const int64_t end = std::min(first + nf4NestedBlock, count);
    float largest = 0;
    for (int64_t i = first; i < end; ++i) {
      absmax[i] = torchao ? round(absmax[i] - mean) : absmax[i] - mean;
      largest = std::max(largest, std::abs(absmax[i]));
    }
    float &nested = out.nested[first / nf4NestedBlock];
    if (torchao) {
      nested = round(256.0f / round(2.0f * largest));
      for (int64_t i = first; i < end; ++i) {
        float number = std::nearbyint(round(absmax[i] * nested));
        // Where all absmax are equal this is zero times infinity, which the library turns into 0.
        out.absmax[i] =
            std::isnan(number) ? 0 : static_cast<uint8_t>(static_cast<int>(std::clamp(number, -128.0f, 127.0f)));
      }
      continue;
    }
    nested = largest;
    float inverse = 1.0f / largest;
    for (int64_t i = first; i < end; ++i)
      out.absmax[i] = largest == 0 ? 0 : codeByGrid(nf4ScaleMap(), std::clamp(absmax[i] * inverse, -1.0f, 1.0f));
  }
  absmax.clear();
}

float nf4Scale(Nf4Format format, const Nf4Arrays &weight, int64_t block) {
  float nested = weight.nested[block / nf4NestedBlock];
  if (format.quantizer == Nf4Quantizer::Bitsandbytes)
    return nf4ScaleMap()[weight.absmax[block]] * nested + *weight.offset;
  float scale = static_cast<float>(static_cast<int8_t>(weight.absmax[block])) / nested;
  return format.bf16 ? toBf16(toBf16(scale) + *weight.offset) : scale + *weight.offset;
}

void nf4Decode(Nf4Format format, const Nf4Arrays &weight, int64_t first, int64_t count, float *values) {
  const std::array<float, 16> &codes = nf4Codes(format);
  float scale = 0;
  for (int64_t i = first; i < first + count; ++i) {
    if (i == first || i % nf4Block == 0)
      scale = nf4Scale(format, weight, i / nf4Block);
    uint8_t byte = weight.codes[i / 2];
    float value = codes[i % 2 ? byte & 15 : byte >> 4] * scale;
    *values++ = format.bf16 ? toBf16(value) : value;
  }
}

} // namespace ftc
