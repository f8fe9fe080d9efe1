//===- Link.cpp - How long copies and computations take -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/Link.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

using namespace mlir;
using namespace ftc;

LinkModel LinkModel::of(Operation *op) {
  LinkModel model;
  auto module = isa<ModuleOp>(op) ? cast<ModuleOp>(op) : op->getParentOfType<ModuleOp>();
  auto numbers = module ? module->getAttrOfType<DenseF64ArrayAttr>(attributeName) : DenseF64ArrayAttr();
  if (!numbers || numbers.size() != 3 || llvm::any_of(numbers.asArrayRef(), [](double x) { return !(x > 0); }))
    return model;
  model.flopsPerSecond = numbers[0];
  model.nearBytesPerSecond = numbers[1];
  model.linkBytesPerSecond = numbers[2];
  model.hasCopyEngine = true;
  return model;
}

void LinkModel::attachTo(ModuleOp module) const {
  module->setAttr(
      attributeName,
      Builder(module.getContext()).getDenseF64ArrayAttr({flopsPerSecond, nearBytesPerSecond, linkBytesPerSecond}));
}
