//===- LowerMatmul.cpp - plan.matmul to a packed nest ------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   for columns (nc), for rows (mSuper), for k (kSuper):
//     fork-join: pack op(B), kSuper x nc, shared by all threads
//     fork-join over blocks of rows (and columns):
//       for k (kc): pack op(A) into the thread's scratch; multiply into the block's fp32 tiles
//       after the last k: pass the tiles through the store seam
//
// Sums over one kc are made in registers and added in ascending order, so results depend on sizes and kc alone.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/LowerMatmul.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::cpu;

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

/// `whole` cut into the fewest parts of at most `most`: the size of a part, a multiple of `unit`.
static int64_t evenPart(int64_t whole, int64_t most, int64_t unit) {
  int64_t parts = llvm::divideCeil(whole, most);
  return llvm::alignTo(llvm::divideCeil(whole, parts), unit);
}

ProductBlocks cpu::productBlocks(int64_t m, int64_t n, int64_t k, const CpuTarget &target) {
  ProductTile tile = productTile(target);
  ProductBlocks blocks{};
  blocks.m = m;
  blocks.n = n;
  blocks.k = k;
  blocks.kc = std::min(evenPart(k, target.kc, tile.lanes), k);
  // Scratch of a thread shrinks with many threads; 16 MiB for all of them together.
  int64_t threadFloats = (int64_t(4) << 20) / target.threads;
  int64_t most = std::clamp<int64_t>(threadFloats / 256 / tile.nr * tile.nr, 4 * tile.nr, target.nc);
  blocks.nc = evenPart(n, most, tile.nr);
  // 16 MiB for op(B); at least one kc.
  int64_t packed = (int64_t(4) << 20) / blocks.nc / blocks.kc * blocks.kc;
  blocks.kSuper = packed >= k ? k : std::max(packed, blocks.kc);
  // 8 MiB for tiles that wait for the rest of their sums.
  blocks.mSuper = m;
  if (blocks.keepsTiles())
    blocks.mSuper = std::min(m, evenPart(m, std::max<int64_t>((int64_t(2) << 20) / blocks.nc, tile.mr), tile.mr));

  int64_t panelsM = llvm::divideCeil(blocks.mSuper, tile.mr), panelsN = blocks.nc / tile.nr;
  // At most mc rows a task. An even number of nearly equal tasks, at least 8 where there is work for them.
  int64_t rowBlocks = llvm::alignTo(llvm::divideCeil(panelsM, target.mc / tile.mr), 4);
  rowBlocks = std::min(std::max<int64_t>(rowBlocks, 8), std::max<int64_t>(panelsM / 4, 1));
  blocks.rowBlocks = rowBlocks;
  blocks.columnBlocks = rowBlocks >= 8 ? 1 : std::clamp<int64_t>(8 / rowBlocks, 1, std::max<int64_t>(panelsN / 4, 1));
  blocks.rowPanels = llvm::divideCeil(panelsM, blocks.rowBlocks);
  blocks.columnPanels = llvm::divideCeil(panelsN, blocks.columnBlocks);
  blocks.packGroup = std::max<int64_t>(1, 16384 / (blocks.kSuper * tile.nr));
  // Multiples of 16 floats, so that every part starts on a cache line; op(A) with the slack that packing asks for.
  blocks.packedB = llvm::alignTo(blocks.nc * blocks.kSuper, 16);
  blocks.packedA = llvm::alignTo(blocks.rowPanels * tile.mr * blocks.kc + 16, 16);
  blocks.tileC = llvm::alignTo(blocks.rowPanels * tile.mr * blocks.columnPanels * tile.nr, 16);
  return blocks;
}

int64_t ProductBlocks::scratchFloats(const CpuTarget &target) const {
  int64_t tiles = keepsTiles() ? rowBlocks * columnBlocks : target.threads;
  return packedB + target.threads * packedA + tiles * tileC;
}

//===----------------------------------------------------------------------===//
// Emission
//===----------------------------------------------------------------------===//

namespace {

struct MatmulEmitter {
  plan::KernelOp kernel;
  plan::MatmulOp op;
  const CpuTarget &target;
  ProductTile tile;
  ProductBlocks blocks;
  Location loc;
  Type f32;

