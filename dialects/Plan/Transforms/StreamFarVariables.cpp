//===- StreamFarVariables.cpp - Far variables pass by in parts -----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Paged optimizer states (Dettmers et al. 2022 page them on faults; here every copy is planned). Analysis/KernelRows.h
// decides which kernels work in parts.
//
// Assumes: TrainToPlan's entries, before buffers have places: launches use far variables as if they were near.
//
// Promises: no launch uses a far variable any more. Each part of a launch computes the rows that it did in the whole,
// from the same numbers. A copy in begins behind the wait for the last copy out of the same bytes. Near memory for far
// variables is that of 2 `ahead` parts.
//
// A kernel may see a buffer in other rows than the buffer has: 8-bit states have a row for each block of 256, and a
// parameter of 4096 columns has 16 of these in a row. A part is then so many of the kernel's rows that it ends where a
// row ends in every buffer.
//
// Refuses: launches that do not fit their kernels, and far buffers in launches that are no variables. A kernel that has
// to see all its rows gets its far variables whole.
//
//===----------------------------------------------------------------------===//

#include "dialects/Plan/IR/Plan.h"
#include "dialects/Plan/Transforms/Passes.h"
#include "dialects/Plan/Transforms/VerifyCopies.h"
#include "ftc/Analysis/KernelRows.h"
#include "ftc/Analysis/Link.h"

#include "mlir/IR/Remarks.h"

#include <map>
#include <numeric>

using namespace mlir;
using namespace ftc;

namespace ftc::plan {
#define GEN_PASS_DEF_PLANSTREAMFARVARIABLESPASS
#include "dialects/Plan/Transforms/Passes.h.inc"

namespace {

/// Some rows of a launch.
struct Part {
  LaunchOp origin;
  KernelOp kernel; ///< of the origin
  /// By argument, whether the part gets its own rows; empty where the part is the whole launch.
  SmallVector<bool> byRow;
  int64_t firstRow = 0, rows = 0;
};

/// The near buffer of one far buffer of a part.
struct Slot {
  Value whole;     ///< what the origin passes
  Value far, near; ///< what the part uses of it
  Value in, out;   ///< events; `out` is null where the launch does not write it
};

/// The kernels that were made of one kernel, by it and their number of rows.
using PartKernels = std::map<std::pair<Operation *, int64_t>, KernelOp>;

class Streamer {
public:
  Streamer(SymbolTable &symbols, PartKernels &kernels, EntryOp entry, int64_t partBytes, int64_t ahead)
      : symbols(symbols), kernels(kernels), entry(entry), partBytes(partBytes), ahead(ahead),
        builder(entry.getContext()) {}

  LogicalResult run() {
    for (auto launch : llvm::make_early_inc_range(entry.getBody().front().getOps<LaunchOp>())) {
      if (llvm::none_of(launch.getBuffers(), [&](Value buffer) { return isFar(symbols, buffer); }))
        continue;
      auto kernel = symbols.lookup<KernelOp>(launch.getKernel());
      if (!kernel)
        continue; // plan-verify says so
      if (failed(verify(launch, kernel)))
        return failure();
      SmallVector<Part> parts = partsOf(launch);
      for (Part &part : parts)
        emit(part);
      launch.erase();
    }
    if (done.empty())
      return success();
    // The last copies out run beside whatever is left of the entry.
    Operation *end = done.back().launch;
    while (end && !isa<OutputOp>(end))
      end = end->getNextNode();
    if (end)
      builder.setInsertionPoint(end);
    else
      builder.setInsertionPointToEnd(&entry.getBody().front());
    for (size_t part = done.size() - std::min<size_t>(done.size(), ahead); part < done.size(); ++part)
      waitForOut(part);
    return success();
  }

  /// Parts by far variable, for remarks.
  const std::map<std::string, int64_t> &partsByVariable() const { return counts; }

private:
  /// What plan-verify looks at behind this pass, as far as this pass counts on it.
  LogicalResult verify(LaunchOp launch, KernelOp kernel) {
    if (launch.getBuffers().size() != kernel.getBuffers().size())
      return launch.emitOpError("passes ") << launch.getBuffers().size() << " buffers to @" << kernel.getSymName()
                                           << ", which takes " << kernel.getBuffers().size();
    for (auto [index, buffer] : llvm::enumerate(launch.getBuffers())) {
      auto given = cast<MemRefType>(buffer.getType()), taken = cast<MemRefType>(kernel.getBuffers()[index].getType());
      if (given.getElementType() != taken.getElementType() || given.getNumElements() != taken.getNumElements())
        return launch.emitOpError("passes ")
               << given << " as buffer " << index << " of @" << kernel.getSymName() << ", which takes " << taken;
      if (isFar(symbols, buffer) && !partOf(buffer).whole.getDefiningOp<ReadVariableOp>())
        return launch.emitOpError("passes as buffer ")
               << index << " one of the far tier that is no variable; copy it to near memory";
    }
    return success();
  }

