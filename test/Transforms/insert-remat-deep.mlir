// What is computed again may be as deep as a hundred thousand ops.
// RUN: sed '/[D]EEP/,$d' %s > %t.mlir
// RUN: awk 'BEGIN { for (i = 1; i <= 100000; ++i) printf "  %%%%v%d = train.add %%%%v%d, %%%%x : tensor<1x4xf32> {train.layer = 0 : i64}\n", i, i - 1 }' >> %t.mlir
// RUN: sed '1,/[D]EEP/d' %s >> %t.mlir
// RUN: ftc-opt %t.mlir -train-insert-remat | grep -c train.recompute | FileCheck %s
// CHECK: 100000
module attributes {train.remat = #train.remat<full, every = 1>} {
train.entry @step kind(step) batch 1 sequence 1 inputs ["x"] outputs ["y", "z"] {
^bb0(%x: tensor<1x4xf32>):
  %v0 = train.add %x, %x : tensor<1x4xf32>
  // DEEP
  %y = train.add %v0, %x : tensor<1x4xf32>
  %g = train.multiply %y, %x : tensor<1x4xf32> {train.backward}
  %z = train.multiply %g, %v100000 : tensor<1x4xf32> {train.backward}
  train.return %y, %z : tensor<1x4xf32>, tensor<1x4xf32>
}
}
