// RUN: ftc-opt %s | ftc-opt | FileCheck %s

// CHECK: train.entry @pairs kind({{ ?}}step)
train.entry @pairs kind(step) batch 4 sequence 4 inputs ["logits", "labels", "reference", "inv_tokens"] outputs [] {
^bb0(%logits: tensor<16x320xbf16>, %labels: tensor<16xi32>, %reference: tensor<4xf32>, %inv: tensor<f32>):
  %one = train.constant dense<1.0> : tensor<f32>
  // CHECK: train.label_log_probs %{{.*}} ignore -100 : tensor<16x320xbf16>, tensor<16xi32> -> tensor<16xf32>, tensor<16xf32>
  %p, %lse = train.label_log_probs %logits, %labels ignore -100 : tensor<16x320xbf16>, tensor<16xi32> -> tensor<16xf32>, tensor<16xf32>
  // CHECK: train.sequence_sums %{{.*}} batch 4 ignore -100 : tensor<16xf32>, tensor<16xi32> -> tensor<4xf32>
  %s, %n = train.sequence_sums %p, %labels batch 4 ignore -100 : tensor<16xf32>, tensor<16xi32> -> tensor<4xf32>
  // CHECK: train.preference_loss sigmoid %{{.*}} beta 1.000000e-01 label_smoothing 0.000000e+00 : tensor<4xf32>, tensor<f32> -> tensor<i32>
  %loss, %pairs = train.preference_loss sigmoid %s, %reference, %n, %inv beta 0.1 label_smoothing 0.0 : tensor<4xf32>, tensor<f32> -> tensor<i32>
  // CHECK: train.preference_loss_grad hinge %{{.*}} beta 5.000000e-01 label_smoothing 0.000000e+00 : tensor<4xf32>, tensor<f32>
  %d = train.preference_loss_grad hinge %s, %reference, %n, %inv, %one beta 0.5 label_smoothing 0.0 : tensor<4xf32>, tensor<f32>
  // CHECK: train.sequence_spread %{{.*}} : tensor<4xf32> -> tensor<16xf32>
  %g = train.sequence_spread %d : tensor<4xf32> -> tensor<16xf32>
  // CHECK: train.label_log_probs_grad %{{.*}} ignore -100 : tensor<16x320xbf16>, tensor<16xi32>, tensor<16xf32>, tensor<16xf32>
  %dl = train.label_log_probs_grad %logits, %labels, %lse, %g ignore -100 : tensor<16x320xbf16>, tensor<16xi32>, tensor<16xf32>, tensor<16xf32>
  train.return
}
