//===- Verify.cpp - Proves that the plan is all the memory there is --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Plan/IR/Plan.h"
#include "dialects/Plan/Transforms/Passes.h"
#include "dialects/Plan/Transforms/VerifyCopies.h"
#include "ftc/Analysis/KernelRows.h"
#include "ftc/Analysis/PlanMemory.h"

#include "mlir/IR/Remarks.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace ftc;

namespace ftc::plan {
#define GEN_PASS_DEF_PLANVERIFYPASS
#include "dialects/Plan/Transforms/Passes.h.inc"
} // namespace ftc::plan

//===----------------------------------------------------------------------===//
// What a kernel does with its arguments
//===----------------------------------------------------------------------===//

/// Whether all accesses to an argument are whole rows, at the row that runs.
static bool isOwnRowOnly(plan::RowsOp rows, Value argument) {
  auto ownRow = [&](ValueRange indices, Type value, int64_t offset) {
    auto type = cast<MemRefType>(argument.getType());
    if (auto row = dyn_cast<RankedTensorType>(value))
      if (offset != 0 || row.getDimSize(0) != type.getShape().back())
        return false;
    return indices.empty() ? rows.getRows() == 1 : indices.size() == 1 && indices.front() == rows.getRow();
  };
  return rows.getOrder() == plan::RowOrder::Parallel && llvm::all_of(argument.getUsers(), [&](Operation *user) {
           if (auto load = dyn_cast<plan::LoadOp>(user))
             return ownRow(load.getIndices(), load.getResult().getType(), load.getOffset());
           auto store = dyn_cast<plan::StoreOp>(user);
           return store && ownRow(store.getIndices(), store.getValue().getType(), store.getOffset());
         });
}

/// Whether one buffer may be passed as both arguments though the kernel writes one of them.
static bool mayBeOneBuffer(plan::KernelOp kernel, unsigned i, unsigned j) {
  Value a = kernel.getBuffers()[i], b = kernel.getBuffers()[j];
  if (auto rows = dyn_cast<plan::RowsOp>(kernel.getWork()))
    return a.getType() == b.getType() && isOwnRowOnly(rows, a) && isOwnRowOnly(rows, b);
  auto product = dyn_cast<plan::MatmulOp>(kernel.getWork());
  if (!product)
    return false;
  if (b == product.getC())
    std::swap(a, b);
  return a == product.getC() && a.hasOneUse() && llvm::all_of(b.getUses(), [&](OpOperand &use) {
           return llvm::is_contained(product.getExtras(), use.get()) && use.getOperandNumber() > 2;
         });
}

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
  void add(Value buffer) {
    auto [whole, offset] = plan::partOf(buffer);
    plan::Bytes added{offset, offset + plan::bytesOf(buffer.getType())};
    SmallVector<plan::Bytes, 1> &known = parts[whole];
    // Parts that touch become one.
    llvm::erase_if(known, [&](const plan::Bytes &part) {
      if (part.end < added.begin || added.end < part.begin)
        return false;
      added = {std::min(part.begin, added.begin), std::max(part.end, added.end)};
      return true;
    });
    known.push_back(added);
  }

  /// Whether all of `buffer` is written.
  bool holds(Value buffer) const {
    auto [whole, offset] = plan::partOf(buffer);
    int64_t begin = offset, end = offset + plan::bytesOf(buffer.getType());
    auto found = parts.find(whole);
    return found != parts.end() &&
           llvm::any_of(found->second, [&](const plan::Bytes &part) { return part.begin <= begin && end <= part.end; });
  }

private:
  llvm::DenseMap<Value, SmallVector<plan::Bytes, 1>> parts;
};

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
    bool good = true;
    for (auto kernel : module.getOps<plan::KernelOp>())
      kernel.getBody().walk([&](Operation *op) {
        if (isa_and_nonnull<plan::PlanDialect, arith::ArithDialect, math::MathDialect, scf::SCFDialect>(
                op->getDialect()))
          return;
        op->emitError("is not of a dialect that bodies of kernels are made of; it could allocate");
        good = false;
      });
    return good;
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
      auto get = plan::partOf(buffer).whole.getDefiningOp<plan::ReadVariableOp>();
      auto variable = get ? symbols.lookup<plan::VariableOp>(get.getVariable()) : plan::VariableOp();
      const plan::Role role = variable ? variable.getRole() : plan::Role::State;
      if ((role == plan::Role::Constant || role == plan::Role::Teacher) && kernel.writes(index)) {
        launch.emitError("writes ") << (role == plan::Role::Teacher ? "the teacher's " : "constant ")
                                    << variable.getSymNameAttr();
        return false;
      }
      for (unsigned other = 0; other < index; ++other) {
        Value earlier = launch.getBuffers()[other];
        plan::Bytes a = plan::bytesIn(earlier), b = plan::bytesIn(buffer);
        bool shared = plan::memoryOf(symbols, earlier) == plan::memoryOf(symbols, buffer) && a.meets(b);
        bool equal = a.begin == b.begin && a.end == b.end;
        if (shared && (kernel.writes(index) || kernel.writes(other)) &&
            !(equal && mayBeOneBuffer(kernel, other, index))) {
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
    WrittenBytes written;
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
          if (readsOldContent(kernel, index) && !written.holds(buffer)) {
            launch.emitError("(") << launch.getLabel() << ") reads buffer " << index << ", which nothing has written";
            good = false;
          }
        for (auto [index, buffer] : llvm::enumerate(launch.getBuffers()))
          good &= copies.access(launch, buffer, kernel.writes(index));
        for (auto [index, buffer] : llvm::enumerate(launch.getBuffers()))
          if (kernel.writes(index))
            written.add(buffer);
      } else if (auto out = dyn_cast<plan::CopyOutOp>(op)) {
        good &= verifyCopy(symbols, out, out.getNear(), out.getFar(), written, copies);
      } else if (auto in = dyn_cast<plan::CopyInOp>(op)) {
        good &= verifyCopy(symbols, in, in.getNear(), in.getFar(), written, copies);
      } else if (auto wait = dyn_cast<plan::WaitOp>(op)) {
        copies.wait(wait.getEvent());
      } else if (auto output = dyn_cast<plan::OutputOp>(op)) {
        if (!written.holds(output.getBuffer())) {
          output.emitError("\"") << output.getName() << "\" is a buffer that nothing has written";
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
        written.add(get.getBuffer());
      } else if (auto input = dyn_cast<plan::InputOp>(op)) {
        written.add(input.getBuffer());
      } else if (!isa<plan::AllocOp, plan::ViewOp, plan::SliceOp>(op)) {
        op.emitError("is no buffer, launch, copy or output; entries hold nothing else");
        good = false;
      }
    }
    return copies.finish() && good;
  }

  /// A copy moves what something has written from one tier to the other, while no other copy is in its way.
  bool verifyCopy(SymbolTable &symbols, Operation *copy, Value near, Value far, WrittenBytes &written,
                  plan::CopiesUnderWay &copies) {
    if (plan::isFar(symbols, near) || !plan::isFar(symbols, far)) {
      copy->emitError(plan::isFar(symbols, near) ? "takes a buffer of the far tier for near memory"
                                                 : "takes a near buffer for the far tier");
      return false;
    }
    bool out = isa<plan::CopyOutOp>(copy);
    Value from = out ? near : far, to = out ? far : near;
    if (!written.holds(from)) {
      copy->emitError("copies a buffer that nothing has written");
      return false;
    }
    written.add(to);
    return copies.begin(copy, from, to);
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
