//===- PlanMap.h - Where each buffer of a plan lies, and when ------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_ANALYSIS_PLANMAP_H
#define FTC_ANALYSIS_PLANMAP_H

#include "dialects/Plan/IR/Plan.h"

#include <string>
#include <vector>

namespace ftc {

/// A buffer with its place, as a plan has it.
struct PlacedBuffer {
  std::string label;
  std::string row; ///< of the memory table: "parameters", "activations", ...
  size_t slab = 0; ///< index in PlanMap::slabs
  int64_t offset = 0, bytes = 0;
  /// Moments at which it is live, both inclusive; from -1 (before the first) to the number of moments (behind the
  /// last). A variable lives through all.
  int64_t first = -1, last = 0;
};

/// What happens in one entry.
struct EntryMap {
  std::string name;
  std::vector<std::string> moments; ///< launches, copies and waits, in order
  std::vector<PlacedBuffer> buffers;
};

/// A plan as a map: bytes of slabs in one direction, moments of an entry in the other.
struct PlanMap {
  struct Slab {
    std::string name;
    int64_t bytes = 0;
    bool far = false;
  };
  std::vector<Slab> slabs;
  std::vector<PlacedBuffer> variables; ///< there in every entry; `first` and `last` say nothing
  std::vector<EntryMap> entries;
};

/// Reads the map off a module whose buffers have their places (plan-assign-offsets). Buffers that are never live, and
/// those without a place, are left out.
PlanMap planMap(mlir::ModuleOp module);

} // namespace ftc

#endif // FTC_ANALYSIS_PLANMAP_H
