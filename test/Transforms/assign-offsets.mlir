// RUN: ftc-opt %s -split-input-file -plan-assign-offsets -plan-verify | FileCheck %s
// RUN: ftc-opt %s -split-input-file -plan-assign-offsets --remarks-filter=memory --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// Parameters, then states, then constants, whatever their order; then one region that the entries share. %x and %z never
// meet: they have one place.

// CHECK: plan.slab @near bytes 832 alignment 64
// CHECK: plan.variable @sin : memref<8xf32> constant init #train.zeros at @near[256]
// CHECK: plan.variable @m : memref<17xf32> state init #train.zeros at @near[128]
// CHECK: plan.variable @w : memref<17xf32> parameter init #train.ones trainable at @near[0]
plan.variable @sin : memref<8xf32> constant init #train.zeros
plan.variable @m : memref<17xf32> state init #train.zeros
plan.variable @w : memref<17xf32> parameter init #train.ones trainable

plan.kernel @copy_16x4 {
^bb0(%a: memref<16x4xf32>, %b: memref<16x4xf32>):
  plan.rows 16 per_task 16 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<16x4xf32> -> tensor<4xf32>
    plan.store %0, %b[%r] : tensor<4xf32>, memref<16x4xf32>
  }
}

// REMARK: remark: [Passed] place | Category:memory | Remark="variable w", bytes=68, offset=0
// REMARK: remark: [Passed] place | Category:memory | Remark="evaluate: x", bytes=256, first_launch=-1, last_launch=0, offset=320
// REMARK: Remark="evaluate peaks at first", bound=512, bytes=512, launch=0
// REMARK: [Passed] slab | Category:memory | Remark="placed all buffers", bytes=832, persistent_bytes=320, transient_bytes=512

// CHECK-LABEL: plan.entry @evaluate
// CHECK-SAME: plan.peak_launch = "first"
// CHECK-SAME: plan.transient_bound = 512
// CHECK-SAME: plan.transient_bytes = 512
plan.entry @evaluate kind(evaluate) batch 2 sequence 8 flops 0.0 {
  // CHECK: %[[X:.*]] = plan.input "x" : memref<16x4xf32> at @near[[X_PLACE:\[[0-9]+\]]]
  %x = plan.input "x" : memref<16x4xf32>
  // An input that nothing uses has a place too: the host writes it. A buffer that nothing uses has none.
  // CHECK: plan.input "learning_rate" : memref<f32> at @near
  // CHECK-NOT: unused
  %lr = plan.input "learning_rate" : memref<f32>
  %unused = plan.alloc "unused" : memref<16x4xf32>
  // CHECK: %[[Y:.*]] = plan.view @near[{{[0-9]+}}] "y" : memref<16x4xf32>
  %y = plan.alloc "y" : memref<16x4xf32>
  // CHECK: %[[Z:.*]] = plan.view @near[[X_PLACE]] "z" : memref<16x4xf32>
  %z = plan.alloc "z" : memref<16x4xf32>
  // CHECK: plan.launch @copy_16x4(%[[X]], %[[Y]])
  plan.launch @copy_16x4(%x, %y) "first" : memref<16x4xf32>, memref<16x4xf32>
  // CHECK: plan.launch @copy_16x4(%[[Y]], %[[Z]])
  plan.launch @copy_16x4(%y, %z) "second" : memref<16x4xf32>, memref<16x4xf32>
  // CHECK: plan.output "z", %[[Z]]
  plan.output "z", %z : memref<16x4xf32>
}

// CHECK-LABEL: plan.entry @logits
// CHECK-SAME: plan.transient_bytes = 512
plan.entry @logits kind(logits) batch 1 sequence 8 flops 0.0 {
  %x = plan.input "x" : memref<16x4xf32>
  %y = plan.alloc "y" : memref<16x4xf32>
  plan.launch @copy_16x4(%x, %y) "copy" : memref<16x4xf32>, memref<16x4xf32>
  plan.output "y", %y : memref<16x4xf32>
}

// -----

// Nothing to place: nothing changes.

// CHECK: module {
// CHECK-NEXT: }
module {
}
