// RUN: ftc-opt %s -cuda-plan-scratch -cuda-lower-kernels | FileCheck %s
// RUN: ftc-opt %s -cuda-plan-scratch=device=a100 | FileCheck %s --check-prefix=SCRATCH
// RUN: ftc-opt %s -cuda-plan-scratch -cuda-lower-kernels --remarks-filter=cuda-lower-kernels --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// What the library computes: bf16 with sums in fp32, and a sum that is added to what lies in c. The workspace is the device's.
// SCRATCH-LABEL: plan.kernel @bf16
// SCRATCH: scratch(%{{.*}} : memref<4194304xi8>)
// REMARK: bf16 is a product of the library
// REMARK: onto is a product of the library

// A driver queues product number 0 of the table: m, n, k, pitches, types, transposes, an addend, bytes of workspace.
// CHECK-LABEL: llvm.func internal @bf16(
// CHECK-SAME: %[[DEVICE:.*]]: !llvm.ptr, %[[A:.*]]: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr) -> i32
// CHECK-DAG: llvm.ptrtoint %[[A]]
// CHECK: %[[CODE:.*]] = llvm.call %{{.*}}(%{{.*}}) : !llvm.ptr, (!llvm.ptr, i32, i32, i64, i64, i64, i64, i64) -> i32
// CHECK: %[[GOOD:.*]] = llvm.icmp "eq" %[[CODE]]
// CHECK: llvm.cond_br %[[GOOD]], ^{{.*}}, ^{{.*}}(%[[CODE]] : i32)
plan.kernel @bf16 {
^bb0(%a: memref<70x40xbf16>, %b: memref<90x40xbf16>, %c: memref<70x90xbf16>):
  plan.matmul %a, %b, %c transpose_b : memref<70x40xbf16>, memref<90x40xbf16>, memref<70x90xbf16>
    read_a {
    ^bb0(%e: bf16):
      %f = arith.extf %e : bf16 to f32
      plan.yield %f : f32
    } read_b {
    ^bb0(%e: bf16):
      %f = arith.extf %e : bf16 to f32
      plan.yield %f : f32
    } store_c {
    ^bb0(%s: f32):
      %r = arith.truncf %s : f32 to bf16
      plan.yield %r : bf16
    }
}
plan.kernel @onto {
^bb0(%a: memref<40x70xf32>, %b: memref<40x90xf32>, %c: memref<70x90xf32>):
  plan.matmul %a, %b, %c extras(%c : memref<70x90xf32>) transpose_a
    : memref<40x70xf32>, memref<40x90xf32>, memref<70x90xf32> read_a {} read_b {} store_c {
    ^bb0(%s: f32, %e: f32):
      %r = arith.addf %e, %s : f32
      plan.yield %r : f32
    }
}

// What it does not: a block of 256 threads computes 64 x 64 numbers, from two tiles of 17408 bytes.
// REMARK: mixed is a generated product: the library has no product of these types
// REMARK: scaled is a generated product: it computes while it stores
// SCRATCH-LABEL: plan.kernel @mixed
// SCRATCH-NOT: scratch(
plan.kernel @mixed {
^bb0(%a: memref<70x40xbf16>, %b: memref<40x90xf32>, %c: memref<70x90xf32>):
  plan.matmul %a, %b, %c : memref<70x40xbf16>, memref<40x90xf32>, memref<70x90xf32> read_a {
    ^bb0(%e: bf16):
      %f = arith.extf %e : bf16 to f32
      plan.yield %f : f32
    } read_b {} store_c {}
}
plan.kernel @scaled {
^bb0(%a: memref<70x40xf32>, %b: memref<40x90xf32>, %c: memref<70x90xf32>):
  %half = arith.constant 0.5 : f32
  plan.matmul %a, %b, %c : memref<70x40xf32>, memref<40x90xf32>, memref<70x90xf32> read_a {} read_b {} store_c {
    ^bb0(%s: f32):
      %r = arith.mulf %s, %half : f32
      plan.yield %r : f32
    }
}

// CHECK: gpu.module @kernels
// CHECK: llvm.mlir.global external @shared() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<0 x i8>
// CHECK: gpu.func @mixed(
// CHECK-SAME: known_block_size = array<i32: 256, 1, 1>, known_grid_size = array<i32: 4, 1, 1>, nvvm.minctasm = 2 : i32, plan.shared_bytes = 34816 : i32
// CHECK: gpu.barrier
// CHECK: arith.extf
// CHECK: gpu.barrier
// CHECK: llvm.load {{.*}} {alignment = 16 : i64} : !llvm.ptr<3> -> vector<4xf32>
// CHECK-COUNT-64: math.fma
// CHECK-NOT: math.fma
// CHECK: gpu.func @scaled(
// CHECK: arith.mulf {{.*}} : f32
// CHECK-LABEL: llvm.mlir.global internal constant @step.kernels
// CHECK-SAME: !llvm.array<2 x struct<(ptr, ptr, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, ptr)>>
// CHECK-LABEL: llvm.mlir.global internal constant @step.products
// CHECK-SAME: !llvm.array<2 x struct<(i64, i64, i64, i64, i64, i64, i32, i32, i32, i32, i32, i32, i64)>>
// CHECK: llvm.mlir.constant(70 : i64)
// CHECK: llvm.mlir.constant(90 : i64)
// CHECK: llvm.mlir.constant(40 : i64)
// CHECK: llvm.mlir.constant(67108864 : i64)
