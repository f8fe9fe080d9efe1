//===- ConvertBf16.h - bf16 in the GPU's instructions -----------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The conversions of Common/Math.h in the instructions that PTX has for them, with the same bits for every input:
//
//   to bf16     cvt.rn.bf16x2.f32, two numbers a register: one instruction where integers take sixteen. To nearest,
//               ties to even, denormal numbers stay, and every NaN is 0x7FFF.
//   from bf16   of the two in a register, shl.b32 by 16 for the lower and and.b32 with 0xffff0000 for the upper. Taken
//               apart as 16-bit numbers, as LLVM would, each is a conversion more.
//
// The first is an intrinsic of NVPTX rather than fptrunc. LLVM is free to choose a NaN's sign and payload there, and
// moves a negation behind it.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_CONVERTBF16_H
#define FTC_LIB_TARGET_CUDA_CONVERTBF16_H

#include "lib/Target/Common/Math.h"

namespace ftc::cuda {

/// Conversions of scalars, and of vectors of one dimension. They are what cuda-lower-to-nvvm puts in place of
/// arith.extf and arith.truncf.
target::Bf16Conversions bf16Conversions();

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_CONVERTBF16_H
