//===- LowerOptimizer.cpp - Updates to optimizer ops -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Chooses the optimizer's op for every train.update and declares the states it needs.
//
// Assumes: the module's `train.optimizer` is #train.sgd, #train.sgd_momentum or #train.adamw, and an entry with updates
// has the scalar inputs that the update reads: `learning_rate`; `step` for all but plain SGD; `seed` to round at
// random.
//
// Promises: one state variable each for parameter and moment, named after PyTorch's state keys, declared right behind
// the parameter. A moment has the type that is updated, as in PyTorch, or `train.state_type`. The update stays where it
// stood; only its write of the parameter is what later passes see.
//
// Precision. A bf16 parameter of 1.0 does not see a change below 2^-9, and most updates are smaller. Either an f32
// state `<parameter>.master` is what the optimizer updates, and the parameter is it, rounded; or the update is made in
// f32 and rounded at random, right in the mean, for no memory at all. Both are casts around the optimizer's op, so that
// no optimizer knows of them, and kernel forming makes one kernel of it. The master copy is taken from the parameter by
// the first step itself (train.first_step): whoever fills the parameters, a checkpoint, an adapter or a host of its
// own, need not know of it, and the gradients of step 1 are those of the very numbers that it starts from.
//
// Quantized moments (train.quantized_states) are AdamW's alone. They are states of two parts, codes and scales, and an
// op of their own updates them: its rows are blocks of 256 or 128 elements, whatever the parameter's shape. As in both
// libraries, moments of small parameters stay what they are.
//
// Refuses: updates without an optimizer, entries without the scalar inputs, and both kinds of precision at once.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Support/QuantizedStates.h"
#include "ftc/Support/Random.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_LOWEROPTIMIZERPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

constexpr remark::RemarkOpts remarkOpts = remark::RemarkOpts::name("update").category("train-lower-optimizer");

/// What the module's attributes ask for.
struct Precision {
  Type stateType; ///< null: the type that is updated
  bool master = false, random = false;
  StateFormatAttr quantized; ///< how moments are quantized; null: they are not

  ftc::StateFormat format() const { return static_cast<ftc::StateFormat>(quantized.getValue()); }
  /// Whether the moments of an update in this type are quantized: those of large parameters, in whole blocks.
  bool quantizes(RankedTensorType type) const {
    return quantized && type.getNumElements() >= minQuantizedState &&
           type.getNumElements() % stateBlock(format()) == 0 && !type.getElementType().isF64();
  }

  /// Whether a parameter of this type is updated in f32 and rounded afterwards.
  bool widens(RankedTensorType type) const { return (master || random) && type.getElementType().isBF16(); }
};

class OptimizerLowering {
public:
  OptimizerLowering(EntryOp entry, Attribute optimizer, const Precision &precision, SymbolTable &symbols)
      : entry(entry), optimizer(optimizer), precision(precision), symbols(symbols), builder(entry.getContext()) {}

  LogicalResult run() {
    SmallVector<UpdateOp> updates(entry.getBody().front().getOps<UpdateOp>());
    if (updates.empty())
      return success();
    if (!isa_and_nonnull<SGDAttr, SGDMomentumAttr, AdamWAttr>(optimizer))
      return entry.emitOpError("has updates, but the module's train.optimizer is none of #train.sgd, "
                               "#train.sgd_momentum, #train.adamw");
    bool widens = llvm::any_of(updates, [&](UpdateOp update) { return precision.widens(typeOf(update)); });
    learningRate = entry.getInput("learning_rate");
    step = entry.getInput("step");
    seed = entry.getInput("seed");
    const char *missing = !learningRate                                   ? "learning_rate"
                          : !step && (widens || !isa<SGDAttr>(optimizer)) ? "step"
                          : !seed && widens && precision.random           ? "seed"
                                                                          : nullptr;
    if (missing)
      return entry.emitOpError("has updates but no input called ") << missing;
    for (auto read : entry.getBody().front().getOps<ReadOp>()) {
      reads.try_emplace(read.getVariableAttr(), read.getResult());
      readers[read.getVariableAttr()].push_back(read);
    }
    for (UpdateOp update : updates) {
      // Reads see the old value wherever they stand; behind the write they may not.
      for (ReadOp read : readers.lookup(update.getVariableAttr()))
        if (update->isBeforeInBlock(read))
          read->moveBefore(update);
      lower(update);
      if (!good)
        return failure();
    }
    tell(updates.size());
    return success();
  }

private:
  static RankedTensorType typeOf(UpdateOp update) { return cast<RankedTensorType>(update.getGradient().getType()); }

  /// The parameter's value at the start of the entry.
  Value readParameter(UpdateOp update) {
    Value &value = reads[update.getVariableAttr()];
    if (!value)
      value = ReadOp::create(builder, update.getLoc(), update.getGradient().getType(), update.getVariable());
    return value;
  }

