//===- LowerMatmul.cpp - Matrix products ---------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A product that cuBLASLt has (LibraryProduct.h) is queued as one; a weight in four bits is decoded into the product's
// working memory right before. Any other product becomes a function of the device: a block
// computes 64 x 64 numbers of c by tiles (Tiles.h), 64 terms of k at a time, in ascending order; elements of a and b go
// through their seams on the way into shared memory, sums through theirs on the way out.
//
// Assumes verified plan IR. Promises that the generated product adds in an order that depends on nothing. Refuses
// seams that are not element-wise arithmetic on f32 and bf16, and weights in four bits where the library has no product
// for what they decode to.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/LibraryProduct.h"
#include "lib/Target/CUDA/Lower.h"
#include "lib/Target/CUDA/Tiles.h"
#include "lib/Target/Common/Nf4Decoder.h"
#include "lib/Target/Common/Seam.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace ftc;
using cuda::Numbers;
using cuda::perThread;
using cuda::Tile;
using cuda::TileCode;
using cuda::tileRows;
using cuda::tileThreads;

static constexpr remark::RemarkOpts remarkOpts = remark::RemarkOpts::name("product").category("cuda-lower-kernels");

namespace {
/// One operand as its tiles are filled: element (row, k) of 64 rows, where `rows` and `depth` bound them.
struct Operand {
  Value pointer;
  MemRefType type;
  Region *seam;
  bool rowsFirst; ///< element (row, k) is at row * pitch + k; else at k * pitch + row
  int64_t rows, depth;
};
} // namespace

/// Fills a tile with op(operand), rows from `firstRow`, terms from `firstTerm` on. Neighbouring threads take
/// neighbouring elements in memory.
static void fillThroughSeam(TileCode &code, const Tile &tile, const Operand &operand, Value firstRow, Value firstTerm) {
  Location loc = code.loc;
  int64_t pitch = operand.type.getShape().back();
  code.loop(code.thread, code.number(tileRows * tileRows), tileThreads, {}, [&](TileCode inner, Value i, ValueRange) {
    Value slow = inner.div(i, tileRows), fast = inner.rem(i, tileRows);
    Value row = operand.rowsFirst ? slow : fast, term = operand.rowsFirst ? fast : slow;
    Value globalRow = inner.add(firstRow, row), globalTerm = inner.add(firstTerm, term);
    Value inside = inner.both(inner.less(globalRow, inner.number(operand.rows)),
                              inner.less(globalTerm, inner.number(operand.depth)));
    Value place = operand.rowsFirst ? inner.add(inner.times(globalRow, pitch), globalTerm)
                                    : inner.add(inner.times(globalTerm, pitch), globalRow);
    Value element = inner.choose(inside, inner.real(0), [&](TileCode then) {
      Value stored = then.load(operand.type.getElementType(), operand.pointer, place);
      return Numbers{operand.seam->empty() ? stored : target::emitSeam(then.b, loc, *operand.seam, stored)};
    })[0];
    inner.store(element, tile.base, inner.add(inner.times(row, cuda::tilePitch(tile.columns)), term));
    return Numbers();
  });
}

static void storeThroughSeam(TileCode &code, plan::MatmulOp op, const IRMapping &arguments, Value firstRow,
                             Value firstColumn, ValueRange sums) {
  int64_t n = op.getN();
  for (int64_t i = 0; i < perThread; ++i)
    for (int64_t j = 0; j < perThread; ++j) {
      Value row = code.add(firstRow, code.row(i)), column = code.add(firstColumn, code.column(j));
      Value inside = code.both(code.less(row, code.number(op.getM())), code.less(column, code.number(n)));
      code.when(inside, [&](TileCode then) {
        Value place = then.add(then.times(row, n), column);
        SmallVector<Value> inputs{sums[i * perThread + j]};
        for (Value extra : op.getExtras())
          inputs.push_back(
              then.load(cast<MemRefType>(extra.getType()).getElementType(), arguments.lookup(extra), place));
        Region &seam = op.getStoreC();
        Value stored = seam.empty() ? inputs.front() : target::emitSeam(then.b, then.loc, seam, inputs);
        then.store(stored, arguments.lookup(op.getC()), place);
      });
    }
}