  MatmulEmitter(plan::KernelOp kernel, plan::MatmulOp op, const CpuTarget &target)
      : kernel(kernel), op(op), target(target), tile(productTile(target)),
        blocks(productBlocks(op.getM(), op.getN(), op.getK(), target)), loc(op.getLoc()),
        f32(Float32Type::get(op.getContext())) {}

  void emit();
  void emitPackTask(OpBuilder &builder, TaskFunction &task);
  void emitProductTask(OpBuilder &builder, TaskFunction &task);
  void emitStoreSeam(OpBuilder &builder, ArrayRef<Value> buffers, Value tiles, Value rowPanels, Value row, Value rows,
                     Value column, Value columns);
};

} // namespace

void MatmulEmitter::emit() {
  OpBuilder builder(op.getContext());
  Driver driver = createDriver(builder, kernel);
  auto bufferOf = [&](Value value) { return driver.buffers[cast<BlockArgument>(value).getArgNumber()]; };
  SizeMath s{builder, loc};
  Value a = bufferOf(op.getA()), b = bufferOf(op.getB()), c = bufferOf(op.getC());
  Value packedB = bufferOf(op.getScratch());
  Value packedA = s.at(packedB, f32, s.constant(blocks.packedB));
  Value tiles = s.at(packedA, f32, s.constant(blocks.packedA * target.threads));
  SmallVector<Value> stored{c};
  for (Value extra : op.getExtras())
    stored.push_back(bufferOf(extra));

  Value zero = s.constant(0), n = s.constant(blocks.n), m = s.constant(blocks.m), k = s.constant(blocks.k);
  // Task functions are made once, by the innermost body of the loops over super-blocks.
  auto emitPhases = [&](OpBuilder &inner, Value column, Value row, Value k) {
    std::string name = kernel.getSymName().str();
    SizeMath t{inner, loc};
    Value columns = t.min(t.constant(blocks.nc), t.sub(t.constant(blocks.n), column));
    Value packs = t.divCeil(t.divCeil(columns, tile.nr), blocks.packGroup);
    emitParallelFor(inner, loc, driver.services, name + ".task0", packs, {b, packedB, column, k},
                    [&](OpBuilder &body, TaskFunction &task) { emitPackTask(body, task); });
    SmallVector<Value> captures{a, packedB, packedA, tiles, column, row, k};
    captures.append(stored);
    emitParallelFor(inner, loc, driver.services, name + ".task1", t.constant(blocks.rowBlocks * blocks.columnBlocks),
                    captures, [&](OpBuilder &body, TaskFunction &task) { emitProductTask(body, task); });
  };
  emitFor(builder, loc, zero, n, blocks.nc, {}, [&](OpBuilder &l0, Value column, ValueRange) {
    emitFor(l0, loc, zero, m, blocks.mSuper, {}, [&](OpBuilder &l1, Value row, ValueRange) {
      emitFor(l1, loc, zero, k, blocks.kSuper, {}, [&](OpBuilder &l2, Value step, ValueRange) {
        emitPhases(l2, column, row, step);
        return SmallVector<Value>{};
      });
      return SmallVector<Value>{};
    });
    return SmallVector<Value>{};
  });
  LLVM::ReturnOp::create(builder, loc, ValueRange{});
}

void MatmulEmitter::emitPackTask(OpBuilder &builder, TaskFunction &task) {
  SizeMath s{builder, loc};
  Value b = task.captures[0], packedB = task.captures[1], column = task.captures[2], k = task.captures[3];
  bool alongK = op.getTransposeB();
  PanelSource source{alongK ? PanelForm::AlongK : PanelForm::AcrossK, elementOf(op.getB()), &op.getReadB(),
                     kernel.getSymName()};
  LLVM::LLVMFuncOp pack = packFunction(kernel->getParentOfType<ModuleOp>(), target, tile.nr, source);
  Value depth = s.min(s.constant(blocks.kSuper), s.sub(s.constant(blocks.k), k));
  Value columns = s.min(s.constant(blocks.nc), s.sub(s.constant(blocks.n), column));
  Value first = s.mul(task.task, blocks.packGroup * tile.nr);
  Value count = s.min(s.constant(blocks.packGroup * tile.nr), s.sub(columns, first));
  Value from = s.add(column, first);
  int64_t ld = alongK ? blocks.k : blocks.n;
  Value place = alongK ? s.add(s.mul(from, ld), k) : s.add(s.mul(k, ld), from);
  LLVM::CallOp::create(builder, loc, pack,
                       ValueRange{s.at(b, source.element, place), s.at(packedB, f32, s.mul(first, depth)),
                                  s.constant(ld), count, depth});
}

