// RUN: ftc-opt %s -split-input-file -train-lower-optimizer -verify-diagnostics

module {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  // expected-error@+1 {{train.optimizer is none of #train.sgd, #train.sgd_momentum, #train.adamw}}
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

// -----

module attributes {train.stochastic_rounding, train.optimizer = #train.sgd<weightDecay = 0.0>} {
  train.variable @w : tensor<64xbf16> parameter init #train.ones trainable
  // expected-error@+1 {{has updates but no input called seed}}
  train.entry @step kind(step) batch 2 sequence 8 inputs ["learning_rate", "step"] outputs [] {
  ^bb0(%lr: tensor<f32>, %step: tensor<i64>):
    %w = train.read @w : tensor<64xbf16>
    train.update @w, %w : tensor<64xbf16>
    train.return
  }
}

// -----

module attributes {train.master_weights, train.optimizer = #train.sgd<weightDecay = 0.0>} {
  train.variable @w : tensor<64xbf16> parameter init #train.ones trainable
  // expected-error@+1 {{has updates but no input called step}}
  train.entry @step kind(step) batch 2 sequence 8 inputs ["learning_rate"] outputs [] {
  ^bb0(%lr: tensor<f32>):
    %w = train.read @w : tensor<64xbf16>
    train.update @w, %w : tensor<64xbf16>
    train.return
  }
}

// -----

// expected-error@+1 {{asks for train.master_weights and train.stochastic_rounding; master weights leave nothing to round}}
module attributes {train.master_weights, train.stochastic_rounding, train.optimizer = #train.sgd<weightDecay = 0.0>} {
}

// -----

// expected-error@+1 {{asks for train.quantized_states, which only #train.adamw has; its train.optimizer is another one}}
module attributes {train.quantized_states = #train<state_format torchao_8bit>, train.optimizer = #train.sgd<weightDecay = 0.0>} {
}

// -----

module attributes {train.optimizer = #train.adamw<weightDecay = 0.0 : f64, beta1 = 0.9 : f64, beta2 = 0.999 : f64, eps = 1.0e-8 : f64>} {
train.variable @w : tensor<8x4xf32> parameter init #train.zeros trainable
train.variable @w.grad : tensor<8x4xf32> parameter init #train.ones
// expected-note @below {{this is no state of}}
train.variable @w.exp_avg : tensor<8x4xf32> parameter init #train.ones
train.entry @step kind(step) batch 1 sequence 16 inputs ["g","micro", "learning_rate", "step"] outputs [] {
^bb0(%g: tensor<8x4xf32>, %micro: tensor<i64>, %lr: tensor<f32>, %s: tensor<i64>):
  // expected-error @below {{keeps a state in @w.exp_avg, a name that is taken}}
  train.update @w, %g : tensor<8x4xf32>
  train.return
}
}
