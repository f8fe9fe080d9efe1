// RUN: ftc-opt %s -split-input-file -train-fake-quantize | FileCheck %s
// RUN: ftc-opt %s -split-input-file -train-fake-quantize -train-differentiate -cse -train-insert-remat | FileCheck %s --check-prefix=GRAD
// RUN: ftc-opt %s -split-input-file -train-fake-quantize --remarks-filter=train-fake-quantize --remark-format=emitRemark \
// RUN:   2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK

// The weight of each layer by groups, what enters two layers once, by rows. The table of embeddings, a layer with a bias
// and one of 48 inputs stay.
// CHECK-LABEL: train.entry @step
// CHECK: %[[X:.*]] = train.embedding
// CHECK: %[[Q:.*]] = train.read @q_proj.weight
// CHECK-NEXT: %[[XQ:.*]] = train.fake_quantize %[[X]] int8_asymmetric group 64 after 5 of %{{.*}} {train.layer = 0 : i64}
// CHECK-NEXT: %[[QQ:.*]] = train.fake_quantize %[[Q]] int4_symmetric group 32 after 5 of %{{.*}} {train.layer = 0 : i64}
// CHECK-NEXT: %[[A:.*]] = train.matmul %[[XQ]], %[[QQ]] transpose_b
// CHECK: %[[K:.*]] = train.read @k_proj.weight
// CHECK-NEXT: %[[KQ:.*]] = train.fake_quantize %[[K]] int4_symmetric
// CHECK-NEXT: train.matmul %[[XQ]], %[[KQ]] transpose_b
// CHECK: %[[V:.*]] = train.read @v_proj.weight
// CHECK-NEXT: train.matmul %[[X]], %[[V]] transpose_b
// CHECK: %[[D:.*]] = train.read @down_proj.weight
// CHECK-NEXT: train.matmul %{{.*}}, %[[D]] transpose_b
// CHECK-NOT: train.fake_quantize
// CHECK: train.return
// Without a step to wait for, what is not trained is always fake-quantized.
// CHECK-LABEL: train.entry @evaluate
// CHECK: train.fake_quantize %{{.*}} int8_asymmetric group 64 : tensor<16x64xf32>

// The gradient of the weight is that of what it becomes, of the input fake-quantized; the gradient of the input reads the
// weight, fake-quantized again.
// GRAD-LABEL: train.entry @step
// GRAD: %[[XQ:.*]] = train.fake_quantize %{{.*}} int8_asymmetric
// GRAD: %[[DY:.*]] = train.cross_entropy_grad
// GRAD: %[[K1:.*]] = train.delay
// GRAD-NEXT: %[[KQ1:.*]] = train.fake_quantize %[[K1]] int4_symmetric group 32 after 5 of %{{.*}} {train.recompute}
// GRAD-NEXT: %[[DX:.*]] = train.matmul %{{.*}}, %[[KQ1]] : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32> {train.backward}
// GRAD: %[[DK:.*]] = train.matmul %{{.*}}, %[[XQ]] transpose_a : {{.*}} {train.backward}
// GRAD: train.update @k_proj.weight, %[[DK]]
// GRAD-LABEL: train.entry @evaluate

