//===- RowKernels.cpp - The row kernels that are timed -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels as `ftc compile --emit=plan` writes them for a 135M Llama, with more rows, so that no cache holds their
// buffers.
//
//===----------------------------------------------------------------------===//

#include "RowKernels.h"

using namespace ftc::bench;

static const char swiglu[] = R"(plan.kernel @swiglu {
^bb0(%arg0: memref<8192x1536xf32>, %arg1: memref<8192x1536xf32>, %arg2: memref<8192x1536xf32>):
  plan.rows 8192 per_task 3  parallel {
  ^bb0(%arg3: index):
    %0 = plan.load %arg0[%arg3] : memref<8192x1536xf32> -> tensor<1536xf32>
    %cst = arith.constant 1.000000e+00 : f32
    %1 = arith.negf %0 : tensor<1536xf32>
    %2 = math.exp %1 : tensor<1536xf32>
    %3 = plan.broadcast %cst : f32 -> tensor<1536xf32>
    %4 = arith.addf %3, %2 : tensor<1536xf32>
    %5 = arith.divf %0, %4 : tensor<1536xf32>
    %6 = plan.load %arg1[%arg3] : memref<8192x1536xf32> -> tensor<1536xf32>
    %7 = arith.mulf %5, %6 : tensor<1536xf32>
    plan.store %7, %arg2[%arg3] : tensor<1536xf32>, memref<8192x1536xf32>
  }
})";

static const char swigluGrad[] = R"(plan.kernel @swiglu_grad {
^bb0(%arg0: memref<8192x1536xf32>, %arg1: memref<8192x1536xf32>, %arg2: memref<8192x1536xf32>):
  plan.rows 8192 per_task 3  parallel {
  ^bb0(%arg3: index):
    %0 = plan.load %arg0[%arg3] : memref<8192x1536xf32> -> tensor<1536xf32>
    %1 = plan.load %arg1[%arg3] : memref<8192x1536xf32> -> tensor<1536xf32>
    %2 = plan.load %arg2[%arg3] : memref<8192x1536xf32> -> tensor<1536xf32>
    %cst = arith.constant 1.000000e+00 : f32
    %cst_0 = arith.constant 1.000000e+00 : f32
    %3 = arith.negf %0 : tensor<1536xf32>
    %4 = math.exp %3 : tensor<1536xf32>
    %5 = plan.broadcast %cst_0 : f32 -> tensor<1536xf32>
    %6 = arith.addf %5, %4 : tensor<1536xf32>
    %7 = plan.broadcast %cst_0 : f32 -> tensor<1536xf32>
    %8 = arith.divf %7, %6 : tensor<1536xf32>
    %9 = plan.broadcast %cst : f32 -> tensor<1536xf32>
    %10 = arith.subf %9, %8 : tensor<1536xf32>
    %11 = plan.broadcast %cst : f32 -> tensor<1536xf32>
    %12 = math.fma %0, %10, %11 : tensor<1536xf32>
    %13 = arith.mulf %8, %12 : tensor<1536xf32>
    %14 = arith.mulf %2, %1 : tensor<1536xf32>
    %15 = arith.mulf %14, %13 : tensor<1536xf32>
    %16 = arith.mulf %2, %0 : tensor<1536xf32>
    %17 = arith.mulf %16, %8 : tensor<1536xf32>
    plan.store %15, %arg0[%arg3] : tensor<1536xf32>, memref<8192x1536xf32>
    plan.store %17, %arg1[%arg3] : tensor<1536xf32>, memref<8192x1536xf32>
  }
})";

