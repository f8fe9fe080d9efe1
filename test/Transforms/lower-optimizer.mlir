// RUN: ftc-opt %s -split-input-file -train-lower-optimizer | FileCheck %s

// CHECK: train.variable @w : tensor<64xbf16> parameter
// CHECK-DAG: train.variable @w.exp_avg : tensor<64xbf16> state init #train.zeros
// CHECK-DAG: train.variable @w.exp_avg_sq : tensor<64xbf16> state init #train.zeros
// CHECK-LABEL: train.entry @step
// CHECK-SAME: inputs ["learning_rate", "step"]
// CHECK-NEXT: ^bb0(%[[LR:.*]]: tensor<f32>, %[[STEP:.*]]: tensor<i64>)
// CHECK: %[[W:.*]] = train.read @w
// CHECK: %[[M:.*]] = train.read @w.exp_avg
// CHECK: %[[V:.*]] = train.read @w.exp_avg_sq
// CHECK: %[[P:.*]], %[[M1:.*]], %[[V1:.*]] = train.adamw %[[W]], %{{.*}}, %[[M]], %[[V]], %[[LR]], %[[STEP]]
// CHECK: train.write @w, %[[P]]
// CHECK: train.write @w.exp_avg, %[[M1]]
// CHECK: train.write @w.exp_avg_sq, %[[V1]]
module attributes {train.optimizer = #train.adamw<weightDecay = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8>} {
  train.variable @w : tensor<64xbf16> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["learning_rate", "step"] outputs [] {
  ^bb0(%lr: tensor<f32>, %step: tensor<i64>):
    %w = train.read @w : tensor<64xbf16>
    %g = train.add %w, %w : tensor<64xbf16>
    train.update @w, %g : tensor<64xbf16>
    train.return
  }
}

// -----

// CHECK-NOT: state
// CHECK: %[[P:.*]] = train.sgd
// CHECK: train.write @w, %[[P]]
module attributes {train.optimizer = #train.sgd<weightDecay = 0.0>} {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["learning_rate"] outputs [] {
  ^bb0(%lr: tensor<f32>):
    %w = train.read @w : tensor<64xf32>
    train.update @w, %w : tensor<64xf32>
    train.return
  }
}

// -----

// Momentum; states in bf16 beside an f32 parameter.
// CHECK: train.variable @w.momentum_buffer : tensor<64xbf16> state init #train.zeros
// CHECK: %[[B:.*]] = train.read @w.momentum_buffer : tensor<64xbf16>
// CHECK: %[[P:.*]], %[[B1:.*]] = train.sgd_momentum %{{.*}}, %{{.*}}, %[[B]], %{{.*}}, %{{.*}}, %{{.*}} with <weightDecay = 0.000000e+00 : f64, momentum = 9.000000e-01 : f64, dampening = 0.000000e+00 : f64, nesterov = true>
// CHECK: train.write @w, %[[P]]
// CHECK: train.write @w.momentum_buffer, %[[B1]]
module attributes {train.state_type = bf16,
                   train.optimizer = #train.sgd_momentum<weightDecay = 0.0, momentum = 0.9, dampening = 0.0, nesterov = true>} {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["learning_rate", "step"] outputs [] {
  ^bb0(%lr: tensor<f32>, %step: tensor<i64>):
    %w = train.read @w : tensor<64xf32>
    train.update @w, %w : tensor<64xf32>
    train.return
  }
}

// -----

// Master weights of a bf16 parameter; the f32 one has nothing to round.
// CHECK-DAG: train.variable @w.master : tensor<64xf32> state init #train.zeros
// CHECK-DAG: train.variable @w.exp_avg : tensor<64xf32> state
// CHECK-DAG: train.variable @v.exp_avg : tensor<64xf32> state
// CHECK-NOT: @v.master
// CHECK: %[[W:.*]] = train.read @w : tensor<64xbf16>
// CHECK: %[[P:.*]] = train.cast %[[W]] : tensor<64xbf16> to tensor<64xf32>
// CHECK: %[[G:.*]] = train.cast %{{.*}} : tensor<64xbf16> to tensor<64xf32>
// CHECK: %[[KEPT:.*]] = train.read @w.master
// CHECK: %[[MASTER:.*]] = train.first_step %[[P]], %[[KEPT]] at %{{.*}} : tensor<64xf32>, tensor<i64>
// CHECK: %[[P1:.*]], %{{.*}}, %{{.*}} = train.adamw %[[MASTER]], %[[G]]
// CHECK: train.write @w.master, %[[P1]]
// CHECK: %[[W1:.*]] = train.cast %[[P1]] : tensor<64xf32> to tensor<64xbf16>
// CHECK: train.write @w, %[[W1]] : tensor<64xbf16>
// CHECK: %[[V1:.*]], %{{.*}}, %{{.*}} = train.adamw
// CHECK: train.write @v, %[[V1]] : tensor<64xf32>
module attributes {train.master_weights,
                   train.optimizer = #train.adamw<weightDecay = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8>} {
  train.variable @w : tensor<64xbf16> parameter init #train.ones trainable
  train.variable @v : tensor<64xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["learning_rate", "step"] outputs [] {
  ^bb0(%lr: tensor<f32>, %step: tensor<i64>):
    %w = train.read @w : tensor<64xbf16>
    %g = train.add %w, %w : tensor<64xbf16>
    train.update @w, %g : tensor<64xbf16>
    %v = train.read @v : tensor<64xf32>
    train.update @v, %v : tensor<64xf32>
    train.return
  }
}

