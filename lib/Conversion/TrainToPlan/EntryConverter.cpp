//===- EntryConverter.cpp - One entry from train to plan ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/TrainToPlan/EntryConverter.h"

#include "llvm/ADT/TypeSwitch.h"

#include <numeric>

using namespace mlir;
using namespace ftc;

std::string ftc::labelOf(Operation *op) {
  std::string name;
  op->getLoc()->walk([&](Location loc) {
    auto named = dyn_cast<NameLoc>(loc);
    if (named)
      name = named.getName().str();
    return named ? WalkResult::interrupt() : WalkResult::advance();
  });
  std::string what;
  if (auto group = dyn_cast<train::FusedOp>(op)) {
    for (Operation &inner : group.getBody().front().without_terminator())
      what += (what.empty() ? "" : ", ") + inner.getName().stripDialect().str();
  } else {
    what = op->getName().stripDialect().str();
  }
  return name.empty() ? what : name + " " + what;
}

EntryConverter::EntryConverter(KernelTable &kernels, train::EntryOp source, plan::EntryOp target)
    : kernels(kernels), source(source), builder(OpBuilder::atBlockEnd(&target.getBody().front())), farCopies(builder) {}

//===----------------------------------------------------------------------===//
// Analysis
//===----------------------------------------------------------------------===//

/// Ops of a group, or the one op.
static SmallVector<Operation *> rowOpsOf(Operation *op) {
  SmallVector<Operation *> ops;
  if (auto group = dyn_cast<train::FusedOp>(op)) {
    for (Operation &inner : group.getBody().front().without_terminator())
      ops.push_back(&inner);
  } else {
    ops.push_back(op);
  }
  return ops;
}

/// Whether every use of `operand` by launch `op` reads it at the row being computed.
bool EntryConverter::isRowOperandOnly(Operation *op, Value operand) {
  for (OpOperand &use : op->getOpOperands()) {
    if (use.get() != operand)
      continue;
    if (auto group = dyn_cast<train::FusedOp>(op)) {
      for (OpOperand &inner : group.getBody().front().getArgument(use.getOperandNumber()).getUses()) {
        auto rowWise = dyn_cast<train::RowWiseOpInterface>(inner.getOwner());
        if (rowWise && !rowWise.isRowOperand(inner.getOperandNumber()))
          return false;
      }
      continue;
    }
    auto rowWise = dyn_cast<train::RowWiseOpInterface>(op);
    // Ops with rows of their own: a head, a block of codes.
    bool ownRow = (isa<train::RotaryOp>(op) && use.getOperandNumber() == 0) ||
                  (isa<train::AdamWQuantizedOp>(op) && use.getOperandNumber() < 6);
    if (!ownRow && (!rowWise || !rowWise.isRowOperand(use.getOperandNumber())))
      return false;
  }
  return true;
}

bool EntryConverter::isRowResult(OpResult result) {
  if (auto group = dyn_cast<train::FusedOp>(result.getOwner())) {
    Value inner = group.getBody().front().getTerminator()->getOperand(result.getResultNumber());
    auto produced = dyn_cast<OpResult>(inner);
    return !produced || isRowResult(produced);
  }
  if (isa<train::RotaryOp, train::AdamWQuantizedOp>(result.getOwner()))
    return true;
  auto rowWise = dyn_cast<train::RowWiseOpInterface>(result.getOwner());
  return rowWise && rowWise.isRowResult(result.getResultNumber());
}

/// A value may be computed straight into the variable where nobody needs the old value any more: every launch that
/// reads it stands before, or is the producer itself, reading it in the very row that it writes. What is written to
/// another variable is read at the end, and what goes to the far tier is read until somebody waits.
bool EntryConverter::mayWriteInPlace(Value written, ArrayRef<train::ReadOp> reads) {
  auto result = dyn_cast<OpResult>(written);
  if (!result || writtenInPlace.contains(written) ||
      isa<train::ReadOp, train::ConstantOp, train::SliceRowsOp, train::ConcatRowsOp, train::PrefetchOp>(
          result.getOwner()))
    return false;
  Operation *producer = result.getOwner();
  for (train::ReadOp read : reads) {
    // A slice of the variable is the variable's memory.
    SmallVector<Operation *> users(read->getUsers());
    for (size_t i = 0; i < users.size(); ++i)
      if (isa<train::SliceRowsOp>(users[i])) {
        llvm::append_range(users, users[i]->getUsers());
        if (llvm::is_contained(users[i]->getUsers(), producer))
          return false;
      }
    for (Operation *user : users) {
      if (order[user] > order[producer] || isa<train::WriteOp, train::OffloadOp>(user))
        return false;
      if (user == producer && (!isRowResult(result) || !isRowOperandOnly(producer, read.getValue())))
        return false;
    }
  }
  return true;
}

