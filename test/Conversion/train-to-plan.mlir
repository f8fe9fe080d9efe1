// RUN: ftc-opt %s -split-input-file -convert-train-to-plan | FileCheck %s

// Variables and entries keep their names; a kernel is one symbol for launches of one body and one shape; labels are the
// names of locations.

// CHECK: plan.variable @w : memref<8x4xf32> parameter init #train.ones trainable
train.variable @w : tensor<8x4xf32> parameter init #train.ones trainable

// CHECK-LABEL: plan.kernel @matmul_nt_16x8x4 {
// CHECK: plan.matmul %{{.*}}, %{{.*}}, %{{.*}} transpose_b : memref<16x4xf32>, memref<8x4xf32>, memref<16x8xf32> read_a {
// CHECK-NOT: matmul_nt_16x8x4_1
// CHECK-LABEL: plan.kernel @matmul_nn_16x4x8 {
// CHECK-LABEL: plan.entry @step
// 2 * 2 * 16 * 8 * 4 + 2 * 16 * 4 * 8 operations.
// CHECK-SAME: batch 2 sequence 8 flops 3.072e+3
train.entry @step kind(step) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
^bb0(%x: tensor<16x4xf32>):
  // CHECK: %[[X:.*]] = plan.input "x" : memref<16x4xf32>
  %w = train.read @w : tensor<8x4xf32>
  // CHECK: %[[W:.*]] = plan.get @w
  // CHECK: %[[A:.*]] = plan.alloc "up matmul"
  // CHECK: plan.launch @matmul_nt_16x8x4(%[[X]], %[[W]], %[[A]]) "up matmul"
  %a = train.matmul %x, %w transpose_b : tensor<16x4xf32>, tensor<8x4xf32> -> tensor<16x8xf32> loc("up")
  // CHECK: plan.launch @matmul_nn_16x4x8(%[[A]], %[[W]], %[[B:.*]]) "matmul"
  %b = train.matmul %a, %w : tensor<16x8xf32>, tensor<8x4xf32> -> tensor<16x4xf32>
  // CHECK: plan.launch @matmul_nt_16x8x4(%[[B]], %[[W]], %[[C:.*]]) "matmul"
  %c = train.matmul %b, %w transpose_b : tensor<16x4xf32>, tensor<8x4xf32> -> tensor<16x8xf32>
  // CHECK: plan.output "y", %[[C]]
  train.return %c : tensor<16x8xf32>
}

// -----

// An update reads and writes each row once: it works on the variable itself. The scalars of AdamW are made once.

train.variable @p : tensor<8x4xf32> parameter init #train.ones trainable
train.variable @m : tensor<8x4xf32> state init #train.zeros
train.variable @v : tensor<8x4xf32> state init #train.zeros
train.variable @q : tensor<8x4xf32> parameter init #train.ones trainable
train.variable @qm : tensor<8x4xf32> state init #train.zeros
train.variable @qv : tensor<8x4xf32> state init #train.zeros

// CHECK-LABEL: plan.entry @step
train.entry @step kind(step) batch 2 sequence 8 inputs ["g", "learning_rate", "step"] outputs [] {
^bb0(%g: tensor<8x4xf32>, %lr: tensor<f32>, %t: tensor<i64>):
  %one = train.constant dense<1.0> : tensor<f32>
  %p = train.read @p : tensor<8x4xf32>
  %m = train.read @m : tensor<8x4xf32>
  %v = train.read @v : tensor<8x4xf32>
  %q = train.read @q : tensor<8x4xf32>
  %qm = train.read @qm : tensor<8x4xf32>
  %qv = train.read @qv : tensor<8x4xf32>
  // CHECK: plan.launch @adamw_scalars(
  // CHECK: plan.launch @adamw_8x4(%[[SCALARS:.*]], %[[P:.*]], %[[G:.*]], %[[M:.*]], %[[V:.*]]) "adamw"
  %p1, %m1, %v1 = train.adamw %p, %g, %m, %v, %lr, %t, %one with <weightDecay = 0.01 : f64, beta1 = 0.9 : f64, beta2 = 0.999 : f64, eps = 1.0e-8 : f64> : tensor<8x4xf32>, tensor<8x4xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  // CHECK-NOT: plan.launch
  // CHECK: plan.launch @adamw_8x4(%[[SCALARS]], %{{.*}}, %[[G]],
  %q1, %qm1, %qv1 = train.adamw %q, %g, %qm, %qv, %lr, %t, %one with <weightDecay = 0.01 : f64, beta1 = 0.9 : f64, beta2 = 0.999 : f64, eps = 1.0e-8 : f64> : tensor<8x4xf32>, tensor<8x4xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  // CHECK-NOT: plan.launch
  train.write @p, %p1 : tensor<8x4xf32>
  train.write @m, %m1 : tensor<8x4xf32>
  train.write @v, %v1 : tensor<8x4xf32>
  train.write @q, %q1 : tensor<8x4xf32>
  train.write @qm, %qm1 : tensor<8x4xf32>
  train.write @qv, %qv1 : tensor<8x4xf32>
  train.return
}

