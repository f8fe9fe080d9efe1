// RUN: ftc-opt %s --train-form-kernels --split-input-file | FileCheck %s
// RUN: ftc-opt %s --train-form-kernels --split-input-file --remarks-filter=train-form-kernels --remark-format=emitRemark \
// RUN:   2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// Running the pass again changes nothing.
// RUN: ftc-opt %s --train-form-kernels --split-input-file > %t.once
// RUN: ftc-opt %s --train-form-kernels --train-form-kernels --split-input-file > %t.twice
// RUN: cmp %t.once %t.twice

// The residual stream is read elsewhere, the sum of products is not.
// CHECK-LABEL: @residual_and_norm
// CHECK: ^bb0(%[[X:.*]]: tensor<16x64xf32>, %[[Y:.*]]: tensor<16x64xf32>, %[[W:.*]]: tensor<64xf32>, %{{.*}}: tensor<64x64xf32>)
// CHECK-NEXT: %[[P:.*]] = train.matmul
// CHECK-NEXT: %[[F:.*]]:2 = train.fused(%[[A:.*]] = %[[X]], %[[B:.*]] = %[[P]], %[[C:.*]] = %[[Y]], %[[D:.*]] = %[[W]])
// CHECK-NEXT:   %[[S:.*]] = train.add %[[A]], %[[B]]
// CHECK-NEXT:   %[[H:.*]] = train.add %[[S]], %[[C]]
// CHECK-NEXT:   %[[N:.*]] = train.rms_norm %[[H]], %[[D]]
// CHECK-NEXT:   train.yield %[[H]], %[[N]]
// CHECK:      train.return %[[F]]#0, %[[F]]#1
// Of %s: write and read; of %h: read by the norm.
// REMARK: one kernel of 2 x train.add, train.rms_norm", traffic_saved=12288
train.entry @residual_and_norm kind(evaluate) batch 2 sequence 8 inputs ["x", "y", "w", "m"] outputs ["h", "n"] {
^bb0(%x: tensor<16x64xf32>, %y: tensor<16x64xf32>, %w: tensor<64xf32>, %m: tensor<64x64xf32>):
  %p = train.matmul %x, %m : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
  %s = train.add %x, %p : tensor<16x64xf32>
  %h = train.add %s, %y : tensor<16x64xf32>
  %n = train.rms_norm %h, %w eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32>
  train.return %h, %n : tensor<16x64xf32>, tensor<16x64xf32>
}

// -----

// CHECK-LABEL: @embedding_and_norm
// CHECK: train.fused
// CHECK-NEXT: train.embedding
// CHECK-NEXT: train.rms_norm
train.entry @embedding_and_norm kind(evaluate) batch 2 sequence 8 inputs ["table", "ids", "w"] outputs ["n"] {
^bb0(%table: tensor<320x64xbf16>, %ids: tensor<16xi32>, %w: tensor<64xbf16>):
  %h = train.embedding %table, %ids : tensor<320x64xbf16>, tensor<16xi32> -> tensor<16x64xbf16>
  %n = train.rms_norm %h, %w eps 1.0e-5 : tensor<16x64xbf16>, tensor<64xbf16>
  train.return %n : tensor<16x64xbf16>
}

// -----

// The loss and its gradient read the logits once; what has one element a row (labels, log-sum-exp) goes with them.
// CHECK-LABEL: @loss_and_gradient
// CHECK: %[[F:.*]]:2 = train.fused
// CHECK-NEXT: %[[LOSS:.*]], %{{.*}}, %[[LSE:.*]] = train.cross_entropy
// CHECK-NEXT: %[[D:.*]] = train.cross_entropy_grad %{{.*}}, %{{.*}}, %[[LSE]]
// CHECK-NEXT: train.yield %[[LOSS]], %[[D]]
train.entry @loss_and_gradient kind(step) batch 2 sequence 8 inputs ["logits", "labels", "inv_tokens"] outputs ["loss", "d"] {
^bb0(%logits: tensor<16x320xf32>, %labels: tensor<16xi32>, %inv: tensor<f32>):
  %one = train.constant dense<1.0> : tensor<f32>
  %loss, %count, %lse = train.cross_entropy %logits, %labels, %inv ignore -100
    : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
  %d = train.cross_entropy_grad %logits, %labels, %lse, %inv, %one ignore -100
    : tensor<16x320xf32>, tensor<16xi32>, tensor<16xf32>, tensor<f32>, tensor<f32>
  train.return %loss, %d : tensor<f32>, tensor<16x320xf32>
}

