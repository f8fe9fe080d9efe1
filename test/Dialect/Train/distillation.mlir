// RUN: ftc-opt %s | ftc-opt | FileCheck %s

// CHECK: train.variable @teacher.w : tensor<64xf32> teacher init #train.ones
train.variable @teacher.w : tensor<64xf32> teacher init #train.ones
// CHECK: train.entry @taught kind({{ ?}}step)
train.entry @taught kind(step) batch 4 sequence 4 inputs ["logits", "teacher", "labels", "inv_tokens"] outputs [] {
^bb0(%logits: tensor<16x320xbf16>, %teacher: tensor<16x320xbf16>, %labels: tensor<16xi32>, %inv: tensor<f32>):
  %one = train.constant dense<1.0> : tensor<f32>
  // CHECK: %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[LSE:.*]], %[[TLSE:.*]] = train.distillation_loss %{{.*}} ratio 5.000000e-01 ignore -100 : tensor<16x320xbf16>, tensor<16xi32>, tensor<f32> -> tensor<i32>, tensor<16xf32>
  %loss, %class, %kd, %count, %lse, %tlse = train.distillation_loss %logits, %teacher, %labels, %inv ratio 0.5 ignore -100 : tensor<16x320xbf16>, tensor<16xi32>, tensor<f32> -> tensor<i32>, tensor<16xf32>
  // CHECK: train.distillation_loss_grad %{{.*}}, %[[LSE]], %[[TLSE]], %{{.*}} ratio 5.000000e-01 ignore -100 : tensor<16x320xbf16>, tensor<16xi32>, tensor<16xf32>, tensor<f32>
  %d = train.distillation_loss_grad %logits, %teacher, %labels, %lse, %tlse, %inv, %one ratio 0.5 ignore -100 : tensor<16x320xbf16>, tensor<16xi32>, tensor<16xf32>, tensor<f32>
  train.return
}
