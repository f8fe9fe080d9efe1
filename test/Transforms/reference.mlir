// RUN: ftc-opt %s -train-differentiate -train-fuse-updates -train-lower-optimizer | FileCheck %s

// A reference of its own weights is read and nothing else: no gradient, no state, no update.
// CHECK-DAG: train.variable @q_proj.weight.exp_avg :
// CHECK-NOT: @reference.q_proj.weight.exp_avg
// CHECK-LABEL: train.entry @step
// CHECK: %[[RW:[a-z_0-9]+]] = train.read @reference.q_proj.weight
// CHECK: train.matmul %{{.*}}, %[[RW]] transpose_b
// CHECK: train.preference_loss
// CHECK-NOT: %[[RW]]
// CHECK: train.write @q_proj.weight
// CHECK-NOT: train.write @reference
// CHECK: train.return
module attributes {train.optimizer = #train.adamw<weightDecay = 0.0, beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8>} {
  train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.normal<0.02> trainable
  train.variable @reference.q_proj.weight : tensor<128x64xf32> reference init #train.normal<0.02>
  train.entry @step kind(step) batch 2 sequence 8 inputs ["x", "labels", "inv_tokens", "learning_rate", "step"] outputs ["loss"] {
  ^bb0(%x: tensor<16x64xf32>, %l: tensor<16xi32>, %inv: tensor<f32>, %lr: tensor<f32>, %s: tensor<i64>):
    %rw = train.read @reference.q_proj.weight : tensor<128x64xf32>
    %r = train.matmul %x, %rw transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32> {train.reference}
    %rp, %rlse = train.label_log_probs %r, %l ignore -100 : tensor<16x128xf32>, tensor<16xi32> -> tensor<16xf32>, tensor<16xf32>
    %before, %rn = train.sequence_sums %rp, %l batch 2 ignore -100 : tensor<16xf32>, tensor<16xi32> -> tensor<2xf32>
    %w = train.read @q_proj.weight : tensor<128x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    %p, %lse = train.label_log_probs %y, %l ignore -100 : tensor<16x128xf32>, tensor<16xi32> -> tensor<16xf32>, tensor<16xf32>
    %now, %n = train.sequence_sums %p, %l batch 2 ignore -100 : tensor<16xf32>, tensor<16xi32> -> tensor<2xf32>
    %loss, %pairs = train.preference_loss sigmoid %now, %before, %n, %inv beta 0.1 label_smoothing 0.0 : tensor<2xf32>, tensor<f32> -> tensor<i32>
    train.loss %loss : tensor<f32>
    train.return %loss : tensor<f32>
  }
}
