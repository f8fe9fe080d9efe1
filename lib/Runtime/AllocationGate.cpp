//===- AllocationGate.cpp - Marks the part of a run that allocates nothing ---===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Runtime/AllocationGate.h"

#include <dlfcn.h>

namespace ftc {

AllocationGate::AllocationGate() : tell(reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "ftrt_allocation_gate"))) {
  if (tell)
    tell(1);
}

AllocationGate::~AllocationGate() {
  if (tell)
    tell(0);
}

} // namespace ftc
