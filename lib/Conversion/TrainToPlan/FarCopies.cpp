//===- FarCopies.cpp - Copies to and from the far tier --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/TrainToPlan/FarCopies.h"

#include "ftc/Analysis/Costs.h"
#include "ftc/Analysis/Timeline.h"

using namespace mlir;
using namespace ftc;

void FarCopies::wait(Out &out) {
  if (!out.waited)
    plan::WaitOp::create(builder, out.event.getLoc(), out.event);
  out.waited = true;
}

void FarCopies::offload(train::OffloadOp op, Value near, StringRef label) {
  Value far = plan::AllocOp::create(builder, op.getLoc(), near.getType(), builder.getStringAttr(label), /*far=*/true);
  Value event = plan::CopyOutOp::create(builder, op.getLoc(), near, far).getEvent();
  linkFree = std::max(linkFree, now) + LinkModel::of(op).plannedCopySeconds(plan::bytesOf(near.getType()));
  outs.insert({op.getResult(), Out{near, far, event, label.str(), linkFree, op.getByBackward()}});
}

Value FarCopies::prefetch(train::PrefetchOp op) {
  Out &out = outs.find(op.getFar())->second;
  wait(out);
  Value near =
      plan::AllocOp::create(builder, op.getLoc(), out.far.getType(), builder.getStringAttr(out.label + " again"));
  ins[op.getResult()] = plan::CopyInOp::create(builder, op.getLoc(), out.far, near).getEvent();
  return near;
}

void FarCopies::before(Operation *op) {
  for (Value operand : op->getOperands())
    if (Value event = ins.lookup(operand)) {
      plan::WaitOp::create(builder, op->getLoc(), event);
      ins.erase(operand);
    }
  bool backward = isMarkedBackward(op);
  for (auto &[value, out] : outs)
    if (!out.waited && (out.over <= now || (backward && out.byBackward)))
      wait(out);
}

void FarCopies::after(Operation *op) { now += secondsOf(op, LinkModel::of(op)); }

void FarCopies::finish() {
  for (auto &[value, out] : outs)
    wait(out);
  for (auto &[value, event] : ins)
    plan::WaitOp::create(builder, event.getLoc(), event);
  ins.clear();
}

bool FarCopies::isSource(Value buffer) const {
  return llvm::any_of(outs, [&](const auto &pair) {
    return !pair.second.waited && plan::partOf(pair.second.near).whole == plan::partOf(buffer).whole;
  });
}
