//===- KernelTables.cpp - What a step has for the device -----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/KernelTables.h"

#include "lib/Conversion/PlanToLLVM/DeviceTable.h"
#include "lib/Conversion/PlanToLLVM/PlanToLLVM.h"
#include "lib/Target/CUDA/CutModule.h"
#include "lib/Target/CUDA/RowMapping.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

#include <cstring>
#include <map>
#include <variant>

using namespace mlir;
using namespace ftc;
using cuda::Driver;
using cuda::KernelTables;

static constexpr const char driverSuffix[] = ".driver";
/// The device's symbol of dynamic shared memory, the same in all functions.
static constexpr const char sharedName[] = "shared";
static constexpr unsigned sharedSpace = 3;

//===----------------------------------------------------------------------===//
// Functions and products
//===----------------------------------------------------------------------===//

gpu::GPUModuleOp KernelTables::functions() {
  if (!deviceModule) {
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    deviceModule = gpu::GPUModuleOp::create(builder, module.getLoc(), "kernels");
  }
  return deviceModule;
}

gpu::GPUFuncOp KernelTables::addFunction(Location loc, StringRef name, unsigned arguments, const LaunchShape &shape) {
  OpBuilder builder = OpBuilder::atBlockEnd(functions().getBody());
  SmallVector<Type> inputs(arguments, LLVM::LLVMPointerType::get(builder.getContext()));
  auto function = gpu::GPUFuncOp::create(builder, loc, name, builder.getFunctionType(inputs, {}));
  auto three = [&](int64_t x) { return builder.getDenseI32ArrayAttr({static_cast<int32_t>(x), 1, 1}); };
  function->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), builder.getUnitAttr());
  function.setKnownBlockSizeAttr(three(shape.block));
  function.setKnownGridSizeAttr(three(shape.grid));
  if (shape.sharedBytes > 0) {
    function->setAttr(sharedBytesAttrName, builder.getI32IntegerAttr(static_cast<int32_t>(shape.sharedBytes)));
    // ptxas does not know how few blocks shared memory leaves room for, and saves registers for more.
    // Nor may a second block of 1024 threads leave the first with 32 of them.
    int64_t blocks = std::clamp<int64_t>(target.sharedBytesABlock / shape.sharedBytes, 1, shape.block > 512 ? 1 : 2);
    function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                      builder.getI32IntegerAttr(static_cast<int32_t>(blocks)));
  }
  all.push_back(function);
  return function;
}

gpu::GPUFuncOp KernelTables::find(StringRef name) const {
  auto found = llvm::find_if(all, [&](gpu::GPUFuncOp function) { return function.getName() == name; });
  return found == all.end() ? gpu::GPUFuncOp() : *found;
}

uint32_t KernelTables::numberOf(gpu::GPUFuncOp function) const { return llvm::find(all, function) - all.begin(); }

uint32_t KernelTables::addProduct(const ftrt_matmul &product) {
  for (auto [number, known] : llvm::enumerate(products))
    if (std::memcmp(&known, &product, sizeof(product)) == 0)
      return number;
  products.push_back(product);
  return products.size() - 1;
}

uint32_t KernelTables::addAttention(const ftrt_attention &attention) {
  for (auto [number, known] : llvm::enumerate(attentions))
    if (std::memcmp(&known, &attention, sizeof(attention)) == 0)
      return number;
  attentions.push_back(attention);
  return attentions.size() - 1;
}

Value KernelTables::sharedMemory(OpBuilder &builder, Location loc) {
  auto pointer = LLVM::LLVMPointerType::get(builder.getContext(), sharedSpace);
  if (!functions().lookupSymbol(sharedName)) {
    OpBuilder atStart = OpBuilder::atBlockBegin(functions().getBody());
    LLVM::GlobalOp::create(atStart, module.getLoc(), LLVM::LLVMArrayType::get(builder.getI8Type(), 0),
                           /*isConstant=*/false, LLVM::Linkage::External, sharedName, Attribute(), /*alignment=*/16,
                           sharedSpace);
  }
  return LLVM::AddressOfOp::create(builder, loc, pointer, sharedName);
}

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

