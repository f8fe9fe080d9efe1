// RUN: ftc-opt %s -split-input-file -train-chunk-loss --remarks-filter=train-chunk-loss --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s

// A device that computes 206 operations in the time of a byte makes chunks so large that moving the weight and its
// gradient for each is an eighth of the products' time.
// CHECK: head and loss in 7 chunks of 2368 rows
module attributes {train.loss_chunks = 0 : i64, ftc.link = array<f64: 4.945e14, 2.4e12, 3.2e10>} {
  train.variable @w : tensor<8192x64xbf16> parameter init #train.normal<0.02> trainable
  train.entry @step kind(step) batch 4 sequence 4096 inputs ["x", "labels", "inv_tokens"] outputs ["loss", "dx"] {
  ^bb0(%x: tensor<16384x64xbf16>, %l: tensor<16384xi32>, %inv: tensor<f32>):
    %one = train.constant dense<1.0> : tensor<f32>
    %w = train.read @w : tensor<8192x64xbf16>
    %y = train.matmul %x, %w transpose_b : tensor<16384x64xbf16>, tensor<8192x64xbf16> -> tensor<16384x8192xbf16>
    %loss, %n, %lse = train.cross_entropy %y, %l, %inv ignore -100 : tensor<16384x8192xbf16>, tensor<16384xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16384xf32>
    %d = train.cross_entropy_grad %y, %l, %lse, %inv, %one ignore -100 : tensor<16384x8192xbf16>, tensor<16384xi32>, tensor<16384xf32>, tensor<f32>, tensor<f32>
    %dx = train.matmul %d, %w : tensor<16384x8192xbf16>, tensor<8192x64xbf16> -> tensor<16384x64xbf16>
    %dw = train.matmul %d, %x transpose_a : tensor<16384x8192xbf16>, tensor<16384x64xbf16> -> tensor<8192x64xbf16>
    train.update @w, %dw : tensor<8192x64xbf16>
    train.return %loss, %dx : tensor<f32>, tensor<16384x64xbf16>
  }
}

// -----

// On a CPU memory is not that far behind: products of 256 rows are large enough.
// CHECK: head and loss in 64 chunks of 256 rows
module attributes {train.loss_chunks = 0 : i64} {
  train.variable @w : tensor<8192x64xbf16> parameter init #train.normal<0.02> trainable
  train.entry @step kind(step) batch 4 sequence 4096 inputs ["x", "labels", "inv_tokens"] outputs ["loss", "dx"] {
  ^bb0(%x: tensor<16384x64xbf16>, %l: tensor<16384xi32>, %inv: tensor<f32>):
    %one = train.constant dense<1.0> : tensor<f32>
    %w = train.read @w : tensor<8192x64xbf16>
    %y = train.matmul %x, %w transpose_b : tensor<16384x64xbf16>, tensor<8192x64xbf16> -> tensor<16384x8192xbf16>
    %loss, %n, %lse = train.cross_entropy %y, %l, %inv ignore -100 : tensor<16384x8192xbf16>, tensor<16384xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16384xf32>
    %d = train.cross_entropy_grad %y, %l, %lse, %inv, %one ignore -100 : tensor<16384x8192xbf16>, tensor<16384xi32>, tensor<16384xf32>, tensor<f32>, tensor<f32>
    %dx = train.matmul %d, %w : tensor<16384x8192xbf16>, tensor<8192x64xbf16> -> tensor<16384x64xbf16>
    %dw = train.matmul %d, %x transpose_a : tensor<16384x8192xbf16>, tensor<16384x64xbf16> -> tensor<8192x64xbf16>
    train.update @w, %dw : tensor<8192x64xbf16>
    train.return %loss, %dx : tensor<f32>, tensor<16384x64xbf16>
  }
}
