//===- Processors.h - How many processors there are for us -----*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_SUPPORT_PROCESSORS_H
#define FTC_SUPPORT_PROCESSORS_H

#include <string_view>

namespace ftc {

/// Processors that this process may use, at least 1: those of its affinity mask, and no more than the share of time
/// that its control groups allow (a container with a limit of 2.5 processors has 3).
unsigned availableProcessors();

/// What a file cpu.max of a control group (version 2: "QUOTA PERIOD", or "max PERIOD") allows, rounded up; 0: no limit,
/// or no such text.
unsigned processorsOfQuota(std::string_view text);

} // namespace ftc

#endif // FTC_SUPPORT_PROCESSORS_H
