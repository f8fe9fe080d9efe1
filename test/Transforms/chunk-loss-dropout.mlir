// RUN: ftc-opt %s -train-differentiate -train-chunk-loss | FileCheck %s
// RUN: ftc-opt %s -train-differentiate -train-chunk-loss --remarks-filter=train-chunk-loss --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// Each chunk would drop what the first one does.
// CHECK-NOT: train.slice_rows
// REMARK: the logits stay whole: train.dropout takes its random bits by the number of a row, which is another one in a chunk
module attributes {train.loss_chunks = 2 : i64} {
train.variable @w : tensor<320x64xf32> parameter init #train.zeros trainable
train.entry @step kind(step) batch 1 sequence 16 inputs ["x", "labels", "inv_tokens", "seed", "step", "micro"] outputs ["loss"] {
^bb0(%x: tensor<16x64xf32>, %labels: tensor<16xi32>, %inv: tensor<f32>, %seed: tensor<i64>, %step: tensor<i64>, %micro: tensor<i64>):
  %w = train.read @w : tensor<320x64xf32>
  %l0 = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
  %l = train.dropout %l0 probability 0.5 stream "logits" seed %seed step %step micro %micro : tensor<16x320xf32>, tensor<i64>
  %loss, %count, %lse = train.cross_entropy %l, %labels, %inv ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
  train.loss %loss : tensor<f32>
  train.return %loss : tensor<f32>
}
}