static LogicalResult emitGenerated(plan::KernelOp kernel, plan::MatmulOp op, const cuda::CudaTarget &target,
                                   const std::string &reason, cuda::KernelTables &tables) {
  Location loc = kernel.getLoc();
  if (op.getDecodeB())
    return op.emitError("the CUDA target multiplies with a weight in four bits only as the library can: ") << reason;
  int64_t shared = 2 * cuda::tileBytes(tileRows);
  if (failed(cuda::checkSharedBytes(loc, shared, target, "a product")))
    return failure();
  int64_t across = llvm::divideCeil(op.getN(), tileRows), down = llvm::divideCeil(op.getM(), tileRows);
  auto buffers = kernel.getBuffers();
  gpu::GPUFuncOp function =
      tables.addFunction(loc, kernel.getSymName(), buffers.size(), {across * down, tileThreads, shared});
  cuda::emitFunction(function, [&](OpBuilder &builder, ValueRange arguments) {
    IRMapping map;
    map.map(buffers, arguments);
    TileCode code(builder, loc);
    Value memory = tables.sharedMemory(builder, loc), block = cuda::blockNumber(builder, loc);
    Value firstRow = code.times(code.div(block, across), tileRows);
    Value firstColumn = code.times(code.rem(block, across), tileRows);
    Tile left = code.tile(memory, 0, tileRows), right = code.tile(memory, cuda::tileBytes(tileRows), tileRows);
    auto typeOf = [](Value buffer) { return cast<MemRefType>(buffer.getType()); };
    Operand a{map.lookup(op.getA()), typeOf(op.getA()), &op.getReadA(), !op.getTransposeA(), op.getM(), op.getK()};
    Operand b{map.lookup(op.getB()), typeOf(op.getB()), &op.getReadB(), op.getTransposeB(), op.getN(), op.getK()};
    Numbers sums =
        code.loop(code.number(0), code.number(op.getK()), tileRows, Numbers(perThread * perThread, code.real(0)),
                  [&](TileCode inner, Value term, ValueRange before) {
                    inner.barrier();
                    fillThroughSeam(inner, left, a, firstRow, term);
                    fillThroughSeam(inner, right, b, firstColumn, term);
                    inner.barrier();
                    return inner.dot(left, right, before);
                  });
    storeThroughSeam(code, op, map, firstRow, firstColumn, sums);
  });
  cuda::Driver driver(tables, kernel);
  SmallVector<Value> addresses;
  for (unsigned index = 0; index < buffers.size(); ++index)
    addresses.push_back(driver.address(index));
  driver.launch(function, addresses);
  driver.finish();
  return success();
}

//===----------------------------------------------------------------------===//
// Weights in four bits
//===----------------------------------------------------------------------===//

/// Elements of one thread: a word of codes, always of one block of the weight.
static constexpr int64_t wordElements = 8;

/// Decodes the elements from `first` on and stores those that the weight has.
static void decodeWord(TileCode &code, target::Nf4Decoder &decoder, Value to, Type stored, Value first,
                       int64_t elements) {
  OpBuilder &b = code.b;
  auto floats = VectorType::get({wordElements}, b.getF32Type());
  if (elements % wordElements != 0) {
    for (int64_t i = 0; i < wordElements; ++i) {
      Value index = code.add(first, i);
      code.when(code.less(index, code.number(elements)),
                [&](TileCode then) { then.store(then.narrow(decoder.scalar(then.b, index), stored), to, index); });
    }
    return;
  }
  Type i32 = b.getI32Type();
  Value word = code.load(i32, decoder.codes, code.div(first, wordElements)), scale = decoder.scale(b, first);
  Value values = arith::ConstantOp::create(b, code.loc, b.getZeroAttr(floats));
  for (int64_t i = 0; i < wordElements; ++i) {
    // The first of two elements is in the upper half of a byte.
    Value shift = arith::ConstantOp::create(b, code.loc, b.getI32IntegerAttr(static_cast<int32_t>(i ^ 1) * 4));
    Value mask = arith::ConstantOp::create(b, code.loc, b.getI32IntegerAttr(15));
    Value bits = arith::AndIOp::create(b, code.loc, arith::ShRUIOp::create(b, code.loc, word, shift), mask);
    Value number = decoder.decode(b, arith::ExtUIOp::create(b, code.loc, b.getI64Type(), bits), scale);
    values = vector::InsertOp::create(b, code.loc, number, values, ArrayRef<int64_t>{i});
  }
  code.store(code.narrow(values, stored), to, first, 16);
}