static const char rmsNorm[] = R"(plan.kernel @rms_norm {
^bb0(%arg0: memref<16384x576xf32>, %arg1: memref<16384x576xf32>, %arg2: memref<576xf32>):
  plan.rows 16384 per_task 9  parallel {
  ^bb0(%arg3: index):
    %0 = plan.load %arg0[%arg3] : memref<16384x576xf32> -> tensor<576xf32>
    %1 = plan.load %arg1[%arg3] : memref<16384x576xf32> -> tensor<576xf32>
    %2 = arith.addf %0, %1 : tensor<576xf32>
    %3 = plan.load %arg2[] : memref<576xf32> -> tensor<576xf32>
    %4 = arith.mulf %2, %2 : tensor<576xf32>
    %5 = plan.reduce  add %4 : tensor<576xf32> -> f32
    %cst = arith.constant 5.760000e+02 : f32
    %6 = arith.divf %5, %cst : f32
    %cst_0 = arith.constant 9.99999974E-6 : f32
    %7 = arith.addf %6, %cst_0 : f32
    %8 = math.sqrt %7 : f32
    %cst_1 = arith.constant 1.000000e+00 : f32
    %9 = arith.divf %cst_1, %8 : f32
    %10 = plan.broadcast %9 : f32 -> tensor<576xf32>
    %11 = arith.mulf %2, %10 : tensor<576xf32>
    %12 = arith.mulf %11, %3 : tensor<576xf32>
    plan.store %2, %arg0[%arg3] : tensor<576xf32>, memref<16384x576xf32>
    plan.store %12, %arg1[%arg3] : tensor<576xf32>, memref<16384x576xf32>
  }
})";

static const char rmsNormGrad[] = R"(plan.kernel @rms_norm_grad {
^bb0(%arg0: memref<16384x576xf32>, %arg1: memref<576xf32>, %arg2: memref<16384x576xf32>, %arg3: memref<512x576xf32>):
  plan.rows 16384 per_task 32  parallel {
  ^bb0(%arg4: index):
    %0 = plan.load %arg0[%arg4] : memref<16384x576xf32> -> tensor<576xf32>
    %1 = plan.load %arg1[] : memref<576xf32> -> tensor<576xf32>
    %2 = plan.load %arg2[%arg4] : memref<16384x576xf32> -> tensor<576xf32>
    %cst = arith.constant 5.760000e+02 : f32
    %3 = arith.mulf %2, %1 : tensor<576xf32>
    %4 = arith.mulf %0, %0 : tensor<576xf32>
    %5 = plan.reduce  add %4 : tensor<576xf32> -> f32
    %6 = arith.divf %5, %cst : f32
    %7 = arith.mulf %3, %0 : tensor<576xf32>
    %8 = plan.reduce  add %7 : tensor<576xf32> -> f32
    %9 = arith.divf %8, %cst : f32
    %cst_0 = arith.constant 9.99999974E-6 : f32
    %10 = arith.addf %6, %cst_0 : f32
    %11 = math.sqrt %10 : f32
    %cst_1 = arith.constant 1.000000e+00 : f32
    %12 = arith.divf %cst_1, %11 : f32
    %13 = arith.mulf %12, %12 : f32
    %14 = arith.mulf %13, %12 : f32
    %15 = arith.mulf %14, %9 : f32
    %16 = plan.broadcast %12 : f32 -> tensor<576xf32>
    %17 = arith.mulf %16, %3 : tensor<576xf32>
    %18 = plan.broadcast %15 : f32 -> tensor<576xf32>
    %19 = arith.mulf %0, %18 : tensor<576xf32>
    %20 = arith.subf %17, %19 : tensor<576xf32>
    %21 = arith.mulf %2, %0 : tensor<576xf32>
    %22 = plan.broadcast %12 : f32 -> tensor<576xf32>
    %23 = arith.mulf %21, %22 : tensor<576xf32>
    plan.accumulate %23, %arg3 : tensor<576xf32>, memref<512x576xf32>
    plan.store %20, %arg0[%arg4] : tensor<576xf32>, memref<16384x576xf32>
  }
})";

