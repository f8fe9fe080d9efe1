// RUN: ftc-opt %s -cuda-plan-scratch=device=%source/test/Target/CUDA/Inputs/small_l2.yaml -cuda-lower-kernels=device=%source/test/Target/CUDA/Inputs/small_l2.yaml | FileCheck %s
// RUN: ftc-opt %s -cuda-plan-scratch -cuda-lower-kernels | FileCheck %s --check-prefix=WHOLE --implicit-check-not=step.driver_events

// A weight in four bits is decoded in slabs of columns of a quarter of the L2 cache, here 16 KiB: four of 64 columns, the
// last one with 8. Behind the workspace of 1 MiB there is room for two. A slab is decoded on stream 3 while the one before
// is multiplied on stream 0; the third and fourth wait until the first and second were multiplied.
// CHECK: module attributes {step.driver_events = 5 : i32}
// CHECK: plan.alloc "scratch of rows" : memref<1081344xi8>
// CHECK-LABEL: llvm.func internal @rows(
// CHECK-COUNT-22: llvm.call %{{.*}} :
// CHECK-NOT: llvm.call

// A slab of a transposed weight is a run of codes; one of another a run in each row.
// CHECK: gpu.func @decode_8192_nf4_bitsandbytes_bf16(
// CHECK-SAME: known_grid_size = array<i32: 4, 1, 1>
// CHECK: gpu.func @decode_1024_nf4_bitsandbytes_bf16(
// CHECK: gpu.func @decode_128x64_of_200_nf4_bitsandbytes_bf16(
// CHECK: gpu.func @decode_128x8_of_200_nf4_bitsandbytes_bf16(
// CHECK-LABEL: llvm.func internal @panels(
// CHECK-COUNT-22: llvm.call %{{.*}} :
// CHECK-NOT: llvm.call

// Where the cache has room, it is one slab, on the stream of products.
// WHOLE: plan.alloc "scratch of rows" : memref<67160064xi8>
// WHOLE-LABEL: llvm.func internal @rows(
// WHOLE-COUNT-2: llvm.call
// WHOLE: llvm.return
// WHOLE: gpu.func @decode_25600_nf4_bitsandbytes_bf16(
plan.kernel @rows {
^bb0(%a: memref<4x128xbf16>, %w: memref<12800xi8>, %x: memref<400xi8>, %n: memref<2xf32>, %o: memref<1xf32>, %c: memref<4x200xf32>):
  plan.matmul %a, %w, %c decode_b <bitsandbytes, bf16> scales(%x, %n, %o : memref<400xi8>, memref<2xf32>, memref<1xf32>)
    transpose_b : memref<4x128xbf16>, memref<12800xi8>, memref<4x200xf32> read_a {
    ^bb0(%e: bf16):
      %f = arith.extf %e : bf16 to f32
      plan.yield %f : f32
    } read_b {} store_c {}
}
plan.kernel @panels {
^bb0(%a: memref<4x128xbf16>, %w: memref<12800xi8>, %x: memref<400xi8>, %n: memref<2xf32>, %o: memref<1xf32>, %c: memref<4x200xf32>):
  plan.matmul %a, %w, %c decode_b <bitsandbytes, bf16> scales(%x, %n, %o : memref<400xi8>, memref<2xf32>, memref<1xf32>)
    : memref<4x128xbf16>, memref<12800xi8>, memref<4x200xf32> read_a {
    ^bb0(%e: bf16):
      %f = arith.extf %e : bf16 to f32
      plan.yield %f : f32
    } read_b {} store_c {}
}
plan.entry @step kind(step) batch 1 sequence 4 flops 0.0 {
  %a = plan.input "a" : memref<4x128xbf16>
  %w = plan.input "w" : memref<12800xi8>
  %x = plan.input "x" : memref<400xi8>
  %n = plan.input "n" : memref<2xf32>
  %o = plan.input "o" : memref<1xf32>
  %c = plan.alloc "c" : memref<4x200xf32>
  plan.launch @rows(%a, %w, %x, %n, %o, %c) "rows" : memref<4x128xbf16>, memref<12800xi8>, memref<400xi8>, memref<2xf32>, memref<1xf32>, memref<4x200xf32>
  plan.output "c", %c : memref<4x200xf32>
}
