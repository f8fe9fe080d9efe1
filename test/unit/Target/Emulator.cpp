//===- Emulator.cpp - GPU functions run on the CPU ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Emulator.h"

#include "ThreadBlock.h"

#include "lib/Target/CPU/Passes.h"
#include "lib/Target/CUDA/ConvertBf16.h"
#include "lib/Target/CUDA/KernelTables.h"
#include "lib/Target/CUDA/Passes.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/TargetSelect.h"
#include "gtest/gtest.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <map>

using namespace mlir;
using namespace ftc;
using namespace ftc::test;

//===----------------------------------------------------------------------===//
// What emulated code calls
//===----------------------------------------------------------------------===//

using Entry = ThreadBlock::Entry;

extern "C" {
static int64_t emulatedThread() { return ThreadBlock::instance().thread(); }
static int64_t emulatedBlock() { return ThreadBlock::instance().number; }
static uint32_t emulatedShuffle(uint32_t value, uint32_t offset) {
  Lane &lane = ThreadBlock::instance().lane();
  lane.value = value;
  lane.offset = offset;
  ThreadBlock::instance().pause(Stop::Shuffle);
  return lane.value;
}
static void emulatedBarrier() { ThreadBlock::instance().pause(Stop::WarpBarrier); }
static void emulatedBlockBarrier() { ThreadBlock::instance().pause(Stop::BlockBarrier); }
static void *emulatedShared() { return ThreadBlock::instance().shared; }
static void *emulatedRegisters() { return ThreadBlock::instance().lane().registers.data(); }
static void emulatedMultiply() { ThreadBlock::instance().pause(Stop::Multiply); }
static void emulatedLoadMatrices(const void *address, uint32_t transposed) {
  Lane &lane = ThreadBlock::instance().lane();
  lane.address = address;
  lane.transposed = transposed != 0;
  ThreadBlock::instance().pause(Stop::LoadMatrices);
}
static void emulatedAccess(const void *at, uint64_t bytes, uint64_t alignment) {
  ThreadBlock::instance().access(at, bytes, alignment);
}
static void emulatedCopy(void *to, const void *from, uint32_t bytes) {
  ThreadBlock::instance().access(to, bytes, bytes);
  ThreadBlock::instance().access(from, bytes, bytes);
  std::memset(to, 0xFF, bytes);
  ThreadBlock::instance().lane().open.push_back({to, from, bytes});
}
static void emulatedCommit() {
  Lane &lane = ThreadBlock::instance().lane();
  lane.groups.push_back(std::move(lane.open));
  lane.open.clear();
}
static void emulatedWait(uint32_t left) {
  auto &groups = ThreadBlock::instance().lane().groups;
  while (groups.size() > left) {
    for (const PendingCopy &copy : groups.front())
      std::memcpy(copy.to, copy.from, copy.bytes);
    groups.erase(groups.begin());
  }
}
static float emulatedLog2(float x) { return std::log2(x); }
static float emulatedReciprocal(float x) { return 1 / x; }
static float emulatedExp2(float x) {
  float result = std::exp2(x);
  return result < std::numeric_limits<float>::min() ? 0 : result;
}
/// cvt.rn.bf16x2.f32: two numbers rounded to bf16, to nearest, ties to even, in one register; a NaN is 0x7FFF (PTX ISA,
/// "cvt": NaN results are canonical).
static uint32_t emulatedPair(float high, float low) {
  auto rounded = [](float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return std::isnan(value) ? 0x7FFFu : (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
  };
  return rounded(high) << 16 | rounded(low);
}
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

namespace {
struct Kernel {
  int64_t block, grid, shared;
  uint32_t module; ///< its number among the modules of device code
  Entry entry = nullptr;
};

/// Declares @name in `module`.
LLVM::LLVMFuncOp declare(ModuleOp module, StringRef name, Type result, ArrayRef<Type> inputs) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  return LLVM::LLVMFuncOp::create(builder, module.getLoc(), name, LLVM::LLVMFunctionType::get(result, inputs));
}

/// Replaces the parts of a struct that `op` gives, each taken out of it by llvm.extractvalue, by what `part` makes.
void takeResults(OpBuilder &builder, Operation *op, llvm::function_ref<Value(Type, int32_t)> part) {
  auto type = cast<LLVM::LLVMStructType>(op->getResult(0).getType());
  SmallVector<Value> parts;
  for (auto [index, field] : llvm::enumerate(type.getBody()))
    parts.push_back(part(field, static_cast<int32_t>(index)));
  for (Operation *user : llvm::to_vector(op->getUsers())) {
    auto extract = cast<LLVM::ExtractValueOp>(user);
    extract.replaceAllUsesWith(parts[extract.getPosition().front()]);
    extract.erase();
  }
  op->erase();
}

/// Whether `pointer` is into a table of constants.
bool isIntoTable(Value pointer) {
  while (auto step = pointer.getDefiningOp<LLVM::GEPOp>())
    pointer = step.getBase();
  auto global = pointer.getDefiningOp<LLVM::AddressOfOp>();
  return global && global.getGlobalName() != "shared";
}

/// Puts the GPU's instructions in place of conversions of bf16: they have an emulation too.
void convertBf16(gpu::GPUModuleOp functions) {
  const ftc::target::Bf16Conversions conversions = ftc::cuda::bf16Conversions();
  functions.walk([&](Operation *op) {
    if (!isa<arith::ExtFOp, arith::TruncFOp>(op))
      return;
    Type from = getElementTypeOrSelf(op->getOperand(0).getType()),
         to = getElementTypeOrSelf(op->getResult(0).getType());
    OpBuilder builder(op);
    if (from.isBF16() && to.isF32())
      op->replaceAllUsesWith(ValueRange(conversions.extend(builder, op->getLoc(), op->getOperand(0))));
    else if (from.isF32() && to.isBF16())
      op->replaceAllUsesWith(ValueRange(conversions.truncate(builder, op->getLoc(), op->getOperand(0))));
    else
      return;
    op->erase();
  });
}

/// Turns a gpu.func into @name(pointer to the buffers' pointers) of `host`.
void moveToHost(gpu::GPUFuncOp function, ModuleOp host) {
  MLIRContext *context = host.getContext();
  Location loc = function.getLoc();
  OpBuilder builder(context);
  Type i64 = builder.getI64Type(), i32 = builder.getI32Type();
  auto pointer = LLVM::LLVMPointerType::get(context);

  // Users of a result are never among these, so each is still there when its turn comes.
  SmallVector<Operation *> ops;
  function.walk([&](Operation *op) {
    if (!isa<LLVM::ExtractValueOp, LLVM::BitcastOp>(op))
      ops.push_back(op);
  });
  auto looksAt = [&](Operation *op, Value pointer, Type type, std::optional<uint64_t> alignment) {
    if (isIntoTable(pointer))
      return;
    builder.setInsertionPoint(op);
    auto number = [&](uint64_t value) {
      return LLVM::ConstantOp::create(builder, loc, i64, static_cast<int64_t>(value));
    };
    // Of three elements that are; MLIR's layouts round that up to four.
    auto vector = dyn_cast<VectorType>(type);
    uint64_t bytes = DataLayout().getTypeSize(vector ? vector.getElementType() : type).getFixedValue() *
                     static_cast<uint64_t>(vector ? vector.getNumElements() : 1);
    LLVM::CallOp::create(builder, loc, TypeRange(), "emulated_access",
                         ValueRange{pointer, number(bytes), number(alignment.value_or(1))});
  };
  for (Operation *op : ops) {
    if (auto load = dyn_cast<LLVM::LoadOp>(op))
      looksAt(op, load.getAddr(), load.getType(), load.getAlignment());
    else if (auto store = dyn_cast<LLVM::StoreOp>(op))
      looksAt(op, store.getAddr(), store.getValue().getType(), store.getAlignment());
  }
  for (Operation *op : ops) {
    builder.setInsertionPoint(op);
    auto call = [&](StringRef name, ValueRange operands, TypeRange results) {
      return LLVM::CallOp::create(builder, loc, results, name, operands);
    };
    auto number = [&](StringRef name) {
      Value result = call(name, {}, i64).getResult();
      op->getResult(0).replaceAllUsesWith(
          arith::IndexCastOp::create(builder, loc, builder.getIndexType(), result).getResult());
      op->erase();
    };
    if (isa<gpu::ThreadIdOp>(op)) {
      number("emulated_thread");
    } else if (isa<gpu::BlockIdOp>(op)) {
      number("emulated_block");
    } else if (isa<gpu::BarrierOp>(op)) {
      call("emulated_block_barrier", {}, {});
      op->erase();
    } else if (auto global = dyn_cast<LLVM::AddressOfOp>(op); global && global.getGlobalName() == "shared") {
      op->getResult(0).replaceAllUsesWith(call("emulated_shared", {}, pointer).getResult());
      op->erase();
    } else if (isa<NVVM::SyncWarpOp>(op)) {
      call("emulated_barrier", {}, {});
      op->erase();
    } else if (auto shuffle = dyn_cast<gpu::ShuffleOp>(op)) {
      ASSERT_EQ(shuffle.getMode(), gpu::ShuffleMode::XOR);
      Value value = shuffle.getValue();
      Type type = value.getType();
      if (type != i32)
        value = arith::BitcastOp::create(builder, loc, i32, value);
      Value result = call("emulated_shuffle", {value, shuffle.getOffset()}, i32).getResult();
      if (type != i32)
        result = arith::BitcastOp::create(builder, loc, type, result);
      shuffle.getShuffleResult().replaceAllUsesWith(result);
      op->erase();
    } else if (auto product = dyn_cast<NVVM::MmaOp>(op)) {
      Value registers = call("emulated_registers", {}, pointer).getResult();
      auto place = [&](int32_t index) {
        return LLVM::GEPOp::create(builder, loc, pointer, i32, registers, ArrayRef<LLVM::GEPArg>{index});
      };
      for (auto [index, operand] : llvm::enumerate(op->getOperands()))
        LLVM::StoreOp::create(builder, loc, operand, place(static_cast<int32_t>(index)), 4);
      call("emulated_multiply", {}, {});
      takeResults(builder, op, [&](Type type, int32_t index) {
        return LLVM::LoadOp::create(builder, loc, type, place(6 + index), 4).getResult();
      });
    } else if (auto matrices = dyn_cast<NVVM::LdMatrixOp>(op)) {
      ASSERT_EQ(matrices.getNum(), 4u);
      Value transposed =
          LLVM::ConstantOp::create(builder, loc, i32, matrices.getLayout() == NVVM::MMALayout::col ? 1 : 0);
      call("emulated_load_matrices", {matrices.getPtr(), transposed}, {});
      Value registers = call("emulated_registers", {}, pointer).getResult();
      takeResults(builder, op, [&](Type type, int32_t index) {
        Value place = LLVM::GEPOp::create(builder, loc, pointer, i32, registers, ArrayRef<LLVM::GEPArg>{index});
        return LLVM::LoadOp::create(builder, loc, type, place, 4).getResult();
      });
    } else if (auto copy = dyn_cast<NVVM::CpAsyncOp>(op)) {
      ASSERT_FALSE(copy.getCpSize());
      Value bytes = LLVM::ConstantOp::create(builder, loc, i32, static_cast<int32_t>(copy.getSize()));
      call("emulated_copy", {copy.getDst(), copy.getSrc(), bytes}, {});
      op->erase();
    } else if (isa<NVVM::CpAsyncCommitGroupOp>(op)) {
      call("emulated_commit", {}, {});
      op->erase();
    } else if (auto wait = dyn_cast<NVVM::CpAsyncWaitGroupOp>(op)) {
      call("emulated_wait", LLVM::ConstantOp::create(builder, loc, i32, static_cast<int32_t>(wait.getN())).getResult(),
           {});
      op->erase();
    } else if (auto pair = dyn_cast<NVVM::ConvertF32x2ToBF16x2Op>(op)) {
      ASSERT_EQ(pair.getRnd(), NVVM::FPRoundingMode::RN);
      Value both = call("emulated_pair", {pair.getSrcHi(), pair.getSrcLo()}, i32).getResult();
      // What is made of it is its bits.
      for (Operation *user : llvm::to_vector(op->getUsers())) {
        ASSERT_TRUE(isa<LLVM::BitcastOp>(user) && user->getResult(0).getType() == i32);
        user->getResult(0).replaceAllUsesWith(both);
        user->erase();
      }
      op->erase();
    } else if (auto intrinsic = dyn_cast<LLVM::CallIntrinsicOp>(op)) {
      StringRef function = llvm::StringSwitch<StringRef>(intrinsic.getIntrin())
                               .Case("llvm.nvvm.ex2.approx.ftz.f32", "emulated_exp2")
                               .Case("llvm.nvvm.lg2.approx.ftz.f", "emulated_log2")
                               .Case("llvm.nvvm.rcp.approx.ftz.f", "emulated_reciprocal")
                               .Default("");
      ASSERT_FALSE(function.empty());
      op->replaceAllUsesWith(call(function, op->getOperands(), builder.getF32Type()));
      op->erase();
    } else if (auto copy = dyn_cast<LLVM::InlineAsmOp>(op); copy && copy.getAsmString() == "mov.b32 $0, $1;") {
      op->replaceAllUsesWith(copy.getOperands());
      op->erase();
    } else if (auto read = dyn_cast<LLVM::InlineAsmOp>(op)) {
      bool isThread = read.getAsmString() == "mov.u32 $0, %tid.x;";
      ASSERT_TRUE(isThread || read.getAsmString() == "mov.u32 $0, %ctaid.x;");
      Value number = call(isThread ? "emulated_thread" : "emulated_block", {}, i64).getResult();
      op->replaceAllUsesWith(ValueRange(arith::TruncIOp::create(builder, loc, i32, number).getResult()));
      op->erase();
    } else if (auto cast = dyn_cast<LLVM::AddrSpaceCastOp>(op)) {
      op->getResult(0).replaceAllUsesWith(cast.getArg());
      op->erase();
    } else if (isa<gpu::ReturnOp>(op)) {
      LLVM::ReturnOp::create(builder, loc, ValueRange{});
      op->erase();
    }
  }

  // Here all memory is in one space.
  function.walk([&](Operation *op) {
    for (Value result : op->getResults())
      if (isa<LLVM::LLVMPointerType>(result.getType()))
        result.setType(pointer);
  });

  builder.setInsertionPointToEnd(host.getBody());
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), {pointer});
  auto target = LLVM::LLVMFuncOp::create(builder, loc, function.getName(), type);
  target.getBody().takeBody(function.getBody());
  Block &entry = target.getBody().front();
  builder.setInsertionPointToStart(&entry);
  unsigned count = entry.getNumArguments();
  Value all = entry.addArgument(pointer, loc);
  for (unsigned i = 0; i < count; ++i) {
    Value place =
        LLVM::GEPOp::create(builder, loc, pointer, pointer, all, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(i)});
    Type type = entry.getArgument(i).getType();
    if (isa<LLVM::LLVMPointerType>(type))
      type = pointer;
    entry.getArgument(i).replaceAllUsesWith(LLVM::LoadOp::create(builder, loc, type, place).getResult());
  }
  entry.eraseArguments(0, count);
}
} // namespace