// -----

// The old value is still wanted: the new one is copied at the end.

train.variable @p : tensor<8x4xf32> parameter init #train.ones trainable

// CHECK-LABEL: plan.entry @step
train.entry @step kind(step) batch 2 sequence 8 inputs ["g"] outputs ["z"] {
^bb0(%g: tensor<8x4xf32>):
  %p = train.read @p : tensor<8x4xf32>
  // CHECK: %[[P:.*]] = plan.get @p
  // CHECK: %[[NEW:.*]] = plan.alloc "add"
  // CHECK: plan.launch @add_8x4(%[[P]], %{{.*}}, %[[NEW]])
  %p1 = train.add %p, %g : tensor<8x4xf32>
  train.write @p, %p1 : tensor<8x4xf32>
  // CHECK: plan.launch @matmul_tn_4x4x8(%[[P]], %{{.*}}) "matmul"
  %z = train.matmul %p, %p transpose_a : tensor<8x4xf32>, tensor<8x4xf32> -> tensor<4x4xf32>
  // CHECK-NEXT: plan.launch @copy_8x4(%[[NEW]], %[[P]]) "write p"
  train.return %z : tensor<4x4xf32>
}

// -----

// A product reads all of its operands before its result is whole: no variable is written in place.

train.variable @p : tensor<4x4xf32> parameter init #train.ones trainable

// CHECK-LABEL: plan.entry @step
train.entry @step kind(step) batch 2 sequence 8 inputs [] outputs [] {
  %p = train.read @p : tensor<4x4xf32>
  // CHECK: plan.launch @matmul_nn_4x4x4(%[[P:.*]], %[[NEW:.*]]) "matmul"
  %p1 = train.matmul %p, %p : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  // CHECK-NEXT: plan.launch @copy_4x4(%[[NEW]], %[[P]])
  train.write @p, %p1 : tensor<4x4xf32>
  train.return
}

// -----

// A row-wise result takes the place of an operand that nothing reads afterwards; an operand that lives on keeps its own.

// CHECK-LABEL: plan.entry @step
train.entry @step kind(step) batch 2 sequence 8 inputs ["a"] outputs ["z", "x"] {
^bb0(%a: tensor<16x4xf32>):
  // CHECK: plan.launch @add_16x4(%[[A:.*]], %[[X:.*]]) "add"
  %x = train.add %a, %a : tensor<16x4xf32>
  // CHECK: plan.launch @add_16x4_1(%[[X]], %[[A]], %[[Y:.*]]) "add"
  %y = train.add %x, %a : tensor<16x4xf32>
  // CHECK: plan.launch @add_16x4_2(%[[Y]], %[[X]]) "add"
  %z = train.add %y, %x : tensor<16x4xf32>
  // CHECK: plan.output "z", %[[Y]]
  // CHECK: plan.output "x", %[[X]]
  train.return %z, %x : tensor<16x4xf32>, tensor<16x4xf32>
}

// -----

// bf16: converted where it is read, rounded where it is defined, also inside a group; products convert at their seams.

train.variable @w : tensor<4xbf16> parameter init #train.ones

