// RUN: ftc-opt %s -train-fuse-updates -train-lower-optimizer | FileCheck %s

// A read behind an update sees the old value, and stands before the write then.
// CHECK: train.read @w
// CHECK-NOT: train.read
// CHECK: train.write @w
module attributes {train.optimizer = #train.sgd<weightDecay = 0.0 : f64>, train.updates = #train.updates<backward>} {
train.variable @w : tensor<8x4xf32> parameter init #train.zeros trainable
train.entry @step kind(step) batch 1 sequence 16 inputs ["g", "learning_rate"] outputs ["old"] {
^bb0(%g: tensor<8x4xf32>, %lr: tensor<f32>):
  train.update @w, %g : tensor<8x4xf32>
  %w = train.read @w : tensor<8x4xf32>
  train.return %w : tensor<8x4xf32>
}
}
