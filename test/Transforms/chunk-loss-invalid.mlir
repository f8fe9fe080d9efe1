// RUN: ftc-opt %s -split-input-file -train-chunk-loss -verify-diagnostics

// expected-error @below {{has the attribute train.loss_chunks = -1 : i64; it must be an i64, a number of chunks, or 0}}
module attributes {train.loss_chunks = -1 : i64} {
}
