//===- PlanMemory.cpp - Which buffers of a plan live when, and what they hold -===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/PlanMemory.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

#include <map>

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

/// The event that `user` gives when it is done with its buffers; null where it is done at once.
static Value eventOf(Operation *user) {
  return isa<plan::CopyOutOp, plan::CopyInOp>(user) ? user->getResult(0) : Value();
}

PlanLiveness::PlanLiveness(plan::EntryOp entry) {
  llvm::DenseMap<Operation *, int64_t> number;
  for (Operation &op : entry.getBody().front())
    if (plan::hasMoment(&op)) {
      number[&op] = static_cast<int64_t>(order.size());
      order.push_back(&op);
    }
  int64_t end = static_cast<int64_t>(order.size());
  llvm::StringSet<> farSlabs;
  if (auto module = entry->getParentOfType<ModuleOp>())
    for (auto slab : module.getOps<plan::SlabOp>())
      if (slab.getFar())
        farSlabs.insert(slab.getSymName());
  for (Operation &op : entry.getBody().front()) {
    std::optional<StringRef> label = labelOf(&op);
    if (!label)
      continue;
    LiveBuffer buffer{op.getResult(0), label->str(), plan::bytesOf(op.getResult(0).getType()), false, end, -1};
    if (auto alloc = dyn_cast<plan::AllocOp>(op))
      buffer.far = alloc.getFar();
    else if (auto view = dyn_cast<plan::ViewOp>(op))
      buffer.far = farSlabs.contains(view.getSlab());
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
      if (Value event = eventOf(user)) {
        int64_t over = end;
        for (Operation *wait : event.getUsers())
          over = std::min(over, number.lookup_or(wait, end));
        when = std::max(when, over);
      }
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
  auto labelOfBuffer = [](Value buffer) {
    Operation *op = plan::partOf(buffer).whole.getDefiningOp();
    if (auto get = dyn_cast<plan::ReadVariableOp>(op))
      return get.getVariable().str();
    return labelOf(op).value_or("").str();
  };
  return TypeSwitch<Operation *, std::string>(order[moment])
      .Case([](plan::LaunchOp launch) { return launch.getLabel().str(); })
      .Case([&](plan::CopyOutOp copy) { return "copy to the far tier: " + labelOfBuffer(copy.getNear()); })
      .Case([&](plan::CopyInOp copy) { return "copy from the far tier: " + labelOfBuffer(copy.getNear()); })
      .Default([](Operation *) { return std::string("wait for a copy"); });
}

/// Most bytes of transient buffers of the far tier that are live at one moment, over all entries.
static int64_t farTransientBytes(ModuleOp module) {
  int64_t most = 0;
  for (auto entry : module.getOps<plan::EntryOp>()) {
    PlanLiveness liveness(entry);
    std::vector<int64_t> change(liveness.moments().size() + 3);
    for (const LiveBuffer &buffer : liveness.buffers())
      if (buffer.far && buffer.first <= buffer.last) {
        change[buffer.first + 1] += buffer.bytes;
        change[buffer.last + 2] -= buffer.bytes;
      }
    int64_t bytes = 0;
    for (int64_t step : change)
      most = std::max(most, bytes += step);
  }
  return most;
}

/// Transient near bytes live at one moment, and the first moment where they are most.
static std::pair<int64_t, int64_t> peakOf(const PlanLiveness &liveness) {
  // Moments begin at -1; each holds by how much more is alive than before.
  std::vector<int64_t> change(liveness.moments().size() + 3);
  for (const LiveBuffer &buffer : liveness.buffers())
    if (!buffer.far && buffer.first <= buffer.last) {
      change[buffer.first + 1] += buffer.bytes;
      change[buffer.last + 2] -= buffer.bytes;
    }
  int64_t most = -1, when = 0, bytes = 0;
  for (int64_t moment = -1, end = liveness.moments().size(); moment <= end; ++moment) {
    bytes += change[moment + 1];
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

/// The library that has a workspace in a buffer, and the bytes of that; "" and 0 where none has.
static std::pair<StringRef, int64_t> workspaceIn(Operation *buffer) {
  auto workspace = buffer->getAttrOfType<DictionaryAttr>(plan::workspaceAttrName);
  auto bytes = workspace && !workspace.empty() ? dyn_cast<IntegerAttr>(workspace.begin()->getValue()) : IntegerAttr();
  return bytes ? std::pair(workspace.begin()->getName().getValue(), bytes.getInt())
               : std::pair(StringRef(), int64_t(0));
}

MemoryTable ftc::memoryTable(ModuleOp module) {
  MemoryTable table;
  SymbolTable symbols(module);
  int64_t parameters = 0, quantized = 0, teacher = 0, states = 0, accumulators = 0, constants = 0;
  int64_t farStates = 0;
  for (auto slab : module.getOps<plan::SlabOp>())
    (slab.getFar() ? table.farTotal : table.total) += slab.getBytes();
  for (auto variable : module.getOps<plan::VariableOp>()) {
    int64_t bytes = plan::bytesOf(variable.getType());
    if (variable.getFar()) {
      farStates += bytes;
      continue;
    }
    (variable.getRole() == plan::Role::Parameter     ? parameters
     : variable.getRole() == plan::Role::Quantized   ? quantized
     : variable.getRole() == plan::Role::Teacher     ? teacher
     : variable.getRole() == plan::Role::State       ? states
     : variable.getRole() == plan::Role::Accumulator ? accumulators
                                                     : constants) += bytes;
  }
  std::map<std::string, int64_t> budgets, workspaces; // of each library: of any launch, and at the peak
  module.walk([&](plan::ViewOp view) {
    auto [library, bytes] = workspaceIn(view);
    if (!library.empty())
      budgets[library.str()] = std::max(budgets[library.str()], bytes);
  });
  int64_t hostBytes = 0, scratch = 0, gradients = 0, others = 0, most = -1;
  for (auto entry : module.getOps<plan::EntryOp>()) {
    PlanLiveness liveness(entry);
    auto [bytes, when] = peakOf(liveness);
    if (bytes <= most)
      continue;
    most = bytes;
    hostBytes = scratch = gradients = others = 0;
    workspaces.clear();
    table.largest.clear();
    table.peakEntry = entry.getSymName().str();
    table.peakNumber = when;
    table.peakLaunch = liveness.describe(when);
    int64_t end = liveness.moments().size();
    for (const LiveBuffer &buffer : liveness.buffers()) {
      if (buffer.far || when < buffer.first || buffer.last < when)
        continue;
      bool host = buffer.first == -1 || buffer.last == end;
      bool isRing = buffer.buffer.getDefiningOp()->hasAttr("plan.ring");
      bool gradient = buffer.buffer.getDefiningOp()->hasAttr("plan.gradient");
      (host                                          ? hostBytes
       : gradient                                    ? gradients
       : isRing || isScratch(symbols, buffer.buffer) ? scratch
                                                     : others) += buffer.bytes;
      if (auto [library, bytes] = workspaceIn(buffer.buffer.getDefiningOp()); !library.empty()) {
        workspaces[library.str()] += bytes;
        scratch -= bytes;
      }
      table.largest.push_back({buffer.label, buffer.bytes});
    }
    std::sort(table.largest.begin(), table.largest.end(), [](const MemoryRow &a, const MemoryRow &b) {
      return a.bytes != b.bytes ? a.bytes > b.bytes : a.what < b.what;
    });
    if (table.largest.size() > 8)
      table.largest.resize(8);
  }
  // Nothing but states and activations goes there; what is left of the slabs is gaps between states.
  int64_t farActivations = farTransientBytes(module);
  table.rows = {{"parameters", parameters},       {"optimizer states", states, farStates}, {"constants", constants},
                {"gradients", gradients},         {"activations", others, farActivations}, {"scratch", scratch},
                {"inputs and outputs", hostBytes}};
  for (const auto &[library, bytes] : budgets) {
    table.workspaces.push_back({library, bytes});
    table.rows.insert(table.rows.end() - 1, {"workspace of " + library, workspaces[library]});
  }
  if (accumulators)
    table.rows.insert(table.rows.begin() + 2, {"gradient accumulators", accumulators});
  if (teacher)
    table.rows.insert(table.rows.begin() + 1, {"parameters of the teacher", teacher});
  if (quantized)
    table.rows.insert(table.rows.begin() + 1, {"parameters in NF4", quantized});
  int64_t known = 0;
  for (const MemoryRow &row : table.rows)
    known += row.bytes;
  table.rows.push_back({"gaps", table.total - known, table.farTotal - farStates - farActivations});
  return table;
}
