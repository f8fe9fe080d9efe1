//===- Emulator.cpp - GPU functions run on the CPU ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Emulator.h"

#include "lib/Target/CPU/Passes.h"
#include "lib/Target/CUDA/KernelTables.h"
#include "lib/Target/CUDA/Passes.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/TargetSelect.h"
#include "gtest/gtest.h"

#include <cstring>
#include <map>
#include <ucontext.h>

using namespace mlir;
using namespace ftc;
using namespace ftc::test;

//===----------------------------------------------------------------------===//
// A block
//===----------------------------------------------------------------------===//

namespace {
constexpr int warpSize = 32;
constexpr size_t stackBytes = 256 << 10;
/// More than any block may have, and some bytes behind that nobody may write.
constexpr size_t sharedCapacity = 256 << 10, guardBytes = 1024;

using Entry = void (*)(void **);

/// What a lane waits for: lanes of its warp, with a value or without, all threads of the block, or nothing any more.
enum class Stop { None, Shuffle, WarpBarrier, BlockBarrier, End };

struct Lane {
  ucontext_t context;
  std::unique_ptr<char[]> stack = std::make_unique_for_overwrite<char[]>(stackBytes);
  Stop stop = Stop::None;
  uint32_t value = 0, offset = 0;
};

/// The block that runs. Tests run one at a time.
struct ThreadBlock {
  Entry entry = nullptr;
  void **buffers = nullptr;
  int64_t number = 0;
  int threads = 0, current = 0;
  ucontext_t scheduler;
  std::vector<Lane> lanes;
  alignas(256) unsigned char shared[sharedCapacity + guardBytes];

  std::string run(int64_t block, int64_t sharedBytes, bool backwards);
  std::string runWarp(Lane *first, bool backwards);
  /// Called on a lane's stack: back to the scheduler until its warp, or the block, has come as far.
  void pause(Stop stop) {
    Lane &lane = lanes[current];
    lane.stop = stop;
    swapcontext(&lane.context, &scheduler);
  }
};

ThreadBlock &threadBlock() {
  static ThreadBlock instance;
  return instance;
}

void startLane() {
  threadBlock().entry(threadBlock().buffers);
  threadBlock().pause(Stop::End);
}

/// Runs a warp until its lanes wait for the block, or are done.
std::string ThreadBlock::runWarp(Lane *first, bool backwards) {
  while (true) {
    for (int i = 0; i < warpSize; ++i) {
      current = static_cast<int>(first - lanes.data()) + (backwards ? warpSize - 1 - i : i);
      swapcontext(&scheduler, &lanes[current].context);
    }
    for (int i = 0; i < warpSize; ++i)
      if (first[i].stop != first->stop)
        return "lanes of a warp do not meet at the same shuffle, barrier or end";
    if (first->stop == Stop::BlockBarrier || first->stop == Stop::End)
      return "";
    if (first->stop == Stop::Shuffle) {
      std::vector<uint32_t> given;
      for (int i = 0; i < warpSize; ++i)
        given.push_back(first[i].value);
      for (int i = 0; i < warpSize; ++i) {
        if (first[i].offset != first->offset || first[i].offset >= warpSize)
          return "lanes of a warp shuffle over different distances";
        first[i].value = given[i ^ static_cast<int>(first[i].offset)];
      }
    }
  }
}

std::string ThreadBlock::run(int64_t blockNumber, int64_t sharedBytes, bool backwards) {
  number = blockNumber;
  if (lanes.size() < static_cast<size_t>(threads))
    lanes.resize(threads);
  for (int i = 0; i < threads; ++i) {
    Lane &lane = lanes[i];
    lane.stop = Stop::None;
    getcontext(&lane.context);
    lane.context.uc_stack.ss_sp = lane.stack.get();
    lane.context.uc_stack.ss_size = stackBytes;
    lane.context.uc_link = nullptr;
    makecontext(&lane.context, startLane, 0);
  }
  // What nobody has stored is no number.
  std::memset(shared, 0xFF, sharedBytes + guardBytes);
  int warps = threads / warpSize;
  do {
    for (int i = 0; i < warps; ++i)
      if (std::string error = runWarp(&lanes[(backwards ? warps - 1 - i : i) * warpSize], backwards); !error.empty())
        return error;
    for (int i = 0; i < warps; ++i)
      if (lanes[i * warpSize].stop != lanes[0].stop)
        return "warps of a block do not meet at the same barrier or end";
  } while (lanes[0].stop != Stop::End);
  for (size_t i = 0; i < guardBytes; ++i)
    if (shared[sharedBytes + i] != 0xFF)
      return "something was written behind the shared memory of " + std::to_string(sharedBytes) + " bytes";
  return "";
}
} // namespace

