// RUN: ftc-opt %s --convert-train-to-plan | FileCheck %s

// A norm of heads sees a matrix as more, shorter rows: no copy, and a weight of one head's width.
// CHECK: plan.kernel @rms_norm_6x8
// CHECK-NEXT: ^bb0(%[[X:.*]]: memref<24x2xf32>, %[[W:.*]]: memref<2xf32>, %[[Y:.*]]: memref<24x2xf32>):
// CHECK-NEXT: plan.rows 24
// CHECK: plan.load %[[X]][%[[ROW:.*]]] : memref<24x2xf32> -> tensor<2xf32>
// CHECK: arith.constant 2.000000e+00
// CHECK: plan.store %{{.*}}, %[[Y]][%[[ROW]]] : tensor<2xf32>, memref<24x2xf32>
// CHECK: plan.launch @rms_norm_6x8({{.*}} : memref<6x8xf32>, memref<2xf32>, memref<6x8xf32>
train.entry @evaluate kind(evaluate) batch 1 sequence 6 inputs ["x", "w"] outputs ["y"] {
^bb0(%x: tensor<6x8xf32>, %w: tensor<2xf32>):
  %y = train.rms_norm %x, %w eps 1.0e-6 : tensor<6x8xf32>, tensor<2xf32>
  train.return %y : tensor<6x8xf32>
}