/// Creates a constant array called `name` of `rows`, structs of `type`. A field is a number, or the name of a global,
/// empty for none.
static void createTable(ModuleOp module, StringRef name, LLVM::LLVMStructType type,
                        ArrayRef<SmallVector<std::variant<int64_t, std::string>>> rows) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  Location loc = module.getLoc();
  auto array = LLVM::LLVMArrayType::get(type, rows.size());
  auto global = LLVM::GlobalOp::create(builder, loc, array, /*isConstant=*/true, LLVM::Linkage::Internal, name,
                                       Attribute(), /*alignment=*/8);
  OpBuilder inner(builder.getContext());
  inner.createBlock(&global.getInitializerRegion());
  Value table = LLVM::UndefOp::create(inner, loc, array);
  for (auto [number, row] : llvm::enumerate(rows)) {
    Value fields = LLVM::UndefOp::create(inner, loc, type);
    for (auto [index, field] : llvm::enumerate(row)) {
      Type fieldType = type.getBody()[index];
      Value value;
      if (auto *symbol = std::get_if<std::string>(&field))
        value = symbol->empty() ? LLVM::ZeroOp::create(inner, loc, fieldType).getResult()
                                : LLVM::AddressOfOp::create(inner, loc, fieldType, *symbol).getResult();
      else
        value =
            LLVM::ConstantOp::create(inner, loc, fieldType, inner.getIntegerAttr(fieldType, std::get<int64_t>(field)));
      fields = LLVM::InsertValueOp::create(inner, loc, fields, value, static_cast<int64_t>(index));
    }
    table = LLVM::InsertValueOp::create(inner, loc, table, fields, static_cast<int64_t>(number));
  }
  LLVM::ReturnOp::create(inner, loc, table);
}

static_assert(offsetof(ftrt_kernel, grid) == 24 && offsetof(ftrt_kernel, shared_bytes) == 48 &&
                  offsetof(ftrt_kernel, sizes) == 56 && sizeof(ftrt_kernel) == 64 &&
                  offsetof(ftrt_matmul, type_a) == 48 && offsetof(ftrt_matmul, workspace_bytes) == 72 &&
                  sizeof(ftrt_matmul) == 80 && offsetof(ftrt_attention, workspace_bytes) == 40 &&
                  offsetof(ftrt_attention, gradient) == 52 && sizeof(ftrt_attention) == 56,
              "the tables below are written as these structs lie in memory");

/// Threads of a multiprocessor that reads memory as fast as it can; with them a lane has 64 of its 65536 registers.
static constexpr int64_t threadsToFill = 1024;

/// Has ptxas leave room for as many threads where a row kernel has blocks for all of them. With a few registers more,
/// one block of eight would find no place, and a second wave would run for it. No kernel spills for that
/// (test/Target/CUDA/ptxas.test); those that encode states would, and are let be. What several lengths share has the
/// bound of the longest.
void KernelTables::boundRegisters() {
  for (auto function : functions().getOps<gpu::GPUFuncOp>()) {
    const int64_t block = (*function.getKnownBlockSize())[0], grid = (*function.getKnownGridSize())[0];
    const int64_t blocks = threadsToFill / block;
    if (!function->removeAttr(fewRegistersAttrName) || function->hasAttr(NVVM::NVVMDialect::getMinctasmAttrName()) ||
        grid <= (blocks - 1) * target.multiprocessors)
      continue;
    function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                      Builder(function.getContext()).getI32IntegerAttr(static_cast<int32_t>(blocks)));
  }
}

void KernelTables::writeKernels(bool share, size_t modules) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  Location loc = module.getLoc();
  Type i8 = builder.getI8Type(), i32 = builder.getI32Type(), i64 = builder.getI64Type();
  Type pointer = LLVM::LLVMPointerType::get(builder.getContext());
  SmallVector<Type> types(2, pointer);
  types.append(10, i32);
  types.push_back(pointer);
  auto constant = [&](const std::string &symbol, Type element, Attribute value, size_t size, unsigned alignment) {
    LLVM::GlobalOp::create(builder, loc, LLVM::LLVMArrayType::get(element, size), /*isConstant=*/true,
                           LLVM::Linkage::Internal, symbol, value, alignment);
    return symbol;
  };
  std::map<std::string, std::string> names; ///< symbols of texts
  auto text = [&](std::string value) {
    std::string &symbol = names[value];
    if (symbol.empty()) {
      value.push_back('\0');
      symbol = constant("step.kernel_name." + std::to_string(names.size() - 1), i8, builder.getStringAttr(value),
                        value.size(), 1);
    }
    return symbol;
  };
  SmallVector<SmallVector<std::variant<int64_t, std::string>>> rows;
  const std::vector<LaunchedKernel> kernels = launchedKernels(all, share);
  boundRegisters();
  const llvm::StringMap<uint32_t> moduleOf = cutModule(deviceModule, modules);
  for (const LaunchedKernel &kernel : kernels) {
    std::string name = text(kernel.name), function = text(kernel.function), sizes;
    auto count = static_cast<int64_t>(kernel.sizes.size());
    if (count > 0)
      sizes = constant("step.kernel_sizes." + std::to_string(rows.size()), i64,
                       DenseElementsAttr::get(RankedTensorType::get({count}, i64), ArrayRef<int64_t>(kernel.sizes)),
                       kernel.sizes.size(), 8);
    rows.push_back({name, function, moduleOf.lookup(kernel.function), kernel.arguments, kernel.grid, 1, 1, kernel.block,
                    1, 1, kernel.sharedBytes, count, sizes});
  }
  createTable(module, kernelsName, LLVM::LLVMStructType::getLiteral(builder.getContext(), types), rows);
}

