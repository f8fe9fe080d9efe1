// RUN: ftc-opt %s -split-input-file -train-fuse-sums | FileCheck %s
// RUN: ftc-opt %s -split-input-file -train-fuse-sums --remarks-filter=train-fuse-sums --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK: a product is added while it is stored{{.*}}traffic_saved=8192
// REMARK: a product is added by a kernel of its own: something else reads the product
// REMARK: a product is added by a kernel of its own: what it is added to is computed later
// REMARK: a product is added by a kernel of its own: the product is added to something already
// REMARK: a product is added by a kernel of its own: the product is added to something already
// REMARK: a product is added while it is stored
// REMARK: a product is added by a kernel of its own: the model that is trained adds it apart, and its reference rounds as it does
// REMARK: a product is added while it is stored
// REMARK: a product is added while it is stored
// REMARK: a product is added by a kernel of its own: something else reads the product
// REMARK: a product is added while it is stored
// REMARK: a product is added by a kernel of its own: something else reads the product

// A chain of sums of products: the first stays a product, each other is added to the sum so far.
// CHECK-LABEL: train.entry @gradients
// CHECK: %[[A:.*]] = train.matmul %[[X:.*]], %[[W:.*]] transpose_b :
// CHECK-NEXT: %[[B:.*]] = train.matmul %[[X]], %[[V:.*]] transpose_b onto %[[A]]
// CHECK-NEXT: %[[C:.*]] = train.matmul %[[X]], %[[W]] transpose_b onto %[[B]] {{.*}} {train.backward}
// CHECK-NEXT: train.return %[[C]]
train.variable @w : tensor<64x64xf32> parameter init #train.ones
train.variable @v : tensor<64x64xf32> parameter init #train.ones
train.entry @gradients kind(step) batch 2 sequence 8 inputs [] outputs ["y"] {
  %w = train.read @w : tensor<64x64xf32>
  %v = train.read @v : tensor<64x64xf32>
  %x = train.constant dense<1.0> : tensor<16x64xf32>
  %a = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
  %b = train.matmul %x, %v transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
  %ab = train.add %b, %a : tensor<16x64xf32>
  %c = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32> {train.backward}
  %abc = train.add %ab, %c : tensor<16x64xf32>
  train.return %abc : tensor<16x64xf32>
}

// -----

// Products that something else reads, that add already, or that stand before what they are added to stay as they are.
// CHECK-LABEL: train.entry @apart
// CHECK: train.matmul
// CHECK-NOT: onto
// CHECK: train.add
// CHECK: train.matmul
// CHECK-NEXT: train.scale
// CHECK-NEXT: train.add
// CHECK: onto
// CHECK-NEXT: train.add
train.variable @w : tensor<64x64xf32> parameter init #train.ones
train.entry @apart kind(step) batch 2 sequence 8 inputs [] outputs ["a", "b", "c", "d"] {
  %w = train.read @w : tensor<64x64xf32>
  %x = train.constant dense<1.0> : tensor<16x64xf32>
  %two = train.constant dense<2.0> : tensor<f32>
  %z = train.constant dense<3.0> : tensor<16x64xf32>
  %a = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
  %a1 = train.add %z, %a : tensor<16x64xf32>
  %b = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
  %late = train.scale %x by %two : tensor<16x64xf32>, tensor<f32>
  %b1 = train.add %late, %b : tensor<16x64xf32>
  %c = train.matmul %x, %w onto %z : tensor<16x64xf32>, tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
  %c1 = train.add %a1, %c : tensor<16x64xf32>
  train.return %a, %a1, %b1, %c1 : tensor<16x64xf32>, tensor<16x64xf32>, tensor<16x64xf32>, tensor<16x64xf32>
}

// -----

// No product: nothing to do.
// CHECK-LABEL: train.entry @none
// CHECK: train.add
train.entry @none kind(step) batch 2 sequence 8 inputs [] outputs ["y"] {
  %x = train.constant dense<1.0> : tensor<16x64xf32>
  %two = train.constant dense<2.0> : tensor<f32>
  %s = train.scale %x by %two : tensor<16x64xf32>, tensor<f32>
  %y = train.add %x, %s : tensor<16x64xf32>
  train.return %y : tensor<16x64xf32>
}

