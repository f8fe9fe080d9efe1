//===- Scratch.cpp - Working memory of kernels becomes part of a plan ----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/Common/Scratch.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace ftc;

void target::planScratch(ModuleOp module, llvm::function_ref<ScratchNeed(Operation *)> needOf,
                         llvm::function_ref<void(plan::KernelOp, int64_t)> planned) {
  struct Need {
    MemRefType type;
    std::optional<unsigned> has; ///< the buffer that is too small
    ScratchNeed need;
  };
  llvm::StringMap<Need> needs;
  for (auto kernel : module.getOps<plan::KernelOp>()) {
    Operation *work = kernel.getWork();
    llvm::TypeSwitch<Operation *>(work).Case<plan::MatmulOp, plan::AttentionOp, plan::AttentionGradOp>([&](auto op) {
      auto has = dyn_cast_or_null<BlockArgument>(op.getScratch());
      ScratchNeed need = needOf(work);
      int64_t bytes = need.bytes;
      if (bytes == 0 || (has && plan::bytesOf(has.getType()) >= bytes))
        return;
      auto type = MemRefType::get({bytes}, IntegerType::get(module.getContext(), 8));
      if (has)
        has.setType(type);
      else
        op.getScratchMutable().assign(kernel.getBody().front().addArgument(type, work->getLoc()));
      needs[kernel.getSymName()] = {type, has ? std::optional(has.getArgNumber()) : std::nullopt, need};
      planned(kernel, bytes);
    });
  }
  module.walk([&](plan::LaunchOp launch) {
    auto found = needs.find(launch.getKernel());
    if (found == needs.end())
      return;
    OpBuilder builder(launch);
    auto buffer =
        plan::AllocOp::create(builder, launch.getLoc(), found->second.type, ("scratch of " + launch.getLabel()).str());
    if (const ScratchNeed &need = found->second.need; need.library)
      buffer->setAttr(plan::workspaceAttrName, builder.getDictionaryAttr(builder.getNamedAttr(
                                                   need.library, builder.getI64IntegerAttr(need.workspaceBytes))));
    if (!found->second.has) {
      launch.getBuffersMutable().append(buffer.getBuffer());
      return;
    }
    Operation *before = launch.getBuffers()[*found->second.has].getDefiningOp();
    launch.getBuffersMutable()[*found->second.has].set(buffer.getBuffer());
    if (before && before->use_empty())
      before->erase();
  });
}
