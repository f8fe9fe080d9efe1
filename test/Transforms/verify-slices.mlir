// RUN: ftc-opt %s -plan-assign-offsets -plan-verify | FileCheck %s

// Rows of one buffer at one launch: distinct parts, and one part twice where rows are read before they are written. The
// whole is written when all its parts are. A slice keeps its source alive: z takes the place of x, which is read before, and
// not that of y.
// CHECK: plan.slab @near bytes 512 alignment 64
plan.kernel @copy {
^bb0(%a: memref<8x4xf32>, %b: memref<8x4xf32>):
  plan.rows 8 per_task 8 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<8x4xf32> -> tensor<4xf32>
    plan.store %0, %b[%r] : tensor<4xf32>, memref<8x4xf32>
  }
}
plan.kernel @copy_all {
^bb0(%a: memref<16x4xf32>, %b: memref<16x4xf32>):
  plan.rows 16 per_task 8 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<16x4xf32> -> tensor<4xf32>
    plan.store %0, %b[%r] : tensor<4xf32>, memref<16x4xf32>
  }
}
// CHECK: plan.entry @step
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  // CHECK: %[[X:.*]] = plan.input "x" : memref<8x4xf32> at @near
  %x = plan.input "x" : memref<8x4xf32>
  // CHECK: %[[Y:.*]] = plan.view @near[{{.*}}] "y" : memref<16x4xf32>
  %y = plan.alloc "y" : memref<16x4xf32>
  // CHECK: %[[Z:.*]] = plan.view @near[{{.*}}] "z" : memref<16x4xf32>
  %z = plan.alloc "z" : memref<16x4xf32>
  // CHECK: plan.slice %[[Y]][8] : memref<16x4xf32> to memref<8x4xf32>
  %y1 = plan.slice %y[8] : memref<16x4xf32> to memref<8x4xf32>
  %y0 = plan.slice %y[0] : memref<16x4xf32> to memref<8x4xf32>
  plan.launch @copy(%x, %y1) "second half" : memref<8x4xf32>, memref<8x4xf32>
  plan.launch @copy(%y1, %y0) "first half" : memref<8x4xf32>, memref<8x4xf32>
  plan.launch @copy(%y0, %y0) "in place" : memref<8x4xf32>, memref<8x4xf32>
  plan.launch @copy_all(%y, %z) "both" : memref<16x4xf32>, memref<16x4xf32>
  %z0 = plan.slice %z[0] : memref<16x4xf32> to memref<8x4xf32>
  plan.launch @copy(%y1, %z0) "again" : memref<8x4xf32>, memref<8x4xf32>
  plan.output "z", %z : memref<16x4xf32>
}
