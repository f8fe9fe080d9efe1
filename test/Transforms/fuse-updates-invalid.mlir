// RUN: ftc-opt %s --train-fuse-updates --split-input-file --verify-diagnostics

module attributes {train.updates = #train.updates<two_passes>} {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs [] outputs [] {
    %w = train.read @w : tensor<64xf32>
    %one = train.constant dense<1.0> : tensor<f32>
    // expected-error@+1 {{is not scaled by the one factor of train.clip_factor that two passes need}}
    train.update @w, %w scale %one : tensor<64xf32>, tensor<f32>
    train.return
  }
}

// -----

module attributes {train.updates = #train.updates<two_passes>} {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  train.variable @w.grad : tensor<64xf32> accumulator init #train.zeros
  train.entry @step kind(step) batch 2 sequence 8 inputs ["micro"] outputs [] {
  ^bb0(%micro: tensor<i64>):
    %w = train.read @w : tensor<64xf32>
    %g = train.read @w.grad : tensor<64xf32>
    %zero = train.constant dense<0.0> : tensor<f32>
    // expected-error@+1 {{changes an accumulator, so that the backward graph cannot run twice}}
    %total = train.accumulate %w onto %g at %micro : tensor<64xf32>, tensor<i64>
    %s = train.sum_squares %total onto %zero : tensor<64xf32>, tensor<f32> -> tensor<f32>
    %norm, %factor = train.clip_factor %s max_norm 1.0 : tensor<f32> -> tensor<f32>, tensor<f32>
    train.update @w, %total scale %factor : tensor<64xf32>, tensor<f32>
    train.return
  }
}

// -----

module attributes {train.updates = #train.updates<two_passes>} {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs [] outputs [] {
    %zero = train.constant dense<0.0> : tensor<f32>
    // expected-error@+1 {{leads to a gradient but has effects that must not happen twice}}
    %w = train.read @w : tensor<64xf32> {train.backward}
    %s = train.sum_squares %w onto %zero : tensor<64xf32>, tensor<f32> -> tensor<f32>
    %norm, %factor = train.clip_factor %s max_norm 1.0 : tensor<f32> -> tensor<f32>, tensor<f32>
    train.update @w, %w scale %factor : tensor<64xf32>, tensor<f32>
    train.return
  }
}