// CHECK-LABEL: plan.kernel @add_rms_norm_16x4_bf16
// CHECK: %[[SUM:.*]] = arith.addf %{{.*}} : tensor<4xf32>
// CHECK: %[[ROUNDED:.*]] = arith.truncf %[[SUM]] : tensor<4xf32> to tensor<4xbf16>
// CHECK: arith.extf %[[ROUNDED]]
// CHECK: plan.reduce add
// CHECK: %[[NORMED:.*]] = arith.truncf %{{.*}} : tensor<4xf32> to tensor<4xbf16>
// CHECK: arith.extf %[[NORMED]]
// CHECK: plan.store
// CHECK-NOT: plan.store
// CHECK-LABEL: plan.kernel @matmul_nt_16x16x4_bf16_bf16_f32
// CHECK: read_a {
// CHECK: arith.extf
// CHECK: read_b {
// CHECK: arith.extf
// CHECK: store_c {
// CHECK-NEXT: }
train.entry @step kind(step) batch 2 sequence 8 inputs ["a"] outputs ["z"] {
^bb0(%a: tensor<16x4xbf16>):
  %w = train.read @w : tensor<4xbf16>
  %n = train.fused(%x = %a, %s = %w) : (tensor<16x4xbf16>, tensor<4xbf16>) -> (tensor<16x4xbf16>) {
    %0 = train.add %x, %x : tensor<16x4xbf16>
    %1 = train.rms_norm %0, %s eps 1.0e-5 : tensor<16x4xbf16>, tensor<4xbf16>
    train.yield %1 : tensor<16x4xbf16>
  }
  %z = train.matmul %n, %n transpose_b : tensor<16x4xbf16>, tensor<16x4xbf16> -> tensor<16x16xf32>
  train.return %z : tensor<16x16xf32>
}

// -----

// One row for each token and head.

// CHECK-LABEL: plan.kernel @rotary_inverse_32x2_heads2
// CHECK: plan.rows 32 per_task
// CHECK: %[[TOKEN:.*]] = arith.divui %[[ROW:.*]], %{{.*}} : index
// CHECK: plan.load %{{.*}}[%[[TOKEN]]] : memref<16xi32> -> i32
// CHECK: plan.load %{{.*}}[%[[ROW]]] : memref<32x2xf32> -> tensor<1xf32>
// CHECK: plan.load %{{.*}}[%[[ROW]]] offset 1 : memref<32x2xf32> -> tensor<1xf32>
// CHECK: arith.negf
train.entry @step kind(step) batch 2 sequence 8 inputs ["a", "positions", "cos", "sin"] outputs ["z"] {
^bb0(%a: tensor<16x4xf32>, %p: tensor<16xi32>, %c: tensor<8x1xf32>, %s: tensor<8x1xf32>):
  %z = train.rotary %a, %p, %c, %s head_dim 2 inverse : tensor<16x4xf32>, tensor<16xi32>, tensor<8x1xf32>, tensor<8x1xf32>
  train.return %z : tensor<16x4xf32>
}

// -----

// Of a head of ten columns six are turned: in row values of one column, since that is what three and four have in common.
// Computed in place, as the second is, what stays is there; as the first is not, it is copied.

// CHECK-LABEL: plan.kernel @rotary_32x10_heads2_of6
// CHECK-COUNT-3: plan.load %{{.*}}[%{{.*}}]{{.*}} : memref<8x3xf32> -> tensor<1xf32>
// CHECK: plan.store %{{.*}} offset 2 :
// CHECK: plan.store %{{.*}} offset 5 :
// CHECK: plan.store %{{.*}} offset 6 :
// CHECK: plan.store %{{.*}} offset 9 :
// CHECK-LABEL: plan.kernel @rotary_32x10_heads2_of6_1
// CHECK-NOT: offset 9
// CHECK-LABEL: plan.entry
train.entry @step kind(step) batch 2 sequence 8 inputs ["a", "positions", "cos", "sin"] outputs ["a2", "z"] {
^bb0(%a: tensor<16x20xf32>, %p: tensor<16xi32>, %c: tensor<8x3xf32>, %s: tensor<8x3xf32>):
  %y = train.rotary %a, %p, %c, %s head_dim 10 : tensor<16x20xf32>, tensor<16xi32>, tensor<8x3xf32>, tensor<8x3xf32>
  %z = train.rotary %y, %p, %c, %s head_dim 10 : tensor<16x20xf32>, tensor<16xi32>, tensor<8x3xf32>, tensor<8x3xf32>
  train.return %a, %z : tensor<16x20xf32>, tensor<16x20xf32>
}

