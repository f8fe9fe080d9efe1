// Products are not this pass's business: nothing changes, and a remark says so.
// RUN: ftc-opt %s -cuda-lower-rows --remarks-filter=cuda-lower-rows --remark-format=emitRemark 2>%t.remarks | FileCheck %s --implicit-check-not=gpu.
// RUN: FileCheck %s --check-prefix=REMARK < %t.remarks

// CHECK: plan.kernel @product
// CHECK: plan.matmul
// REMARK: product stays: its work is not plan.rows
plan.kernel @product {
^bb0(%a: memref<4x8xf32>, %b: memref<8x6xf32>, %c: memref<4x6xf32>):
  plan.matmul %a, %b, %c : memref<4x8xf32>, memref<8x6xf32>, memref<4x6xf32> read_a {} read_b {} store_c {}
}
