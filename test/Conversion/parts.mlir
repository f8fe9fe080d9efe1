// RUN: ftc-opt %s -split-input-file -convert-train-to-plan | FileCheck %s

// Rows are offsets: slices are views of the input, and each half is made in its place of the whole. A sum of products
// grows in one buffer.
// CHECK: plan.kernel @[[FIRST:matmul_tn_6x4x8]]
// CHECK: plan.kernel @[[SUM:matmul_tn_6x4x8_onto]]
// CHECK: ^bb0(%{{.*}}: memref<8x6xf32>, %{{.*}}: memref<8x4xf32>, %[[C:.*]]: memref<6x4xf32>):
// CHECK: plan.matmul %{{.*}}, %{{.*}}, %[[C]] extras(%[[C]] : memref<6x4xf32>) transpose_a
// CHECK: arith.addf
// CHECK-LABEL: plan.entry @step
// CHECK: %[[X:.*]] = plan.input "x"
// CHECK: %[[D:.*]] = plan.input "d"
// CHECK: %[[X0:.*]] = plan.slice %[[X]][0] : memref<16x4xf32> to memref<8x4xf32>
// CHECK: %[[D0:.*]] = plan.slice %[[D]][0] : memref<16x6xf32> to memref<8x6xf32>
// CHECK: %[[DW:.*]] = plan.alloc {{.*}} : memref<6x4xf32>
// CHECK: plan.launch @[[FIRST]](%[[D0]], %[[X0]], %[[DW]])
// CHECK: %[[WHOLE:.*]] = plan.alloc {{.*}} : memref<16x4xf32>
// CHECK: %[[Y0:.*]] = plan.slice %[[WHOLE]][0] : memref<16x4xf32> to memref<8x4xf32>
// CHECK: plan.launch @{{.*}}(%[[X0]], %[[Y0]])
// CHECK: %[[X1:.*]] = plan.slice %[[X]][8]
// CHECK: %[[D1:.*]] = plan.slice %[[D]][8]
// CHECK: plan.launch @[[SUM]](%[[D1]], %[[X1]], %[[DW]])
// CHECK: %[[Y1:.*]] = plan.slice %[[WHOLE]][8]
// CHECK: plan.launch @{{.*}}(%[[X1]], %[[Y1]])
// CHECK-NOT: plan.launch
// CHECK: plan.output "dw", %[[DW]]
// CHECK: plan.output "y", %[[WHOLE]]
train.entry @step kind(step) batch 2 sequence 8 inputs ["x", "d"] outputs ["dw", "y"] {
^bb0(%x: tensor<16x4xf32>, %d: tensor<16x6xf32>):
  %x0 = train.slice_rows %x from 0 : tensor<16x4xf32> -> tensor<8x4xf32>
  %d0 = train.slice_rows %d from 0 : tensor<16x6xf32> -> tensor<8x6xf32>
  %s = train.matmul %d0, %x0 transpose_a : tensor<8x6xf32>, tensor<8x4xf32> -> tensor<6x4xf32>
  %y0 = train.add %x0, %x0 : tensor<8x4xf32>
  %x1 = train.slice_rows %x from 8 : tensor<16x4xf32> -> tensor<8x4xf32>
  %d1 = train.slice_rows %d from 8 : tensor<16x6xf32> -> tensor<8x6xf32>
  %dw = train.matmul %d1, %x1 transpose_a onto %s : tensor<6x4xf32>, tensor<8x6xf32>, tensor<8x4xf32> -> tensor<6x4xf32>
  %y1 = train.add %x1, %x1 : tensor<8x4xf32>
  %y = train.concat_rows %y0, %y1 : tensor<8x4xf32>, tensor<8x4xf32> -> tensor<16x4xf32>
  train.return %dw, %y : tensor<6x4xf32>, tensor<16x4xf32>
}

// -----

// A part that something else reads too, or that is an input, is copied into its place; a variable that a slice is still
// read from is not overwritten before.
// CHECK-LABEL: plan.entry @step
// CHECK: %[[X:.*]] = plan.input "x"
// CHECK: %[[W:.*]] = plan.get @w
// CHECK: %[[TOP:.*]] = plan.slice %[[W]][0] : memref<4x4xf32> to memref<2x4xf32>
// CHECK: %[[NEW:.*]] = plan.alloc {{.*}} : memref<4x4xf32>
// CHECK: plan.launch @add_4x4(%[[X]], %[[NEW]])
// CHECK: %[[LATE:.*]] = plan.alloc {{.*}} : memref<2x4xf32>
// CHECK: plan.launch @add_2x4(%[[TOP]], %[[LATE]])
// CHECK: plan.launch @copy_2x4(%[[LATE]],
// CHECK: plan.launch @copy_4x4(%[[X]],
// CHECK: plan.launch @copy_4x4{{.*}}(%[[NEW]], %[[W]])
train.variable @w : tensor<4x4xf32> parameter init #train.ones
train.entry @step kind(step) batch 2 sequence 8 inputs ["x"] outputs ["late", "all"] {
^bb0(%x: tensor<4x4xf32>):
  %w = train.read @w : tensor<4x4xf32>
  %top = train.slice_rows %w from 0 : tensor<4x4xf32> -> tensor<2x4xf32>
  %new = train.add %x, %x : tensor<4x4xf32>
  %late = train.add %top, %top : tensor<2x4xf32>
  %all = train.concat_rows %late, %x : tensor<2x4xf32>, tensor<4x4xf32> -> tensor<6x4xf32>
  train.write @w, %new : tensor<4x4xf32>
  train.return %late, %all : tensor<2x4xf32>, tensor<6x4xf32>
}
