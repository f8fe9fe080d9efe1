// One case for each rule of the verifiers of ops for pairs of answers.
// RUN: ftc-opt %s --split-input-file --verify-diagnostics

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "l"] outputs [] {
^bb0(%x: tensor<16x320xf32>, %l: tensor<8xi32>):
  // expected-error@+1 {{labels 'tensor<8xi32>' are not one for each row of 'tensor<16x320xf32>'}}
  %p:2 = train.label_log_probs %x, %l ignore -100 : tensor<16x320xf32>, tensor<8xi32> -> tensor<16xf32>, tensor<16xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "l"] outputs [] {
^bb0(%x: tensor<16x320xf32>, %l: tensor<16xi32>):
  // expected-error@+1 {{numbers 'tensor<8xf32>' are not one for each row of 'tensor<16x320xf32>'}}
  %p:2 = train.label_log_probs %x, %l ignore -100 : tensor<16x320xf32>, tensor<16xi32> -> tensor<8xf32>, tensor<16xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "l"] outputs [] {
^bb0(%x: tensor<16x320xbf16>, %l: tensor<16xi32>):
  // expected-error@+1 {{numbers of 'tensor<16x320xbf16>' cannot be 'tensor<16xf64>'; they are f64 for f64 and f32 otherwise}}
  %p:2 = train.label_log_probs %x, %l ignore -100 : tensor<16x320xbf16>, tensor<16xi32> -> tensor<16xf32>, tensor<16xf64>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "l", "e", "g"] outputs [] {
^bb0(%x: tensor<16x320xf32>, %l: tensor<16xi32>, %e: tensor<16xf32>, %g: tensor<2xf32>):
  // expected-error@+1 {{numbers 'tensor<2xf32>' are not one for each row of 'tensor<16x320xf32>'}}
  %d = train.label_log_probs_grad %x, %l, %e, %g ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<16xf32>, tensor<2xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "l"] outputs [] {
^bb0(%p: tensor<16xf32>, %l: tensor<8xi32>):
  // expected-error@+1 {{labels 'tensor<8xi32>' are not one for each number of 'tensor<16xf32>'}}
  %s:2 = train.sequence_sums %p, %l batch 2 ignore -100 : tensor<16xf32>, tensor<8xi32> -> tensor<2xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "l"] outputs [] {
^bb0(%p: tensor<16xf32>, %l: tensor<16xi32>):
  // expected-error@+1 {{tokens of 'tensor<16xf32>' are not those of 3 sequences of one length}}
  %s:2 = train.sequence_sums %p, %l batch 3 ignore -100 : tensor<16xf32>, tensor<16xi32> -> tensor<3xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "l"] outputs [] {
^bb0(%p: tensor<16xf32>, %l: tensor<16xi32>):
  // expected-error@+1 {{sums 'tensor<4xf32>' are not one of 'tensor<16xf32>' for each of 2 sequences}}
  %s:2 = train.sequence_sums %p, %l batch 2 ignore -100 : tensor<16xf32>, tensor<16xi32> -> tensor<4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["d"] outputs [] {
^bb0(%d: tensor<3xf32>):
  // expected-error@+1 {{result 'tensor<16xf32>' has not a number of tokens for each of 'tensor<3xf32>'}}
  %g = train.sequence_spread %d : tensor<3xf32> -> tensor<16xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "i"] outputs [] {
^bb0(%p: tensor<3xf32>, %i: tensor<f32>):
  // expected-error@+1 {{answers of 'tensor<3xf32>' are no pairs}}
  %l:2 = train.preference_loss sigmoid %p, %p, %p, %i beta 0.1 label_smoothing 0.0 : tensor<3xf32>, tensor<f32> -> tensor<i32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "i"] outputs [] {
^bb0(%p: tensor<4xf64>, %i: tensor<f32>):
  // expected-error@+1 {{inv_pairs is 'tensor<f32>' beside log-probabilities of 'tensor<4xf64>'}}
  %l:2 = train.preference_loss sigmoid %p, %p, %p, %i beta 0.1 label_smoothing 0.0 : tensor<4xf64>, tensor<f32> -> tensor<i32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "i"] outputs [] {
^bb0(%p: tensor<4xf32>, %i: tensor<f32>):
  // expected-error@+1 {{beta 0.000000e+00 is not above 0 and finite}}
  %l:2 = train.preference_loss sigmoid %p, %p, %p, %i beta 0.0 label_smoothing 0.0 : tensor<4xf32>, tensor<f32> -> tensor<i32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "i"] outputs [] {
^bb0(%p: tensor<4xf32>, %i: tensor<f32>):
  // expected-error@+1 {{label_smoothing 1.000000e+00 is not at least 0 and below 1}}
  %d = train.preference_loss_grad sigmoid %p, %p, %p, %i, %i beta 0.1 label_smoothing 1.0 : tensor<4xf32>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "i"] outputs [] {
^bb0(%p: tensor<4xf32>, %i: tensor<f32>):
  // expected-error@+1 {{a hinge has no label_smoothing}}
  %d = train.preference_loss_grad hinge %p, %p, %p, %i, %i beta 0.1 label_smoothing 0.1 : tensor<4xf32>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p"] outputs [] {
^bb0(%p: tensor<4xf32>):
  // expected-error@+1 {{has the attribute train.reference, which takes no value}}
  %d = train.add %p, %p : tensor<4xf32> {train.reference = 1 : i64}
  train.return
}

// -----

train.variable @w : tensor<64xf32> parameter init #train.ones trainable
// expected-error@+1 {{only parameters are trainable}}
train.variable @reference.w : tensor<64xf32> reference init #train.ones trainable

// -----

// A reference is the copy of a parameter,
train.variable @w : tensor<64xf32> constant init #train.ones
// expected-error@+1 {{is a reference, and must be called "reference.<parameter>" and have that parameter's shape and initial values}}
train.variable @reference.w : tensor<64xf32> reference init #train.ones

// -----

// under its name,
train.variable @w : tensor<64xf32> parameter init #train.ones
// expected-error@+1 {{is a reference, and must be called "reference.<parameter>"}}
train.variable @before.w : tensor<64xf32> reference init #train.ones

// -----

// with its shape,
train.variable @w : tensor<64xf32> parameter init #train.ones
// expected-error@+1 {{is a reference, and must be called "reference.<parameter>"}}
train.variable @reference.w : tensor<32xf32> reference init #train.ones

// -----

// and begins as it does.
train.variable @w : tensor<64xf32> parameter init #train.ones
// expected-error@+1 {{is a reference, and must be called "reference.<parameter>"}}
train.variable @reference.w : tensor<64xf32> reference init #train.zeros

// -----

train.variable @w : tensor<64xf32> parameter init #train.ones
train.variable @reference.w : tensor<64xf32> reference init #train.ones
train.entry @e kind(step) batch 2 sequence 8 inputs ["x"] outputs [] {
^bb0(%x: tensor<64xf32>):
  // expected-error@+1 {{writes @reference.w, which is a reference's}}
  train.write @reference.w, %x : tensor<64xf32>
  train.return
}
