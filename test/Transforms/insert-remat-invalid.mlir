// RUN: ftc-opt %s --train-insert-remat --split-input-file --verify-diagnostics

// expected-error@+1 {{every must be at least 1}}
module attributes {train.remat = #train.remat<full, every = 0>} {
}

// -----

// expected-error@+1 {{it must be a #train.remat}}
module attributes {train.remat = 1 : i64} {
}

// -----

train.entry @layer kind(evaluate) batch 2 sequence 8 inputs ["x"] outputs ["s"] {
^bb0(%x: tensor<64x64xf32>):
  // expected-error@+1 {{which must be an i64 of at least 0}}
  %s = train.swiglu %x, %x : tensor<64x64xf32> {train.layer = -1 : i64}
  train.return %s : tensor<64x64xf32>
}

// -----

train.entry @backward kind(evaluate) batch 2 sequence 8 inputs ["x"] outputs ["s"] {
^bb0(%x: tensor<64x64xf32>):
  // expected-error@+1 {{has the attribute train.backward, which takes no value}}
  %s = train.swiglu %x, %x : tensor<64x64xf32> {train.backward = true}
  train.return %s : tensor<64x64xf32>
}

// -----

// expected-error@+1 {{bytes must be at least 0}}
module attributes {train.remat = #train.remat<budget, every = 1, bytes = -1>} {
}

// -----

// expected-error@+1 {{bytes has a meaning only with budget}}
module attributes {train.remat = #train.remat<full, every = 1, bytes = 1024>} {
}

// -----

train.entry @number kind(evaluate) batch 2 sequence 8 inputs ["x"] outputs ["s"] {
^bb0(%x: tensor<64x64xf32>):
  // expected-error@+1 {{has the attribute train.away, which must be an array of numbers of its results}}
  %s = train.swiglu %x, %x : tensor<64x64xf32> {train.away = array<i64: 1>}
  train.return %s : tensor<64x64xf32>
}

// -----

train.entry @none kind(evaluate) batch 2 sequence 8 inputs ["x"] outputs ["s"] {
^bb0(%x: tensor<64x64xf32>):
  // expected-error@+1 {{has the attribute train.away, which must be an array of numbers of its results}}
  %s = train.swiglu %x, %x : tensor<64x64xf32> {train.away = array<i64>}
  train.return %s : tensor<64x64xf32>
}
