// A launch of no kernel is no launch of rows; plan-verify says what is wrong with it.
// RUN: ftc-opt %s --plan-stream-far-variables | FileCheck %s
// RUN: not ftc-opt %s --plan-stream-far-variables --plan-assign-offsets --plan-verify 2>&1 | FileCheck %s --check-prefix=ERROR
// CHECK: plan.launch @missing
// ERROR: error: {{.*}}missing
plan.variable @w : memref<16x4xf32> state init #train.zeros far
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %w = plan.get @w : memref<16x4xf32>
  plan.launch @missing(%w) "copy" : memref<16x4xf32>
}
