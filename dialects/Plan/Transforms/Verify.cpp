//===- Verify.cpp - Proves that the plan is all the memory there is --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Passes.td lists what is proven: where everything lies, that nothing meets, and that nothing is read before it is
// written. VerifyKernels.h has what is looked at in bodies of kernels, VerifyCopies.h copies that are under way.
//
// Assumes: a kernel reads all of a buffer that it reads.
//
// Not promised: that launches compute what they should. A launch that updates its buffer in place may be left out, or
// done twice, and every byte is still written before it is read. Places that depend on data, such as rows of a table
// that ids name, are trusted to be inside, and of those that are stored to, to be all and each another.
//
//===----------------------------------------------------------------------===//

#include "dialects/Plan/IR/Plan.h"
#include "dialects/Plan/Transforms/Passes.h"
#include "dialects/Plan/Transforms/VerifyCopies.h"
#include "dialects/Plan/Transforms/VerifyKernels.h"
#include "ftc/Analysis/KernelRows.h"
#include "ftc/Analysis/PlanMemory.h"

#include "mlir/IR/Remarks.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

#include <map>

using namespace mlir;
using namespace ftc;

namespace ftc::plan {
#define GEN_PASS_DEF_PLANVERIFYPASS
#include "dialects/Plan/Transforms/Passes.h.inc"
} // namespace ftc::plan

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

namespace {
/// A buffer with its place and when it is live.
struct Placed {
  Operation *op;
  std::string name;
  int64_t begin, end;
  int64_t first, last;
};

/// Which bytes of which buffers hold something.
class WrittenBytes {
public:
  void add(Value buffer) { add(buffer, {0, plan::bytesOf(buffer.getType())}); }

  /// Bytes of `buffer` from its start.
  void add(Value buffer, plan::Bytes bytes) {
    auto [whole, offset] = plan::partOf(buffer);
    int64_t begin = offset + bytes.begin, end = offset + bytes.end;
    std::map<int64_t, int64_t> &known = parts[whole]; // from begin to end
    // Parts that touch become one.
    auto next = known.upper_bound(begin);
    if (next != known.begin() && std::prev(next)->second >= begin)
      --next;
    while (next != known.end() && next->first <= end) {
      begin = std::min(begin, next->first);
      end = std::max(end, next->second);
      next = known.erase(next);
    }
    known.emplace(begin, end);
  }

