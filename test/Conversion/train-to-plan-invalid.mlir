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

// -----

train.variable @v : tensor<16x64xf32> state init #train.zeros
train.variable @u : tensor<f32> state init #train.zeros
train.variable @i : tensor<4xi64> constant init #train.zeros
train.entry @step kind(step) batch 1 sequence 16 inputs ["x", "z"] outputs ["a", "b", "c", "d"] {
^bb0(%x: tensor<16x64xf32>, %z: tensor<bf16>):
  %c = train.constant dense<1.0> : tensor<16x64xf32>
  %k = train.constant dense<2.0> : tensor<f32>
  %i = train.read @i : tensor<4xi64>
  train.write @v, %c : tensor<16x64xf32>
  train.write @u, %k : tensor<f32>
  // expected-error @below {{moves 'tensor<4xi64>'; rows of a plan hold no i64, which only scalars are}}
  train.return %x, %x, %c, %i : tensor<16x64xf32>, tensor<16x64xf32>, tensor<16x64xf32>, tensor<4xi64>
}
