// RUN: ftc-opt %s -convert-plan-to-llvm | FileCheck %s

// A copy is a call of the host's far_write or far_read with the number of the slab, the place in it, the near address and
// the bytes. A wait hands back the number that the copy got; where it tells of a failure, the entry ends with
// FTRT_FAR_FAILED.
// CHECK: llvm.func internal @step.entry(%[[SERVICES:.*]]: !llvm.ptr, %[[SLABS:.*]]: !llvm.ptr, %{{.*}}: !llvm.ptr) -> i32
// CHECK: llvm.getelementptr %[[SERVICES]][0, 7]
// CHECK: %[[READ:.*]] = llvm.load {{.*}} -> !llvm.ptr
// CHECK: llvm.getelementptr %[[SERVICES]][0, 2]
// CHECK: %[[CONTEXT:.*]] = llvm.load {{.*}} -> !llvm.ptr
// CHECK: %[[SLAB:.*]] = llvm.mlir.constant(1 : i32)
// CHECK: %[[OFFSET:.*]] = llvm.mlir.constant(4160 : i64)
// CHECK: %[[BYTES:.*]] = llvm.mlir.constant(64 : i64)
// CHECK: %[[COPY:.*]] = llvm.call %[[READ]](%[[CONTEXT]], %[[SLAB]], %[[OFFSET]], %{{.*}}, %[[BYTES]]) : !llvm.ptr, (!llvm.ptr, i32, i64, !llvm.ptr, i64) -> i64
// CHECK: llvm.getelementptr %[[SERVICES]][0, 8]
// CHECK: %[[WAIT:.*]] = llvm.load {{.*}} -> !llvm.ptr
// CHECK: %[[CODE:.*]] = llvm.call %[[WAIT]](%{{.*}}, %[[COPY]]) : !llvm.ptr, (!llvm.ptr, i64) -> i32
// CHECK: llvm.icmp "eq" %[[CODE]]
// CHECK: llvm.cond_br %{{.*}}, ^[[ON:.*]], ^[[FAIL:[a-z0-9]+]]
// CHECK: ^[[FAIL]]:
// CHECK-NEXT: llvm.mlir.constant(3 : i32)
// CHECK-NEXT: llvm.return
// CHECK: ^[[ON]]:
// CHECK: llvm.getelementptr %[[SERVICES]][0, 6]
// CHECK: llvm.call {{.*}} -> i64
plan.slab @near bytes 256 alignment 64
plan.slab @far far bytes 8192 alignment 4096
plan.variable @m : memref<8x4xf32> state init #train.zeros far at @far[4096]
plan.entry @step kind(step) batch 1 sequence 1 flops 0.0 {
  %m = plan.get @m : memref<8x4xf32>
  %part = plan.slice %m[4] : memref<8x4xf32> to memref<4x4xf32>
  %x = plan.view @near[64] "x" : memref<4x4xf32>
  %e = plan.copy_in %part to %x : memref<4x4xf32>
  plan.wait %e
  %o = plan.copy_out %x to %part : memref<4x4xf32>
  plan.wait %o
}
