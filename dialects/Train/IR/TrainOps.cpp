//===- TrainOps.cpp - Verifiers and row-wise facts of train ops --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/IR/Train.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

LogicalResult VariableOp::verify() {
  if (!getTensorType().hasStaticShape())
    return emitOpError("needs a static shape");
  if (getTrainable() && getRole() != VariableRole::Parameter)
    return emitOpError("only parameters are trainable");
  if (!isa<ZerosInitAttr, OnesInitAttr, NormalInitAttr, RotaryInitAttr>(getInit()))
    return emitOpError("init must be #train.zeros, #train.ones, #train.normal or #train.rotary");
  return success();
}

Value EntryOp::getInput(StringRef name) {
  for (auto [index, attr] : llvm::enumerate(getInputNames()))
    if (cast<StringAttr>(attr).getValue() == name)
      return getBody().front().getArgument(index);
  return {};
}

LogicalResult EntryOp::verify() {
  Block &body = getBody().front();
  if (body.getNumArguments() != getInputNames().size())
    return emitOpError("has ") << body.getNumArguments() << " inputs but " << getInputNames().size() << " names";
  llvm::StringMap<bool> written;
  for (Operation &op : body) {
    auto checkSymbol = [&](FlatSymbolRefAttr symbol, Type type) -> LogicalResult {
      auto variable = SymbolTable::lookupNearestSymbolFrom<VariableOp>(*this, symbol);
      if (!variable)
        return op.emitOpError("names no variable: ") << symbol;
      if (variable.getType() != type)
        return op.emitOpError("uses ") << type << " for variable " << symbol << " of type " << variable.getType();
      return success();
    };
    if (auto read = dyn_cast<ReadOp>(op)) {
      if (failed(checkSymbol(read.getVariableAttr(), read.getType())))
        return failure();
      if (written.contains(read.getVariable()))
        return read.emitOpError("stands after a write of ") << read.getVariableAttr();
    } else if (auto write = dyn_cast<WriteOp>(op)) {
      if (failed(checkSymbol(write.getVariableAttr(), write.getValue().getType())))
        return failure();
      if (!written.try_emplace(write.getVariable(), true).second)
        return write.emitOpError("writes ") << write.getVariableAttr() << " a second time";
    } else if (auto update = dyn_cast<UpdateOp>(op)) {
      if (failed(checkSymbol(update.getVariableAttr(), update.getGradient().getType())))
        return failure();
    }
  }
  return success();
}

LogicalResult ReturnOp::verify() {
  auto entry = cast<EntryOp>((*this)->getParentOp());
  if (entry.getOutputNames().size() != getNumOperands())
    return emitOpError("returns ") << getNumOperands() << " values but the entry names "
                                   << entry.getOutputNames().size() << " outputs";
  return success();
}

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

//===----------------------------------------------------------------------===//
// Fused groups
//===----------------------------------------------------------------------===//

ParseResult FusedOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, [&]() -> ParseResult {
        OpAsmParser::Argument argument;
        OpAsmParser::UnresolvedOperand operand;
        if (parser.parseArgument(argument) || parser.parseEqual() || parser.parseOperand(operand))
          return failure();
        arguments.push_back(argument);
        operands.push_back(operand);
        return success();
      }))
    return failure();
  FunctionType type;
  SMLoc location = parser.getCurrentLocation();
  if (parser.parseColonType(type) || parser.parseOptionalAttrDictWithKeyword(result.attributes) ||
      parser.resolveOperands(operands, type.getInputs(), location, result.operands))
    return failure();
  for (auto [argument, argumentType] : llvm::zip(arguments, type.getInputs()))
    argument.type = argumentType;
  result.addTypes(type.getResults());
  return parser.parseRegion(*result.addRegion(), arguments);
}

void FusedOp::print(OpAsmPrinter &printer) {
  printer << '(';
  llvm::interleaveComma(llvm::zip(getBody().front().getArguments(), getInputs()), printer,
                        [&](auto pair) { printer << std::get<0>(pair) << " = " << std::get<1>(pair); });
  printer << ") : " << FunctionType::get(getContext(), getInputs().getTypes(), getOutputs().getTypes());
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs());
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

