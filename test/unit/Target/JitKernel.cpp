//===- JitKernel.cpp - Runs one plan.kernel in this process ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "JitKernel.h"

#include "ftrt/step.h"
#include "lib/Target/CPU/Emit.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"

#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>

using namespace mlir;
using namespace ftc;
using namespace ftc::test;

static void check(bool condition, const char *what) {
  if (!condition) {
    fprintf(stderr, "JitKernel: %s\n", what);
    abort();
  }
}

cpu::CpuTarget test::targetFor(const std::string &name, unsigned threads) {
  std::string error;
  std::optional<cpu::CpuTarget> target = cpu::resolveCpu(name, threads, error);
  check(target.has_value(), error.c_str());
  return *target;
}

namespace {
struct AlignedFree {
  void operator()(void *pointer) const { free(pointer); }
};
} // namespace

struct JitKernel::Impl {
  std::unique_ptr<llvm::orc::LLJIT> jit;
  std::string symbol;
  void (*entry)(void **) = nullptr;
  int64_t scratchBytes = 0;
  std::unique_ptr<uint8_t, AlignedFree> scratch;
  unsigned plannedThreads = 1;
};

/// Adds the kernel's scratch memory, creates its driver, lowers it, and wraps it into a function @call(ptr to
/// pointers).
static int64_t lower(ModuleOp module, plan::KernelOp kernel, const cpu::CpuTarget &target) {
  Operation *work = kernel.getWork();
  MLIRContext *context = module.getContext();
  int64_t bytes = cpu::scratchBytes(work, target);
  if (bytes > 0) {
    auto type = MemRefType::get({bytes}, IntegerType::get(context, 8));
    Value scratch = kernel.getBody().front().addArgument(type, kernel.getLoc());
    llvm::TypeSwitch<Operation *>(work).Case<plan::MatmulOp, plan::AttentionOp, plan::AttentionGradOp>(
        [&](auto op) { op.getScratchMutable().assign(scratch); });
  }
  LogicalResult emitted =
      llvm::TypeSwitch<Operation *, LogicalResult>(work)
          .Case([&](plan::MatmulOp) { return cpu::emitMatmul(kernel, target); })
          .Case<plan::AttentionOp, plan::AttentionGradOp>([&](auto) { return cpu::emitAttention(kernel, target); })
          .Default(failure());
  check(succeeded(emitted), "no code for the kernel");
  std::string driver = (kernel.getSymName() + ".driver").str();
  unsigned buffers = kernel.getBuffers().size();
  kernel.erase();

  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  Location loc = module.getLoc();
  auto pointer = LLVM::LLVMPointerType::get(context);
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), {pointer});
  auto call = LLVM::LLVMFuncOp::create(builder, loc, "call", type);
  builder.setInsertionPointToStart(call.addEntryBlock(builder));
  SmallVector<Value> arguments;
  for (unsigned i = 0; i <= buffers; ++i) {
    Value place = cpu::elementPointer(builder, loc, call.getArgument(0), pointer, cpu::constantI64(builder, loc, i));
    arguments.push_back(LLVM::LoadOp::create(builder, loc, pointer, place));
  }
  LLVM::CallOp::create(builder, loc, module.lookupSymbol<LLVM::LLVMFuncOp>(driver), arguments);
  LLVM::ReturnOp::create(builder, loc, ValueRange{});

  PassManager passes(context);
  arith::ArithExpandOpsPassOptions expand;
  expand.includeBf16 = true;
  passes.addPass(arith::createArithExpandOpsPass(expand));
  passes.addPass(createSCFToControlFlowPass());
  passes.addPass(createConvertVectorToLLVMPass());
  passes.addPass(createConvertMathToLLVMPass());
  passes.addPass(createArithToLLVMConversionPass());
  passes.addPass(createConvertControlFlowToLLVMPass());
  check(succeeded(passes.run(module)), "lowering failed");
  return bytes;
}

