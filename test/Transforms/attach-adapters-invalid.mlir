// RUN: ftc-opt %s -split-input-file -train-attach-adapters -verify-diagnostics

// expected-error@+1 {{no parameter '<...>.v_proj.weight' for the target of train.adapters}}
module attributes {train.adapters = #train.lora<rank = 8, scale = 2.0, targets = ["v_proj"]>} {
  train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.ones trainable
}

// -----

// expected-error@+1 {{train.adapters has rank 0; it must be at least 1}}
module attributes {train.adapters = #train.lora<rank = 0, scale = 2.0, targets = ["q_proj"]>} {
}

// -----

// expected-error@+1 {{has the attribute train.adapters = 8 : i64; it must be a #train.lora}}
module attributes {train.adapters = 8} {
}

// -----

// expected-error@+1 {{train.adapters has a target that is no string: 1}}
module attributes {train.adapters = #train.lora<rank = 8, scale = 2.0, targets = [1]>} {
}

// -----

module attributes {train.adapters = #train.lora<rank = 8, scale = 2.0, targets = ["norm"]>} {
  // expected-error@+1 {{is a target of adapters but no matrix: 'tensor<64xf32>'}}
  train.variable @norm.weight : tensor<64xf32> parameter init #train.ones trainable
}

// -----

module attributes {train.adapters = #train.lora<rank = 8, scale = 2.0, targets = ["embed"]>} {
  train.variable @embed.weight : tensor<128x64xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["tokens"] outputs ["y"] {
  ^bb0(%ids: tensor<16xi32>):
    %w = train.read @embed.weight : tensor<128x64xf32>
    // expected-error@+1 {{reads @embed.weight, a target of adapters, but is no linear layer}}
    %y = train.embedding %w, %ids : tensor<128x64xf32>, tensor<16xi32> -> tensor<16x64xf32>
    train.return %y : tensor<16x64xf32>
  }
}

// -----

module attributes {train.adapters = #train.lora<rank = 8, scale = 2.0, targets = ["q_proj"]>} {
  train.variable @q_proj.weight : tensor<64xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs [] outputs [] {
    %w = train.read @q_proj.weight : tensor<64xf32>
    // expected-error@+1 {{stands before adapters are attached; attach them to the forward graph}}
    train.update @q_proj.weight, %w : tensor<64xf32>
    train.return
  }
}

// -----

// expected-error@+1 {{train.adapters has dropout 1.000000e+00; it must be at least 0 and below 1}}
module attributes {train.adapters = #train.lora<rank = 8, scale = 2.0, targets = ["q_proj"], dropout = 1.0>} {
  train.variable @q_proj.weight : tensor<64x64xf32> parameter init #train.ones trainable
}

// -----

module attributes {train.adapters = #train.lora<rank = 8, scale = 2.0, targets = ["q_proj"], dropout = 0.5>} {
  train.variable @q_proj.weight : tensor<64x64xf32> parameter init #train.ones trainable
  // expected-error@+1 {{trains adapters with dropout but has no input called micro}}
  train.entry @step kind(step) batch 2 sequence 8 inputs ["seed", "step"] outputs [] {
  ^bb0(%seed: tensor<i64>, %step: tensor<i64>):
    train.return
  }
}

// -----

module attributes {train.adapters = #train.lora<rank = 8, scale = 2.0, targets = ["q_proj"], magnitudes = true>} {
train.variable @q_proj.weight : tensor<64x128xf32> parameter init #train.zeros trainable
train.entry @step kind(step) batch 1 sequence 16 inputs ["x", "r"] outputs ["t"] {
^bb0(%x: tensor<16x128xf32>, %r: tensor<16x64xf32>):
  %w = train.read @q_proj.weight : tensor<64x128xf32>
  // expected-error @below {{adds onto something, which magnitudes of an adapter would scale with the weight}}
  %y = train.matmul %x, %w transpose_b onto %r : tensor<16x64xf32>, tensor<16x128xf32>, tensor<64x128xf32> -> tensor<16x64xf32>
  train.return %y : tensor<16x64xf32>
}
}