LogicalResult FusedOp::verify() {
  Block &body = getBody().front();
  if (!llvm::equal(body.getArgumentTypes(), getInputs().getTypes()))
    return emitOpError("arguments of the body do not match the inputs");
  auto yield = dyn_cast<YieldOp>(body.getTerminator());
  if (!yield || !llvm::equal(yield.getValues().getTypes(), getOutputs().getTypes()))
    return emitOpError("results do not match what the body yields");
  if (body.without_terminator().empty())
    return emitOpError("is an empty group");
  int64_t rows = -1, columns = -1;
  for (Operation &op : body.without_terminator()) {
    auto rowWise = dyn_cast<RowWiseOpInterface>(op);
    if (!rowWise)
      return op.emitOpError("is not row-wise and cannot be in a fused group");
    if (rows != -1 && rowWise.getRows() != rows)
      return op.emitOpError("has ") << rowWise.getRows() << " rows in a group of " << rows;
    if (columns != -1 && columnsPerRow(rowWise) != columns)
      return op.emitOpError("has ") << columnsPerRow(rowWise) << " columns in a group of " << columns;
    rows = rowWise.getRows();
    columns = columnsPerRow(rowWise);
    for (OpOperand &operand : op.getOpOperands()) {
      Operation *producer = operand.get().getDefiningOp();
      if (!producer || producer->getBlock() != &body)
        continue;
      if (!rowWise.isRowOperand(operand.getOperandNumber()) ||
          !cast<RowWiseOpInterface>(producer).isRowResult(cast<OpResult>(operand.get()).getResultNumber()))
        return op.emitOpError("reads a value of its group that is not of its own row");
    }
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

LogicalResult MatmulOp::verify() {
  auto a = getA().getType(), b = getB().getType(), c = getResult().getType();
  int64_t m = a.getDimSize(getTransposeA() ? 1 : 0), k = a.getDimSize(getTransposeA() ? 0 : 1);
  int64_t kb = b.getDimSize(getTransposeB() ? 1 : 0), n = b.getDimSize(getTransposeB() ? 0 : 1);
  if (k != kb)
    return emitOpError("sums over ") << k << " elements of a but " << kb << " of b";
  if (c.getDimSize(0) != m || c.getDimSize(1) != n)
    return emitOpError("gives ") << m << " x " << n << " but its result is " << c;
  return success();
}

LogicalResult EmbeddingOp::verify() {
  auto table = getTable().getType(), result = getResult().getType();
  if (table.getElementType() != result.getElementType() || table.getDimSize(1) != result.getDimSize(1) ||
      getIds().getType().getDimSize(0) != result.getDimSize(0))
    return emitOpError("result ") << result << " is not the rows of " << table << " for " << getIds().getType();
  return success();
}

LogicalResult EmbeddingGradOp::verify() {
  auto gradient = getGradient().getType(), result = getResult().getType();
  if (gradient.getDimSize(1) != result.getDimSize(1) || getIds().getType().getDimSize(0) != gradient.getDimSize(0))
    return emitOpError("gradient ") << gradient << " is not rows of " << result << " for " << getIds().getType();
  if (getBase() && getBase().getType() != result)
    return emitOpError("base ") << getBase().getType() << " is not of the result's type " << result;
  return success();
}

LogicalResult GatherRowOp::verify() {
  auto input = getInput().getType(), result = getResult().getType();
  if (result.getDimSize(0) != 1 || result.getDimSize(1) != input.getDimSize(1) ||
      result.getElementType() != input.getElementType())
    return emitOpError("result ") << result << " is not one row of " << input;
  return success();
}

static LogicalResult verifyNorm(Operation *op, RankedTensorType input, RankedTensorType weight) {
  if (weight.getDimSize(0) != input.getDimSize(1))
    return op->emitOpError("weight ") << weight << " does not fit the columns of " << input;
  return success();
}

LogicalResult RmsNormOp::verify() { return verifyNorm(*this, getInput().getType(), getWeight().getType()); }
LogicalResult RmsNormGradOp::verify() { return verifyNorm(*this, getInput().getType(), getWeight().getType()); }

LogicalResult RotaryOp::verify() {
  auto input = getInput().getType(), cos = getCos().getType();
  int64_t headDim = getHeadDim();
  if (headDim < 2 || headDim % 2 || input.getDimSize(1) % headDim)
    return emitOpError("head_dim ") << headDim << " must be even and divide the columns of " << input;
  if (cos != getSin().getType() || cos.getDimSize(1) != headDim / 2)
    return emitOpError("tables must be [positions, ") << headDim / 2 << "], not " << cos;
  if (getPositions().getType().getDimSize(0) != input.getDimSize(0))
    return emitOpError("needs one position for each row of ") << input;
  return success();
}

static LogicalResult verifyAttention(Operation *op, RankedTensorType query, RankedTensorType key,
                                     RankedTensorType starts, RankedTensorType lse, int64_t batch, int64_t heads,
                                     int64_t kvHeads) {
  int64_t rows = query.getDimSize(0);
  if (batch < 1 || rows % batch)
    return op->emitOpError("rows ") << rows << " are not a multiple of batch " << batch;
  if (heads < 1 || kvHeads < 1 || heads % kvHeads)
    return op->emitOpError("heads ") << heads << " are not a multiple of kv_heads " << kvHeads;
  if (query.getDimSize(1) % heads || key.getDimSize(0) != rows ||
      key.getDimSize(1) != query.getDimSize(1) / heads * kvHeads)
    return op->emitOpError("columns of query ")
           << query << " and key " << key << " do not agree with heads and kv_heads";
  if (starts.getDimSize(0) != rows || lse.getShape() != ArrayRef<int64_t>{rows, heads})
    return op->emitOpError("segment_starts is [rows] and lse is [rows, heads]");
  return success();
}

LogicalResult AttentionOp::verify() {
  return verifyAttention(*this, getQuery().getType(), getKey().getType(), getSegmentStarts().getType(),
                         getLse().getType(), getBatch(), getNumHeads(), getNumKvHeads());
}

LogicalResult AttentionGradOp::verify() {
  return verifyAttention(*this, getQuery().getType(), getKey().getType(), getSegmentStarts().getType(),
                         getLse().getType(), getBatch(), getNumHeads(), getNumKvHeads());
}

static LogicalResult verifyLoss(Operation *op, RankedTensorType logits, RankedTensorType labels, RankedTensorType lse) {
  int64_t rows = logits.getDimSize(0);
  if (labels.getDimSize(0) != rows || lse.getShape() != ArrayRef<int64_t>{rows})
    return op->emitOpError("labels and lse need one element for each row of ") << logits;
  return success();
}

LogicalResult CrossEntropyOp::verify() {
  return verifyLoss(*this, getLogits().getType(), getLabels().getType(), getLse().getType());
}
LogicalResult CrossEntropyGradOp::verify() {
  return verifyLoss(*this, getLogits().getType(), getLabels().getType(), getLse().getType());
}

//===----------------------------------------------------------------------===//
// Canonicalization
//===----------------------------------------------------------------------===//

namespace {
/// add(embedding_grad(ids, g), base) → embedding_grad(ids, g) onto base: tied embeddings need no second table.
struct AddIntoEmbeddingGrad : OpRewritePattern<AddOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AddOp op, PatternRewriter &rewriter) const override {
    for (auto [table, base] : {std::pair(op.getLhs(), op.getRhs()), std::pair(op.getRhs(), op.getLhs())}) {
      auto grad = table.getDefiningOp<EmbeddingGradOp>();
      if (!grad || grad.getBase() || !grad->hasOneUse())
        continue;
      rewriter.replaceOpWithNewOp<EmbeddingGradOp>(op, op.getType(), grad.getIds(), grad.getGradient(), base);
      return success();
    }
    return failure();
  }
};
} // namespace

void AddOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<AddIntoEmbeddingGrad>(context);
}

//===----------------------------------------------------------------------===//
// Row-wise facts
//===----------------------------------------------------------------------===//

// Element-wise ops: every operand that is shaped like the first is a row operand; scalars are not.
#define FTC_ELEMENTWISE(OP)                                                                                            \
  int64_t OP::getRows() { return rowsOf((*this)->getOperand(0).getType()); }                                           \
  bool OP::isRowOperand(unsigned index) {                                                                              \
    auto like = cast<RankedTensorType>((*this)->getOperand(0).getType());                                              \
    auto type = cast<RankedTensorType>((*this)->getOperand(index).getType());                                          \
    return index == 0 || (like.getRank() > 0 && type.getShape() == like.getShape());                                   \
  }                                                                                                                    \
  bool OP::isRowResult(unsigned) { return true; }

FTC_ELEMENTWISE(AddOp)
FTC_ELEMENTWISE(CastOp)
FTC_ELEMENTWISE(ScaleOp)
FTC_ELEMENTWISE(SwiGLUOp)
FTC_ELEMENTWISE(SwiGLUGradOp)
FTC_ELEMENTWISE(SGDOp)
FTC_ELEMENTWISE(AdamWOp)
FTC_ELEMENTWISE(ClipFactorOp)
#undef FTC_ELEMENTWISE

int64_t EmbeddingOp::getRows() { return getResult().getType().getDimSize(0); }
bool EmbeddingOp::isRowOperand(unsigned index) { return index == 1; }
bool EmbeddingOp::isRowResult(unsigned) { return true; }

int64_t RmsNormOp::getRows() { return getInput().getType().getDimSize(0); }
bool RmsNormOp::isRowOperand(unsigned index) { return index == 0; }
bool RmsNormOp::isRowResult(unsigned) { return true; }

int64_t RmsNormGradOp::getRows() { return getInput().getType().getDimSize(0); }
bool RmsNormGradOp::isRowOperand(unsigned index) { return index != 1; }
bool RmsNormGradOp::isRowResult(unsigned index) { return index == 0; }

int64_t CrossEntropyOp::getRows() { return getLogits().getType().getDimSize(0); }
bool CrossEntropyOp::isRowOperand(unsigned index) { return index < 2; }
bool CrossEntropyOp::isRowResult(unsigned index) { return index == 2; }

int64_t CrossEntropyGradOp::getRows() { return getLogits().getType().getDimSize(0); }
bool CrossEntropyGradOp::isRowOperand(unsigned index) { return index < 3; }
bool CrossEntropyGradOp::isRowResult(unsigned) { return true; }

int64_t SumSquaresOp::getRows() { return rowsOf(getInput().getType()); }
bool SumSquaresOp::isRowOperand(unsigned index) { return index == 0; }
bool SumSquaresOp::isRowResult(unsigned) { return false; }

#define GET_OP_CLASSES
#include "dialects/Train/IR/TrainOps.cpp.inc"
