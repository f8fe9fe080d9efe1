// RUN: ftc-opt %s -cuda-plan-scratch -cuda-lower-kernels | FileCheck %s
// RUN: ftc-opt %s -cuda-plan-scratch -cuda-lower-kernels -cuda-lower-to-nvvm -cuda-emit-ptx | %python %source/test/support/ptx.py | FileCheck %s --check-prefix=PTX

// A weight in four bits is decoded behind the workspace (64 MiB), then multiplied: 8 elements a thread, a word of codes, one
// store of 16 bytes. Both products share the function.
// CHECK: llvm.func internal @product(
// CHECK: llvm.mlir.constant(67108864 : i64)
// CHECK-COUNT-2: llvm.call
// CHECK: gpu.module @kernels
// CHECK-DAG: llvm.mlir.global internal constant @ftc.nf4.torchao.bf16
// CHECK-DAG: llvm.mlir.global internal constant @ftc.states.torchao_8bit.signed.values
// CHECK: gpu.func @decode_16384_nf4_torchao_bf16(
// CHECK-SAME: known_block_size = array<i32: 256, 1, 1>, known_grid_size = array<i32: 8, 1, 1>
// CHECK: llvm.load {{.*}} -> i32
// CHECK: llvm.store {{.*}} {alignment = 16 : i64} : vector<8xbf16>, !llvm.ptr
// PTX: .entry decode_16384_nf4_torchao_bf16(
// PTX: st.global.v4.b32
plan.kernel @product {
^bb0(%a: memref<4x128xbf16>, %w: memref<8192xi8>, %x: memref<256xi8>, %n: memref<1xf32>, %o: memref<1xf32>, %c: memref<4x128xf32>):
  plan.matmul %a, %w, %c decode_b <torchao, bf16> scales(%x, %n, %o : memref<256xi8>, memref<1xf32>, memref<1xf32>)
    transpose_b : memref<4x128xbf16>, memref<8192xi8>, memref<4x128xf32> read_a {
    ^bb0(%e: bf16):
      %f = arith.extf %e : bf16 to f32
      plan.yield %f : f32
    } read_b {} store_c {}
}
plan.kernel @back {
^bb0(%a: memref<4x128xbf16>, %w: memref<8192xi8>, %x: memref<256xi8>, %n: memref<1xf32>, %o: memref<1xf32>, %c: memref<4x128xf32>):
  plan.matmul %a, %w, %c decode_b <torchao, bf16> scales(%x, %n, %o : memref<256xi8>, memref<1xf32>, memref<1xf32>)
    : memref<4x128xbf16>, memref<8192xi8>, memref<4x128xf32> read_a {
    ^bb0(%e: bf16):
      %f = arith.extf %e : bf16 to f32
      plan.yield %f : f32
    } read_b {} store_c {}
}

// Codes of eight bits in rows: numbers come from a table.
// CHECK-NOT: gpu.func @decode
// CHECK: gpu.func @states(
// CHECK: llvm.intr.masked.gather
// PTX: .entry states(
// PTX: ld.global
plan.kernel @states {
^bb0(%c: memref<4x256xi8>, %x: memref<4x256xf32>):
  plan.rows 4 per_task 4 parallel {
  ^bb0(%r: index):
    %0 = plan.load %c[%r] : memref<4x256xi8> -> tensor<256xi8>
    %1 = plan.decode %0 with <format = torchao_8bit, isSigned = true> : tensor<256xi8> -> tensor<256xf32>
    plan.store %1, %x[%r] : tensor<256xf32>, memref<4x256xf32>
  }
}
