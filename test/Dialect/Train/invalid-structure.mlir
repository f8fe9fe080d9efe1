// One case for each rule of the verifiers of variables, entries and fused groups.
// RUN: ftc-opt %s --split-input-file --verify-diagnostics

// expected-error@+1 {{op attribute 'type' failed to satisfy constraint}}
train.variable @v : tensor<?xf32> parameter init #train.ones

// -----

// expected-error@+1 {{op attribute 'type' failed to satisfy constraint}}
train.variable @v : tensor<4xf16> parameter init #train.ones

// -----

// expected-error@+1 {{only parameters are trainable}}
train.variable @v : tensor<4xf32> state init #train.ones trainable

// -----

// expected-error@+1 {{holds integers and cannot be trainable}}
train.variable @v : tensor<4xi32> parameter init #train.ones trainable

// -----

// expected-error@+1 {{#train.normal fills floats, and its deviation is not negative}}
train.variable @v : tensor<4xi32> state init #train.normal<1.0 : f64>

// -----

// expected-error@+1 {{#train.normal fills floats, and its deviation is not negative}}
train.variable @v : tensor<4xf32> state init #train.normal<-1.0 : f64>

// -----

// expected-error@+1 {{#train.uniform fills floats, and its bound is not negative}}
train.variable @v : tensor<4xf32> state init #train.uniform<-1.0 : f64>

// -----

// expected-error@+1 {{#train.uniform fills floats, and its bound is not negative}}
train.variable @v : tensor<4xi32> state init #train.uniform<1.0 : f64>

// -----

// expected-error@+1 {{init must be #train.zeros, #train.ones, #train.normal, #train.uniform, #train.rotary or #train.row_norms}}
train.variable @v : tensor<4xf32> state init "noise"

// -----

// expected-error@+1 {{a rotary table holds floats}}
train.variable @v : tensor<4x4xi32> constant init #train.rotary<sine = false, headDim = 8, base = 1.0e4 : f64, factor = 1.0 : f64, lowFactor = 1.0 : f64, highFactor = 4.0 : f64, oldContext = 8192>

// -----

// expected-error@+1 {{rotary headDim 7 must be even and positive}}
train.variable @v : tensor<4x4xf32> constant init #train.rotary<sine = false, headDim = 7, base = 1.0e4 : f64, factor = 1.0 : f64, lowFactor = 1.0 : f64, highFactor = 4.0 : f64, oldContext = 8192>

// -----

// expected-error@+1 {{rotary table must be [positions, 4], not 'tensor<4x5xf32>'}}
train.variable @v : tensor<4x5xf32> constant init #train.rotary<sine = false, headDim = 8, base = 1.0e4 : f64, factor = 1.0 : f64, lowFactor = 1.0 : f64, highFactor = 4.0 : f64, oldContext = 8192>

// -----

// expected-error@+1 {{rotary table has more than 2^20 positions}}
train.variable @v : tensor<2000000x4xf32> constant init #train.rotary<sine = false, headDim = 8, base = 1.0e4 : f64, factor = 1.0 : f64, lowFactor = 1.0 : f64, highFactor = 4.0 : f64, oldContext = 8192>

// -----

// expected-error@+1 {{rotary numbers must be positive, and highFactor above lowFactor}}
train.variable @v : tensor<4x4xf32> constant init #train.rotary<sine = false, headDim = 8, base = -1.0 : f64, factor = 1.0 : f64, lowFactor = 1.0 : f64, highFactor = 4.0 : f64, oldContext = 8192>

// -----

// expected-error@+1 {{rotary numbers must be positive, and highFactor above lowFactor}}
train.variable @v : tensor<4x4xf32> constant init #train.rotary<sine = false, headDim = 8, base = 1.0e4 : f64, factor = 1.0 : f64, lowFactor = 4.0 : f64, highFactor = 4.0 : f64, oldContext = 8192>

// -----

// expected-error@+1 {{rotary divisors must be 4 numbers above 0}}
train.variable @v : tensor<4x4xf32> constant init #train.rotary<sine = false, headDim = 8, base = 1.0e4 : f64, factor = 1.0 : f64, lowFactor = 1.0 : f64, highFactor = 4.0 : f64, oldContext = 8192, divisors = [1.0, 2.0]>

// -----