// -----

// Rows that may meet are sorted by where they go, and added in order. A row of zeros goes nowhere, and a NaN is none. Without
// a base the table starts from zeros, with one it is the base's buffer unless somebody still wants the base.

// CHECK-LABEL: plan.kernel @row_keys_16x4
// CHECK: arith.maximumf
// CHECK: %[[SIZE:.*]] = plan.reduce max
// CHECK: %[[COUNTS:.*]] = arith.cmpf une, %[[SIZE]], %{{.*}} : f32
// CHECK: arith.select %[[COUNTS]], %{{.*}}, %c-1_i32 : i32
// CHECK-LABEL: plan.kernel @order_rows_16
// CHECK: plan.rows 16 per_task 16 parallel
// CHECK: plan.load %{{.*}}[] : memref<16xi32> -> tensor<16xi32>
// CHECK: %[[PLACE:.*]] = arith.index_cast %{{.*}} : i32 to index
// CHECK-COUNT-2: plan.store %{{.*}}, %{{.*}}[%[[PLACE]]] : i32, memref<16xi32>
// CHECK-LABEL: plan.kernel @embedding_grad_16x4_into_20
// CHECK: plan.rows 16 per_task 16 sequential
// CHECK: plan.scatter
// CHECK-LABEL: plan.entry @step
// CHECK: plan.launch @fill_20x4(%[[A:.*]]) "embedding_grad zeros"
// CHECK: plan.launch @row_keys_16x4({{.*}}, %[[KEYS:.*]]) "embedding_grad keys"
// CHECK: plan.launch @order_rows_16(%[[KEYS]], %[[SORTED:.*]], %[[ROWS:.*]]) "embedding_grad order"
// CHECK: plan.launch @embedding_grad_16x4_into_20(%[[SORTED]], %[[ROWS]], %{{.*}}, %[[A]]) "embedding_grad"
// CHECK: plan.launch @copy_20x4(%[[A]], %[[B:.*]]) "embedding_grad base"
// CHECK: plan.launch @embedding_grad_16x4_into_20({{.*}}, %[[B]]) "embedding_grad"
// CHECK: plan.launch @embedding_grad_16x4_into_20({{.*}}, %[[B]]) "embedding_grad"
// CHECK: plan.output "c", %[[B]]
train.entry @step kind(step) batch 2 sequence 8 inputs ["tokens", "d"] outputs ["a", "c"] {
^bb0(%t: tensor<16xi32>, %d: tensor<16x4xf32>):
  %a = train.embedding_grad %t, %d : tensor<16xi32>, tensor<16x4xf32> -> tensor<20x4xf32>
  %b = train.embedding_grad %t, %d onto %a : tensor<20x4xf32>, tensor<16xi32>, tensor<16x4xf32> -> tensor<20x4xf32>
  %c = train.embedding_grad %t, %d onto %b : tensor<20x4xf32>, tensor<16xi32>, tensor<16x4xf32> -> tensor<20x4xf32>
  train.return %a, %c : tensor<20x4xf32>, tensor<20x4xf32>
}

// -----

// A label's logit is one element of the row: no column is compared. An ignored label reads the first.

// CHECK-LABEL: plan.kernel @cross_entropy_4x9
// CHECK: %[[VALID:.*]] = arith.cmpi ne
// CHECK: %[[LABEL:.*]] = arith.select %[[VALID]], %{{.*}}, %c0_i32 : i32
// CHECK: %[[COLUMN:.*]] = arith.index_cast %[[LABEL]] : i32 to index
// CHECK: plan.load %{{.*}}[%{{.*}}, %[[COLUMN]]] : memref<4x9xf32> -> f32
// CHECK-NOT: plan.column
// CHECK: plan.kernel @cross_entropy_total
train.entry @step kind(step) batch 2 sequence 2 inputs ["x", "labels", "inv_tokens"] outputs ["loss"] {
^bb0(%x: tensor<4x9xf32>, %l: tensor<4xi32>, %inv: tensor<f32>):
  %loss, %count, %lse = train.cross_entropy %x, %l, %inv ignore -100 : tensor<4x9xf32>, tensor<4xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<4xf32>
  train.return %loss : tensor<f32>
}

