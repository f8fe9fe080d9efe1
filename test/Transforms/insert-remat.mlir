// RUN: ftc-opt %s --train-insert-remat --split-input-file | FileCheck %s
// RUN: ftc-opt %s --train-insert-remat --split-input-file --remarks-filter=train-insert-remat --remark-format=emitRemark \
// RUN:   2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// Running the pass again changes nothing.
// RUN: ftc-opt %s --train-insert-remat --split-input-file > %t.once
// RUN: ftc-opt %s --train-insert-remat --train-insert-remat --split-input-file > %t.twice
// RUN: cmp %t.once %t.twice
// Neither do the passes that merge equal ops and form kernels bring a copy and its original together.
// RUN: ftc-opt %s --train-insert-remat --canonicalize --cse --train-form-kernels --canonicalize --cse --split-input-file \
// RUN:   | FileCheck %s --check-prefix=CLEAN

// The norm is cheap, and what it reads is kept anyway. The copy stands right before the first gradient that reads it,
// and waits for the gradient that is there. The products are kept, and the rotated query, for which a product would be.
// CHECK-LABEL: @selective
// CHECK: %[[X:.*]] = train.add %{{.*}}, %{{.*}} {train.layer = 0 : i64}
// CHECK-NEXT: %[[N:.*]] = train.rms_norm %[[X]], %[[W:.*]] eps
// CHECK-NEXT: %[[P:.*]] = train.matmul %[[N]]
// CHECK-NEXT: %[[Z:.*]] = train.matmul %[[N]]
// CHECK-NEXT: %[[Q:.*]] = train.rotary %[[Z]]
// CHECK-NEXT: %[[S:.*]] = train.swiglu %[[P]], %[[N]]
// CHECK: %[[DQ:.*]] = train.matmul %{{.*}}, %[[Q]] transpose_b
// CHECK-NEXT: %[[X1:.*]] = train.delay %[[X]] until %[[DQ]]
// CHECK-NEXT: %[[N1:.*]] = train.rms_norm %[[X1]], %[[W]] eps 1.000000e-05 : {{.*}} {train.recompute}
// CHECK-NEXT: %[[P1:.*]] = train.delay %[[P]] until %[[DQ]]
// CHECK-NEXT: %[[S1:.*]] = train.swiglu %[[P1]], %[[N1]] : {{.*}} {train.recompute}
// CHECK-NEXT: %[[DS:.*]] = train.matmul %[[DQ]], %[[S1]] :
// CHECK-NEXT: train.swiglu_grad %[[P]], %[[N1]], %[[DS]]
// CHECK-NEXT: train.rms_norm_grad %[[X]], %[[W]],
// CLEAN-LABEL: @selective
// CLEAN: train.matmul {{.*}}train.layer
// CLEAN: train.delay
// CLEAN: train.fused
// CLEAN-NEXT: train.rms_norm {{.*}}train.recompute
// CLEAN-NEXT: train.swiglu {{.*}}train.recompute
// CLEAN-NEXT: train.yield
// REMARK-DAG: train.rms_norm is computed again", bytes_saved=4096, flops=4096
// REMARK-DAG: train.swiglu is computed again", bytes_saved=4096, flops=5120
// REMARK-DAG: a result of train.add is kept: a result of train.matmul would have to be kept instead", bytes=4096, flops=1024
// REMARK-DAG: a result of train.matmul is kept: computing it again is dear", bytes=4096, flops=131072
// REMARK-DAG: a result of train.rotary is kept: a result of train.matmul would have to be kept instead
module attributes {train.remat = #train.remat<selective, every = 1>} {
  train.entry @selective kind(step) batch 2 sequence 8 inputs ["x", "w", "v", "d", "p", "c"] outputs ["dx"] {
  ^bb0(%in: tensor<16x64xf32>, %w: tensor<64xf32>, %v: tensor<64x64xf32>, %d: tensor<16x16xf32>, %pos: tensor<16xi32>,
       %cos: tensor<128x8xf32>):
    %m = train.matmul %in, %v : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32> {train.layer = 0 : i64}
    %x = train.add %in, %m : tensor<16x64xf32> {train.layer = 0 : i64}
    %n = train.rms_norm %x, %w eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32> {train.layer = 0 : i64}
    %y = train.matmul %n, %v : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32> {train.layer = 0 : i64}
    %z = train.matmul %n, %v transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32> {train.layer = 0 : i64}
    %q = train.rotary %z, %pos, %cos, %cos head_dim 16
      : tensor<16x64xf32>, tensor<16xi32>, tensor<128x8xf32>, tensor<128x8xf32> {train.layer = 0 : i64}
    %s = train.swiglu %y, %n : tensor<16x64xf32> {train.layer = 0 : i64}
    %dl = train.matmul %d, %d : tensor<16x16xf32>, tensor<16x16xf32> -> tensor<16x16xf32> {train.backward}
    %dl2 = train.matmul %dl, %q : tensor<16x16xf32>, tensor<16x64xf32> -> tensor<16x64xf32> {train.backward}
    %dq = train.matmul %dl2, %q transpose_b : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<16x16xf32> {train.backward}
    %ds = train.matmul %dq, %s : tensor<16x16xf32>, tensor<16x64xf32> -> tensor<16x64xf32> {train.backward}
    %dg, %du = train.swiglu_grad %y, %n, %ds : tensor<16x64xf32> {train.backward}
    %dx, %dw = train.rms_norm_grad %x, %w, %du eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32> {train.backward}
    train.return %dx : tensor<16x64xf32>
  }
}

