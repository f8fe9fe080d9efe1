//===- RowMapping.cpp - How a row kernel is spread over threads -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/RowMapping.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace ftc;
using cuda::CudaTarget;
using cuda::LaunchAlignments;
using cuda::RowMapping;

/// Bytes of the widest access of a thread.
static constexpr int64_t accessBytes = 16;
/// Chunks that a lane takes in a row, at least, before the row is cut into another part.
static constexpr int64_t chunksAPart = 4;
/// Loads of rows from which on a kernel is long: more than are on their way at once.
static constexpr size_t manyLoads = 16;
/// Warps of a multiprocessor below which it waits for memory more than it reads: a quarter of those it has room for.
static constexpr int64_t warpsToFill = 16;
/// Most threads of a block: so many that 16 blocks fill a multiprocessor.
static constexpr int64_t blockThreads = 128;

/// The largest power of two up to `accessBytes` that divides `bytes`.
static int64_t alignmentOf(int64_t bytes) { return bytes == 0 ? accessBytes : std::min(accessBytes, bytes & -bytes); }

/// Bytes to which a buffer of an entry is known to be aligned. Slabs, and what has no place yet, are aligned to more.
static int64_t alignmentOf(const SymbolTable &symbols, Value buffer) {
  Operation *op = buffer.getDefiningOp();
  if (auto slice = dyn_cast_or_null<plan::SliceOp>(op))
    return std::min(alignmentOf(symbols, slice.getSource()), alignmentOf(slice.getByteOffset()));
  if (auto view = dyn_cast_or_null<plan::ViewOp>(op))
    return alignmentOf(view.getOffset());
  if (auto input = dyn_cast_or_null<plan::InputOp>(op))
    return alignmentOf(input.getOffset().value_or(0));
  if (auto get = dyn_cast_or_null<plan::ReadVariableOp>(op))
    if (auto variable = symbols.lookup<plan::VariableOp>(get.getVariable()))
      return alignmentOf(variable.getOffset().value_or(0));
  return accessBytes;
}

cuda::LaunchAlignments::LaunchAlignments(ModuleOp module) {
  SymbolTable symbols(module);
  for (auto entry : module.getOps<plan::EntryOp>())
    for (auto launch : entry.getBody().front().getOps<plan::LaunchOp>()) {
      SmallVector<int64_t> &alignments = known[launch.getKernel()];
      alignments.resize(std::max<size_t>(alignments.size(), launch.getBuffers().size()), accessBytes);
      for (auto [alignment, buffer] : llvm::zip(alignments, launch.getBuffers()))
        alignment = std::min(alignment, alignmentOf(symbols, buffer));
    }
}

int64_t cuda::LaunchAlignments::of(plan::KernelOp kernel, unsigned argument) const {
  auto found = known.find(kernel.getSymName());
  return found == known.end() || argument >= found->second.size() ? accessBytes : found->second[argument];
}

namespace {
/// A row value in memory.
struct RowAccess {
  int64_t elementBytes;
  int64_t alignment; ///< of its first column, in bytes, in every row
};
} // namespace

static SmallVector<RowAccess> rowAccesses(plan::KernelOp kernel, const LaunchAlignments &launches) {
  SmallVector<RowAccess> found;
  auto add = [&](Value buffer, Type value, int64_t offset) {
    if (!isa<RankedTensorType>(value))
      return;
    auto type = cast<MemRefType>(buffer.getType());
    int64_t bytes = type.getElementTypeBitWidth() / 8;
    int64_t alignment = launches.of(kernel, cast<BlockArgument>(buffer).getArgNumber());
    alignment = std::min(alignment, alignmentOf(type.getShape().back() * bytes));
    found.push_back({bytes, std::min(alignment, alignmentOf(offset * bytes))});
  };
  kernel.walk([&](Operation *op) {
    if (auto load = dyn_cast<plan::LoadOp>(op))
      add(load.getBuffer(), load.getType(), load.getOffset());
    else if (auto store = dyn_cast<plan::StoreOp>(op))
      add(store.getBuffer(), store.getValue().getType(), store.getOffset());
    else if (auto accumulate = dyn_cast<plan::AccumulateOp>(op))
      add(accumulate.getBuffer(), accumulate.getValue().getType(), 0);
    else if (auto scatter = dyn_cast<plan::ScatterOp>(op))
      add(scatter.getBuffer(), scatter.getValue().getType(), 0);
  });
  return found;
}

