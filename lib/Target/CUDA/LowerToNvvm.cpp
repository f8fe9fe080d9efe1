//===- LowerToNvvm.cpp - GPU functions to the llvm and nvvm dialects ------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Assumes what cuda-lower-kernels leaves: a gpu.module whose functions use i64 (index only where a thread's number
// comes in), vectors of one dimension and LLVM pointers. Promises the CPU's arithmetic: the same expansions
// (lib/Target/Common/Math.h), bf16 by instructions with the same bits (ConvertBf16.h), and IEEE square roots and
// quotients, which PTX has. Refuses what would call libdevice.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/ConvertBf16.h"
#include "lib/Target/CUDA/Passes.h"
#include "lib/Target/Common/Math.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/Vector/Transforms/LoweringPatterns.h"
#include "mlir/Transforms/DialectConversion.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace ftc {
#define GEN_PASS_DEF_CUDALOWERTONVVMPASS
#include "lib/Target/CUDA/Passes.h.inc"
} // namespace ftc

using namespace mlir;
using namespace ftc;

namespace {
struct CudaLowerToNvvmPass : ftc::impl::CudaLowerToNvvmPassBase<CudaLowerToNvvmPass> {
  using CudaLowerToNvvmPassBase::CudaLowerToNvvmPassBase;

  void runOnOperation() override {
    for (auto module : getOperation().getOps<gpu::GPUModuleOp>())
      if (failed(lower(module)))
        return signalPassFailure();
  }

  LogicalResult lower(gpu::GPUModuleOp module) {
    MLIRContext *context = &getContext();
    // No folding here: bodies say what they mean, and LLVM folds soon enough.
    GreedyRewriteConfig plain;
    plain.enableFolding(false).enableConstantCSE(false).setRegionSimplificationLevel(
        GreedySimplifyRegionLevel::Disabled);
    RewritePatternSet expansions(context);
    ftc::target::populateExpandMathPatterns(expansions, ftc::cuda::bf16Conversions());
    vector::populateVectorBroadcastLoweringPatterns(expansions);
    if (failed(applyPatternsGreedily(module, std::move(expansions), plain)))
      return failure();
    {
      RewritePatternSet patterns(context);
      populateSCFToControlFlowConversionPatterns(patterns);
      ConversionTarget target(*context);
      target.addIllegalDialect<scf::SCFDialect>();
      target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
      if (failed(applyPartialConversion(module, target, std::move(patterns))))
        return failure();
    }
    LLVMTypeConverter converter(context);
    configureGpuToNVVMTypeConverter(converter);
    {
      // Before the GPU's own patterns, which would take square roots from libdevice.
      RewritePatternSet patterns(context);
      populateMathToLLVMConversionPatterns(converter, patterns);
      LLVMConversionTarget target(*context);
      target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
      target.addIllegalOp<math::SqrtOp, math::FmaOp, math::AbsFOp>();
      if (failed(applyPartialConversion(module, target, std::move(patterns))))
        return failure();
    }
    WalkResult left = module.walk([&](Operation *op) {
      if (!isa_and_nonnull<math::MathDialect>(op->getDialect()))
        return WalkResult::advance();
      op->emitError("needs a library function, and a step calls none; the CUDA target has no expansion for this type");
      return WalkResult::interrupt();
    });
    if (left.wasInterrupted())
      return failure();
    RewritePatternSet patterns(context);
    arith::populateArithToLLVMConversionPatterns(converter, patterns);
    cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
    populateVectorToLLVMConversionPatterns(converter, patterns);
    populateGpuToNVVMConversionPatterns(converter, patterns);
    LLVMConversionTarget target(*context);
    configureGpuToNVVMConversionLegality(target);
    target.addLegalOp<LLVM::SqrtOp, LLVM::FAbsOp>(); // instructions, whatever libdevice has
    target.addIllegalDialect<arith::ArithDialect, cf::ControlFlowDialect, vector::VectorDialect>();
    return applyPartialConversion(module, target, std::move(patterns));
  }
};
} // namespace
