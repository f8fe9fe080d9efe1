// One case for each rule of matrices in four bits.
// RUN: ftc-opt %s --split-input-file --verify-diagnostics

// expected-error@+1 {{decodes to 'f64'; it must be f32 or bf16}}
train.variable @w : tensor<4x64x!train.nf4<bitsandbytes, f64>> parameter init #train.ones

// -----

// expected-error@+1 {{is kept in four bits and cannot be trainable}}
train.variable @w : tensor<4x64x!train.nf4<bitsandbytes, f32>> parameter init #train.ones trainable

// -----

// expected-error@+1 {{only parameters that are matrices are kept in four bits}}
train.variable @w : tensor<64x!train.nf4<bitsandbytes, f32>> parameter init #train.ones

// -----

// expected-error@+1 {{only parameters that are matrices are kept in four bits}}
train.variable @w : tensor<4x64x!train.nf4<bitsandbytes, f32>> state init #train.ones

// -----

// expected-error@+1 {{has 256 elements; torchao quantizes multiples of 16384, bitsandbytes any number}}
train.variable @w : tensor<4x64x!train.nf4<torchao, f32>> parameter init #train.ones

// -----

train.variable @w : tensor<4x64x!train.nf4<bitsandbytes, f32>> parameter init #train.ones
train.entry @step kind(step) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
^bb0(%x: tensor<16x64xbf16>):
  %w = train.read @w : tensor<4x64x!train.nf4<bitsandbytes, f32>>
  // expected-error@+1 {{multiplies 'bf16' and '!train.nf4<bitsandbytes, f32>' into 'bf16'}}
  %y = train.matmul %x, %w transpose_b : tensor<16x64xbf16>, tensor<4x64x!train.nf4<bitsandbytes, f32>> -> tensor<16x4xbf16>
  train.return %y : tensor<16x4xbf16>
}

// -----

train.variable @w : tensor<4x64x!train.nf4<bitsandbytes, f32>> parameter init #train.ones
train.entry @step kind(step) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
^bb0(%x: tensor<64x16xf32>):
  %w = train.read @w : tensor<4x64x!train.nf4<bitsandbytes, f32>>
  // expected-error@+1 {{operand #0 must be matrix of static shape}}
  %y = train.matmul %w, %x : tensor<4x64x!train.nf4<bitsandbytes, f32>>, tensor<64x16xf32> -> tensor<4x16xf32>
  train.return %y : tensor<4x16xf32>
}
