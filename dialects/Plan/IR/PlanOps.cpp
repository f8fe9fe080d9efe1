//===- PlanOps.cpp - Verifiers and helpers of plan ops -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Plan/IR/Plan.h"

#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::plan;

//===----------------------------------------------------------------------===//
// Syntax
//===----------------------------------------------------------------------===//

/// The kind of an entry, which its attribute would print behind a space: `kind( step)`.
static ParseResult parseKind(OpAsmParser &parser, EntryKindAttr &kind) {
  FailureOr<EntryKind> value = FieldParser<EntryKind>::parse(parser);
  if (failed(value))
    return failure();
  kind = EntryKindAttr::get(parser.getContext(), *value);
  return success();
}

static void printKind(OpAsmPrinter &printer, Operation *, EntryKindAttr kind) {
  printer << stringifyEntryKind(kind.getValue());
}

/// A number of floating-point operations, which is large: in digits that are read again as the same number, where MLIR
/// would print the bits.
static ParseResult parseFlops(OpAsmParser &parser, FloatAttr &flops) {
  double value;
  if (failed(parser.parseFloat(value)))
    return failure();
  flops = parser.getBuilder().getF64FloatAttr(value);
  return success();
}

static void printFlops(OpAsmPrinter &printer, Operation *, FloatAttr flops) {
  llvm::SmallString<32> digits;
  flops.getValue().toString(digits, /*FormatPrecision=*/0, /*FormatMaxPadding=*/0);
  printer << digits.str().lower();
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

Operation *KernelOp::getWork() { return &getBody().front().back(); }

bool KernelOp::reads(unsigned index) {
  Value buffer = getBuffers()[index];
  return llvm::any_of(buffer.getUses(), [&](OpOperand &use) {
    return TypeSwitch<Operation *, bool>(use.getOwner())
        .Case([&](StoreOp) { return false; })
        .Case([&](MatmulOp op) { return use.getOperandNumber() != 2; })
        .Case([&](AttentionOp op) { return use.getOperandNumber() < 4 || use.getOperandNumber() == 6; })
        .Case([&](AttentionGradOp op) { return use.getOperandNumber() < 7 || use.getOperandNumber() == 10; })
        .Default(true);
  });
}

bool KernelOp::writes(unsigned index) {
  Value buffer = getBuffers()[index];
  return llvm::any_of(buffer.getUses(), [&](OpOperand &use) {
    unsigned number = use.getOperandNumber();
    return TypeSwitch<Operation *, bool>(use.getOwner())
        .Case([&](LoadOp) { return false; })
        .Case([&](MatmulOp op) { return number == 2 || use.get() == op.getScratch(); })
        .Case([&](AttentionOp op) { return number >= 4; })
        .Case([&](AttentionGradOp op) { return number >= 7; })
        .Default(true);
  });
}

LogicalResult KernelOp::verify() {
  for (Type type : getBody().front().getArgumentTypes())
    if (!isa<MemRefType>(type) || !cast<MemRefType>(type).hasStaticShape() ||
        !cast<MemRefType>(type).getLayout().isIdentity())
      return emitOpError("argument of type ") << type << "; buffers are memrefs of static shape and identity layout";
  if (getBody().front().empty() || !isa<RowsOp, MatmulOp, AttentionOp, AttentionGradOp>(getWork()))
    return emitOpError("must end with plan.rows, plan.matmul, plan.attention or plan.attention_grad");
  for (Operation &op : getBody().front().without_terminator()) {
    if (&op == getWork())
      break;
    if (!op.hasTrait<OpTrait::ConstantLike>())
      return op.emitOpError("stands beside a kernel's work; only constants may");
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

bool InputOp::isScalarName(StringRef name) {
  return llvm::StringSwitch<bool>(name)
      .Cases({"learning_rate", "inv_tokens", "step", "micro", "seed", "row", "position"}, true)
      .Default(false);
}

/// A place is a slab and an offset.
template <typename Op> static LogicalResult verifyPlace(Op op) {
  if (op.getSlab().has_value() != op.getOffset().has_value())
    return op.emitOpError("has half a place: a slab and an offset belong together");
  return success();
}

LogicalResult VariableOp::verify() { return verifyPlace(*this); }
LogicalResult InputOp::verify() { return verifyPlace(*this); }

int64_t SliceOp::getByteOffset() {
  return getFirst() * (bytesOf(getSource().getType()) / cast<MemRefType>(getSource().getType()).getDimSize(0));
}

LogicalResult SliceOp::verify() {
  auto source = cast<MemRefType>(getSource().getType()), part = cast<MemRefType>(getBuffer().getType());
  if (part.getRank() < 1 || part.getRank() != source.getRank() || part.getElementType() != source.getElementType() ||
      part.getShape().drop_front() != source.getShape().drop_front() || !part.getLayout().isIdentity() ||
      !source.getLayout().isIdentity())
    return emitOpError("gives ") << part << ", which is not made of rows of " << source;
  int64_t first = getFirst(), rows = part.getDimSize(0);
  if (first < 0 || rows < 1 || first > source.getDimSize(0) - rows)
    return emitOpError("takes rows ") << first << " to " << first + rows << " of " << source;
  return success();
}

//===----------------------------------------------------------------------===//
// Row bodies
//===----------------------------------------------------------------------===//

int64_t RowsOp::getColumns() {
  int64_t columns = 1;
  getBody().walk([&](Operation *op) {
    for (Type type : llvm::concat<const Type>(op->getOperandTypes(), op->getResultTypes()))
      if (auto row = dyn_cast<RankedTensorType>(type))
        columns = row.getDimSize(0);
  });
  return columns;
}

LogicalResult EntryOp::verify() {
  if (static_cast<int64_t>(getBatch()) < 1 || static_cast<int64_t>(getSequence()) < 1)
    return emitOpError("batch and sequence must be positive");
  if (getBody().front().getNumArguments() != 0)
    return emitOpError("takes no arguments; what the host gives it are plan.inputs");
  return success();
}

LogicalResult RowsOp::verify() {
  if (static_cast<int64_t>(getRows()) < 1 || static_cast<int64_t>(getPerTask()) < 1)
    return emitOpError("rows and per_task must be positive");
  Block &body = getBody().front();
  if (body.getNumArguments() != 1 || !body.getArgument(0).getType().isIndex())
    return emitOpError("body takes the row as its one argument, an index");
  int64_t columns = getColumns();
  bool sequential = getOrder() == RowOrder::Sequential;
  WalkResult result = body.walk([&](Operation *op) {
    for (Type type : llvm::concat<const Type>(op->getOperandTypes(), op->getResultTypes()))
      if (auto row = dyn_cast<RankedTensorType>(type))
        if (row.getRank() != 1 || row.getDimSize(0) != columns) {
          op->emitOpError("has a row value of type ") << row << " in a body of " << columns << " columns";
          return WalkResult::interrupt();
        }
    // Every row finds its own place; places that are computed from it are the body's concern.
    if (isa<LoadOp, StoreOp>(op)) {
      auto load = dyn_cast<LoadOp>(op);
      ValueRange indices = load ? load.getIndices() : cast<StoreOp>(op).getIndices();
      auto buffer = cast<MemRefType>((load ? load.getBuffer() : cast<StoreOp>(op).getBuffer()).getType());
      if (!indices.empty() && indices.front() == body.getArgument(0) && buffer.getRank() > 0 &&
          buffer.getDimSize(0) < static_cast<int64_t>(getRows())) {
        op->emitOpError("goes through ") << getRows() << " rows, and " << buffer << " has fewer";
        return WalkResult::interrupt();
      }
    }
    if (sequential && isa<ReduceOp, AccumulateOp>(op)) {
      op->emitOpError("is not allowed where rows are sequential");
      return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

/// Checks a row or element access: number of indices, element type, columns.
static LogicalResult verifyAccess(Operation *op, Type valueType, MemRefType buffer, size_t indices, int64_t offset) {
  auto row = dyn_cast<RankedTensorType>(valueType);
  if (row && buffer.getRank() == 0)
    return op->emitOpError("moves a row, and ") << buffer << " has none";
  size_t expected = buffer.getRank() - (row ? 1 : 0);
  if (indices != expected)
    return op->emitOpError("takes ") << expected << " indices for a " << (row ? "row" : "element") << " of " << buffer;
  Type element = row ? row.getElementType() : valueType;
  if (element != buffer.getElementType())
    return op->emitOpError("moves ") << element << " but the buffer holds " << buffer.getElementType();
  if (!row && offset != 0)
    return op->emitOpError("an element access has no column offset");
  if (row && (offset < 0 || offset + row.getDimSize(0) > buffer.getShape().back()))
    return op->emitOpError("columns ") << offset << " to " << offset + row.getDimSize(0) << " are outside " << buffer;
  return success();
}

LogicalResult LoadOp::verify() {
  return verifyAccess(*this, getResult().getType(), cast<MemRefType>(getBuffer().getType()), getIndices().size(),
                      getOffset());
}

LogicalResult StoreOp::verify() {
  return verifyAccess(*this, getValue().getType(), cast<MemRefType>(getBuffer().getType()), getIndices().size(),
                      getOffset());
}

LogicalResult AccumulateOp::verify() {
  auto rows = (*this)->getParentOfType<RowsOp>();
  if (!rows)
    return emitOpError("must be inside plan.rows");
  auto buffer = cast<MemRefType>(getBuffer().getType());
  auto row = dyn_cast<RankedTensorType>(getValue().getType());
  int64_t rank = row ? 2 : 1;
  if (buffer.getRank() != rank || buffer.getDimSize(0) != rows.getTasks() ||
      (row && buffer.getDimSize(1) != row.getDimSize(0)))
    return emitOpError("adds into ") << buffer << "; it needs one " << (row ? "row" : "element") << " for each of "
                                     << rows.getTasks() << " tasks";
  if (getElementTypeOrSelf(getValue().getType()) != buffer.getElementType())
    return emitOpError("adds ") << getElementTypeOrSelf(getValue().getType()) << " into " << buffer;
  return success();
}

LogicalResult ScatterOp::verify() {
  auto rows = (*this)->getParentOfType<RowsOp>();
  if (!rows || rows.getOrder() != RowOrder::Sequential)
    return emitOpError("must be inside sequential plan.rows");
  WalkResult result = rows.walk([&](Operation *op) {
    return op != getOperation() && isa<StoreOp, ScatterOp>(op) ? WalkResult::interrupt() : WalkResult::advance();
  });
  if (result.wasInterrupted())
    return emitOpError("must be all that its rows write");
  if (!llvm::hasSingleElement(getBuffer().getUses()))
    return emitOpError("must be all that uses its buffer");
  auto buffer = cast<MemRefType>(getBuffer().getType());
  auto row = cast<RankedTensorType>(getValue().getType());
  if (buffer.getRank() != 2 || buffer.getDimSize(1) != row.getDimSize(0))
    return emitOpError("adds rows of ") << row.getDimSize(0) << " columns into " << buffer;
  Type from = row.getElementType(), to = buffer.getElementType();
  if (from != to && !(from.isF32() && to.isBF16()))
    return emitOpError("adds ") << from << " up into " << to
                                << "; sums of f32 may become bf16, and others stay what they are";
  return success();
}

//===----------------------------------------------------------------------===//
// Products and attention
//===----------------------------------------------------------------------===//

/// A seam is empty, or one block from `inputs` to one value of type `output`.
static LogicalResult verifySeam(Operation *op, Region &seam, StringRef name, ArrayRef<Type> inputs, Type output) {
  if (seam.empty()) {
    if (inputs.size() != 1 || inputs.front() != output)
      return op->emitOpError(name) << " is empty but has to map " << inputs.front() << " to " << output;
    return success();
  }
  if (!seam.hasOneBlock() || !llvm::equal(seam.front().getArgumentTypes(), inputs))
    return op->emitOpError(name) << " must be one block over the stored elements";
  auto yield = seam.front().empty() ? YieldOp() : dyn_cast<YieldOp>(seam.front().back());
  if (!yield)
    return op->emitOpError(name) << " must end with plan.yield";
  if (yield.getValue().getType() != output)
    return op->emitOpError(name) << " must yield " << output;
  return success();
}

/// The buffers of a second factor in four bits, n × k elements.
static LogicalResult verifyDecoding(MatmulOp op, Nf4Attr nf4, int64_t elements) {
  if (!nf4Takes(formatOf(nf4).quantizer, elements))
    return op.emitOpError("decodes ") << elements << " elements; torchao quantizes multiples of 16384";
  if (op.getScales().size() != 3)
    return op.emitOpError("decodes b and needs three scales: absmax, their scales and their offset");
  auto vector = [&](int64_t size, Type element) { return MemRefType::get({size}, element); };
  Type i8 = IntegerType::get(op.getContext(), 8), f32 = Float32Type::get(op.getContext());
  std::pair<Value, MemRefType> expected[] = {{op.getB(), vector(nf4CodeBytes(elements), i8)},
                                             {op.getScales()[0], vector(nf4Blocks(elements), i8)},
                                             {op.getScales()[1], vector(nf4NestedBlocks(elements), f32)},
                                             {op.getScales()[2], vector(1, f32)}};
  for (auto [buffer, type] : expected)
    if (buffer.getType() != type)
      return op.emitOpError("decodes ") << elements << " elements from " << buffer.getType() << " where " << type
                                        << " holds them";
  if (!op.getReadB().empty())
    return op.emitOpError("decodes b, so read_b must be empty");
  return success();
}

static LogicalResult verifyPair(MatmulOp op, MemRefType c) {
  if (op.getPair().empty())
    return op.getTransposePair() ? op.emitOpError("has no second product to transpose") : success();
  if (op.getPair().size() != 2)
    return op.emitOpError("has ") << op.getPair().size() << " buffers of a second product; it takes two";
  auto left = cast<MemRefType>(op.getPair()[0].getType()), right = cast<MemRefType>(op.getPair()[1].getType());
  if (left.getRank() != 2 || right.getRank() != 2)
    return op.emitOpError("works on matrices");
  bool transposed = op.getTransposePair();
  if (left.getDimSize(0) != c.getDimSize(0) || right.getDimSize(transposed ? 0 : 1) != c.getDimSize(1) ||
      left.getDimSize(1) != right.getDimSize(transposed ? 1 : 0))
    return op.emitOpError("has a second product of ") << left << " and " << right << " but c is " << c;
  for (MemRefType type : {left, right})
    if (!type.getElementType().isF32() && !type.getElementType().isBF16())
      return op.emitOpError("has a second product of ") << type.getElementType() << "; it takes f32 and bf16";
  return success();
}

LogicalResult MatmulOp::verify() {
  auto a = cast<MemRefType>(getA().getType()), b = cast<MemRefType>(getB().getType()),
       c = cast<MemRefType>(getC().getType());
  std::optional<Nf4Attr> nf4 = getDecodeB();
  if (a.getRank() != 2 || (b.getRank() != 2 && !nf4) || c.getRank() != 2)
    return emitOpError("works on matrices");
  int64_t m = a.getDimSize(getTransposeA() ? 1 : 0), k = a.getDimSize(getTransposeA() ? 0 : 1);
  if (nf4 && failed(verifyDecoding(*this, *nf4, k * c.getDimSize(1))))
    return failure();
  if (!nf4 && !getScales().empty())
    return emitOpError("has scales but decodes nothing");
  int64_t kb = nf4 ? k : b.getDimSize(getTransposeB() ? 1 : 0);
  int64_t n = nf4 ? c.getDimSize(1) : b.getDimSize(getTransposeB() ? 0 : 1);
  if (k != kb)
    return emitOpError("sums over ") << k << " elements of a but " << kb << " of b";
  if (c.getDimSize(0) != m || c.getDimSize(1) != n)
    return emitOpError("gives ") << m << " x " << n << " but c is " << c;
  SmallVector<Type> stored{Float32Type::get(getContext())};
  for (Value extra : getExtras()) {
    auto type = cast<MemRefType>(extra.getType());
    if (type.getShape() != c.getShape())
      return emitOpError("extra of type ") << type << " is not shaped like c, " << c;
    stored.push_back(type.getElementType());
  }
  if (failed(verifyPair(*this, c)))
    return failure();
  Type f32 = Float32Type::get(getContext());
  if (failed(verifySeam(*this, getReadA(), "read_a", a.getElementType(), f32)) ||
      (!nf4 && failed(verifySeam(*this, getReadB(), "read_b", b.getElementType(), f32))) ||
      failed(verifySeam(*this, getStoreC(), "store_c", stored, c.getElementType())))
    return failure();
  return success();
}

static LogicalResult verifyAttention(Operation *op, Value query, Value key, Value value, Value starts, Value lse,
                                     int64_t batch, int64_t heads, int64_t kvHeads, std::optional<int64_t> window,
                                     std::optional<APFloat> softcap) {
  auto shape = [](Value buffer) { return cast<MemRefType>(buffer.getType()).getShape(); };
  if (shape(query).size() != 2 || shape(key).size() != 2 || shape(value) != shape(key))
    return op->emitOpError("query, key and value are matrices, key and value of one shape");
  auto element = [](Value buffer) { return cast<MemRefType>(buffer.getType()).getElementType(); };
  if ((!element(query).isF32() && !element(query).isBF16()) || element(key) != element(query) ||
      element(value) != element(query))
    return op->emitOpError("elements of query, key and value are all f32 or all bf16, not ")
           << element(query) << ", " << element(key) << " and " << element(value);
  if (!element(starts).isInteger(32) || !element(lse).isF32())
    return op->emitOpError("segment_starts is of i32 and lse of f32, not ")
           << element(starts) << " and " << element(lse);
  int64_t rows = shape(query)[0];
  if (batch < 1 || rows % batch)
    return op->emitOpError("rows ") << rows << " are not a multiple of batch " << batch;
  if (heads < 1 || kvHeads < 1 || heads % kvHeads)
    return op->emitOpError("heads ") << heads << " are not a multiple of kv_heads " << kvHeads;
  if (shape(query)[1] % heads || shape(key)[0] != rows || shape(key)[1] != shape(query)[1] / heads * kvHeads)
    return op->emitOpError("columns of query and key do not agree with heads and kv_heads");
  if (shape(starts) != ArrayRef<int64_t>{rows} || shape(lse) != ArrayRef<int64_t>{rows, heads})
    return op->emitOpError("segment_starts is [rows] and lse is [rows, heads]");
  if (window && *window < 1)
    return op->emitOpError("window ") << *window << " hides a token from itself; it must be at least 1";
  if (softcap && !(softcap->convertToDouble() > 0 && softcap->isFinite()))
    return op->emitOpError("softcap ") << softcap->convertToDouble() << " is not a positive number";
  return success();
}

LogicalResult AttentionOp::verify() {
  if (getOutput().getType() != getQuery().getType())
    return emitOpError("output is not shaped like query");
  return verifyAttention(*this, getQuery(), getKey(), getValue(), getSegmentStarts(), getLse(), getBatch(),
                         getNumHeads(), getNumKvHeads(), getWindow(), getSoftcap());
}

LogicalResult AttentionGradOp::verify() {
  for (Value like : {getOutput(), getGradient(), getQueryGradient()})
    if (like.getType() != getQuery().getType())
      return emitOpError("output and gradients are not shaped like query");
  for (Value like : {getKeyGradient(), getValueGradient()})
    if (like.getType() != getKey().getType())
      return emitOpError("gradients of key and value are not shaped like key");
  return verifyAttention(*this, getQuery(), getKey(), getValue(), getSegmentStarts(), getLse(), getBatch(),
                         getNumHeads(), getNumKvHeads(), getWindow(), getSoftcap());
}

#define GET_OP_CLASSES
#include "dialects/Plan/IR/PlanOps.cpp.inc"
