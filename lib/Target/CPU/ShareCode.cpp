//===- ShareCode.cpp - One function for kernels that differ in numbers ---------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A step for several lengths of rows has its kernels once for each length, and LLVM would compile each anew. Kernels
// that differ in numbers alone (Common/Twins.h) are compiled once here: the first one's driver and tasks get the
// numbers in which it differs from the others, its *sizes*, by address; each kernel keeps its name, as a driver that
// calls the shared one with a constant of its own.
//
// Assumes what cpu-lower-kernels leaves: a driver for each kernel that is launched, and task functions that one driver
// refers to, called as Emit.h says.
//
// Promises the same bits: the ops of the shared code are those of each kernel's own, in the same order, on the same
// numbers; a size is loaded once, where a function begins. What has no twin stays as it is.
//
// Refuses nothing, and leaves numbers alone that code generation makes use of: a divisor in a loop of a task, which as
// a constant is a multiplication or a shift.
//
//===----------------------------------------------------------------------===//

#include "dialects/Plan/IR/Plan.h"
#include "lib/Target/CPU/Emit.h"
#include "lib/Target/CPU/Passes.h"
#include "lib/Target/Common/Twins.h"

#include "mlir/IR/Remarks.h"

namespace ftc {
#define GEN_PASS_DEF_CPUSHARECODEPASS
#include "lib/Target/CPU/Passes.h.inc"
} // namespace ftc

using namespace mlir;
using namespace ftc;
using target::Family;
using target::KernelCode;

/// Whether a number stays a constant: where it is no i64, or a task divides by it in a loop.
static bool isBound(arith::ConstantOp number) {
  return !number.getType().isInteger(64) || llvm::any_of(number->getUses(), [](OpOperand &use) {
    Operation *user = use.getOwner();
    return isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp>(user) && use.getOperandNumber() == 1 &&
           user->getParentOfType<scf::ForOp>() && cpu::isTask(user->getParentOfType<LLVM::LLVMFuncOp>());
  });
}

/// A driver called `name` that calls `shared` with its own arguments and the address of `sizes`.
static void createForwarder(OpBuilder &builder, Location loc, StringRef name, LLVM::LLVMFuncOp shared,
                            ArrayRef<int64_t> sizes) {
  MLIRContext *context = builder.getContext();
  Type i64 = builder.getI64Type(), pointer = LLVM::LLVMPointerType::get(context);
  auto count = static_cast<int64_t>(sizes.size());
  std::string sizesName = (name + ".sizes").str();
  LLVM::GlobalOp::create(builder, loc, LLVM::LLVMArrayType::get(i64, count), /*isConstant=*/true,
                         LLVM::Linkage::Internal, sizesName,
                         DenseElementsAttr::get(RankedTensorType::get({count}, i64), sizes), /*alignment=*/8);
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), shared.getArgumentTypes().drop_back());
  auto driver = LLVM::LLVMFuncOp::create(builder, loc, name, type, LLVM::Linkage::Internal);
  OpBuilder inner = OpBuilder::atBlockBegin(driver.addEntryBlock(builder));
  SmallVector<Value> arguments(driver.getArguments());
  arguments.push_back(LLVM::AddressOfOp::create(inner, loc, pointer, sizesName));
  LLVM::CallOp::create(inner, loc, shared, arguments);
  LLVM::ReturnOp::create(inner, loc, ValueRange{});
}

/// Makes the first member's code take its sizes as the last argument of its driver.
static LLVM::LLVMFuncOp takeSizes(const Family &family) {
  const KernelCode &code = *family.members.front();
  auto driver = cast<LLVM::LLVMFuncOp>(code.functions.front());
  OpBuilder builder(driver.getContext());
  Type pointer = LLVM::LLVMPointerType::get(builder.getContext());
  SmallVector<Type> inputs(driver.getArgumentTypes());
  inputs.push_back(pointer);
  driver.setFunctionType(LLVM::LLVMFunctionType::get(driver.getFunctionType().getReturnType(), inputs));
  Value sizes = driver.getBody().front().addArgument(pointer, driver.getLoc());
  driver.setSymName((driver.getSymName() + ".shared").str());

  // Each function loads what it uses, once, where it begins.
  DenseMap<Operation *, Value> sizesIn{{driver, sizes}};
  DenseMap<std::pair<Operation *, unsigned>, Value> loaded;
  for (auto [constant, size] : family.uses) {
    auto function = constant->getParentOfType<LLVM::LLVMFuncOp>();
    Location loc = function.getLoc();
    Value &from = sizesIn[function];
    if (!from)
      from = cpu::addCapture(driver, function, sizes);
    Value &value = loaded[{function, size}];
    if (!value) {
      builder.setInsertionPointToStart(&function.getBody().front());
      builder.setInsertionPointAfterValue(from);
      Value place = LLVM::GEPOp::create(builder, loc, pointer, builder.getI64Type(), from,
                                        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(size)});
      auto load = LLVM::LoadOp::create(builder, loc, builder.getI64Type(), place, /*alignment=*/8);
      load.setInvariant(true);
      value = load;
    }
    constant.replaceAllUsesWith(value);
    constant.erase();
  }
  return driver;
}

namespace {
struct CpuShareCodePass : ftc::impl::CpuShareCodePassBase<CpuShareCodePass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable symbols(module);
    llvm::SetVector<Operation *> drivers;
    llvm::DenseMap<Operation *, int> references;
    module.walk([&](Operation *op) {
      if (auto launch = dyn_cast<plan::LaunchOp>(op)) {
        if (auto driver = symbols.lookup<LLVM::LLVMFuncOp>(launch.getKernel()))
          drivers.insert(driver);
      } else if (auto address = dyn_cast<LLVM::AddressOfOp>(op)) {
        ++references[symbols.lookup(address.getGlobalName())];
      }
    });
    auto taskOf = [&](Operation *op) -> FunctionOpInterface {
      auto address = dyn_cast<LLVM::AddressOfOp>(op);
      auto task = address ? symbols.lookup<LLVM::LLVMFuncOp>(address.getGlobalName()) : LLVM::LLVMFuncOp();
      return task && cpu::isTask(task) && references.lookup(task) == 1 ? task : LLVM::LLVMFuncOp();
    };
    std::vector<KernelCode> codes;
    for (Operation *driver : drivers)
      codes.emplace_back(cast<FunctionOpInterface>(driver), taskOf, isBound);
    for (const Family &family : target::findFamilies(codes))
      share(family);
  }

  void share(const Family &family) {
    OpBuilder builder(&getContext());
    SmallVector<std::string> names;
    for (const KernelCode *member : family.members)
      names.push_back(SymbolTable::getSymbolName(member->functions.front()).str());
    for (const KernelCode *member : ArrayRef(family.members).drop_front())
      for (FunctionOpInterface function : member->functions)
        function->erase();
    LLVM::LLVMFuncOp shared = takeSizes(family);
    shared.setNoInline(true);
    builder.setInsertionPoint(shared);
    for (auto [name, sizes] : llvm::zip(names, family.sizes))
      createForwarder(builder, shared.getLoc(), name, shared, sizes);
    remark::passed(shared.getLoc(), remark::RemarkOpts::name("share-code").category("cpu-share-code"))
        << remark::add("{0} and {1} more are one code", names.front(), names.size() - 1)
        << remark::metric("kernels", static_cast<int64_t>(names.size()))
        << remark::metric("sizes", static_cast<int64_t>(family.numSizes()));
  }
};
} // namespace
