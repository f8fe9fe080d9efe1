// RUN: ftc-opt %s -train-chunk-loss | FileCheck %s
// RUN: ftc-opt %s -train-chunk-loss -canonicalize -cse | FileCheck %s
// RUN: ftc-opt %s -train-chunk-loss --remarks-filter=train-chunk-loss --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: sed 's/loss_chunks = 2/loss_chunks = 1/' %s | ftc-opt -train-chunk-loss | FileCheck %s --check-prefix=WHOLE

// The gradient of label log-probabilities needs the sums of all rows: their chunks are made first, and the logits of each
// chunk once more for its gradient.
// REMARK: head and loss in 2 chunks of 8 rows
// REMARK: head and loss in 2 chunks of 8 rows
// CHECK-LABEL: train.entry @step
// CHECK-NOT: tensor<16x320xf32>
// CHECK: %[[Y0:.*]] = train.matmul %{{.*}} -> tensor<8x320xf32>
// CHECK: %[[P0:.*]], %[[LSE0:.*]] = train.label_log_probs %[[Y0]]
// CHECK: %[[Y1:.*]] = train.matmul %{{.*}} -> tensor<8x320xf32>
// CHECK: %[[P1:.*]], %[[LSE1:.*]] = train.label_log_probs %[[Y1]]
// CHECK: train.concat_rows %[[P0]], %[[P1]] : tensor<8xf32>, tensor<8xf32> -> tensor<16xf32>
// CHECK: train.sequence_sums
// CHECK: train.preference_loss
// CHECK: %[[G:.*]] = train.sequence_spread
// CHECK-NOT: tensor<16x320xf32>
// CHECK: %[[AGAIN0:.*]] = train.matmul %{{.*}} -> tensor<8x320xf32> {train.backward, train.recompute}
// CHECK: %[[D0:.*]] = train.label_log_probs_grad %[[AGAIN0]]
// CHECK: train.matmul %[[D0]], %{{.*}} -> tensor<8x64xf32>
// CHECK: train.matmul %{{.*}} -> tensor<8x320xf32> {train.backward, train.recompute}
// CHECK: %[[D1:.*]] = train.label_log_probs_grad
// CHECK: train.matmul %[[D1]], %{{.*}} -> tensor<8x64xf32>
// CHECK-NOT: tensor<16x320xf32>

// One chunk: nothing is computed twice.
// WHOLE-LABEL: train.entry @step
// WHOLE: %[[Y:.*]] = train.matmul %{{.*}} -> tensor<16x320xf32>
// WHOLE: train.label_log_probs %[[Y]]
// WHOLE-NOT: train.recompute
// WHOLE: train.label_log_probs_grad %[[Y]]
module attributes {train.loss_chunks = 2 : i64} {
  train.variable @w : tensor<320x64xf32> parameter init #train.normal<0.02>
  train.entry @step kind(step) batch 4 sequence 4 inputs ["x", "labels", "reference", "inv_tokens"] outputs ["loss", "dx"] {
  ^bb0(%x: tensor<16x64xf32>, %l: tensor<16xi32>, %r: tensor<4xf32>, %inv: tensor<f32>):
    %one = train.constant dense<1.0> : tensor<f32>
    %w = train.read @w : tensor<320x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
    %p, %lse = train.label_log_probs %y, %l ignore -100 : tensor<16x320xf32>, tensor<16xi32> -> tensor<16xf32>, tensor<16xf32>
    %s, %n = train.sequence_sums %p, %l batch 4 ignore -100 : tensor<16xf32>, tensor<16xi32> -> tensor<4xf32>
    %loss, %pairs = train.preference_loss sigmoid %s, %r, %n, %inv beta 0.1 label_smoothing 0.0 : tensor<4xf32>, tensor<f32> -> tensor<i32>
    %d = train.preference_loss_grad sigmoid %s, %r, %n, %inv, %one beta 0.1 label_smoothing 0.0 : tensor<4xf32>, tensor<f32>
    %g = train.sequence_spread %d : tensor<4xf32> -> tensor<16xf32>
    %dy = train.label_log_probs_grad %y, %l, %lse, %g ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<16xf32>, tensor<16xf32>
    %dx = train.matmul %dy, %w : tensor<16x320xf32>, tensor<320x64xf32> -> tensor<16x64xf32>
    train.return %loss, %dx : tensor<f32>, tensor<16x64xf32>
  }
}
