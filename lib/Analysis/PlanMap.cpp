//===- PlanMap.cpp - Where each buffer of a plan lies, and when ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/PlanMap.h"

#include "ftc/Analysis/PlanMemory.h"

using namespace mlir;
using namespace ftc;

/// The slab and the offset of a transient buffer; a null slab where it has none.
static std::pair<StringRef, int64_t> placeOf(Operation *op) {
  if (auto view = dyn_cast<plan::ViewOp>(op))
    return {view.getSlab(), view.getOffset()};
  if (auto input = dyn_cast<plan::InputOp>(op); input && input.getSlab())
    return {*input.getSlab(), *input.getOffset()};
  return {};
}

PlanMap ftc::planMap(ModuleOp module) {
  PlanMap map;
  SymbolTable symbols(module);
  llvm::StringMap<size_t> numbers;
  for (auto slab : module.getOps<plan::SlabOp>()) {
    numbers[slab.getSymName()] = map.slabs.size();
    map.slabs.push_back({slab.getSymName().str(), static_cast<int64_t>(slab.getBytes()), slab.getFar()});
  }
  for (auto variable : module.getOps<plan::VariableOp>())
    if (variable.getSlab())
      map.variables.push_back({variable.getSymName().str(), rowOf(variable), numbers.lookup(*variable.getSlab()),
                               static_cast<int64_t>(*variable.getOffset()), plan::bytesOf(variable.getType())});
  for (auto entry : module.getOps<plan::EntryOp>()) {
    PlanLiveness liveness(entry);
    EntryMap &found = map.entries.emplace_back();
    found.name = entry.getSymName().str();
    auto moments = static_cast<int64_t>(liveness.moments().size());
    for (int64_t moment = 0; moment < moments; ++moment)
      found.moments.push_back(liveness.describe(moment));
    for (const LiveBuffer &buffer : liveness.buffers()) {
      auto [slab, offset] = placeOf(buffer.buffer.getDefiningOp());
      if (!slab.empty() && buffer.first <= buffer.last)
        found.buffers.push_back({buffer.label, rowOf(symbols, buffer, moments), numbers.lookup(slab), offset,
                                 buffer.bytes, buffer.first, buffer.last});
    }
  }
  return map;
}
