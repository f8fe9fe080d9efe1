//===- Emit.cpp - Functions, tasks and fork-joins of generated CPU code ------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/Emit.h"

using namespace mlir;
using namespace ftc;

cpu::Driver cpu::createDriver(OpBuilder &builder, plan::KernelOp kernel) {
  auto module = kernel->getParentOfType<ModuleOp>();
  builder.setInsertionPointToEnd(module.getBody());
  auto pointer = LLVM::LLVMPointerType::get(builder.getContext());
  SmallVector<Type> inputs(1 + kernel.getBuffers().size(), pointer);
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(builder.getContext()), inputs);
  // The kernel's own symbol stays until all drivers exist; the driver is renamed to it when the kernel is erased.
  auto function = LLVM::LLVMFuncOp::create(builder, kernel.getLoc(), (kernel.getSymName() + ".driver").str(), type,
                                           LLVM::Linkage::Internal);
  Block *entry = function.addEntryBlock(builder);
  builder.setInsertionPointToStart(entry);
  Driver driver{function, entry->getArgument(0), {}};
  driver.buffers.append(entry->args_begin() + 1, entry->args_end());
  return driver;
}

void cpu::emitParallelFor(OpBuilder &builder, Location loc, Value services, StringRef name, Value tasks,
                          ValueRange captures, function_ref<void(OpBuilder &, TaskFunction &)> body) {
  MLIRContext *context = builder.getContext();
  auto pointer = LLVM::LLVMPointerType::get(context);
  Type i64 = builder.getI64Type(), i32 = builder.getI32Type();
  auto module = builder.getInsertionBlock()->getParentOp()->getParentOfType<ModuleOp>();

  // The task function.
  auto taskType = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), {pointer, i64, i32});
  auto structType = LLVM::LLVMStructType::getLiteral(context, llvm::to_vector(captures.getTypes()), /*isPacked=*/false);
  {
    OpBuilder inner = OpBuilder::atBlockEnd(module.getBody());
    TaskFunction task;
    task.function = LLVM::LLVMFuncOp::create(inner, loc, name, taskType, LLVM::Linkage::Internal);
    Block *entry = task.function.addEntryBlock(inner);
    inner.setInsertionPointToStart(entry);
    task.task = entry->getArgument(1);
    task.thread = LLVM::ZExtOp::create(inner, loc, i64, entry->getArgument(2));
    for (auto [index, capture] : llvm::enumerate(captures)) {
      Value place = LLVM::GEPOp::create(inner, loc, pointer, structType, entry->getArgument(0),
                                        ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(index)});
      task.captures.push_back(LLVM::LoadOp::create(inner, loc, capture.getType(), place));
    }
    body(inner, task);
    LLVM::ReturnOp::create(inner, loc, ValueRange{});
  }

  // The call. The struct lives in the driver's entry block, so that a fork-join inside a loop does not grow the stack.
  auto function = builder.getInsertionBlock()->getParentOp();
  while (!isa<LLVM::LLVMFuncOp>(function))
    function = function->getParentOp();
  Value frame;
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(&cast<LLVM::LLVMFuncOp>(function).getBody().front());
    Value one = LLVM::ConstantOp::create(builder, loc, i64, builder.getI64IntegerAttr(1));
    frame = LLVM::AllocaOp::create(builder, loc, pointer, structType, one);
  }
  for (auto [index, capture] : llvm::enumerate(captures)) {
    Value place = LLVM::GEPOp::create(builder, loc, pointer, structType, frame,
                                      ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(index)});
    LLVM::StoreOp::create(builder, loc, capture, place);
  }
  // ftrt_services: u32 abi_version, u32 size, ptr context, u32 threads, u32 reserved, ptr parallel_for.
  auto servicesType = LLVM::LLVMStructType::getLiteral(context, {i32, i32, pointer, i32, i32, pointer});
  auto field = [&](int32_t index, Type type) -> Value {
    Value place = LLVM::GEPOp::create(builder, loc, pointer, servicesType, services, ArrayRef<LLVM::GEPArg>{0, index});
    return LLVM::LoadOp::create(builder, loc, type, place);
  };
  Value host = field(2, pointer), parallelFor = field(5, pointer);
  Value taskAddress = LLVM::AddressOfOp::create(builder, loc, pointer, name);
  auto callType = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), {pointer, pointer, pointer, i64});
  LLVM::CallOp::create(builder, loc, callType, ValueRange{parallelFor, host, taskAddress, frame, tasks});
}

bool cpu::isTask(LLVM::LLVMFuncOp function) { return function.getSymName().contains(".task"); }

Value cpu::addCapture(LLVM::LLVMFuncOp driver, LLVM::LLVMFuncOp task, Value value) {
  // The call of services->parallel_for: its address, the host, the task, the frame, the number of tasks.
  LLVM::AllocaOp frame;
  driver.walk([&](LLVM::AddressOfOp address) {
    if (address.getGlobalName() == task.getSymName())
      frame = cast<LLVM::CallOp>(*address->user_begin()).getOperand(3).getDefiningOp<LLVM::AllocaOp>();
  });
  auto type = cast<LLVM::LLVMStructType>(frame.getElemType());
  SmallVector<Type> fields(type.getBody());
  fields.push_back(value.getType());
  // Fields before the new one stay where they are.
  type = LLVM::LLVMStructType::getLiteral(type.getContext(), fields);
  frame.setElemType(type);
  Location loc = driver.getLoc();
  OpBuilder builder(frame->getContext());
  auto place = [&](Value base) -> Value {
    return LLVM::GEPOp::create(builder, loc, base.getType(), type, base,
                               ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(fields.size() - 1)});
  };
  builder.setInsertionPointAfter(frame);
  LLVM::StoreOp::create(builder, loc, value, place(frame));
  builder.setInsertionPointToStart(&task.getBody().front());
  return LLVM::LoadOp::create(builder, loc, value.getType(), place(task.getArgument(0)));
}
