// RUN: ftc-opt %s -split-input-file -train-attach-adapters | FileCheck %s

// Two layers with one target each; the norm and the other projection are frozen. 1/sqrt(64) is 0.125.
// CHECK: train.variable @norm.weight : tensor<64xf32> parameter init #train.ones{{$}}
// CHECK-NEXT: train.variable @l.0.q_proj.weight : tensor<128x64xf32> parameter init #train.normal<{{.*}}>{{$}}
// CHECK-NEXT: train.variable @l.0.q_proj.lora_A.weight : tensor<8x64xf32> parameter init #train.uniform<1.250000e-01 : f64> trainable
// CHECK-NEXT: train.variable @l.0.q_proj.lora_B.weight : tensor<128x8xf32> parameter init #train.zeros trainable
// CHECK-NEXT: train.variable @l.1.q_proj.weight
// CHECK-NEXT: train.variable @l.1.q_proj.lora_A.weight
// CHECK-NEXT: train.variable @l.1.q_proj.lora_B.weight
// CHECK-NEXT: train.variable @l.0.k_proj.weight : tensor<128x64xf32> parameter init #train.normal<{{.*}}>{{$}}
// CHECK-LABEL: train.entry @step
// CHECK-NEXT: ^bb0(%[[X:.*]]: tensor<16x64xf32>)
// CHECK: %[[W:.*]] = train.read @l.0.q_proj.weight
// CHECK: %[[BASE:.*]] = train.matmul %[[X]], %[[W]] transpose_b
// CHECK: %[[A:.*]] = train.read @l.0.q_proj.lora_A.weight
// CHECK: %[[XA:.*]] = train.matmul %[[X]], %[[A]] transpose_b : tensor<16x64xf32>, tensor<8x64xf32> -> tensor<16x8xf32>
// CHECK: %[[S:.*]] = train.constant dense<2.000000e+00>
// CHECK: %[[SXA:.*]] = train.scale %[[XA]] by %[[S]]
// CHECK: %[[B:.*]] = train.read @l.0.q_proj.lora_B.weight
// CHECK: %[[D:.*]] = train.matmul %[[SXA]], %[[B]] transpose_b : tensor<16x8xf32>, tensor<128x8xf32> -> tensor<16x128xf32>
// CHECK: %[[Y:.*]] = train.add %[[BASE]], %[[D]]
// CHECK: %[[K:.*]] = train.matmul %[[X]], %{{.*}} transpose_b
// CHECK-NOT: lora_
// CHECK: train.add %[[Y]], %[[K]]
// CHECK-LABEL: train.entry @evaluate
// CHECK: train.read @l.1.q_proj.lora_A.weight
module attributes {train.adapters = #train.lora<rank = 8, scale = 2.0, targets = ["q_proj"]>} {
  train.variable @norm.weight : tensor<64xf32> parameter init #train.ones trainable
  train.variable @l.0.q_proj.weight : tensor<128x64xf32> parameter init #train.normal<0.02> trainable
  train.variable @l.1.q_proj.weight : tensor<128x64xf32> parameter init #train.normal<0.02> trainable
  train.variable @l.0.k_proj.weight : tensor<128x64xf32> parameter init #train.normal<0.02> trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
  ^bb0(%x: tensor<16x64xf32>):
    %w = train.read @l.0.q_proj.weight : tensor<128x64xf32>
    %q = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    %v = train.read @l.0.k_proj.weight : tensor<128x64xf32>
    %k = train.matmul %x, %v transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    %y = train.add %q, %k : tensor<16x128xf32>
    train.return %y : tensor<16x128xf32>
  }
  train.entry @evaluate kind(evaluate) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
  ^bb0(%x: tensor<16x64xf32>):
    %w = train.read @l.1.q_proj.weight : tensor<128x64xf32>
    %q = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    train.return %q : tensor<16x128xf32>
  }
}

// -----

// A scale of one needs no op.
// CHECK-LABEL: train.entry @step
// CHECK-NOT: train.scale
// CHECK: train.add
module attributes {train.adapters = #train.lora<rank = 4, scale = 1.0, targets = ["lm_head"]>} {
  train.variable @lm_head.weight : tensor<128x64xbf16> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
  ^bb0(%x: tensor<16x64xbf16>):
    %w = train.read @lm_head.weight : tensor<128x64xbf16>
    %q = train.matmul %x, %w transpose_b : tensor<16x64xbf16>, tensor<128x64xbf16> -> tensor<16x128xbf16>
    train.return %q : tensor<16x128xbf16>
  }
}

// -----

// Without train.adapters nothing changes.
// CHECK: train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.ones trainable
// CHECK-LABEL: train.entry @step
// CHECK: %[[Q:.*]] = train.matmul
// CHECK-NEXT: train.return %[[Q]]
module {
  train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
  ^bb0(%x: tensor<16x64xf32>):
    %w = train.read @q_proj.weight : tensor<128x64xf32>
    %q = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    train.return %q : tensor<16x128xf32>
  }
}