// -----

// A reference rounds as the model that is trained: @w has an adapter there, whose product is added first; @v has none. A product
// with @w of the backward pass says nothing of that.
// CHECK-LABEL: train.entry @reference
// CHECK: %[[R:.*]] = train.matmul %[[X:.*]], %[[W:.*]] transpose_b : {{.*}} {train.reference}
// CHECK-NEXT: %[[S:.*]] = train.add %[[X]], %[[R]] : {{.*}} {train.reference}
// CHECK-NEXT: %[[T:.*]] = train.matmul %[[S]], %[[V:.*]] transpose_b onto %[[S]] : {{.*}} {train.reference}
// CHECK-NEXT: %[[P:.*]] = train.matmul %[[X]], %[[W]] transpose_b :
// CHECK-NEXT: %[[Q:.*]] = train.matmul %[[X]], %{{.*}} transpose_b onto %[[P]]
// CHECK-NEXT: %[[Y:.*]] = train.add %[[X]], %[[Q]] :
// CHECK-NEXT: %[[Z:.*]] = train.matmul %[[Y]], %[[V]] transpose_b onto %[[Y]]
// CHECK-NEXT: train.matmul %[[Z]], %[[W]] onto %[[Y]] : {{.*}} {train.backward}
train.variable @w : tensor<16x16xbf16> parameter init #train.ones
train.variable @v : tensor<16x16xbf16> parameter init #train.ones
train.variable @b : tensor<16x16xbf16> parameter init #train.ones
train.entry @reference kind(step) batch 2 sequence 8 inputs [] outputs ["t", "z", "g"] {
  %w = train.read @w : tensor<16x16xbf16>
  %v = train.read @v : tensor<16x16xbf16>
  %b = train.read @b : tensor<16x16xbf16>
  %x = train.constant dense<1.0> : tensor<16x16xbf16>
  %r = train.matmul %x, %w transpose_b : tensor<16x16xbf16>, tensor<16x16xbf16> -> tensor<16x16xbf16> {train.reference}
  %s = train.add %x, %r : tensor<16x16xbf16> {train.reference}
  %t0 = train.matmul %s, %v transpose_b : tensor<16x16xbf16>, tensor<16x16xbf16> -> tensor<16x16xbf16> {train.reference}
  %t = train.add %s, %t0 : tensor<16x16xbf16> {train.reference}
  %p = train.matmul %x, %w transpose_b : tensor<16x16xbf16>, tensor<16x16xbf16> -> tensor<16x16xbf16>
  %q0 = train.matmul %x, %b transpose_b : tensor<16x16xbf16>, tensor<16x16xbf16> -> tensor<16x16xbf16>
  %q = train.add %p, %q0 : tensor<16x16xbf16>
  %y = train.add %x, %q : tensor<16x16xbf16>
  %z0 = train.matmul %y, %v transpose_b : tensor<16x16xbf16>, tensor<16x16xbf16> -> tensor<16x16xbf16>
  %z = train.add %y, %z0 : tensor<16x16xbf16>
  %g0 = train.matmul %z, %w : tensor<16x16xbf16>, tensor<16x16xbf16> -> tensor<16x16xbf16> {train.backward}
  %g = train.add %y, %g0 : tensor<16x16xbf16> {train.backward}
  train.return %t, %z, %g : tensor<16x16xbf16>, tensor<16x16xbf16>, tensor<16x16xbf16>
}

// -----

// The gradient of tied embeddings needs one table only.
// CHECK-LABEL: train.entry @tied
// CHECK-SAME: inputs
// CHECK: ^bb0(%[[IDS:.*]]: tensor<3xi32>, %[[D:.*]]: tensor<3x4xf32>, %[[HEAD:.*]]: tensor<9x4xf32>)
// CHECK-NEXT: %[[G:.*]] = train.embedding_grad %[[IDS]], %[[D]] onto %[[HEAD]]
// CHECK-NEXT: train.return %[[G]]
train.entry @tied kind(step) batch 1 sequence 3 inputs ["ids", "d", "head"] outputs ["g"] {
^bb0(%ids: tensor<3xi32>, %d: tensor<3x4xf32>, %head: tensor<9x4xf32>):
  %t = train.embedding_grad %ids, %d : tensor<3xi32>, tensor<3x4xf32> -> tensor<9x4xf32>
  %g = train.add %head, %t : tensor<9x4xf32>
  train.return %g : tensor<9x4xf32>
}

