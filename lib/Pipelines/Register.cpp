//===- Register.cpp - Every dialect and pass of ftc --------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Pipelines/Register.h"

#include "dialects/Plan/IR/Plan.h"
#include "dialects/Plan/Transforms/Passes.h"
#include "dialects/Train/IR/Train.h"
#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Conversion/TrainToPlan/Passes.h"
#include "lib/Conversion/PlanToLLVM/PlanToLLVM.h"
#include "lib/Target/CPU/Passes.h"
#include "lib/Target/CUDA/Passes.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/Passes.h"

void ftc::registerDialects(mlir::DialectRegistry &registry) {
  registry.insert<train::TrainDialect, plan::PlanDialect, mlir::arith::ArithDialect, mlir::math::MathDialect,
                  mlir::scf::SCFDialect, mlir::vector::VectorDialect, mlir::LLVM::LLVMDialect, mlir::gpu::GPUDialect,
                  mlir::NVVM::NVVMDialect>();
}

void ftc::registerPasses() {
  mlir::registerCanonicalizer();
  mlir::registerCSE();
  train::registerFtcTrainPasses();
  registerFtcTrainToPlanPasses();
  plan::registerFtcPlanPasses();
  registerFtcCpuPasses();
  registerFtcCudaPasses();
  registerFtcPlanToLLVMPasses();
}