void EntryConverter::findInPlaceWrites() {
  llvm::StringMap<SmallVector<train::ReadOp>> reads;
  for (auto read : source.getBody().front().getOps<train::ReadOp>())
    reads[read.getVariable()].push_back(read);
  for (auto write : source.getBody().front().getOps<train::WriteOp>()) {
    if (mayWriteInPlace(write.getValue(), reads[write.getVariable()]))
      writtenInPlace[write.getValue()] = write.getVariable();
    else
      copiedAtEnd.push_back(write);
  }
}

/// A value as the entry knows it: arguments of groups stand for the group's operands. Where an update is made in
/// another precision, the value before it was widened.
static Value outsideOf(Value value) {
  if (auto first = value.getDefiningOp<train::FirstStepOp>())
    return outsideOf(first.getInitial());
  if (auto wide = value.getDefiningOp<train::CastOp>(); wide && wide.getResult().getType().getElementType().isF32())
    return outsideOf(wide.getInput());
  auto argument = dyn_cast<BlockArgument>(value);
  auto group = argument ? dyn_cast<train::FusedOp>(argument.getOwner()->getParentOp()) : train::FusedOp();
  return group ? group.getInputs()[argument.getArgNumber()] : value;
}

void EntryConverter::findGradients() {
  auto note = [&](Value parameter, Value gradient) {
    auto read = outsideOf(parameter).getDefiningOp<train::ReadOp>();
    // The gradient of an embedding may be added onto that of a product.
    for (Value value = outsideOf(gradient); read && value;) {
      gradientOf[value] = read.getVariable().str();
      auto scattered = value.getDefiningOp<train::EmbeddingGradOp>();
      value = scattered ? scattered.getBase() : Value();
    }
  };
  source.getBody().walk([&](Operation *op) {
    if (auto adamw = dyn_cast<train::AdamWOp>(op))
      note(adamw.getParameter(), adamw.getGradient());
    else if (auto adamw = dyn_cast<train::AdamWQuantizedOp>(op))
      note(adamw.getParameter(), adamw.getGradient());
    else if (auto sgd = dyn_cast<train::SGDOp>(op))
      note(sgd.getParameter(), sgd.getGradient());
    else if (auto momentum = dyn_cast<train::SGDMomentumOp>(op))
      note(momentum.getParameter(), momentum.getGradient());
  });
}

void EntryConverter::findLastUses() {
  for (auto [index, op] : llvm::enumerate(source.getBody().front()))
    order[&op] = index;
  for (Operation &op : source.getBody().front())
    for (OpOperand &operand : op.getOpOperands()) {
      // What a copy waits for is not read by it.
      if (isa<train::PrefetchOp>(op) && operand.getOperandNumber() == 1)
        continue;
      bool end = isa<train::ReturnOp, train::WriteOp>(op);
      // Whoever reads a slice reads what it is a slice of.
      for (Value value = operand.get(); value;) {
        int64_t &last = lastUse.try_emplace(value, -1).first->second;
        last = std::max(last, end ? atEnd : order[&op]);
        auto slice = value.getDefiningOp<train::SliceRowsOp>();
        value = slice ? slice.getInput() : Value();
      }
    }
}

void EntryConverter::findPartsOfConcats() {
  for (auto concat : source.getBody().front().getOps<train::ConcatRowsOp>()) {
    int64_t first = 0;
    for (Value part : concat.getParts()) {
      auto result = dyn_cast<OpResult>(part);
      if (result && part.hasOneUse() &&
          !isa<train::ReadOp, train::ConstantOp, train::SliceRowsOp, train::PrefetchOp>(result.getOwner()))
        partsOfConcats[part] = {concat, first};
      first += cast<RankedTensorType>(part.getType()).getDimSize(0);
    }
  }
}