void MatmulEmitter::emitProductTask(OpBuilder &builder, TaskFunction &task) {
  SizeMath s{builder, loc};
  Value a = task.captures[0], packedB = task.captures[1], packedA = task.captures[2], tiles = task.captures[3];
  Value column = task.captures[4], row = task.captures[5], k = task.captures[6];
  Value zero = s.constant(0);
  Value depth = s.min(s.constant(blocks.kSuper), s.sub(s.constant(blocks.k), k));
  Value rows = s.min(s.constant(blocks.mSuper), s.sub(s.constant(blocks.m), row));
  Value columns = s.min(s.constant(blocks.nc), s.sub(s.constant(blocks.n), column));
  // This task's panels: rows [panelA, endA), columns [panelB, endB).
  Value panelsM = s.divCeil(rows, tile.mr), panelsN = s.divCeil(columns, tile.nr);
  Value rowBlock = s.div(task.task, blocks.columnBlocks);
  Value columnBlock = s.sub(task.task, s.mul(rowBlock, blocks.columnBlocks));
  Value one = s.constant(1);
  Value panelA = s.cut(panelsM, rowBlock, blocks.rowBlocks);
  Value endA = s.cut(panelsM, s.add(rowBlock, one), blocks.rowBlocks);
  Value panelB = s.cut(panelsN, columnBlock, blocks.columnBlocks);
  Value endB = s.cut(panelsN, s.add(columnBlock, one), blocks.columnBlocks);
  Value myPanelsA = s.sub(endA, panelA), myPanelsB = s.sub(endB, panelB);
  Value firstRow = s.mul(panelA, tile.mr), firstColumn = s.mul(panelB, tile.nr);
  Value myRows = s.min(s.mul(myPanelsA, tile.mr), s.sub(rows, firstRow));
  Value myColumns = s.min(s.mul(myPanelsB, tile.nr), s.sub(columns, firstColumn));

  Value myTiles = s.at(tiles, f32, s.mul(blocks.keepsTiles() ? task.task : task.thread, blocks.tileC));
  Value myA = s.at(packedA, f32, s.mul(task.thread, blocks.packedA));
  Value myB = s.at(packedB, f32, s.mul(firstColumn, depth));
  bool alongK = !op.getTransposeA();
  PanelSource source{alongK ? PanelForm::AlongK : PanelForm::AcrossK, elementOf(op.getA()), &op.getReadA(),
                     kernel.getSymName()};
  LLVM::LLVMFuncOp pack = packFunction(kernel->getParentOfType<ModuleOp>(), target, tile.mr, source);
  int64_t ld = alongK ? blocks.k : blocks.m;
  Value aRow = s.add(row, firstRow);

  emitFor(builder, loc, zero, depth, blocks.kc, {}, [&](OpBuilder &inner, Value step, ValueRange) {
    SizeMath t{inner, loc};
    Value kc = t.min(t.constant(blocks.kc), t.sub(depth, step));
    Value kHere = t.add(k, step);
    Value place = alongK ? t.add(t.mul(aRow, ld), kHere) : t.add(t.mul(kHere, ld), aRow);
    LLVM::CallOp::create(inner, loc, pack, ValueRange{t.at(a, source.element, place), myA, t.constant(ld), myRows, kc});
    MacroOperands operands;
    operands.a = myA;
    operands.b = t.at(myB, f32, t.mul(step, tile.nr));
    operands.c = myTiles;
    operands.panelsA = myPanelsA;
    operands.panelsB = myPanelsB;
    operands.k = kc;
    operands.aStride = t.mul(kc, tile.mr);
    operands.bStride = t.mul(depth, tile.nr);
    operands.cStrideI = t.constant(tile.mr * tile.nr);
    operands.cStrideJ = t.mul(myPanelsA, tile.mr * tile.nr);
    operands.cRow = t.constant(tile.nr);
    operands.accumulate = t.greater(kHere, zero);
    emitMacro(inner, loc, target, operands);
    return SmallVector<Value>{};
  });

  auto store = [&](OpBuilder &inner) {
    emitStoreSeam(inner, ArrayRef<Value>(task.captures).drop_front(7), myTiles, myPanelsA, aRow, myRows,
                  SizeMath{inner, loc}.add(column, firstColumn), myColumns);
  };
  if (!blocks.keepsTiles())
    return store(builder);
  Value last = s.equal(s.add(k, depth), s.constant(blocks.k));
  scf::IfOp::create(builder, loc, last, [&](OpBuilder &inner, Location) {
    store(inner);
    scf::YieldOp::create(inner, loc);
  });
}