/// The widest vector that every access allows: 16 bytes of the narrowest element, less where rows are not aligned to
/// it.
static int64_t vectorOf(ArrayRef<RowAccess> accesses, int64_t columns) {
  int64_t narrowest = accessBytes;
  for (const RowAccess &access : accesses)
    narrowest = std::min(narrowest, access.elementBytes);
  int64_t vector = accessBytes / narrowest;
  auto fits = [&](const RowAccess &access) {
    return access.alignment >= std::min(accessBytes, vector * access.elementBytes);
  };
  while (vector > 1 && (columns % vector != 0 || !llvm::all_of(accesses, fits)))
    vector /= 2;
  return vector;
}

/// Whether a body reads a scalar from a buffer that it also writes.
static bool readsScalarsItWrites(plan::KernelOp kernel) {
  llvm::DenseSet<Value> read, written;
  kernel.walk([&](Operation *op) {
    if (auto load = dyn_cast<plan::LoadOp>(op); load && !isa<RankedTensorType>(load.getType()))
      read.insert(load.getBuffer());
    else if (auto store = dyn_cast<plan::StoreOp>(op))
      written.insert(store.getBuffer());
    else if (auto accumulate = dyn_cast<plan::AccumulateOp>(op))
      written.insert(accumulate.getBuffer());
  });
  return llvm::any_of(read, [&](Value buffer) { return written.contains(buffer); });
}

/// Lanes of a unit that has work for so many.
static int64_t lanesFor(int64_t count) {
  return std::min<int64_t>(CudaTarget::warp, llvm::PowerOf2Ceil(std::max<int64_t>(1, count)));
}

/// Lanes that have columns of a short row that is reduced (four at least, who trade partial results), or a whole warp.
/// Lanes of a warp have to meet at its shuffles: with more than one unit in it, none of them may be missing, or be done
/// with its rows earlier.
static int64_t reducingLanes(int64_t columns, int64_t units, bool sameRows) {
  int64_t lanes = std::max<int64_t>(4, lanesFor(llvm::divideCeil(columns, RowMapping::ownPartials)));
  return sameRows && units * lanes % CudaTarget::warp == 0 ? lanes : CudaTarget::warp;
}

/// Threads of a block that reduces a row.
static constexpr int64_t wideLanes = 1024;

/// How the columns of a row are cut into units of `lanes` (0: as many as have work) that take vectors, of `most`
/// columns at most.
static void cutColumns(RowMapping &mapping, plan::KernelOp kernel, const LaunchAlignments &launches, int64_t columns,
                       int64_t lanes, int64_t most = accessBytes) {
  mapping.alignedColumns = vectorOf(rowAccesses(kernel, launches), columns);
  mapping.vector = std::min(mapping.alignedColumns, most);
  mapping.lanes = lanes ? lanes : lanesFor(columns / mapping.vector);
  mapping.span = llvm::alignTo(columns, mapping.lanes * mapping.vector);
}

