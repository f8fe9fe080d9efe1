//===- PlanMemory.h - Which buffers of a plan live when, and what they hold --*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_ANALYSIS_PLANMEMORY_H
#define FTC_ANALYSIS_PLANMEMORY_H

#include "dialects/Plan/IR/Plan.h"

#include <string>
#include <vector>

namespace ftc {

/// A transient buffer of an entry (plan.alloc, plan.view or plan.input) and the moments during which it is live.
struct LiveBuffer {
  mlir::Value buffer;
  std::string label;
  int64_t bytes = 0;
  bool far = false; ///< in the far tier
  /// Launches, copies and waits are numbered from 0: these are the moments. A copy uses its buffers until somebody
  /// waits for it (to the end where nobody does). Inputs live from -1 (the host has written them); outputs to the
  /// number of moments (the host reads them afterwards). Both inclusive. A buffer that nothing uses has last < first,
  /// an unused input lives at -1 only.
  int64_t first = 0;
  int64_t last = -1;
};

/// Live ranges of one entry, in the order of the buffers' ops.
class PlanLiveness {
public:
  explicit PlanLiveness(plan::EntryOp entry);

  llvm::ArrayRef<LiveBuffer> buffers() const { return live; }
  /// Launches, copies and waits in their order.
  llvm::ArrayRef<mlir::Operation *> moments() const { return order; }

  /// Words for a moment of a live range: the label of a launch, what is copied, "start" or "end".
  std::string describe(int64_t moment) const;

private:
  std::vector<LiveBuffer> live;
  std::vector<mlir::Operation *> order;
};

/// One line of the memory table.
struct MemoryRow {
  /// "parameters", "parameters in NF4" (where there are some), "optimizer states", "constants", "gradients" (of
  /// parameters), "activations" (with their gradients), "scratch", "workspace of cuBLASLt" and of other libraries that
  /// kernels leave work to (where there are some), "inputs and outputs", "gaps"; or the label of a buffer.
  std::string what;
  int64_t bytes = 0; ///< at the peak of the whole plan
  int64_t far = 0;   ///< bytes in the far tier
  int64_t count = 1; ///< of buffers
};

/// Where the bytes of a placed plan are at its peak: rows add up to `total` and `farTotal`, the bytes of near and of
/// far slabs.
struct MemoryTable {
  std::vector<MemoryRow> rows;
  int64_t total = 0;
  int64_t farTotal = 0;
  std::string peakEntry;             ///< entry with the largest transient memory
  std::string peakLaunch;            ///< label of the launch where the most bytes are live
  int64_t peakNumber = 0;            ///< its number in the entry
  std::vector<MemoryRow> workspaces; ///< of each library, the most that a launch gives it, at the peak or not
  /// Largest transient buffers that are live there (at most 8), by label; those of all layers together, as
  /// "model.layers.*.mlp.up_proj".
  std::vector<MemoryRow> largest;
};

/// Reads the memory table off a module whose buffers have their places (plan-assign-offsets).
MemoryTable memoryTable(mlir::ModuleOp module);

/// The row of the memory table that a variable's bytes belong to.
std::string rowOf(plan::VariableOp variable);

/// The row that a transient buffer of an entry of so many moments belongs to. `symbols`: of the module.
std::string rowOf(const mlir::SymbolTable &symbols, const LiveBuffer &buffer, int64_t moments);

} // namespace ftc

#endif // FTC_ANALYSIS_PLANMEMORY_H
