// RUN: ftc-opt %s -split-input-file -convert-train-to-plan -verify-diagnostics

train.variable @w : tensor<4x4xf32> parameter init #train.ones trainable
train.entry @step kind(step) batch 2 sequence 8 inputs [] outputs [] {
  %w = train.read @w : tensor<4x4xf32>
  // expected-error @below {{cannot be lowered to the plan; run train-differentiate and train-lower-optimizer before}}
  train.update @w, %w : tensor<4x4xf32>
  train.return
}

// -----

train.entry @step kind(step) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
^bb0(%x: tensor<4x4xf64>):
  // expected-error @below {{is a product in f64, which only the reference interpreter of the train dialect computes}}
  %y = train.matmul %x, %x : tensor<4x4xf64>, tensor<4x4xf64> -> tensor<4x4xf64>
  train.return %y : tensor<4x4xf64>
}
