//===- LowerToLLVM.cpp - Function bodies to the llvm dialect -----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/Passes.h"
#include "lib/Target/Common/Math.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/Transforms/LoweringPatterns.h"
#include "mlir/Dialect/Vector/Transforms/VectorRewritePatterns.h"
#include "mlir/Transforms/DialectConversion.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#

namespace ftc {
#define GEN_PASS_DEF_CPULOWERTOLLVMPASS
#include "lib/Target/CPU/Passes.h.inc"
} // namespace ftc

using namespace mlir;
using namespace ftc;

namespace {
struct CpuLowerToLLVMPass : ftc::impl::CpuLowerToLLVMPassBase<CpuLowerToLLVMPass> {
  using CpuLowerToLLVMPassBase::CpuLowerToLLVMPassBase;

  void runOnOperation() override {
    MLIRContext *context = &getContext();
    // No folding here: bodies say what they mean, and LLVM folds soon enough.
    GreedyRewriteConfig plain;
    plain.enableFolding(false).enableConstantCSE(false).setRegionSimplificationLevel(
        GreedySimplifyRegionLevel::Disabled);
    {
      RewritePatternSet patterns(context);
      target::populateExpandMathPatterns(patterns);
      if (failed(applyPatternsGreedily(getOperation(), std::move(patterns), plain)))
        return signalPassFailure();
    }
    {
      RewritePatternSet patterns(context);
      populateSCFToControlFlowConversionPatterns(patterns);
      ConversionTarget target(*context);
      target.addIllegalDialect<scf::SCFDialect>();
      target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
      if (failed(applyPartialConversion(getOperation(), target, std::move(patterns))))
        return signalPassFailure();
    }
    {
      RewritePatternSet patterns(context);
      vector::populateVectorInsertExtractStridedSliceTransforms(patterns);
      vector::populateVectorBroadcastLoweringPatterns(patterns);
      vector::populateVectorShapeCastLoweringPatterns(patterns);
      vector::populateVectorTransposeLoweringPatterns(patterns, vector::VectorTransposeLowering::Shuffle1D);
      vector::populateVectorRankReducingFMAPattern(patterns);
      if (failed(applyPatternsGreedily(getOperation(), std::move(patterns), plain)))
        return signalPassFailure();
    }
    LLVMTypeConverter converter(context);
    RewritePatternSet patterns(context);
    arith::populateArithToLLVMConversionPatterns(converter, patterns);
    populateMathToLLVMConversionPatterns(converter, patterns);
    cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
    populateVectorToLLVMConversionPatterns(converter, patterns);
    LLVMConversionTarget target(*context);
    target.addIllegalDialect<arith::ArithDialect, math::MathDialect, cf::ControlFlowDialect, vector::VectorDialect>();
    target.addLegalOp<ModuleOp>();
    if (failed(applyFullConversion(getOperation(), target, std::move(patterns))))
      return signalPassFailure();

    // These would become calls of the C library.
    WalkResult result = getOperation().walk([&](Operation *op) {
      if (!isa<LLVM::ExpOp, LLVM::Exp2Op, LLVM::LogOp, LLVM::Log2Op, LLVM::Log10Op, LLVM::PowOp, LLVM::PowIOp,
               LLVM::SinOp, LLVM::CosOp, LLVM::TanhOp, LLVM::FRemOp, LLVM::MemcpyOp, LLVM::MemsetOp, LLVM::MemmoveOp>(
              op))
        return WalkResult::advance();
      op->emitError("needs a library function, and a step calls none; the CPU target has no expansion for this type");
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
