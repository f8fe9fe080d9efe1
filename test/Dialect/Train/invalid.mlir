// One case for each rule of the verifiers of train ops; structure is in invalid-structure.mlir, attention in invalid-attention.mlir.
// RUN: ftc-opt %s --split-input-file --verify-diagnostics

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b"] outputs [] {
^bb0(%a: tensor<4xf32>, %b: tensor<5xf32>):
  // expected-error@+1 {{requires the same type for all operands and results}}
  %c = "train.add"(%a, %b) : (tensor<4xf32>, tensor<5xf32>) -> tensor<4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<4xi64>):
  // expected-error@+1 {{must be tensor of static shape that is not empty of 32-bit float or bfloat16 type or 64-bit float or 32-bit signless integer values}}
  %c = train.add %a, %a : tensor<4xi64>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<4xf32>):
  // expected-error@+1 {{requires the same shape for all operands and results}}
  %c = train.cast %a : tensor<4xf32> to tensor<5xbf16>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "s"] outputs [] {
^bb0(%a: tensor<4xf32>, %s: tensor<1xf32>):
  // expected-error@+1 {{must be 0D tensor}}
  %c = train.scale %a by %s : tensor<4xf32>, tensor<1xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b"] outputs [] {
^bb0(%a: tensor<4x4xf32>, %b: tensor<4x5xf32>):
  // expected-error@+1 {{requires the same type for all operands and results}}
  %c = "train.swiglu"(%a, %b) : (tensor<4x4xf32>, tensor<4x5xf32>) -> tensor<4x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b"] outputs [] {
^bb0(%a: tensor<4x4xf32>, %b: tensor<4x5xf32>):
  // expected-error@+1 {{failed to verify that all of {gate, up, gradient, gate_gradient, up_gradient} have same type}}
  %c:2 = "train.swiglu_grad"(%a, %a, %b) : (tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x5xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>)
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b"] outputs [] {
^bb0(%a: tensor<4x4xf32>, %b: tensor<4x5xf32>):
  // expected-error@+1 {{requires the same type for all operands and results}}
  %c = "train.geglu"(%a, %b) : (tensor<4x4xf32>, tensor<4x5xf32>) -> tensor<4x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b"] outputs [] {
^bb0(%a: tensor<4x4xf32>, %b: tensor<4x5xf32>):
  // expected-error@+1 {{failed to verify that all of {gate, up, gradient, gate_gradient, up_gradient} have same type}}
  %c:2 = "train.geglu_grad"(%a, %a, %b) : (tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x5xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>)
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<4x4xf32>):
  // expected-error@+1 {{cap 0.000000e+00 is not above 0 and finite}}
  %c = train.softcap %a cap 0.0 : tensor<4x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<4x4xf32>):
  // expected-error@+1 {{is not above 0 and finite}}
  %c = train.softcap_grad %a, %a cap 0x7FF0000000000000 : tensor<4x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b"] outputs [] {
^bb0(%a: tensor<4x4xf32>, %b: tensor<4x5xf32>):
  // expected-error@+1 {{requires the same type for all operands and results}}
  %c = "train.softcap_grad"(%a, %b) {cap = 30.0} : (tensor<4x4xf32>, tensor<4x5xf32>) -> tensor<4x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b"] outputs [] {
^bb0(%a: tensor<4x5xf32>, %b: tensor<4x6xf32>):
  // expected-error@+1 {{sums over 5 elements of a but 4 of b}}
  %c = train.matmul %a, %b : tensor<4x5xf32>, tensor<4x6xf32> -> tensor<4x6xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b"] outputs [] {
^bb0(%a: tensor<4x5xf32>, %b: tensor<5x6xf32>):
  // expected-error@+1 {{gives 4 x 6 but its result is 'tensor<6x4xf32>'}}
  %c = train.matmul %a, %b : tensor<4x5xf32>, tensor<5x6xf32> -> tensor<6x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b"] outputs [] {
