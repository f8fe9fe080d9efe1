// RUN: ftc-opt %s -train-attach-adapters | FileCheck %s

// The model as it was before training stands beside the one that is trained, over the same weight, and gets no adapter.
// CHECK-LABEL: train.entry @step
// CHECK: %[[W:.*]] = train.read @q_proj.weight
// CHECK-NEXT: %[[REFERENCE:.*]] = train.matmul %{{.*}}, %[[W]] transpose_b {{.*}} {train.reference}
// CHECK: %[[FROZEN:.*]] = train.matmul %{{.*}}, %{{.*}} transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
// CHECK: train.read @q_proj.lora_A.weight
// CHECK: %[[TRAINED:.*]] = train.add %[[FROZEN]]
// CHECK: train.return %[[REFERENCE]], %[[TRAINED]]
module attributes {train.adapters = #train.lora<rank = 2, scale = 4.0, targets = ["q_proj"]>} {
  train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.normal<0.02> trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["x"] outputs ["reference", "trained"] {
  ^bb0(%x: tensor<16x64xf32>):
    %w = train.read @q_proj.weight : tensor<128x64xf32>
    %r = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32> {train.reference}
    %v = train.read @q_proj.weight : tensor<128x64xf32>
    %y = train.matmul %x, %v transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    train.return %r, %y : tensor<16x128xf32>, tensor<16x128xf32>
  }
}
