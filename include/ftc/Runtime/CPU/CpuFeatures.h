//===- CpuFeatures.h - What this CPU can do, in LLVM's words ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_RUNTIME_CPU_CPUFEATURES_H
#define FTC_RUNTIME_CPU_CPUFEATURES_H

#include <string>
#include <string_view>
#include <vector>

namespace ftc {

/// Does this CPU, and the operating system for the registers it must save, support the x86-64 feature that LLVM calls
/// `name` ("avx2", "fma", "sse4.2", "avx512bw" ...)? A name that this function does not know is not supported.
bool cpuSupports(std::string_view name);

/// Those of `names` that this CPU lacks, in order. A leading '+' is skipped.
std::vector<std::string> missingCpuFeatures(const std::vector<std::string> &names);

/// The CPU's own name ("AMD EPYC 7B13 ..."), or "x86-64".
std::string cpuBrand();

} // namespace ftc

#endif // FTC_RUNTIME_CPU_CPUFEATURES_H
