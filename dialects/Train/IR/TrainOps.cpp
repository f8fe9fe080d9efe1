//===- TrainOps.cpp - Verifiers of train ops ---------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/IR/Train.h"

#include "ftc/Support/QuantizedStates.h"
#include "ftc/Support/Reference.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

//===----------------------------------------------------------------------===//
// Structure
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

/// Rotary tables are [positions, headDim / 2]; what lib/Support/Rotary.h asks of the numbers.
static LogicalResult verifyRotaryInit(VariableOp op, RotaryInitAttr init) {
  RankedTensorType type = op.getTensorType();
  if (init.getHeadDim() < 2 || init.getHeadDim() % 2)
    return op.emitOpError("rotary headDim ") << init.getHeadDim() << " must be even and positive";
  if (type.getRank() != 2 || type.getDimSize(1) != init.getHeadDim() / 2)
    return op.emitOpError("rotary table must be [positions, ") << init.getHeadDim() / 2 << "], not " << type;
  if (type.getDimSize(0) > (int64_t(1) << 20))
    return op.emitOpError("rotary table has more than 2^20 positions");
  auto number = [](FloatAttr attr) { return attr.getValueAsDouble(); };
  if (!(number(init.getBase()) > 0) || !(number(init.getFactor()) > 0) || !(number(init.getLowFactor()) > 0) ||
      !(number(init.getHighFactor()) > number(init.getLowFactor())) || init.getOldContext() < 1)
    return op.emitOpError("rotary numbers must be positive, and highFactor above lowFactor");
  if (DenseF64ArrayAttr divisors = init.getDivisors())
    if (divisors.size() != init.getHeadDim() / 2 ||
        llvm::any_of(divisors.asArrayRef(), [](double x) { return !(x > 0); }))
      return op.emitOpError("rotary divisors must be ") << init.getHeadDim() / 2 << " numbers above 0";
  if (init.getAmplitude() && !(number(init.getAmplitude()) > 0))
    return op.emitOpError("rotary amplitude must be above 0");
  return success();
}

/// A reference is named after the parameter that it is the copy of, and looks like it.
static LogicalResult verifyReference(VariableOp op) {
  StringRef name = op.getSymName();
  auto of = name.consume_front(referencePrefix)
                ? SymbolTable::lookupNearestSymbolFrom<VariableOp>(op, StringAttr::get(op.getContext(), name))
                : VariableOp();
  if (!of || of.getRole() != VariableRole::Parameter ||
      of.getTensorType().getShape() != op.getTensorType().getShape() || of.getInit() != op.getInit())
    return op.emitOpError("is a reference, and must be called \"")
           << StringRef(referencePrefix) << "<parameter>\" and have that parameter's shape and initial values";
  return success();
}

LogicalResult VariableOp::verify() {
  if (getTrainable() && getRole() != VariableRole::Parameter)
    return emitOpError("only parameters are trainable");
  if (getFar() && getRole() != VariableRole::State)
    return emitOpError("only states may live in the far tier");
  if (getRole() == VariableRole::Reference && failed(verifyReference(*this)))
    return failure();
  auto nf4 = dyn_cast<Nf4Type>(getTensorType().getElementType());
  if (nf4) {
    const bool isWeight = getRole() == VariableRole::Parameter || getRole() == VariableRole::Reference;
    if (!isWeight || getTensorType().getRank() != 2)
      return emitOpError("holds ") << getTensorType() << "; only parameters that are matrices are kept in four bits";
    if (getTrainable())
      return emitOpError("is kept in four bits and cannot be trainable");
    if (int64_t elements = getTensorType().getNumElements(); !nf4Takes(formatOf(nf4).quantizer, elements))
      return emitOpError("has ") << elements
                                 << " elements; torchao quantizes multiples of 16384, bitsandbytes any number";
  }
  bool isReal = nf4 || isa<FloatType>(getTensorType().getElementType());
  if (getTrainable() && !isReal)
    return emitOpError("holds integers and cannot be trainable");
  if (auto normal = dyn_cast<NormalInitAttr>(getInit())) {
    if (!isReal || !(normal.getStddev().getValueAsDouble() >= 0))
      return emitOpError("#train.normal fills floats, and its deviation is not negative");
    return success();
  }
  if (auto uniform = dyn_cast<UniformInitAttr>(getInit())) {
    if (!isReal || !(uniform.getBound().getValueAsDouble() >= 0))
      return emitOpError("#train.uniform fills floats, and its bound is not negative");
    return success();
  }
  if (auto rotary = dyn_cast<RotaryInitAttr>(getInit())) {
    if (!isReal)
      return emitOpError("a rotary table holds floats");
    return verifyRotaryInit(*this, rotary);
  }
  if (auto norms = dyn_cast<RowNormsInitAttr>(getInit())) {
    auto of = SymbolTable::lookupNearestSymbolFrom<VariableOp>(*this, norms.getParameter());
    if (!isReal || !of || of.getRole() != VariableRole::Parameter || of.getTensorType().getRank() != 2 ||
        getTensorType().getShape() != of.getTensorType().getShape().take_front())
      return emitOpError("#train.row_norms fills one float for each row of a parameter that is a matrix");
    return success();
  }
  if (!isa<ZerosInitAttr, OnesInitAttr>(getInit()))
    return emitOpError(
        "init must be #train.zeros, #train.ones, #train.normal, #train.uniform, #train.rotary or #train.row_norms");
  return success();
}