extern "C" {
static int64_t emulatedThread() { return threadBlock().current; }
static int64_t emulatedBlock() { return threadBlock().number; }
static uint32_t emulatedShuffle(uint32_t value, uint32_t offset) {
  Lane &lane = threadBlock().lanes[threadBlock().current];
  lane.value = value;
  lane.offset = offset;
  threadBlock().pause(Stop::Shuffle);
  return lane.value;
}
static void emulatedBarrier() { threadBlock().pause(Stop::WarpBarrier); }
static void emulatedBlockBarrier() { threadBlock().pause(Stop::BlockBarrier); }
static void *emulatedShared() { return threadBlock().shared; }
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

namespace {
struct Kernel {
  int64_t block, grid, shared;
  Entry entry = nullptr;
};

/// Declares @name in `module`.
LLVM::LLVMFuncOp declare(ModuleOp module, StringRef name, Type result, ArrayRef<Type> inputs) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  return LLVM::LLVMFuncOp::create(builder, module.getLoc(), name, LLVM::LLVMFunctionType::get(result, inputs));
}

/// Turns a gpu.func into @name(pointer to the buffers' pointers) of `host`.
void moveToHost(gpu::GPUFuncOp function, ModuleOp host) {
  MLIRContext *context = host.getContext();
  Location loc = function.getLoc();
  OpBuilder builder(context);
  Type i64 = builder.getI64Type(), i32 = builder.getI32Type();
  auto pointer = LLVM::LLVMPointerType::get(context);

  function.walk([&](Operation *op) {
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
    } else if (isa<gpu::ReturnOp>(op)) {
      LLVM::ReturnOp::create(builder, loc, ValueRange{});
      op->erase();
    }
  });

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
    entry.getArgument(i).replaceAllUsesWith(LLVM::LoadOp::create(builder, loc, pointer, place).getResult());
  }
  entry.eraseArguments(0, count);
}
} // namespace

struct Emulator::Impl {
  std::unique_ptr<llvm::orc::LLJIT> jit;
  std::map<std::string, Kernel> kernels;
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
  declare(*host, "emulated_shared", LLVM::LLVMPointerType::get(context), {});
  // Tables of numbers are the same here.
  for (auto functions : lowered.getOps<gpu::GPUModuleOp>())
    for (auto global : functions.getOps<LLVM::GlobalOp>())
      if (global.getConstant())
        host->push_back(global->clone());
  for (auto functions : lowered.getOps<gpu::GPUModuleOp>())
    for (auto function : llvm::to_vector(functions.getOps<gpu::GPUFuncOp>())) {
      auto shared = function->getAttrOfType<IntegerAttr>(ftc::cuda::sharedBytesAttrName);
      Kernel kernel{(*function.getKnownBlockSize())[0], (*function.getKnownGridSize())[0],
                    shared ? shared.getInt() : 0};
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
  llvm::cantFail(jit->getMainJITDylib().define(llvm::orc::absoluteSymbols(std::move(symbols))));
  llvm::cantFail(jit->addIRModule(llvm::orc::ThreadSafeModule(std::move(code), std::move(llvmContext))));
  for (auto &[name, kernel] : impl->kernels)
    kernel.entry = llvm::cantFail(jit->lookup(name)).toPtr<Entry>();
  impl->jit = std::move(jit);
}

Emulator::~Emulator() = default;

bool Emulator::ok() const { return impl->jit != nullptr; }

std::string Emulator::run(const std::string &name, const std::vector<void *> &buffers, bool backwards) {
  auto found = impl->kernels.find(name);
  if (found == impl->kernels.end())
    return "no kernel " + name;
  const Kernel &kernel = found->second;
  std::vector<void *> arguments = buffers;
  ThreadBlock &running = threadBlock();
  running.entry = kernel.entry;
  running.buffers = arguments.data();
  running.threads = static_cast<int>(kernel.block);
  for (int64_t i = 0; i < kernel.grid; ++i)
    if (std::string error = running.run(backwards ? kernel.grid - 1 - i : i, kernel.shared, backwards); !error.empty())
      return name + ": " + error;
  return "";
}
