//===- ShareCodeTest.cpp - Shared code against each kernel's own -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "EmulatedStep.h"

#include "dialects/Plan/Transforms/Passes.h"
#include "ftc/Conversion/TrainToPlan/Passes.h"
#include "lib/Conversion/PlanToLLVM/PlanToLLVM.h"
#include "lib/Target/CPU/Passes.h"
#include "lib/Target/CUDA/Passes.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Parser/Parser.h"

#include <set>

using namespace mlir;
using namespace ftc;
using namespace ftc::test;

namespace {
constexpr const char cpu[] = "x86-64-v3";
constexpr unsigned threads = 2;

/// An entry for rows of `sequence` tokens: products, attention of three heads, and kernels of rows, with their
/// gradients.
std::string entryOf(int64_t sequence, int64_t columns) {
  std::string text = R"(
    train.entry @step_N kind(step) batch 2 sequence N
        inputs ["x", "w", "v", "d", "segment_starts"] outputs ["y", "dx", "dw", "a", "dq", "dk", "dv", "dm"] {
    ^bb0(%x: tensor<RxCxE>, %w: tensor<CxE>, %v: tensor<CxCxE>, %d: tensor<RxCxE>, %s: tensor<Rxi32>):
      %y = train.rms_norm %x, %w eps 1.0e-5 : tensor<RxCxE>, tensor<CxE>
      %q = train.matmul %y, %v transpose_b : tensor<RxCxE>, tensor<CxCxE> -> tensor<RxCxE>
      %a, %lse = train.attention %q, %y, %x, %s batch 2 heads 3 kv_heads 3 scale 0.25
        : tensor<RxCxE>, tensor<RxCxE>, tensor<Rxi32> -> tensor<Rx3xf32>
      %dq, %dk, %dv = train.attention_grad %q, %y, %x, %s, %a, %lse, %d batch 2 heads 3 kv_heads 3 scale 0.25
        : tensor<RxCxE>, tensor<RxCxE>, tensor<Rxi32>, tensor<Rx3xf32>
      %dm = train.matmul %dq, %y transpose_a : tensor<RxCxE>, tensor<RxCxE> -> tensor<CxCxf32>
      %dx, %dw = train.rms_norm_grad %x, %w, %d eps 1.0e-5 : tensor<RxCxE>, tensor<CxE>
      train.return %y, %dx, %dw, %a, %dq, %dk, %dv, %dm : tensor<RxCxE>, tensor<RxCxE>, tensor<CxE>, tensor<RxCxE>,
        tensor<RxCxE>, tensor<RxCxE>, tensor<RxCxE>, tensor<CxCxf32>
    }
  )";
  auto replace = [&](std::string_view what, const std::string &with) {
    for (size_t at = 0; (at = text.find(what, at)) != text.npos; at += with.size())
      text.replace(at, what.size(), with);
  };
  replace("step_N", "step_" + std::to_string(sequence));
  replace("sequence N", "sequence " + std::to_string(sequence));
  replace("<Rx", "<" + std::to_string(2 * sequence) + "x");
  std::string width = std::to_string(columns) + "x";
  replace("CxCx", width + width);
  replace("CxE", width + "E");
  replace("xE>", "xbf16>");
  return text;
}

/// A plan compiled for the CPU with shared code, or with every kernel's own.
class Built : public CompiledPlan {
public:
  Built(ModuleOp plan, TargetBackend &host, bool shares) : CompiledPlan(plan) {
    build(host, [&](ModuleOp module) {
      PassManager passes(module.getContext());
      passes.addPass(createCpuLowerKernelsPass({.cpu = cpu, .threads = threads}));
      if (shares)
        passes.addPass(createCpuShareCodePass());
      passes.addPass(createConvertPlanToLLVMPass({.threads = threads}));
      passes.addPass(createCpuLowerToLLVMPass());
      LogicalResult done = passes.run(module);
      for (auto function : module.getOps<LLVM::LLVMFuncOp>())
        shared += function.getSymName().ends_with(".shared");
      return done;
    });
  }
  int shared = 0; ///< kernels' code that others run too
};

