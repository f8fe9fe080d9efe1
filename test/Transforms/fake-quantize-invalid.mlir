// RUN: ftc-opt %s -split-input-file -train-fake-quantize -verify-diagnostics

module attributes {train.fake_quantize = #train.qat<weights = int4_symmetric, group = 32, after = 3>} {
  train.variable @q_proj.weight : tensor<64x64xf32> parameter init #train.ones trainable
  // expected-error@+1 {{fake-quantizes after 3 steps but has no input called step}}
  train.entry @step kind(step) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
  ^bb0(%x: tensor<16x64xf32>):
    %w = train.read @q_proj.weight : tensor<64x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
    train.return %y : tensor<16x64xf32>
  }
}

// -----

// expected-error@+1 {{no linear layer is left for train.fake_quantize, with groups of 128}}
module attributes {train.fake_quantize = #train.qat<weights = int4_symmetric, group = 128>} {
  train.variable @q_proj.weight : tensor<64x64xf32> parameter init #train.ones trainable
}

// -----

module attributes {train.fake_quantize = #train.qat<weights = int4_asymmetric, group = 128>} {
  // expected-error@+1 {{has 64 columns, which groups of 128 do not divide}}
  train.variable @q_proj.weight : tensor<64x64xf32> parameter init #train.ones trainable
}

// -----

module attributes {train.adapters = #train.lora<rank = 4, scale = 1.0, targets = ["q_proj"]>,
                   train.fake_quantize = #train.qat<weights = int4_symmetric, group = 48>} {
  // expected-error@+1 {{has 64 columns, which groups of 48 do not divide}}
  train.variable @q_proj.weight : tensor<64x64xf32> parameter init #train.ones
}

// -----

module attributes {train.adapters = #train.lora<rank = 4, scale = 1.0, targets = ["q_proj"]>,
                   train.fake_quantize = #train.qat<weights = int4_symmetric, group = 32>} {
  // expected-error@+1 {{belongs to a layer with a bias and an adapter, which is not fake-quantized}}
  train.variable @q_proj.weight : tensor<64x64xf32> parameter init #train.ones
  train.variable @q_proj.bias : tensor<64xf32> parameter init #train.ones
  train.entry @evaluate kind(evaluate) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
  ^bb0(%x: tensor<16x64xf32>):
    %w = train.read @q_proj.weight : tensor<64x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
    %b = train.read @q_proj.bias : tensor<64xf32>
    %z = train.add_bias %y, %b : tensor<16x64xf32>, tensor<64xf32>
    train.return %z : tensor<16x64xf32>
  }
}

// -----

module attributes {train.fake_quantize = #train.qat<weights = int4_symmetric, group = 32>} {
  train.variable @q_proj.weight : tensor<64x64xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["g"] outputs [] {
  ^bb0(%g: tensor<64x64xf32>):
    // expected-error@+1 {{stands before weights are fake-quantized; do that in the forward graph}}
    train.update @q_proj.weight, %g : tensor<64x64xf32>
    train.return
  }
}
