//===- LaunchList.cpp - The launches of a step, as data ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/PlanToLLVM/LaunchList.h"

using namespace mlir;
using namespace ftc;

static constexpr const char driversName[] = "step.drivers", placesName[] = "step.places",
                            launchesName[] = "step.launches", runName[] = "step.run";

/// Words of a launch before its places: a driver and a count.
static constexpr int64_t headWords = 2;

void LaunchList::add(LLVM::LLVMFuncOp driver, ArrayRef<Place> buffers) {
  words.push_back(drivers.try_emplace(driver, static_cast<int32_t>(drivers.size())).first->second);
  words.push_back(static_cast<int32_t>(buffers.size()));
  for (const Place &place : buffers)
    words.push_back(places.try_emplace({place.slab, place.offset}, static_cast<int32_t>(places.size())).first->second);
  counts.insert(static_cast<int32_t>(buffers.size()));
}

Value LaunchList::emitRun(OpBuilder &builder, Location loc, Value host, Value slabs, int64_t first, int64_t end) const {
  auto number = [&](int64_t value) -> Value {
    return LLVM::ConstantOp::create(builder, loc, builder.getI64Type(), builder.getI64IntegerAttr(value));
  };
  return LLVM::CallOp::create(builder, loc, TypeRange(builder.getI32Type()), runName,
                              ValueRange{host, slabs, number(first), number(end)})
      .getResult();
}

void LaunchList::writeTables(OpBuilder &builder, Location loc) const {
  MLIRContext *context = builder.getContext();
  Type i32 = builder.getI32Type(), i64 = builder.getI64Type();
  auto table = [&](StringRef name, Type element, Attribute values, int64_t size) {
    return LLVM::GlobalOp::create(builder, loc, LLVM::LLVMArrayType::get(element, size), /*isConstant=*/true,
                                  LLVM::Linkage::Internal, name, values, /*alignment=*/8);
  };
  SmallVector<int64_t> flat;
  for (const auto &[place, number] : places)
    flat.append({place.first, place.second});
  auto shape = [&](size_t size, Type element) { return RankedTensorType::get({static_cast<int64_t>(size)}, element); };
  table(placesName, i64, DenseElementsAttr::get(shape(flat.size(), i64), ArrayRef<int64_t>(flat)), flat.size());
  table(launchesName, i32, DenseElementsAttr::get(shape(words.size(), i32), ArrayRef<int32_t>(words)), words.size());

  Type pointer = LLVM::LLVMPointerType::get(context);
  LLVM::GlobalOp list = table(driversName, pointer, Attribute(), drivers.size());
  OpBuilder inner(context);
  inner.createBlock(&list.getInitializerRegion());
  Value all = LLVM::UndefOp::create(inner, loc, list.getGlobalType());
  for (const auto &[driver, number] : drivers) {
    Value address = LLVM::AddressOfOp::create(inner, loc, cast<LLVM::LLVMFuncOp>(driver));
    all = LLVM::InsertValueOp::create(inner, loc, all, address, static_cast<int64_t>(number));
  }
  LLVM::ReturnOp::create(inner, loc, all);
}