  SmallVector<Part> partsOf(LaunchOp launch) {
    Part whole{launch, symbols.lookup<KernelOp>(launch.getKernel()), {}, 0, 0};
    std::optional<SmallVector<bool>> byRow = rowsInParts(whole.kernel);
    if (!byRow)
      return {whole};
    auto work = cast<RowsOp>(whole.kernel.getWork());
    // Parts begin and end at multiples of `together` rows: with a task, and in each buffer with a row.
    int64_t rows = work.getRows(), rowBytes = 1, together = work.getPerTask();
    for (auto [index, buffer] : llvm::enumerate(launch.getBuffers())) {
      auto type = cast<MemRefType>(buffer.getType());
      bool far = isFar(symbols, buffer);
      if (type.getRank() == 0 && ((*byRow)[index] || far))
        return {whole};
      if ((*byRow)[index])
        together = std::lcm(together, rows / std::gcd(rows, type.getDimSize(0)));
      if (far && !(*byRow)[index])
        return {whole};
      if (far)
        rowBytes = std::max(rowBytes, bytesOf(type) / rows);
    }
    int64_t rowsOfPart = std::max(partBytes / rowBytes / together * together, together);
    if (rowsOfPart >= rows)
      return {whole};
    SmallVector<Part> parts;
    for (int64_t first = 0; first < rows; first += rowsOfPart)
      parts.push_back({launch, whole.kernel, *byRow, first, std::min(rowsOfPart, rows - first)});
    return parts;
  }

  /// The kernel over `part.rows` rows.
  KernelOp kernelOf(Part &part) {
    if (part.byRow.empty())
      return part.kernel;
    KernelOp &kernel = kernels[{part.kernel, part.rows}];
    if (kernel)
      return kernel;
    kernel = cast<KernelOp>(part.kernel->clone());
    kernel.setSymName((part.kernel.getSymName() + "_rows" + Twine(part.rows)).str());
    for (auto [argument, byRow] : llvm::zip(kernel.getBuffers(), part.byRow))
      if (byRow)
        argument.setType(rowsOfType(argument.getType(), part.rows));
    cast<RowsOp>(kernel.getWork()).setRows(part.rows);
    symbols.insert(kernel, std::next(part.kernel->getIterator())); // renames it where that name is taken
    return kernel;
  }

  /// Where row `row` of a part's kernel begins in a buffer of its launch, in rows of that.
  static int64_t rowIn(Part &part, MemRefType buffer, int64_t row) {
    return row * buffer.getDimSize(0) / static_cast<int64_t>(cast<RowsOp>(part.kernel.getWork()).getRows());
  }

  static MemRefType rowsOfType(Type type, int64_t rows) {
    auto whole = cast<MemRefType>(type);
    SmallVector<int64_t> shape(whole.getShape());
    shape.front() = rows;
    return MemRefType::get(shape, whole.getElementType());
  }

  /// `buffer` as `part` sees it.
  Value bufferOf(Part &part, unsigned index) {
    Value buffer = part.origin.getBuffers()[index];
    if (part.byRow.empty() || !part.byRow[index])
      return buffer;
    auto type = cast<MemRefType>(buffer.getType());
    return SliceOp::create(builder, part.origin.getLoc(), rowsOfType(type, rowIn(part, type, part.rows)), buffer,
                           rowIn(part, type, part.firstRow));
  }

  void waitForOut(size_t part) {
    for (const Slot &slot : done[part].slots)
      if (slot.out)
        WaitOp::create(builder, entry.getLoc(), slot.out);
  }

  /// Where the copies in of the next part begin: before the launch `ahead` parts back, but behind every part that
  /// writes the same bytes, whose copies out are waited for there. Before that launch, those of parts that are twice as
  /// far back are over.
  void startCopies(Part &part) {
    size_t number = done.size(), begin = number - std::min<size_t>(number, ahead);
    SmallVector<size_t> writers;
    for (size_t earlier = number - std::min<size_t>(number, 2 * ahead); earlier < number; ++earlier)
      for (const Slot &slot : done[earlier].slots)
        for (auto [index, buffer] : llvm::enumerate(part.origin.getBuffers()))
          if (slot.out && memoryOf(symbols, slot.far) == memoryOf(symbols, buffer) &&
              bytesIn(slot.far).meets(bytesOfPart(part, index))) {
            writers.push_back(earlier);
            begin = std::max(begin, earlier + 1);
          }
    if (begin < number)
      builder.setInsertionPoint(done[begin].launch);
    else
      builder.setInsertionPoint(part.origin);
    // Variables, and slices of them, are declared where they were first used, which may be behind.
    Block &body = entry.getBody().front();
    for (Value buffer : part.origin.getBuffers())
      if (isFar(symbols, buffer))
        for (Operation *op = buffer.getDefiningOp(); op;) {
          op->moveBefore(&body, body.begin());
          auto slice = dyn_cast<SliceOp>(op);
          op = slice ? slice.getSource().getDefiningOp() : nullptr;
        }
    for (size_t writer : writers)
      waitForOut(writer);
  }