// -----

// Of each layer its input is kept, the output of the layer before; all else that backward reads is computed again, and
// what only leads there too. The last product of a layer is read by nobody again, and so not copied.
// CHECK-LABEL: @full
// CHECK: %[[X0:.*]] = train.matmul
// CHECK-NEXT: train.matmul
// CHECK-NEXT: train.swiglu
// CHECK-NEXT: %[[X1:.*]] = train.matmul {{.*}} {train.layer = 0 : i64}
// CHECK-NEXT: train.matmul
// CHECK-NEXT: train.swiglu
// CHECK-NEXT: %[[X2:.*]] = train.matmul {{.*}} {train.layer = 1 : i64}
// CHECK-NEXT: train.add
// CHECK-NEXT: %[[D2:.*]] = train.matmul %[[X2]], %{{.*}} {train.backward}
// CHECK-NEXT: %[[I1:.*]] = train.delay %[[X1]] until %[[D2]]
// CHECK-NEXT: %[[P1:.*]] = train.matmul %[[I1]], {{.*}} {train.recompute}
// CHECK-NEXT: %[[S1:.*]] = train.swiglu %[[P1]], %[[P1]] : {{.*}} {train.recompute}
// CHECK-NEXT: train.matmul %[[S1]], %[[D2]] transpose_a
// CHECK-NEXT: %[[D1:.*]], %{{.*}} = train.swiglu_grad %[[P1]], %[[P1]], %[[D2]]
// CHECK-NEXT: %[[I0:.*]] = train.delay %[[X0]] until %[[D1]]
// CHECK-NEXT: %[[P0:.*]] = train.matmul %[[I0]], {{.*}} {train.recompute}
// CHECK-NEXT: %[[S0:.*]] = train.swiglu %[[P0]], %[[P0]] : {{.*}} {train.recompute}
// CHECK-NEXT: train.matmul %[[S0]], %[[D1]] transpose_a
// CHECK-NEXT: train.swiglu_grad %[[P0]], %[[P0]], %[[D1]]
// CHECK-NEXT: train.return
// CLEAN-LABEL: @full
// CLEAN-COUNT-4: train.recompute
// CLEAN: train.return
// REMARK-DAG: a result of train.matmul is kept: ops outside the layer read it too
module attributes {train.remat = #train.remat<full, every = 1>} {
  train.entry @full kind(step) batch 2 sequence 8 inputs ["x", "w"] outputs ["a", "b", "c", "x"] {
  ^bb0(%in: tensor<64x64xf32>, %w: tensor<64x64xf32>):
    %x0 = train.matmul %in, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    %p0 = train.matmul %x0, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.layer = 0 : i64}
    %s0 = train.swiglu %p0, %p0 : tensor<64x64xf32> {train.layer = 0 : i64}
    %x1 = train.matmul %s0, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.layer = 0 : i64}
    %p1 = train.matmul %x1, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.layer = 1 : i64}
    %s1 = train.swiglu %p1, %p1 : tensor<64x64xf32> {train.layer = 1 : i64}
    %x2 = train.matmul %s1, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.layer = 1 : i64}
    %l = train.add %x2, %in : tensor<64x64xf32>
    %d2 = train.matmul %x2, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.backward}
    %w1 = train.matmul %s1, %d2 transpose_a : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.backward}
    %d1, %u1 = train.swiglu_grad %p1, %p1, %d2 : tensor<64x64xf32> {train.backward}
    %w0 = train.matmul %s0, %d1 transpose_a : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.backward}
    %d0, %u0 = train.swiglu_grad %p0, %p0, %d1 : tensor<64x64xf32> {train.backward}
    train.return %w1, %w0, %d0, %l : tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>
  }
}

// -----