bool EntryConverter::diesAt(Value value, Operation *op) {
  auto found = lastUse.find(value);
  return found != lastUse.end() && found->second == order[op];
}

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

MemRefType EntryConverter::bufferType(Type tensor) {
  auto type = cast<RankedTensorType>(tensor);
  if (isa<train::Nf4Type>(type.getElementType()))
    return piecesOf(type).front().second;
  return MemRefType::get(type.getShape(), type.getElementType());
}

Value EntryConverter::alloc(Type type, const Twine &label) {
  return plan::AllocOp::create(builder, source.getLoc(), type, builder.getStringAttr(label));
}

Value EntryConverter::variable(StringRef name, MemRefType type) {
  Value &buffer = variables[name];
  if (!buffer)
    buffer = plan::ReadVariableOp::create(builder, source.getLoc(), type, name);
  return buffer;
}

Place EntryConverter::placeOf(Value value) {
  Place &place = places[value];
  if (place.buffer || place.constant)
    return place;
  if (auto read = value.getDefiningOp<train::ReadOp>())
    place.buffer = variable(read.getVariable(), bufferType(read.getType()));
  else if (auto constant = value.getDefiningOp<train::ConstantOp>())
    place.constant = constant.getValue();
  return place;
}

Value EntryConverter::bufferOf(Value value) {
  Place place = placeOf(value);
  if (place.buffer)
    return place.buffer;
  Value buffer = alloc(bufferType(value.getType()), "constant");
  emitFill(value.getLoc(), cast<TypedAttr>(place.constant.getSplatValue<Attribute>()), buffer, "constant");
  // The constant stays a constant for bodies that can spell it out.
  return buffer;
}

