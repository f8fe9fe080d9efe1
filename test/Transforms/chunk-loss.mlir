// RUN: ftc-opt %s -split-input-file -train-chunk-loss | FileCheck %s
// RUN: ftc-opt %s -split-input-file -train-chunk-loss --remarks-filter=train-chunk-loss --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// A differentiated head in two chunks: each makes its logits, its loss and its gradients; the weight's gradient grows,
// the rows of the hidden states' gradient lie below each other.
// REMARK: head and loss in 2 chunks of 8 rows
// REMARK-SAME: bytes_saved=10240
// CHECK-LABEL: train.entry @step
// CHECK: ^bb0(%[[X:.*]]: tensor<16x64xf32>, %[[LABELS:.*]]: tensor<16xi32>, %[[INV:.*]]: tensor<f32>)
// CHECK: %[[W:.*]] = train.read @w
// CHECK-NOT: tensor<16x320xf32>
// CHECK: %[[X0:.*]] = train.slice_rows %[[X]] from 0 : tensor<16x64xf32> -> tensor<8x64xf32>
// CHECK-NEXT: %[[Y0:.*]] = train.matmul %[[X0]], %[[W]] transpose_b : tensor<8x64xf32>, tensor<320x64xf32> -> tensor<8x320xf32>
// CHECK-NEXT: %[[L0:.*]] = train.slice_rows %[[LABELS]] from 0 : tensor<16xi32> -> tensor<8xi32>
// CHECK-NEXT: %[[LOSS0:.*]], %{{.*}}, %[[LSE0:.*]] = train.cross_entropy %[[Y0]], %[[L0]], %[[INV]] ignore -100
// CHECK-NEXT: %[[DY0:.*]] = train.cross_entropy_grad %[[Y0]], %[[L0]], %[[LSE0]], %[[INV]]
// CHECK-NEXT: %[[DX0:.*]] = train.matmul %[[DY0]], %[[W]] : tensor<8x320xf32>, tensor<320x64xf32> -> tensor<8x64xf32>
// CHECK-NEXT: %[[DW0:.*]] = train.matmul %[[DY0]], %[[X0]] transpose_a : tensor<8x320xf32>
// CHECK-NEXT: %[[X1:.*]] = train.slice_rows %[[X]] from 8
// CHECK-NEXT: %[[Y1:.*]] = train.matmul %[[X1]], %[[W]] transpose_b
// CHECK-NEXT: %[[L1:.*]] = train.slice_rows %[[LABELS]] from 8
// CHECK-NEXT: %[[LOSS1:.*]], %{{.*}}, %[[LSE1:.*]] = train.cross_entropy %[[Y1]], %[[L1]], %[[INV]] ignore -100
// CHECK-NEXT: %[[DY1:.*]] = train.cross_entropy_grad %[[Y1]], %[[L1]], %[[LSE1]]
// CHECK-NEXT: %[[DX1:.*]] = train.matmul %[[DY1]], %[[W]]
// CHECK-NEXT: %[[DW:.*]] = train.matmul %[[DY1]], %[[X1]] transpose_a onto %[[DW0]] : tensor<320x64xf32>, tensor<8x320xf32>
// CHECK-NEXT: %[[LOSS:.*]] = train.add %[[LOSS0]], %[[LOSS1]] : tensor<f32>
// CHECK-NEXT: %[[DX:.*]] = train.concat_rows %[[DX0]], %[[DX1]] : tensor<8x64xf32>, tensor<8x64xf32> -> tensor<16x64xf32>
// CHECK-NEXT: train.update @w, %[[DW]]
// CHECK-NEXT: train.return %[[LOSS]], %[[DX]]
module attributes {train.loss_chunks = 2 : i64} {
  train.variable @w : tensor<320x64xf32> parameter init #train.normal<0.02> trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["x", "labels", "inv_tokens"] outputs ["loss", "dx"] {
  ^bb0(%x: tensor<16x64xf32>, %l: tensor<16xi32>, %inv: tensor<f32>):
    %w = train.read @w : tensor<320x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
    %loss, %n, %lse = train.cross_entropy %y, %l, %inv ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
    %one = train.constant dense<1.0> : tensor<f32>
    %d = train.cross_entropy_grad %y, %l, %lse, %inv, %one ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<16xf32>, tensor<f32>, tensor<f32>
    %dx = train.matmul %d, %w : tensor<16x320xf32>, tensor<320x64xf32> -> tensor<16x64xf32>
    %dw = train.matmul %d, %x transpose_a : tensor<16x320xf32>, tensor<16x64xf32> -> tensor<320x64xf32>
    train.update @w, %dw : tensor<320x64xf32>
    train.return %loss, %dx : tensor<f32>, tensor<16x64xf32>
  }
}

// -----

