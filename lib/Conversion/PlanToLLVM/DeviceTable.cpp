//===- DeviceTable.cpp - Calls of ftrt_device ----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/PlanToLLVM/DeviceTable.h"

#include "ftrt/step.h"

using namespace mlir;
using namespace ftc;

static constexpr int32_t contextField = 2;
static_assert(offsetof(ftrt_device, context) == 8 && offsetof(ftrt_device, launch) == 16 &&
                  offsetof(ftrt_device, wait) == 64 && offsetof(ftrt_device, attention) == 72 &&
                  sizeof(ftrt_device) == 80,
              "fields are numbered here as they lie in ftrt_device");

LLVM::LLVMStructType ftc::deviceTableType(MLIRContext *context) {
  SmallVector<Type> fields(2, IntegerType::get(context, 32));
  fields.append(9, LLVM::LLVMPointerType::get(context));
  return LLVM::LLVMStructType::getLiteral(context, fields);
}

Value ftc::callDevice(OpBuilder &builder, Location loc, Value device, DeviceFunction function, ValueRange arguments) {
  LLVM::LLVMStructType table = deviceTableType(builder.getContext());
  Type pointer = LLVM::LLVMPointerType::get(builder.getContext());
  auto field = [&](int32_t index) -> Value {
    Value place = LLVM::GEPOp::create(builder, loc, pointer, table, device, ArrayRef<LLVM::GEPArg>{0, index});
    return LLVM::LoadOp::create(builder, loc, pointer, place);
  };
  SmallVector<Value> all{field(static_cast<int32_t>(function)), field(contextField)};
  all.append(arguments.begin(), arguments.end());
  SmallVector<Type> types(ValueRange(all).drop_front().getTypes());
  auto type = LLVM::LLVMFunctionType::get(builder.getI32Type(), types);
  return LLVM::CallOp::create(builder, loc, type, all).getResult();
}
