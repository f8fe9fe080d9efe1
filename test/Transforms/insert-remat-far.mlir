// RUN: ftc-opt %s -split-input-file -train-insert-remat | FileCheck %s

// What goes to the far tier is not computed again.
// CHECK-LABEL: train.entry @step
// CHECK-COUNT-1: train.offload
// CHECK-NOT: train.offload
module attributes {train.remat = #train.remat<budget, every = 1, bytes = 100>} {
train.entry @step kind(step) batch 1 sequence 16 inputs ["x"] outputs ["y"] {
^bb0(%x: tensor<16x64xf32>):
  %a = train.add %x, %x : tensor<16x64xf32> {train.layer = 0 : i64}
  %f = train.offload %a : tensor<16x64xf32> {train.layer = 0 : i64}
  %h = train.multiply %a, %x : tensor<16x64xf32> {train.layer = 0 : i64}
  %d = train.multiply %h, %x : tensor<16x64xf32> {train.backward}
  %b = train.prefetch %f until %d : tensor<16x64xf32>, tensor<16x64xf32> {train.backward}
  %e = train.multiply %b, %d : tensor<16x64xf32> {train.backward}
  train.return %e : tensor<16x64xf32>
}
}

// -----

// CHECK-LABEL: train.entry @step
// CHECK-COUNT-1: train.offload
// CHECK-NOT: train.offload
module attributes {train.remat = #train.remat<full, every = 1>} {
train.entry @step kind(step) batch 1 sequence 16 inputs ["x"] outputs ["y"] {
^bb0(%x: tensor<16x64xf32>):
  %a = train.add %x, %x : tensor<16x64xf32> {train.layer = 0 : i64}
  %f = train.offload %a : tensor<16x64xf32> {train.layer = 0 : i64}
  %h = train.multiply %a, %x : tensor<16x64xf32> {train.layer = 0 : i64}
  %d = train.multiply %h, %x : tensor<16x64xf32> {train.backward}
  %b = train.prefetch %f until %d : tensor<16x64xf32>, tensor<16x64xf32> {train.backward}
  %e = train.multiply %b, %d : tensor<16x64xf32> {train.backward}
  train.return %e : tensor<16x64xf32>
}
}

// -----

// CHECK-LABEL: train.entry @step
// CHECK-COUNT-1: train.offload
// CHECK-NOT: train.offload
module attributes {train.remat = #train.remat<selective, every = 1>} {
train.entry @step kind(step) batch 1 sequence 16 inputs ["x"] outputs ["y"] {
^bb0(%x: tensor<16x64xf32>):
  %a = train.add %x, %x : tensor<16x64xf32> {train.layer = 0 : i64}
  %f = train.offload %a : tensor<16x64xf32> {train.layer = 0 : i64}
  %h = train.multiply %a, %x : tensor<16x64xf32> {train.layer = 0 : i64}
  %d = train.multiply %h, %x : tensor<16x64xf32> {train.backward}
  %b = train.prefetch %f until %d : tensor<16x64xf32>, tensor<16x64xf32> {train.backward}
  %e = train.multiply %b, %d : tensor<16x64xf32> {train.backward}
  train.return %e : tensor<16x64xf32>
}
}