// REMARK-DAG: embed_tokens.weight is not fake-quantized: it is the table of embeddings
// REMARK-DAG: v_proj.weight is not fake-quantized: its layer has a bias
// REMARK-DAG: down_proj.weight is not fake-quantized: 48 inputs are no multiple of 32
// REMARK-DAG: the weights of 2 linear layers are fake-quantized by groups of 32, and what enters them by tokens
module attributes {train.fake_quantize = #train.qat<weights = int4_symmetric, group = 32, activations = true, after = 5>} {
  train.variable @embed_tokens.weight : tensor<64x64xf32> parameter init #train.normal<1.0> trainable
  train.variable @q_proj.weight : tensor<64x64xf32> parameter init #train.normal<0.02> trainable
  train.variable @k_proj.weight : tensor<64x64xf32> parameter init #train.normal<0.02> trainable
  train.variable @v_proj.weight : tensor<48x64xf32> parameter init #train.normal<0.02> trainable
  train.variable @v_proj.bias : tensor<48xf32> parameter init #train.zeros trainable
  train.variable @down_proj.weight : tensor<64x48xf32> parameter init #train.normal<0.02> trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["tokens", "labels", "inv_tokens", "step"] outputs ["loss"] {
  ^bb0(%tokens: tensor<16xi32>, %labels: tensor<16xi32>, %inv: tensor<f32>, %step: tensor<i64>):
    %e = train.read @embed_tokens.weight : tensor<64x64xf32>
    %x = train.embedding %e, %tokens : tensor<64x64xf32>, tensor<16xi32> -> tensor<16x64xf32>
    %wq = train.read @q_proj.weight : tensor<64x64xf32>
    %q = train.matmul %x, %wq transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32> {train.layer = 0 : i64}
    %wk = train.read @k_proj.weight : tensor<64x64xf32>
    %k = train.matmul %x, %wk transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32> {train.layer = 0 : i64}
    %wv = train.read @v_proj.weight : tensor<48x64xf32>
    %v0 = train.matmul %x, %wv transpose_b : tensor<16x64xf32>, tensor<48x64xf32> -> tensor<16x48xf32> {train.layer = 0 : i64}
    %bv = train.read @v_proj.bias : tensor<48xf32>
    %v = train.add_bias %v0, %bv : tensor<16x48xf32>, tensor<48xf32>
    %wd = train.read @down_proj.weight : tensor<64x48xf32>
    %d = train.matmul %v, %wd transpose_b : tensor<16x48xf32>, tensor<64x48xf32> -> tensor<16x64xf32> {train.layer = 0 : i64}
    %s0 = train.add %q, %k : tensor<16x64xf32>
    %s = train.add %s0, %d : tensor<16x64xf32>
    %y = train.matmul %s, %e transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
    %l, %c, %lse = train.cross_entropy %y, %labels, %inv ignore -100
      : tensor<16x64xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
    train.loss %l : tensor<f32>
    train.return %l : tensor<f32>
  }
  train.entry @evaluate kind(evaluate) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
  ^bb0(%x: tensor<16x64xf32>):
    %w = train.read @q_proj.weight : tensor<64x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
    train.return %y : tensor<16x64xf32>
  }
}

// -----

// With adapters those layers alone that have one; what enters the adapter stays as it is, and so do its factors. Weights
// alone, where no activations are asked for.
// CHECK-LABEL: train.entry @adapted
// CHECK: %[[Q:.*]] = train.read @l.q_proj.weight
// CHECK-NEXT: %[[QQ:.*]] = train.fake_quantize %[[Q]] int4_asymmetric group 64 : tensor<64x64xf32>
// CHECK-NEXT: train.matmul %[[X:.*]], %[[QQ]] transpose_b
// CHECK: train.read @l.q_proj.lora_A.weight
// CHECK-NEXT: train.matmul %[[X]],
// CHECK-NOT: train.fake_quantize
// CHECK: train.return
module attributes {train.adapters = #train.lora<rank = 4, scale = 1.0, targets = ["q_proj"]>,
                   train.fake_quantize = #train.qat<weights = int4_asymmetric, group = 64>} {
  train.variable @l.q_proj.weight : tensor<64x64xf32> parameter init #train.normal<0.02>
  train.variable @l.q_proj.lora_A.weight : tensor<4x64xf32> parameter init #train.ones trainable
  train.variable @l.k_proj.weight : tensor<64x64xf32> parameter init #train.normal<0.02>
  train.entry @adapted kind(evaluate) batch 2 sequence 8 inputs ["x"] outputs ["y", "z"] {
  ^bb0(%x: tensor<16x64xf32>):
    %w = train.read @l.q_proj.weight : tensor<64x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
    %a = train.read @l.q_proj.lora_A.weight : tensor<4x64xf32>
    %xa = train.matmul %x, %a transpose_b : tensor<16x64xf32>, tensor<4x64xf32> -> tensor<16x4xf32>
    %k = train.read @l.k_proj.weight : tensor<64x64xf32>
    %z = train.matmul %x, %k transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
    train.return %y, %z : tensor<16x64xf32>, tensor<16x64xf32>
  }
}

// -----

// Nothing is asked for.
// CHECK-LABEL: train.entry @plain
// CHECK-NOT: train.fake_quantize
// CHECK: train.return
train.variable @q_proj.weight : tensor<64x64xf32> parameter init #train.normal<0.02> trainable
train.entry @plain kind(evaluate) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
^bb0(%x: tensor<16x64xf32>):
  %w = train.read @q_proj.weight : tensor<64x64xf32>
  %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
  train.return %y : tensor<16x64xf32>
}
