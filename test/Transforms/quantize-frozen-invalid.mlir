// RUN: ftc-opt %s -split-input-file -train-quantize-frozen -verify-diagnostics

// expected-error@+1 {{no parameter '<...>.v_proj.weight' for the target of train.quantize}}
module attributes {train.quantize = #train.quantize<bitsandbytes, targets = ["v_proj"]>} {
  train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.ones
}

// -----

// expected-error@+1 {{train.quantize has a target that is no string: 8}}
module attributes {train.quantize = #train.quantize<bitsandbytes, targets = [8]>} {
}

// -----

// expected-error@+1 {{has the attribute train.quantize = 8 : i64; it must be a #train.quantize}}
module attributes {train.quantize = 8} {
}

// -----

module attributes {train.quantize = #train.quantize<bitsandbytes, targets = ["q_proj"]>} {
  // expected-error@+1 {{is a target of train.quantize but trainable; only frozen weights are quantized}}
  train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.ones trainable
}

// -----

module attributes {train.quantize = #train.quantize<bitsandbytes, targets = ["norm"]>} {
  // expected-error@+1 {{is a target of train.quantize but no matrix of f32 or bf16: 'tensor<64xf32>'}}
  train.variable @norm.weight : tensor<64xf32> parameter init #train.ones
}

// -----

module attributes {train.quantize = #train.quantize<torchao, targets = ["q_proj"]>} {
  // expected-error@+1 {{has 8192 elements; torchao quantizes multiples of 16384, bitsandbytes any number}}
  train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.ones
}

// -----

module attributes {train.quantize = #train.quantize<bitsandbytes, targets = ["embed_tokens"]>} {
  train.variable @embed_tokens.weight : tensor<128x64xf32> parameter init #train.ones
  train.entry @step kind(step) batch 2 sequence 8 inputs ["tokens"] outputs ["y"] {
  ^bb0(%tokens: tensor<16xi32>):
    %w = train.read @embed_tokens.weight : tensor<128x64xf32>
    // expected-error@+1 {{reads @embed_tokens.weight, a target of train.quantize, but not as the second factor of a product}}
    %y = train.embedding %w, %tokens : tensor<128x64xf32>, tensor<16xi32> -> tensor<16x64xf32>
    train.return %y : tensor<16x64xf32>
  }
}

// -----

// A parameter is no reference.
// expected-error@+1 {{no reference '<...>.q_proj.weight' for the target of train.quantize}}
module attributes {train.quantize = #train.quantize<bitsandbytes, targets = ["q_proj"], reference = true>} {
  train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.ones
}
