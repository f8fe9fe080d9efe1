//===- CompareBuffers.h - How far two results are apart --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_RUNTIME_COMPAREBUFFERS_H
#define FTC_RUNTIME_COMPAREBUFFERS_H

#include "ftc/Schema/manifest_generated.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace ftc {

/// How far a buffer that one launch has written on two targets is apart.
struct BufferDistance {
  uint64_t elements = 0;  ///< of the buffer
  uint64_t differing = 0; ///< of them, not the same bits
  uint64_t first = 0;     ///< the first one of these
  /// Of floats: the Euclidean norm of the difference, as a share of the reference's; and the largest difference of an
  /// element, as a share of the reference's largest. Infinite where only one of two is a number, and where the
  /// reference is all zeros and the other is not.
  double ofNorm = 0, ofLargest = 0;
};

/// Compares `bytes` bytes of elements of `type`.
BufferDistance distanceOf(manifest::ElementType type, const std::byte *ours, const std::byte *reference,
                          uint64_t bytes);

/// The most that two targets may be apart in one launch on the same operands. fp32: sums in another order, with fp32
/// sums. bf16: results rounded to 8 bits, and weights of attention too. A whole row that is wrong shows in `ofLargest`,
/// however many rows there are.
struct DistanceBars {
  double ofNorm, ofLargest; ///< of floats
  double differing;         ///< of others, the share of elements that may differ: a number between two codes
};
DistanceBars barsOf(manifest::ElementType type);

/// Whether a distance is within the bars of its type.
bool isWithin(manifest::ElementType type, const BufferDistance &distance);

/// "apart by 1.2e-01 of its norm (bar 1e-05) and 9.9e-01 of its largest (bar 1e-04), 512 of 4096 elements differ, from
/// 128 on"
std::string describe(manifest::ElementType type, const BufferDistance &distance);

} // namespace ftc

#endif // FTC_RUNTIME_COMPAREBUFFERS_H