// -----

// A table that something else reads too, or that adds onto one already, stays apart.
// CHECK-LABEL: train.entry @tied_apart
// CHECK: train.embedding_grad %{{.*}}, %{{.*}} : tensor<3xi32>
// CHECK: train.add
// CHECK: train.embedding_grad %{{.*}}, %{{.*}} onto
// CHECK: train.add
train.entry @tied_apart kind(step) batch 1 sequence 3 inputs ["ids", "d", "head"] outputs ["g", "t", "h"] {
^bb0(%ids: tensor<3xi32>, %d: tensor<3x4xf32>, %head: tensor<9x4xf32>):
  %t = train.embedding_grad %ids, %d : tensor<3xi32>, tensor<3x4xf32> -> tensor<9x4xf32>
  %g = train.add %head, %t : tensor<9x4xf32>
  %u = train.embedding_grad %ids, %d onto %head : tensor<9x4xf32>, tensor<3xi32>, tensor<3x4xf32> -> tensor<9x4xf32>
  %h = train.add %head, %u : tensor<9x4xf32>
  train.return %g, %t, %h : tensor<9x4xf32>, tensor<9x4xf32>, tensor<9x4xf32>
}

// -----

// The same where the reference has weights of its own: each is the copy of a parameter. @w's product is added while it is stored,
// and so is that of @reference.w; something else reads @v's.
// CHECK-LABEL: train.entry @copies
// CHECK: %[[S:.*]] = train.matmul %[[X:.*]], %{{.*}} transpose_b onto %[[X]] : {{.*}} {train.reference}
// CHECK-NEXT: %[[T:.*]] = train.matmul %[[S]], %{{.*}} transpose_b : {{.*}} {train.reference}
// CHECK-NEXT: train.add %[[S]], %[[T]] : {{.*}} {train.reference}
// CHECK-NEXT: %[[Y:.*]] = train.matmul %[[X]], %{{.*}} transpose_b onto %[[X]] :
// CHECK-NEXT: %[[Z:.*]] = train.matmul %[[Y]], %{{.*}} transpose_b :
// CHECK-NEXT: train.add %[[Y]], %[[Z]] :
train.variable @w : tensor<16x16xbf16> parameter init #train.ones
train.variable @v : tensor<16x16xbf16> parameter init #train.ones
train.variable @reference.w : tensor<16x16xbf16> reference init #train.ones
train.variable @reference.v : tensor<16x16xbf16> reference init #train.ones
train.entry @copies kind(step) batch 2 sequence 8 inputs [] outputs ["t", "y", "z"] {
  %w = train.read @w : tensor<16x16xbf16>
  %v = train.read @v : tensor<16x16xbf16>
  %rw = train.read @reference.w : tensor<16x16xbf16>
  %rv = train.read @reference.v : tensor<16x16xbf16>
  %x = train.constant dense<1.0> : tensor<16x16xbf16>
  %s0 = train.matmul %x, %rw transpose_b : tensor<16x16xbf16>, tensor<16x16xbf16> -> tensor<16x16xbf16> {train.reference}
  %s = train.add %x, %s0 : tensor<16x16xbf16> {train.reference}
  %t0 = train.matmul %s, %rv transpose_b : tensor<16x16xbf16>, tensor<16x16xbf16> -> tensor<16x16xbf16> {train.reference}
  %t = train.add %s, %t0 : tensor<16x16xbf16> {train.reference}
  %y0 = train.matmul %x, %w transpose_b : tensor<16x16xbf16>, tensor<16x16xbf16> -> tensor<16x16xbf16>
  %y = train.add %x, %y0 : tensor<16x16xbf16>
  %z0 = train.matmul %y, %v transpose_b : tensor<16x16xbf16>, tensor<16x16xbf16> -> tensor<16x16xbf16>
  %z = train.add %y, %z0 : tensor<16x16xbf16>
  train.return %t, %z0, %z : tensor<16x16xbf16>, tensor<16x16xbf16>, tensor<16x16xbf16>
}