static const char adamw[] = R"(plan.kernel @adamw {
^bb0(%arg0: memref<3xf32>, %arg1: memref<8192x1536xf32>, %arg2: memref<f32>, %arg3: memref<8192x1536xf32>, %arg4: memref<8192x1536xf32>, %arg5: memref<8192x1536xf32>):
  plan.rows 8192 per_task 3  parallel {
  ^bb0(%arg6: index):
    %c0 = arith.constant 0 : index
    %0 = plan.load %arg0[%c0] : memref<3xf32> -> f32
    %c1 = arith.constant 1 : index
    %1 = plan.load %arg0[%c1] : memref<3xf32> -> f32
    %c2 = arith.constant 2 : index
    %2 = plan.load %arg0[%c2] : memref<3xf32> -> f32
    %3 = plan.load %arg1[%arg6] : memref<8192x1536xf32> -> tensor<1536xf32>
    %4 = plan.load %arg2[] : memref<f32> -> f32
    %5 = plan.load %arg3[%arg6] : memref<8192x1536xf32> -> tensor<1536xf32>
    %6 = plan.broadcast %4 : f32 -> tensor<1536xf32>
    %7 = arith.mulf %6, %5 : tensor<1536xf32>
    %8 = plan.load %arg4[%arg6] : memref<8192x1536xf32> -> tensor<1536xf32>
    %9 = plan.load %arg5[%arg6] : memref<8192x1536xf32> -> tensor<1536xf32>
    %cst = arith.constant 1.000000e-01 : f32
    %10 = arith.subf %7, %8 : tensor<1536xf32>
    %11 = plan.broadcast %cst : f32 -> tensor<1536xf32>
    %12 = math.fma %11, %10, %8 : tensor<1536xf32>
    %cst_0 = arith.constant 9.990000e-01 : f32
    %cst_1 = arith.constant 1.000000e-03 : f32
    %13 = arith.mulf %7, %7 : tensor<1536xf32>
    %14 = plan.broadcast %cst_1 : f32 -> tensor<1536xf32>
    %15 = arith.mulf %14, %13 : tensor<1536xf32>
    %16 = plan.broadcast %cst_0 : f32 -> tensor<1536xf32>
    %17 = math.fma %16, %9, %15 : tensor<1536xf32>
    %18 = math.sqrt %17 : tensor<1536xf32>
    %cst_2 = arith.constant 9.99999993E-9 : f32
    %19 = plan.broadcast %2 : f32 -> tensor<1536xf32>
    %20 = plan.broadcast %cst_2 : f32 -> tensor<1536xf32>
    %21 = math.fma %18, %19, %20 : tensor<1536xf32>
    %22 = plan.broadcast %0 : f32 -> tensor<1536xf32>
    %23 = arith.mulf %3, %22 : tensor<1536xf32>
    %24 = arith.divf %12, %21 : tensor<1536xf32>
    %25 = plan.broadcast %1 : f32 -> tensor<1536xf32>
    %26 = arith.mulf %25, %24 : tensor<1536xf32>
    %27 = arith.subf %23, %26 : tensor<1536xf32>
    plan.store %27, %arg1[%arg6] : tensor<1536xf32>, memref<8192x1536xf32>
    plan.store %12, %arg4[%arg6] : tensor<1536xf32>, memref<8192x1536xf32>
    plan.store %17, %arg5[%arg6] : tensor<1536xf32>, memref<8192x1536xf32>
  }
})";

std::vector<RowKernel> ftc::bench::rowKernels() {
  const std::string wide = "memref<8192x1536xf32>", narrow = "memref<16384x576xf32>", scalar = "memref<f32>";
  constexpr int64_t wideCount = 8192 * 1536, narrowCount = 16384 * 576;
  return {
      {"AdamW",
       {"adamw", {"memref<3xf32>", wide, scalar, wide, wide, wide}, adamw},
       wideCount,
       {1, 3, 4, 5},
       {1, 4, 5}},
      {"RMSNorm with add", {"rms_norm", {narrow, narrow, "memref<576xf32>"}, rmsNorm}, narrowCount, {0, 1}, {0, 1}},
      {"RMSNorm backward",
       {"rms_norm_grad", {narrow, "memref<576xf32>", narrow, "memref<512x576xf32>"}, rmsNormGrad},
       narrowCount,
       {0, 2},
       {0}},
      {"SwiGLU", {"swiglu", {wide, wide, wide}, swiglu}, wideCount, {0, 1}, {2}},
      {"SwiGLU backward", {"swiglu_grad", {wide, wide, wide}, swigluGrad}, wideCount, {0, 1, 2}, {0, 1}},
  };
}
