//===- RowMapping.h - How a row kernel is spread over threads ---*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One scheme for all row kernels. A *unit* is what a group of `lanes` threads of one warp does without looking at
// others:
//
//   parallel, no plan.accumulate   one row, or one of `parts` parts of it
//   parallel, plan.accumulate      the rows of a task, in order, or one part of their columns
//   sequential, plan.scatter       the run of rows that starts with a row, in order, or one part of their columns
//   sequential                     all rows, in order, for one column
//
// The rows of a run add into one row of a table. Each row has a unit; that of the first row of a run does the work for
// all of them, and the others are done at once. A lane has one chunk of columns, whose sum is in its registers, and
// many rows are under way (ScatterRuns.h).
//
// Within a unit, lane l takes `vector` columns from l * vector on, then from (l + lanes) * vector on, and so forth.
// While a row is reduced, lane l takes columns 4l to 4l + 3, then those 128 further on, and so forth: plan.reduce has
// 128 partial results, four neighbours are a lane's own, and the order of additions is the one that the op states. It
// loads them at once, in accesses of 16 bytes of fp32 or 8 of bf16, and up to eight times as many before the first is
// used, as many as 24 registers hold of all rows that are read. Where a row ends, a lane may have less; where rows are
// not aligned to four columns, these are loaded by narrower accesses. Neither changes a bit. In the end lanes trade
// halves of what they have (eight shuffles).
//
// Why four. Eight neighbours would be 16 bytes of bf16, but 32 of fp32: two accesses of a warp that leave out every
// other 16 bytes. The order must not depend on the type, and a row of a head, 64 or 128 columns, would have work for 8
// or 16 lanes. Accesses of 8 bytes lie side by side too, and fill sectors as well as those of 16; there are only twice
// as many of them.
//
// Rows of more than 16384 columns that are reduced, logits above all, have a block of 1024 threads each, whose lanes
// are numbered through: 4096 partial results, four for each of them, four loads under way. Warps combine theirs through
// shared memory. With 64 registers a thread there is one such block on a multiprocessor, so as many rows are under way
// as there are multiprocessors: 132 rows of 300 KB fit into an L2 cache of 50 MB, and the loops behind the first find
// their row there. (A warp a row has thousands of them under way, and reads from memory each time.)
//
// Any other row that is reduced has one part. It has a whole warp, but for short rows (heads) that fill whole warps
// together and are as many for each unit: then the lanes that would have no column belong to other rows. There a lane
// has the same four columns in every phase, and what it has loaded it still has. Wide rows that are not reduced have
// several parts, so several warps; narrow ones share a warp, and a block has as many rows as its four warps hold. A
// total of many rows, which a lane reads one after the other, is cut finer where its columns would leave
// multiprocessors idle.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_ROWMAPPING_H
#define FTC_LIB_TARGET_CUDA_ROWMAPPING_H

#include "dialects/Plan/IR/Plan.h"
#include "lib/Target/CUDA/CudaTarget.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

namespace ftc::cuda {

/// Attribute of the function of a row kernel while kernels are lowered: it works as fast in 64 registers a lane.
inline constexpr const char fewRegistersAttrName[] = "plan.few_registers";

struct RowMapping {
  static constexpr int64_t ownPartials = 4; ///< partial results of a lane: neighbouring columns

  int64_t lanes = 1;  ///< threads of a unit: a power of two; 32 at most, or a block of 1024 (isBlock)
  int64_t vector = 1; ///< columns that a thread takes at once where nothing is reduced; divides the row
  int64_t parts = 1;  ///< units that share the columns of a row
  int64_t span = 1;   ///< columns of a part: a multiple of lanes * vector; the last part may reach beyond the row
  int64_t units = 1;
  int64_t block = 32; ///< threads of a block: whole warps
  int64_t grid = 1;   ///< blocks

  /// Rows start at multiples of the size of so many columns, or of 16 bytes: a power of two that divides the row.
  int64_t alignedColumns = 1;
  /// Some scalar is read from a buffer that the same body writes: lanes wait for each other before anything is stored.
  bool fence = false;
  /// Rows of a unit run in order: those of one task, or all of them.
  bool wholeTask = false, allRows = false;
  bool isBlock() const { return lanes > CudaTarget::warp; }

  /// A unit has the run of rows that starts with its row.
  bool runs = false;
};

/// Bytes, up to 16, to which the buffers of kernels are known to be aligned, over all launches of a module. It goes
/// through the module once: a step for several lengths has hundreds of kernels, and ten thousand launches.
class LaunchAlignments {
public:
  explicit LaunchAlignments(mlir::ModuleOp module);

  /// Of an argument of a kernel; of one that nobody launches, 16.
  int64_t of(plan::KernelOp kernel, unsigned argument) const;

private:
  llvm::StringMap<llvm::SmallVector<int64_t>> known; ///< by the kernel's name
};

/// The mapping of a kernel whose work is plan.rows. A function of the kernel and of the places of the buffers that it
/// is launched on; the device only says into how many blocks small kernels are cut. Fails with an error where lanes
/// would have to wait for each other and cannot.
mlir::FailureOr<RowMapping> mapRows(plan::KernelOp kernel, const CudaTarget &target, const LaunchAlignments &launches);

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_ROWMAPPING_H
