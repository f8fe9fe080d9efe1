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

// Nothing to update, nothing to do.
// CHECK-LABEL: train.entry @evaluate
// CHECK-NEXT: train.return
module {
  train.entry @evaluate kind(evaluate) batch 2 sequence 8 inputs [] outputs [] {
    train.return
  }
}