/// The function that decodes the weight of a product: (codes, absmax, nested, offset, to). One for all of this size.
static gpu::GPUFuncOp decodeFunction(plan::MatmulOp op, cuda::KernelTables &tables) {
  int64_t elements = op.getN() * op.getK(), words = (elements + wordElements - 1) / wordElements;
  plan::Nf4Attr encoding = *op.getDecodeB();
  std::string name = "decode_" + std::to_string(elements) + "_" + target::nameOf(encoding);
  std::replace(name.begin(), name.end(), '.', '_');
  if (gpu::GPUFuncOp known = tables.find(name))
    return known;
  Location loc = op.getLoc();
  gpu::GPUFuncOp function =
      tables.addFunction(loc, name, /*arguments=*/5, {(words + tileThreads - 1) / tileThreads, tileThreads, 0});
  cuda::emitFunction(function, [&](OpBuilder &builder, ValueRange arguments) {
    TileCode code(builder, loc);
    Value word = code.add(code.times(cuda::blockNumber(builder, loc), tileThreads), code.thread);
    code.when(code.less(word, code.number(words)), [&](TileCode then) {
      target::Nf4Decoder decoder{loc, encoding, arguments[0], arguments[1], arguments[2], arguments[3]};
      decodeWord(then, decoder, arguments[4], encoding.getDecoded(), then.times(word, wordElements), elements);
    });
  });
  return function;
}

LogicalResult cuda::emitMatmul(plan::KernelOp kernel, const CudaTarget &target, KernelTables &tables) {
  auto op = cast<plan::MatmulOp>(kernel.getWork());
  if (!op.getPair().empty())
    return op.emitError("has a second product, which the CUDA target does not take; leave out train-pair-products");
  std::string reason;
  std::optional<LibraryProduct> product = asLibraryProduct(op, target, reason);
  if (!product) {
    remark::missed(kernel.getLoc(), remarkOpts)
        << remark::add("{0} is a generated product: {1}", kernel.getSymName(), reason);
    return emitGenerated(kernel, op, target, reason, tables);
  }
  remark::passed(kernel.getLoc(), remarkOpts)
      << remark::add("{0} is a product of the library", kernel.getSymName())
      << remark::metric("workspace_bytes", static_cast<int64_t>(product->product.workspace_bytes));
  auto workspace = static_cast<int64_t>(product->product.workspace_bytes);
  if (workspace + product->decodedBytes > 0 && !op.getScratch())
    return op.emitError("has no scratch memory; run cuda-plan-scratch first");
  Driver driver(tables, kernel);
  Value scratch = driver.address(op.getScratch()), b = driver.address(op.getB());
  if (op.getDecodeB()) {
    SmallVector<Value> addresses{b};
    for (Value scale : op.getScales())
      addresses.push_back(driver.address(scale));
    b = driver.behind(scratch, workspace);
    addresses.push_back(b);
    driver.launch(decodeFunction(op, tables), addresses);
  }
  driver.multiply(tables.addProduct(product->product), driver.address(op.getA()), b, driver.address(product->addend),
                  driver.address(op.getC()), scratch);
  driver.finish();
  return success();
}