  /// Declares `<parameter>.<name>` unless an earlier entry did, and reads it.
  std::pair<std::string, Value> readState(UpdateOp update, StringRef name, Type type) {
    std::string symbol = (update.getVariable() + "." + name).str();
    if (Operation *taken = symbols.lookup(symbol)) {
      auto known = dyn_cast<VariableOp>(taken);
      if (!known || known.getRole() != VariableRole::State || known.getType() != type) {
        InFlightDiagnostic diagnostic = update.emitOpError("keeps a state in @") << symbol << ", a name that is taken";
        diagnostic.attachNote(taken->getLoc()) << "this is no state of " << type;
        good = false;
      }
    } else {
      OpBuilder outer(builder.getContext());
      outer.setInsertionPointAfter(symbols.lookup(update.getVariable()));
      auto state = VariableOp::create(outer, update.getLoc(), outer.getStringAttr(symbol), TypeAttr::get(type),
                                      VariableRoleAttr::get(outer.getContext(), VariableRole::State),
                                      ZerosInitAttr::get(outer.getContext()), UnitAttr());
      symbols.insert(state, outer.getInsertionPoint());
    }
    auto shaped = cast<RankedTensorType>(type);
    stateBytes += shaped.getNumElements() * shaped.getElementTypeBitWidth() / 8;
    return {symbol, ReadOp::create(builder, update.getLoc(), type, symbol)};
  }

  /// A moment of a parameter that is updated as `updated`.
  std::pair<std::string, Value> readMoment(UpdateOp update, StringRef name, RankedTensorType updated) {
    return readState(update, name, precision.stateType ? updated.clone(precision.stateType) : updated);
  }

  Value scaleOf(UpdateOp update) {
    if (update.getScale())
      return update.getScale();
    auto scalar = RankedTensorType::get({}, builder.getF32Type());
    return ConstantOp::create(builder, update.getLoc(), DenseElementsAttr::get(scalar, 1.0f));
  }

  void lower(UpdateOp update) {
    builder.setInsertionPoint(update);
    Location loc = update.getLoc();
    RankedTensorType type = typeOf(update);
    Value parameter = readParameter(update), gradient = update.getGradient();
    if (!precision.widens(type)) {
      finish(update, emit(update, parameter, gradient));
      return;
    }
    ++widened;
    auto wide = type.clone(builder.getF32Type());
    parameter = CastOp::create(builder, loc, wide, parameter);
    gradient = CastOp::create(builder, loc, wide, gradient);
    Value rounded;
    if (precision.master) {
      auto [name, kept] = readState(update, "master", wide);
      Value master = FirstStepOp::create(builder, loc, wide, parameter, kept, step);
      Value result = emit(update, master, gradient);
      WriteOp::create(builder, loc, name, result);
      rounded = CastOp::create(builder, loc, type, result);
    } else {
      Value result = emit(update, parameter, gradient);
      auto stream = static_cast<int64_t>(hashName(update.getVariable()));
      rounded = StochasticRoundOp::create(builder, loc, type, result, seed, step, stream);
    }
    finish(update, rounded);
  }

  /// Writes the parameter, then its moments.
  void finish(UpdateOp update, Value parameter) {
    WriteOp::create(builder, update.getLoc(), update.getVariable(), parameter);
    for (auto &[name, moment] : newMoments)
      WriteOp::create(builder, update.getLoc(), name, moment);
    newMoments.clear();
    update.erase();
  }

  /// The optimizer's op, with its states read. Returns the updated parameter; `newMoments` are to be written.
  Value emit(UpdateOp update, Value parameter, Value gradient) {
    Location loc = update.getLoc();
    auto type = cast<RankedTensorType>(parameter.getType());
    Value scale = scaleOf(update);
    if (auto sgd = dyn_cast<SGDAttr>(optimizer))
      return SGDOp::create(builder, loc, type, parameter, gradient, learningRate, scale, sgd);
    if (auto sgd = dyn_cast<SGDMomentumAttr>(optimizer)) {
      auto [name, buffer] = readMoment(update, "momentum_buffer", type);
      auto op = SGDMomentumOp::create(builder, loc, TypeRange{type, buffer.getType()}, parameter, gradient, buffer,
                                      learningRate, step, scale, sgd);
      newMoments = {{name, op.getNewBuffer()}};
      return op.getResult();
    }
    if (precision.quantizes(type))
      return emitQuantized(update, type, parameter, gradient, scale);
    auto [firstName, first] = readMoment(update, "exp_avg", type);
    auto [secondName, second] = readMoment(update, "exp_avg_sq", type);
    auto adamw = AdamWOp::create(builder, loc, TypeRange{type, first.getType(), second.getType()}, parameter, gradient,
                                 first, second, learningRate, step, scale, cast<AdamWAttr>(optimizer));
    newMoments = {{firstName, adamw.getNewExpAvg()}, {secondName, adamw.getNewExpAvgSq()}};
    return adamw.getResult();
  }