// -----

// Where logits are made in the row, there is no element to load.

// CHECK-LABEL: plan.kernel @softcap_cross_entropy_4x9
// CHECK: plan.column
train.entry @step kind(step) batch 2 sequence 2 inputs ["x", "labels", "inv_tokens"] outputs ["loss"] {
^bb0(%x: tensor<4x9xf32>, %l: tensor<4xi32>, %inv: tensor<f32>):
  %loss = train.fused(%a = %x, %b = %l, %c = %inv) : (tensor<4x9xf32>, tensor<4xi32>, tensor<f32>) -> (tensor<f32>) {
    %y = train.softcap %a cap 30.0 : tensor<4x9xf32>
    %t, %count, %lse = train.cross_entropy %y, %b, %c ignore -100 : tensor<4x9xf32>, tensor<4xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<4xf32>
    train.yield %t : tensor<f32>
  }
  train.return %loss : tensor<f32>
}

// -----

// A weight's gradient that nobody wants is not computed.

train.variable @w : tensor<4xf32> parameter init #train.ones

// CHECK-LABEL: plan.kernel @rms_norm_grad_16x4
// CHECK-NOT: plan.accumulate
// CHECK-LABEL: plan.entry @step
// CHECK-COUNT-1: plan.launch
// CHECK-NOT: plan.launch
train.entry @step kind(step) batch 2 sequence 8 inputs ["x", "d"] outputs ["dx"] {
^bb0(%x: tensor<16x4xf32>, %d: tensor<16x4xf32>):
  %w = train.read @w : tensor<4xf32>
  %dx, %dw = train.rms_norm_grad %x, %w, %d eps 1.0e-5 : tensor<16x4xf32>, tensor<4xf32>
  train.return %dx : tensor<16x4xf32>
}

// -----

// Two products in one launch; what else is added is overwritten in place.

train.variable @w : tensor<24x16xf32> parameter init #train.ones
train.variable @b : tensor<24x2xf32> parameter init #train.ones

// CHECK-LABEL: plan.kernel @matmul_nt_16x24x16_and_nt_2_onto
// CHECK-NEXT: ^bb0(%[[A:.*]]: memref<16x16xf32>, %[[B:.*]]: memref<24x16xf32>, %[[C:.*]]: memref<16x24xf32>, %[[P:.*]]: memref<16x2xf32>, %[[Q:.*]]: memref<24x2xf32>):
// CHECK-NEXT: plan.matmul %[[A]], %[[B]], %[[C]] pair(%[[P]], %[[Q]] : memref<16x2xf32>, memref<24x2xf32>) extras(%[[C]] : memref<16x24xf32>) transpose_b transpose_pair
// CHECK-LABEL: plan.entry @step
// CHECK: %[[Y0:.*]] = plan.alloc {{.*}} : memref<16x24xf32>
// CHECK: plan.launch @matmul_nt_16x24x16_and_nt_2_onto(%{{.*}}, %{{.*}}, %[[Y0]], %{{.*}}, %{{.*}})
train.entry @step kind(step) batch 2 sequence 8 inputs ["x", "xa"] outputs ["y"] {
^bb0(%x: tensor<16x16xf32>, %xa: tensor<16x2xf32>):
  %w = train.read @w : tensor<24x16xf32>
  %b = train.read @b : tensor<24x2xf32>
  %y0 = train.matmul %x, %w transpose_b : tensor<16x16xf32>, tensor<24x16xf32> -> tensor<16x24xf32>
  %y = train.matmul_pair %x, %w transpose_b and %xa, %b transpose_d onto %y0 : tensor<16x24xf32>,
    (tensor<16x16xf32>, tensor<24x16xf32>), (tensor<16x2xf32>, tensor<24x2xf32>) -> tensor<16x24xf32>
  train.return %y : tensor<16x24xf32>
}

// -----

// Nothing of train: nothing changes.

// CHECK: module {
// CHECK-NEXT: plan.slab @near bytes 64 alignment 64
// CHECK-NEXT: }
module {
  plan.slab @near bytes 64 alignment 64
}
