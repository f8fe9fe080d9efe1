// RUN: ftc-opt %s -split-input-file -train-accumulate-gradients | FileCheck %s

// CHECK: train.variable @w : tensor<64xf32> parameter
// CHECK-NEXT: train.variable @w.grad : tensor<64xf32> accumulator init #train.zeros
// CHECK-LABEL: train.entry @micro
// CHECK: %[[S:.*]] = train.read @w.grad
// CHECK-NEXT: %[[T:.*]] = train.accumulate %{{.*}} onto %[[S]] at %{{.*}}
// CHECK-NEXT: train.write @w.grad, %[[T]]
// CHECK-NOT: train.update
// CHECK-LABEL: train.entry @step
// CHECK: %[[S:.*]] = train.read @w.grad
// CHECK-NEXT: %[[T:.*]] = train.accumulate %{{.*}} onto %[[S]] at %{{.*}}
// CHECK-NEXT: train.update @w, %[[T]]
// CHECK-NOT: train.write @w.grad
module {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  train.entry @micro kind(micro) batch 2 sequence 8 inputs ["micro"] outputs [] {
  ^bb0(%micro: tensor<i64>):
    %w = train.read @w : tensor<64xf32>
    train.update @w, %w : tensor<64xf32>
    train.return
  }
  train.entry @step kind(step) batch 2 sequence 8 inputs ["micro"] outputs [] {
  ^bb0(%micro: tensor<i64>):
    %w = train.read @w : tensor<64xf32>
    train.update @w, %w : tensor<64xf32>
    train.return
  }
}

// -----

// Without a micro entry there is nothing to do.
// CHECK-LABEL: train.entry @step
// CHECK-NOT: train.accumulate
module {
  train.variable @w : tensor<64xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs [] outputs [] {
    %w = train.read @w : tensor<64xf32>
    train.update @w, %w : tensor<64xf32>
    train.return
  }
}
