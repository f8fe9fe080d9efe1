// RUN: ftc-opt %s -split-input-file -train-accumulate-gradients -verify-diagnostics

module {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  // expected-error@+1 {{accumulates gradients but has no input called micro}}
  train.entry @micro kind(micro) batch 2 sequence 8 inputs [] outputs [] {
    %w = train.read @w : tensor<64xf32>
    train.update @w, %w : tensor<64xf32>
    train.return
  }
}

// -----

module {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  train.entry @micro kind(micro) batch 2 sequence 8 inputs ["micro"] outputs [] {
  ^bb0(%micro: tensor<i64>):
    %w = train.read @w : tensor<64xf32>
    %one = train.constant dense<1.0> : tensor<f32>
    // expected-error@+1 {{has a scale already}}
    train.update @w, %w scale %one : tensor<64xf32>, tensor<f32>
    train.return
  }
}

// -----

module attributes {train.optimizer = #train.adamw<weightDecay = 0.0 : f64, beta1 = 0.9 : f64, beta2 = 0.999 : f64, eps = 1.0e-8 : f64>} {
train.variable @w : tensor<8x4xf32> parameter init #train.zeros trainable
// expected-note @below {{this is no accumulator of}}
train.variable @w.grad : tensor<8x4xf32> parameter init #train.ones
train.variable @w.exp_avg : tensor<8x4xf32> parameter init #train.ones
train.entry @micro kind(micro) batch 1 sequence 16 inputs ["g","micro"] outputs [] {
^bb0(%g: tensor<8x4xf32>, %micro: tensor<i64>):
  // expected-error @below {{has its gradient summed in @w.grad, a name that is taken}}
  train.update @w, %g : tensor<8x4xf32>
  train.return
}
train.entry @step kind(step) batch 1 sequence 16 inputs ["g","micro", "learning_rate", "step"] outputs [] {
^bb0(%g: tensor<8x4xf32>, %micro: tensor<i64>, %lr: tensor<f32>, %s: tensor<i64>):
  train.update @w, %g : tensor<8x4xf32>
  train.return
}
}
