// RUN: ftc-opt %s -train-attach-adapters | FileCheck %s

// Beside a product of bf16 that is f32, the adapter adds f32.
// CHECK: %[[Y:.*]] = train.matmul %{{.*}} -> tensor<16x64xf32>
// CHECK: train.matmul %{{.*}} -> tensor<16x8xbf16>
// CHECK: %[[B:.*]] = train.matmul %{{.*}} : tensor<16x8xbf16>, tensor<64x8xbf16> -> tensor<16x64xf32>
// CHECK: train.add %[[Y]], %[[B]] : tensor<16x64xf32>
module attributes {train.adapters = #train.lora<rank = 8, scale = 2.0, targets = ["q_proj"]>} {
train.variable @q_proj.weight : tensor<64x128xbf16> parameter init #train.zeros trainable
train.entry @step kind(step) batch 1 sequence 16 inputs ["x"] outputs ["t"] {
^bb0(%x: tensor<16x128xbf16>):
  %w = train.read @q_proj.weight : tensor<64x128xbf16>
  %y = train.matmul %x, %w transpose_b : tensor<16x128xbf16>, tensor<64x128xbf16> -> tensor<16x64xf32>
  train.return %y : tensor<16x64xf32>
}
}