// -----

// A norm's weight gradient may leave a group, and a sum of squares may end one.
// CHECK-LABEL: @reductions_end_a_group
// CHECK: train.fused
// CHECK-NEXT: train.rms_norm_grad
// CHECK-NEXT: train.add
// CHECK-NEXT: train.sum_squares
// CHECK-NEXT: train.yield
train.entry @reductions_end_a_group kind(step) batch 2 sequence 8 inputs ["x", "w", "d", "base"] outputs ["dw", "s"] {
^bb0(%x: tensor<16x64xf32>, %w: tensor<64xf32>, %d: tensor<16x64xf32>, %base: tensor<f32>):
  %dx, %dw = train.rms_norm_grad %x, %w, %d eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32>
  %r = train.add %dx, %d : tensor<16x64xf32>
  %s = train.sum_squares %r onto %base : tensor<16x64xf32>, tensor<f32> -> tensor<f32>
  train.return %dw, %s : tensor<64xf32>, tensor<f32>
}

// -----

// What depends on a group and stands between its ops moves behind it.
// CHECK-LABEL: @dependents_move_behind
// CHECK: %[[F:.*]]:2 = train.fused
// CHECK: %[[P:.*]] = train.matmul %[[F]]#0
// CHECK-NEXT: train.write @v, %[[P]]
// CHECK-NEXT: train.return
train.variable @v : tensor<16x16xf32> state init #train.zeros
train.entry @dependents_move_behind kind(step) batch 2 sequence 8 inputs ["x", "y"] outputs ["b"] {
^bb0(%x: tensor<16x64xf32>, %y: tensor<16x64xf32>):
  %a = train.add %x, %y : tensor<16x64xf32>
  %p = train.matmul %a, %x transpose_b : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<16x16xf32>
  train.write @v, %p : tensor<16x16xf32>
  %b = train.swiglu %a, %y : tensor<16x64xf32>
  train.return %b : tensor<16x64xf32>
}

// -----

// CHECK-LABEL: @path_through_a_product
// CHECK-NOT: train.fused
// REMARK: train.add does not join train.add: another op stands on a path between them
train.entry @path_through_a_product kind(evaluate) batch 2 sequence 8 inputs ["x", "w"] outputs ["b"] {
^bb0(%x: tensor<16x64xf32>, %w: tensor<64x64xf32>):
  %a = train.add %x, %x : tensor<16x64xf32>
  %p = train.matmul %a, %w : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
  %b = train.add %a, %p : tensor<16x64xf32>
  train.return %b : tensor<16x64xf32>
}

// -----

// Two groups that each feed the other cannot both be one kernel: the first pair wins.
// CHECK-LABEL: @groups_in_a_cycle
// CHECK: train.fused
// CHECK-NEXT: train.add
// CHECK-NEXT: train.swiglu
// CHECK-NEXT: train.yield
// CHECK-NOT: train.fused
// REMARK: train.swiglu does not join train.swiglu: another op stands on a path between them
train.entry @groups_in_a_cycle kind(evaluate) batch 2 sequence 8 inputs ["x", "w"] outputs ["f"] {
^bb0(%x: tensor<16x64xf32>, %w: tensor<64x64xf32>):
  %a = train.add %x, %x : tensor<16x64xf32>
  %b = train.swiglu %x, %x : tensor<16x64xf32>
  %c = train.matmul %b, %w : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
  %d = train.swiglu %a, %c : tensor<16x64xf32>
  %e = train.matmul %a, %w : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
  %f = train.swiglu %b, %e : tensor<16x64xf32>
  %g = train.matmul %d, %f transpose_b : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<16x16xf32>
  train.return %g : tensor<16x16xf32>
}

// -----

