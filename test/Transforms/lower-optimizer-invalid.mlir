// RUN: ftc-opt %s -split-input-file -train-lower-optimizer -verify-diagnostics

module {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  // expected-error@+1 {{train.optimizer is neither #train.sgd nor #train.adamw}}
  train.entry @step kind(step) batch 2 sequence 8 inputs [] outputs [] {
    %w = train.read @w : tensor<64xf32>
    train.update @w, %w : tensor<64xf32>
    train.return
  }
}

// -----

module attributes {train.optimizer = #train.adamw<weightDecay = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8>} {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  // expected-error@+1 {{has updates but no input called step}}
  train.entry @step kind(step) batch 2 sequence 8 inputs ["learning_rate"] outputs [] {
  ^bb0(%lr: tensor<f32>):
    %w = train.read @w : tensor<64xf32>
    train.update @w, %w : tensor<64xf32>
    train.return
  }
}
