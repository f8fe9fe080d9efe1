// RUN: ftc-opt %s -convert-train-to-plan | FileCheck %s --check-prefixes=CHECK,FEW
// RUN: ftc-opt %s -convert-train-to-plan=partial-sums=150 | FileCheck %s --check-prefixes=CHECK,MANY
// RUN: ftc-opt %s -convert-train-to-plan=partial-sums=4096 | FileCheck %s --check-prefix=EACH
// RUN: not ftc-opt %s -convert-train-to-plan=partial-sums=-1 2>&1 | FileCheck %s --check-prefix=BAD
// BAD: partial-sums must not be negative

// Tasks, so partial sums, are as many as the target wants. Few rows of partial sums are added up by one launch; of many,
// every 64 first, and the rest beside their sums. One number a task is a row of them, however many.

train.variable @w : tensor<32xf32> parameter init #train.ones trainable

// CHECK-LABEL: plan.kernel @rms_norm_grad_300x32
// FEW: plan.rows 300 per_task 37 parallel
// MANY: plan.rows 300 per_task 2 parallel
// MANY-LABEL: plan.kernel @weight_gradient_total_150x32_by_64
// MANY-SAME: {
// MANY: plan.rows 2 per_task 1 parallel {
// MANY: ^bb0(%[[ROW:.*]]: index)
// MANY: %[[FIRST:.*]] = arith.muli %[[ROW]], %c64
// MANY: plan.load %{{.*}}[%[[FIRST]]] : memref<150x32xf32>
// MANY-COUNT-63: plan.load %{{.*}} : memref<150x32xf32>
// MANY-NOT: plan.load
// CHECK-LABEL: plan.kernel @weight_gradient_total_
// FEW: plan.rows 1 per_task 1 parallel {
// FEW-COUNT-9: plan.load %{{.*}} : memref<9x32xf32>
// FEW-NOT: plan.load
// MANY: plan.rows 1 per_task 1 parallel {
// MANY-COUNT-2: plan.load %{{.*}} : memref<2x32xf32>
// MANY-COUNT-22: plan.load %{{.*}} : memref<150x32xf32>
// MANY-NOT: plan.load
// CHECK: plan.store

// CHECK-LABEL: plan.kernel @sum_squares_300x32
// FEW: plan.rows 300 per_task 37 parallel
// MANY: plan.rows 300 per_task 2 parallel
// CHECK-LABEL: plan.kernel @sum_squares_total_
// MANY: plan.load %{{.*}}[] : memref<150xf32> -> tensor<150xf32>

// No more than rows.
// EACH: plan.rows 300 per_task 1 parallel
// EACH: plan.launch @weight_gradient_total_300x32_by_64({{.*}}) "rms_norm_grad weight" : memref<300x32xf32>, memref<4x32xf32>
// EACH: plan.launch @weight_gradient_total_300x32({{.*}}) "rms_norm_grad weight" : memref<4x32xf32>, memref<300x32xf32>, memref<32xf32>
train.entry @step kind(step) batch 1 sequence 300 inputs ["x", "d", "base"] outputs ["dx", "dw", "s"] {
^bb0(%x: tensor<300x32xf32>, %d: tensor<300x32xf32>, %base: tensor<f32>):
  %w = train.read @w : tensor<32xf32>
  %dx, %dw = train.rms_norm_grad %x, %w, %d eps 1.0e-5 : tensor<300x32xf32>, tensor<32xf32>
  %s = train.sum_squares %d onto %base : tensor<300x32xf32>, tensor<f32> -> tensor<f32>
  train.return %dx, %dw, %s : tensor<300x32xf32>, tensor<32xf32>, tensor<f32>
}
