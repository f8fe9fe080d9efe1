// RUN: ftc-opt %s -split-input-file -train-chunk-loss -verify-diagnostics

// expected-error @below {{has train.loss_chunks = -1; it is a number of chunks, or 0}}
module attributes {train.loss_chunks = -1 : i64} {
}