Value EntryOp::getInput(StringRef name) {
  for (auto [index, attr] : llvm::enumerate(getInputNames()))
    if (cast<StringAttr>(attr).getValue() == name)
      return getBody().front().getArgument(index);
  return {};
}

/// Names of inputs or outputs are distinct.
static LogicalResult verifyNames(EntryOp op, ArrayAttr names, StringRef what) {
  llvm::StringSet<> seen;
  for (Attribute name : names)
    if (!seen.insert(cast<StringAttr>(name).getValue()).second)
      return op.emitOpError("has two ") << what << " called " << name;
  return success();
}

/// Inputs with a meaning in the step's ABI have the types that the ABI gives them.
static LogicalResult verifyInput(EntryOp op, StringRef name, Type type) {
  Builder builder(op.getContext());
  auto scalar = [](Type element) { return RankedTensorType::get({}, element); };
  if (name == "learning_rate" || name == "inv_tokens") {
    if (type != scalar(builder.getF32Type()) && type != scalar(builder.getF64Type()))
      return op.emitOpError("input ") << name << " is a scalar of f32, not " << type;
  } else if (llvm::is_contained({"step", "micro", "seed", "row", "position"}, name)) {
    if (type != scalar(builder.getI64Type()))
      return op.emitOpError("input ") << name << " is a scalar of i64, not " << type;
  } else if (llvm::is_contained({"tokens", "labels", "positions", "segment_starts"}, name)) {
    auto expected = RankedTensorType::get({int64_t(op.getBatch() * op.getSequence())}, builder.getI32Type());
    if (type != expected)
      return op.emitOpError("input ") << name << " is " << expected << ", not " << type;
  }
  return success();
}

namespace {
/// The variables beside an entry by name. Built once an entry: looking each up alone goes through all of them each
/// time, and this verifier runs after every pass. Not a SymbolTable, which may be built of distinct names only; whether
/// they are is not verified yet.
using Variables = llvm::DenseMap<StringAttr, VariableOp>;
} // namespace

/// The variable that an op in an entry names, if it exists and its type is `type`.
static FailureOr<VariableOp> verifyVariable(const Variables &variables, Operation *op, FlatSymbolRefAttr symbol,
                                            Type type) {
  VariableOp variable = variables.lookup(symbol.getAttr());
  if (!variable)
    return op->emitOpError("names no variable: ") << symbol;
  if (variable.getType() != type)
    return op->emitOpError("uses ") << type << " for variable " << symbol << " of type " << variable.getType();
  return variable;
}

LogicalResult EntryOp::verify() {
  Block &body = getBody().front();
  if (int64_t(getBatch()) < 1 || int64_t(getSequence()) < 1)
    return emitOpError("batch and sequence must be positive");
  if (body.getNumArguments() != getInputNames().size())
    return emitOpError("has ") << body.getNumArguments() << " inputs but " << getInputNames().size() << " names";
  if (failed(verifyNames(*this, getInputNames(), "inputs")) || failed(verifyNames(*this, getOutputNames(), "outputs")))
    return failure();
  for (auto [name, type] : llvm::zip(getInputNames(), body.getArgumentTypes())) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || !tensor.hasStaticShape() || tensor.getNumElements() == 0)
      return emitOpError("input ") << name << " is a tensor of static shape that is not empty, not " << type;
    if (failed(verifyInput(*this, cast<StringAttr>(name).getValue(), type)))
      return failure();
  }
  return success();
}