void LaunchList::writeFunction(OpBuilder &builder, Location loc, bool device) const {
  MLIRContext *context = builder.getContext();
  Type pointer = LLVM::LLVMPointerType::get(context), i32 = builder.getI32Type(), i64 = builder.getI64Type();
  auto function = LLVM::LLVMFuncOp::create(
      builder, loc, runName, LLVM::LLVMFunctionType::get(i32, {pointer, pointer, i64, i64}), LLVM::Linkage::Internal);
  // One copy, whatever the number of calls.
  function.setNoInline(true);
  Block *entry = function.addEntryBlock(builder);
  Value host = entry->getArgument(0), slabs = entry->getArgument(1);
  builder.setInsertionPointToStart(entry);
  auto number = [&](int64_t value, Type type) -> Value {
    return LLVM::ConstantOp::create(builder, loc, type, builder.getIntegerAttr(type, value));
  };
  auto at = [&](Value base, Type element, Value index) -> Value {
    return LLVM::GEPOp::create(builder, loc, pointer, element, base, ArrayRef<LLVM::GEPArg>{index});
  };
  auto load = [&](Value base, Type element, Value index) -> Value {
    return LLVM::LoadOp::create(builder, loc, element, at(base, element, index));
  };
  auto wide = [&](Value value) -> Value { return LLVM::ZExtOp::create(builder, loc, i64, value); };
  auto plus = [&](Value value, int64_t more) -> Value {
    return LLVM::AddOp::create(builder, loc, value, number(more, i64));
  };
  Value drivers = LLVM::AddressOfOp::create(builder, loc, pointer, driversName);
  Value places = LLVM::AddressOfOp::create(builder, loc, pointer, placesName);
  Value launches = LLVM::AddressOfOp::create(builder, loc, pointer, launchesName);

  Region &region = function.getBody();
  auto newBlock = [&](TypeRange types) {
    return builder.createBlock(&region, region.end(), types, SmallVector<Location>(types.size(), loc));
  };
  Block *loop = newBlock({i64}), *launch = newBlock({}), *over = newBlock({i32}), *next = newBlock({i32, i64});
  builder.setInsertionPointToEnd(entry);
  LLVM::BrOp::create(builder, loc, ValueRange{entry->getArgument(2)}, loop);

  builder.setInsertionPointToEnd(loop);
  Value word = loop->getArgument(0);
  Value more = LLVM::ICmpOp::create(builder, loc, LLVM::ICmpPredicate::ult, word, entry->getArgument(3));
  LLVM::CondBrOp::create(builder, loc, more, launch, ValueRange{}, over, ValueRange{number(0, i32)});

  // A call for each number of buffers: what a function is called with is fixed where it is called.
  builder.setInsertionPointToEnd(launch);
  Value driver = load(drivers, pointer, wide(load(launches, i32, word)));
  Value count = load(launches, i32, plus(word, 1));
  SmallVector<Block *> calls;
  for (int32_t buffers : counts) {
    calls.push_back(newBlock({}));
    SmallVector<Value> arguments{host};
    for (int32_t i = 0; i < buffers; ++i) {
      Value first = LLVM::ShlOp::create(builder, loc, wide(load(launches, i32, plus(word, headWords + i))),
                                        number(1, i64)); // a place is two words
      Value slab = load(places, i64, first), offset = load(places, i64, plus(first, 1));
      arguments.push_back(at(load(slabs, pointer, slab), builder.getI8Type(), offset));
    }
    Type result = device ? i32 : Type(LLVM::LLVMVoidType::get(context));
    SmallVector<Type> types(arguments.size(), pointer);
    SmallVector<Value> operands{driver};
    operands.append(arguments);
    auto call = LLVM::CallOp::create(builder, loc, LLVM::LLVMFunctionType::get(result, types), operands);
    Value code = device ? call.getResult() : number(0, i32);
    LLVM::BrOp::create(builder, loc, ValueRange{code, plus(word, headWords + buffers)}, next);
  }
  builder.setInsertionPointToEnd(launch);
  SmallVector<int32_t> values(counts.begin(), counts.end());
  SmallVector<ValueRange> none(calls.size());
  LLVM::SwitchOp::create(builder, loc, count, over, ValueRange{number(0, i32)}, ArrayRef<int32_t>(values), calls, none);

  builder.setInsertionPointToEnd(next);
  Value done = LLVM::ICmpOp::create(builder, loc, LLVM::ICmpPredicate::eq, next->getArgument(0), number(0, i32));
  LLVM::CondBrOp::create(builder, loc, done, loop, ValueRange{next->getArgument(1)}, over,
                         ValueRange{next->getArgument(0)});
  builder.setInsertionPointToEnd(over);
  LLVM::ReturnOp::create(builder, loc, over->getArgument(0));
}

void LaunchList::write(ModuleOp module, bool device) const {
  if (words.empty())
    return;
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  writeTables(builder, module.getLoc());
  builder.setInsertionPointToEnd(module.getBody());
  writeFunction(builder, module.getLoc(), device);
}
