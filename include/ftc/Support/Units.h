//===- Units.h - Bytes, seconds and counts as people read them -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_SUPPORT_UNITS_H
#define FTC_SUPPORT_UNITS_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ftc {

/// "0 B", "1023 B", "1.25 GiB": powers of 1024, three significant digits or more.
std::string formatBytes(uint64_t bytes);

/// Reads "800", "12GiB", "1.5 TiB", "800 MB": a number, and B, KiB to PiB (powers of 1024) or kB to PB (powers of 1000)
/// in any case; without a unit bytes. Parts of a byte are dropped. Nullopt for anything else, and from 2^63 on.
std::optional<uint64_t> parseBytes(std::string_view text);

/// "850 ns", "12.3 ms", "4.20 s", "3 min 05 s", "2 h 14 min". Negative and non-finite values print as "-".
std::string formatSeconds(double seconds);

/// "950", "49.2 k", "1.24 B": powers of 1000 with k, M, B, T (a billion is 1e9), as parameters are counted.
std::string formatCount(double count);

/// "950 FLOP", "49.2 GFLOP", "1.24 PFLOP": floating-point operations, powers of 1000 with k, M, G, T, P, E.
std::string formatFlops(double flops);

} // namespace ftc

#endif // FTC_SUPPORT_UNITS_H