/// Cuts wide rows into parts, of `rowUnits` rows that run at once. Where a kernel reads many rows one after the other,
/// as the totals of column sums do, and there are too few warps to fill the device, parts are shorter, and then
/// vectors, before multiprocessors starve: what a lane has asked of memory bounds how fast it reads, and more lanes
/// have asked for more.
static void cutParts(RowMapping &mapping, plan::KernelOp kernel, int64_t columns, int64_t rowUnits,
                     const CudaTarget &target) {
  size_t loads = 0;
  kernel.walk([&](plan::LoadOp load) { loads += isa<RankedTensorType>(load.getType()); });
  const int64_t enough = loads < manyLoads ? 0 : target.multiprocessors * warpsToFill * CudaTarget::warp;
  for (int64_t chunks = chunksAPart;;) {
    const int64_t step = mapping.lanes * mapping.vector;
    mapping.span = llvm::alignTo(columns, step);
    mapping.parts = 1;
    if (mapping.span > chunks * step) {
      mapping.span = chunks * step;
      mapping.parts = llvm::divideCeil(columns, mapping.span);
    }
    if (rowUnits * mapping.parts * mapping.lanes >= enough || (chunks == 1 && mapping.vector == 1))
      return;
    if (chunks > 1) {
      chunks /= 2;
      continue;
    }
    mapping.vector /= 2;
    mapping.lanes = lanesFor(columns / mapping.vector);
  }
}

FailureOr<RowMapping> cuda::mapRows(plan::KernelOp kernel, const CudaTarget &target, const LaunchAlignments &launches) {
  auto rows = cast<plan::RowsOp>(kernel.getWork());
  int64_t columns = rows.getColumns();
  bool reduces = false, accumulates = false;
  rows.walk([&](Operation *op) {
    reduces |= isa<plan::ReduceOp>(op);
    accumulates |= isa<plan::AccumulateOp>(op);
  });
  RowMapping mapping;
  bool clash = readsScalarsItWrites(kernel);
  int64_t rowUnits;
  if (rows.getOrder() == plan::RowOrder::Sequential) {
    if (clash)
      return rows.emitError("the CUDA target cannot run this: sequential rows read a scalar from a buffer that they "
                            "write, and columns run apart from each other");
    rows.walk([&](plan::ScatterOp) { mapping.runs = true; });
    if (mapping.runs) {
      cutColumns(mapping, kernel, launches, columns, /*lanes=*/0);
      mapping.span = mapping.lanes * mapping.vector;
      mapping.parts = llvm::divideCeil(columns, mapping.span);
      rowUnits = rows.getRows();
    } else {
      mapping.allRows = true;
      mapping.parts = columns;
      rowUnits = 1;
    }
  } else {
    mapping.fence = clash;
    mapping.wholeTask = accumulates;
    rowUnits = accumulates ? rows.getTasks() : rows.getRows();
    bool sameRows = !accumulates || rows.getRows() % rows.getPerTask() == 0;
    const bool wide = reduces && plan::partialsOf(columns) == wideLanes * RowMapping::ownPartials;
    int64_t lanes = wide      ? wideLanes
                    : clash   ? CudaTarget::warp
                    : reduces ? reducingLanes(columns, rowUnits, sameRows)
                              : 0;
    bool isShort = reduces && columns <= CudaTarget::warp * RowMapping::ownPartials;
    cutColumns(mapping, kernel, launches, columns, lanes, isShort ? RowMapping::ownPartials : accessBytes);
    if (!reduces && !clash)
      cutParts(mapping, kernel, columns, rowUnits, target);
  }
  mapping.units = rowUnits * mapping.parts;
  if (mapping.isBlock()) {
    mapping.block = mapping.lanes;
    mapping.grid = mapping.units;
    return mapping;
  }
  int64_t threads = llvm::alignTo(mapping.units * mapping.lanes, CudaTarget::warp);
  // Where there is too little for all multiprocessors, blocks are smaller rather than some idle.
  mapping.block = blockThreads;
  while (mapping.block > CudaTarget::warp &&
         static_cast<int64_t>(llvm::divideCeil(threads, mapping.block)) < target.multiprocessors)
    mapping.block /= 2;
  mapping.grid = llvm::divideCeil(threads, mapping.block);
  return mapping;
}
