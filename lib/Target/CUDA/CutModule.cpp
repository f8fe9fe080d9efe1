//===- CutModule.cpp - Device code in pieces ------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// LLVM and NVIDIA's assembler work on one module on one thread. Kernels do not call each other, so each is compiled
// alone as it would be among others: several modules are compiled at once, and a step has a table of them.
//
// Assumes a gpu.module of kernels (gpu.func) and of globals that they read.
//
// Promises the same pieces on every machine: how many there are, and what is in which, follows from the functions'
// numbers of ops, never from how many cores there are. A piece has the kernels in the order in which they were, and
// copies of the globals that they name.
//
// Refuses nothing.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/CutModule.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

#include <algorithm>
#include <vector>

using namespace mlir;

/// A piece has at least so many ops: below, what each costs whatever is in it would not be won back.
static constexpr size_t opsAPiece = 1500;

static size_t opsOf(gpu::GPUFuncOp function) {
  size_t ops = 0;
  function.walk([&](Operation *) { ++ops; });
  return ops;
}

/// Gives each function to the piece that has the least so far, the longest first.
static llvm::StringMap<uint32_t> distribute(ArrayRef<gpu::GPUFuncOp> functions, size_t most) {
  std::vector<std::pair<size_t, StringRef>> byLength;
  size_t total = 0;
  for (gpu::GPUFuncOp function : functions) {
    byLength.emplace_back(opsOf(function), function.getName());
    total += byLength.back().first;
  }
  llvm::sort(byLength,
             [](const auto &a, const auto &b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
  std::vector<size_t> pieces(std::clamp<size_t>(total / opsAPiece, 1, std::max<size_t>(1, most)));
  llvm::StringMap<uint32_t> home;
  for (auto &[ops, name] : byLength) {
    auto least = std::min_element(pieces.begin(), pieces.end());
    *least += ops;
    home[name] = static_cast<uint32_t>(least - pieces.begin());
  }
  return home;
}

llvm::StringMap<uint32_t> ftc::cuda::cutModule(gpu::GPUModuleOp module, size_t most) {
  auto functions = llvm::to_vector(module.getOps<gpu::GPUFuncOp>());
  llvm::StringMap<uint32_t> home = distribute(functions, most);
  std::vector<gpu::GPUModuleOp> pieces{module};
  for (gpu::GPUFuncOp function : functions) {
    const uint32_t number = home[function.getName()];
    while (pieces.size() <= number) {
      OpBuilder builder(module.getContext());
      builder.setInsertionPointAfter(pieces.back());
      pieces.push_back(
          gpu::GPUModuleOp::create(builder, module.getLoc(), (module.getName() + "_" + Twine(pieces.size())).str()));
    }
    if (number != 0)
      function->moveBefore(pieces[number].getBody(), pieces[number].getBody()->end());
  }
  if (pieces.size() == 1)
    return home;
  auto names = [](gpu::GPUModuleOp piece, LLVM::GlobalOp global) {
    return piece
        .walk([&](LLVM::AddressOfOp use) {
          return use.getGlobalName() == global.getSymName() ? WalkResult::interrupt() : WalkResult::advance();
        })
        .wasInterrupted();
  };
  for (auto global : llvm::to_vector(module.getOps<LLVM::GlobalOp>())) {
    for (gpu::GPUModuleOp piece : ArrayRef(pieces).drop_front())
      if (names(piece, global))
        OpBuilder::atBlockBegin(piece.getBody()).clone(*global);
    if (!names(module, global))
      global.erase();
  }
  return home;
}
