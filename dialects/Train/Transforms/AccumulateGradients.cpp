//===- AccumulateGradients.cpp - Gradients over several micro-batches --------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Gradient accumulation. The loss of every micro-batch is scaled by `inv_tokens` of the whole step, so the sum of the
// gradients is the gradient of the mean over all valid tokens of the step: exact up to the order of additions, unlike a
// mean of means.
//
// Assumes: train-differentiate ran, and entries with updates have the scalar input `micro`, 0 for the first
// micro-batch.
//
// Promises: one accumulator a parameter, of its type as in PyTorch, declared behind it. Nothing clears accumulators:
// train.accumulate overwrites in the first micro-batch.
//
// Refuses: an entry without `micro`, and updates that are scaled already (the sum must be of whole gradients).
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_ACCUMULATEGRADIENTSPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

/// The accumulator of `update`'s parameter, declared on first use.
FailureOr<std::string> accumulatorOf(UpdateOp update, SymbolTable &symbols) {
  std::string name = (update.getVariable() + ".grad").str();
  if (Operation *taken = symbols.lookup(name)) {
    auto known = dyn_cast<VariableOp>(taken);
    if (known && known.getRole() == VariableRole::Accumulator && known.getType() == update.getGradient().getType())
      return name;
    InFlightDiagnostic diagnostic = update.emitOpError("has its gradient summed in @")
                                    << name << ", a name that is taken";
    diagnostic.attachNote(taken->getLoc()) << "this is no accumulator of " << update.getGradient().getType();
    return failure();
  }
  OpBuilder builder(update.getContext());
  builder.setInsertionPointAfter(symbols.lookup(update.getVariable()));
  auto accumulator = VariableOp::create(builder, update.getLoc(), builder.getStringAttr(name),
                                        TypeAttr::get(update.getGradient().getType()),
                                        VariableRoleAttr::get(builder.getContext(), VariableRole::Accumulator),
                                        ZerosInitAttr::get(builder.getContext()), UnitAttr());
  symbols.insert(accumulator, builder.getInsertionPoint());
  return name;
}

LogicalResult accumulateEntry(EntryOp entry, SymbolTable &symbols) {
  SmallVector<UpdateOp> updates(entry.getBody().front().getOps<UpdateOp>());
  if (updates.empty())
    return success();
  Value micro = entry.getInput("micro");
  if (!micro)
    return entry.emitOpError("accumulates gradients but has no input called micro");
  for (UpdateOp update : updates) {
    if (update.getScale())
      return update.emitOpError("has a scale already; accumulate before clipping");
    OpBuilder builder(update);
    FailureOr<std::string> accumulator = accumulatorOf(update, symbols);
    if (failed(accumulator))
      return failure();
    const std::string &name = *accumulator;
    Type type = update.getGradient().getType();
    Value sum = ReadOp::create(builder, update.getLoc(), type, name);
    Value total = AccumulateOp::create(builder, update.getLoc(), type, update.getGradient(), sum, micro);
    if (entry.getKind() == EntryKind::Micro) {
      WriteOp::create(builder, update.getLoc(), name, total);
      update.erase();
    } else {
      update.getGradientMutable().assign(total);
    }
  }
  return success();
}

struct AccumulateGradientsPass : impl::AccumulateGradientsPassBase<AccumulateGradientsPass> {
  void runOnOperation() override {
    auto entries = llvm::to_vector(getOperation().getOps<EntryOp>());
    if (llvm::none_of(entries, [](EntryOp entry) { return entry.getKind() == EntryKind::Micro; }))
      return;
    SymbolTable symbols(getOperation());
    for (EntryOp entry : entries)
      if (failed(accumulateEntry(entry, symbols)))
        return signalPassFailure();
  }
};

} // namespace
} // namespace ftc::train
