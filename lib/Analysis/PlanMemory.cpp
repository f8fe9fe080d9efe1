//===- PlanMemory.cpp - Which buffers of a plan live when, and what they hold -===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/PlanMemory.h"

#include "ftc/Support/Reference.h"

#include "llvm/ADT/StringExtras.h"
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
  if (llvm::none_of(module.getOps<plan::SlabOp>(), [](plan::SlabOp slab) { return slab.getFar(); }))
    return 0;
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

/// A label without the number of its layer: "model.layers.*.mlp.up_proj matmul".
static std::string labelOfLayers(StringRef label) {
  SmallVector<StringRef> parts;
  label.split(parts, '.');
  for (StringRef &part : parts)
    if (!part.empty() && llvm::all_of(part, llvm::isDigit))
      part = "*";
  return llvm::join(parts, ".");
}

std::string ftc::rowOf(plan::VariableOp variable) {
  switch (variable.getRole()) {
  case plan::Role::Parameter:
    return "parameters";
  case plan::Role::Quantized:
    return isOfReference(variable.getSymName()) ? "parameters (reference, NF4)" : "parameters in NF4";
  case plan::Role::Teacher:
    return "parameters of the teacher";
  case plan::Role::Reference:
    return "parameters of the reference";
  case plan::Role::State:
    return "optimizer states";
  case plan::Role::Accumulator:
    return "gradient accumulators";
  default:
    return "constants";
  }
}

std::string ftc::rowOf(const SymbolTable &symbols, const LiveBuffer &buffer, int64_t moments) {
  Operation *op = buffer.buffer.getDefiningOp();
  if (StringRef library = workspaceIn(op).first; !library.empty())
    return ("workspace of " + library).str();
  if (buffer.first == -1 || buffer.last == moments)
    return "inputs and outputs";
  if (op->hasAttr("plan.gradient"))
    return "gradients";
  return op->hasAttr("plan.ring") || isScratch(symbols, buffer.buffer) ? "scratch" : "activations";
}

MemoryTable ftc::memoryTable(ModuleOp module) {
  MemoryTable table;
  SymbolTable symbols(module);
  for (auto slab : module.getOps<plan::SlabOp>())
    (slab.getFar() ? table.farTotal : table.total) += slab.getBytes();
  std::map<std::string, int64_t> persistent, transient; // bytes of each row
  int64_t farStates = 0;
  for (auto variable : module.getOps<plan::VariableOp>())
    (variable.getFar() ? farStates : persistent[rowOf(variable)]) += plan::bytesOf(variable.getType());
  std::map<std::string, int64_t> budgets; // of each library, the most that a launch gives it
  module.walk([&](plan::ViewOp view) {
    auto [library, bytes] = workspaceIn(view);
    if (!library.empty())
      budgets[library.str()] = std::max(budgets[library.str()], bytes);
  });
  int64_t most = -1;
  for (auto entry : module.getOps<plan::EntryOp>()) {
    PlanLiveness liveness(entry);
    auto [bytes, when] = peakOf(liveness);
    if (bytes <= most)
      continue;
    most = bytes;
    transient.clear();
    table.largest.clear();
    table.peakEntry = entry.getSymName().str();
    table.peakNumber = when;
    table.peakLaunch = liveness.describe(when);
    std::map<std::string, MemoryRow> alikes;
    for (const LiveBuffer &buffer : liveness.buffers()) {
      if (buffer.far || when < buffer.first || buffer.last < when)
        continue;
      std::string row = rowOf(symbols, buffer, liveness.moments().size());
      // What a kernel has beside the workspace of its library, in one buffer with it, is scratch.
      int64_t workspace = workspaceIn(buffer.buffer.getDefiningOp()).second;
      transient[row] += workspace ? workspace : buffer.bytes;
      transient["scratch"] += workspace ? buffer.bytes - workspace : 0;
      MemoryRow &alike =
          alikes.try_emplace(labelOfLayers(buffer.label), MemoryRow{buffer.label, 0, 0, 0}).first->second;
      alike.bytes += buffer.bytes;
      if (++alike.count == 2)
        alike.what = labelOfLayers(buffer.label);
    }
    for (auto &[label, row] : alikes)
      table.largest.push_back(row);
    std::sort(table.largest.begin(), table.largest.end(), [](const MemoryRow &a, const MemoryRow &b) {
      return a.bytes != b.bytes ? a.bytes > b.bytes : a.what < b.what;
    });
    if (table.largest.size() > 8)
      table.largest.resize(8);
  }
  // Nothing but states and activations goes there; what is left of the slabs is gaps between states.
  int64_t farActivations = farTransientBytes(module);
  auto add = [&](const std::string &row, std::map<std::string, int64_t> &bytes, bool always, int64_t far = 0) {
    if (always || bytes[row] > 0)
      table.rows.push_back({row, bytes[row], far});
  };
  add("parameters", persistent, true);
  add("parameters in NF4", persistent, false);
  add("parameters of the teacher", persistent, false);
  add("parameters of the reference", persistent, false);
  add("parameters (reference, NF4)", persistent, false);
  add("optimizer states", persistent, true, farStates);
  add("gradient accumulators", persistent, false);
  add("constants", persistent, true);
  add("gradients", transient, true);
  add("activations", transient, true, farActivations);
  add("scratch", transient, true);
  for (const auto &[library, bytes] : budgets) {
    table.workspaces.push_back({library, bytes});
    add("workspace of " + library, transient, true);
  }
  add("inputs and outputs", transient, true);
  int64_t known = 0;
  for (const MemoryRow &row : table.rows)
    known += row.bytes;
  table.rows.push_back({"gaps", table.total - known, table.farTotal - farStates - farActivations});
  return table;
}
