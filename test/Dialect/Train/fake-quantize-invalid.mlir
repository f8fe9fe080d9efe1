// One case for each rule of the verifiers of train.fake_quantize and of what asks for it.
// RUN: ftc-opt %s --split-input-file --verify-diagnostics

train.entry @e kind(step) batch 4 sequence 4 inputs ["x"] outputs [] {
^bb0(%x: tensor<16x64xf32>):
  // expected-error@+1 {{has groups of 48; they need at least 2 elements, and to divide a row of 64}}
  %y = train.fake_quantize %x int4_symmetric group 48 : tensor<16x64xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 4 sequence 4 inputs ["x"] outputs [] {
^bb0(%x: tensor<16x64xf32>):
  // expected-error@+1 {{has groups of 1; they need at least 2 elements}}
  %y = train.fake_quantize %x int4_symmetric group 1 : tensor<16x64xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 4 sequence 4 inputs ["x"] outputs [] {
^bb0(%x: tensor<16x64xf32>):
  // expected-error@+1 {{needs the number of the step where it has `after`, and only there}}
  %y = train.fake_quantize %x int4_symmetric group 32 after 3 : tensor<16x64xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 4 sequence 4 inputs ["x", "step"] outputs [] {
^bb0(%x: tensor<16x64xf32>, %step: tensor<i64>):
  // expected-error@+1 {{begins after -2 steps}}
  %y = train.fake_quantize %x int4_symmetric group 32 after -2 of %step : tensor<16x64xf32>, tensor<i64>
  train.return
}

// -----

// expected-error@+1 {{it must be a #train.qat}}
module attributes {train.fake_quantize} {
}

// -----

// expected-error@+1 {{group must be at least 2}}
module attributes {train.fake_quantize = #train.qat<weights = int4_symmetric, group = 1>} {
}

// -----

// expected-error@+1 {{after must be at least 0}}
module attributes {train.fake_quantize = #train.qat<weights = int4_symmetric, group = 32, after = -1>} {
}
