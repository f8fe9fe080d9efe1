// RUN: ftc-opt %s -split-input-file -train-pair-products | FileCheck %s
// RUN: ftc-opt %s -split-input-file -train-pair-products --remarks-filter=train-pair-products --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK: a product of 8 terms joins one of 64{{.*}}traffic_saved=16384
// REMARK: a product of 8 terms joins one of 128{{.*}}traffic_saved=8192
// REMARK: a product of 8 terms stays apart: something else reads what it is added to

// A layer with its adapter, forward and backward; what else is added stays added.
// CHECK-LABEL: train.entry @adapter
// CHECK: %[[XA:.*]] = train.matmul
// CHECK-NEXT: %[[Y:.*]] = train.matmul_pair %[[X:.*]], %[[W:.*]] transpose_b and %[[XA]], %[[B:.*]] transpose_d : {{.*}} {train.layer = 3 : i64}
// CHECK-NEXT: %[[DA:.*]] = train.matmul %[[Y]], %[[B]]
// CHECK-NEXT: %[[DX:.*]] = train.matmul_pair %[[Y]], %[[W]] and %[[DA]], %{{.*}} onto %[[X]] : {{.*}} {train.backward}
// CHECK-NEXT: train.return %[[Y]], %[[DX]]
train.variable @w : tensor<128x64xf32> parameter init #train.ones
train.variable @a : tensor<8x64xf32> parameter init #train.ones
train.variable @b : tensor<128x8xf32> parameter init #train.ones
train.entry @adapter kind(step) batch 2 sequence 8 inputs ["x"] outputs ["y", "dx"] {
^bb0(%x: tensor<16x64xf32>):
  %w = train.read @w : tensor<128x64xf32>
  %a = train.read @a : tensor<8x64xf32>
  %b = train.read @b : tensor<128x8xf32>
  %y0 = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32> {train.layer = 3 : i64}
  %xa = train.matmul %x, %a transpose_b : tensor<16x64xf32>, tensor<8x64xf32> -> tensor<16x8xf32>
  %y = train.matmul %xa, %b transpose_b onto %y0 : tensor<16x128xf32>, tensor<16x8xf32>, tensor<128x8xf32> -> tensor<16x128xf32>
  %da = train.matmul %y, %b : tensor<16x128xf32>, tensor<128x8xf32> -> tensor<16x8xf32>
  %dx0 = train.matmul %da, %a onto %x : tensor<16x64xf32>, tensor<16x8xf32>, tensor<8x64xf32> -> tensor<16x64xf32> {train.backward}
  %dx = train.matmul %y, %w onto %dx0 : tensor<16x64xf32>, tensor<16x128xf32>, tensor<128x64xf32> -> tensor<16x64xf32> {train.backward}
  train.return %y, %dx : tensor<16x128xf32>, tensor<16x64xf32>
}

// -----

// What else is read, two wide products, one whose left factor is transposed, and one that is not narrow beside the other.
// CHECK-LABEL: train.entry @apart
// CHECK-NOT: train.matmul_pair
train.variable @w : tensor<128x128xf32> parameter init #train.ones
train.variable @b : tensor<128x8xf32> parameter init #train.ones
train.entry @apart kind(step) batch 2 sequence 8 inputs ["x", "xa", "xt", "xs"] outputs ["y0", "y1", "y2", "y3", "y4"] {
^bb0(%x: tensor<16x128xf32>, %xa: tensor<16x8xf32>, %xt: tensor<8x16xf32>, %xs: tensor<16x16xf32>):
  %w = train.read @w : tensor<128x128xf32>
  %b = train.read @b : tensor<128x8xf32>
  %y0 = train.matmul %x, %w transpose_b : tensor<16x128xf32>, tensor<128x128xf32> -> tensor<16x128xf32>
  %y1 = train.matmul %xa, %b transpose_b onto %y0 : tensor<16x128xf32>, tensor<16x8xf32>, tensor<128x8xf32> -> tensor<16x128xf32>
  %z0 = train.matmul %x, %w : tensor<16x128xf32>, tensor<128x128xf32> -> tensor<16x128xf32>
  %y2 = train.matmul %x, %w transpose_b onto %z0 : tensor<16x128xf32>, tensor<16x128xf32>, tensor<128x128xf32> -> tensor<16x128xf32>
  %z1 = train.matmul %y1, %w : tensor<16x128xf32>, tensor<128x128xf32> -> tensor<16x128xf32>
  %y3 = train.matmul %xt, %b transpose_a transpose_b onto %z1 : tensor<16x128xf32>, tensor<8x16xf32>, tensor<128x8xf32> -> tensor<16x128xf32>
  %z2 = train.matmul %xs, %y1 : tensor<16x16xf32>, tensor<16x128xf32> -> tensor<16x128xf32>
  %y4 = train.matmul %xa, %b transpose_b onto %z2 : tensor<16x128xf32>, tensor<16x8xf32>, tensor<128x8xf32> -> tensor<16x128xf32>
  train.return %y0, %y1, %y2, %y3, %y4 : tensor<16x128xf32>, tensor<16x128xf32>, tensor<16x128xf32>, tensor<16x128xf32>, tensor<16x128xf32>
}

// -----

// No sum of products: nothing to do.
// CHECK-LABEL: train.entry @none
// CHECK: train.matmul
// CHECK-NOT: train.matmul_pair
train.entry @none kind(step) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
^bb0(%x: tensor<16x16xf32>):
  %y = train.matmul %x, %x onto %x : tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xf32> -> tensor<16x16xf32>
  train.return %y : tensor<16x16xf32>
}
