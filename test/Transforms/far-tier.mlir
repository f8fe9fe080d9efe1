// RUN: ftc-opt %s -plan-assign-offsets -plan-verify | FileCheck %s
// RUN: ftc-opt %s -plan-assign-offsets -plan-verify --remarks-filter=memory --remark-format=emitRemark -o /dev/null 2>&1 \
// RUN:   | FileCheck %s --check-prefix=REMARK

// Far buffers have a slab of their own, variables first, each from a page of the file on.
// CHECK: plan.slab @near bytes 768 alignment 64
// CHECK: plan.slab @far far bytes 16384 alignment 4096
// CHECK: plan.variable @m : memref<1025xf32> state init #train.zeros far at @far[0]
// REMARK-DAG: [Passed] slab | Category:memory | Remark="placed all buffers", bytes=768, persistent_bytes=0, transient_bytes=768
// REMARK-DAG: [Passed] far slab | Category:memory | Remark="placed all buffers of the far tier", bytes=16384, persistent_bytes=8192, transient_bytes=8192
plan.variable @m : memref<1025xf32> state init #train.zeros far

plan.kernel @copy_16x4 {
^bb0(%a: memref<16x4xf32>, %b: memref<16x4xf32>):
  plan.rows 16 per_task 16 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<16x4xf32> -> tensor<4xf32>
    plan.store %0, %b[%r] : tensor<4xf32>, memref<16x4xf32>
  }
}

// %x is copied away while %y and %z are made, so these meet it; %w comes after the wait, and takes its place. %back is
// the target of a copy from where that begins. The two far buffers are needed at once.
// CHECK-LABEL: plan.entry @step
// CHECK-SAME: plan.far_transient_bytes = 8192
// CHECK-SAME: plan.transient_bytes = 768
// CHECK: %[[X:.*]] = plan.input "x" : memref<16x4xf32> at @near[[PLACE:\[[0-9]+\]]]
// CHECK: %[[F:.*]] = plan.view @far[{{8192|12288}}] "f"
// CHECK: plan.copy_out %[[X]] to %[[F]]
// CHECK: plan.view @near[[PLACE]] "w"
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %x = plan.input "x" : memref<16x4xf32>
  %f = plan.alloc far "f" : memref<16x4xf32>
  %g = plan.alloc far "g" : memref<16x4xf32>
  %e = plan.copy_out %x to %f : memref<16x4xf32>
  %y = plan.alloc "y" : memref<16x4xf32>
  %z = plan.alloc "z" : memref<16x4xf32>
  plan.launch @copy_16x4(%x, %y) "y" : memref<16x4xf32>, memref<16x4xf32>
  plan.launch @copy_16x4(%y, %z) "z" : memref<16x4xf32>, memref<16x4xf32>
  plan.wait %e
  %w = plan.alloc "w" : memref<16x4xf32>
  plan.launch @copy_16x4(%z, %w) "w" : memref<16x4xf32>, memref<16x4xf32>
  %h = plan.copy_out %w to %g : memref<16x4xf32>
  %back = plan.alloc "back" : memref<16x4xf32>
  %i = plan.copy_in %f to %back : memref<16x4xf32>
  plan.wait %h
  plan.wait %i
  // Waiting twice costs nothing.
  plan.wait %i
  plan.launch @copy_16x4(%back, %w) "over" : memref<16x4xf32>, memref<16x4xf32>
  plan.output "w", %w : memref<16x4xf32>
}
