//===- Ptx.cpp - GPU modules to PTX ---------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// In PTX, `add.f32` without a rounding may be fused with a product by ptxas; `add.rn.f32` may not. LLVM writes the
// second where fusing is not allowed, and it is allowed nowhere: no `contract` flag is set, and the options below leave
// the backend's own fusing off. So what comes out has the CPU's bits whatever ptxas' -fmad says.
//
// Modules are translated one after the other, since MLIR's context is one, and compiled at once.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/Ptx.h"

#include "ftc/Support/Parallel.h"
#include "lib/Target/CUDA/Passes.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

namespace ftc {
#define GEN_PASS_DEF_CUDAEMITPTXPASS
#include "lib/Target/CUDA/Passes.h.inc"
} // namespace ftc

using namespace mlir;
using namespace ftc;

static constexpr const char triple[] = "nvptx64-nvidia-cuda";

std::string cuda::featuresOf(const CudaTarget &target) { return "+ptx" + std::to_string(target.ptxVersion); }

static std::unique_ptr<llvm::TargetMachine> createMachine(const cuda::CudaTarget &target, std::string &error) {
  [[maybe_unused]] static const bool initialized = [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    return true;
  }();
  llvm::Triple parsed(triple);
  const llvm::Target *found = llvm::TargetRegistry::lookupTarget(parsed, error);
  if (!found)
    return nullptr;
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  return std::unique_ptr<llvm::TargetMachine>(
      found->createTargetMachine(parsed, target.architecture, cuda::featuresOf(target), options, llvm::Reloc::PIC_,
                                 std::nullopt, llvm::CodeGenOptLevel::Default));
}

static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::PipelineTuningOptions tuning;
  // What is a vector was made one for a reason. Short loops over a lane's columns are worth unrolling.
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, modules);
}

namespace {
/// A module on its way to PTX, in an LLVMContext of its own: what threads share is the target's description.
struct Piece {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::TargetMachine> machine;
  std::unique_ptr<llvm::Module> module;
  std::string text, error;
};
} // namespace

/// Goes through MLIR, so one piece at a time.
static LogicalResult translate(gpu::GPUModuleOp module, const cuda::CudaTarget &target, Piece &piece) {
  std::string error;
  piece.machine = createMachine(target, error);
  if (!piece.machine)
    return module.emitError(error);
  piece.module = translateModuleToLLVMIR(module, piece.context, module.getName());
  if (!piece.module)
    return module.emitError("cannot be translated to LLVM IR");
  piece.module->setTargetTriple(llvm::Triple(triple));
  piece.module->setDataLayout(piece.machine->createDataLayout());
  for (llvm::Function &function : *piece.module)
    if (!function.isDeclaration())
      function.addFnAttr("no-builtins"); // loops that copy or fill stay loops
  return success();
}

/// Goes through LLVM alone.
static void compile(const cuda::CudaTarget &target, Piece &piece) {
  optimize(*piece.module, *piece.machine);
  llvm::SmallString<0> text;
  llvm::raw_svector_ostream stream(text);
  llvm::legacy::PassManager passes;
  if (piece.machine->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::AssemblyFile)) {
    piece.error = "LLVM cannot write PTX for " + target.architecture;
    return;
  }
  passes.run(*piece.module);
  piece.text = text.str().str();
}

FailureOr<std::vector<std::string>> cuda::emitPtx(ArrayRef<gpu::GPUModuleOp> modules, const CudaTarget &target) {
  std::vector<std::string> texts;
  if (modules.empty())
    return texts;
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerGPUDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
  modules.front()->getContext()->appendDialectRegistry(registry);
  std::vector<Piece> pieces(modules.size());
  for (auto [module, piece] : llvm::zip(modules, pieces))
    if (failed(translate(module, target, piece)))
      return failure();
  parallelFor(pieces.size(), [&](size_t index) { compile(target, pieces[index]); });
  for (auto [module, piece] : llvm::zip(modules, pieces)) {
    if (!piece.error.empty())
      return module->emitError(piece.error), failure();
    texts.push_back(std::move(piece.text));
  }
  return texts;
}

namespace {
struct CudaEmitPtxPass : ftc::impl::CudaEmitPtxPassBase<CudaEmitPtxPass> {
  using CudaEmitPtxPassBase::CudaEmitPtxPassBase;

  void runOnOperation() override {
    std::optional<ftc::cuda::CudaTarget> target = ftc::cuda::resolveDevice(getOperation(), device);
    if (!target)
      return signalPassFailure();
    MLIRContext *context = &getContext();
    auto modules = llvm::to_vector(getOperation().getOps<gpu::GPUModuleOp>());
    FailureOr<std::vector<std::string>> texts = ftc::cuda::emitPtx(modules, *target);
    if (failed(texts))
      return signalPassFailure();
    for (auto [module, text] : llvm::zip(modules, *texts)) {
      OpBuilder builder(module);
      auto nvvm = NVVM::NVVMTargetAttr::get(context, /*optLevel=*/2, triple, target->architecture,
                                            ftc::cuda::featuresOf(*target));
      auto object = gpu::ObjectAttr::get(context, nvvm, gpu::CompilationTarget::Assembly, builder.getStringAttr(text),
                                         DictionaryAttr(), gpu::KernelTableAttr());
      gpu::BinaryOp::create(builder, module.getLoc(), module.getName(), Attribute(), builder.getArrayAttr({object}));
      module.erase();
    }
  }
};
} // namespace