  /// Whether all of `buffer` is written.
  bool holds(Value buffer) const {
    auto [whole, offset] = plan::partOf(buffer);
    auto found = parts.find(whole);
    if (found == parts.end())
      return false;
    auto next = found->second.upper_bound(offset);
    return next != found->second.begin() && std::prev(next)->second >= offset + plan::bytesOf(buffer.getType());
  }

private:
  llvm::DenseMap<Value, std::map<int64_t, int64_t>> parts;
};

/// Why an entry may not write a variable; empty where it may.
std::string whyFixed(plan::VariableOp variable, plan::EntryOp entry) {
  switch (variable.getRole()) {
  case plan::Role::Constant:
    return "constant";
  case plan::Role::Teacher:
    return "the teacher's";
  case plan::Role::Reference:
    return "the reference's";
  case plan::Role::Quantized:
    return "quantized";
  case plan::Role::Parameter:
    if (!variable.getTrainable() && entry.getKind() != plan::EntryKind::Evaluate &&
        entry.getKind() != plan::EntryKind::Logits)
      return "frozen";
    break;
  default:
    break;
  }
  if (entry.getKind() == plan::EntryKind::Evaluate || entry.getKind() == plan::EntryKind::Logits)
    return "in an entry that does not train";
  return {};
}

struct VerifyPlanPass : ftc::plan::impl::PlanVerifyPassBase<VerifyPlanPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable symbols(module);
    int64_t launches = 0;
    bool good = verifyKernels(module);
    llvm::StringMap<SmallVector<Placed>> variables;
    for (auto variable : module.getOps<plan::VariableOp>())
      good &= addPlaced(symbols, variable, "variable " + variable.getSymName().str(), variable.getBufferType(),
                        variable.getSlab(), variable.getOffset(), 0, 0, variables);
    for (auto &slab : variables)
      good &= verifyDisjoint(slab.second);
    for (auto variable : module.getOps<plan::VariableOp>())
      if (auto slab = variable.getSlab() ? symbols.lookup<plan::SlabOp>(*variable.getSlab()) : plan::SlabOp())
        if (slab.getFar() != variable.getFar()) {
          variable.emitError("is ") << (variable.getFar() ? "of the far tier but lies in near memory"
                                                          : "near but lies in the far tier");
          good = false;
        }
    if (!good)
      variables.clear(); // told once, not once more an entry
    for (auto entry : module.getOps<plan::EntryOp>()) {
      good &= verifyLaunches(symbols, entry);
      good &= verifyPlaces(symbols, entry, variables);
      launches += llvm::range_size(entry.getBody().front().getOps<plan::LaunchOp>());
    }
    if (!good)
      return signalPassFailure();
    remark::passed(module.getLoc(), remark::RemarkOpts::name("verified").category("memory"))
        << remark::add("no live buffers overlap and nothing else allocates") << remark::metric("launches", launches);
    markAllAnalysesPreserved();
  }

  bool verifyKernels(ModuleOp module) {
    written.clear();
    bool good = true;
    for (auto kernel : module.getOps<plan::KernelOp>())
      good &= plan::verifyKernel(kernel);
    return good;
  }

  /// What a launch of `kernel` writes, by argument.
  const std::vector<SmallVector<plan::Bytes>> &writtenBy(plan::KernelOp kernel) {
    auto [found, isNew] = written.try_emplace(kernel);
    if (isNew)
      for (unsigned index = 0; index < kernel.getBuffers().size(); ++index)
        found->second.push_back(plan::bytesWritten(kernel, index));
    return found->second;
  }
  llvm::DenseMap<Operation *, std::vector<SmallVector<plan::Bytes>>> written;

  /// The variable that `buffer` is of, or null.
  static plan::VariableOp variableOf(SymbolTable &symbols, Value buffer) {
    auto get = plan::partOf(buffer).whole.getDefiningOp<plan::ReadVariableOp>();
    return get ? symbols.lookup<plan::VariableOp>(get.getVariable()) : plan::VariableOp();
  }

  /// Whether `op` may write `buffer`; tells why not.
  static bool verifyWrite(SymbolTable &symbols, Operation *op, Value buffer) {
    plan::VariableOp variable = variableOf(symbols, buffer);
    std::string reason = variable ? whyFixed(variable, cast<plan::EntryOp>(op->getParentOp())) : "";
    if (reason.empty())
      return true;
    if (StringRef(reason).starts_with("in "))
      op->emitError("writes ") << variable.getSymNameAttr() << " " << reason;
    else
      op->emitError("writes ") << reason << " " << variable.getSymNameAttr();
    return false;
  }

  //===--------------------------------------------------------------------===//
  // Launches
  //===--------------------------------------------------------------------===//

  bool verifyLaunch(SymbolTable &symbols, plan::LaunchOp launch, plan::KernelOp kernel) {
    if (launch.getBuffers().size() != kernel.getBuffers().size()) {
      launch.emitError("passes ") << launch.getBuffers().size() << " buffers to @" << kernel.getSymName()
                                  << ", which takes " << kernel.getBuffers().size();
      return false;
    }
    for (auto [index, buffer] : llvm::enumerate(launch.getBuffers())) {
      auto given = cast<MemRefType>(buffer.getType());
      auto taken = cast<MemRefType>(kernel.getBuffers()[index].getType());
      if (given.getElementType() != taken.getElementType() || given.getNumElements() != taken.getNumElements()) {
        launch.emitError("passes ") << given << " as buffer " << index << " of @" << kernel.getSymName()
                                    << ", which takes " << taken;
        return false;
      }
      if (plan::isFar(symbols, buffer)) {
        launch.emitError("passes as buffer ") << index << " one of the far tier, which kernels cannot see";
        return false;
      }
      if (kernel.writes(index) && !verifyWrite(symbols, launch, buffer))
        return false;
      for (unsigned other = 0; other < index; ++other) {
        Value earlier = launch.getBuffers()[other];
        plan::Bytes a = plan::bytesIn(earlier), b = plan::bytesIn(buffer);
        bool shared = plan::memoryOf(symbols, earlier) == plan::memoryOf(symbols, buffer) && a.meets(b);
        bool equal = a.begin == b.begin && a.end == b.end;
        if (shared && (kernel.writes(index) || kernel.writes(other)) &&
            !(equal && plan::mayBeOneBuffer(kernel, other, index))) {
          launch.emitError("passes one buffer as ") << other << " and " << index << " of @" << kernel.getSymName()
                                                    << ", which writes it while other rows may still read it";
          return false;
        }
      }
    }
    return true;
  }

  bool verifyLaunches(SymbolTable &symbols, plan::EntryOp entry) {
    bool good = true;
    WrittenBytes held;
    llvm::StringSet<> inputs, outputs;
    plan::CopiesUnderWay copies(symbols);
    for (Operation &op : entry.getBody().front()) {
      if (auto launch = dyn_cast<plan::LaunchOp>(op)) {
        auto kernel = symbols.lookup<plan::KernelOp>(launch.getKernel());
        if (!kernel) {
          launch.emitError("names no kernel: ") << launch.getKernelAttr();
          good = false;
          continue;
        }
        if (!verifyLaunch(symbols, launch, kernel)) {
          good = false;
          continue;
        }
        for (auto [index, buffer] : llvm::enumerate(launch.getBuffers()))
          if (readsOldContent(kernel, index) && !held.holds(buffer)) {
            launch.emitError("(") << launch.getLabel() << ") reads buffer " << index
                                  << ", which nothing has written, or not all of it";
            good = false;
          }
        for (auto [index, buffer] : llvm::enumerate(launch.getBuffers()))
          good &= copies.access(launch, buffer, kernel.writes(index));
        for (auto [index, buffer] : llvm::enumerate(launch.getBuffers()))
          for (plan::Bytes bytes : writtenBy(kernel)[index])
            held.add(buffer, bytes);
      } else if (auto out = dyn_cast<plan::CopyOutOp>(op)) {
        good &= verifyCopy(symbols, out, out.getNear(), out.getFar(), held, copies);
      } else if (auto in = dyn_cast<plan::CopyInOp>(op)) {
        good &= verifyCopy(symbols, in, in.getNear(), in.getFar(), held, copies);
      } else if (auto wait = dyn_cast<plan::WaitOp>(op)) {
        copies.wait(wait.getEvent());
      } else if (auto output = dyn_cast<plan::OutputOp>(op)) {
        if (!held.holds(output.getBuffer())) {
          output.emitError("\"") << output.getName() << "\" is a buffer that nothing has written, or not all of it";
          good = false;
        }
        if (!outputs.insert(output.getName()).second) {
          output.emitError("\"") << output.getName() << "\" is the name of two outputs";
          good = false;
        }
        if (plan::isFar(symbols, output.getBuffer())) {
          output.emitError("\"") << output.getName() << "\" lies in the far tier, where the host cannot read it";
          good = false;
        }
      } else if (auto get = dyn_cast<plan::ReadVariableOp>(op)) {
        auto variable = symbols.lookup<plan::VariableOp>(get.getVariable());
        if (!variable || variable.getBufferType() != get.getBuffer().getType()) {
          get.emitError("names no variable of type ") << get.getBuffer().getType() << ": " << get.getVariableAttr();
          good = false;
        }
        held.add(get.getBuffer());
      } else if (auto input = dyn_cast<plan::InputOp>(op)) {
        held.add(input.getBuffer());
        if (!inputs.insert(input.getName()).second) {
          input.emitError("\"") << input.getName() << "\" is the name of two inputs";
          good = false;
        }
      } else if (!isa<plan::AllocOp, plan::ViewOp, plan::SliceOp>(op)) {
        op.emitError("is no buffer, launch, copy or output; entries hold nothing else");
        good = false;
      }
    }
    return copies.finish() && good;
  }

  /// A copy moves what something has written from one tier to the other, while no other copy is in its way.
  bool verifyCopy(SymbolTable &symbols, Operation *copy, Value near, Value far, WrittenBytes &held,
                  plan::CopiesUnderWay &copies) {
    if (plan::isFar(symbols, near) || !plan::isFar(symbols, far)) {
      copy->emitError(plan::isFar(symbols, near) ? "takes a buffer of the far tier for near memory"
                                                 : "takes a near buffer for the far tier");
      return false;
    }
    bool out = isa<plan::CopyOutOp>(copy);
    Value from = out ? near : far, to = out ? far : near;
    if (!held.holds(from)) {
      copy->emitError("copies a buffer that nothing has written");
      return false;
    }
    held.add(to);
    return verifyWrite(symbols, copy, to) && copies.begin(copy, from, to);
  }

  //===--------------------------------------------------------------------===//
  // Places
  //===--------------------------------------------------------------------===//

  bool addPlaced(SymbolTable &symbols, Operation *op, std::string name, Type type, std::optional<StringRef> slabName,
                 std::optional<int64_t> offset, int64_t first, int64_t last,
                 llvm::StringMap<SmallVector<Placed>> &placed) {
    if (!slabName || !offset) {
      op->emitError(name) << " has no place; run plan-assign-offsets";
      return false;
    }
    auto slab = symbols.lookup<plan::SlabOp>(*slabName);
    if (!slab) {
      op->emitError(name) << " lies in @" << *slabName << ", which is no slab of the module";
      return false;
    }
    int64_t bytes = plan::bytesOf(type);
    int64_t size = slab.getBytes();
    if (*offset < 0 || bytes > size || *offset > size - bytes) {
      op->emitError(name) << " takes " << bytes << " bytes from byte " << *offset << " of slab @" << *slabName
                          << ", which has " << size;
      return false;
    }
    int64_t alignment = slab.getAlignment();
    if (alignment < 1 || *offset % alignment) {
      op->emitError(name) << " begins at byte " << *offset << ", no multiple of the slab's alignment of " << alignment;
      return false;
    }
    int64_t elementBytes = plan::bytesOf(MemRefType::get({}, cast<MemRefType>(type).getElementType()));
    if (alignment % elementBytes) {
      op->emitError(name) << " has elements of " << elementBytes << " bytes, and its slab @" << *slabName
                          << " an alignment of " << alignment;
      return false;
    }
    placed[*slabName].push_back({op, std::move(name), *offset, *offset + bytes, first, last});
    return true;
  }

  /// No two overlap in both bytes and time. Sorted by place, so that each meets only those it overlaps in bytes.
  bool verifyDisjoint(SmallVector<Placed> &placed) {
    llvm::sort(placed, [](const Placed &a, const Placed &b) {
      return std::tie(a.begin, a.end, a.first, a.name) < std::tie(b.begin, b.end, b.first, b.name);
    });
    bool good = true;
    for (size_t i = 0; i < placed.size(); ++i)
      for (size_t j = i + 1; j < placed.size() && placed[j].begin < placed[i].end; ++j) {
        const Placed &a = placed[i], &b = placed[j];
        if (a.last < b.first || b.last < a.first)
          continue;
        InFlightDiagnostic diagnostic = b.op->emitError(b.name)
                                        << " overlaps " << a.name << " in bytes " << b.begin << " to "
                                        << std::min(a.end, b.end) << " while both are live";
        diagnostic.attachNote(a.op->getLoc()) << a.name << " is here";
        good = false;
      }
    return good;
  }

  bool verifyPlaces(SymbolTable &symbols, plan::EntryOp entry, const llvm::StringMap<SmallVector<Placed>> &variables) {
    PlanLiveness liveness(entry);
    llvm::StringMap<SmallVector<Placed>> placed;
    bool good = true;
    int64_t end = liveness.moments().size();
    // Variables live throughout. They are known to be disjoint from each other, so errors here name a transient buffer.
    for (auto &slab : variables)
      for (Placed variable : slab.second) {
        variable.first = -1;
        variable.last = end;
        placed[slab.first()].push_back(variable);
      }
    for (const LiveBuffer &buffer : liveness.buffers()) {
      Operation *op = buffer.buffer.getDefiningOp();
      std::string name = "buffer \"" + buffer.label + "\"";
      Type type = buffer.buffer.getType();
      good &= llvm::TypeSwitch<Operation *, bool>(op)
                  .Case([&](plan::ViewOp view) {
                    return addPlaced(symbols, op, name, type, view.getSlab(), view.getOffset(), buffer.first,
                                     buffer.last, placed);
                  })
                  .Case([&](plan::InputOp input) {
                    auto slab = input.getSlab() ? symbols.lookup<plan::SlabOp>(*input.getSlab()) : plan::SlabOp();
                    if (slab && slab.getFar()) {
                      op->emitError(name) << " is an input and lies in the far tier, where the host cannot write it";
                      return false;
                    }
                    return addPlaced(symbols, op, name, type, input.getSlab(), input.getOffset(), buffer.first,
                                     buffer.last, placed);
                  })
                  .Default([&](Operation *) {
                    op->emitError(name) << " has no place; run plan-assign-offsets";
                    return false;
                  });
    }
    for (auto &slab : placed)
      good &= verifyDisjoint(slab.second);
    return good;
  }
};
} // namespace
