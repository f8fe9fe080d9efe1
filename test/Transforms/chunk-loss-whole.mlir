// RUN: ftc-opt %s -split-input-file -train-chunk-loss | FileCheck %s --implicit-check-not train.slice_rows
// RUN: ftc-opt %s -split-input-file -train-chunk-loss --remarks-filter=train-chunk-loss --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK --implicit-check-not "chunks of"

// Not asked for.
// CHECK-LABEL: train.entry @evaluate
module {
  train.entry @evaluate kind(evaluate) batch 2 sequence 8 inputs ["x", "labels", "w", "s"] outputs ["loss_sum"] {
  ^bb0(%x: tensor<16x64xf32>, %l: tensor<16xi32>, %w: tensor<320x64xf32>, %one: tensor<f32>):
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
    %loss, %n, %lse = train.cross_entropy %y, %l, %one ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
    train.return %loss : tensor<f32>
  }
}

// -----

// The pass chooses, and 16 rows are too few to cut.
// REMARK: the logits stay whole: 16 rows are one chunk
// CHECK-LABEL: train.entry @evaluate
module attributes {train.loss_chunks = 0 : i64} {
  train.entry @evaluate kind(evaluate) batch 2 sequence 8 inputs ["x", "labels", "w", "s"] outputs ["loss_sum"] {
  ^bb0(%x: tensor<16x64xf32>, %l: tensor<16xi32>, %w: tensor<320x64xf32>, %one: tensor<f32>):
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
    %loss, %n, %lse = train.cross_entropy %y, %l, %one ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
    train.return %loss : tensor<f32>
  }
}

// -----

// The logits are an output.
// REMARK: the logits stay whole: train.return needs the logits whole
// CHECK-LABEL: train.entry @evaluate
module attributes {train.loss_chunks = 2 : i64} {
  train.entry @evaluate kind(evaluate) batch 2 sequence 8 inputs ["x", "labels", "w", "s"] outputs ["loss_sum", "y"] {
  ^bb0(%x: tensor<16x64xf32>, %l: tensor<16xi32>, %w: tensor<320x64xf32>, %one: tensor<f32>):
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
    %loss, %n, %lse = train.cross_entropy %y, %l, %one ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
    train.return %loss, %y : tensor<f32>, tensor<16x320xf32>
  }
}

// -----

// A product that does not go row by row.
// REMARK: the logits stay whole: train.matmul does not take the logits row by row
// CHECK-LABEL: train.entry @evaluate
module attributes {train.loss_chunks = 2 : i64} {
  train.entry @evaluate kind(evaluate) batch 2 sequence 8 inputs ["x", "labels", "w", "s"] outputs ["loss_sum"] {
  ^bb0(%x: tensor<64x16xf32>, %l: tensor<16xi32>, %w: tensor<320x64xf32>, %one: tensor<f32>):
    %y = train.matmul %x, %w transpose_a transpose_b : tensor<64x16xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
    %loss, %n, %lse = train.cross_entropy %y, %l, %one ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
    train.return %loss : tensor<f32>
  }
}

// -----

// The gradient of the logits is scaled by something made of the whole loss.
// REMARK: the logits stay whole: train.cross_entropy_grad reads something made of the whole loss
// CHECK-LABEL: train.entry @step
module attributes {train.loss_chunks = 2 : i64} {
  train.entry @step kind(step) batch 2 sequence 8 inputs ["x", "labels", "inv_tokens", "w"] outputs ["dx"] {
  ^bb0(%x: tensor<16x64xf32>, %l: tensor<16xi32>, %inv: tensor<f32>, %w: tensor<320x64xf32>):
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
    %loss, %n, %lse = train.cross_entropy %y, %l, %inv ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
    %twice = train.scale %loss by %inv : tensor<f32>, tensor<f32>
    %d = train.cross_entropy_grad %y, %l, %lse, %inv, %twice ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<16xf32>, tensor<f32>, tensor<f32>
    %dx = train.matmul %d, %w : tensor<16x320xf32>, tensor<320x64xf32> -> tensor<16x64xf32>
    train.return %dx : tensor<16x64xf32>
  }
}

