// RUN: ftc-opt %s | ftc-opt | FileCheck %s

// CHECK: train.fake_quantize = #train.qat<weights = int4_symmetric, group = 32, activations = true, after = 3>
module attributes {train.fake_quantize = #train.qat<weights = int4_symmetric, group = 32, activations = true, after = 3>} {
  // CHECK: train.entry @step
  train.entry @step kind(step) batch 4 sequence 4 inputs ["x", "w", "step"] outputs [] {
  ^bb0(%x: tensor<16x64xbf16>, %w: tensor<128x64xf32>, %step: tensor<i64>):
    // CHECK: train.fake_quantize %{{.*}} int8_asymmetric group 64 after 3 of %{{.*}} : tensor<16x64xbf16>, tensor<i64>
    %a = train.fake_quantize %x int8_asymmetric group 64 after 3 of %step : tensor<16x64xbf16>, tensor<i64>
    // CHECK: train.fake_quantize %{{.*}} int4_symmetric group 32 : tensor<128x64xf32>
    %b = train.fake_quantize %w int4_symmetric group 32 : tensor<128x64xf32>
    // CHECK: train.fake_quantize %{{.*}} int4_asymmetric group 2 : tensor<128x64xf32>
    %c = train.fake_quantize %w int4_asymmetric group 2 : tensor<128x64xf32>
    train.return
  }
}
