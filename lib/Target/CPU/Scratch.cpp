//===- Scratch.cpp - Working memory of CPU kernels ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/LowerAttention.h"
#include "lib/Target/CPU/LowerNarrowMatmul.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::cpu;

int64_t cpu::scratchBytes(Operation *work, const CpuTarget &target) {
  auto bytes = [](int64_t floats) { return llvm::alignTo(floats * 4, 64); };
  if (auto op = dyn_cast<plan::MatmulOp>(work)) {
    if (std::optional<NarrowProduct> narrow = asNarrowProduct(op, target))
      return bytes(narrow->scratchFloats(target));
    return bytes(productBlocks(op.getM(), op.getN(), op.getK(), op.getTransposeB(), target, op.getPairK())
                     .scratchFloats(target));
  }
  if (auto op = dyn_cast<plan::AttentionOp>(work))
    return bytes(AttentionBlocks(attentionShape(op), target).scratchFloats(target));
  if (auto op = dyn_cast<plan::AttentionGradOp>(work))
    return bytes(AttentionGradBlocks(attentionShape(op), target).scratchFloats(target));
  return 0;
}
