// RUN: ftc-opt %s --train-fuse-updates --split-input-file | FileCheck %s
// RUN: ftc-opt %s --train-fuse-updates --split-input-file --remarks-filter=train-fuse-updates --remark-format=emitRemark \
// RUN:   2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// What is computed twice stays twice, whatever runs afterwards.
// RUN: ftc-opt %s --train-fuse-updates --canonicalize --cse --train-form-kernels --canonicalize --cse --split-input-file \
// RUN:   | FileCheck %s --check-prefix=CLEAN

// An update goes right behind its gradient, or behind what still reads the variable.
// CHECK-LABEL: @backward
// CHECK: %[[W:.*]] = train.read @w
// CHECK: %[[DV:.*]] = train.matmul %{{.*}}, %{{.*}} transpose_a
// CHECK-NEXT: train.update @v, %[[DV]] : tensor<64x64xf32>
// CHECK-NEXT: %[[DW:.*]] = train.matmul
// CHECK-NEXT: %[[DX:.*]] = train.matmul %{{.*}}, %[[W]]
// CHECK-NEXT: train.update @w, %[[DW]] : tensor<64x64xf32>
// CHECK-NEXT: train.add %[[DX]]
// REMARK: an update follows its gradient, which need not be held", bytes_saved=16384
// REMARK: an update follows its gradient, which need not be held", bytes_saved=16384
module attributes {train.updates = #train.updates<backward>} {
  train.variable @w : tensor<64x64xf32> parameter init #train.ones trainable
  train.variable @v : tensor<64x64xf32> parameter init #train.ones trainable
  train.entry @backward kind(step) batch 2 sequence 8 inputs ["x", "d"] outputs ["s"] {
  ^bb0(%x: tensor<16x64xf32>, %d: tensor<16x64xf32>):
    %w = train.read @w : tensor<64x64xf32>
    %dv = train.matmul %d, %x transpose_a : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<64x64xf32> {train.backward}
    %dw = train.matmul %x, %d transpose_a : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<64x64xf32> {train.backward}
    %dx = train.matmul %d, %w : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32> {train.backward}
    %s = train.add %dx, %dx : tensor<16x64xf32> {train.backward}
    train.update @w, %dw : tensor<64x64xf32>
    train.update @v, %dv : tensor<64x64xf32>
    train.return %s : tensor<16x64xf32>
  }
}

// -----

// All updates behind the last gradient.
// CHECK-LABEL: @end
// CHECK: train.matmul
// CHECK-NEXT: train.matmul
// CHECK-NEXT: train.update @v
// CHECK-NEXT: train.update @w
// CHECK-NEXT: train.return
// REMARK: a gradient is held to the end of the step, as the recipe asks", bytes=16384
module attributes {train.updates = #train.updates<end>} {
  train.variable @w : tensor<64x64xf32> parameter init #train.ones trainable
  train.variable @v : tensor<64x64xf32> parameter init #train.ones trainable
  train.entry @end kind(step) batch 2 sequence 8 inputs ["x", "d"] outputs [] {
  ^bb0(%x: tensor<16x64xf32>, %d: tensor<16x64xf32>):
    %dv = train.matmul %d, %x transpose_a : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<64x64xf32> {train.backward}
    train.update @v, %dv : tensor<64x64xf32>
    %dw = train.matmul %x, %d transpose_a : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<64x64xf32> {train.backward}
    train.update @w, %dw : tensor<64x64xf32>
    train.return
  }
}

// -----

// A norm that is only reported is summed on the way; updates need not wait for it.
// CHECK-LABEL: @reported
// CHECK: %[[DV:.*]] = train.matmul
// CHECK-NEXT: train.update @v, %[[DV]] : tensor<64x64xf32>
// CHECK-NEXT: train.sum_squares %[[DV]]
// CHECK-NEXT: %[[DW:.*]] = train.matmul
// CHECK: train.clip_factor
module attributes {train.updates = #train.updates<backward>} {
  train.variable @w : tensor<64x64xf32> parameter init #train.ones trainable
  train.variable @v : tensor<64x64xf32> parameter init #train.ones trainable
  train.entry @reported kind(step) batch 2 sequence 8 inputs ["x", "d"] outputs ["grad_norm"] {
  ^bb0(%x: tensor<16x64xf32>, %d: tensor<16x64xf32>):
    %zero = train.constant dense<0.0> : tensor<f32>
    %dv = train.matmul %d, %x transpose_a : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<64x64xf32> {train.backward}
    %dw = train.matmul %x, %d transpose_a : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<64x64xf32> {train.backward}
    %s = train.sum_squares %dv onto %zero : tensor<64x64xf32>, tensor<f32> -> tensor<f32>
    %t = train.sum_squares %dw onto %s : tensor<64x64xf32>, tensor<f32> -> tensor<f32>
    %norm, %factor = train.clip_factor %t max_norm 0x7FF0000000000000 : tensor<f32> -> tensor<f32>, tensor<f32>
    train.update @v, %dv : tensor<64x64xf32>
    train.update @w, %dw : tensor<64x64xf32>
    train.return %norm : tensor<f32>
  }
}

// -----

// Under clipping the gradients are held.
// CHECK-LABEL: @held
// CHECK: train.clip_factor
// CHECK-NEXT: train.update @w, %{{.*}} scale
// REMARK: a gradient is held: clipping needs the norm of all gradients before the first update", bytes=16384
module attributes {train.updates = #train.updates<backward>} {
  train.variable @w : tensor<64x64xf32> parameter init #train.ones trainable
  train.entry @held kind(step) batch 2 sequence 8 inputs ["x", "d"] outputs [] {
  ^bb0(%x: tensor<16x64xf32>, %d: tensor<16x64xf32>):
    %zero = train.constant dense<0.0> : tensor<f32>
    %dw = train.matmul %x, %d transpose_a : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<64x64xf32> {train.backward}
    %s = train.sum_squares %dw onto %zero : tensor<64x64xf32>, tensor<f32> -> tensor<f32>
    %norm, %factor = train.clip_factor %s max_norm 1.0 : tensor<f32> -> tensor<f32>, tensor<f32>
    train.update @w, %dw scale %factor : tensor<64x64xf32>, tensor<f32>
    train.return
  }
}

