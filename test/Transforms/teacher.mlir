// RUN: ftc-opt %s -train-attach-adapters -train-quantize-frozen -train-differentiate | FileCheck %s

// A teacher's projections have the names of the student's behind their prefix: they get neither adapters nor four bits,
// and no gradient reaches them.
// CHECK-DAG: train.variable @q_proj.weight : tensor<128x64x!train.nf4<bitsandbytes, f32>> parameter
// CHECK-DAG: train.variable @teacher.q_proj.weight : tensor<128x96xf32> teacher init #train.normal<{{.*}}>{{$}}
// CHECK-NOT: @teacher.q_proj.lora
// CHECK-LABEL: train.entry @step
// CHECK: %[[TW:[a-z_0-9]+]] = train.read @teacher.q_proj.weight
// CHECK: %[[T:[a-z_0-9]+]] = train.matmul %{{.*}}, %[[TW]] transpose_b
// CHECK: %[[LOSS:[a-z_0-9]+]], %{{.*}} = train.distillation_loss %[[Y:[a-z_0-9]+]], %[[T]]
// CHECK: train.distillation_loss_grad %[[Y]], %[[T]]
// CHECK-NOT: %[[TW]]
// CHECK: train.update @q_proj.lora_B.weight
// CHECK-NOT: train.update @teacher
// CHECK: train.return %[[LOSS]]
module attributes {train.adapters = #train.lora<rank = 2, scale = 1.0, targets = ["q_proj"]>,
                   train.quantize = #train.quantize<bitsandbytes, targets = ["q_proj"]>} {
  train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.normal<0.02> trainable
  train.variable @teacher.q_proj.weight : tensor<128x96xf32> teacher init #train.normal<0.02>
  train.entry @step kind(step) batch 2 sequence 8 inputs ["x", "h", "labels", "inv_tokens"] outputs ["loss"] {
  ^bb0(%x: tensor<16x64xf32>, %h: tensor<16x96xf32>, %l: tensor<16xi32>, %inv: tensor<f32>):
    %tw = train.read @teacher.q_proj.weight : tensor<128x96xf32>
    %t = train.matmul %h, %tw transpose_b : tensor<16x96xf32>, tensor<128x96xf32> -> tensor<16x128xf32>
    %w = train.read @q_proj.weight : tensor<128x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    %loss, %class, %kd, %n, %lse, %tlse = train.distillation_loss %y, %t, %l, %inv ratio 0.5 ignore -100 : tensor<16x128xf32>, tensor<16xi32>, tensor<f32> -> tensor<i32>, tensor<16xf32>
    train.loss %loss : tensor<f32>
    train.return %loss : tensor<f32>
  }
}