  Value emitQuantized(UpdateOp update, RankedTensorType type, Value parameter, Value gradient, Value scale) {
    ++quantized;
    int64_t blocks = type.getNumElements() / stateBlock(precision.format());
    auto codes = RankedTensorType::get({blocks, stateBlockBytes(precision.format())}, builder.getI8Type());
    auto scales = RankedTensorType::get({blocks}, builder.getF32Type());
    auto [firstName, first] = readState(update, "exp_avg.codes", codes);
    auto [firstScaleName, firstScale] = readState(update, "exp_avg.scale", scales);
    auto [secondName, second] = readState(update, "exp_avg_sq.codes", codes);
    auto [secondScaleName, secondScale] = readState(update, "exp_avg_sq.scale", scales);
    auto op = AdamWQuantizedOp::create(builder, update.getLoc(), TypeRange{type, codes, scales, codes, scales},
                                       parameter, gradient, first, firstScale, second, secondScale, learningRate, step,
                                       scale, precision.quantized.getValue(), cast<AdamWAttr>(optimizer));
    newMoments = {{firstName, op.getNewExpAvg()},
                  {firstScaleName, op.getNewExpAvgScale()},
                  {secondName, op.getNewExpAvgSq()},
                  {secondScaleName, op.getNewExpAvgSqScale()}};
    return op.getResult();
  }

  /// One remark for the entry: layers are updated alike, and there is nothing to choose for each.
  void tell(size_t updates) {
    StringRef how = !widened           ? "in their own type"
                    : precision.master ? "in f32, kept as master weights"
                                       : "in f32, rounded at random";
    size_t count = widened ? widened : updates;
    remark::passed(entry.getLoc(), remarkOpts)
        << remark::add("{0} of {1} parameters are updated {2}", count, updates, how)
        << remark::metric("state_bytes", stateBytes);
    if (precision.quantized)
      remark::passed(entry.getLoc(), remarkOpts)
          << remark::add("moments of {0} parameters have {1} bits; {2} parameters are below {3} elements or not whole "
                         "blocks of {4}",
                         quantized, precision.format() == ftc::StateFormat::Torchao4 ? "four" : "eight",
                         updates - quantized, minQuantizedState, stateBlock(precision.format()));
    if ((precision.master || precision.random) && widened < updates)
      remark::missed(entry.getLoc(), remarkOpts)
          << remark::add("{0} parameters are not bf16: their updates have nothing to round", updates - widened);
  }

  EntryOp entry;
  Attribute optimizer;
  Precision precision;
  SymbolTable &symbols;
  OpBuilder builder;
  Value learningRate, step, seed;
  DenseMap<Attribute, Value> reads;
  DenseMap<Attribute, SmallVector<ReadOp>> readers;
  bool good = true; ///< no name of a state is taken
  SmallVector<std::pair<std::string, Value>, 2> newMoments;
  size_t widened = 0, quantized = 0;
  int64_t stateBytes = 0;
};

struct LowerOptimizerPass : impl::LowerOptimizerPassBase<LowerOptimizerPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable symbols(module);
    Precision precision;
    if (auto type = module->getAttrOfType<TypeAttr>(TrainDialect::stateTypeAttrName))
      precision.stateType = type.getValue();
    precision.master = module->hasAttr(TrainDialect::masterWeightsAttrName);
    precision.random = module->hasAttr(TrainDialect::stochasticRoundingAttrName);
    precision.quantized = module->getAttrOfType<StateFormatAttr>(TrainDialect::quantizedStatesAttrName);
    if (precision.quantized && !isa_and_nonnull<AdamWAttr>(module->getAttr(TrainDialect::optimizerAttrName))) {
      module.emitError() << "asks for " << TrainDialect::quantizedStatesAttrName
                         << ", which only #train.adamw has; its train.optimizer is another one";
      return signalPassFailure();
    }
    if (precision.master && precision.random) {
      module.emitError() << "asks for " << TrainDialect::masterWeightsAttrName << " and "
                         << TrainDialect::stochasticRoundingAttrName << "; master weights leave nothing to round";
      return signalPassFailure();
    }
    Attribute optimizer = module->getAttr(TrainDialect::optimizerAttrName);
    for (auto entry : llvm::make_early_inc_range(module.getOps<EntryOp>()))
      if (failed(OptimizerLowering(entry, optimizer, precision, symbols).run()))
        return signalPassFailure();
  }
};

} // namespace
} // namespace ftc::train