/// Runs every entry of both on the same inputs.
void expectSameBits(ModuleOp module, CompiledPlan &own, CompiledPlan &shared) {
  for (auto entry : module.getOps<plan::EntryOp>()) {
    reference::NamedTensors inputs;
    for (auto input : entry.getBody().front().getOps<plan::InputOp>())
      inputs.emplace(input.getName().str(), numbers(input.getBuffer().getType(), input.getName(), 1));
    reference::NamedTensors expected = own.run(entry.getSymName(), inputs, threads),
                            actual = shared.run(entry.getSymName(), inputs, threads);
    ASSERT_EQ(expected.size(), 8u);
    for (const auto &[output, value] : expected)
      EXPECT_TRUE(actual.at(output).isIdenticalTo(value)) << entry.getSymName().str() << " " << output;
  }
}
} // namespace

// Sequences that are no multiples of blocks, panels and tasks, so that every one has a rest.
TEST(ShareCode, SharedCodeHasTheBitsOfEachKernelsOwn) {
  const std::vector<int64_t> lengths = {25, 45, 77, 203, 331};
  std::string text;
  for (int64_t length : lengths)
    text += entryOf(length, 72);
  auto module = parseSourceString<ModuleOp>(text, &context());
  ASSERT_TRUE(module);
  std::string error;
  std::unique_ptr<TargetBackend> host = createCpuBackend(cpu, threads, error);
  ASSERT_TRUE(host) << error;
  PassManager passes(&context());
  passes.addPass(createConvertTrainToPlanPass());
  host->addPlanPasses(passes);
  passes.addPass(plan::createPlanAssignOffsetsPass({.alignment = 64u}));
  ASSERT_TRUE(succeeded(passes.run(*module)));

  Built own(*module, *host, /*shares=*/false), shared(*module, *host, /*shares=*/true);
  EXPECT_EQ(own.shared, 0);
  // Both norms, both products, both kinds of attention.
  EXPECT_GE(shared.shared, 6);
  EXPECT_LT(shared.bytes().size(), own.bytes().size() * 3 / 5);
  expectSameBits(*module, own, shared);
}

// Heads of 32 columns, so that attention is computed on tensor cores: one, two and three blocks of 128 queries a row.
TEST(ShareCode, SharedFunctionsOfAGpuHaveTheBitsOfEachKernelsOwn) {
  std::string text;
  for (int64_t length : {25, 45, 77, 130, 290})
    text += entryOf(length, 96);
  auto module = parseSourceString<ModuleOp>(text, &context());
  ASSERT_TRUE(module);
  PassManager passes(&context());
  passes.addPass(createConvertTrainToPlanPass());
  passes.addPass(createCudaPlanScratchPass({.device = "h100"}));
  passes.addPass(plan::createPlanAssignOffsetsPass({.alignment = 256u}));
  ASSERT_TRUE(succeeded(passes.run(*module)));
  EmulatedStep own(*module, "h100", /*share=*/false), shared(*module, "h100", /*share=*/true);
  auto functionsOf = [](const ftrt_step &step) {
    std::set<std::string> functions;
    for (uint64_t i = 0; i < step.kernel_count; ++i)
      functions.insert(step.kernels[i].function);
    return functions.size();
  };
  ASSERT_EQ(own.table().kernel_count, shared.table().kernel_count);
  EXPECT_EQ(functionsOf(own.table()), own.table().kernel_count);
  EXPECT_LE(functionsOf(shared.table()), own.table().kernel_count * 3 / 5);
  expectSameBits(*module, own, shared);
}

// What is planned for one length has nothing to share, and its functions are not touched.
TEST(ShareCode, AStepOfOneLengthIsAsItWas) {
  auto module = parseSourceString<ModuleOp>(entryOf(25, 96), &context());
  ASSERT_TRUE(module);
  PassManager passes(&context());
  passes.addPass(createConvertTrainToPlanPass());
  passes.addPass(createCudaPlanScratchPass({.device = "h100"}));
  passes.addPass(plan::createPlanAssignOffsetsPass({.alignment = 256u}));
  ASSERT_TRUE(succeeded(passes.run(*module)));
  EmulatedStep own(*module, "h100", /*share=*/false), shared(*module, "h100", /*share=*/true);
  EXPECT_EQ(own.bytes(), shared.bytes());
}
