// A frozen weight in four bits is four variables, and products read it through them. There is no buffer for the decoded
// matrix.
// RUN: ftc-opt %s -convert-train-to-plan | FileCheck %s

// 128 * 64 elements: 4096 bytes of codes, 128 blocks, one block of blocks.
// CHECK: plan.variable @w : memref<4096xi8> quantized init #train.normal<{{.*}}> {plan.matrix = tensor<128x64xbf16>, plan.nf4 = #plan.nf4<bitsandbytes, bf16>}
// CHECK-NEXT: plan.variable @w.absmax : memref<128xi8> quantized init #train.zeros
// CHECK-NEXT: plan.variable @w.nested_absmax : memref<1xf32> quantized init #train.zeros
// CHECK-NEXT: plan.variable @w.offset : memref<1xf32> quantized init #train.zeros

// CHECK-LABEL: plan.kernel @matmul_nt_16x128x64_bf16_nf4
// CHECK: plan.matmul %{{.*}}, %{{.*}}, %{{.*}} decode_b <bitsandbytes, bf16> scales(%{{.*}}, %{{.*}}, %{{.*}} : memref<128xi8>, memref<1xf32>, memref<1xf32>) transpose_b : memref<16x64xbf16>, memref<4096xi8>, memref<16x128xbf16>
// CHECK-LABEL: plan.kernel @matmul_nn_16x64x128_bf16_nf4
// CHECK: decode_b <bitsandbytes, bf16>
// CHECK-NOT: transpose_b

// CHECK-LABEL: plan.entry @step
// CHECK-NOT: memref<128x64
// CHECK: plan.launch @matmul_nt_16x128x64_bf16_nf4(%{{.*}}, %[[W:[a-z0-9]+]], %{{.*}}, %[[S:[a-z0-9]+]], %[[N:[a-z0-9]+]], %[[O:[a-z0-9]+]])
// CHECK: plan.launch @matmul_nn_16x64x128_bf16_nf4(%{{.*}}, %[[W]], %{{.*}}, %[[S]], %[[N]], %[[O]])
train.variable @w : tensor<128x64x!train.nf4<bitsandbytes, bf16>> parameter init #train.normal<0.02>
train.entry @step kind(step) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
^bb0(%x: tensor<16x64xbf16>):
  %w = train.read @w : tensor<128x64x!train.nf4<bitsandbytes, bf16>>
  %h = train.matmul %x, %w transpose_b
    : tensor<16x64xbf16>, tensor<128x64x!train.nf4<bitsandbytes, bf16>> -> tensor<16x128xbf16>
  %y = train.matmul %h, %w
    : tensor<16x128xbf16>, tensor<128x64x!train.nf4<bitsandbytes, bf16>> -> tensor<16x64xbf16>
  train.return %y : tensor<16x64xbf16>
}
