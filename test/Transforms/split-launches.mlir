// RUN: ftc-opt %s --plan-split-launches | FileCheck %s
// RUN: ftc-opt %s --plan-split-launches --remark-format=emitRemark --remarks-filter=plan-split-launches 2>&1 >/dev/null \
// RUN:   | FileCheck %s --check-prefix=REMARK
// What is split already stays as it is, and so does a module without entries.
// RUN: ftc-opt %s --plan-split-launches > %t.once
// RUN: ftc-opt %t.once --plan-split-launches > %t.twice
// RUN: cmp %t.once %t.twice

// REMARK: launches and copies of step are entries of their own
// REMARK-SAME: entries=4

plan.slab @near bytes 1024 alignment 64
plan.slab @far bytes 4096 alignment 4096
plan.variable @w : memref<16x4xf32> parameter init #train.ones trainable at @near[0]
plan.variable @m : memref<16x4xf32> state init #train.zeros far at @far[0]

plan.kernel @copy {
^bb0(%a: memref<8x4xf32>, %b: memref<8x4xf32>):
  plan.rows 8 per_task 8 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<8x4xf32> -> tensor<4xf32>
    plan.store %0, %b[%r] : tensor<4xf32>, memref<8x4xf32>
  }
}

// Each has the buffers of its launch, a slice with what it is a slice of. The copy waits for itself.
// CHECK-LABEL: plan.entry @step.0 kind(step) batch 2 sequence 8 flops 0.0e+0 attributes {plan.part_of = "step"}
// CHECK-NEXT: plan.get @m
// CHECK-NEXT: plan.view @near[512] "n"
// CHECK-NEXT: %[[E:.*]] = plan.copy_in
// CHECK-NEXT: plan.wait %[[E]]
// CHECK-NEXT: }
// CHECK-LABEL: plan.entry @step.1 
// CHECK-NEXT: %[[X:.*]] = plan.input "x" : memref<8x4xf32> at @near[256]
// CHECK-NEXT: %[[W:.*]] = plan.get @w
// CHECK-NEXT: %[[S:.*]] = plan.slice %[[W]][8] : memref<16x4xf32> to memref<8x4xf32>
// CHECK-NEXT: plan.launch @copy(%[[X]], %[[S]]) "first"
// CHECK-NEXT: }
// CHECK-LABEL: plan.entry @step.2
// CHECK-NEXT: %[[N:.*]] = plan.view @near[512] "n"
// CHECK-NEXT: %[[H:.*]] = plan.slice %[[N]][0]
// CHECK-NEXT: %[[Y:.*]] = plan.input "x"
// CHECK-NEXT: plan.launch @copy(%[[H]], %[[Y]]) "second"
// CHECK-NEXT: }
// CHECK-LABEL: plan.entry @step.3
// CHECK: plan.copy_out
// CHECK-NEXT: plan.wait
// CHECK-NEXT: }
// CHECK-NOT: plan.output
plan.entry @step kind(step) batch 2 sequence 8 flops 1.0e3 {
  %x = plan.input "x" : memref<8x4xf32> at @near[256]
  %w = plan.get @w : memref<16x4xf32>
  %m = plan.get @m : memref<16x4xf32>
  %n = plan.view @near[512] "n" : memref<16x4xf32>
  %e = plan.copy_in %m to %n : memref<16x4xf32>
  %s = plan.slice %w[8] : memref<16x4xf32> to memref<8x4xf32>
  plan.launch @copy(%x, %s) "first" : memref<8x4xf32>, memref<8x4xf32>
  plan.wait %e
  %h = plan.slice %n[0] : memref<16x4xf32> to memref<8x4xf32>
  plan.launch @copy(%h, %x) "second" : memref<8x4xf32>, memref<8x4xf32>
  %o = plan.copy_out %n to %m : memref<16x4xf32>
  plan.wait %o
  plan.output "x", %x : memref<8x4xf32>
}
