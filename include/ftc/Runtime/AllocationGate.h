//===- AllocationGate.h - Marks the part of a run that allocates nothing ---===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_RUNTIME_ALLOCATIONGATE_H
#define FTC_RUNTIME_ALLOCATIONGATE_H

namespace ftc {

/// While one of these lives, the process promises not to allocate. Nothing happens by itself: when a library that
/// defines `void ftrt_allocation_gate(int closed)` is preloaded (test/support/NoAlloc.c is one), it is told, and may
/// stop the program at the first malloc.
class AllocationGate {
public:
  AllocationGate();
  ~AllocationGate();
  AllocationGate(const AllocationGate &) = delete;
  AllocationGate &operator=(const AllocationGate &) = delete;

private:
  void (*tell)(int closed);
};

} // namespace ftc

#endif // FTC_RUNTIME_ALLOCATIONGATE_H
