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
//       with the last k: pass each finished tile through the store seam
//
// Sums over one kc are made in registers and added in ascending order, so results depend on sizes and kc alone.
//
// A second, narrow product is added to a tile when its first sum is complete and it is still in the first-level cache:
// its factors are packed whole, the right one by a task of its own beside those that pack op(B).
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/LowerMatmul.h"

#include "lib/Target/CPU/LowerNarrowMatmul.h"

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

ProductBlocks cpu::productBlocks(int64_t m, int64_t n, int64_t k, bool transposeB, const CpuTarget &target,
                                 int64_t pairK) {
  ProductTile tile = productTile(target, n);
  ProductBlocks blocks{};
  blocks.tile = tile;
  blocks.m = m;
  blocks.n = n;
  blocks.k = k;
  blocks.pairK = pairK;
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
  // About 32768 elements a packing task, but 8 tasks at least where there are so many.
  int64_t unit = transposeB ? blocks.kSuper * tile.nr : blocks.nc, units = transposeB ? panelsN : blocks.kSuper;
  blocks.packGroup = std::clamp<int64_t>(32768 / unit, 1, std::max<int64_t>(units / 8, 1));
  // Multiples of 16 floats, so that every part starts on a cache line; op(A) with the slack that packing asks for.
  blocks.packedB = llvm::alignTo(blocks.nc * blocks.kSuper, 16);
  blocks.packedA = llvm::alignTo(blocks.rowPanels * tile.mr * blocks.kc + 16, 16);
  blocks.tileC = llvm::alignTo(blocks.rowPanels * tile.mr * blocks.columnPanels * tile.nr, 16);
  if (pairK) {
    blocks.pairB = llvm::alignTo(blocks.nc * pairK + 16, 16);
    blocks.pairA = llvm::alignTo(blocks.rowPanels * tile.mr * pairK + 16, 16);
  }
  return blocks;
}

int64_t ProductBlocks::scratchFloats(const CpuTarget &target) const {
  int64_t tiles = keepsTiles() ? rowBlocks * columnBlocks : target.threads;
  return packedB + target.threads * (packedA + pairA) + pairB + tiles * tileC;
}

//===----------------------------------------------------------------------===//
// Emission
//===----------------------------------------------------------------------===//

namespace {

struct MatmulEmitter {
  plan::KernelOp kernel;
  plan::MatmulOp op;
  const CpuTarget &target;
  ProductBlocks blocks;
  ProductTile tile;
  Location loc;
  Type f32;

  MatmulEmitter(plan::KernelOp kernel, plan::MatmulOp op, const CpuTarget &target)
      : kernel(kernel), op(op), target(target),
        blocks(productBlocks(op.getM(), op.getN(), op.getK(), op.getTransposeB(), target, op.getPairK())),
        tile(blocks.tile), loc(op.getLoc()), f32(Float32Type::get(op.getContext())) {}

  void emit();
  /// Captures of a packing task: op(B), its place, the first column and k, the scales of op(B) or nothing, then the
  /// right factor of a second product and its place, or nothing.
  void emitPackTask(OpBuilder &builder, TaskFunction &task);
  void emitPackPair(OpBuilder &builder, TaskFunction &task);
  void emitProductTask(OpBuilder &builder, TaskFunction &task);
  /// A second product's packed factors, each from the block's first panel on; null without one.
  struct Pair {
    Value a, b;
  };
  void emitLastTiles(OpBuilder &builder, const MacroOperands &all, Pair pair, ArrayRef<Value> buffers, Value row,
                     Value rows, Value column, Value columns);
  void fetchExtras(OpBuilder &builder, ArrayRef<Value> buffers, Value row, Value column);
  void emitStoreSeam(OpBuilder &builder, ArrayRef<Value> buffers, Value sums, Value row, Value rows, Value column,
                     Value columns);
};

} // namespace

