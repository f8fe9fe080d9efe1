// What -canonicalize and -cse may do to an entry.
// RUN: ftc-opt %s --canonicalize --cse --split-input-file | FileCheck %s

train.variable @w : tensor<4x4xf32> parameter init #train.ones trainable
train.variable @u : tensor<4x4xf32> parameter init #train.ones trainable

// Two reads of a variable are one value; unused values go. CSE does not look past a write, so a read behind the write of
// another variable stays, which is right too.
// CHECK-LABEL: train.entry @reads
// CHECK-NEXT: ^bb0
// CHECK-NEXT: %[[W:.*]] = train.read @w
// CHECK-NEXT: train.write @u, %[[W]]
// CHECK-NEXT: %[[C:.*]] = train.read @w
// CHECK-NEXT: %[[S:.*]] = train.add %[[W]], %[[C]]
// CHECK-NEXT: train.write @w, %[[S]]
// CHECK-NEXT: train.return
train.entry @reads kind(step) batch 1 sequence 1 inputs ["x"] outputs [] {
^bb0(%x: tensor<4x4xf32>):
  %a = train.read @w : tensor<4x4xf32>
  %b = train.read @w : tensor<4x4xf32>
  train.write @u, %a : tensor<4x4xf32>
  %c = train.read @w : tensor<4x4xf32>
  %dead = train.matmul %x, %c : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  %s = train.add %b, %c : tensor<4x4xf32>
  train.write @w, %s : tensor<4x4xf32>
  train.return
}

// -----

train.variable @w : tensor<4x4xf32> parameter init #train.ones trainable

// Equal ops become one, marks and updates stay.
// CHECK-LABEL: train.entry @equal_ops
// CHECK: %[[W:.*]] = train.read @w
// CHECK-NEXT: %[[P:.*]] = train.matmul
// CHECK-NOT: train.matmul
// CHECK: train.update @w, %[[P]]
// CHECK: train.loss
train.entry @equal_ops kind(step) batch 1 sequence 1 inputs ["x"] outputs ["loss"] {
^bb0(%x: tensor<4x4xf32>):
  %w = train.read @w : tensor<4x4xf32>
  %p = train.matmul %x, %w : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  %q = train.matmul %x, %w : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  train.update @w, %p : tensor<4x4xf32>
  %zero = train.constant dense<0.0> : tensor<f32>
  %s = train.sum_squares %q onto %zero : tensor<4x4xf32>, tensor<f32> -> tensor<f32>
  train.loss %s : tensor<f32>
  train.return %s : tensor<f32>
}

