// RUN: ftc-opt %s -split-input-file -train-differentiate -canonicalize -train-fuse-sums | FileCheck %s

// A linear layer under a loss: the weight's gradient is dY^T X, and nothing is built for the frozen table.
// CHECK-LABEL: train.entry @step
// CHECK-SAME: outputs ["loss"]
// CHECK: %[[X:.*]] = train.embedding
// CHECK: %[[Y:.*]] = train.matmul %[[X]], %{{.*}} transpose_b
// CHECK: %[[LOSS:.*]], %{{.*}}, %[[LSE:.*]] = train.cross_entropy %[[Y]]
// CHECK: %[[DY:.*]] = train.cross_entropy_grad %[[Y]], %{{.*}}, %[[LSE]]
// CHECK-NEXT: %[[DW:.*]] = train.matmul %[[DY]], %[[X]] transpose_a : {{.*}} -> tensor<128x64xf32>
// CHECK-NEXT: train.update @w, %[[DW]] : tensor<128x64xf32>
// CHECK-NOT: embedding_grad
// CHECK: train.return %[[LOSS]]
train.variable @frozen : tensor<128x64xf32> parameter init #train.normal<0.02>
train.variable @w : tensor<128x64xf32> parameter init #train.normal<0.02> trainable
train.entry @step kind(step) batch 2 sequence 8 inputs ["tokens", "labels", "inv_tokens"] outputs ["loss"] {
^bb0(%t: tensor<16xi32>, %l: tensor<16xi32>, %inv: tensor<f32>):
  %e = train.read @frozen : tensor<128x64xf32>
  %x = train.embedding %e, %t : tensor<128x64xf32>, tensor<16xi32> -> tensor<16x64xf32>
  %w = train.read @w : tensor<128x64xf32>
  %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
  %loss, %n, %lse = train.cross_entropy %y, %l, %inv ignore -100 : tensor<16x128xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
  train.loss %loss : tensor<f32>
  train.return %loss : tensor<f32>
}

// -----

// Tied embeddings: two reads of one variable are one value; its gradient is one table, filled by the head's product
// and then by the rows of the embedding.
// CHECK-LABEL: train.entry @step
// CHECK-COUNT-1: train.read @w
// CHECK: %[[DY:.*]] = train.cross_entropy_grad
// CHECK: %[[DX:.*]] = train.matmul %[[DY]], %{{[0-9]+}} :
// CHECK: %[[DW:.*]] = train.matmul %[[DY]], %{{[0-9]+}} transpose_a
// CHECK: %[[D:.*]] = train.embedding_grad %{{.*}}, %[[DX]] onto %[[DW]]
// CHECK-NEXT: train.update @w, %[[D]]
train.variable @w : tensor<128x64xf32> parameter init #train.normal<0.02> trainable
train.entry @step kind(step) batch 2 sequence 8 inputs ["tokens", "labels", "inv_tokens"] outputs ["loss"] {
^bb0(%t: tensor<16xi32>, %l: tensor<16xi32>, %inv: tensor<f32>):
  %e = train.read @w : tensor<128x64xf32>
  %x = train.embedding %e, %t : tensor<128x64xf32>, tensor<16xi32> -> tensor<16x64xf32>
  %w = train.read @w : tensor<128x64xf32>
  %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
  %loss, %n, %lse = train.cross_entropy %y, %l, %inv ignore -100 : tensor<16x128xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
  train.loss %loss : tensor<f32>
  train.return %loss : tensor<f32>
}

// -----

// No loss, nothing to do.
// CHECK-LABEL: train.entry @evaluate
// CHECK-NOT: train.update
train.variable @w : tensor<64xf32> parameter init #train.ones trainable
train.entry @evaluate kind(evaluate) batch 2 sequence 8 inputs [] outputs ["w"] {
  %w = train.read @w : tensor<64xf32>
  train.return %w : tensor<64xf32>
}

// -----

// The gradient of what a product adds onto has its type, f32, though the product's factors are bf16.
// CHECK-LABEL: train.entry @step
// CHECK: %[[D:.*]] = train.cross_entropy_grad {{.*}}tensor<16x320xf32>
// CHECK: train.update @b, %[[D]] : tensor<16x320xf32>
train.variable @w : tensor<320x64xbf16> parameter init #train.zeros trainable
train.variable @b : tensor<16x320xf32> parameter init #train.zeros trainable
train.entry @step kind(step) batch 16 sequence 1 inputs ["x", "labels", "inv_tokens"] outputs ["loss"] {
^bb0(%x: tensor<16x64xbf16>, %labels: tensor<16xi32>, %inv: tensor<f32>):
  %w = train.read @w : tensor<320x64xbf16>
  %b = train.read @b : tensor<16x320xf32>
  %l = train.matmul %x, %w transpose_b onto %b : tensor<16x320xf32>, tensor<16x64xbf16>, tensor<320x64xbf16> -> tensor<16x320xf32>
  %loss, %count, %lse = train.cross_entropy %l, %labels, %inv ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
  train.loss %loss : tensor<f32>
  train.return %loss : tensor<f32>
}
