//===- LowerMatmul.cpp - Matrix products ---------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A product that cuBLASLt has (LibraryProduct.h) is queued as one; a weight in four bits is decoded into the product's
// working memory right before, in slabs of columns that stay in the L2 cache where it is large. Any other product
// becomes a function of the device: a block computes 64 x 64 numbers of c by tiles (Tiles.h), 64 terms of k at a time,
// in ascending order; elements of a and b go through their seams on the way into shared memory, sums through theirs on
// the way out.
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
  int64_t across = llvm::divideCeil(op.getN(), tileRows), down = llvm::divideCeil(op.getM(), tileRows);
  auto buffers = kernel.getBuffers();
  gpu::GPUFuncOp function = tables.addFunction(loc, kernel.getSymName(), buffers.size(),
                                               {across * down, tileThreads, cuda::generatedProductBytes});
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

/// Decodes the elements from `first` on, and stores those that are among the weight's `elements` from `place` on.
static void decodeWord(TileCode &code, target::Nf4Decoder &decoder, Value to, Type stored, Value first, Value place,
                       int64_t elements) {
  OpBuilder &b = code.b;
  auto floats = VectorType::get({wordElements}, b.getF32Type());
  if (elements % wordElements != 0) {
    for (int64_t i = 0; i < wordElements; ++i) {
      Value index = code.add(first, i);
      code.when(code.less(index, code.number(elements)), [&](TileCode then) {
        then.store(then.narrow(decoder.scalar(then.b, index), stored), to, then.add(place, i));
      });
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
  code.store(code.narrow(values, stored), to, place, 16);
}

namespace {
/// What is decoded at once: `runs` runs of `run` elements each, which begin `pitch` elements apart in the weight, and
/// follow each other where they are stored.
struct DecodedPart {
  int64_t runs, run, pitch;
};
} // namespace

/// The function that decodes part of a weight: (codes, absmax, nested, offset, from, to), where `from` is the place of
/// the part's first code: two functions, of a whole slab and of the last one, serve all slabs of all weights of a size.
static gpu::GPUFuncOp decodeFunction(plan::MatmulOp op, const DecodedPart &part, cuda::KernelTables &tables) {
  plan::Nf4Attr encoding = *op.getDecodeB();
  int64_t elements = part.runs * part.run, words = llvm::divideCeil(elements, wordElements);
  std::string sizes =
      part.runs == 1 ? std::to_string(part.run)
                     : std::to_string(part.runs) + "x" + std::to_string(part.run) + "_of_" + std::to_string(part.pitch);
  std::string name = "decode_" + sizes + "_" + target::nameOf(encoding);
  std::replace(name.begin(), name.end(), '.', '_');
  if (gpu::GPUFuncOp known = tables.find(name))
    return known;
  Location loc = op.getLoc();
  gpu::GPUFuncOp function =
      tables.addFunction(loc, name, /*arguments=*/6, {(words + tileThreads - 1) / tileThreads, tileThreads, 0});
  cuda::emitFunction(function, [&](OpBuilder &builder, ValueRange arguments) {
    TileCode code(builder, loc);
    auto addressOf = [&](unsigned index) -> Value {
      return LLVM::PtrToIntOp::create(builder, loc, builder.getI64Type(), arguments[index]);
    };
    Value word = code.add(code.times(cuda::blockNumber(builder, loc), tileThreads), code.thread);
    // Two codes a byte.
    Value start = code.times(arith::SubIOp::create(builder, loc, addressOf(4), addressOf(0)), 2);
    code.when(code.less(word, code.number(words)), [&](TileCode then) {
      target::Nf4Decoder decoder{loc, encoding, arguments[0], arguments[1], arguments[2], arguments[3]};
      Value place = then.times(word, wordElements), first = then.add(start, place);
      if (part.runs > 1)
        first = then.add(start, then.add(then.times(then.div(place, part.run), part.pitch), then.rem(place, part.run)));
      decodeWord(then, decoder, arguments[5], encoding.getDecoded(), first, place, elements);
    });
  });
  return function;
}

/// The events of a driver that decodes in several slabs.
enum : uint32_t { startEvent = 0, decodedEvent = 1, usedEvent = 3 }; // two of the latter ones, by half

/// Queues the product with a weight in four bits. With several slabs, one is decoded, on a stream of its own, while the
/// one before is multiplied: it may begin when the product that reads its half of the working memory is over.
static void multiplyDecoded(plan::MatmulOp op, const cuda::LibraryProduct &library, cuda::Driver &driver,
                            cuda::KernelTables &tables) {
  bool several = library.slabs > 1, byRows = op.getTransposeB();
  int64_t n = op.getN(), k = op.getK(), bytesOfD = library.product.type_d == FTRT_F32 ? 4 : 2;
  auto workspace = static_cast<int64_t>(library.product.workspace_bytes);
  Value scratch = driver.address(op.getScratch()), codes = driver.address(op.getB()), d = driver.address(op.getC());
  Value a = driver.address(op.getA()), addend = driver.address(library.addend);
  SmallVector<Value> arguments{codes};
  for (Value scale : op.getScales())
    arguments.push_back(driver.address(scale));
  uint32_t stream = several ? FTRT_STREAM_DECODE : FTRT_STREAM_COMPUTE;
  if (several) {
    driver.record(FTRT_STREAM_COMPUTE, startEvent);
    driver.wait(FTRT_STREAM_DECODE, startEvent);
  }
  for (int64_t slab = 0; slab < library.slabs; ++slab) {
    auto half = static_cast<uint32_t>(slab % 2);
    int64_t first = slab * library.slabColumns, columns = std::min(library.slabColumns, n - first);
    Value to = driver.behind(scratch, workspace + half * library.slabBytes);
    DecodedPart part = byRows || !several ? DecodedPart{1, columns * k, columns * k} : DecodedPart{k, columns, n};
    SmallVector<Value> all = arguments;
    all.push_back(driver.behind(codes, (byRows ? first * k : first) / 2));
    all.push_back(to);
    if (slab >= 2)
      driver.wait(stream, usedEvent + half);
    driver.launch(decodeFunction(op, part, tables), all, stream);
    if (several) {
      driver.record(stream, decodedEvent + half);
      driver.wait(FTRT_STREAM_COMPUTE, decodedEvent + half);
    }
    ftrt_matmul product = library.product;
    product.n = columns;
    product.ldb = byRows ? k : columns;
    driver.multiply(tables.addProduct(product), a, to,
                    library.addend ? driver.behind(addend, first * bytesOfD) : addend,
                    driver.behind(d, first * bytesOfD), scratch);
    if (slab + 2 < library.slabs)
      driver.record(FTRT_STREAM_COMPUTE, usedEvent + half);
  }
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
      << remark::add("{0} is a product of the library{1}", kernel.getSymName(),
                     product->slabs > 1 ? ", its weight decoded in " + std::to_string(product->slabs) + " slabs"
                                        : std::string())
      << remark::metric("workspace_bytes", static_cast<int64_t>(product->product.workspace_bytes));
  auto workspace = static_cast<int64_t>(product->product.workspace_bytes);
  if (workspace + product->decodedBytes() > 0 && !op.getScratch())
    return op.emitError("has no scratch memory; run cuda-plan-scratch first");
  Driver driver(tables, kernel);
  if (op.getDecodeB())
    multiplyDecoded(op, *product, driver, tables);
  else
    driver.multiply(tables.addProduct(product->product), driver.address(op.getA()), driver.address(op.getB()),
                    driver.address(product->addend), driver.address(op.getC()), driver.address(op.getScratch()));
  driver.finish();
  return success();
}