struct Emulator::Impl {
  std::unique_ptr<llvm::orc::LLJIT> jit;
  std::map<std::string, Kernel> kernels;
  int64_t tensorProducts = 0;
};

Emulator::Emulator(ModuleOp plan, const std::string &device) : impl(new Impl) {
  MLIRContext *context = plan.getContext();
  context->loadDialect<gpu::GPUDialect, NVVM::NVVMDialect, LLVM::LLVMDialect>();
  OwningOpRef<ModuleOp> owner(plan.clone());
  PassManager passes(context);
  CudaLowerKernelsPassOptions options;
  options.device = device;
  passes.addPass(createCudaLowerKernelsPass(options));
  if (failed(passes.run(*owner)))
    ADD_FAILURE() << "cuda-lower-kernels failed";
  else
    load(*owner);
}

Emulator::Emulator(ModuleOp lowered) : impl(new Impl) { load(lowered); }

void Emulator::load(ModuleOp lowered) {
  MLIRContext *context = lowered.getContext();
  OwningOpRef<ModuleOp> host(ModuleOp::create(lowered.getLoc()));
  Type i64 = IntegerType::get(context, 64), i32 = IntegerType::get(context, 32);
  declare(*host, "emulated_thread", i64, {});
  declare(*host, "emulated_block", i64, {});
  declare(*host, "emulated_shuffle", i32, {i32, i32});
  declare(*host, "emulated_barrier", LLVM::LLVMVoidType::get(context), {});
  declare(*host, "emulated_block_barrier", LLVM::LLVMVoidType::get(context), {});
  auto pointer = LLVM::LLVMPointerType::get(context);
  Type none = LLVM::LLVMVoidType::get(context), f32 = Float32Type::get(context);
  declare(*host, "emulated_shared", pointer, {});
  declare(*host, "emulated_registers", pointer, {});
  declare(*host, "emulated_multiply", none, {});
  declare(*host, "emulated_load_matrices", none, {pointer, i32});
  declare(*host, "emulated_copy", none, {pointer, pointer, i32});
  declare(*host, "emulated_access", none, {pointer, i64, i64});
  declare(*host, "emulated_commit", none, {});
  declare(*host, "emulated_wait", none, {i32});
  declare(*host, "emulated_exp2", f32, {f32});
  declare(*host, "emulated_log2", f32, {f32});
  declare(*host, "emulated_reciprocal", f32, {f32});
  declare(*host, "emulated_pair", i32, {f32, f32});
  for (auto functions : lowered.getOps<gpu::GPUModuleOp>())
    convertBf16(functions);
  // Tables of numbers are the same here, and in each module that has them.
  for (auto functions : lowered.getOps<gpu::GPUModuleOp>())
    for (auto global : functions.getOps<LLVM::GlobalOp>())
      if (global.getConstant() && !host->lookupSymbol(global.getSymName()))
        host->push_back(global->clone());
  for (auto [number, functions] : llvm::enumerate(lowered.getOps<gpu::GPUModuleOp>()))
    for (auto function : llvm::to_vector(functions.getOps<gpu::GPUFuncOp>())) {
      auto shared = function->getAttrOfType<IntegerAttr>(ftc::cuda::sharedBytesAttrName);
      Kernel kernel{(*function.getKnownBlockSize())[0], (*function.getKnownGridSize())[0], shared ? shared.getInt() : 0,
                    static_cast<uint32_t>(number)};
      // Names are found in their own module alone.
      function.walk([&](LLVM::AddressOfOp use) {
        EXPECT_TRUE(functions.lookupSymbol(use.getGlobalName())) << use.getGlobalName().str();
      });
      EXPECT_EQ(kernel.block % warpSize, 0);
      impl->kernels[function.getName().str()] = kernel;
      moveToHost(function, *host);
    }
  PassManager passes(context);
  passes.addPass(createCpuLowerToLLVMPass());
  if (failed(passes.run(*host))) {
    ADD_FAILURE() << "the emulated functions have no code";
    return;
  }

  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  registerBuiltinDialectTranslation(*context);
  registerLLVMDialectTranslation(*context);
  auto llvmContext = std::make_unique<llvm::LLVMContext>();
  std::unique_ptr<llvm::Module> code = translateModuleToLLVMIR(*host, *llvmContext);
  if (!code) {
    ADD_FAILURE() << "the emulated functions cannot be translated";
    return;
  }
  auto machine = llvm::cantFail(llvm::orc::JITTargetMachineBuilder::detectHost());
  auto jit = llvm::cantFail(llvm::orc::LLJITBuilder().setJITTargetMachineBuilder(machine).create());
  code->setDataLayout(jit->getDataLayout());
  code->setTargetTriple(jit->getTargetTriple());
  llvm::orc::SymbolMap symbols;
  auto add = [&](const char *name, auto *function) {
    symbols[jit->mangleAndIntern(name)] = {llvm::orc::ExecutorAddr::fromPtr(function),
                                           llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
  };
  add("emulated_thread", emulatedThread);
  add("emulated_block", emulatedBlock);
  add("emulated_shuffle", emulatedShuffle);
  add("emulated_barrier", emulatedBarrier);
  add("emulated_block_barrier", emulatedBlockBarrier);
  add("emulated_shared", emulatedShared);
  add("emulated_registers", emulatedRegisters);
  add("emulated_multiply", emulatedMultiply);
  add("emulated_load_matrices", emulatedLoadMatrices);
  add("emulated_copy", emulatedCopy);
  add("emulated_access", emulatedAccess);
  add("emulated_commit", emulatedCommit);
  add("emulated_wait", emulatedWait);
  add("emulated_exp2", emulatedExp2);
  add("emulated_log2", emulatedLog2);
  add("emulated_reciprocal", emulatedReciprocal);
  add("emulated_pair", emulatedPair);
  llvm::cantFail(jit->getMainJITDylib().define(llvm::orc::absoluteSymbols(std::move(symbols))));
  llvm::cantFail(jit->addIRModule(llvm::orc::ThreadSafeModule(std::move(code), std::move(llvmContext))));
  for (auto &[name, kernel] : impl->kernels)
    kernel.entry = llvm::cantFail(jit->lookup(name)).toPtr<Entry>();
  impl->jit = std::move(jit);
}

Emulator::~Emulator() = default;

bool Emulator::ok() const { return impl->jit != nullptr; }

std::string Emulator::run(const std::string &name, const std::vector<void *> &buffers, const std::vector<size_t> &bytes,
                          bool backwards, int64_t grid, int64_t block, const std::vector<uint64_t> &sizes) {
  auto found = impl->kernels.find(name);
  if (found == impl->kernels.end())
    return "no kernel " + name;
  const Kernel &kernel = found->second;
  std::vector<void *> arguments = buffers;
  for (uint64_t size : sizes)
    arguments.push_back(reinterpret_cast<void *>(size));
  if (grid == 0) {
    grid = kernel.grid;
    block = kernel.block;
  }
  EXPECT_LE(grid, kernel.grid) << name;
  EXPECT_LE(block, kernel.block) << name;
  EXPECT_EQ(block % warpSize, 0) << name;
  ThreadBlock &running = ThreadBlock::instance();
  running.allowed.clear();
  for (size_t i = 0; i < buffers.size(); ++i) {
    const auto *begin = static_cast<const unsigned char *>(buffers[i]);
    running.allowed.push_back({begin, begin + bytes[i]});
  }
  int64_t before = running.tensorProducts;
  std::string error;
  for (int64_t i = 0; i < grid && error.empty(); ++i)
    error = running.run(kernel.entry, arguments.data(), static_cast<int>(block), backwards ? grid - 1 - i : i,
                        kernel.shared, backwards);
  impl->tensorProducts += running.tensorProducts - before;
  return error.empty() ? "" : name + ": " + error;
}

std::optional<uint32_t> Emulator::moduleOf(const std::string &name) const {
  auto found = impl->kernels.find(name);
  return found == impl->kernels.end() ? std::nullopt : std::optional(found->second.module);
}

int64_t Emulator::tensorProducts() const { return impl->tensorProducts; }
