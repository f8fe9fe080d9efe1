//===- CpuTarget.h - What the CPU target knows of its CPU ---------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CPU_CPUTARGET_H
#define FTC_LIB_TARGET_CPU_CPUTARGET_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ftc::cpu {

/// A CPU by name, with what code generation takes from it. Everything here is a function of the name and the number of
/// threads, never of probing caches: the same input gives the same bytes.
struct CpuTarget {
  std::string cpu;                   ///< LLVM's name, e.g. "x86-64-v3", "znver5"; never "native"
  std::vector<std::string> features; ///< LLVM feature names that the code relies on and the host is asked for
  unsigned threads = 2;              ///< scratch memory is planned for so many
  int64_t vectorBits = 256;          ///< 512 with AVX-512F, else 256

  // Blocks of the packed matrix product (Goto and van de Geijn 2008), in elements of f32.
  int64_t mr = 6, nr = 16; ///< micro-kernel: mr rows × nr columns in registers
  int64_t mc = 0, kc = 0, nc = 0;

  int64_t lanes() const { return vectorBits / 32; }
};

/// Resolves `name` ("native" or an LLVM CPU name). nullopt when LLVM does not know it or it has no AVX2 with FMA;
/// `error` then says why and names a CPU that works.
std::optional<CpuTarget> resolveCpu(const std::string &name, unsigned threads, std::string &error);

} // namespace ftc::cpu

#endif // FTC_LIB_TARGET_CPU_CPUTARGET_H