// Forward only; rows that three chunks do not divide: the last has fewer. Loss and count are sums of the chunks'.
// REMARK: head and loss in 3 chunks of 6 rows
// CHECK-LABEL: train.entry @evaluate
// CHECK-COUNT-2: train.matmul %{{.*}} -> tensor<6x320xbf16>
// CHECK: train.slice_rows %{{.*}} from 12 : tensor<16x64xbf16> -> tensor<4x64xbf16>
// CHECK: train.matmul %{{.*}} -> tensor<4x320xbf16>
// CHECK: train.add %{{.*}} : tensor<f32>
// CHECK-NEXT: train.add %{{.*}} : tensor<f32>
// CHECK-NEXT: train.add %{{.*}} : tensor<i32>
// CHECK-NEXT: train.add %{{.*}} : tensor<i32>
// CHECK-NEXT: train.return
module attributes {train.loss_chunks = 3 : i64} {
  train.variable @w : tensor<320x64xbf16> parameter init #train.normal<0.02>
  train.entry @evaluate kind(evaluate) batch 2 sequence 8 inputs ["x", "labels"] outputs ["loss_sum", "valid_tokens"] {
  ^bb0(%x: tensor<16x64xbf16>, %l: tensor<16xi32>):
    %one = train.constant dense<1.0> : tensor<f32>
    %w = train.read @w : tensor<320x64xbf16>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xbf16>, tensor<320x64xbf16> -> tensor<16x320xbf16>
    %loss, %n, %lse = train.cross_entropy %y, %l, %one ignore -100 : tensor<16x320xbf16>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
    train.return %loss, %n : tensor<f32>, tensor<i32>
  }
}

// -----

// An adapter beside the head is chunked with it: what it adds is as large as the logits. The log-sum-exp, read outside,
// is put together again.
// REMARK: head and loss in 4 chunks of 4 rows
// CHECK-LABEL: train.entry @step
// CHECK-NOT: 16x320
// CHECK: %[[B:.*]] = train.matmul %{{.*}}, %{{.*}} transpose_b : tensor<16x64xf32>, tensor<4x64xf32> -> tensor<16x4xf32>
// CHECK: train.slice_rows %[[B]] from 0 : tensor<16x4xf32> -> tensor<4x4xf32>
// CHECK: train.slice_rows %[[B]] from 12 : tensor<16x4xf32> -> tensor<4x4xf32>
// CHECK: train.concat_rows {{.*}} -> tensor<16xf32>
module attributes {train.loss_chunks = 4 : i64} {
  train.entry @step kind(step) batch 2 sequence 8 inputs ["x", "labels", "inv_tokens", "w", "a", "b"] outputs ["loss", "lse"] {
  ^bb0(%x: tensor<16x64xf32>, %l: tensor<16xi32>, %inv: tensor<f32>, %w: tensor<320x64xf32>, %a: tensor<4x64xf32>, %b: tensor<320x4xf32>):
    %y0 = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
    %t = train.matmul %x, %a transpose_b : tensor<16x64xf32>, tensor<4x64xf32> -> tensor<16x4xf32>
    %u = train.matmul %t, %b transpose_b : tensor<16x4xf32>, tensor<320x4xf32> -> tensor<16x320xf32>
    %v = train.scale %u by %inv : tensor<16x320xf32>, tensor<f32>
    %y = train.add %y0, %v : tensor<16x320xf32>
    %loss, %n, %lse = train.cross_entropy %y, %l, %inv ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
    train.return %loss, %lse : tensor<f32>, tensor<16xf32>
  }
}

// -----

// What depends on the loss and stands between the ops of the group moves behind it.
// CHECK-LABEL: train.entry @step
// CHECK: train.cross_entropy
// CHECK: train.cross_entropy_grad
// CHECK: train.cross_entropy
// CHECK: train.cross_entropy_grad
// CHECK: %[[LOSS:.*]] = train.add
// CHECK: train.scale %[[LOSS]]
// CHECK: train.return
module attributes {train.loss_chunks = 2 : i64} {
  train.entry @step kind(step) batch 2 sequence 8 inputs ["x", "labels", "inv_tokens", "w"] outputs ["loss", "dx"] {
  ^bb0(%x: tensor<16x64xf32>, %l: tensor<16xi32>, %inv: tensor<f32>, %w: tensor<320x64xf32>):
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
    %loss, %n, %lse = train.cross_entropy %y, %l, %inv ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
    %twice = train.scale %loss by %inv : tensor<f32>, tensor<f32>
    %d = train.cross_entropy_grad %y, %l, %lse, %inv, %inv ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<16xf32>, tensor<f32>, tensor<f32>
    %dx = train.matmul %d, %w : tensor<16x320xf32>, tensor<320x64xf32> -> tensor<16x64xf32>
    train.return %twice, %dx : tensor<f32>, tensor<16x64xf32>
  }
}

// -----

// The pass chooses: 1024 rows in chunks of 256.
// REMARK: head and loss in 4 chunks of 256 rows
// CHECK-LABEL: train.entry @evaluate
// CHECK-COUNT-4: train.matmul %{{.*}} -> tensor<256x512xf32>
// CHECK-NOT: train.matmul
module attributes {train.loss_chunks = 0 : i64} {
  train.entry @evaluate kind(evaluate) batch 1 sequence 1024 inputs ["x", "labels", "w", "s"] outputs ["loss_sum"] {
  ^bb0(%x: tensor<1024x8xf32>, %l: tensor<1024xi32>, %w: tensor<512x8xf32>, %one: tensor<f32>):
    %y = train.matmul %x, %w transpose_b : tensor<1024x8xf32>, tensor<512x8xf32> -> tensor<1024x512xf32>
    %loss, %n, %lse = train.cross_entropy %y, %l, %one ignore -100 : tensor<1024x512xf32>, tensor<1024xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<1024xf32>
    train.return %loss : tensor<f32>
  }
}
