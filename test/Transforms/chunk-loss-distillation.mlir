// RUN: ftc-opt %s -train-chunk-loss | FileCheck %s
// RUN: ftc-opt %s -train-chunk-loss -canonicalize -cse | FileCheck %s
// RUN: ftc-opt %s -train-chunk-loss --remarks-filter=train-chunk-loss --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: sed 's/loss_chunks = 2/loss_chunks = 1/' %s | ftc-opt -train-chunk-loss | FileCheck %s --check-prefix=WHOLE

// Student's and teacher's logits are made by chunks of the same rows, and the gradient behind them.
// REMARK: head and loss in 2 chunks of 8 rows
// REMARK-NOT: stay whole
// CHECK-LABEL: train.entry @step
// CHECK-NOT: tensor<16x320xf32>
// CHECK: %[[T0:[a-z_0-9]+]] = train.matmul %{{.*}} : tensor<8x96xf32>, tensor<320x96xf32> -> tensor<8x320xf32>
// CHECK: %[[Y0:[a-z_0-9]+]] = train.matmul %{{.*}} : tensor<8x64xf32>, tensor<320x64xf32> -> tensor<8x320xf32>
// CHECK: %[[L0:[a-z_0-9]+]], %[[C0:[a-z_0-9]+]], %[[K0:[a-z_0-9]+]], %{{.*}}, %[[LSE0:[a-z_0-9]+]], %[[TLSE0:[a-z_0-9]+]] = train.distillation_loss %[[Y0]], %[[T0]]
// CHECK: %[[D0:[a-z_0-9]+]] = train.distillation_loss_grad %[[Y0]], %[[T0]], %{{.*}}, %[[LSE0]], %[[TLSE0]]
// CHECK: train.matmul %[[D0]], %{{.*}} -> tensor<8x64xf32>
// CHECK: train.matmul %{{.*}} -> tensor<8x320xf32>
// CHECK: train.matmul %{{.*}} -> tensor<8x320xf32>
// CHECK: %[[L1:[a-z_0-9]+]], %[[C1:[a-z_0-9]+]], %[[K1:[a-z_0-9]+]], %{{.*}} = train.distillation_loss
// CHECK: train.distillation_loss_grad
// CHECK: %[[L:[a-z_0-9]+]] = train.add %[[L0]], %[[L1]] : tensor<f32>
// CHECK: %[[C:[a-z_0-9]+]] = train.add %[[C0]], %[[C1]] : tensor<f32>
// CHECK: %[[K:[a-z_0-9]+]] = train.add %[[K0]], %[[K1]] : tensor<f32>
// CHECK: train.return %[[L]], %[[C]], %[[K]]
// CHECK-NOT: tensor<16x320xf32>

// WHOLE-LABEL: train.entry @step
// WHOLE: %[[T:[a-z_0-9]+]] = train.matmul %{{.*}} -> tensor<16x320xf32>
// WHOLE: %[[Y:[a-z_0-9]+]] = train.matmul %{{.*}} -> tensor<16x320xf32>
// WHOLE: train.distillation_loss %[[Y]], %[[T]]
module attributes {train.loss_chunks = 2 : i64} {
  train.variable @w : tensor<320x64xf32> parameter init #train.normal<0.02>
  train.variable @teacher.w : tensor<320x96xf32> teacher init #train.normal<0.02>
  train.entry @step kind(step) batch 4 sequence 4 inputs ["x", "h", "labels", "inv_tokens"] outputs ["loss", "class_loss", "kd_loss", "dx"] {
  ^bb0(%x: tensor<16x64xf32>, %h: tensor<16x96xf32>, %l: tensor<16xi32>, %inv: tensor<f32>):
    %one = train.constant dense<1.0> : tensor<f32>
    %tw = train.read @teacher.w : tensor<320x96xf32>
    %t = train.matmul %h, %tw transpose_b : tensor<16x96xf32>, tensor<320x96xf32> -> tensor<16x320xf32>
    %w = train.read @w : tensor<320x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
    %loss, %class, %kd, %n, %lse, %tlse = train.distillation_loss %y, %t, %l, %inv ratio 0.5 ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<i32>, tensor<16xf32>
    %dy = train.distillation_loss_grad %y, %t, %l, %lse, %tlse, %inv, %one ratio 0.5 ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<16xf32>, tensor<f32>
    %dx = train.matmul %dy, %w : tensor<16x320xf32>, tensor<320x64xf32> -> tensor<16x64xf32>
    train.return %loss, %class, %kd, %dx : tensor<f32>, tensor<f32>, tensor<f32>, tensor<16x64xf32>
  }
}
