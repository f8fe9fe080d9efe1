// RUN: ftc-opt %s -cuda-plan-scratch -plan-assign-offsets=alignment=256 -cuda-lower-kernels -convert-plan-to-llvm=device | FileCheck %s

// An entry of a step for a GPU: it asks for the table of the device and calls nothing else.
// CHECK-LABEL: llvm.func internal @step.entry(
// CHECK-SAME: %[[SERVICES:.*]]: !llvm.ptr, %[[SLABS:.*]]: !llvm.ptr, %[[SCALARS:.*]]: !llvm.ptr) -> i32
// CHECK: %[[PLACE:.*]] = llvm.getelementptr %[[SERVICES]][0, 9]
// CHECK: %[[DEVICE:.*]] = llvm.load %[[PLACE]] : !llvm.ptr -> !llvm.ptr
// CHECK: llvm.icmp "ne" %[[DEVICE]]
// CHECK: llvm.getelementptr %[[DEVICE]][0, 0]
// CHECK: llvm.mlir.constant(80 : i32)

// Scalars are read when the copy runs: the table gets their address.
// CHECK: %[[RATE:.*]] = llvm.getelementptr %[[SCALARS]][0, 0]
// CHECK: llvm.getelementptr %[[DEVICE]][0, 5]
// CHECK: llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %{{.*}}, %[[RATE]], %{{.*}})

// A launch that fails ends the entry. A copy out starts behind event 0 and ends with event 1, for which the entry waits
// before it ends.
// CHECK: %[[CODE:.*]] = llvm.call @step.run(%[[DEVICE]], %[[SLABS]], %{{.*}}, %{{.*}})
// CHECK: llvm.icmp "eq" %[[CODE]]
// CHECK: llvm.getelementptr %[[DEVICE]][0, 8]
// CHECK: llvm.getelementptr %[[DEVICE]][0, 9]
// CHECK: llvm.getelementptr %[[DEVICE]][0, 6]
// CHECK: llvm.getelementptr %[[DEVICE]][0, 8]
// CHECK: llvm.getelementptr %[[DEVICE]][0, 9]
// CHECK: llvm.mlir.constant(0 : i32)
// CHECK: llvm.return

// CHECK: llvm.func internal @step.run(
// CHECK: %[[ONE:.*]] = llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %{{.*}}) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, !llvm.ptr) -> i32
// CHECK: llvm.br ^{{.*}}(%[[ONE]],
// CHECK: llvm.mlir.global external constant @ftrt_step_v1
// CHECK: llvm.mlir.addressof @step.kernels
// CHECK: llvm.mlir.constant(7 : i32)
// CHECK: llvm.mlir.constant(112 : i32)
// CHECK: llvm.mlir.constant(2 : i64)
plan.kernel @k {
^bb0(%rate: memref<f32>, %x: memref<4xf32>):
  plan.rows 1 per_task 1 parallel {
  ^bb0(%r: index):
    %0 = plan.load %rate[] : memref<f32> -> f32
    %1 = plan.broadcast %0 : f32 -> tensor<4xf32>
    plan.store %1, %x[] : tensor<4xf32>, memref<4xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 1 flops 0.0 {
  %rate = plan.input "learning_rate" : memref<f32>
  %x = plan.alloc "x" : memref<4xf32>
  %f = plan.alloc far "x" : memref<4xf32>
  plan.launch @k(%rate, %x) "k" : memref<f32>, memref<4xf32>
  %e = plan.copy_out %x to %f : memref<4xf32>
  plan.wait %e
}
