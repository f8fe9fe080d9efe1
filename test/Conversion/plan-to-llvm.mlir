// RUN: ftc-opt %s -cpu-lower-kernels="cpu=x86-64-v3" -convert-plan-to-llvm="threads=3" | FileCheck %s

// The entry checks its services, copies the scalar and runs its launches.
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
// CHECK: %[[FIRST:.*]] = llvm.mlir.constant(0 : i64)
// CHECK: %[[END:.*]] = llvm.mlir.constant(8 : i64)
// CHECK: llvm.call @step.run(%[[SERVICES]], %[[SLABS]], %[[FIRST]], %[[END]])
// CHECK-NOT: plan.

// Launches are data: here k twice, with the places of its two buffers, as pairs of slab and offset.
// CHECK: llvm.mlir.global internal constant @step.places(dense<[0, 128, 0, 0]> : tensor<4xi64>)
// CHECK: llvm.mlir.global internal constant @step.launches(dense<[0, 2, 0, 1, 0, 2, 0, 1]> : tensor<8xi32>)
// CHECK: llvm.mlir.global internal constant @step.drivers()
// CHECK-NEXT: llvm.mlir.undef : !llvm.array<1 x ptr>
// CHECK-NEXT: llvm.mlir.addressof @k
// CHECK: llvm.func internal @step.run(%[[HOST:.*]]: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64) -> i32
// CHECK: llvm.switch %{{.*}} : i32, ^{{.*}} [
// CHECK-NEXT: 2: ^
// CHECK: llvm.call %{{.*}}(%[[HOST]], %{{.*}}, %{{.*}}) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, !llvm.ptr) -> ()
// CHECK: llvm.mlir.global internal constant @entries
// CHECK: llvm.mlir.addressof @step.entry
// CHECK: llvm.mlir.global external constant @ftrt_step_v1()
plan.slab @near bytes 256 alignment 64
plan.variable @w : memref<4xf32> parameter init #train.ones trainable at @near[0]
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
  plan.launch @k(%s, %w) "k again" : memref<f32>, memref<4xf32>
}
