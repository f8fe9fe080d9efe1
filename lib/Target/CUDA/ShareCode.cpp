//===- ShareCode.cpp - One function for kernels that differ in numbers -----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A step for several lengths of rows has its kernels once for each length, and LLVM and ptxas would compile each anew.
// Functions of the device that differ in numbers alone (Common/Twins.h) become one here, the first of them: it takes
// the numbers behind its addresses, as i64, and the table of kernels says which each kernel gets, beside its own grid
// and block.
//
// Assumes functions of gpu.module as cuda-lower-kernels has made them, which are launched through the table alone.
//
// Promises the same bits: the ops are those of each kernel's own function, in the same order, on the same numbers.
// Blocks, their shared memory and the buffers are equal in what is shared.
//
// Refuses nothing, and leaves numbers alone that code generation makes use of: bounds of loops whose turns are known,
// which may be unrolled, and divisors, but for those of functions that work by tiles in shared memory, where they are
// not met in each turn of a loop: there a division is a small part of what a thread does. Attention meets one in the
// few turns whose keys it has to mask. A step of one length stays as it is.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/KernelTables.h"
#include "lib/Target/Common/Twins.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace ftc;
using target::Family;
using target::KernelCode;

static bool isConstant(Value value) { return value.getDefiningOp<arith::ConstantOp>() != nullptr; }

/// Whether `op` runs in each turn of a loop: no condition is between them.
static bool isInEachTurn(Operation *op) {
  for (Operation *parent = op->getParentOp(); parent; parent = parent->getParentOp()) {
    if (isa<scf::IfOp>(parent))
      return false;
    if (isa<scf::ForOp>(parent))
      return true;
  }
  return false;
}

/// Whether a number stays a constant.
static bool isBound(arith::ConstantOp number) {
  bool byTiles = number->getParentOfType<gpu::GPUFuncOp>()->hasAttr(cuda::sharedBytesAttrName);
  return llvm::any_of(number->getUses(), [&](OpOperand &use) {
    Operation *user = use.getOwner();
    if (isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp>(user) && use.getOperandNumber() == 1)
      return !byTiles || isInEachTurn(user);
    auto loop = dyn_cast<scf::ForOp>(user);
    return loop && isConstant(loop.getLowerBound()) && isConstant(loop.getUpperBound()) && isConstant(loop.getStep());
  });
}

/// Makes the first member's function take its sizes as its last arguments.
static void takeSizes(const Family &family, gpu::GPUFuncOp function) {
  OpBuilder builder(function.getContext());
  Location loc = function.getLoc();
  unsigned first = function.getNumArguments();
  for (size_t i = 0; i < family.numSizes(); ++i)
    (void)function.insertArgument(first + i, builder.getI64Type(), DictionaryAttr(), loc);
  for (auto [constant, size] : family.uses) {
    Value value = function.getArgument(first + size);
    if (constant.getType() != value.getType()) {
      builder.setInsertionPoint(constant);
      value = arith::TruncIOp::create(builder, loc, constant.getType(), value);
    }
    constant.replaceAllUsesWith(value);
    constant.erase();
  }
}

std::vector<cuda::LaunchedKernel> cuda::launchedKernels(ArrayRef<gpu::GPUFuncOp> functions, bool share) {
  std::vector<LaunchedKernel> kernels;
  llvm::DenseMap<Operation *, size_t> numbers;
  for (gpu::GPUFuncOp function : functions) {
    auto shared = function->getAttrOfType<IntegerAttr>(sharedBytesAttrName);
    numbers[function] = kernels.size();
    kernels.push_back({function.getName().str(),
                       function.getName().str(),
                       function.getNumArguments(),
                       (*function.getKnownGridSize())[0],
                       (*function.getKnownBlockSize())[0],
                       shared ? shared.getInt() : 0,
                       {}});
  }
  if (!share)
    return kernels;
  // Grids, and how many threads a block has, are the kernels' own.
  for (gpu::GPUFuncOp function : functions) {
    function.removeKnownGridSizeAttr();
    function.removeKnownBlockSizeAttr();
  }
  std::vector<KernelCode> codes;
  for (gpu::GPUFuncOp function : functions)
    codes.emplace_back(function, [](Operation *) { return FunctionOpInterface(); }, isBound);
  std::vector<Family> families = target::findFamilies(codes);
  llvm::DenseSet<Operation *> erased;
  for (const Family &family : families) {
    auto first = cast<gpu::GPUFuncOp>(family.members.front()->functions.front());
    LaunchedKernel &most = kernels[numbers[first]];
    for (auto [member, sizes] : llvm::zip(family.members, family.sizes)) {
      auto function = cast<gpu::GPUFuncOp>(member->functions.front());
      LaunchedKernel &kernel = kernels[numbers[function]];
      kernel.function = most.function;
      kernel.sizes = sizes;
      if (function != first)
        erased.insert(function);
    }
    takeSizes(family, first);
    remark::passed(first.getLoc(), remark::RemarkOpts::name("share-code").category("cuda-lower-kernels"))
        << remark::add("{0} and {1} more are one function", first.getName(), family.members.size() - 1)
        << remark::metric("kernels", static_cast<int64_t>(family.members.size()))
        << remark::metric("sizes", static_cast<int64_t>(family.numSizes()));
  }
  // What code generation may rely on: the largest of those that a function is launched with.
  llvm::StringMap<std::pair<int64_t, int64_t>> largest;
  for (const LaunchedKernel &kernel : kernels) {
    auto &[grid, block] = largest[kernel.function];
    grid = std::max(grid, kernel.grid);
    block = std::max(block, kernel.block);
  }
  for (gpu::GPUFuncOp function : functions) {
    if (erased.contains(function)) {
      function.erase();
      continue;
    }
    Builder builder(function.getContext());
    auto three = [&](int64_t x) { return builder.getDenseI32ArrayAttr({static_cast<int32_t>(x), 1, 1}); };
    function.setKnownGridSizeAttr(three(largest[function.getName()].first));
    function.setKnownBlockSizeAttr(three(largest[function.getName()].second));
  }
  return kernels;
}
