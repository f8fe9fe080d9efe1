//===- Codegen.cpp - LLVM IR and machine code --------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/Codegen.h"

#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

using namespace mlir;
using namespace ftc;

static constexpr const char triple[] = "x86_64-unknown-linux-gnu";

/// "+avx2,+fma,...": what functions may use, and no more. The CPU's name only chooses the scheduling model.
static std::string featureString(const cpu::CpuTarget &target) {
  return llvm::join(llvm::map_range(target.features, [](const std::string &name) { return "+" + name; }), ",");
}

static std::unique_ptr<llvm::TargetMachine> createMachine(const cpu::CpuTarget &target, std::string &error) {
  [[maybe_unused]] static const bool initialized = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    return true;
  }();
  llvm::Triple parsed(triple);
  const llvm::Target *found = llvm::TargetRegistry::lookupTarget(parsed, error);
  if (!found)
    return nullptr;
  llvm::TargetOptions options;
  return std::unique_ptr<llvm::TargetMachine>(found->createTargetMachine(parsed, "x86-64", featureString(target),
                                                                         options, llvm::Reloc::PIC_, std::nullopt,
                                                                         llvm::CodeGenOptLevel::Default));
}

/// Everything that LLVM has to know of the functions: what they run on, and that there is no C library beside them.
static void describeFunctions(llvm::Module &module, const cpu::CpuTarget &target) {
  std::string features = featureString(target), width = std::to_string(target.vectorBits);
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", "x86-64");
    function.addFnAttr("tune-cpu", target.cpu);
    function.addFnAttr("target-features", features);
    function.addFnAttr("prefer-vector-width", width);
    function.addFnAttr("min-legal-vector-width", width);
    // Loops that copy or fill stay loops.
    function.addFnAttr("no-builtins");
    function.addFnAttr(llvm::Attribute::NoUnwind);
    function.setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
  }
}

static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::PipelineTuningOptions tuning;
  // Emitted code is vectors already; what is scalar in it is scalar for a reason.
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  tuning.LoopInterleaving = false;
  tuning.LoopUnrolling = false;
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

/// The optimized LLVM module; null after an error on `module`.
static std::unique_ptr<llvm::Module> prepare(ModuleOp module, const cpu::CpuTarget &target, llvm::LLVMContext &context,
                                             llvm::TargetMachine &machine) {
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  module.getContext()->appendDialectRegistry(registry);
  std::unique_ptr<llvm::Module> translated = translateModuleToLLVMIR(module, context, "step");
  if (!translated) {
    module.emitError("cannot be translated to LLVM IR");
    return nullptr;
  }
  translated->setTargetTriple(llvm::Triple(triple));
  translated->setDataLayout(machine.createDataLayout());
  translated->setPICLevel(llvm::PICLevel::BigPIC);
  describeFunctions(*translated, target);
  optimize(*translated, machine);
  return translated;
}

FailureOr<std::string> cpu::emitLLVMText(ModuleOp module, const CpuTarget &target) {
  std::string error;
  std::unique_ptr<llvm::TargetMachine> machine = createMachine(target, error);
  if (!machine)
    return module.emitError(error), failure();
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> prepared = prepare(module, target, context, *machine);
  if (!prepared)
    return failure();
  std::string text;
  llvm::raw_string_ostream stream(text);
  prepared->print(stream, nullptr);
  return text;
}

FailureOr<std::string> cpu::emitObject(ModuleOp module, const CpuTarget &target) {
  std::string error;
  std::unique_ptr<llvm::TargetMachine> machine = createMachine(target, error);
  if (!machine)
    return module.emitError(error), failure();
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> prepared = prepare(module, target, context, *machine);
  if (!prepared)
    return failure();
  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream stream(object);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::ObjectFile))
    return module.emitError("LLVM cannot write objects for ") << triple, failure();
  passes.run(*prepared);
  return std::string(object.begin(), object.end());
}