LogicalResult EntryOp::verifyRegions() {
  Variables variables;
  for (auto variable : (*this)->getBlock()->getOps<VariableOp>())
    variables.try_emplace(variable.getSymNameAttr(), variable);
  llvm::StringSet<> written;
  for (Operation &op : getBody().front()) {
    if (auto read = dyn_cast<ReadOp>(op)) {
      if (failed(verifyVariable(variables, read, read.getVariableAttr(), read.getType())))
        return failure();
      if (written.contains(read.getVariable()))
        return read.emitOpError("stands after a write of ") << read.getVariableAttr();
    } else if (auto write = dyn_cast<WriteOp>(op)) {
      auto variable = verifyVariable(variables, write, write.getVariableAttr(), write.getValue().getType());
      if (failed(variable))
        return failure();
      if (variable->getRole() == VariableRole::Constant)
        return write.emitOpError("writes ") << write.getVariableAttr() << ", which is a constant";
      if (variable->getRole() == VariableRole::Teacher)
        return write.emitOpError("writes ") << write.getVariableAttr() << ", which is a teacher's";
      if (variable->getRole() == VariableRole::Reference)
        return write.emitOpError("writes ") << write.getVariableAttr() << ", which is a reference's";
      if (!written.insert(write.getVariable()).second)
        return write.emitOpError("writes ") << write.getVariableAttr() << " a second time";
    } else if (auto update = dyn_cast<UpdateOp>(op)) {
      auto variable = verifyVariable(variables, update, update.getVariableAttr(), update.getGradient().getType());
      if (failed(variable))
        return failure();
      if (!variable->getTrainable())
        return update.emitOpError("updates ") << update.getVariableAttr() << ", which is not trainable";
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

LogicalResult ConstantOp::verify() {
  // What is one number everywhere needs no memory: kernels hold it in a register.
  if (!getValue().isSplat())
    return emitOpError("holds more than one number; only a splat can be computed with");
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

LogicalResult DropoutOp::verify() {
  double probability = getProbability().convertToDouble();
  if (!(probability >= 0 && probability < 1))
    return emitOpError("probability ") << probability << " is not at least 0 and below 1";
  if (getStream().empty())
    return emitOpError("has a stream without a name, which others would share");
  return success();
}

static LogicalResult verifyCap(Operation *op, const APFloat &cap) {
  const double value = cap.convertToDouble();
  if (!(value > 0) || !std::isfinite(value))
    return op->emitOpError("cap ") << value << " is not above 0 and finite";
  return success();
}

LogicalResult SoftcapOp::verify() { return verifyCap(*this, getCap()); }
LogicalResult SoftcapGradOp::verify() { return verifyCap(*this, getCap()); }

LogicalResult EmbeddingOp::verify() {
  auto table = getTable().getType(), result = getResult().getType();
  if (table.getElementType() != result.getElementType() || table.getDimSize(1) != result.getDimSize(1) ||
      getIds().getType().getDimSize(0) != result.getDimSize(0))
    return emitOpError("result ") << result << " is not the rows of " << table << " for " << getIds().getType();
  return success();
}

LogicalResult EmbeddingGradOp::verify() {
  auto gradient = getGradient().getType(), result = getResult().getType();
  if (gradient.getElementType() != result.getElementType())
    return emitOpError("adds ") << gradient.getElementType() << " into a table of " << result.getElementType();
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

static LogicalResult verifyNorm(Operation *op, RankedTensorType input, RankedTensorType weight, const APFloat &eps) {
  if (input.getDimSize(1) % weight.getDimSize(0) != 0)
    return op->emitOpError("weight ") << weight << " does not fit the columns of " << input;
  if (!(eps.convertToDouble() >= 0))
    return op->emitOpError("eps must not be negative");
  return success();
}

LogicalResult RmsNormOp::verify() { return verifyNorm(*this, getInput().getType(), getWeight().getType(), getEps()); }
LogicalResult RmsNormGradOp::verify() {
  return verifyNorm(*this, getInput().getType(), getWeight().getType(), getEps());
}

/// Statistics are fp32, or fp64 beside fp64 tensors.
static LogicalResult verifyStatistics(Operation *op, RankedTensorType of, RankedTensorType statistics, StringRef name) {
  if (statistics.getElementType().isF64() != of.getElementType().isF64())
    return op->emitOpError(name) << " of " << of << " cannot be " << statistics
                                 << "; it is f64 for f64 and f32 otherwise";
  return success();
}

/// One element a column, of the type of the others.
static LogicalResult verifyColumns(Operation *op, RankedTensorType matrix, RankedTensorType columns, StringRef what) {
  if (columns.getDimSize(0) != matrix.getDimSize(1) || columns.getElementType() != matrix.getElementType())
    return op->emitOpError(what) << " " << columns << " is not one element of each column of " << matrix;
  return success();
}

LogicalResult AddBiasOp::verify() { return verifyColumns(*this, getInput().getType(), getBias().getType(), "bias"); }
LogicalResult ColumnSumsOp::verify() {
  return verifyColumns(*this, getInput().getType(), getResult().getType(), "result");
}

static LogicalResult verifyColumnFactors(Operation *op, RankedTensorType input, RankedTensorType factors) {
  if (factors.getDimSize(0) != input.getDimSize(1))
    return op->emitOpError("factors ") << factors << " do not fit the columns of " << input;
  return verifyStatistics(op, input, factors, "factors");
}

LogicalResult ScaleColumnsOp::verify() {
  return verifyColumnFactors(*this, getInput().getType(), getFactors().getType());
}
LogicalResult ScaleColumnsGradOp::verify() {
  return verifyColumnFactors(*this, getInput().getType(), getFactors().getType());
}

LogicalResult InverseNormOp::verify() {
  auto base = getBase().getType(), b = getB().getType(), p = getP().getType(), q = getQ().getType();
  if (b.getDimSize(0) != base.getDimSize(0))
    return emitOpError("b ") << b << " has not a row for each norm of " << base;
  if (q.getShape() != b.getShape())
    return emitOpError("q ") << q << " is not shaped like b, " << b;
  if (p.getDimSize(0) != b.getDimSize(1) || p.getDimSize(1) != b.getDimSize(0))
    return emitOpError("p ") << p << " is not shaped like b transposed, " << b;
  return verifyStatistics(*this, b, base, "norms");
}

LogicalResult RotaryOp::verify() {
  auto input = getInput().getType(), cos = getCos().getType();
  int64_t headDim = getHeadDim();
  if (headDim < 2 || headDim % 2 || input.getDimSize(1) % headDim)
    return emitOpError("head_dim ") << headDim << " must be even and divide the columns of " << input;
  if (cos != getSin().getType() || cos.getDimSize(1) < 1 || cos.getDimSize(1) > headDim / 2)
    return emitOpError("tables must be [positions, 1 to ") << headDim / 2 << "], not " << cos;
  if (getPositions().getType().getDimSize(0) != input.getDimSize(0))
    return emitOpError("needs one position for each row of ") << input;
  return success();
}

static LogicalResult verifyAttention(Operation *op, RankedTensorType query, RankedTensorType key,
                                     RankedTensorType starts, RankedTensorType lse, int64_t batch, int64_t heads,
                                     int64_t kvHeads, std::optional<int64_t> window, std::optional<APFloat> softcap) {
  int64_t rows = query.getDimSize(0);
  if (batch < 1 || rows % batch)
    return op->emitOpError("rows ") << rows << " are not a multiple of batch " << batch;
  if (heads < 1 || kvHeads < 1 || heads % kvHeads)
    return op->emitOpError("heads ") << heads << " are not a multiple of kv_heads " << kvHeads;
  if (query.getElementType() != key.getElementType())
    return op->emitOpError("elements of query are ")
           << query.getElementType() << " but those of key " << key.getElementType();
  if (query.getDimSize(1) % heads || key.getDimSize(0) != rows ||
      key.getDimSize(1) != query.getDimSize(1) / heads * kvHeads)
    return op->emitOpError("columns of query ")
           << query << " and key " << key << " do not agree with heads and kv_heads";
  if (starts.getDimSize(0) != rows || lse.getShape() != ArrayRef<int64_t>{rows, heads})
    return op->emitOpError("segment_starts is [rows] and lse is [rows, heads]");
  if (window && *window < 1)
    return op->emitOpError("window ") << *window << " hides a token from itself; it must be at least 1";
  if (softcap && !(softcap->convertToDouble() > 0 && softcap->isFinite()))
    return op->emitOpError("softcap ") << softcap->convertToDouble() << " is not a positive number";
  return verifyStatistics(op, query, lse, "lse");
}

LogicalResult AttentionOp::verify() {
  return verifyAttention(*this, getQuery().getType(), getKey().getType(), getSegmentStarts().getType(),
                         getLse().getType(), getBatch(), getNumHeads(), getNumKvHeads(), getWindow(), getSoftcap());
}

LogicalResult AttentionGradOp::verify() {
  return verifyAttention(*this, getQuery().getType(), getKey().getType(), getSegmentStarts().getType(),
                         getLse().getType(), getBatch(), getNumHeads(), getNumKvHeads(), getWindow(), getSoftcap());
}

static LogicalResult verifyLoss(Operation *op, RankedTensorType logits, RankedTensorType labels, RankedTensorType lse) {
  int64_t rows = logits.getDimSize(0);
  if (labels.getDimSize(0) != rows || lse.getShape() != ArrayRef<int64_t>{rows})
    return op->emitOpError("labels and lse need one element for each row of ") << logits;
  return verifyStatistics(op, logits, lse, "lse");
}

LogicalResult CrossEntropyOp::verify() {
  if (getLoss().getType() != getInvTokens().getType())
    return emitOpError("loss is ") << getLoss().getType() << " but inv_tokens " << getInvTokens().getType();
  return verifyLoss(*this, getLogits().getType(), getLabels().getType(), getLse().getType());
}
LogicalResult CrossEntropyGradOp::verify() {
  if (getGradient().getType() != getInvTokens().getType())
    return emitOpError("gradient is ") << getGradient().getType() << " but inv_tokens " << getInvTokens().getType();
  return verifyLoss(*this, getLogits().getType(), getLabels().getType(), getLse().getType());
}

//===----------------------------------------------------------------------===//
// Gradient norm and optimizers
//===----------------------------------------------------------------------===//

LogicalResult SumSquaresOp::verify() {
  if (getBase().getType() != getResult().getType())
    return emitOpError("result ") << getResult().getType() << " is not of the type of its base, "
                                  << getBase().getType();
  return success();
}

LogicalResult ClipFactorOp::verify() {
  if (getNorm().getType() != getSumSquares().getType() || getFactor().getType() != getSumSquares().getType())
    return emitOpError("norm and factor have the type of the sum of squares, ") << getSumSquares().getType();
  if (!(getMaxNorm().convertToDouble() > 0))
    return emitOpError("max_norm must be positive");
  return success();
}

LogicalResult SGDOp::verify() {
  if (!(getOptimizer().getWeightDecay().getValueAsDouble() >= 0))
    return emitOpError("weightDecay must not be negative");
  return success();
}

LogicalResult SGDMomentumOp::verify() {
  if (getBuffer().getType().getShape() != getParameter().getType().getShape())
    return emitOpError("a momentum buffer of type ")
           << getBuffer().getType() << " does not fit the parameter, " << getParameter().getType();
  SGDMomentumAttr attr = getOptimizer();
  if (!(attr.getWeightDecay().getValueAsDouble() >= 0) || !(attr.getMomentum().getValueAsDouble() >= 0))
    return emitOpError("weightDecay and momentum must not be negative");
  if (attr.getNesterov() && attr.getDampening().getValueAsDouble() != 0)
    return emitOpError("Nesterov's momentum has no dampening");
  return success();
}

LogicalResult StochasticRoundOp::verify() {
  if (getInput().getType().getShape() != getResult().getType().getShape())
    return emitOpError("rounds ") << getInput().getType() << " to another shape, " << getResult().getType();
  return success();
}

static LogicalResult verifyNumbers(Operation *op, AdamWAttr attr) {
  auto number = [](FloatAttr attr) { return attr.getValueAsDouble(); };
  for (double beta : {number(attr.getBeta1()), number(attr.getBeta2())})
    if (!(beta >= 0 && beta < 1))
      return op->emitOpError("beta1 and beta2 must be at least 0 and below 1");
  if (!(number(attr.getWeightDecay()) >= 0) || !(number(attr.getEps()) >= 0))
    return op->emitOpError("weightDecay and eps must not be negative");
  return success();
}

LogicalResult AdamWOp::verify() {
  if (getExpAvg().getType().getShape() != getParameter().getType().getShape())
    return emitOpError("moments of type ")
           << getExpAvg().getType() << " do not fit the parameter, " << getParameter().getType();
  return verifyNumbers(*this, getOptimizer());
}

LogicalResult AdamWQuantizedOp::verify() {
  RankedTensorType type = getParameter().getType();
  if (type.getElementType().isF64())
    return emitOpError("computes in fp32, and does not update ") << type;
  const auto format = static_cast<ftc::StateFormat>(getFormat());
  const int64_t block = stateBlock(format), bytes = stateBlockBytes(format);
  if (type.getNumElements() % block != 0)
    return emitOpError("needs a multiple of ") << block << " elements, which " << type << " does not have";
  int64_t blocks = type.getNumElements() / block;
  if (getExpAvg().getType().getShape() != ArrayRef<int64_t>{blocks, bytes})
    return emitOpError("codes of type ") << getExpAvg().getType() << " do not fit the parameter, " << type
                                         << "; they are " << blocks << " x " << bytes;
  if (getExpAvgScale().getType().getDimSize(0) != blocks)
    return emitOpError("needs ") << blocks << " scales, not " << getExpAvgScale().getType();
  return verifyNumbers(*this, getOptimizer());
}

#define GET_OP_CLASSES
#include "dialects/Train/IR/TrainOps.cpp.inc"