// -----

// Twice: for the norm, and for the updates. A chunk of forward work is made again, what is recomputed too; what was kept
// is read again.
// CHECK-LABEL: @twice
// CHECK: %[[Y0:.*]] = train.slice_rows %[[Y:.*]] from 0
// CHECK: %[[P:.*]] = train.scale %[[Y0]]
// CHECK: %[[D:.*]] = train.matmul %[[P]], %[[X:.*]] :
// CHECK: %[[X1:.*]] = train.delay %[[X]] until %[[D]]
// CHECK: %[[R:.*]] = train.add %[[X1]], %[[X1]] : {{.*}} {train.recompute}
// CHECK: %[[DV:.*]] = train.matmul %[[D]], %[[R]] transpose_a
// CHECK: %[[SV:.*]] = train.sum_squares %[[DV]]
// CHECK: %[[DW:.*]] = train.matmul %[[D]], %[[X]] transpose_a
// CHECK: train.sum_squares %[[DW]] onto %[[SV]]
// CHECK: %[[NORM:.*]], %[[FACTOR:.*]] = train.clip_factor
// CHECK-NEXT: %[[Y2:.*]] = train.delay %[[Y]] until %[[FACTOR]]
// CHECK-NEXT: %[[Y02:.*]] = train.slice_rows %[[Y2]] from 0
// CHECK-NEXT: %[[P2:.*]] = train.scale %[[Y02]]
// CHECK-NEXT: %[[D2:.*]] = train.matmul %[[P2]], %[[X]] : {{.*}} {train.backward, train.recompute}
// CHECK-NEXT: %[[X2:.*]] = train.delay %[[X]] until %[[D2]]
// CHECK-NEXT: %[[R2:.*]] = train.add %[[X2]], %[[X2]]
// CHECK-NEXT: %[[DV2:.*]] = train.matmul %[[D2]], %[[R2]] transpose_a
// CHECK-NEXT: train.update @v, %[[DV2]] scale %[[FACTOR]]
// CHECK-NEXT: %[[DW2:.*]] = train.matmul %[[D2]], %[[X]] transpose_a
// CHECK-NEXT: train.update @w, %[[DW2]] scale %[[FACTOR]]
// CHECK-NEXT: train.return %[[NORM]]
// REMARK: a gradient is made for the norm, dropped, and made again for its update", bytes=16384
// REMARK: the backward pass runs twice, so that clipping holds no gradient", bytes_saved=16384, flops=
// CLEAN-LABEL: @twice
// CLEAN-COUNT-2: train.matmul {{.*}} transpose_a
// CLEAN: train.clip_factor
// CLEAN-COUNT-2: train.matmul {{.*}} transpose_a
module attributes {train.updates = #train.updates<two_passes>} {
  train.variable @w : tensor<64x64xf32> parameter init #train.ones trainable
  train.variable @v : tensor<64x64xf32> parameter init #train.ones trainable
  train.entry @twice kind(step) batch 2 sequence 8 inputs ["x", "y"] outputs ["grad_norm"] {
  ^bb0(%x: tensor<16x64xf32>, %y: tensor<32x16xf32>):
    %zero = train.constant dense<0.0> : tensor<f32>
    %two = train.constant dense<2.0> : tensor<f32>
    %y0 = train.slice_rows %y from 0 : tensor<32x16xf32> -> tensor<16x16xf32>
    %p = train.scale %y0 by %two : tensor<16x16xf32>, tensor<f32>
    %d = train.matmul %p, %x : tensor<16x16xf32>, tensor<16x64xf32> -> tensor<16x64xf32> {train.backward}
    %x1 = train.delay %x until %d : tensor<16x64xf32>, tensor<16x64xf32>
    %r = train.add %x1, %x1 : tensor<16x64xf32> {train.recompute}
    %dv = train.matmul %d, %r transpose_a : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<64x64xf32> {train.backward}
    %dw = train.matmul %d, %x transpose_a : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<64x64xf32> {train.backward}
    %s = train.sum_squares %dv onto %zero : tensor<64x64xf32>, tensor<f32> -> tensor<f32>
    %t = train.sum_squares %dw onto %s : tensor<64x64xf32>, tensor<f32> -> tensor<f32>
    %norm, %factor = train.clip_factor %t max_norm 1.0 : tensor<f32> -> tensor<f32>, tensor<f32>
    train.update @v, %dv scale %factor : tensor<64x64xf32>, tensor<f32>
    train.update @w, %dw scale %factor : tensor<64x64xf32>, tensor<f32>
    train.return %norm : tensor<f32>
  }
}

// -----

// Without the attribute the pass does nothing.
// CHECK-LABEL: @none
// CHECK: train.matmul
// CHECK-NEXT: train.constant
// CHECK-NEXT: train.update
module {
  train.variable @w : tensor<64x64xf32> parameter init #train.ones trainable
  train.entry @none kind(step) batch 2 sequence 8 inputs ["x", "d"] outputs [] {
  ^bb0(%x: tensor<16x64xf32>, %d: tensor<16x64xf32>):
    %dw = train.matmul %x, %d transpose_a : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<64x64xf32> {train.backward}
    %zero = train.constant dense<0.0> : tensor<f32>
    train.update @w, %dw : tensor<64x64xf32>
    train.return
  }
}
