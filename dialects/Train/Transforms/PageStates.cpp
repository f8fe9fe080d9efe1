//===- PageStates.cpp - Large optimizer states live in the far tier ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Paged optimizers (Dettmers et al. 2022, bitsandbytes' `is_paged`).
//
// Assumes: train-lower-optimizer has declared the states.
//
// Promises: only the places of states change; no op and no value does.
//
// Refuses: nothing. States below the bound stay, as in bitsandbytes: there is little to save, and many copies to make.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Analysis/Link.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_PAGESTATESPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

constexpr remark::RemarkOpts remarkOpts = remark::RemarkOpts::name("page").category("train-page-states");

struct PageStatesPass : impl::PageStatesPassBase<PageStatesPass> {
  using PageStatesPassBase::PageStatesPassBase;

  void runOnOperation() override {
    if (!getOperation()->hasAttr(TrainDialect::pageStatesAttrName))
      return markAllAnalysesPreserved();
    for (auto variable : getOperation().getOps<VariableOp>()) {
      if (variable.getRole() != VariableRole::State || variable.getFar())
        continue;
      RankedTensorType type = variable.getTensorType();
      int64_t bytes = type.getNumElements() * int64_t(llvm::divideCeil(type.getElementTypeBitWidth(), 8));
      if (type.getNumElements() < minElements) {
        remark::missed(variable.getLoc(), remarkOpts)
            << remark::add("a state stays near: it has less than {0} elements", std::to_string(minElements))
            << remark::metric("bytes", bytes);
        continue;
      }
      variable.setFar(true);
      remark::passed(variable.getLoc(), remarkOpts)
          << remark::add("a state lives in the far tier") << remark::metric("bytes_saved", bytes)
          << remark::metric("microseconds", LinkModel::of(variable).copyMicroseconds(bytes));
    }
  }
};

} // namespace
} // namespace ftc::train
