//===- PlanMemory.cpp - Which buffers of a plan live when, and what they hold -===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/PlanMemory.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace ftc;

/// The label of a transient buffer; nullopt for a variable's.
static std::optional<StringRef> labelOf(Operation *op) {
  return TypeSwitch<Operation *, std::optional<StringRef>>(op)
      .Case([](plan::AllocOp op) { return op.getLabel(); })
      .Case([](plan::ViewOp op) { return op.getLabel(); })
      .Case([](plan::InputOp op) { return op.getName(); })
      .Default(std::nullopt);
}

PlanLiveness::PlanLiveness(plan::EntryOp entry) {
  llvm::DenseMap<Operation *, int64_t> number;
  for (auto launch : entry.getBody().front().getOps<plan::LaunchOp>()) {
    number[launch] = static_cast<int64_t>(order.size());
    order.push_back(launch);
  }
  int64_t end = static_cast<int64_t>(order.size());
  for (Operation &op : entry.getBody().front()) {
    std::optional<StringRef> label = labelOf(&op);
    if (!label)
      continue;
    LiveBuffer buffer{op.getResult(0), label->str(), plan::bytesOf(op.getResult(0).getType()), end, -1};
    // Uses of slices are uses of the whole.
    SmallVector<Operation *> users(op.getUsers());
    for (size_t i = 0; i < users.size(); ++i)
      if (auto slice = dyn_cast<plan::SliceOp>(users[i]))
        llvm::append_range(users, slice->getUsers());
    for (Operation *user : users) {
      if (isa<plan::SliceOp>(user))
        continue;
      auto found = number.find(user);
      int64_t when = found == number.end() ? end : found->second;
      buffer.first = std::min(buffer.first, when);
      buffer.last = std::max(buffer.last, when);
    }
    if (isa<plan::InputOp>(op))
      buffer.first = -1;
    live.push_back(std::move(buffer));
  }
}

std::string PlanLiveness::describe(int64_t moment) const {
  if (moment < 0)
    return "start";
  if (moment >= static_cast<int64_t>(order.size()))
    return "end";
  return plan::LaunchOp(order[moment]).getLabel().str();
}

/// Transient bytes live at one moment, and the moment where they are most.
static std::pair<int64_t, int64_t> peakOf(const PlanLiveness &liveness) {
  int64_t most = -1, when = 0;
  for (int64_t moment = -1, end = liveness.launches().size(); moment <= end; ++moment) {
    int64_t bytes = 0;
    for (const LiveBuffer &buffer : liveness.buffers())
      if (buffer.first <= moment && moment <= buffer.last)
        bytes += buffer.bytes;
    if (bytes > most) {
      most = bytes;
      when = moment;
    }
  }
  return {most, when};
}

/// Whether the kernels that use `buffer` in `entry` use it as scratch only.
static bool isScratch(const SymbolTable &symbols, Value buffer) {
  return !buffer.use_empty() && llvm::all_of(buffer.getUses(), [&](OpOperand &use) {
    auto launch = dyn_cast<plan::LaunchOp>(use.getOwner());
    auto kernel = launch ? symbols.lookup<plan::KernelOp>(launch.getKernel()) : plan::KernelOp();
    if (!kernel)
      return false;
    Value argument = kernel.getBuffers()[use.getOperandNumber()];
    return TypeSwitch<Operation *, bool>(kernel.getWork())
        .Case<plan::MatmulOp, plan::AttentionOp, plan::AttentionGradOp>(
            [&](auto work) { return work.getScratch() == argument; })
        .Default(false);
  });
}

MemoryTable ftc::memoryTable(ModuleOp module) {
  MemoryTable table;
  SymbolTable symbols(module);
  int64_t parameters = 0, states = 0, accumulators = 0, constants = 0;
  for (auto slab : module.getOps<plan::SlabOp>())
    table.total += slab.getBytes();
  for (auto variable : module.getOps<plan::VariableOp>()) {
    int64_t bytes = plan::bytesOf(variable.getType());
    (variable.getRole() == plan::Role::Parameter     ? parameters
     : variable.getRole() == plan::Role::State       ? states
     : variable.getRole() == plan::Role::Accumulator ? accumulators
                                                     : constants) += bytes;
  }
  int64_t hostBytes = 0, scratch = 0, gradients = 0, others = 0, most = -1;
  for (auto entry : module.getOps<plan::EntryOp>()) {
    PlanLiveness liveness(entry);
    auto [bytes, when] = peakOf(liveness);
    if (bytes <= most)
      continue;
    most = bytes;
    hostBytes = scratch = gradients = others = 0;
    table.largest.clear();
    table.peakEntry = entry.getSymName().str();
    table.peakNumber = when;
    table.peakLaunch = liveness.describe(when);
    int64_t end = liveness.launches().size();
    for (const LiveBuffer &buffer : liveness.buffers()) {
      if (when < buffer.first || buffer.last < when)
        continue;
      bool host = buffer.first == -1 || buffer.last == end;
      bool gradient = buffer.buffer.getDefiningOp()->hasAttr("plan.gradient");
      (host ? hostBytes : gradient ? gradients : isScratch(symbols, buffer.buffer) ? scratch : others) += buffer.bytes;
      table.largest.push_back({buffer.label, buffer.bytes});
    }
    std::sort(table.largest.begin(), table.largest.end(), [](const MemoryRow &a, const MemoryRow &b) {
      return a.bytes != b.bytes ? a.bytes > b.bytes : a.what < b.what;
    });
    if (table.largest.size() > 8)
      table.largest.resize(8);
  }
  table.rows = {{"parameters", parameters},       {"optimizer states", states}, {"constants", constants},
                {"gradients", gradients},         {"activations", others},      {"scratch", scratch},
                {"inputs and outputs", hostBytes}};
  if (accumulators)
    table.rows.insert(table.rows.begin() + 2, {"gradient accumulators", accumulators});
  int64_t known = 0;
  for (const MemoryRow &row : table.rows)
    known += row.bytes;
  table.rows.push_back({"gaps", table.total - known});
  return table;
}