// Of every two layers the second. An op that a pass has put between two ops of a layer belongs to it.
// CHECK-LABEL: @every_second
// CHECK: train.swiglu {{.*}} {train.layer = 0 : i64}
// CHECK: train.swiglu {{.*}} {train.layer = 1 : i64}
// CHECK: train.add {{.*}} : tensor<64x64xf32>
// CHECK-NEXT: train.scale
// CHECK: %[[D:.*]] = train.matmul {{.*}}train.backward
// CHECK-NEXT: train.delay
// CHECK-NEXT: %[[S:.*]] = train.swiglu {{.*}} {train.recompute}
// CHECK-NEXT: %[[A:.*]] = train.add %[[S]], %{{.*}} {train.recompute}
// CHECK-NEXT: train.matmul %[[A]], %[[D]]
// CHECK-NEXT: train.matmul %{{.*}}, %[[D]] transpose_a
// CHECK-NEXT: train.return
module attributes {train.remat = #train.remat<full, every = 2>} {
  train.entry @every_second kind(step) batch 2 sequence 8 inputs ["x", "w", "f"] outputs ["a", "b", "x"] {
  ^bb0(%in: tensor<64x64xf32>, %w: tensor<64x64xf32>, %f: tensor<f32>):
    %s0 = train.swiglu %in, %in : tensor<64x64xf32> {train.layer = 0 : i64}
    %x1 = train.matmul %s0, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.layer = 0 : i64}
    %s1 = train.swiglu %x1, %w : tensor<64x64xf32> {train.layer = 1 : i64}
    %a1 = train.add %s1, %w : tensor<64x64xf32>
    %x2 = train.scale %a1 by %f : tensor<64x64xf32>, tensor<f32> {train.layer = 1 : i64}
    %x3 = train.add %x2, %w : tensor<64x64xf32>
    %d = train.matmul %w, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.backward}
    %d1 = train.matmul %a1, %d : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.backward}
    %d0 = train.matmul %s0, %d transpose_a : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.backward}
    train.return %d1, %d0, %x3 : tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>
  }
}

// -----

// An op of inputs and variables alone waits too. Where no gradient exists before a value is read, it is kept, and what
// the entry returns or writes is kept anyway.
// CHECK-LABEL: @inputs_alone
// CHECK: %[[W:.*]] = train.read @w
// CHECK-NEXT: train.swiglu %[[W]], %[[W]]
// CHECK-NEXT: %[[B:.*]] = train.add %[[W]], %[[W]]
// CHECK-NEXT: %[[C:.*]] = train.scale %[[W]]
// CHECK-NEXT: train.write @w, %[[C]]
// CHECK-NEXT: %[[D:.*]] = train.matmul %[[B]], %[[C]]
// CHECK-NEXT: %[[W1:.*]] = train.delay %[[W]] until %[[D]]
// CHECK-NEXT: %[[A1:.*]] = train.swiglu %[[W1]], %[[W1]] : {{.*}} {train.recompute}
// CHECK-NEXT: %[[R:.*]] = train.matmul %[[A1]], %[[B]]
// CHECK-NEXT: train.return %[[R]]
// REMARK-DAG: a result of train.add is kept: no gradient exists before it is read
// REMARK-DAG: a result of train.scale is kept: ops outside the layer read it too
module attributes {train.remat = #train.remat<selective, every = 1>} {
  train.variable @w : tensor<64x64xf32> parameter init #train.ones trainable
  train.entry @inputs_alone kind(step) batch 2 sequence 8 inputs ["f"] outputs ["a"] {
  ^bb0(%f: tensor<f32>):
    %w = train.read @w : tensor<64x64xf32>
    %a = train.swiglu %w, %w : tensor<64x64xf32> {train.layer = 0 : i64}
    %b = train.add %w, %w : tensor<64x64xf32> {train.layer = 0 : i64}
    %c = train.scale %w by %f : tensor<64x64xf32>, tensor<f32> {train.layer = 0 : i64}
    train.write @w, %c : tensor<64x64xf32>
    %d = train.matmul %b, %c : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.backward}
    %r = train.matmul %a, %b : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.backward}
    train.return %r : tensor<64x64xf32>
  }
}

// -----

// Without the module's attribute nothing changes, and neither does an entry that has no backward graph.
// CHECK-LABEL: @not_asked
// CHECK-NOT: train.recompute
train.entry @not_asked kind(step) batch 2 sequence 8 inputs ["x", "w"] outputs ["d"] {
^bb0(%x: tensor<64x64xf32>, %w: tensor<64x64xf32>):
  %s = train.swiglu %x, %x : tensor<64x64xf32> {train.layer = 0 : i64}
  %d = train.matmul %w, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.backward}
  %r = train.matmul %s, %d : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.backward}
  train.return %r : tensor<64x64xf32>
}

// -----

// CHECK-LABEL: @forward_only
// CHECK-NOT: train.recompute
module attributes {train.remat = #train.remat<full, every = 1>} {
  train.entry @forward_only kind(evaluate) batch 2 sequence 8 inputs ["x"] outputs ["s"] {
  ^bb0(%x: tensor<64x64xf32>):
    %s = train.swiglu %x, %x : tensor<64x64xf32> {train.layer = 0 : i64}
    %t = train.add %s, %x : tensor<64x64xf32> {train.layer = 0 : i64}
    train.return %t : tensor<64x64xf32>
  }
}
