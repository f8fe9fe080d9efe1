// RUN: ftc-opt %s -cpu-lower-kernels="cpu=x86-64-v3" | FileCheck %s --check-prefixes=CHECK,V3
// RUN: ftc-opt %s -cpu-lower-kernels="cpu=znver5" | FileCheck %s --check-prefixes=CHECK,V4
// RUN: ftc-opt %s -cpu-lower-kernels="cpu=x86-64-v3" -convert-plan-to-llvm -cpu-lower-to-llvm | FileCheck %s --check-prefix=LLVM --implicit-check-not=llvm.intr.exp

// A normalization: one loop for the sum, one that loads the row again, exp left for the next pass.
// CHECK-NOT: plan.kernel
// CHECK: llvm.func internal @norm(
// CHECK: llvm.mlir.addressof @norm.task0
// CHECK: llvm.func internal @norm.task0(
// V3: %[[ZERO:.*]] = arith.constant dense<-0.000000e+00> : vector<8xf32>
// V3: scf.for {{.*}} iter_args({{.*}}, {{.*}}, {{.*}}, {{.*}}) -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>)
// V4: scf.for {{.*}} iter_args({{.*}}, {{.*}}) -> (vector<16xf32>, vector<16xf32>)
// CHECK-NOT: math.exp
// CHECK: math.rsqrt
// CHECK: scf.for
// V3: math.exp {{.*}} : vector<8xf32>
// V4: math.exp {{.*}} : vector<16xf32>
// LLVM: llvm.func internal @norm.task0(
// LLVM: llvm.intr.sqrt
// LLVM: llvm.intr.fma
// LLVM: llvm.mlir.global external constant @ftrt_step_v1()
plan.kernel @norm {
^bb0(%x: memref<8x96xf32>, %y: memref<8x96xf32>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x96xf32> -> tensor<96xf32>
    %1 = arith.mulf %0, %0 : tensor<96xf32>
    %s = plan.reduce add %1 : tensor<96xf32> -> f32
    %rs = math.rsqrt %s : f32
    %b = plan.broadcast %rs : f32 -> tensor<96xf32>
    %2 = arith.mulf %0, %b : tensor<96xf32>
    %e = math.exp %2 : tensor<96xf32>
    plan.store %e, %y[%r] : tensor<96xf32>, memref<8x96xf32>
  }
}
