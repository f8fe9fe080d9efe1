// RUN: ftc-opt %s -cuda-plan-scratch -cuda-lower-kernels | FileCheck %s
// RUN: ftc-opt %s -cuda-plan-scratch -cuda-lower-kernels | FileCheck %s --check-prefix=DRIVER
// RUN: ftc-opt %s -cuda-plan-scratch | FileCheck %s --check-prefix=SCRATCH

// 130 tokens are three tiles of 64: 2 rows x 4 heads x 3 blocks forward and for queries, 2 x 2 x 3 for keys and values. Of
// heads of 32 columns a tile takes 64 x 68 numbers. Scratch is a number for each token and head.
// SCRATCH-LABEL: plan.kernel @forward
// SCRATCH-NOT: scratch(
// SCRATCH-LABEL: plan.kernel @backward
// SCRATCH: plan.attention_grad {{.*}} scratch(%{{.*}} : memref<4160xi8>)

// CHECK: gpu.func @forward(
// CHECK-SAME: known_block_size = array<i32: 256, 1, 1>, known_grid_size = array<i32: 24, 1, 1>, nvvm.minctasm = 2 : i32, plan.shared_bytes = 52224 : i32
// CHECK-COUNT-5: gpu.shuffle xor
// CHECK: scf.for
// CHECK-COUNT-4: gpu.barrier
// CHECK-NOT: gpu.barrier
// CHECK: gpu.func @backward$delta(
// CHECK-SAME: known_block_size = array<i32: 128, 1, 1>, known_grid_size = array<i32: 260, 1, 1>}
// CHECK: gpu.func @backward$query(
// CHECK-SAME: known_grid_size = array<i32: 24, 1, 1>, nvvm.minctasm = 2 : i32, plan.shared_bytes = 87040 : i32
// CHECK-COUNT-3: gpu.barrier
// CHECK-NOT: gpu.barrier
// CHECK: gpu.func @backward$key_value(
// CHECK-SAME: known_grid_size = array<i32: 12, 1, 1>, nvvm.minctasm = 2 : i32, plan.shared_bytes = 87040 : i32
// CHECK-COUNT-5: gpu.barrier
// CHECK-NOT: gpu.barrier
// Drivers: one launch forward, three backward.
// DRIVER-LABEL: llvm.func internal @forward(
// DRIVER-COUNT-1: llvm.call
// DRIVER-NOT: llvm.call
// DRIVER-LABEL: llvm.func internal @backward(
// DRIVER-COUNT-3: llvm.call
// DRIVER-NOT: llvm.call
plan.kernel @forward {
^bb0(%q: memref<260x128xf32>, %k: memref<260x64xf32>, %v: memref<260x64xf32>, %s: memref<260xi32>,
     %o: memref<260x128xf32>, %lse: memref<260x4xf32>):
  plan.attention %q, %k, %v, %s, %o, %lse batch 2 heads 4 kv_heads 2 scale 2.5e-01
    : memref<260x128xf32>, memref<260x64xf32>, memref<260x64xf32>, memref<260xi32>, memref<260x128xf32>, memref<260x4xf32>
}
plan.kernel @backward {
^bb0(%q: memref<260x128xf32>, %k: memref<260x64xf32>, %v: memref<260x64xf32>, %s: memref<260xi32>,
     %o: memref<260x128xf32>, %lse: memref<260x4xf32>, %do: memref<260x128xf32>, %dq: memref<260x128xf32>,
     %dk: memref<260x64xf32>, %dv: memref<260x64xf32>):
  plan.attention_grad %q, %k, %v, %s, %o, %lse, %do, %dq, %dk, %dv batch 2 heads 4 kv_heads 2 scale 2.5e-01
    : memref<260x128xf32>, memref<260x64xf32>, memref<260x64xf32>, memref<260xi32>, memref<260x128xf32>, memref<260x4xf32>,
      memref<260x128xf32>, memref<260x128xf32>, memref<260x64xf32>, memref<260x64xf32>
}
