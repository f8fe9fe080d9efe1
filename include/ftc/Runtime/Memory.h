//===- Memory.h - The one place where a run takes memory for a step --------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_RUNTIME_MEMORY_H
#define FTC_RUNTIME_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ftc {

/// One slab: a range of memory between two guard pages.
struct Slab {
  std::string name;
  std::byte *base = nullptr; ///< aligned as asked; the last byte lies less than one alignment before the guard page
  uint64_t bytes = 0;

  /// The whole mapping, guard pages included.
  std::byte *mapping = nullptr;
  uint64_t mappingBytes = 0;
};

/// The memory interface: every byte that a step sees is taken here, and counted here.
class Memory {
public:
  Memory() = default;
  ~Memory();
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;

  /// Maps `bytes` of zeros at a multiple of `alignment` (a power of two), between pages that may not be touched.
  /// Throws RunError(NoMemory) when the system refuses. Pages are not yet there: see touch.
  const Slab &take(const std::string &name, uint64_t bytes, uint64_t alignment);
  /// Writes a byte of every page of slab `index` part `part` of `parts`, so that the system hands all of them out now.
  void touch(size_t index, uint64_t part, uint64_t parts);

  const std::vector<Slab> &slabs() const { return all; }
  /// Bytes asked for, summed over all slabs. This is what must equal the plan.
  uint64_t bytesTaken() const { return taken; }
  /// The same with each slab rounded up to whole pages: what the system accounts for. Guard pages take none.
  uint64_t bytesInPages() const { return inPages; }

private:
  std::vector<Slab> all;
  uint64_t taken = 0;
  uint64_t inPages = 0;
};

/// Fills a slab with a pattern that depends on the position, for highestWritten. Before anything else is written.
void fillWithPattern(const Slab &slab);
/// One past the highest byte of `slab` that no longer has its pattern; 0 when none was written.
uint64_t highestWritten(const Slab &slab);
/// The same for `count` bytes of a slab that are copied part by part: `bytes` are those from byte `first` of it on.
void fillWithPattern(std::byte *bytes, uint64_t first, uint64_t count);
uint64_t highestWritten(const std::byte *bytes, uint64_t first, uint64_t count);

/// Bytes that this process can still take: what the system says is available, or less where a control group limits it.
uint64_t availableMemory();
/// Largest resident size of this process so far in bytes (VmHWM). Allocates nothing; 0 when the system does not tell.
uint64_t peakResident();

} // namespace ftc

#endif // FTC_RUNTIME_MEMORY_H