Value EntryConverter::resultBuffer(OpResult result, ArrayRef<Value> reusable, const Twine &label) {
  auto write = writtenInPlace.find(result);
  if (write != writtenInPlace.end())
    return variable(write->second, bufferType(result.getType()));
  MemRefType type = bufferType(result.getType());
  auto part = partsOfConcats.find(result);
  if (part != partsOfConcats.end()) {
    auto [concat, first] = part->second;
    Value whole = places.lookup(concat.getResult()).buffer;
    if (!whole) {
      whole = resultBuffer(cast<OpResult>(concat.getResult()), {}, labelOf(concat));
      places[concat.getResult()].buffer = whole;
    }
    return plan::SliceOp::create(builder, source.getLoc(), type, whole, first);
  }
  Value made;
  for (Value operand : reusable) {
    Value buffer = placeOf(operand).buffer;
    if (buffer && buffer.getType() == type && buffer.getDefiningOp<plan::AllocOp>() &&
        diesAt(operand, result.getOwner()) && !farCopies.isSource(buffer) && taken.insert(buffer).second) {
      made = buffer;
      break;
    }
  }
  if (!made)
    made = alloc(type, label);
  if (auto gradient = gradientOf.find(result); gradient != gradientOf.end()) {
    auto buffer = made.getDefiningOp<plan::AllocOp>();
    buffer.setLabel("gradient of " + gradient->second);
    buffer->setAttr("plan.gradient", builder.getUnitAttr());
  }
  return made;
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

LogicalResult EntryConverter::convert() {
  findLastUses();
  findInPlaceWrites();
  findPartsOfConcats();
  findGradients();
  for (auto [name, argument] : llvm::zip(source.getInputNames(), source.getBody().front().getArguments()))
    places[argument].buffer = plan::InputOp::create(builder, source.getLoc(), bufferType(argument.getType()),
                                                    cast<StringAttr>(name), FlatSymbolRefAttr(), IntegerAttr());
  for (Operation &op : source.getBody().front())
    if (failed(convertOp(&op)))
      return failure();
  return success();
}

LogicalResult EntryConverter::convertOp(Operation *op) {
  for (Value operand : op->getOperands())
    if (auto tensor = dyn_cast<RankedTensorType>(operand.getType());
        tensor && tensor.getRank() > 0 && tensor.getElementType().isInteger(64))
      return op->emitError("moves ") << tensor << "; rows of a plan hold no i64, which only scalars are";
  taken.clear();
  farCopies.before(op);
  LogicalResult converted = convertKind(op);
  farCopies.after(op);
  return converted;
}

LogicalResult EntryConverter::convertKind(Operation *op) {
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case<train::ReadOp, train::ConstantOp>([](Operation *) { return success(); })
      .Case([&](train::WriteOp) { return success(); })
      .Case<train::MatmulOp, train::MatmulPairOp>([&](Operation *op) { return convertMatmul(op); })
      .Case([&](train::RotaryOp op) { return convertRotary(op), success(); })
      .Case([&](train::AdamWQuantizedOp op) { return convertAdamWQuantized(op), success(); })
      .Case([&](train::EmbeddingGradOp op) { return convertEmbeddingGrad(op), success(); })
      .Case([&](train::GatherRowOp op) { return convertGatherRow(op), success(); })
      .Case([&](train::InverseNormOp op) { return convertInverseNorm(op), success(); })
      .Case([&](train::SequenceSumsOp op) { return convertSequenceSums(op), success(); })
      .Case([&](train::SequenceSpreadOp op) { return convertSequenceSpread(op), success(); })
      .Case([&](train::PreferenceLossOp op) { return convertPreferenceLoss(op), success(); })
      .Case([&](train::PreferenceLossGradOp op) { return convertPreferenceLossGrad(op), success(); })
      .Case([&](train::SliceRowsOp op) { return convertSliceRows(op), success(); })
      .Case([&](train::ConcatRowsOp op) { return convertConcatRows(op), success(); })
      .Case([&](train::OffloadOp op) { return convertOffload(op), success(); })
      .Case([&](train::PrefetchOp op) {
        places[op.getResult()].buffer = farCopies.prefetch(op);
        return success();
      })
      .Case([&](train::AttentionOp op) { return convertAttention(op), success(); })
      .Case([&](train::AttentionGradOp op) { return convertAttentionGrad(op), success(); })
      .Case([&](train::ReturnOp op) { return convertEnd(op), success(); })
      .Case<train::FusedOp, train::RowWiseOpInterface>([&](auto op) { return convertRowWise(op); })
      .Default([](Operation *op) {
        return op->emitError("cannot be lowered to the plan; run train-differentiate and train-lower-optimizer before");
      });
}

/// Name of the kernel of an op or a group, without sizes.
static std::string kernelName(ArrayRef<Operation *> ops) {
  std::string name;
  for (Operation *op : ops) {
    std::string part = op->getName().stripDialect().str();
    if (name.size() + part.size() > 60)
      return name + "_and_more";
    name += (name.empty() ? "" : "_") + part;
  }
  return name;
}

LogicalResult EntryConverter::convertRowWise(Operation *op) {
  SmallVector<Operation *> ops = rowOpsOf(op);
  std::string label = labelOf(op);
  if (ops.empty())
    return op->emitError("is an empty group");
  int64_t rows = cast<train::RowWiseOpInterface>(ops.front()).getRows();
  int64_t columns = 1;
  for (Operation *inner : ops)
    columns = std::max(columns, train::columnsPerRow(cast<train::RowWiseOpInterface>(inner)));
  int64_t perTask = llvm::any_of(ops, accumulates) ? chooseRowsPerPartialSum(rows, columns, kernels.partialSums)
                                                   : chooseRowsPerTask(rows, columns);

  RowContext context(kernels, builder, label);
  auto group = dyn_cast<train::FusedOp>(op);
  auto inside = [&](unsigned operand) -> Value {
    return group ? Value(group.getBody().front().getArgument(operand)) : op->getOperand(operand);
  };
  SmallVector<Value> reusable;
  for (auto [index, operand] : llvm::enumerate(op->getOperands())) {
    context.places[inside(index)] = placeOf(operand);
    if (isRowOperandOnly(op, operand))
      reusable.push_back(operand);
  }
  // A table of rows, looked up by id, is read as a buffer.
  for (Operation *inner : ops)
    if (auto embedding = dyn_cast<train::EmbeddingOp>(inner)) {
      Place &table = context.places[embedding.getTable()];
      if (!table.buffer)
        table = {bufferOf(group ? group->getOperand(cast<BlockArgument>(embedding.getTable()).getArgNumber())
                                : embedding.getTable()),
                 {}};
    }
  for (OpResult result : op->getResults()) {
    if (result.use_empty())
      continue;
    Value buffer = resultBuffer(result, isRowResult(result) ? ArrayRef<Value>(reusable) : ArrayRef<Value>(), label);
    places[result].buffer = buffer;
    Value inner = group ? group.getBody().front().getTerminator()->getOperand(result.getResultNumber()) : result;
    context.destinations[inner].push_back(buffer);
  }
  auto prepare = [&](train::AdamWOp adamw) -> Value {
    // fp64 parameters exist only to check formulas: they keep fp64 scalars.
    bool wide = adamw.getParameter().getType().getElementType().isF64();
    return adamwScalars(adamw.getLoc(), wide ? Type(builder.getF64Type()) : Type(builder.getF32Type()),
                        adamw.getOptimizer(), context.places.lookup(adamw.getLearningRate()),
                        context.places.lookup(adamw.getStep()));
  };
  context.adamwScalars = prepare;

  RowLaunch launch(kernels, builder, op->getLoc(), rows, perTask);
  RowEmitter emitter(context, launch);
  for (Operation *inner : ops)
    if (failed(emitter.emit(inner)))
      return failure();
  llvm::DenseSet<Value> storedValues;
  for (OpResult result : op->getResults()) {
    Value inner = group ? group.getBody().front().getTerminator()->getOperand(result.getResultNumber()) : result;
    if (!result.use_empty() && isRowResult(result) && storedValues.insert(inner).second)
      emitter.storeResults(inner);
  }
  auto shapeOf = op->getNumResults() && isRowResult(op->getResult(0)) ? op->getResult(0) : op->getOperand(0);
  launch.finish(kernelName(ops) + "_" + shapeName(shapeOf.getType()), label);
  emitter.finishReductions();
  return success();
}

Value EntryConverter::adamwScalars(Location loc, Type element, train::AdamWAttr adamw, Place learningRate, Place step) {
  for (auto &[rate, number, optimizer, scalars] : preparedScalars)
    if (rate && number && rate == learningRate.buffer && number == step.buffer && optimizer == adamw &&
        cast<MemRefType>(scalars.getType()).getElementType() == element)
      return scalars;
  Value scalars = emitAdamWScalars(kernels, builder, loc, element, adamw, learningRate, step);
  preparedScalars.emplace_back(learningRate.buffer, step.buffer, adamw, scalars);
  return scalars;
}

void EntryConverter::convertRotary(train::RotaryOp op) {
  std::string label = labelOf(op);
  auto type = op.getInput().getType();
  int64_t headDim = op.getHeadDim(), heads = type.getDimSize(1) / headDim, half = op.getCos().getType().getDimSize(1);
  Value input = bufferOf(op.getInput()), positions = bufferOf(op.getPositions());
  Value cos = bufferOf(op.getCos()), sin = bufferOf(op.getSin());
  SmallVector<Value> reusable;
  if (isRowOperandOnly(op, op.getInput()))
    reusable.push_back(op.getInput());
  Value output = resultBuffer(cast<OpResult>(op.getResult()), reusable, label);
  places[op.getResult()].buffer = output;

  // One row for each token and head: the matrix seen as [rows * heads, head_dim]. Row values are the halves of what is
  // turned; where a part behind it stays, they are as narrow as it takes for all of these to be whole numbers of them.
  int64_t rows = type.getDimSize(0) * heads;
  auto perHead = MemRefType::get({rows, headDim}, type.getElementType());
  int64_t perTask = chooseRowsPerTask(rows, headDim);
  RowLaunch launch(kernels, builder, op.getLoc(), rows, perTask);
  OpBuilder &b = launch.body();
  RowMath math(b, op.getLoc());
  const int64_t width = std::gcd(half, headDim - 2 * half);
  auto row = RankedTensorType::get({width}, type.getElementType());
  Type compute = type.getElementType().isF64() ? b.getF64Type() : b.getF32Type();
  auto load = [&](Value argument, Value index, int64_t offset, Type row) {
    return math.convert(plan::LoadOp::create(b, op.getLoc(), row, argument, ValueRange(index), offset), compute);
  };
  Value x = launch.argument(input, perHead);
  Value token = launch.row();
  if (heads > 1)
    token = arith::DivUIOp::create(b, op.getLoc(), token, arith::ConstantIndexOp::create(b, op.getLoc(), heads));
  Value position = arith::IndexCastOp::create(b, op.getLoc(), b.getIndexType(), launch.loadElement(positions, token));
  Type tableRow = RankedTensorType::get({width}, op.getCos().getType().getElementType());
  Value cosines = launch.argument(cos), sines = launch.argument(sin), y;
  auto store = [&](Value value, int64_t offset) {
    y = y ? y : launch.argument(output, perHead);
    launch.storeAt(math.convert(value, type.getElementType()), y, launch.row(), offset);
  };
  for (int64_t at = 0; at < half; at += width) {
    Value c = load(cosines, position, at, tableRow), s = load(sines, position, at, tableRow);
    Value x1 = load(x, launch.row(), at, row), x2 = load(x, launch.row(), half + at, row);
    if (op.getInverse())
      s = math.neg(s);
    store(math.sub(math.mul(x1, c), math.mul(x2, s)), at);
    store(math.add(math.mul(x2, c), math.mul(x1, s)), half + at);
  }
  // Computed in place, it is there.
  for (int64_t at = 2 * half; at < headDim && input != output; at += width)
    store(load(x, launch.row(), at, row), at);
  std::string name =
      (op.getInverse() ? "rotary_inverse_" : "rotary_") + shapeName(perHead) + "_heads" + std::to_string(heads);
  if (2 * half < headDim)
    name += "_of" + std::to_string(2 * half);
  launch.finish(name, label);
}

//===----------------------------------------------------------------------===//
// Copies, fills and the end of an entry
//===----------------------------------------------------------------------===//

void EntryConverter::emitCopy(Location loc, Value from, Value to, StringRef label) {
  auto type = cast<MemRefType>(from.getType());
  int64_t columns = type.getRank() ? type.getShape().back() : 1, rows = type.getNumElements() / columns;
  RowLaunch launch(kernels, builder, loc, rows, chooseRowsPerTask(rows, columns));
  launch.storeRow(launch.loadRow(from), to);
  launch.finish("copy_" + shapeName(type), label);
}

void EntryConverter::emitFill(Location loc, TypedAttr value, Value to, StringRef label) {
  auto type = cast<MemRefType>(to.getType());
  int64_t columns = type.getRank() ? type.getShape().back() : 1, rows = type.getNumElements() / columns;
  RowLaunch launch(kernels, builder, loc, rows, chooseRowsPerTask(rows, columns));
  Value scalar = arith::ConstantOp::create(launch.body(), loc, value);
  Type row = type.getRank() ? Type(RankedTensorType::get({columns}, type.getElementType())) : type.getElementType();
  launch.storeRow(RowMath(launch.body(), loc).broadcast(scalar, row), to);
  launch.finish("fill_" + shapeName(type), label);
}

void EntryConverter::convertOffload(train::OffloadOp op) {
  Value near = bufferOf(op.getValue());
  auto alloc = plan::partOf(near).whole.getDefiningOp<plan::AllocOp>();
  farCopies.offload(op, near, alloc ? alloc.getLabel().str() : labelOf(op));
}

void EntryConverter::convertEnd(train::ReturnOp op) {
  farCopies.finish();
  // Old values of variables that are still wanted move out before any variable is overwritten.
  SmallVector<std::pair<StringRef, Value>> outputs;
  for (auto [name, value] : llvm::zip(source.getOutputNames(), op.getValues())) {
    StringRef text = cast<StringAttr>(name).getValue();
    Value buffer = bufferOf(value);
    if (!buffer.getDefiningOp<plan::AllocOp>()) {
      Value copy = alloc(buffer.getType(), text);
      emitCopy(op.getLoc(), buffer, copy, ("output " + text).str());
      buffer = copy;
    }
    outputs.emplace_back(text, buffer);
  }
  SmallVector<Value> sources;
  for (train::WriteOp write : copiedAtEnd) {
    Value buffer = bufferOf(write.getValue());
    if (plan::partOf(buffer).whole.getDefiningOp<plan::ReadVariableOp>()) {
      Value copy = alloc(buffer.getType(), "new " + write.getVariable());
      emitCopy(write.getLoc(), buffer, copy, ("new " + write.getVariable()).str());
      buffer = copy;
    }
    sources.push_back(buffer);
  }
  for (auto [write, from] : llvm::zip(copiedAtEnd, sources))
    emitCopy(write.getLoc(), from, variable(write.getVariable(), bufferType(write.getValue().getType())),
             ("write " + write.getVariable()).str());
  for (auto [name, buffer] : outputs)
    plan::OutputOp::create(builder, op.getLoc(), builder.getStringAttr(name), buffer);
}