^bb0(%a: tensor<4x5xf32>, %b: tensor<5x6xbf16>):
  // expected-error@+1 {{multiplies 'f32' and 'bf16' into 'f32'}}
  %c = train.matmul %a, %b : tensor<4x5xf32>, tensor<5x6xbf16> -> tensor<4x6xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b"] outputs [] {
^bb0(%a: tensor<4x5xf32>, %b: tensor<5x6xf32>):
  // expected-error@+1 {{multiplies 'f32' and 'f32' into 'bf16'}}
  %c = train.matmul %a, %b : tensor<4x5xf32>, tensor<5x6xf32> -> tensor<4x6xbf16>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<4x5x6xf32>):
  // expected-error@+1 {{must be matrix of static shape}}
  %c = train.matmul %a, %a : tensor<4x5x6xf32>, tensor<4x5x6xf32> -> tensor<4x6xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["t", "ids"] outputs [] {
^bb0(%t: tensor<9x4xf32>, %ids: tensor<3xi32>):
  // expected-error@+1 {{result 'tensor<3x5xf32>' is not the rows of 'tensor<9x4xf32>' for 'tensor<3xi32>'}}
  %c = train.embedding %t, %ids : tensor<9x4xf32>, tensor<3xi32> -> tensor<3x5xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["ids", "d"] outputs [] {
^bb0(%ids: tensor<3xi32>, %d: tensor<4x5xf32>):
  // expected-error@+1 {{gradient 'tensor<4x5xf32>' is not rows of 'tensor<9x5xf32>' for 'tensor<3xi32>'}}
  %c = train.embedding_grad %ids, %d : tensor<3xi32>, tensor<4x5xf32> -> tensor<9x5xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["ids", "d"] outputs [] {
^bb0(%ids: tensor<3xi32>, %d: tensor<3x5xbf16>):
  // expected-error@+1 {{adds 'bf16' into a table of 'f32'}}
  %c = train.embedding_grad %ids, %d : tensor<3xi32>, tensor<3x5xbf16> -> tensor<9x5xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["ids", "d", "b"] outputs [] {
^bb0(%ids: tensor<3xi32>, %d: tensor<3x5xf32>, %b: tensor<8x5xf32>):
  // expected-error@+1 {{base 'tensor<8x5xf32>' is not of the result's type 'tensor<9x5xf32>'}}
  %c = train.embedding_grad %ids, %d onto %b : tensor<8x5xf32>, tensor<3xi32>, tensor<3x5xf32> -> tensor<9x5xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "i"] outputs [] {
^bb0(%a: tensor<3x5xf32>, %i: tensor<i64>):
  // expected-error@+1 {{result 'tensor<2x5xf32>' is not one row of 'tensor<3x5xf32>'}}
  %c = train.gather_row %a, %i : tensor<3x5xf32>, tensor<i64> -> tensor<2x5xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "w"] outputs [] {
^bb0(%a: tensor<3x5xf32>, %w: tensor<4xf32>):
  // expected-error@+1 {{weight 'tensor<4xf32>' does not fit the columns of 'tensor<3x5xf32>'}}
  %c = train.rms_norm %a, %w eps 1.0e-5 : tensor<3x5xf32>, tensor<4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "w"] outputs [] {
^bb0(%a: tensor<3x5xf32>, %w: tensor<5xf32>):
  // expected-error@+1 {{eps must not be negative}}
  %c = train.rms_norm %a, %w eps -1.0 : tensor<3x5xf32>, tensor<5xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "w"] outputs [] {
^bb0(%a: tensor<3x5xf32>, %w: tensor<4xf32>):
  // expected-error@+1 {{weight 'tensor<4xf32>' does not fit the columns of 'tensor<3x5xf32>'}}
  %c:2 = train.rms_norm_grad %a, %w, %a eps 1.0e-5 : tensor<3x5xf32>, tensor<4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "p", "c", "s"] outputs [] {
^bb0(%x: tensor<3x12xf32>, %p: tensor<3xi32>, %c: tensor<9x4xf32>, %s: tensor<9x4xf32>):
  // expected-error@+1 {{head_dim 8 must be even and divide the columns of 'tensor<3x12xf32>'}}
  %y = train.rotary %x, %p, %c, %s head_dim 8 : tensor<3x12xf32>, tensor<3xi32>, tensor<9x4xf32>, tensor<9x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "p", "c", "s"] outputs [] {
^bb0(%x: tensor<3x9xf32>, %p: tensor<3xi32>, %c: tensor<9x1xf32>, %s: tensor<9x1xf32>):
  // expected-error@+1 {{head_dim 3 must be even and divide the columns of 'tensor<3x9xf32>'}}
  %y = train.rotary %x, %p, %c, %s head_dim 3 : tensor<3x9xf32>, tensor<3xi32>, tensor<9x1xf32>, tensor<9x1xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "p", "c", "s"] outputs [] {
^bb0(%x: tensor<3x8xf32>, %p: tensor<3xi32>, %c: tensor<9x4xf32>, %s: tensor<8x4xf32>):
  // expected-error@+1 {{tables must be [positions, 1 to 4], not 'tensor<9x4xf32>'}}
  %y = train.rotary %x, %p, %c, %s head_dim 8 : tensor<3x8xf32>, tensor<3xi32>, tensor<9x4xf32>, tensor<8x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "p", "c", "s"] outputs [] {
^bb0(%x: tensor<3x8xf32>, %p: tensor<3xi32>, %c: tensor<9x5xf32>, %s: tensor<9x5xf32>):
  // expected-error@+1 {{tables must be [positions, 1 to 4], not 'tensor<9x5xf32>'}}
  %y = train.rotary %x, %p, %c, %s head_dim 8 : tensor<3x8xf32>, tensor<3xi32>, tensor<9x5xf32>, tensor<9x5xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "p", "c", "s"] outputs [] {
^bb0(%x: tensor<3x8xf32>, %p: tensor<2xi32>, %c: tensor<9x4xf32>, %s: tensor<9x4xf32>):
  // expected-error@+1 {{needs one position for each row of 'tensor<3x8xf32>'}}
  %y = train.rotary %x, %p, %c, %s head_dim 8 : tensor<3x8xf32>, tensor<2xi32>, tensor<9x4xf32>, tensor<9x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "l", "i"] outputs [] {
^bb0(%x: tensor<16x320xf32>, %l: tensor<8xi32>, %i: tensor<f32>):
  // expected-error@+1 {{labels and lse need one element for each row of 'tensor<16x320xf32>'}}
  %c:3 = train.cross_entropy %x, %l, %i ignore -100 : tensor<16x320xf32>, tensor<8xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "l", "i"] outputs [] {
^bb0(%x: tensor<16x320xf32>, %l: tensor<16xi32>, %i: tensor<f32>):
  // expected-error@+1 {{loss is 'tensor<f64>' but inv_tokens 'tensor<f32>'}}
  %c:3 = train.cross_entropy %x, %l, %i ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f64>, tensor<i32>, tensor<16xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "l", "i"] outputs [] {
^bb0(%x: tensor<16x320xf32>, %l: tensor<16xi32>, %i: tensor<f32>):
  // expected-error@+1 {{lse of 'tensor<16x320xf32>' cannot be 'tensor<16xf64>'; it is f64 for f64 and f32 otherwise}}
  %c:3 = train.cross_entropy %x, %l, %i ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf64>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "l", "e", "i"] outputs [] {
^bb0(%x: tensor<16x320xf32>, %l: tensor<16xi32>, %e: tensor<8xf32>, %i: tensor<f32>):
  // expected-error@+1 {{labels and lse need one element for each row of 'tensor<16x320xf32>'}}
  %c = train.cross_entropy_grad %x, %l, %e, %i, %i ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<8xf32>, tensor<f32>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["x", "l", "e", "i", "g"] outputs [] {
^bb0(%x: tensor<16x320xf32>, %l: tensor<16xi32>, %e: tensor<16xf32>, %i: tensor<f32>, %g: tensor<f64>):
  // expected-error@+1 {{gradient is 'tensor<f64>' but inv_tokens 'tensor<f32>'}}
  %c = train.cross_entropy_grad %x, %l, %e, %i, %g ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<16xf32>, tensor<f32>, tensor<f64>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["g", "b"] outputs [] {
^bb0(%g: tensor<4xf32>, %b: tensor<f32>):
  // expected-error@+1 {{result 'tensor<f64>' is not of the type of its base, 'tensor<f32>'}}
  %s = train.sum_squares %g onto %b : tensor<4xf32>, tensor<f32> -> tensor<f64>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["s"] outputs [] {
^bb0(%s: tensor<f32>):
  // expected-error@+1 {{norm and factor have the type of the sum of squares, 'tensor<f32>'}}
  %n:2 = train.clip_factor %s max_norm 1.0 : tensor<f32> -> tensor<f32>, tensor<f64>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["s"] outputs [] {
^bb0(%s: tensor<f32>):
  // expected-error@+1 {{max_norm must be positive}}
  %n:2 = train.clip_factor %s max_norm 0.0 : tensor<f32> -> tensor<f32>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "s"] outputs [] {
^bb0(%p: tensor<4xf32>, %s: tensor<f32>):
  // expected-error@+1 {{weightDecay must not be negative}}
  %q = train.sgd %p, %p, %s, %s with <weightDecay = -1.0 : f64> : tensor<4xf32>, tensor<f32>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "m", "t", "s"] outputs [] {
^bb0(%p: tensor<4xf32>, %m: tensor<5xf32>, %t: tensor<i64>, %s: tensor<f32>):
  // expected-error@+1 {{a momentum buffer of type 'tensor<5xf32>' does not fit the parameter, 'tensor<4xf32>'}}
  %q:2 = train.sgd_momentum %p, %p, %m, %s, %t, %s with <weightDecay = 0.0 : f64, momentum = 0.9 : f64, dampening = 0.0 : f64, nesterov = false> : tensor<4xf32>, tensor<5xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "m", "t", "s"] outputs [] {
^bb0(%p: tensor<4xf32>, %m: tensor<5xf32>, %t: tensor<i64>, %s: tensor<f32>):
  // expected-error@+1 {{weightDecay and momentum must not be negative}}
  %q:2 = train.sgd_momentum %p, %p, %p, %s, %t, %s with <weightDecay = 0.0 : f64, momentum = -0.9 : f64, dampening = 0.0 : f64, nesterov = false> : tensor<4xf32>, tensor<4xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "m", "t", "s"] outputs [] {
^bb0(%p: tensor<4xf32>, %m: tensor<5xf32>, %t: tensor<i64>, %s: tensor<f32>):
  // expected-error@+1 {{Nesterov's momentum has no dampening}}
  %q:2 = train.sgd_momentum %p, %p, %p, %s, %t, %s with <weightDecay = 0.0 : f64, momentum = 0.9 : f64, dampening = 0.5 : f64, nesterov = true> : tensor<4xf32>, tensor<4xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "m", "t", "s"] outputs [] {
^bb0(%p: tensor<4xf32>, %m: tensor<5xf32>, %t: tensor<i64>, %s: tensor<f32>):
  // expected-error@+1 {{rounds 'tensor<4xf32>' to another shape, 'tensor<5xbf16>'}}
  %q = train.stochastic_round %p, %t, %t stream 1 : tensor<4xf32>, tensor<i64>, tensor<i64> -> tensor<5xbf16>
  train.return
}

// -----

// expected-error@+1 {{has the attribute train.state_type = i32; it must be f32 or bf16}}
module attributes {train.state_type = i32} {
}

// -----

// expected-error@+1 {{has the attribute train.master_weights = true; it must be an attribute without a value}}
module attributes {train.master_weights = true} {
}

// -----

// expected-error@+1 {{has the attribute train.stochastic_rounding = 1 : i64; it must be an attribute without a value}}
module attributes {train.stochastic_rounding = 1 : i64} {
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "m", "t", "s"] outputs [] {
^bb0(%p: tensor<4xf32>, %m: tensor<5xf32>, %t: tensor<i64>, %s: tensor<f32>):
  // expected-error@+1 {{moments of type 'tensor<5xf32>' do not fit the parameter, 'tensor<4xf32>'}}
  %q:3 = train.adamw %p, %p, %m, %m, %s, %t, %s with <weightDecay = 0.0 : f64, beta1 = 0.9 : f64, beta2 = 0.999 : f64, eps = 1.0e-8 : f64> : tensor<4xf32>, tensor<5xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "m", "t", "s"] outputs [] {
^bb0(%p: tensor<4xf32>, %m: tensor<4xf32>, %t: tensor<i64>, %s: tensor<f32>):
  // expected-error@+1 {{beta1 and beta2 must be at least 0 and below 1}}
  %q:3 = train.adamw %p, %p, %m, %m, %s, %t, %s with <weightDecay = 0.0 : f64, beta1 = 1.0 : f64, beta2 = 0.999 : f64, eps = 1.0e-8 : f64> : tensor<4xf32>, tensor<4xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "m", "t", "s"] outputs [] {
^bb0(%p: tensor<4xf32>, %m: tensor<4xf32>, %t: tensor<i64>, %s: tensor<f32>):
  // expected-error@+1 {{beta1 and beta2 must be at least 0 and below 1}}
  %q:3 = train.adamw %p, %p, %m, %m, %s, %t, %s with <weightDecay = 0.0 : f64, beta1 = 0.9 : f64, beta2 = -0.1 : f64, eps = 1.0e-8 : f64> : tensor<4xf32>, tensor<4xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "m", "t", "s"] outputs [] {
^bb0(%p: tensor<4xf32>, %m: tensor<4xf32>, %t: tensor<i64>, %s: tensor<f32>):
  // expected-error@+1 {{weightDecay and eps must not be negative}}
  %q:3 = train.adamw %p, %p, %m, %m, %s, %t, %s with <weightDecay = 0.0 : f64, beta1 = 0.9 : f64, beta2 = 0.999 : f64, eps = -1.0 : f64> : tensor<4xf32>, tensor<4xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b", "c"] outputs [] {
^bb0(%a: tensor<4x5xf32>, %b: tensor<5x6xf32>, %c: tensor<4x5xf32>):
  // expected-error@+1 {{adds onto 'tensor<4x5xf32>', which is not of the result's type 'tensor<4x6xf32>'}}
  %d = train.matmul %a, %b onto %c : tensor<4x5xf32>, tensor<4x5xf32>, tensor<5x6xf32> -> tensor<4x6xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b", "c", "d", "e"] outputs [] {
^bb0(%a: tensor<4x5xf32>, %b: tensor<5x6xf32>, %c: tensor<4x2xf32>, %d: tensor<2x6xf32>, %e: tensor<4x5xf32>):
  // expected-error@+1 {{sums over 5 elements of a but 4 of b}}
  %r = train.matmul_pair %e, %e and %c, %d : (tensor<4x5xf32>, tensor<4x5xf32>), (tensor<4x2xf32>, tensor<2x6xf32>) -> tensor<4x6xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b", "c", "d", "e"] outputs [] {
^bb0(%a: tensor<4x5xf32>, %b: tensor<5x6xf32>, %c: tensor<4x2xf32>, %d: tensor<2x6xf32>, %e: tensor<4x5xf32>):
  // expected-error@+1 {{in its second product sums over 2 elements of a but 6 of b}}
  %r = train.matmul_pair %a, %b and %c, %d transpose_d : (tensor<4x5xf32>, tensor<5x6xf32>), (tensor<4x2xf32>, tensor<2x6xf32>) -> tensor<4x6xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b", "c", "d", "e", "f", "g"] outputs [] {
^bb0(%a: tensor<4x5xf32>, %b: tensor<5x6xf32>, %c: tensor<4x2xf32>, %d: tensor<2x6xf32>, %e: tensor<4x5xf32>,
     %f: tensor<2x5xf32>, %g: tensor<2x6xf64>):
  // expected-error@+1 {{in its second product gives 4 x 5 but its result is 'tensor<4x6xf32>'}}
  %r = train.matmul_pair %a, %b and %c, %f : (tensor<4x5xf32>, tensor<5x6xf32>), (tensor<4x2xf32>, tensor<2x5xf32>) -> tensor<4x6xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b", "c", "d", "e", "f", "g"] outputs [] {
^bb0(%a: tensor<4x5xf32>, %b: tensor<5x6xf32>, %c: tensor<4x2xf32>, %d: tensor<2x6xf32>, %e: tensor<4x5xf32>,
     %f: tensor<2x5xf32>, %g: tensor<2x6xf64>):
  // expected-error@+1 {{in its second product multiplies 'f32' and 'f64' into 'f32'}}
  %r = train.matmul_pair %a, %b and %c, %g : (tensor<4x5xf32>, tensor<5x6xf32>), (tensor<4x2xf32>, tensor<2x6xf64>) -> tensor<4x6xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b", "c", "d", "e"] outputs [] {
^bb0(%a: tensor<4x5xf32>, %b: tensor<5x6xf32>, %c: tensor<4x2xf32>, %d: tensor<2x6xf32>, %e: tensor<4x5xf32>):
  // expected-error@+1 {{adds onto 'tensor<4x5xf32>', which is not of the result's type 'tensor<4x6xf32>'}}
  %r = train.matmul_pair %a, %b and %c, %d onto %e : tensor<4x5xf32>, (tensor<4x5xf32>, tensor<5x6xf32>), (tensor<4x2xf32>, tensor<2x6xf32>) -> tensor<4x6xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<4x5xf32>):
  // expected-error@+1 {{result 'tensor<2x4xf32>' is not made of rows of 'tensor<4x5xf32>'}}
  %b = train.slice_rows %a from 0 : tensor<4x5xf32> -> tensor<2x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<4x5xf32>):
  // expected-error@+1 {{takes rows 3 to 5 of 'tensor<4x5xf32>'}}
  %b = train.slice_rows %a from 3 : tensor<4x5xf32> -> tensor<2x5xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<4x5xf32>):
  // expected-error@+1 {{takes rows -1 to 1 of 'tensor<4x5xf32>'}}
  %b = train.slice_rows %a from -1 : tensor<4x5xf32> -> tensor<2x5xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<f32>):
  // expected-error@+1 {{result 'tensor<f32>' is not made of rows of 'tensor<f32>'}}
  %b = train.slice_rows %a from 0 : tensor<f32> -> tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b"] outputs [] {
^bb0(%a: tensor<4x5xf32>, %b: tensor<2x6xf32>):
  // expected-error@+1 {{part 'tensor<2x6xf32>' is not made of rows of 'tensor<6x5xf32>'}}
  %c = train.concat_rows %a, %b : tensor<4x5xf32>, tensor<2x6xf32> -> tensor<6x5xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b"] outputs [] {
^bb0(%a: tensor<4x5xf32>, %b: tensor<2x5xf32>):
  // expected-error@+1 {{parts have 6 rows but the result is 'tensor<7x5xf32>'}}
  %c = train.concat_rows %a, %b : tensor<4x5xf32>, tensor<2x5xf32> -> tensor<7x5xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "seed"] outputs [] {
^bb0(%a: tensor<4x4xf32>, %s: tensor<i64>):
  // expected-error@+1 {{probability 1.000000e+00 is not at least 0 and below 1}}
  %c = train.dropout %a probability 1.0 stream "x" seed %s step %s micro %s : tensor<4x4xf32>, tensor<i64>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "seed"] outputs [] {
^bb0(%a: tensor<4x4xf32>, %s: tensor<i64>):
  // expected-error@+1 {{has a stream without a name, which others would share}}
  %c = train.dropout %a probability 0.5 stream "" seed %s step %s micro %s : tensor<4x4xf32>, tensor<i64>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "m", "n", "t", "s"] outputs [] {
^bb0(%p: tensor<16x256xf64>, %m: tensor<16x256xi8>, %n: tensor<16xf32>, %t: tensor<i64>, %s: tensor<f32>):
  // expected-error@+1 {{computes in fp32, and does not update}}
  %q:5 = train.adamw_quantized %p, %p, %m, %n, %m, %n, %s, %t, %s torchao_8bit with <weightDecay = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8> : tensor<16x256xf64>, tensor<16x256xi8>, tensor<16xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "m", "n", "t", "s"] outputs [] {
^bb0(%p: tensor<16x255xf32>, %m: tensor<16x256xi8>, %n: tensor<16xf32>, %t: tensor<i64>, %s: tensor<f32>):
  // expected-error@+1 {{needs a multiple of 256 elements}}
  %q:5 = train.adamw_quantized %p, %p, %m, %n, %m, %n, %s, %t, %s torchao_8bit with <weightDecay = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8> : tensor<16x255xf32>, tensor<16x256xi8>, tensor<16xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "m", "n", "t", "s"] outputs [] {
^bb0(%p: tensor<16x256xf32>, %m: tensor<8x512xi8>, %n: tensor<16xf32>, %t: tensor<i64>, %s: tensor<f32>):
  // expected-error@+1 {{codes of type 'tensor<8x512xi8>' do not fit the parameter, 'tensor<16x256xf32>'; they are 16 x 256}}
  %q:5 = train.adamw_quantized %p, %p, %m, %n, %m, %n, %s, %t, %s torchao_8bit with <weightDecay = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8> : tensor<16x256xf32>, tensor<8x512xi8>, tensor<16xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "m", "n", "t", "s"] outputs [] {
^bb0(%p: tensor<16x256xf32>, %m: tensor<16x256xi8>, %n: tensor<15xf32>, %t: tensor<i64>, %s: tensor<f32>):
  // expected-error@+1 {{needs 16 scales, not 'tensor<15xf32>'}}
  %q:5 = train.adamw_quantized %p, %p, %m, %n, %m, %n, %s, %t, %s torchao_8bit with <weightDecay = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8> : tensor<16x256xf32>, tensor<16x256xi8>, tensor<15xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "m", "n", "t", "s"] outputs [] {
^bb0(%p: tensor<16x256xf32>, %m: tensor<16x256xi8>, %n: tensor<16xf32>, %t: tensor<i64>, %s: tensor<f32>):
  // expected-error@+1 {{beta1 and beta2 must be at least 0 and below 1}}
  %q:5 = train.adamw_quantized %p, %p, %m, %n, %m, %n, %s, %t, %s torchao_8bit with <weightDecay = 0.01, beta1 = 1.0, beta2 = 0.999, eps = 1.0e-8> : tensor<16x256xf32>, tensor<16x256xi8>, tensor<16xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["p", "m", "n", "t", "s"] outputs [] {
^bb0(%p: tensor<16x256xf32>, %m: tensor<16x256xi8>, %n: tensor<16xf32>, %t: tensor<i64>, %s: tensor<f32>):
  // expected-error@+1 {{weightDecay and eps must not be negative}}
  %q:5 = train.adamw_quantized %p, %p, %m, %n, %m, %n, %s, %t, %s torchao_8bit with <weightDecay = 0.01, beta1 = 0.9, beta2 = 0.999, eps = -1.0> : tensor<16x256xf32>, tensor<16x256xi8>, tensor<16xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return
}

// -----

train.entry @e kind(step) batch 1 sequence 3 inputs ["x", "b"] outputs [] {
^bb0(%x: tensor<3x12xf32>, %b: tensor<4xf32>):
  // expected-error@+1 {{bias 'tensor<4xf32>' is not one element of each column of 'tensor<3x12xf32>'}}
  %y = train.add_bias %x, %b : tensor<3x12xf32>, tensor<4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 1 sequence 3 inputs ["x"] outputs [] {
^bb0(%x: tensor<3x12xbf16>):
  // expected-error@+1 {{result 'tensor<12xf32>' is not one element of each column of 'tensor<3x12xbf16>'}}
  %y = train.column_sums %x : tensor<3x12xbf16> -> tensor<12xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 1 sequence 3 inputs ["x", "f"] outputs [] {
^bb0(%x: tensor<3x12xf32>, %f: tensor<4xf32>):
  // expected-error@+1 {{factors 'tensor<4xf32>' do not fit the columns of 'tensor<3x12xf32>'}}
  %y = train.scale_columns %x by %f : tensor<3x12xf32>, tensor<4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 1 sequence 3 inputs ["x", "f"] outputs [] {
^bb0(%x: tensor<3x12xf64>, %f: tensor<12xf32>):
  // expected-error@+1 {{factors of 'tensor<3x12xf64>' cannot be 'tensor<12xf32>'; it is f64 for f64 and f32 otherwise}}
  %y, %z = train.scale_columns_grad %x, %f, %x : tensor<3x12xf64>, tensor<12xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 1 sequence 3 inputs ["n", "b", "p", "q"] outputs [] {
^bb0(%n: tensor<4xf32>, %b: tensor<5x2xf32>, %p: tensor<2x5xf32>, %q: tensor<5x2xf32>):
  // expected-error@+1 {{b 'tensor<5x2xf32>' has not a row for each norm of 'tensor<4xf32>'}}
  %y = train.inverse_norm %n, %b, %p, %q scale 1.0 : tensor<4xf32>, tensor<5x2xf32>, tensor<2x5xf32>, tensor<5x2xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 1 sequence 3 inputs ["n", "b", "p", "q"] outputs [] {
^bb0(%n: tensor<5xf32>, %b: tensor<5x2xf32>, %p: tensor<2x5xf32>, %q: tensor<5x3xf32>):
  // expected-error@+1 {{q 'tensor<5x3xf32>' is not shaped like b, 'tensor<5x2xf32>'}}
  %y = train.inverse_norm %n, %b, %p, %q scale 1.0 : tensor<5xf32>, tensor<5x2xf32>, tensor<2x5xf32>, tensor<5x3xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 1 sequence 3 inputs ["n", "b", "p", "q"] outputs [] {
^bb0(%n: tensor<5xf32>, %b: tensor<5x2xf32>, %p: tensor<5x2xf32>, %q: tensor<5x2xf32>):
  // expected-error@+1 {{p 'tensor<5x2xf32>' is not shaped like b transposed, 'tensor<5x2xf32>'}}
  %y = train.inverse_norm %n, %b, %p, %q scale 1.0 : tensor<5xf32>, tensor<5x2xf32>, tensor<5x2xf32>, tensor<5x2xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 1 sequence 3 inputs ["n", "b", "p", "q"] outputs [] {
^bb0(%n: tensor<5xf64>, %b: tensor<5x2xf32>, %p: tensor<2x5xf32>, %q: tensor<5x2xf32>):
  // expected-error@+1 {{norms of 'tensor<5x2xf32>' cannot be 'tensor<5xf64>'; it is f64 for f64 and f32 otherwise}}
  %y = train.inverse_norm %n, %b, %p, %q scale 1.0 : tensor<5xf64>, tensor<5x2xf32>, tensor<2x5xf32>, tensor<5x2xf32>
  train.return
}

// -----

train.variable @w : tensor<4x3xf32> parameter init #train.zeros
// expected-error@+1 {{#train.row_norms fills one float for each row of a parameter that is a matrix}}
train.variable @m : tensor<3xf32> parameter init #train.row_norms<@w>

// -----

// expected-error@+1 {{#train.row_norms fills one float for each row of a parameter that is a matrix}}
train.variable @m : tensor<3xf32> parameter init #train.row_norms<@w>