// expected-error@+1 {{rotary divisors must be 4 numbers above 0}}
train.variable @v : tensor<4x4xf32> constant init #train.rotary<sine = false, headDim = 8, base = 1.0e4 : f64, factor = 1.0 : f64, lowFactor = 1.0 : f64, highFactor = 4.0 : f64, oldContext = 8192, divisors = [1.0, 2.0, 0.0, 4.0]>

// -----

// expected-error@+1 {{rotary amplitude must be above 0}}
train.variable @v : tensor<4x4xf32> constant init #train.rotary<sine = false, headDim = 8, base = 1.0e4 : f64, factor = 1.0 : f64, lowFactor = 1.0 : f64, highFactor = 4.0 : f64, oldContext = 8192, amplitude = 0.0 : f64>

// -----

// expected-error@+1 {{batch and sequence must be positive}}
train.entry @e kind(step) batch 0 sequence 8 inputs [] outputs [] {
  train.return
}

// -----

// expected-error@+1 {{has 1 inputs but 2 names}}
train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b"] outputs [] {
^bb0(%a: tensor<4xf32>):
  train.return
}

// -----

// expected-error@+1 {{has two inputs called "a"}}
train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "a"] outputs [] {
^bb0(%a: tensor<4xf32>, %b: tensor<4xf32>):
  train.return
}

// -----

// expected-error@+1 {{has two outputs called "y"}}
train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs ["y", "y"] {
^bb0(%a: tensor<4xf32>):
  train.return %a, %a : tensor<4xf32>, tensor<4xf32>
}

// -----

// expected-error@+1 {{input "a" is a tensor of static shape that is not empty}}
train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<?xf32>):
  train.return
}

// -----

// expected-error@+1 {{input "a" is a tensor of static shape that is not empty}}
train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<0xf32>):
  train.return
}

// -----

// expected-error@+1 {{input "a" is a tensor of static shape that is not empty}}
train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: f32):
  train.return
}

// -----

// expected-error@+1 {{input learning_rate is a scalar of f32, not 'tensor<1xf32>'}}
train.entry @e kind(step) batch 2 sequence 8 inputs ["learning_rate"] outputs [] {
^bb0(%learning_rate: tensor<1xf32>):
  train.return
}

// -----

// expected-error@+1 {{input step is a scalar of i64, not 'tensor<i32>'}}
train.entry @e kind(step) batch 2 sequence 8 inputs ["step"] outputs [] {
^bb0(%step: tensor<i32>):
  train.return
}

// -----

// expected-error@+1 {{input tokens is 'tensor<16xi32>', not 'tensor<8xi32>'}}
train.entry @e kind(step) batch 2 sequence 8 inputs ["tokens"] outputs [] {
^bb0(%tokens: tensor<8xi32>):
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs [] outputs [] {
  // expected-error@+1 {{must be tensor of static shape that is not empty of 32-bit float or bfloat16 type or 64-bit float or 32-bit signless integer or 64-bit signless integer or 8-bit signless integer values, but got 'tensor<0x4xf32>'}}
  %c = train.constant dense<> : tensor<0x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs [] outputs [] {
  // expected-error@+1 {{holds more than one number; only a splat can be computed with}}
  %c = train.constant dense<[1.0, 2.0]> : tensor<2xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<4xf32>):
  // expected-error@+1 {{returns 1 values but the entry names 0 outputs}}
  train.return %a : tensor<4xf32>
}

// -----

train.variable @v : tensor<4xf32> parameter init #train.ones
train.entry @e kind(step) batch 2 sequence 8 inputs [] outputs [] {
  // expected-error@+1 {{names no variable: @u}}
  %v = train.read @u : tensor<4xf32>
  train.return
}

// -----

train.variable @v : tensor<4xf32> parameter init #train.ones
train.entry @e kind(step) batch 2 sequence 8 inputs [] outputs [] {
  // expected-error@+1 {{uses 'tensor<5xf32>' for variable @v of type 'tensor<4xf32>'}}
  %v = train.read @v : tensor<5xf32>
  train.return
}

// -----

train.variable @v : tensor<4xf32> parameter init #train.ones
train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<4xf32>):
  train.write @v, %a : tensor<4xf32>
  // expected-error@+1 {{stands after a write of @v}}
  %v = train.read @v : tensor<4xf32>
  train.return
}

// -----

