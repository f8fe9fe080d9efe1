//===- Distillation.cpp - Losses of a student and its teacher as row bodies -===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/TrainToPlan/RowBodies.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace ftc;

using plan::ReduceKind;

static Value logSumExp(RowMath &math, Value x) {
  Value maximum = math.reduce(ReduceKind::Max, x);
  return math.add(maximum, math.log(math.reduce(ReduceKind::Add, math.exp(math.sub(x, maximum)))));
}

void RowEmitter::emitDistillationLoss(train::DistillationLossOp op) {
  Value x = row(op.getLogits()), teacher = row(op.getTeacherLogits()), label = element(op.getLabels());
  Type type = getElementTypeOrSelf(x.getType());
  Value zero = math.constant(0.0, type);
  Value valid = isLabel(launch, math, label, static_cast<int64_t>(op.getIgnoreIndex()));
  Value picked = labelLogit(op.getLogits(), label, valid);
  Value lse = logSumExp(math, x), teacherLse = logSumExp(math, teacher);
  set(op.getLse(), lse);
  set(op.getTeacherLse(), teacherLse);

  auto wants = [&](Value result) { return context.destinations.contains(result); };
  const bool wantsLoss = wants(op.getLoss()), wantsCount = wants(op.getCount());
  const bool wantsClasses = wantsLoss || wants(op.getClassLoss()), wantsKd = wantsLoss || wants(op.getKdLoss());
  if (!wantsClasses && !wantsKd && !wantsCount)
    return;
  // Of each, a partial sum for each task; null: not wanted.
  auto sumUp = [&](bool wanted, const char *what, llvm::function_ref<Value()> ofRow) -> Value {
    if (!wanted)
      return {};
    Value sums = partial(type, 0, what);
    launch.accumulate(math.select(valid, ofRow(), zero), sums);
    return sums;
  };
  Value classes = sumUp(wantsClasses, "partial class losses", [&] { return math.sub(lse, picked); });
  Value divergences = sumUp(wantsKd, "partial distillation losses", [&] {
    Value wanted = math.exp(math.sub(teacher, teacherLse));
    return math.reduce(ReduceKind::Add, math.mul(wanted, math.sub(lse, x)));
  });
  // Counted in floating point, where whole numbers add exactly (up to 2^24 rows).
  Value counts = sumUp(wantsCount, "partial counts", [&] { return math.constant(1.0, type); });

  Place inverse = context.places.lookup(op.getInvTokens());
  const double ratio = op.getRatio().convertToDouble();
  // When reductions are finished, the body may be gone: equal ones become one.
  reductions.push_back([=, this, loss = op.getLoss(), classLoss = op.getClassLoss(), kdLoss = op.getKdLoss(),
                        count = op.getCount(), tasks = launch.tasks()] {
    RowLaunch total(context.kernels, context.entry, launch.loc(), 1, 1);
    RowMath sum(total.body(), total.loc());
    auto store = [&](Value result, Value value) {
      for (Value buffer : context.destinations[result])
        total.storeRow(value, buffer);
    };
    auto all = [&](Value sums) { return sum.reduce(ReduceKind::Add, total.loadRow(sums)); };
    auto scaled = [&](Value value) { return sum.mul(sum.convert(loadScalar(total, inverse), type), value); };
    Value ofClasses = classes ? all(classes) : Value(), ofKd = divergences ? all(divergences) : Value();
    if (wantsLoss)
      store(loss, scaled(sum.add(sum.mul(sum.constant(1 - ratio, type), ofClasses),
                                 sum.mul(sum.constant(ratio, type), ofKd))));
    if (ofClasses)
      store(classLoss, scaled(ofClasses));
    if (ofKd)
      store(kdLoss, scaled(ofKd));
    if (counts)
      store(count, arith::FPToSIOp::create(total.body(), total.loc(), total.body().getI32Type(), all(counts)));
    total.finish("distillation_loss_total_" + std::to_string(tasks), context.label + " total");
  });
}

void RowEmitter::emitDistillationLossGrad(train::DistillationLossGradOp op) {
  Value x = row(op.getLogits()), teacher = row(op.getTeacherLogits()), label = element(op.getLabels());
  Type type = getElementTypeOrSelf(x.getType());
  auto rowType = cast<RankedTensorType>(x.getType());
  const double ratio = op.getRatio().convertToDouble();
  Value lse = math.convert(element(op.getLse()), type), teacherLse = math.convert(element(op.getTeacherLse()), type);
  Value factor = math.mul(math.convert(scalar(op.getGradient()), type), math.convert(scalar(op.getInvTokens()), type));
  Value share = math.broadcast(math.constant(1 - ratio, type), rowType), zero = math.constant(0.0, type);
  Value ofLabel = math.select(labelColumn(launch, math, label, rowType), share, zero);
  Value ofTeacher = math.mul(math.exp(math.sub(teacher, teacherLse)), math.constant(ratio, type));
  Value d = math.mul(math.sub(math.sub(math.exp(math.sub(x, lse)), ofLabel), ofTeacher), factor);
  Value valid = isLabel(launch, math, label, static_cast<int64_t>(op.getIgnoreIndex()));
  set(op.getResult(), math.select(valid, d, zero));
}
