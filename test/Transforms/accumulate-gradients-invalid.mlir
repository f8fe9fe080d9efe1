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