void MatmulEmitter::emit() {
  OpBuilder builder(op.getContext());
  Driver driver = createDriver(builder, kernel);
  auto bufferOf = [&](Value value) { return driver.buffers[cast<BlockArgument>(value).getArgNumber()]; };
  SizeMath s{builder, loc};
  Value a = bufferOf(op.getA()), b = bufferOf(op.getB()), c = bufferOf(op.getC());
  Value packedB = bufferOf(op.getScratch());
  SmallVector<Value> scales;
  for (Value scale : op.getScales())
    scales.push_back(bufferOf(scale));
  Value packedA = s.at(packedB, f32, s.constant(blocks.packedB));
  Value tiles = s.at(packedA, f32, s.constant(blocks.packedA * target.threads));
  SmallVector<Value> pair; // the factors as they lie, then where they are packed
  if (blocks.pairK) {
    int64_t tileBlocks = blocks.keepsTiles() ? blocks.rowBlocks * blocks.columnBlocks : target.threads;
    Value pairB = s.at(tiles, f32, s.constant(blocks.tileC * tileBlocks));
    pair = {bufferOf(op.getPair()[0]), bufferOf(op.getPair()[1]), s.at(pairB, f32, s.constant(blocks.pairB)), pairB};
  }
  SmallVector<Value> stored{c};
  for (Value extra : op.getExtras())
    stored.push_back(bufferOf(extra));

  Value zero = s.constant(0), n = s.constant(blocks.n), m = s.constant(blocks.m), k = s.constant(blocks.k);
  // Task functions are made once, by the innermost body of the loops over super-blocks.
  auto emitPhases = [&](OpBuilder &inner, Value column, Value row, Value k) {
    std::string name = kernel.getSymName().str();
    SizeMath t{inner, loc};
    Value columns = t.min(t.constant(blocks.nc), t.sub(t.constant(blocks.n), column));
    Value depth = t.min(t.constant(blocks.kSuper), t.sub(t.constant(blocks.k), k));
    Value packs = t.divCeil(op.getTransposeB() ? t.divCeil(columns, tile.nr) : depth, blocks.packGroup);
    SmallVector<Value> packed{b, packedB, column, k};
    packed.append(scales);
    if (!pair.empty()) {
      packed.append({pair[1], pair[3]});
      packs = t.add(packs, t.constant(1));
    }
    emitParallelFor(inner, loc, driver.services, name + ".task0", packs, packed,
                    [&](OpBuilder &body, TaskFunction &task) {
                      if (pair.empty())
                        return emitPackTask(body, task);
                      // The last task packs the right factor of the second product.
                      SizeMath u{body, loc};
                      Value columns = u.min(u.constant(blocks.nc), u.sub(u.constant(blocks.n), task.captures[2]));
                      Value depth = u.min(u.constant(blocks.kSuper), u.sub(u.constant(blocks.k), task.captures[3]));
                      Value units = op.getTransposeB() ? u.divCeil(columns, tile.nr) : depth;
                      Value mine = u.equal(task.task, u.divCeil(units, blocks.packGroup));
                      auto choice = scf::IfOp::create(body, loc, mine, /*withElseRegion=*/true);
                      OpBuilder then = OpBuilder::atBlockBegin(&choice.getThenRegion().front());
                      emitPackPair(then, task);
                      OpBuilder otherwise = OpBuilder::atBlockBegin(&choice.getElseRegion().front());
                      emitPackTask(otherwise, task);
                    });
    SmallVector<Value> captures{a, packedB, packedA, tiles, column, row, k};
    if (!pair.empty())
      captures.append({pair[0], pair[2], pair[3]});
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
  Value depth = s.min(s.constant(blocks.kSuper), s.sub(s.constant(blocks.k), k));
  Value columns = s.min(s.constant(blocks.nc), s.sub(s.constant(blocks.n), column));
  // Memory is read in the order in which it lies: a group of panels where k is contiguous, a group of k otherwise.
  Type element = elementOf(op.getB());
  PanelSource source{op.getTransposeB() ? PanelForm::AlongK : PanelForm::AcrossK, element, &op.getReadB(),
                     kernel.getSymName()};
  Value panelStride = s.mul(depth, tile.nr);
  Value first = s.mul(task.task, blocks.packGroup);
  auto nf4 = [&](PanelForm form, int64_t inputs) {
    return Nf4Source{form, *op.getDecodeB(), inputs, {b, task.captures[4], task.captures[5], task.captures[6]}};
  };
  if (op.getTransposeB()) {
    Value firstColumn = s.mul(first, tile.nr), from = s.add(column, firstColumn);
    Value count = s.min(s.constant(blocks.packGroup * tile.nr), s.sub(columns, firstColumn));
    if (op.getDecodeB())
      return emitPackNf4(builder, loc, target, tile.nr, nf4(PanelForm::AlongK, blocks.k),
                         s.add(s.mul(from, blocks.k), k), s.at(packedB, f32, s.mul(firstColumn, depth)),
                         s.constant(blocks.k), count, depth, panelStride);
    emitPack(builder, loc, target, tile.nr, source, s.at(b, element, s.add(s.mul(from, blocks.k), k)),
             s.at(packedB, f32, s.mul(firstColumn, depth)), s.constant(blocks.k), count, depth, panelStride);
  } else {
    Value from = s.add(k, first), count = s.min(s.constant(blocks.packGroup), s.sub(depth, first));
    if (op.getDecodeB())
      return emitPackNf4(builder, loc, target, tile.nr, nf4(PanelForm::AcrossK, blocks.n),
                         s.add(s.mul(from, blocks.n), column), s.at(packedB, f32, s.mul(first, tile.nr)),
                         s.constant(blocks.n), columns, count, panelStride);
    emitPack(builder, loc, target, tile.nr, source, s.at(b, element, s.add(s.mul(from, blocks.n), column)),
             s.at(packedB, f32, s.mul(first, tile.nr)), s.constant(blocks.n), columns, count, panelStride);
  }
}

void MatmulEmitter::emitPackPair(OpBuilder &builder, TaskFunction &task) {
  SizeMath s{builder, loc};
  Value factor = task.captures[task.captures.size() - 2], packed = task.captures.back(), column = task.captures[2];
  Value columns = s.min(s.constant(blocks.nc), s.sub(s.constant(blocks.n), column));
  bool alongK = op.getTransposePair();
  PanelSource source{alongK ? PanelForm::AlongK : PanelForm::AcrossK, elementOf(op.getPair()[1])};
  Value place = alongK ? s.mul(column, blocks.pairK) : column;
  emitPack(builder, loc, target, tile.nr, source, s.at(factor, source.element, place), packed,
           s.constant(alongK ? blocks.pairK : blocks.n), columns, s.constant(blocks.pairK));
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
  int64_t ld = alongK ? blocks.k : blocks.m;
  Value aRow = s.add(row, firstRow), cColumn = s.add(column, firstColumn);

  emitFor(builder, loc, zero, depth, blocks.kc, {}, [&](OpBuilder &inner, Value step, ValueRange) {
    SizeMath t{inner, loc};
    Value kc = t.min(t.constant(blocks.kc), t.sub(depth, step));
    Value kHere = t.add(k, step);
    Value place = alongK ? t.add(t.mul(aRow, ld), kHere) : t.add(t.mul(kHere, ld), aRow);
    emitPack(inner, loc, target, tile.mr, source, t.at(a, source.element, place), myA, t.constant(ld), myRows, kc);
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
    // Tiles whose sums are complete leave at once: their stores to c run beside the next tile's arithmetic.
    Value last = t.equal(t.add(kHere, kc), t.constant(blocks.k));
    auto choice = scf::IfOp::create(inner, loc, last, /*withElseRegion=*/true);
    OpBuilder finish = OpBuilder::atBlockBegin(&choice.getThenRegion().front());
    Pair pair;
    if (blocks.pairK) {
      SizeMath u{finish, loc};
      Value left = task.captures[7], packed = task.captures[8];
      pair = {u.at(packed, f32, u.mul(task.thread, blocks.pairA)),
              u.at(task.captures[9], f32, u.mul(firstColumn, blocks.pairK))};
      PanelSource narrow{PanelForm::AlongK, elementOf(op.getPair()[0])};
      emitPack(finish, loc, target, tile.mr, narrow, u.at(left, narrow.element, u.mul(aRow, blocks.pairK)), pair.a,
               u.constant(blocks.pairK), myRows, u.constant(blocks.pairK));
    }
    ArrayRef<Value> stored = ArrayRef<Value>(task.captures).drop_front(blocks.pairK ? 10 : 7);
    emitLastTiles(finish, operands, pair, stored, aRow, myRows, cColumn, myColumns);
    OpBuilder goOn = OpBuilder::atBlockBegin(&choice.getElseRegion().front());
    emitMacro(goOn, loc, tile, operands);
    return SmallVector<Value>{};
  });
}

/// The macro-kernel for the last part of a sum, tile by tile, each passed through the store seam.
void MatmulEmitter::emitLastTiles(OpBuilder &builder, const MacroOperands &all, Pair pair, ArrayRef<Value> buffers,
                                  Value row, Value rows, Value column, Value columns) {
  Value zero = constantI64(builder, loc, 0), one = constantI64(builder, loc, 1);
  emitFor(builder, loc, zero, all.panelsB, 1, {}, [&](OpBuilder &outer, Value j, ValueRange) {
    emitFor(outer, loc, zero, all.panelsA, 1, {}, [&](OpBuilder &inner, Value i, ValueRange) {
      SizeMath t{inner, loc};
      MacroOperands operands = all;
      operands.panelsA = operands.panelsB = one;
      operands.row = i;
      operands.a = t.at(all.a, f32, t.mul(i, all.aStride));
      operands.b = t.at(all.b, f32, t.mul(j, all.bStride));
      // A sum in one part needs no place to wait in: one tile serves all, and stays in the first-level cache.
      Value place = t.add(t.mul(i, all.cStrideI), t.mul(j, all.cStrideJ));
      operands.c = t.at(all.c, f32, arith::SelectOp::create(inner, loc, all.accumulate, place, zero));
      Value firstRow = t.mul(i, tile.mr), firstColumn = t.mul(j, tile.nr);
      fetchExtras(inner, buffers, t.add(row, firstRow), t.add(column, firstColumn));
      emitMacro(inner, loc, tile, operands);
      if (pair.a) {
        MacroOperands second = operands;
        second.k = t.constant(blocks.pairK);
        second.aStride = t.constant(blocks.pairK * tile.mr);
        second.bStride = t.constant(blocks.pairK * tile.nr);
        second.a = t.at(pair.a, f32, t.mul(i, blocks.pairK * tile.mr));
        second.b = t.at(pair.b, f32, t.mul(j, blocks.pairK * tile.nr));
        second.row = Value();
        second.accumulate = arith::ConstantOp::create(inner, loc, inner.getBoolAttr(true));
        emitMacro(inner, loc, tile, second);
      }
      emitStoreSeam(inner, buffers, operands.c, t.add(row, firstRow), t.min(t.constant(tile.mr), t.sub(rows, firstRow)),
                    t.add(column, firstColumn), t.min(t.constant(tile.nr), t.sub(columns, firstColumn)));
      return SmallVector<Value>{};
    });
    return SmallVector<Value>{};
  });
}

/// What the store seam will read of the extras comes from memory while the tile is computed. Past the end is harmless.
void MatmulEmitter::fetchExtras(OpBuilder &builder, ArrayRef<Value> buffers, Value row, Value column) {
  SizeMath s{builder, loc};
  for (auto [extra, buffer] : llvm::zip(op.getExtras(), buffers.drop_front()))
    for (int64_t r = 0; r < tile.mr; ++r) {
      Value place = s.add(s.mul(s.add(row, s.constant(r)), blocks.n), column);
      LLVM::Prefetch::create(builder, loc, s.at(buffer, elementOf(extra), place), /*rw=*/0, /*hint=*/3, /*cache=*/1);
    }
}

/// Stores what the seam makes of the first `rows` x `columns` sums of a tile. `buffers`: c, then the extras.
void MatmulEmitter::emitStoreSeam(OpBuilder &builder, ArrayRef<Value> buffers, Value sums, Value row, Value rows,
                                  Value column, Value columns) {
  SmallVector<Type> elements{elementOf(op.getC())};
  for (Value extra : op.getExtras())
    elements.push_back(elementOf(extra));
  Region &seam = op.getStoreC();
  SizeMath s{builder, loc};
  Value corner = s.add(s.mul(row, blocks.n), column);

  /// `lanes` elements of the tile from element `from` on, to element `at` of c.
  auto storeSome = [&](OpBuilder &inner, int64_t lanes, Value from, Value at) {
    auto typed = [&](Type element) -> Type { return lanes == 1 ? element : VectorType::get({lanes}, element); };
    SmallVector<Value> inputs{emitLoad(inner, loc, typed(f32), elementPointer(inner, loc, sums, f32, from))};
    for (size_t i = 1; i < buffers.size(); ++i)
      inputs.push_back(
          emitLoad(inner, loc, typed(elements[i]), elementPointer(inner, loc, buffers[i], elements[i], at)));
    Value result = seam.empty() ? inputs.front() : emitSeam(inner, loc, seam, inputs);
    emitStore(inner, loc, result, elementPointer(inner, loc, buffers[0], elements[0], at));
  };
  Value whole =
      arith::AndIOp::create(builder, loc, s.equal(rows, s.constant(tile.mr)), s.equal(columns, s.constant(tile.nr)));
  auto choice = scf::IfOp::create(builder, loc, whole, /*withElseRegion=*/true);
  // A whole tile: vectors only, a row a turn.
  OpBuilder inside = OpBuilder::atBlockBegin(&choice.getThenRegion().front());
  Value zero = constantI64(inside, loc, 0);
  emitFor(inside, loc, zero, constantI64(inside, loc, tile.mr), 1, {}, [&](OpBuilder &inner, Value r, ValueRange) {
    SizeMath t{inner, loc};
    Value from = t.mul(r, tile.nr), at = t.add(corner, t.mul(r, blocks.n));
    for (int64_t i = 0; i < tile.nr; i += tile.lanes)
      storeSome(inner, tile.lanes, t.add(from, t.constant(i)), t.add(at, t.constant(i)));
    return SmallVector<Value>{};
  });
  // At an edge: whole vectors as far as they go, then element by element.
  OpBuilder edge = OpBuilder::atBlockBegin(&choice.getElseRegion().front());
  zero = constantI64(edge, loc, 0);
  Value inVectors = arith::AndIOp::create(edge, loc, columns, constantI64(edge, loc, -tile.lanes));
  emitFor(edge, loc, zero, rows, 1, {}, [&](OpBuilder &outer, Value r, ValueRange) {
    SizeMath t{outer, loc};
    Value from = t.mul(r, tile.nr), at = t.add(corner, t.mul(r, blocks.n));
    auto storeRange = [&](Value begin, Value end, int64_t lanes) {
      emitFor(outer, loc, begin, end, lanes, {}, [&](OpBuilder &inner, Value i, ValueRange) {
        SizeMath u{inner, loc};
        storeSome(inner, lanes, u.add(from, i), u.add(at, i));
        return SmallVector<Value>{};
      });
    };
    storeRange(zero, inVectors, tile.lanes);
    storeRange(inVectors, columns, 1);
    return SmallVector<Value>{};
  });
}

LogicalResult cpu::emitMatmul(plan::KernelOp kernel, const CpuTarget &target) {
  auto op = cast<plan::MatmulOp>(kernel.getWork());
  int64_t needed = scratchBytes(op, target);
  if (!op.getScratch() || plan::bytesOf(op.getScratch().getType()) < needed)
    return op.emitOpError("needs ") << needed << " bytes of scratch memory; run the pass that plans it first";
  if (std::optional<NarrowProduct> narrow = asNarrowProduct(op, target))
    emitNarrowMatmul(kernel, op, *narrow, target);
  else
    MatmulEmitter(kernel, op, target).emit();
  return success();
}
