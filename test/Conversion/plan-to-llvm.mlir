// RUN: ftc-opt %s -cpu-lower-kernels="cpu=x86-64-v3" -convert-plan-to-llvm="threads=3" | FileCheck %s

// The entry checks its services, copies the scalar and calls the kernel at the planned places.
// CHECK: llvm.func internal @step.entry(%[[SERVICES:.*]]: !llvm.ptr, %[[SLABS:.*]]: !llvm.ptr, %[[SCALARS:.*]]: !llvm.ptr) -> i32
// CHECK: llvm.icmp "eq"
// CHECK: llvm.icmp "eq"
// CHECK: %[[THREADS:.*]] = llvm.mlir.constant(3 : i32) : i32
// CHECK: llvm.icmp "ult" %{{.*}}, %[[THREADS]]
// CHECK: %[[BASE:.*]] = llvm.load
// CHECK: %[[OFFSET:.*]] = llvm.mlir.constant(128 : i64)
// CHECK: llvm.getelementptr %[[BASE]][%[[OFFSET]]]
// CHECK: llvm.getelementptr %[[SCALARS]][0, 1]
// CHECK: llvm.store %{{.*}} : f32, !llvm.ptr
// CHECK: llvm.call @k(%[[SERVICES]],
// CHECK-NOT: plan.
// CHECK: llvm.mlir.global internal constant @entries
// CHECK: llvm.mlir.addressof @step.entry
// CHECK: llvm.mlir.global external constant @ftrt_step_v1()
plan.slab @near bytes 256 alignment 64
plan.variable @w : memref<4xf32> parameter init #train.ones at @near[0]
plan.kernel @k {
^bb0(%s: memref<f32>, %w: memref<4xf32>):
  plan.rows 1 per_task 1 parallel {
  ^bb0(%r: index):
    %0 = plan.load %s[] : memref<f32> -> f32
    %1 = plan.broadcast %0 : f32 -> tensor<4xf32>
    plan.store %1, %w[] : tensor<4xf32>, memref<4xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 1 flops 0.0 {
  %s = plan.input "inv_tokens" : memref<f32> at @near[128]
  %w = plan.get @w : memref<4xf32>
  plan.launch @k(%s, %w) "k" : memref<f32>, memref<4xf32>
}