// CHECK-LABEL: @reads_a_reduction
// CHECK-NOT: train.fused
// REMARK-NOT: train.adamw does not join
train.entry @reads_a_reduction kind(step) batch 1 sequence 1 inputs ["x", "w", "d", "lr", "step"] outputs ["w1"] {
^bb0(%x: tensor<1x64xf32>, %w: tensor<64xf32>, %d: tensor<1x64xf32>, %lr: tensor<f32>, %t: tensor<i64>):
  %one = train.constant dense<1.0> : tensor<f32>
  %dx, %dw = train.rms_norm_grad %x, %w, %d eps 1.0e-5 : tensor<1x64xf32>, tensor<64xf32>
  %w1, %m, %v = train.adamw %w, %dw, %w, %w, %lr, %t, %one
    with <weightDecay = 0.000000e+00, beta1 = 9.000000e-01, beta2 = 9.990000e-01, eps = 1.000000e-08>
    : tensor<64xf32>, tensor<64xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return %w1 : tensor<64xf32>
}

// -----

// The sum over all rows is not known at any row: what scales by it is another kernel.
// CHECK-LABEL: @scales_by_a_sum
// CHECK: train.fused
// CHECK-NEXT: train.add
// CHECK-NEXT: train.sum_squares
// CHECK-NEXT: train.yield
// CHECK: train.scale
// REMARK: train.scale does not join train.add: a value that passes between them is not one of the same row
train.entry @scales_by_a_sum kind(step) batch 2 sequence 8 inputs ["x", "base"] outputs ["y"] {
^bb0(%x: tensor<16x64xf32>, %base: tensor<f32>):
  %a = train.add %x, %x : tensor<16x64xf32>
  %s = train.sum_squares %a onto %base : tensor<16x64xf32>, tensor<f32> -> tensor<f32>
  %y = train.scale %a by %s : tensor<16x64xf32>, tensor<f32>
  train.return %y : tensor<16x64xf32>
}

// -----

// CHECK-LABEL: @updates_stay_apart
// CHECK: train.fused
// CHECK-NEXT: train.scale
// CHECK-NEXT: train.sgd
// CHECK-NEXT: train.yield
// CHECK: train.sgd
// CHECK-NEXT: train.return
// REMARK: train.sgd does not join train.scale: each parameter keeps an update of its own
train.entry @updates_stay_apart kind(step) batch 1 sequence 1 inputs ["p", "q", "g", "lr"] outputs ["p1", "q1"] {
^bb0(%p: tensor<8x64xf32>, %q: tensor<8x64xf32>, %g: tensor<8x64xf32>, %lr: tensor<f32>):
  %h = train.scale %g by %lr : tensor<8x64xf32>, tensor<f32>
  %p1 = train.sgd %p, %h, %lr, %lr with <weightDecay = 0.000000e+00> : tensor<8x64xf32>, tensor<f32>, tensor<f32>
  %q1 = train.sgd %q, %h, %lr, %lr with <weightDecay = 0.000000e+00> : tensor<8x64xf32>, tensor<f32>, tensor<f32>
  train.return %p1, %q1 : tensor<8x64xf32>, tensor<8x64xf32>
}

// -----

// Equal rows, but the log-sum-exp is a row of sixteen columns to the addition, not sixteen rows.
// CHECK-LABEL: @rows_differ
// CHECK-NOT: train.fused
// REMARK: train.add does not join train.cross_entropy: they have 16 and 1 rows
train.entry @rows_differ kind(evaluate) batch 2 sequence 8 inputs ["logits", "labels", "inv_tokens"] outputs ["twice"] {
^bb0(%logits: tensor<16x320xf32>, %labels: tensor<16xi32>, %inv: tensor<f32>):
  %loss, %count, %lse = train.cross_entropy %logits, %labels, %inv ignore -100
    : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
  %twice = train.add %lse, %lse : tensor<16xf32>
  train.return %twice : tensor<16xf32>
}

// -----

// Nothing passes between these: they stay alone.
// CHECK-LABEL: @nothing_to_save
// CHECK-NOT: train.fused
// REMARK-NOT: remark
train.entry @nothing_to_save kind(evaluate) batch 2 sequence 8 inputs ["x", "y"] outputs ["a", "b"] {
^bb0(%x: tensor<16x64xf32>, %y: tensor<16x64xf32>):
  %a = train.add %x, %y : tensor<16x64xf32>
  %b = train.swiglu %x, %y : tensor<16x64xf32>
  train.return %a, %b : tensor<16x64xf32>, tensor<16x64xf32>
}