void KernelTables::writeProducts() {
  MLIRContext *context = module.getContext();
  Type i32 = IntegerType::get(context, 32), i64 = IntegerType::get(context, 64);
  SmallVector<SmallVector<std::variant<int64_t, std::string>>> rows;
  for (const ftrt_matmul &product : products)
    rows.push_back({int64_t(product.m), int64_t(product.n), int64_t(product.k), int64_t(product.lda),
                    int64_t(product.ldb), int64_t(product.ldd), product.type_a, product.type_b, product.type_d,
                    product.transpose_a, product.transpose_b, product.has_addend, int64_t(product.workspace_bytes)});
  Type types[] = {i64, i64, i64, i64, i64, i64, i32, i32, i32, i32, i32, i32, i64};
  createTable(module, productsName, LLVM::LLVMStructType::getLiteral(context, types), rows);
}

void KernelTables::writeAttentions() {
  MLIRContext *context = module.getContext();
  Type i32 = IntegerType::get(context, 32), i64 = IntegerType::get(context, 64);
  SmallVector<SmallVector<std::variant<int64_t, std::string>>> rows;
  for (const ftrt_attention &a : attentions)
    rows.push_back({int64_t(a.batch), int64_t(a.sequence), int64_t(a.heads), int64_t(a.key_heads), int64_t(a.head_dim),
                    int64_t(a.workspace_bytes), llvm::bit_cast<int32_t>(a.scale), a.gradient});
  Type types[] = {i64, i64, i64, i64, i64, i64, i32, i32};
  createTable(module, attentionsName, LLVM::LLVMStructType::getLiteral(context, types), rows);
}

void KernelTables::finish(bool share, size_t modules) {
  if (!all.empty())
    writeKernels(share, modules);
  if (!products.empty())
    writeProducts();
  if (!attentions.empty())
    writeAttentions();
  if (events > 0)
    module->setAttr(driverEventsAttrName, Builder(module.getContext()).getI32IntegerAttr(static_cast<int32_t>(events)));
  SymbolTable symbols(module);
  for (auto kernel : llvm::to_vector(module.getOps<plan::KernelOp>())) {
    std::string name = kernel.getSymName().str();
    auto driver = symbols.lookup<LLVM::LLVMFuncOp>(name + driverSuffix);
    kernel.erase();
    driver.setSymName(name);
  }
}

//===----------------------------------------------------------------------===//
// Drivers
//===----------------------------------------------------------------------===//

Driver::Driver(KernelTables &tables, plan::KernelOp kernel)
    : tables(tables), loc(kernel.getLoc()), builder(kernel.getContext()) {
  auto pointer = LLVM::LLVMPointerType::get(kernel.getContext());
  SmallVector<Type> inputs(kernel.getBuffers().size() + 1, pointer);
  builder.setInsertionPointToEnd(kernel->getBlock());
  function =
      LLVM::LLVMFuncOp::create(builder, loc, (kernel.getSymName() + driverSuffix).str(),
                               LLVM::LLVMFunctionType::get(builder.getI32Type(), inputs), LLVM::Linkage::Internal);
  // Entries call a driver once a layer: nothing is won by copies of it there, and much time lost compiling them.
  function.setNoInline(true);
  Block *entry = function.addEntryBlock(builder);
  failed = builder.createBlock(&function.getBody(), function.getBody().end(), builder.getI32Type(), loc);
  LLVM::ReturnOp::create(builder, loc, failed->getArgument(0));
  builder.setInsertionPointToEnd(entry);
}