  Bytes bytesOfPart(Part &part, unsigned index) {
    Bytes bytes = bytesIn(part.origin.getBuffers()[index]);
    if (part.byRow.empty() || !part.byRow[index])
      return bytes;
    auto type = cast<MemRefType>(part.origin.getBuffers()[index].getType());
    int64_t rowBytes = bytesOf(type) / type.getDimSize(0);
    return {bytes.begin + rowIn(part, type, part.firstRow) * rowBytes,
            bytes.begin + rowIn(part, type, part.firstRow + part.rows) * rowBytes};
  }

  void emit(Part &part) {
    Location loc = part.origin.getLoc();
    startCopies(part);
    SmallVector<Slot> slots;
    auto slotOf = [&](Value buffer) {
      return llvm::find_if(slots, [&](const Slot &slot) { return slot.whole == buffer; });
    };
    for (auto [index, buffer] : llvm::enumerate(part.origin.getBuffers())) {
      if (!isFar(symbols, buffer) || slotOf(buffer) != slots.end())
        continue;
      std::string name = partOf(buffer).whole.getDefiningOp<ReadVariableOp>().getVariable().str();
      ++counts[name];
      Slot slot{buffer, bufferOf(part, index), {}, {}, {}};
      auto near = AllocOp::create(builder, loc, slot.far.getType(), builder.getStringAttr("near part of " + name));
      near->setAttr("plan.ring", builder.getUnitAttr());
      slot.near = near;
      // Also where the launch only writes: it may not write all.
      slot.in = CopyInOp::create(builder, loc, slot.far, slot.near).getEvent();
      slots.push_back(slot);
    }

    builder.setInsertionPoint(part.origin);
    if (done.size() >= static_cast<size_t>(ahead))
      waitForOut(done.size() - ahead);
    SmallVector<Value> buffers;
    for (auto [index, buffer] : llvm::enumerate(part.origin.getBuffers())) {
      auto slot = slotOf(buffer);
      buffers.push_back(slot != slots.end() ? slot->near : bufferOf(part, index));
    }
    for (Slot &slot : slots)
      WaitOp::create(builder, loc, slot.in);
    auto launch = LaunchOp::create(builder, loc, FlatSymbolRefAttr::get(kernelOf(part).getSymNameAttr()), buffers,
                                   part.origin.getLabelAttr());
    for (auto [index, buffer] : llvm::enumerate(part.origin.getBuffers())) {
      auto slot = slotOf(buffer);
      if (slot != slots.end() && !slot->out && part.kernel.writes(index))
        slot->out = CopyOutOp::create(builder, loc, slot->near, slot->far).getEvent();
    }
    done.push_back({launch, std::move(slots)});
  }

  struct Done {
    LaunchOp launch;
    SmallVector<Slot> slots;
  };

  SymbolTable &symbols;
  PartKernels &kernels;
  EntryOp entry;
  int64_t partBytes, ahead;
  OpBuilder builder;
  std::vector<Done> done;
  std::map<std::string, int64_t> counts;
};

struct StreamFarVariablesPass : impl::PlanStreamFarVariablesPassBase<StreamFarVariablesPass> {
  using PlanStreamFarVariablesPassBase::PlanStreamFarVariablesPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (llvm::none_of(module.getOps<VariableOp>(), [](VariableOp variable) { return variable.getFar(); }))
      return markAllAnalysesPreserved();
    if (partBytes < 1 || ahead < 1) {
      module.emitError("part-bytes and ahead must be positive");
      return signalPassFailure();
    }
    SymbolTable symbols(module);
    constexpr int64_t mostParts = 2048;
    int64_t farBytes = 0;
    for (auto variable : module.getOps<VariableOp>())
      farBytes += variable.getFar() ? bytesOf(variable.getType()) : 0;
    PartKernels kernels;
    for (auto entry : module.getOps<EntryOp>()) {
      Streamer streamer(symbols, kernels, entry, std::max<int64_t>(partBytes, farBytes / mostParts), ahead);
      if (failed(streamer.run()))
        return signalPassFailure();
      for (const auto &[name, parts] : streamer.partsByVariable()) {
        auto variable = symbols.lookup<VariableOp>(name);
        int64_t bytes = bytesOf(variable.getType());
        remark::passed(variable.getLoc(), remark::RemarkOpts::name("stream").category("plan-stream-far-variables"))
            << remark::add("a state passes through near memory {0}", parts > 1 ? "in parts" : "whole")
            << remark::metric("parts", parts) << remark::metric("bytes", bytes)
            << remark::metric("microseconds", LinkModel::of(module).copyMicroseconds(bytes));
      }
    }
  }
};

} // namespace
} // namespace ftc::plan
