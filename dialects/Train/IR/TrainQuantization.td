//===- TrainQuantization.td - Fake quantization ---------------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Part of TrainOps.td, which includes it. What quantization-aware training (Jacob et al., "Quantization and Training of
// Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018) adds to a model.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAIN_QUANTIZATION_TD
#define FTC_TRAIN_QUANTIZATION_TD

def FakeQuantizeOp : Train_PureOp<"fake_quantize", [AllTypesMatch<["input", "result"]>, RowWise, Differentiable]> {
  let summary = "through a few bits and back, in the numbers of quantized inference";
  let description = [{
    Each `group` neighbouring elements of a row share a scale, and a zero point, that are chosen from their range; `group` divides the
    columns. T is the element type, B bf16; T(x) and B(x) are x rounded to it, round(x) goes to the nearest whole number, ties to even, and
    clamp(x, a, b) to the nearest of [a, b]. Everything else is f32. As torchao 0.9 computes it:

    - `int4_symmetric`: with m the largest magnitude, `s = max(T(m / 7.5), 2^-23)`,
      `result = T(clamp(round(x * (1 / s)), -8, 7) * s)`.
    - `int8_asymmetric`: with a = min(x, 0) and b = max(x, 0) over the group, `s = max(T(T(b - a) / 255), 2^-23)`,
      `low = T(a / s)`, `high = T(b / s)`, `z = round(clamp(T(T(-128 + low) + T(127 + high)) > 0 ? T(-128 - low) :
      T(127 - high), -128, 127))`, `result = T((clamp(round(x * (1 / s)) + z, -128, 127) - z) * s)`.
    - `int4_asymmetric`: with a and b the least and the largest element, `t = max(T(T(b - a) / 15), T(10^-6))`, `s = B(t)`,
      `z = B(T(a + T(8 * t)))`, `q = clamp(round(T(T(x - B(z - B(8 * s))) / s)), 0, 15)`, `result = T(T((q - 8) * s) + z)`: the
      numbers of PyTorch's 4-bit products, whose scales and zero points are bf16.

    The gradient goes straight through (Bengio et al. 2013): that of the input is that of the result. torchao multiplies it with
    a mask of what is in range, which it takes after clamping, so that nothing is masked; nor here.

    With `after`, the result is the input in steps up to that number: `step` counts from 1.

    ```mlir
    %w8 = train.fake_quantize %w int4_symmetric group 32 : tensor<128x64xf32>
    %x8 = train.fake_quantize %x int8_asymmetric group 64 after 100 of %step : tensor<16x64xf32>, tensor<i64>
    ```
  }];
  let arguments = (ins Train_Matrix:$input, Train_FakeQuantizationAttr:$scheme, I64Attr:$group,
                       OptionalAttr<I64Attr>:$after, Optional<Train_StepNumber>:$step);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = [{
    $input $scheme `group` $group (`after` $after^)? (`of` $step^)? `:` type($input) (`,` type($step)^)? attr-dict
  }];
  let hasVerifier = 1;
}

#endif // FTC_TRAIN_QUANTIZATION_TD