Value Driver::constant(Type type, int64_t value) {
  return LLVM::ConstantOp::create(builder, loc, type, builder.getIntegerAttr(type, value));
}

Value Driver::address(unsigned index) {
  return LLVM::PtrToIntOp::create(builder, loc, builder.getI64Type(), function.getArgument(index + 1));
}

Value Driver::address(Value buffer) {
  if (!buffer)
    return constant(builder.getI64Type(), 0);
  return address(cast<BlockArgument>(buffer).getArgNumber());
}

Value Driver::behind(Value address, int64_t bytes) {
  return bytes == 0 ? address
                    : LLVM::AddOp::create(builder, loc, address, constant(builder.getI64Type(), bytes)).getResult();
}

void Driver::check(Value code) {
  Value good =
      LLVM::ICmpOp::create(builder, loc, LLVM::ICmpPredicate::eq, code, constant(builder.getI32Type(), FTRT_OK));
  Block *current = builder.getInsertionBlock(), *next = builder.createBlock(failed);
  builder.setInsertionPointToEnd(current);
  LLVM::CondBrOp::create(builder, loc, good, next, ValueRange(), failed, ValueRange(code));
  builder.setInsertionPointToEnd(next);
}

void Driver::record(uint32_t stream, uint32_t event) {
  Type i32 = builder.getI32Type();
  tables.useEvent(event);
  check(callDevice(builder, loc, function.getArgument(0), DeviceFunction::Record,
                   ValueRange{constant(i32, stream), constant(i32, event)}));
}

void Driver::wait(uint32_t stream, uint32_t event) {
  Type i32 = builder.getI32Type();
  check(callDevice(builder, loc, function.getArgument(0), DeviceFunction::Wait,
                   ValueRange{constant(i32, stream), constant(i32, event)}));
}

Value Driver::storeAddresses(ValueRange addresses) {
  Type i32 = builder.getI32Type(), i64 = builder.getI64Type(), pointer = function.getArgument(0).getType();
  auto array = LLVM::LLVMArrayType::get(i64, addresses.size());
  Value arguments = LLVM::AllocaOp::create(builder, loc, pointer, array, constant(i32, 1), /*alignment=*/8);
  for (auto [index, address] : llvm::enumerate(addresses)) {
    Value place = LLVM::GEPOp::create(builder, loc, pointer, array, arguments,
                                      ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(index)});
    LLVM::StoreOp::create(builder, loc, address, place);
  }
  return arguments;
}

void Driver::attend(uint32_t attention, ValueRange addresses, llvm::function_ref<void()> done) {
  Type i32 = builder.getI32Type();
  Value code =
      callDevice(builder, loc, function.getArgument(0), DeviceFunction::Attention,
                 ValueRange{constant(i32, FTRT_STREAM_COMPUTE), constant(i32, attention), storeAddresses(addresses)});
  Value declined = LLVM::ICmpOp::create(builder, loc, LLVM::ICmpPredicate::eq, code, constant(i32, FTRT_DECLINED));
  Block *current = builder.getInsertionBlock(), *asked = builder.createBlock(failed),
        *own = builder.createBlock(failed);
  builder.setInsertionPointToEnd(current);
  LLVM::CondBrOp::create(builder, loc, declined, own, ValueRange(), asked, ValueRange());
  builder.setInsertionPointToEnd(asked);
  check(code);
  done();
  finish();
  builder.setInsertionPointToEnd(own);
}

void Driver::launch(gpu::GPUFuncOp launched, ValueRange addresses, uint32_t stream) {
  Type i32 = builder.getI32Type();
  Value arguments = storeAddresses(addresses);
  check(callDevice(builder, loc, function.getArgument(0), DeviceFunction::Launch,
                   ValueRange{constant(i32, stream), constant(i32, tables.numberOf(launched)), arguments}));
}

void Driver::multiply(uint32_t product, Value a, Value b, Value addend, Value d, Value workspace) {
  Type i32 = builder.getI32Type();
  check(callDevice(builder, loc, function.getArgument(0), DeviceFunction::Matmul,
                   ValueRange{constant(i32, FTRT_STREAM_COMPUTE), constant(i32, product), a, b, addend, d, workspace}));
}

void Driver::finish() { LLVM::ReturnOp::create(builder, loc, constant(builder.getI32Type(), FTRT_OK)); }