// -----

// The gradient of the logits is scaled by the loss itself.
// REMARK: the logits stay whole: train.cross_entropy_grad reads a sum over all rows
// CHECK-LABEL: train.entry @step
module attributes {train.loss_chunks = 2 : i64} {
  train.entry @step kind(step) batch 2 sequence 8 inputs ["x", "labels", "inv_tokens", "w"] outputs ["dx"] {
  ^bb0(%x: tensor<16x64xf32>, %l: tensor<16xi32>, %inv: tensor<f32>, %w: tensor<320x64xf32>):
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
    %loss, %n, %lse = train.cross_entropy %y, %l, %inv ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
    %d = train.cross_entropy_grad %y, %l, %lse, %inv, %loss ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<16xf32>, tensor<f32>, tensor<f32>
    %dx = train.matmul %d, %w : tensor<16x320xf32>, tensor<320x64xf32> -> tensor<16x64xf32>
    train.return %dx : tensor<16x64xf32>
  }
}

// -----

// The logits are an input.
// REMARK: the logits stay whole: the logits are an input
// CHECK-LABEL: train.entry @evaluate
module attributes {train.loss_chunks = 2 : i64} {
  train.entry @evaluate kind(evaluate) batch 2 sequence 8 inputs ["y", "labels", "s"] outputs ["loss_sum"] {
  ^bb0(%y: tensor<16x320xf32>, %l: tensor<16xi32>, %one: tensor<f32>):
    %loss, %n, %lse = train.cross_entropy %y, %l, %one ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
    train.return %loss : tensor<f32>
  }
}

// -----

// Log-probabilities and their gradient could go apart, but for who else reads the logits.
// REMARK: the logits stay whole: train.return needs the logits whole
// CHECK-LABEL: train.entry @returned
module attributes {train.loss_chunks = 4 : i64} {
train.entry @returned kind(step) batch 1 sequence 8 inputs ["labels", "h", "w", "g"] outputs ["logits", "dh"] {
^bb0(%l: tensor<8xi32>, %h: tensor<8x4xf32>, %w: tensor<320x4xf32>, %q: tensor<8xf32>):
  %x = train.matmul %h, %w transpose_b : tensor<8x4xf32>, tensor<320x4xf32> -> tensor<8x320xf32>
  %p, %lse = train.label_log_probs %x, %l ignore -100 : tensor<8x320xf32>, tensor<8xi32> -> tensor<8xf32>, tensor<8xf32>
  %g = train.label_log_probs_grad %x, %l, %lse, %p ignore -100 : tensor<8x320xf32>, tensor<8xi32>, tensor<8xf32>, tensor<8xf32>
  %dh = train.matmul %g, %w : tensor<8x320xf32>, tensor<320x4xf32> -> tensor<8x4xf32>
  train.return %x, %dh : tensor<8x320xf32>, tensor<8x4xf32>
}
}

// -----

// REMARK: the logits stay whole: the logits are an input
// CHECK-LABEL: train.entry @given
module attributes {train.loss_chunks = 4 : i64} {
train.entry @given kind(step) batch 1 sequence 8 inputs ["labels", "x", "g"] outputs ["d"] {
^bb0(%l: tensor<8xi32>, %x: tensor<8x320xf32>, %q: tensor<8xf32>):
  %p, %lse = train.label_log_probs %x, %l ignore -100 : tensor<8x320xf32>, tensor<8xi32> -> tensor<8xf32>, tensor<8xf32>
  %g = train.label_log_probs_grad %x, %l, %lse, %p ignore -100 : tensor<8x320xf32>, tensor<8xi32>, tensor<8xf32>, tensor<8xf32>
  %m = train.add %g, %x : tensor<8x320xf32>
  train.return %m : tensor<8x320xf32>
}
}
