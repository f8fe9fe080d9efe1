// RUN: ftc-opt %s -convert-train-to-plan -split-input-file | FileCheck %s

// Sums of squares onto each other: partial sums beside each other, one total. A group's sum is one of them.

// CHECK-LABEL: plan.entry @step
// CHECK: %[[SUMS:.*]] = plan.alloc "partial sums of squares" : memref<11xf32>
// CHECK: %[[A:.*]] = plan.slice %[[SUMS]][0] : memref<11xf32> to memref<9xf32>
// CHECK: plan.launch @sum_squares_300x32(%{{.*}}, %[[A]])
// CHECK-NOT: total
// CHECK: %[[B:.*]] = plan.slice %[[SUMS]][9] : memref<11xf32> to memref<1xf32>
// CHECK: plan.launch @multiply_sum_squares_16x8({{.*}}%[[B]]
// CHECK-NOT: total
// CHECK: %[[C:.*]] = plan.slice %[[SUMS]][10] : memref<11xf32> to memref<1xf32>
// CHECK: plan.launch @sum_squares_32(%{{.*}}, %[[C]])
// CHECK: plan.launch @sum_squares_total_11(%[[SUMS]], %[[ALL:.*]])
// CHECK: plan.output "s", %[[ALL]]
train.entry @step kind(step) batch 1 sequence 16 inputs ["x", "y", "v"] outputs ["y2", "s"] {
^bb0(%x: tensor<300x32xf32>, %y: tensor<16x8xf32>, %v: tensor<32xf32>):
  %zero = train.constant dense<0.0> : tensor<f32>
  %0 = train.sum_squares %x onto %zero : tensor<300x32xf32>, tensor<f32> -> tensor<f32>
  %1:2 = train.fused(%a = %y, %b = %0) : (tensor<16x8xf32>, tensor<f32>) -> (tensor<16x8xf32>, tensor<f32>) {
    %p = train.multiply %a, %a : tensor<16x8xf32>
    %s = train.sum_squares %p onto %b : tensor<16x8xf32>, tensor<f32> -> tensor<f32>
    train.yield %p, %s : tensor<16x8xf32>, tensor<f32>
  }
  %2 = train.sum_squares %v onto %1#1 : tensor<32xf32>, tensor<f32> -> tensor<f32>
  train.return %1#0, %2 : tensor<16x8xf32>, tensor<f32>
}

// -----

// A sum that is wanted ends a chain, and one that starts from no constant has none.

// CHECK-LABEL: plan.entry @step
// CHECK-NOT: "partial sums of squares"
// CHECK-COUNT-2: plan.launch @sum_squares_total_9
train.entry @step kind(step) batch 1 sequence 16 inputs ["x", "b"] outputs ["s", "t"] {
^bb0(%x: tensor<300x32xf32>, %b: tensor<f32>):
  %0 = train.sum_squares %x onto %b : tensor<300x32xf32>, tensor<f32> -> tensor<f32>
  %1 = train.sum_squares %x onto %0 : tensor<300x32xf32>, tensor<f32> -> tensor<f32>
  train.return %0, %1 : tensor<f32>, tensor<f32>
}
