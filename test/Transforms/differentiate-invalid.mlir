// RUN: ftc-opt %s -split-input-file -train-differentiate -verify-diagnostics

train.variable @w : tensor<16x64xf32> parameter init #train.ones trainable
train.entry @step kind(step) batch 2 sequence 8 inputs ["position"] outputs [] {
^bb0(%i: tensor<i64>):
  %w = train.read @w : tensor<16x64xf32>
  // expected-error@+1 {{stands between a trainable variable and the loss but states no vector-Jacobian product}}
  %x = train.gather_row %w, %i : tensor<16x64xf32>, tensor<i64> -> tensor<1x64xf32>
  %zero = train.constant dense<0.0> : tensor<f32>
  %l = train.constant dense<0> : tensor<1xi32>
  %loss, %n, %lse = train.cross_entropy %x, %l, %zero ignore -100 : tensor<1x64xf32>, tensor<1xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<1xf32>
  train.loss %loss : tensor<f32>
  train.return
}

// -----

train.entry @step kind(step) batch 2 sequence 8 inputs [] outputs [] {
  %zero = train.constant dense<0.0> : tensor<f32>
  train.loss %zero : tensor<f32>
  // expected-error@+1 {{is the second loss of its entry}}
  train.loss %zero : tensor<f32>
  train.return
}
