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
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Passes/StandardInstrumentations.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/Utils/Cloning.h"

#include <array>
#include <thread>

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
  // Without it, passes do not see that a function is not to be optimized.
  llvm::PassInstrumentationCallbacks callbacks;
  llvm::OptNoneInstrumentation skipOptNone(/*DebugLogging=*/false);
  skipOptNone.registerCallbacks(callbacks);
  llvm::PassBuilder builder(&machine, tuning, std::nullopt, &callbacks);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, modules);
}

/// The LLVM module as translated, its functions described; null after an error on `module`.
static std::unique_ptr<llvm::Module> translate(ModuleOp module, const cpu::CpuTarget &target,
                                               llvm::LLVMContext &context, llvm::TargetMachine &machine) {
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
  return translated;
}

FailureOr<std::string> cpu::emitLLVMText(ModuleOp module, const CpuTarget &target) {
  std::string error;
  std::unique_ptr<llvm::TargetMachine> machine = createMachine(target, error);
  if (!machine)
    return module.emitError(error), failure();
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> prepared = translate(module, target, context, *machine);
  if (!prepared)
    return failure();
  optimize(*prepared, *machine);
  std::string text;
  llvm::raw_string_ostream stream(text);
  prepared->print(stream, nullptr);
  return text;
}

//===----------------------------------------------------------------------===//
// Objects
//===----------------------------------------------------------------------===//

namespace {
/// A module is compiled in two halves at once, whatever the machine: the bytes must not depend on it.
constexpr size_t numParts = 2;

/// One half of a module, as bitcode first, then as an object.
struct Part {
  llvm::SmallVector<char, 0> bitcode, object;
  std::string error;
};
} // namespace

/// Gives each function to the part that has the least to do so far, the longest functions first.
static llvm::DenseMap<const llvm::GlobalValue *, size_t> distribute(llvm::Module &module) {
  std::vector<std::pair<size_t, llvm::Function *>> functions;
  // What is not optimized compiles several times as fast.
  auto cost = [](const llvm::Function &function) {
    return function.hasOptNone() ? function.getInstructionCount() / 8 : function.getInstructionCount();
  };
  for (llvm::Function &function : module)
    if (!function.isDeclaration())
      functions.emplace_back(cost(function), &function);
  llvm::sort(functions, [](const auto &a, const auto &b) {
    return a.first != b.first ? a.first > b.first : a.second->getName() < b.second->getName();
  });
  std::array<size_t, numParts> load{};
  llvm::DenseMap<const llvm::GlobalValue *, size_t> home;
  for (auto &[size, function] : functions) {
    size_t part = std::min_element(load.begin(), load.end()) - load.begin();
    load[part] += size;
    home[function] = part;
  }
  return home;
}

/// Splits `module`. Symbols that were internal become hidden, so that the parts see each other and nobody else does.
static void split(llvm::Module &module, std::array<Part, numParts> &parts) {
  for (llvm::GlobalObject &global : module.global_objects())
    if (global.hasLocalLinkage()) {
      global.setLinkage(llvm::GlobalValue::ExternalLinkage);
      global.setVisibility(llvm::GlobalValue::HiddenVisibility);
      global.setDSOLocal(true);
    }
  llvm::DenseMap<const llvm::GlobalValue *, size_t> home = distribute(module);
  for (size_t number = 0; number < numParts; ++number) {
    llvm::ValueToValueMapTy map;
    // Constants live in the first part.
    std::unique_ptr<llvm::Module> clone = llvm::CloneModule(
        module, map, [&](const llvm::GlobalValue *value) { return home.lookup_or(value, 0) == number; });
    llvm::raw_svector_ostream stream(parts[number].bitcode);
    llvm::WriteBitcodeToFile(*clone, stream);
  }
}

/// Optimizes and compiles one part in a context of its own.
static void compilePart(const cpu::CpuTarget &target, Part &part) {
  std::unique_ptr<llvm::TargetMachine> machine = createMachine(target, part.error);
  if (!machine)
    return;
  llvm::LLVMContext context;
  llvm::MemoryBufferRef buffer(llvm::StringRef(part.bitcode.data(), part.bitcode.size()), "step");
  llvm::Expected<std::unique_ptr<llvm::Module>> module = llvm::parseBitcodeFile(buffer, context);
  if (!module) {
    part.error = llvm::toString(module.takeError());
    return;
  }
  optimize(**module, *machine);
  llvm::raw_svector_ostream stream(part.object);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::ObjectFile)) {
    part.error = std::string("LLVM cannot write objects for ") + triple;
    return;
  }
  passes.run(**module);
}

FailureOr<std::string> cpu::emitObject(ModuleOp module, const CpuTarget &target) {
  std::string error;
  std::unique_ptr<llvm::TargetMachine> machine = createMachine(target, error);
  if (!machine)
    return module.emitError(error), failure();
  std::array<Part, numParts> parts;
  {
    llvm::LLVMContext context;
    std::unique_ptr<llvm::Module> translated = translate(module, target, context, *machine);
    if (!translated)
      return failure();
    split(*translated, parts);
  }
  std::thread second(compilePart, std::cref(target), std::ref(parts[1]));
  compilePart(target, parts[0]);
  second.join();
  llvm::SmallVector<llvm::StringRef> objects;
  for (Part &part : parts) {
    if (!part.error.empty())
      return module.emitError(part.error), failure();
    objects.emplace_back(part.object.data(), part.object.size());
  }
  return mergeObjects(module.getLoc(), objects);
}
