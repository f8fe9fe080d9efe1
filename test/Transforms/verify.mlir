// RUN: ftc-opt %s -plan-verify | FileCheck %s
// RUN: ftc-opt %s -plan-verify --remarks-filter=memory --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK: no live buffers overlap and nothing else allocates
// REMARK-SAME: launches=4

// What holds is left as it is.
// CHECK: plan.slab @near bytes 1024 alignment 64
plan.slab @near bytes 1024 alignment 64
plan.variable @w : memref<16x4xf32> parameter init #train.ones trainable at @near[0]

plan.kernel @copy {
^bb0(%a: memref<16x4xf32>, %b: memref<16x4xf32>):
  plan.rows 16 per_task 16 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<16x4xf32> -> tensor<4xf32>
    plan.store %0, %b[%r] : tensor<4xf32>, memref<16x4xf32>
  }
}

plan.kernel @add_product {
^bb0(%a: memref<16x4xf32>, %b: memref<4x4xf32>, %c: memref<16x4xf32>, %d: memref<16x4xf32>):
  plan.matmul %a, %b, %d extras(%c : memref<16x4xf32>) : memref<16x4xf32>, memref<4x4xf32>, memref<16x4xf32>
    read_a {} read_b {} store_c {
    ^bb0(%s: f32, %e: f32):
      %0 = arith.addf %s, %e : f32
      plan.yield %0 : f32
    }
}

// CHECK: plan.entry @step
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %x = plan.input "x" : memref<64xf32> at @near[256]
  %w = plan.get @w : memref<16x4xf32>
  %k = plan.input "k" : memref<4x4xf32> at @near[768]
  // @near[256] is free once x is read.
  %y = plan.view @near[512] "y" : memref<16x4xf32>
  %z = plan.view @near[256] "z" : memref<16x4xf32>
  // The kernel sees x in another shape.
  // CHECK: plan.launch @copy
  plan.launch @copy(%x, %y) "copy" : memref<64xf32>, memref<16x4xf32>
  // In place, row by row.
  plan.launch @copy(%y, %y) "in place" : memref<16x4xf32>, memref<16x4xf32>
  plan.launch @copy(%y, %z) "copy" : memref<16x4xf32>, memref<16x4xf32>
  // c is read where it is written.
  plan.launch @add_product(%y, %k, %z, %z) "product" : memref<16x4xf32>, memref<4x4xf32>, memref<16x4xf32>, memref<16x4xf32>
  plan.output "z", %z : memref<16x4xf32>
}