// -----

// Stochastic rounding; moments as asked for.
// CHECK-NOT: master
// CHECK: train.variable @w.exp_avg : tensor<64xbf16> state
// CHECK: %[[P1:.*]], %{{.*}}, %{{.*}} = train.adamw %{{.*}} : tensor<64xf32>, tensor<64xbf16>
// CHECK: %[[W1:.*]] = train.stochastic_round %[[P1]], %{{.*}}, %{{.*}} stream {{-?[0-9]+}} : tensor<64xf32>, tensor<i64>, tensor<i64> -> tensor<64xbf16>
// CHECK: train.write @w, %[[W1]] : tensor<64xbf16>
module attributes {train.stochastic_rounding, train.state_type = bf16,
                   train.optimizer = #train.adamw<weightDecay = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8>} {
  train.variable @w : tensor<64xbf16> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["learning_rate", "step", "seed"] outputs [] {
  ^bb0(%lr: tensor<f32>, %step: tensor<i64>, %seed: tensor<i64>):
    %w = train.read @w : tensor<64xbf16>
    train.update @w, %w : tensor<64xbf16>
    train.return
  }
}

// -----

// Nothing to update, nothing to do.
// CHECK-LABEL: train.entry @evaluate
// CHECK-NEXT: train.return
module {
  train.entry @evaluate kind(evaluate) batch 2 sequence 8 inputs [] outputs [] {
    train.return
  }
}

// -----

// Moments in eight bits: of what has 4096 elements or more, in whole blocks.
// CHECK-DAG: train.variable @w.exp_avg.codes : tensor<16x256xi8> state init #train.zeros
// CHECK-DAG: train.variable @w.exp_avg.scale : tensor<16xf32> state init #train.zeros
// CHECK-DAG: train.variable @w.exp_avg_sq.codes : tensor<16x256xi8> state init #train.zeros
// CHECK-DAG: train.variable @w.exp_avg_sq.scale : tensor<16xf32> state init #train.zeros
// CHECK-DAG: train.variable @small.exp_avg : tensor<4095xf32> state
// CHECK-DAG: train.variable @ragged.exp_avg : tensor<4097xf32> state
// CHECK: %[[O:.*]], %[[M:.*]], %[[MS:.*]], %[[V:.*]], %[[VS:.*]] = train.adamw_quantized %{{.*}} bitsandbytes_8bit with
// CHECK: train.write @w, %[[O]] : tensor<64x64xf32>
// CHECK: train.write @w.exp_avg.codes, %[[M]]
// CHECK: train.write @w.exp_avg.scale, %[[MS]]
// CHECK: train.write @w.exp_avg_sq.codes, %[[V]]
// CHECK: train.write @w.exp_avg_sq.scale, %[[VS]]
// CHECK: train.adamw %
// CHECK: train.adamw %
module attributes {train.quantized_states = #train<state_format bitsandbytes_8bit>,
                   train.optimizer = #train.adamw<weightDecay = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8>} {
  train.variable @w : tensor<64x64xf32> parameter init #train.ones trainable
  train.variable @small : tensor<4095xf32> parameter init #train.ones trainable
  train.variable @ragged : tensor<4097xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["learning_rate", "step"] outputs [] {
  ^bb0(%lr: tensor<f32>, %step: tensor<i64>):
    %w = train.read @w : tensor<64x64xf32>
    train.update @w, %w : tensor<64x64xf32>
    %small = train.read @small : tensor<4095xf32>
    train.update @small, %small : tensor<4095xf32>
    %ragged = train.read @ragged : tensor<4097xf32>
    train.update @ragged, %ragged : tensor<4097xf32>
    train.return
  }
}