train.variable @v : tensor<4xf32> parameter init #train.ones
train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<4xf32>):
  train.write @v, %a : tensor<4xf32>
  // expected-error@+1 {{writes @v a second time}}
  train.write @v, %a : tensor<4xf32>
  train.return
}

// -----

train.variable @v : tensor<4xf32> parameter init #train.ones
train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<5xf32>):
  // expected-error@+1 {{uses 'tensor<5xf32>' for variable @v of type 'tensor<4xf32>'}}
  train.write @v, %a : tensor<5xf32>
  train.return
}

// -----

train.variable @v : tensor<4xf32> constant init #train.ones
train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<4xf32>):
  // expected-error@+1 {{writes @v, which is a constant}}
  train.write @v, %a : tensor<4xf32>
  train.return
}

// -----

train.variable @v : tensor<4xf32> parameter init #train.ones trainable
train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<5xf32>):
  // expected-error@+1 {{uses 'tensor<5xf32>' for variable @v of type 'tensor<4xf32>'}}
  train.update @v, %a : tensor<5xf32>
  train.return
}

// -----

train.variable @v : tensor<4xf32> parameter init #train.ones
train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<4xf32>):
  // expected-error@+1 {{updates @v, which is not trainable}}
  train.update @v, %a : tensor<4xf32>
  train.return
}

// -----

train.variable @v : tensor<4xf32> parameter init #train.ones
// expected-error@+1 {{expects parent op 'train.entry'}}
%v = train.read @v : tensor<4xf32>

// -----

module {
  %c = train.constant dense<0.0> : tensor<4xf32>
  %s = train.constant dense<0.0> : tensor<f32>
  // expected-error@+1 {{expects parent op 'train.entry'}}
  train.write @v, %c : tensor<4xf32>
}

// -----

module {
  %c = train.constant dense<0.0> : tensor<4xf32>
  %s = train.constant dense<0.0> : tensor<f32>
  // expected-error@+1 {{expects parent op 'train.entry'}}
  train.update @v, %c : tensor<4xf32>
}

// -----

module {
  %c = train.constant dense<0.0> : tensor<4xf32>
  %s = train.constant dense<0.0> : tensor<f32>
  // expected-error@+1 {{expects parent op 'train.entry'}}
  train.loss %s : tensor<f32>
}

// -----

module {
  %c = train.constant dense<0.0> : tensor<4xf32>
  %s = train.constant dense<0.0> : tensor<f32>
  // expected-error@+1 {{expects parent op 'train.entry'}}
  train.return
}

// -----

module {
  %c = train.constant dense<0.0> : tensor<4xf32>
  %s = train.constant dense<0.0> : tensor<f32>
  // expected-error@+1 {{expects parent op 'train.fused'}}
  train.yield
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<16x64xf32>):
  // expected-error@+1 {{results do not match what the body yields}}
  %f = train.fused(%fa = %a) : (tensor<16x64xf32>) -> tensor<16x64xf32> {
    %0 = train.add %fa, %fa : tensor<16x64xf32>
    train.yield %0, %0 : tensor<16x64xf32>, tensor<16x64xf32>
  }
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<16x64xf32>):
  // expected-error@+1 {{is an empty group}}
  %f = train.fused(%fa = %a) : (tensor<16x64xf32>) -> tensor<16x64xf32> {
    train.yield %fa : tensor<16x64xf32>
  }
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<16x64xf32>):
  %f = train.fused(%fa = %a) : (tensor<16x64xf32>) -> tensor<16x64xf32> {
    // expected-error@+1 {{is not row-wise and cannot be in a fused group}}
    %0 = train.matmul %fa, %fa transpose_b : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<16x16xf32>
    train.yield %fa : tensor<16x64xf32>
  }
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b"] outputs [] {
^bb0(%a: tensor<16x64xf32>, %b: tensor<8x64xf32>):
  %f = train.fused(%fa = %a, %fb = %b) : (tensor<16x64xf32>, tensor<8x64xf32>) -> tensor<16x64xf32> {
    %0 = train.add %fa, %fa : tensor<16x64xf32>
    // expected-error@+1 {{has 8 rows in a group of 16}}
    %1 = train.add %fb, %fb : tensor<8x64xf32>
    train.yield %0 : tensor<16x64xf32>
  }
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "b"] outputs [] {
^bb0(%a: tensor<16x64xf32>, %b: tensor<16x32xf32>):
  %f = train.fused(%fa = %a, %fb = %b) : (tensor<16x64xf32>, tensor<16x32xf32>) -> tensor<16x64xf32> {
    %0 = train.add %fa, %fa : tensor<16x64xf32>
    // expected-error@+1 {{has 32 columns in a group of 64}}
    %1 = train.add %fb, %fb : tensor<16x32xf32>
    train.yield %0 : tensor<16x64xf32>
  }
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a", "s"] outputs [] {
^bb0(%a: tensor<16x64xf32>, %s: tensor<f32>):
  %f = train.fused(%fa = %a, %fs = %s) : (tensor<16x64xf32>, tensor<f32>) -> tensor<16x64xf32> {
    %0 = train.sum_squares %fa onto %fs : tensor<16x64xf32>, tensor<f32> -> tensor<f32>
    // expected-error@+1 {{reads a value of its group that is not of its own row}}
    %1 = train.scale %fa by %0 : tensor<16x64xf32>, tensor<f32>
    train.yield %1 : tensor<16x64xf32>
  }
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<16x64xf32>):
  // expected-error@+1 {{arguments of the body do not match the inputs}}
  "train.fused"(%a) ({
  ^bb0(%b: tensor<16x32xf32>):
    "train.yield"() : () -> ()
  }) : (tensor<16x64xf32>) -> ()
  train.return
}

