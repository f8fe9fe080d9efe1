//===- PlanWork.cpp - What an entry of a plan computes and moves ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/PlanWork.h"

#include "ftc/Analysis/Costs.h"
#include "ftc/Analysis/KernelTraffic.h"

#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace ftc;

namespace {
/// One launch of a kernel.
struct KernelWork {
  double flops = 0, bytes = 0;
};
} // namespace

static double bytesOf(ValueRange buffers) {
  double bytes = 0;
  for (Value buffer : buffers)
    bytes += static_cast<double>(plan::bytesOf(buffer.getType()));
  return bytes;
}

template <typename Op> static double attentionFlops(Op op, double products) {
  auto query = cast<MemRefType>(op.getQuery().getType());
  return causalFlops(query.getDimSize(0), query.getDimSize(1), op.getBatch(), op.getWindow(), products);
}

static KernelWork kernelWork(plan::KernelOp kernel) {
  KernelWork work;
  TypeSwitch<Operation *>(kernel.getWork())
      .Case([&](plan::MatmulOp op) {
        work.flops = 2.0 * static_cast<double>(op.getM()) * static_cast<double>(op.getN()) *
                     static_cast<double>(op.getK() + op.getPairK());
        work.bytes = bytesOf({op.getA(), op.getB(), op.getC()}) + bytesOf(op.getScales()) + bytesOf(op.getPair()) +
                     bytesOf(op.getExtras());
      })
      .Case([&](plan::AttentionOp op) {
        work.flops = attentionFlops(op, 2);
        work.bytes = bytesOf({op.getQuery(), op.getKey(), op.getValue(), op.getOutput(), op.getLse()});
      })
      .Case([&](plan::AttentionGradOp op) {
        work.flops = attentionFlops(op, 4);
        work.bytes = bytesOf({op.getQuery(), op.getKey(), op.getValue(), op.getOutput(), op.getLse(), op.getGradient(),
                              op.getQueryGradient(), op.getKeyGradient(), op.getValueGradient()});
      })
      .Default([&](Operation *) {
        if (std::optional<KernelTraffic> traffic = trafficOfRows(kernel))
          work.bytes = static_cast<double>(traffic->read + traffic->written);
      });
  return work;
}

PlanWork &PlanWork::operator+=(const PlanWork &other) {
  launches += other.launches;
  flops += other.flops;
  necessaryFlops += other.necessaryFlops;
  bytes += other.bytes;
  bytesOut += other.bytesOut;
  bytesIn += other.bytesIn;
  launchSeconds += other.launchSeconds;
  linkSeconds += other.linkSeconds;
  seconds += other.seconds;
  return *this;
}

static double quotient(double amount, double rate) { return rate > 0 ? amount / rate : 0; }

PlanWork ftc::workOf(plan::EntryOp entry, const DeviceRates &rates) {
  SymbolTable symbols(entry->getParentOfType<ModuleOp>());
  llvm::DenseMap<StringAttr, KernelWork> kernels;
  PlanWork total;
  total.necessaryFlops = entry.getFlops().convertToDouble();
  for (Operation &op : entry.getBody().front()) {
    if (auto out = dyn_cast<plan::CopyOutOp>(op))
      total.bytesOut += bytesOf(out.getNear());
    else if (auto in = dyn_cast<plan::CopyInOp>(op))
      total.bytesIn += bytesOf(in.getNear());
    auto launch = dyn_cast<plan::LaunchOp>(op);
    if (!launch)
      continue;
    auto [known, isNew] = kernels.try_emplace(launch.getKernelAttr().getAttr());
    if (isNew)
      known->second = kernelWork(symbols.lookup<plan::KernelOp>(launch.getKernel()));
    const KernelWork &work = known->second;
    ++total.launches;
    total.flops += work.flops;
    total.bytes += work.bytes;
    total.launchSeconds +=
        std::max(quotient(work.flops, rates.flopsPerSecond), quotient(work.bytes, rates.nearBytesPerSecond));
  }
  total.linkSeconds = quotient(std::max(total.bytesOut, total.bytesIn), rates.linkBytesPerSecond);
  total.seconds = std::max(total.launchSeconds, total.linkSeconds);
  return total;
}