JitKernel::JitKernel(const std::string &text, const cpu::CpuTarget &target) : impl(new Impl) {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.loadDialect<plan::PlanDialect, arith::ArithDialect, math::MathDialect, scf::SCFDialect, LLVM::LLVMDialect,
                      vector::VectorDialect>();
  registerBuiltinDialectTranslation(context);
  registerLLVMDialectTranslation(context);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
  check(module && succeeded(verify(*module)), "the kernel's text is invalid");
  impl->scratchBytes = lower(*module, *module->getOps<plan::KernelOp>().begin(), target);
  impl->plannedThreads = target.threads;

  auto llvmContext = std::make_unique<llvm::LLVMContext>();
  std::unique_ptr<llvm::Module> code = translateModuleToLLVMIR(*module, *llvmContext);
  check(code != nullptr, "translation failed");
  llvm::orc::JITTargetMachineBuilder machineBuilder{llvm::Triple(llvm::sys::getProcessTriple())};
  machineBuilder.setCPU(target.cpu).setCodeGenOptLevel(llvm::CodeGenOptLevel::Aggressive);
  auto machine = llvm::cantFail(machineBuilder.createTargetMachine());
  code->setDataLayout(machine->createDataLayout());
  code->setTargetTriple(machine->getTargetTriple());
  {
    llvm::LoopAnalysisManager loops;
    llvm::FunctionAnalysisManager functions;
    llvm::CGSCCAnalysisManager components;
    llvm::ModuleAnalysisManager modules;
    llvm::PassBuilder builder(machine.get());
    builder.registerModuleAnalyses(modules);
    builder.registerCGSCCAnalyses(components);
    builder.registerFunctionAnalyses(functions);
    builder.registerLoopAnalyses(loops);
    builder.crossRegisterProxies(loops, functions, components, modules);
    std::string features;
    for (const std::string &feature : target.features)
      features += (features.empty() ? "+" : ",+") + feature;
    for (llvm::Function &function : *code) {
      function.addFnAttr("target-cpu", target.cpu);
      function.addFnAttr("target-features", features);
    }
    builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(*code, modules);
  }
  if (const char *path = getenv("FTC_JIT_DUMP")) {
    std::error_code error;
    llvm::raw_fd_ostream out(path, error);
    code->print(out, nullptr);
  }
  impl->jit = llvm::cantFail(llvm::orc::LLJITBuilder().setJITTargetMachineBuilder(machineBuilder).create());
  llvm::cantFail(impl->jit->addIRModule(llvm::orc::ThreadSafeModule(std::move(code), std::move(llvmContext))));
  impl->entry = llvm::cantFail(impl->jit->lookup("call")).toPtr<void (*)(void **)>();
  impl->scratch.reset(static_cast<uint8_t *>(aligned_alloc(64, impl->scratchBytes + 64)));
}

JitKernel::~JitKernel() = default;

int64_t JitKernel::scratchBytes() const { return impl->scratchBytes; }

static void parallelFor(void *context, ftrt_task_fn body, void *args, uint64_t tasks) {
  unsigned threads = *static_cast<unsigned *>(context);
  std::atomic<uint64_t> next = 0;
  auto work = [&](uint32_t thread) {
    for (uint64_t task; (task = next++) < tasks;)
      body(args, task, thread);
  };
  std::vector<std::thread> others;
  for (uint32_t thread = 1; thread < threads; ++thread)
    others.emplace_back(work, thread);
  work(0);
  for (std::thread &other : others)
    other.join();
}

bool JitKernel::run(const std::vector<void *> &buffers, unsigned threads) {
  check(threads <= impl->plannedThreads, "more threads than planned");
  ftrt_services services{
      FTRT_ABI_VERSION, sizeof(ftrt_services), &threads, threads, 0, parallelFor, nullptr, nullptr, nullptr, nullptr};
  std::vector<void *> arguments{&services};
  arguments.insert(arguments.end(), buffers.begin(), buffers.end());
  if (impl->scratchBytes > 0) {
    memset(impl->scratch.get(), 0xFF, impl->scratchBytes + 64);
    arguments.push_back(impl->scratch.get());
  }
  impl->entry(arguments.data());
  for (int i = 0; i < 64 && impl->scratchBytes > 0; ++i)
    if (impl->scratch.get()[impl->scratchBytes + i] != 0xFF)
      return false;
  return true;
}