// -----

// expected-error@+1 {{only states may live in the far tier}}
train.variable @w : tensor<4xf32> parameter init #train.zeros far

// -----

// expected-error@+1 {{has the attribute train.page_states = 3 : i64; it must be an attribute without a value}}
module attributes {train.page_states = 3 : i64} {
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<16x64xf32>):
  // expected-error@+1 {{failed to verify that result is the far type of value}}
  %f = "train.offload"(%a) : (tensor<16x64xf32>) -> !train.far<tensor<16x32xf32>>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<16x64xf32>):
  %f = train.offload %a : tensor<16x64xf32>
  // expected-error@+1 {{failed to verify that far is the far type of result}}
  %b = "train.prefetch"(%f, %a) : (!train.far<tensor<16x64xf32>>, tensor<16x64xf32>) -> tensor<16x32xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["a"] outputs [] {
^bb0(%a: tensor<16x64xf32>):
  %f = train.offload %a : tensor<16x64xf32>
  // expected-error@+1 {{operand #0 must be}}
  %b = "train.add"(%f, %f) : (!train.far<tensor<16x64xf32>>, !train.far<tensor<16x64xf32>>) -> !train.far<tensor<16x64xf32>>
  train.return
}

// -----

// expected-error@+1 {{it must be a #train<state_format ...>}}
module attributes {train.quantized_states} {
}

// -----

// A number of another type than the pass looks for would switch it off.
// expected-error@+1 {{has the attribute train.clip_grad_norm = 1 : i64; it must be a positive f64}}
module attributes {train.clip_grad_norm = 1 : i64} {
}

// -----

// expected-error@+1 {{has the attribute train.clip_grad_norm = 1.000000e+00 : f32; it must be a positive f64}}
module attributes {train.clip_grad_norm = 1.0 : f32} {
}

// -----

// expected-error@+1 {{has the attribute train.clip_grad_norm = -1.000000e+00 : f64; it must be a positive f64}}
module attributes {train.clip_grad_norm = -1.0 : f64} {
}

// -----

// expected-error@+1 {{has the attribute train.updates = 5 : i64; it must be a #train.updates}}
module attributes {train.updates = 5} {
}

// -----

// expected-error@+1 {{has the attribute train.optimizer = "foo"; it must be #train.sgd, #train.sgd_momentum or #train.adamw}}
module attributes {train.optimizer = "foo"} {
}

// -----

// expected-error@+1 {{has the attribute train.remaat, which no pass reads}}
module attributes {train.remaat = 1} {
}

// -----

// expected-error@+1 {{has the attribute train.layer, which must be an i64 of at least 0, of an op}}
module attributes {train.layer = 3 : i64} {
}

// -----

// expected-error@+1 {{has the attribute train.loss_chunks, which belongs to a module}}
train.entry @step kind(step) batch 1 sequence 1 inputs [] outputs [] attributes {train.loss_chunks = 2 : i64} {
  train.return
}
