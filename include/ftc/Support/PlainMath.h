//===- PlainMath.h - Elementary functions with the same bits everywhere ---===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// The C library's log, exp, sin and cos pick their code by the CPU they find, and may differ in the last bit from
// machine to machine. These use nothing but IEEE double additions, multiplications and divisions in a fixed order
// (never contracted into fused ones), so that tables and random numbers are the same everywhere. Errors are below
// 4e-16 relative for log and exp, 4e-16 absolute for sine and cosine.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_SUPPORT_PLAINMATH_H
#define FTC_SUPPORT_PLAINMATH_H

namespace ftc {

/// Natural logarithm of a positive, finite, normal number.
double plainLog(double x);

/// e^x for |x| <= 700.
double plainExp(double x);

/// Sine and cosine of an angle in radians, |x| <= 2^20.
void plainSinCos(double x, double &sine, double &cosine);

} // namespace ftc

#endif // FTC_SUPPORT_PLAINMATH_H
