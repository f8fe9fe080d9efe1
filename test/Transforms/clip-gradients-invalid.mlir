// RUN: ftc-opt %s -train-clip-gradients -verify-diagnostics

module attributes {train.clip_grad_norm = 1.0 : f64} {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs [] outputs [] {
    %w = train.read @w : tensor<64xf32>
    %one = train.constant dense<1.0> : tensor<f32>
    // expected-error@+1 {{has a scale already}}
    train.update @w, %w scale %one : tensor<64xf32>, tensor<f32>
    train.return
  }
}
