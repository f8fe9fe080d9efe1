// RUN: ftc-opt %s -train-attach-adapters -train-differentiate -train-lower-optimizer -canonicalize -cse | FileCheck %s

// Only the two factors are updated. The frozen weight has no gradient and no state, and the input is used by nothing of
// the backward pass but the gradient of A.
// CHECK-DAG: train.variable @q_proj.lora_A.weight.exp_avg : tensor<2x64xf32> state
// CHECK-DAG: train.variable @q_proj.lora_B.weight.exp_avg : tensor<128x2xf32> state
// CHECK-LABEL: train.entry @step
// CHECK-NEXT: ^bb0(%[[X:[a-z0-9_]+]]:
// CHECK: train.matmul %[[X]], %{{.*}} transpose_b : tensor<16x64xf32>, tensor<128x64xf32>
// CHECK: train.matmul %[[X]], %{{.*}} transpose_b : tensor<16x64xf32>, tensor<2x64xf32>
// CHECK: train.cross_entropy_grad
// CHECK-NOT: tensor<128x64xf32>
// CHECK: train.matmul %{{.*}}, %[[X]] transpose_a : tensor<16x2xf32>, tensor<16x64xf32> -> tensor<2x64xf32>
// CHECK-NOT: tensor<128x64xf32>
// CHECK-NOT: train.write @q_proj.weight
module attributes {train.adapters = #train.lora<rank = 2, scale = 4.0, targets = ["q_proj"]>,
                   train.optimizer = #train.adamw<weightDecay = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8>} {
  train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.normal<0.02> trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["x", "labels", "inv_tokens", "learning_rate", "step"] outputs ["loss"] {
  ^bb0(%x: tensor<16x64xf32>, %labels: tensor<16xi32>, %inv: tensor<f32>, %lr: tensor<f32>, %step: tensor<i64>):
    %w = train.read @q_proj.weight : tensor<128x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    %loss, %n, %lse = train.cross_entropy %y, %labels, %inv ignore -100 : tensor<16x128xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
    train.loss %loss : tensor<f32>
    train.return %loss : tensor<f32>
  }
}
