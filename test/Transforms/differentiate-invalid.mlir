// RUN: ftc-opt %s -split-input-file -train-differentiate -verify-diagnostics

train.variable @w : tensor<16x64xf32> parameter init #train.ones trainable
train.entry @step kind(step) batch 2 sequence 8 inputs ["position"] outputs [] {
^bb0(%i: tensor<i64>):
  %w = train.read @w : tensor<16x64xf32>
  // expected-error@+1 {{stands between a trainable variable and the loss but states no vector-Jacobian product}}
  %x = train.gather_row %w, %i : tensor<16x64xf32>, tensor<i64> -> tensor<1x64xf32>
  %zero = train.constant dense<0.0> : tensor<f32>
  %l = train.constant dense<0> : tensor<1xi32>
  %loss, %n, %lse = train.cross_entropy %x, %l, %zero ignore -100 : tensor<1x64xf32>, tensor<1xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<1xf32>
  train.loss %loss : tensor<f32>
  train.return
}

// -----

train.entry @step kind(step) batch 2 sequence 8 inputs [] outputs [] {
  %zero = train.constant dense<0.0> : tensor<f32>
  train.loss %zero : tensor<f32>
  // expected-error@+1 {{is the second loss of its entry}}
  train.loss %zero : tensor<f32>
  train.return
}

// -----

// Statistics have no gradient: a loss of them is refused, also where the first result has one.
train.variable @w : tensor<64x64xf32> parameter init #train.zeros trainable
train.entry @step kind(step) batch 1 sequence 16 inputs ["x", "segment_starts", "labels", "inv_tokens"] outputs ["loss"] {
^bb0(%x: tensor<16x64xf32>, %st: tensor<16xi32>, %labels: tensor<16xi32>, %inv: tensor<f32>):
  %w = train.read @w : tensor<64x64xf32>
  %q = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
  // expected-error @below {{states no vector-Jacobian product for its result 1, which the loss depends on}}
  %o, %lse = train.attention %q, %q, %q, %st batch 1 heads 4 kv_heads 4 scale 0.25 : tensor<16x64xf32>, tensor<16x64xf32>, tensor<16xi32> -> tensor<16x4xf32>
  %l1, %c1, %s1 = train.cross_entropy %lse, %labels, %inv ignore -100 : tensor<16x4xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
  %l2, %c2, %s2 = train.cross_entropy %o, %labels, %inv ignore -100 : tensor<16x64xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
  %loss = train.add %l1, %l2 : tensor<f32>
  train.loss %loss : tensor<f32>
  train.return %loss : tensor<f32>
}

// -----

train.variable @w : tensor<64x64xf32> parameter init #train.zeros trainable
train.entry @step kind(step) batch 1 sequence 16 inputs ["x", "segment_starts", "labels", "inv_tokens"] outputs ["loss"] {
^bb0(%x: tensor<16x64xf32>, %st: tensor<16xi32>, %labels: tensor<16xi32>, %inv: tensor<f32>):
  %w = train.read @w : tensor<64x64xf32>
  %q = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
  // expected-error @below {{states no vector-Jacobian product for its result 1, which the loss depends on}}
  %o, %lse = train.attention %q, %q, %q, %st batch 1 heads 4 kv_heads 4 scale 0.25 : tensor<16x64xf32>, tensor<16x64xf32>, tensor<16xi32> -> tensor<16x4xf32>
  %loss, %count, %l2 = train.cross_entropy %lse, %labels, %inv ignore -100 : tensor<16x4xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
  train.loss %loss : tensor<f32>
  train.return %loss : tensor<f32>
}

// -----

train.variable @w : tensor<320x64xf32> parameter init #train.zeros trainable
train.entry @step kind(step) batch 16 sequence 1 inputs ["x", "t", "labels", "inv_tokens"] outputs ["loss"] {
^bb0(%x: tensor<16x64xf32>, %t: tensor<16x320xf32>, %labels: tensor<16xi32>, %inv: tensor<f32>):
  %w = train.read @w : tensor<320x64xf32>
  %l = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
  // expected-error @below {{states no vector-Jacobian product for its result 1, which the loss depends on}}
  %loss, %class, %kd, %count, %lse, %tlse = train.distillation_loss %l, %t, %labels, %inv ratio 0.5 ignore -100
      : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<i32>, tensor<16xf32>
  train.loss %class : tensor<f32>
  train.return %class : tensor<f32>
}

// -----

train.variable @w : tensor<320x64xf32> parameter init #train.zeros trainable
train.entry @step kind(step) batch 16 sequence 1 inputs ["x", "labels", "inv_pairs"] outputs ["loss"] {
^bb0(%x: tensor<16x64xf32>, %labels: tensor<16xi32>, %inv: tensor<f32>):
  %w = train.read @w : tensor<320x64xf32>
  %l = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
  // expected-error @below {{states no vector-Jacobian product for its result 1, which the loss depends on}}
  %p, %lse = train.label_log_probs %l, %labels ignore -100 : tensor<16x320xf32>, tensor<16xi32> -> tensor<16xf32>, tensor<16xf32>
  %s, %n = train.sequence_sums %lse, %labels batch 16 ignore -100 : tensor<16xf32>, tensor<16xi32> -> tensor<16xf32>
  %loss, %c = train.preference_loss sigmoid %s, %p, %n, %inv beta 0.1 label_smoothing 0.0 : tensor<16xf32>, tensor<f32> -> tensor<i32>
  train.loss %loss : tensor<f32>
  train.return %loss : tensor<f32>
}

// -----

train.variable @s : tensor<f32> parameter init #train.ones trainable
train.variable @w : tensor<320x64xf32> parameter init #train.ones trainable
train.entry @step kind(step) batch 1 sequence 16 inputs ["x", "labels", "inv_tokens"] outputs ["loss"] {
^bb0(%x: tensor<16x64xf32>, %labels: tensor<16xi32>, %inv: tensor<f32>):
  %w = train.read @w : tensor<320x64xf32>
  %s = train.read @s : tensor<f32>
  %l = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
  // expected-error @below {{states no vector-Jacobian product for its operand 1, which depends on a trainable variable}}
  %m = train.scale %l by %s : tensor<16x320xf32>, tensor<f32>
  %loss, %count, %lse = train.cross_entropy %m, %labels, %inv ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
  train.loss %loss : tensor<f32>
  train.return %loss : tensor<f32>
}
