//===- TrainToPlan.cpp - From train to plan -------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/Costs.h"
#include "ftc/Conversion/TrainToPlan/Passes.h"
#include "lib/Conversion/TrainToPlan/EntryConverter.h"

using namespace mlir;
using namespace ftc;

namespace ftc {
#define GEN_PASS_DEF_CONVERTTRAINTOPLANPASS
#include "lib/Conversion/TrainToPlan/Passes.h.inc"
} // namespace ftc

namespace {
struct ConvertTrainToPlanPass : ftc::impl::ConvertTrainToPlanPassBase<ConvertTrainToPlanPass> {
  using ConvertTrainToPlanPassBase::ConvertTrainToPlanPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (partialSums < 0) {
      module.emitError("partial-sums must not be negative");
      return signalPassFailure();
    }
    SmallVector<Operation *> sources;
    for (Operation &op : *module.getBody())
      if (isa<train::VariableOp, train::EntryOp>(op))
        sources.push_back(&op);
    if (sources.empty())
      return markAllAnalysesPreserved();

    // From here on the order of the ops is the order of the launches.
    for (auto entry : module.getOps<train::EntryOp>())
      for (auto delay : llvm::make_early_inc_range(entry.getBody().front().getOps<train::DelayOp>())) {
        delay.replaceAllUsesWith(delay.getValue());
        delay.erase();
      }

    // Variables first, then kernels, then entries. The old symbols go at the end, so the new ones are built unattached
    // to the symbol table.
    OpBuilder builder(&getContext());
    builder.setInsertionPointToEnd(module.getBody());
    for (auto variable : module.getOps<train::VariableOp>()) {
      auto tensor = variable.getTensorType();
      if (isa<train::Nf4Type>(tensor.getElementType())) {
        declareQuantized(builder, variable);
        continue;
      }
      auto type = MemRefType::get(tensor.getShape(), tensor.getElementType());
      plan::VariableOp::create(builder, variable.getLoc(), variable.getSymName(), type, roleOf(variable.getRole()),
                               variable.getInit(), variable.getTrainable(), variable.getFar(), FlatSymbolRefAttr(),
                               IntegerAttr());
    }
    SmallVector<std::pair<train::EntryOp, plan::EntryOp>> entries;
    for (auto entry : llvm::make_early_inc_range(module.getOps<train::EntryOp>())) {
      auto kind = static_cast<plan::EntryKind>(entry.getKind());
      auto target = plan::EntryOp::create(builder, entry.getLoc(), entry.getSymName(), kind, entry.getBatch(),
                                          entry.getSequence(), APFloat(necessaryFlops(entry)));
      target.getBody().emplaceBlock();
      entries.emplace_back(entry, target);
    }
    if (!entries.empty()) {
      KernelTable kernels(entries.front().second, partialSums);
      for (auto [source, target] : entries)
        if (failed(EntryConverter(kernels, source, target).convert()))
          return signalPassFailure();
    }
    for (Operation *source : sources)
      source->erase();
  }

  /// A weight in four bits: its codes and what scales them.
  static void declareQuantized(OpBuilder &builder, train::VariableOp variable) {
    RankedTensorType tensor = variable.getTensorType();
    auto nf4 = cast<train::Nf4Type>(tensor.getElementType());
    Attribute zeros = train::ZerosInitAttr::get(builder.getContext());
    for (auto &[suffix, type] : piecesOf(tensor)) {
      auto piece = plan::VariableOp::create(builder, variable.getLoc(), (variable.getSymName() + suffix).str(), type,
                                            plan::Role::Quantized, suffix.empty() ? variable.getInit() : zeros,
                                            /*trainable=*/false, /*far=*/false, FlatSymbolRefAttr(), IntegerAttr());
      if (!suffix.empty())
        continue;
      piece->setAttr("plan.nf4", nf4AttrOf(nf4));
      piece->setAttr("plan.matrix", TypeAttr::get(tensor.clone(nf4.getDecoded())));
    }
  }

  static plan::Role roleOf(train::VariableRole role) {
    switch (role) {
    case train::VariableRole::Parameter:
      return plan::Role::Parameter;
    case train::VariableRole::State:
      return plan::Role::State;
    case train::VariableRole::Constant:
      return plan::Role::Constant;
    case train::VariableRole::Accumulator:
      return plan::Role::Accumulator;
    case train::VariableRole::Teacher:
      return plan::Role::Teacher;
    case train::VariableRole::Reference:
      return plan::Role::Reference;
    }
    llvm_unreachable("a role of train.variable");
  }
};
} // namespace
