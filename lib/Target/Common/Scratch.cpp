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

void target::planScratch(ModuleOp module, llvm::function_ref<int64_t(Operation *)> bytesOf,
                         llvm::function_ref<void(plan::KernelOp, int64_t)> planned) {
  llvm::StringMap<MemRefType> needs;
  for (auto kernel : module.getOps<plan::KernelOp>()) {
    Operation *work = kernel.getWork();
    llvm::TypeSwitch<Operation *>(work).Case<plan::MatmulOp, plan::AttentionOp, plan::AttentionGradOp>([&](auto op) {
      int64_t bytes = op.getScratch() ? 0 : bytesOf(work);
      if (bytes == 0)
        return;
      auto type = MemRefType::get({bytes}, IntegerType::get(module.getContext(), 8));
      op.getScratchMutable().assign(kernel.getBody().front().addArgument(type, work->getLoc()));
      needs.try_emplace(kernel.getSymName(), type);
      planned(kernel, bytes);
    });
  }
  module.walk([&](plan::LaunchOp launch) {
    auto found = needs.find(launch.getKernel());
    if (found == needs.end())
      return;
    OpBuilder builder(launch);
    Value buffer =
        plan::AllocOp::create(builder, launch.getLoc(), found->second, ("scratch of " + launch.getLabel()).str());
    launch.getBuffersMutable().append(buffer);
  });
}
