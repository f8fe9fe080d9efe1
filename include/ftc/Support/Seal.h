//===- Seal.h - Whether a file is as it was written --------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_SUPPORT_SEAL_H
#define FTC_SUPPORT_SEAL_H

#include <string>
#include <string_view>

namespace ftc {

/// The last 16 bytes of a compiled step, for all that is before them: "FTCSEAL1" and their XXH3 (64 bits, little
/// endian). A loader does not look at what lies behind the last section.
std::string sealOf(std::string_view contents);

/// Reads a file once, in pieces. "" where it ends with the seal of what is before; else what is wrong.
std::string checkSeal(const std::string &path);

} // namespace ftc

#endif // FTC_SUPPORT_SEAL_H