/// Reads finished sums from their tiles, row by row of c, and stores what the seam makes of them. `buffers`: c, then
/// the extras.
void MatmulEmitter::emitStoreSeam(OpBuilder &builder, ArrayRef<Value> buffers, Value tiles, Value rowPanels, Value row,
                                  Value rows, Value column, Value columns) {
  SmallVector<Type> elements{elementOf(op.getC())};
  for (Value extra : op.getExtras())
    elements.push_back(elementOf(extra));
  Region &seam = op.getStoreC();
  SizeMath s{builder, loc};
  Value zero = s.constant(0);
  Value tileColumn = s.mul(rowPanels, tile.mr * tile.nr);

  /// `lanes` elements of the row at tile element `from` and matrix element `at`.
  auto storeSome = [&](OpBuilder &inner, int64_t lanes, Value from, Value at) {
    auto typed = [&](Type element) -> Type { return lanes == 1 ? element : VectorType::get({lanes}, element); };
    SmallVector<Value> inputs{emitLoad(inner, loc, typed(f32), elementPointer(inner, loc, tiles, f32, from))};
    for (size_t i = 1; i < buffers.size(); ++i)
      inputs.push_back(
          emitLoad(inner, loc, typed(elements[i]), elementPointer(inner, loc, buffers[i], elements[i], at)));
    Value result = seam.empty() ? inputs.front() : emitSeam(inner, loc, seam, inputs);
    emitStore(inner, loc, result, elementPointer(inner, loc, buffers[0], elements[0], at));
  };
  emitFor(builder, loc, zero, rows, 1, {}, [&](OpBuilder &l0, Value r, ValueRange) {
    SizeMath t{l0, loc};
    Value panel = t.div(r, tile.mr);
    Value inTile = t.add(t.mul(panel, tile.mr * tile.nr), t.mul(t.sub(r, t.mul(panel, tile.mr)), tile.nr));
    Value rowStart = t.add(t.mul(t.add(row, r), blocks.n), column);
    emitFor(l0, loc, zero, columns, tile.nr, {}, [&](OpBuilder &l1, Value first, ValueRange) {
      SizeMath u{l1, loc};
      Value from = u.add(inTile, u.mul(u.div(first, tile.nr), tileColumn));
      Value at = u.add(rowStart, first);
      Value count = u.min(u.constant(tile.nr), u.sub(columns, first));
      Value whole = u.mul(u.div(count, tile.lanes), tile.lanes);
      emitFor(l1, loc, zero, whole, tile.lanes, {}, [&](OpBuilder &l2, Value i, ValueRange) {
        SizeMath v{l2, loc};
        storeSome(l2, tile.lanes, v.add(from, i), v.add(at, i));
        return SmallVector<Value>{};
      });
      emitFor(l1, loc, whole, count, 1, {}, [&](OpBuilder &l2, Value i, ValueRange) {
        SizeMath v{l2, loc};
        storeSome(l2, 1, v.add(from, i), v.add(at, i));
        return SmallVector<Value>{};
      });
      return SmallVector<Value>{};
    });
    return SmallVector<Value>{};
  });
}

LogicalResult cpu::emitMatmul(plan::KernelOp kernel, const CpuTarget &target) {
  auto op = cast<plan::MatmulOp>(kernel.getWork());
  int64_t needed = scratchBytes(op, target);
  if (!op.getScratch() || plan::bytesOf(op.getScratch().getType()) < needed)
    return op.emitOpError("needs ") << needed << " bytes of scratch memory; run the pass that plans it first";
  MatmulEmitter(kernel, op, target).emit();
  return success();
}
