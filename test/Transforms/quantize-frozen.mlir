// RUN: ftc-opt %s -split-input-file -train-quantize-frozen | FileCheck %s
// RUN: ftc-opt %s -split-input-file -train-quantize-frozen -train-differentiate | FileCheck %s --check-prefix=GRAD

// The target is frozen and becomes NF4, in both forms of a product; what is no target stays.
// CHECK: train.variable @l.0.q_proj.weight : tensor<128x64x!train.nf4<bitsandbytes, f32>> parameter init #train.normal<{{.*}}>{{$}}
// CHECK: train.variable @lm_head.weight : tensor<128x128xf32> parameter
// CHECK-LABEL: train.entry @step
// CHECK: %[[W:.*]] = train.read @l.0.q_proj.weight : tensor<128x64x!train.nf4<bitsandbytes, f32>>
// CHECK: train.matmul %{{.*}}, %[[W]] transpose_b : tensor<16x64xf32>, tensor<128x64x!train.nf4<bitsandbytes, f32>> -> tensor<16x128xf32>
// CHECK: train.read @lm_head.weight : tensor<128x128xf32>

// The weight has no gradient, and the gradient of what it multiplies reads it as it is.
// GRAD-LABEL: train.entry @step
// GRAD: train.matmul %{{.*}}, %{{.*}} : tensor<16x128xf32>, tensor<128x64x!train.nf4<bitsandbytes, f32>> -> tensor<16x64xf32> {train.backward}
// GRAD-NOT: train.update @l.0.q_proj.weight
// GRAD: train.update @x
// GRAD-NOT: train.update @l.0.q_proj.weight
module attributes {train.quantize = #train.quantize<bitsandbytes, targets = ["q_proj"]>} {
  train.variable @x : tensor<16x64xf32> parameter init #train.normal<1.0> trainable
  train.variable @l.0.q_proj.weight : tensor<128x64xf32> parameter init #train.normal<0.02>
  train.variable @lm_head.weight : tensor<128x128xf32> parameter init #train.normal<0.02>
  train.entry @step kind(step) batch 2 sequence 8 inputs ["labels", "inv_tokens"] outputs ["loss"] {
  ^bb0(%labels: tensor<16xi32>, %inv: tensor<f32>):
    %x = train.read @x : tensor<16x64xf32>
    %w = train.read @l.0.q_proj.weight : tensor<128x64xf32>
    %q = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    %h = train.read @lm_head.weight : tensor<128x128xf32>
    %y = train.matmul %q, %h transpose_b : tensor<16x128xf32>, tensor<128x128xf32> -> tensor<16x128xf32>
    %l, %c, %e = train.cross_entropy %y, %labels, %inv ignore -100
      : tensor<16x128xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
    train.loss %l : tensor<f32>
    train.return %l : tensor<f32>
  }
}

// -----

// torchao, and a weight that is bf16 before and after.
// CHECK: train.variable @up_proj.weight : tensor<256x64x!train.nf4<torchao, bf16>> parameter init #train.ones
module attributes {train.quantize = #train.quantize<torchao, targets = ["up_proj"]>} {
  train.variable @up_proj.weight : tensor<256x64xbf16> parameter init #train.ones
}

// -----

// Nothing to do without the attribute.
// CHECK: train.variable @q_proj.weight : tensor<128x64xf32> parameter
module {
  train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.normal<0.02>
}

// -----

// Of a model that is trained as a whole, the reference beside it: its copy is in four bits, the parameter is not.
// CHECK: train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.normal<{{.*}}> trainable
// CHECK: train.variable @reference.q_proj.weight : tensor<128x64x!train.nf4<bitsandbytes, f32>> reference init #train.normal<{{.*}}>{{$}}
// CHECK: train.matmul %{{.*}}, %{{.*}} transpose_b : tensor<16x64xf32>, tensor<128x64x!train.nf4<bitsandbytes, f32>> -> tensor<16x128xf32>
// CHECK: train.matmul %{{.*}}, %{{.*}} transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
// GRAD-LABEL: train.entry @pair
module attributes {train.quantize = #train.quantize<bitsandbytes, targets = ["q_proj"], reference = true>} {
  train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.normal<0.02> trainable
  train.variable @reference.q_proj.weight : tensor<128x64xf32> reference init #train.normal<0.02>
  train.entry @pair kind(evaluate) batch 2 sequence 8 inputs ["x"] outputs ["r", "y"] {
  ^bb0(%x: tensor<16x64xf32>):
    %rw = train.read @reference.q_proj.weight : tensor<128x64xf32>
    %r = train.matmul %x, %rw transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    %w = train.read @q_proj.weight : tensor<128x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    train.return %r, %y : tensor<16x128xf32>, tensor<16x128xf32>
  }
}