// -----

// Dropout stands in front of A, in entries that train, and nowhere else.
// CHECK-LABEL: train.entry @step
// CHECK: %[[BASE:.*]] = train.matmul %[[X:.*]], %{{.*}} transpose_b
// CHECK: %[[D:.*]] = train.dropout %[[X]] probability 1.000000e-01 stream "l.0.q_proj.lora_dropout" seed %{{.*}} step %{{.*}} micro
// CHECK: train.matmul %[[D]], %{{.*}} transpose_b : tensor<16x64xf32>, tensor<8x64xf32>
// CHECK-LABEL: train.entry @evaluate
// CHECK-NOT: train.dropout
// CHECK: train.read @l.0.q_proj.lora_A.weight
module attributes {train.adapters = #train.lora<rank = 8, scale = 2.0, targets = ["q_proj"], dropout = 0.1>} {
  train.variable @l.0.q_proj.weight : tensor<128x64xf32> parameter init #train.normal<0.02> trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["x", "seed", "step", "micro"] outputs ["y"] {
  ^bb0(%x: tensor<16x64xf32>, %seed: tensor<i64>, %step: tensor<i64>, %micro: tensor<i64>):
    %w = train.read @l.0.q_proj.weight : tensor<128x64xf32>
    %q = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    train.return %q : tensor<16x128xf32>
  }
  train.entry @evaluate kind(evaluate) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
  ^bb0(%x: tensor<16x64xf32>):
    %w = train.read @l.0.q_proj.weight : tensor<128x64xf32>
    %q = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    train.return %q : tensor<16x128xf32>
  }
}

// -----

// DoRA: magnitudes, norms of what the weight is, and one factor for each output, the last op beside the projection.
// CHECK: train.variable @q_proj.weight : tensor<128x64xbf16> parameter init #train.normal<{{.*}}>{{$}}
// CHECK-NEXT: train.variable @q_proj.lora_A.weight : tensor<8x64xbf16>
// CHECK-NEXT: train.variable @q_proj.lora_B.weight : tensor<128x8xbf16>
// CHECK-NEXT: train.variable @q_proj.lora_magnitude_vector : tensor<128xbf16> parameter init #train.row_norms<@q_proj.weight> trainable
// CHECK-NEXT: train.variable @q_proj.weight_norm : tensor<128xf32> constant init #train.row_norms<@q_proj.weight>{{$}}
// CHECK-LABEL: train.entry @step
// CHECK: %[[W:.*]] = train.read @q_proj.weight
// CHECK: %[[A:.*]] = train.read @q_proj.lora_A.weight
// CHECK: %[[B:.*]] = train.read @q_proj.lora_B.weight
// CHECK: %[[N:.*]] = train.read @q_proj.weight_norm
// CHECK: %[[M:.*]] = train.read @q_proj.lora_magnitude_vector
// CHECK: %[[P:.*]] = train.matmul %[[A]], %[[W]] transpose_b : tensor<8x64xbf16>, tensor<128x64xbf16> -> tensor<8x128xf32>
// CHECK: %[[G:.*]] = train.matmul %[[A]], %[[A]] transpose_b : {{.*}} -> tensor<8x8xbf16>
// CHECK: %[[Q:.*]] = train.matmul %[[B]], %[[G]] : {{.*}} -> tensor<128x8xf32>
// CHECK: %[[I:.*]] = train.inverse_norm %[[N]], %[[B]], %[[P]], %[[Q]] scale 2.0
// CHECK: %[[WIDE:.*]] = train.cast %[[M]] : tensor<128xbf16> to tensor<128xf32>
// CHECK: %[[F:.*]] = train.multiply %[[WIDE]], %[[I]]
// CHECK: %[[SUM:.*]] = train.add
// CHECK: %[[Y:.*]] = train.scale_columns %[[SUM]] by %[[F]] : tensor<16x128xbf16>, tensor<128xf32>
// CHECK: train.return %[[Y]]
module attributes {train.adapters = #train.lora<rank = 8, scale = 2.0, targets = ["q_proj"], magnitudes = true>} {
  train.variable @q_proj.weight : tensor<128x64xbf16> parameter init #train.normal<0.02> trainable
  train.entry @step kind(step) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
  ^bb0(%x: tensor<16x64xbf16>):
    %w = train.read @q_proj.weight : tensor<128x64xbf16>
    %q = train.matmul %x, %w transpose_b : tensor<16x64xbf16>, tensor<128x64xbf16> -> tensor<16x128xbf16>
    train.return %q : tensor<16x128xbf16>
  }
}
