//===- LowerOptimizer.cpp - Updates to optimizer ops -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Chooses the optimizer's op for every train.update and declares the states it needs.
//
// Assumes: the module's `train.optimizer` is #train.sgd or #train.adamw, and an entry with updates has the scalar inputs
// that the optimizer reads (`learning_rate`; `step` for AdamW).
//
// Promises: one state variable each for parameter and moment, of the parameter's type, named after PyTorch's state keys, declared
// right behind the parameter. The update stays where it stood; only its write of the parameter is what later passes see.
//
// Refuses: updates without an optimizer, and entries without the scalar inputs.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_LOWEROPTIMIZERPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

class OptimizerLowering {
public:
  OptimizerLowering(EntryOp entry, Attribute optimizer, SymbolTable &symbols)
      : entry(entry), optimizer(optimizer), symbols(symbols), builder(entry.getContext()) {}

  LogicalResult run() {
    SmallVector<UpdateOp> updates(entry.getBody().front().getOps<UpdateOp>());
    if (updates.empty())
      return success();
    if (!isa_and_nonnull<SGDAttr, AdamWAttr>(optimizer))
      return entry.emitOpError("has updates, but the module's train.optimizer is neither #train.sgd nor #train.adamw");
    learningRate = entry.getInput("learning_rate");
    step = entry.getInput("step");
    if (!learningRate || (isa<AdamWAttr>(optimizer) && !step))
      return entry.emitOpError("has updates but no input called ") << (learningRate ? "step" : "learning_rate");
    for (auto read : entry.getBody().front().getOps<ReadOp>())
      reads.try_emplace(read.getVariableAttr(), read.getResult());
    for (UpdateOp update : updates)
      lower(update);
    return success();
  }

private:
  /// The parameter's value at the start of the entry.
  Value readParameter(UpdateOp update) {
    Value &value = reads[update.getVariableAttr()];
    if (!value)
      value = ReadOp::create(builder, update.getLoc(), update.getGradient().getType(), update.getVariable());
    return value;
  }

  /// Declares `<parameter>.<name>` unless an earlier entry did, and reads it.
  std::pair<std::string, Value> readState(UpdateOp update, StringRef name) {
    std::string symbol = (update.getVariable() + "." + name).str();
    Type type = update.getGradient().getType();
    if (!symbols.lookup(symbol)) {
      OpBuilder outer(builder.getContext());
      outer.setInsertionPointAfter(symbols.lookup(update.getVariable()));
      auto state = VariableOp::create(outer, update.getLoc(), outer.getStringAttr(symbol), TypeAttr::get(type),
                                      VariableRoleAttr::get(outer.getContext(), VariableRole::State),
                                      ZerosInitAttr::get(outer.getContext()), UnitAttr());
      symbols.insert(state, outer.getInsertionPoint());
    }
    return {symbol, ReadOp::create(builder, update.getLoc(), type, symbol)};
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
    Type type = update.getGradient().getType();
    Value parameter = readParameter(update), scale = scaleOf(update);
    if (auto sgd = dyn_cast<SGDAttr>(optimizer)) {
      Value result =
          SGDOp::create(builder, loc, type, parameter, update.getGradient(), learningRate, scale, sgd);
      WriteOp::create(builder, loc, update.getVariable(), result);
    } else {
      auto [firstName, first] = readState(update, "exp_avg");
      auto [secondName, second] = readState(update, "exp_avg_sq");
      auto adamw = AdamWOp::create(builder, loc, TypeRange{type, type, type}, parameter, update.getGradient(), first,
                                   second, learningRate, step, scale, cast<AdamWAttr>(optimizer));
      WriteOp::create(builder, loc, update.getVariable(), adamw.getResult());
      WriteOp::create(builder, loc, firstName, adamw.getNewExpAvg());
      WriteOp::create(builder, loc, secondName, adamw.getNewExpAvgSq());
    }
    update.erase();
  }

  EntryOp entry;
  Attribute optimizer;
  SymbolTable &symbols;
  OpBuilder builder;
  Value learningRate, step;
  DenseMap<Attribute, Value> reads;
};

struct LowerOptimizerPass : impl::LowerOptimizerPassBase<LowerOptimizerPass> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    Attribute optimizer = getOperation()->getAttr("train.optimizer");
    for (auto entry : llvm::make_early_inc_range(getOperation().getOps<EntryOp>()))
      if (failed(OptimizerLowering(entry, optimizer, symbols).run()))
        return signalPassFailure();
  }
};

} // namespace
} // namespace ftc::train
