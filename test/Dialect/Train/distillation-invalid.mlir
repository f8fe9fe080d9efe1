// One case for each rule of the verifiers of ops of distillation, and of variables of a teacher.
// RUN: ftc-opt %s --split-input-file --verify-diagnostics

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "t", "l", "i"] outputs [] {
^bb0(%x: tensor<16x320xf32>, %t: tensor<16x320xf32>, %l: tensor<8xi32>, %i: tensor<f32>):
  // expected-error@+1 {{labels 'tensor<8xi32>' are not one for each row of 'tensor<16x320xf32>'}}
  %p:6 = train.distillation_loss %x, %t, %l, %i ratio 0.5 ignore -100 : tensor<16x320xf32>, tensor<8xi32>, tensor<f32> -> tensor<i32>, tensor<16xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "t", "l", "i"] outputs [] {
^bb0(%x: tensor<16x320xf32>, %t: tensor<16x320xf32>, %l: tensor<16xi32>, %i: tensor<f32>):
  // expected-error@+1 {{numbers 'tensor<8xf32>' are not one for each row of 'tensor<16x320xf32>'}}
  %p:6 = train.distillation_loss %x, %t, %l, %i ratio 0.5 ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<i32>, tensor<8xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "t", "l", "i"] outputs [] {
^bb0(%x: tensor<16x320xbf16>, %t: tensor<16x320xbf16>, %l: tensor<16xi32>, %i: tensor<f32>):
  // expected-error@+1 {{numbers of 'tensor<16x320xbf16>' cannot be 'tensor<16xf64>'; they are f64 for f64 and f32 otherwise}}
  %p:6 = train.distillation_loss %x, %t, %l, %i ratio 0.5 ignore -100 : tensor<16x320xbf16>, tensor<16xi32>, tensor<f32> -> tensor<i32>, tensor<16xf64>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "t", "l", "i"] outputs [] {
^bb0(%x: tensor<16x320xf32>, %t: tensor<16x320xf32>, %l: tensor<16xi32>, %i: tensor<f32>):
  // expected-error@+1 {{ratio 1.5}}
  %p:6 = train.distillation_loss %x, %t, %l, %i ratio 1.5 ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<i32>, tensor<16xf32>
  train.return
}

// -----

// The teacher's logits are of the student's ids.
train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "t", "l", "i"] outputs [] {
// expected-note@+1 {{prior use here}}
^bb0(%x: tensor<16x320xf32>, %t: tensor<16x352xf32>, %l: tensor<16xi32>, %i: tensor<f32>):
  // expected-error@+1 {{use of value '%t' expects different type than prior uses: 'tensor<16x320xf32>' vs 'tensor<16x352xf32>'}}
  %p:6 = train.distillation_loss %x, %t, %l, %i ratio 0.5 ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<i32>, tensor<16xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "t", "l", "s", "i"] outputs [] {
^bb0(%x: tensor<16x320xf32>, %t: tensor<16x320xf32>, %l: tensor<16xi32>, %s: tensor<2xf32>, %i: tensor<f32>):
  // expected-error@+1 {{numbers 'tensor<2xf32>' are not one for each row of 'tensor<16x320xf32>'}}
  %d = train.distillation_loss_grad %x, %t, %l, %s, %s, %i, %i ratio 0.5 ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<2xf32>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "t", "l", "s", "i"] outputs [] {
^bb0(%x: tensor<16x320xf32>, %t: tensor<16x320xf32>, %l: tensor<16xi32>, %s: tensor<16xf32>, %i: tensor<f32>):
  // expected-error@+1 {{ratio -1}}
  %d = train.distillation_loss_grad %x, %t, %l, %s, %s, %i, %i ratio -1.0 ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<16xf32>, tensor<f32>
  train.return
}

// -----

// expected-error@+1 {{only parameters are trainable}}
train.variable @teacher.w : tensor<64xf32> teacher init #train.ones trainable

// -----

train.variable @teacher.w : tensor<64xf32> teacher init #train.ones
train.entry @e kind(step) batch 2 sequence 8 inputs ["x"] outputs [] {
^bb0(%x: tensor<64xf32>):
  // expected-error@+1 {{writes @teacher.w, which is a teacher's}}
  train.write @teacher.w, %x : tensor<64xf32>
  train.return
}
