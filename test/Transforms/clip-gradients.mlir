// RUN: ftc-opt %s -split-input-file -train-clip-gradients | FileCheck %s

// CHECK-LABEL: train.entry @step
// CHECK-SAME: outputs ["loss", "grad_norm"]
// CHECK: %[[LOSS:.*]] = train.constant
// CHECK: %[[ZERO:.*]] = train.constant dense<0.0
// CHECK: %[[A:.*]] = train.sum_squares %{{.*}} onto %[[ZERO]]
// CHECK: %[[B:.*]] = train.sum_squares %{{.*}} onto %[[A]]
// CHECK: %[[NORM:.*]], %[[FACTOR:.*]] = train.clip_factor %[[B]] max_norm 1.0
// CHECK: train.update @w, %{{.*}} scale %[[FACTOR]]
// CHECK: train.update @v, %{{.*}} scale %[[FACTOR]]
// CHECK: train.return %[[LOSS]], %[[NORM]]
module attributes {train.clip_grad_norm = 1.0 : f64} {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  train.variable @v : tensor<64xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs [] outputs ["loss"] {
    %w = train.read @w : tensor<64xf32>
    %v = train.read @v : tensor<64xf32>
    train.update @w, %w : tensor<64xf32>
    train.update @v, %v : tensor<64xf32>
    %zero = train.constant dense<0.0> : tensor<f32>
    train.return %zero : tensor<f32>
  }
}

// -----

// An infinite bound adds the norm and scales nothing.
// CHECK-LABEL: train.entry @step
// CHECK: train.clip_factor
// CHECK: train.update @w, %{{[0-9]+}} : tensor<64xf32>
module attributes {train.clip_grad_norm = 0x7FF0000000000000 : f64} {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs [] outputs [] {
    %w = train.read @w : tensor<64xf32>
    train.update @w, %w : tensor<64xf32>
    train.return
  }
}

// -----

// Without the attribute the pass does nothing.
// CHECK-LABEL: train.entry @step
// CHECK-NOT: sum_squares
module {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs [] outputs [] {
    %w = train.read @w : tensor<64xf32>
    train.update @w, %w : tensor<64xf32>
    train.return
  }
}
