//===- TrainUpdates.td - Gradient norm and optimizers ---------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Included by TrainOps.td, which has the types.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAIN_UPDATES_TD
#define FTC_TRAIN_UPDATES_TD

// Moments of eight bits: a block of codes a row, and a scale each.
def Train_Codes : Train_StaticTensor<[I8], [2], "matrix of codes">;
def Train_CodeScales : Train_StaticTensor<[F32], [1], "f32 vector">;

//===----------------------------------------------------------------------===//
// Gradient norm and optimizers
//===----------------------------------------------------------------------===//

def SumSquaresOp : Train_PureOp<"sum_squares", [RowWise]> {
  let summary = "base plus the sum of the squares of all elements, in fp32";
  let description = [{
    Chained over the gradients of a step it gives the square of their global norm. Rows are summed first, then rows in
    blocks, so the order depends on sizes only.

    ```mlir
    %s = train.sum_squares %g onto %base : tensor<64x64xf32>, tensor<f32> -> tensor<f32>
    ```
  }];
  let arguments = (ins Train_Tensor:$input, Train_Scalar:$base);
  let results = (outs Train_Scalar:$result);
  let assemblyFormat = "$input `onto` $base `:` type($input) `,` type($base) `->` type($result) attr-dict";
  let hasVerifier = 1;
}

def ClipFactorOp : Train_PureOp<"clip_factor", [RowWise]> {
  let summary = "global norm and the factor that clips it";
  let description = [{
    `norm = sqrt(sum_squares)`, `factor = min(1, max_norm / (norm + 1e-6))`, as torch.nn.utils.clip_grad_norm_. With
    `max_norm` infinite the factor is 1.

    ```mlir
    %norm, %factor = train.clip_factor %s max_norm 1.0 : tensor<f32> -> tensor<f32>, tensor<f32>
    ```
  }];
  let arguments = (ins Train_Scalar:$sum_squares, F64Attr:$max_norm);
  let results = (outs Train_Scalar:$norm, Train_Scalar:$factor);
  let assemblyFormat = "$sum_squares `max_norm` $max_norm `:` type($sum_squares) `->` type($norm) `,` type($factor) attr-dict";
  let hasVerifier = 1;
}

def SGDOp : Train_PureOp<"sgd", [AllTypesMatch<["parameter", "gradient", "result"]>, RowWise]> {
  let summary = "one SGD update";
  let description = [{
    `p - lr * (scale * g + weight_decay * p)`, computed in fp32, rounded once.

    ```mlir
    %p1 = train.sgd %p, %g, %lr, %scale with <weightDecay = 0.0 : f64>
      : tensor<64xf32>, tensor<f32>, tensor<f32>
    ```
  }];
  let arguments = (ins Train_Tensor:$parameter, Train_Tensor:$gradient, Train_Scalar:$learning_rate,
                       Train_Scalar:$scale, Train_SGDAttr:$optimizer);
  let results = (outs Train_Tensor:$result);
  let assemblyFormat = [{
    $parameter `,` $gradient `,` $learning_rate `,` $scale `with` $optimizer `:` type($parameter) `,` type($learning_rate) `,`
    type($scale) attr-dict
  }];
  let hasVerifier = 1;
}

def SGDMomentumOp : Train_PureOp<"sgd_momentum", [AllTypesMatch<["parameter", "gradient", "result"]>,
    AllTypesMatch<["buffer", "new_buffer"]>, RowWise]> {
  let summary = "one SGD update with momentum";
  let description = [{
    With g' = scale * g + weight_decay * p: the buffer becomes g' at step 1 and `b' = momentum * b + (1 - dampening) * g'`
    afterwards; `p' = p - lr * b'`, or with Nesterov's momentum `p' = p - lr * (g' + momentum * b')` (Sutskever et al.
    2013, in torch.optim.SGD's form). Computed in fp32, each result rounded once; p' uses the unrounded b'.

    ```mlir
    %p1, %b1 = train.sgd_momentum %p, %g, %b, %lr, %step, %scale
      with <weightDecay = 0.0 : f64, momentum = 0.9 : f64, dampening = 0.0 : f64, nesterov = false>
      : tensor<64xf32>, tensor<64xf32>, tensor<f32>, tensor<i64>, tensor<f32>
    ```
  }];
  let arguments = (ins Train_Tensor:$parameter, Train_Tensor:$gradient, Train_Tensor:$buffer,
                       Train_Scalar:$learning_rate, Train_StepNumber:$step, Train_Scalar:$scale,
                       Train_SGDMomentumAttr:$optimizer);
  let results = (outs Train_Tensor:$result, Train_Tensor:$new_buffer);
  let assemblyFormat = [{
    $parameter `,` $gradient `,` $buffer `,` $learning_rate `,` $step `,` $scale `with` $optimizer `:` type($parameter) `,`
    type($buffer) `,` type($learning_rate) `,` type($step) `,` type($scale) attr-dict
  }];
  let hasVerifier = 1;
}

def AdamWOp : Train_PureOp<"adamw", [AllTypesMatch<["parameter", "gradient", "result"]>,
    AllTypesMatch<["exp_avg", "exp_avg_sq", "new_exp_avg", "new_exp_avg_sq"]>, RowWise]> {
  let summary = "one AdamW update";
  let description = [{
    With g' = scale * g, t = step: `m' = m + (1 - beta1) * (g' - m)`, `v' = beta2 * v + (1 - beta2) * g'^2`,
    `p' = p * (1 - lr * weight_decay) - lr / (1 - beta1^t) * m' / (sqrt(v') / sqrt(1 - beta2^t) + eps)`. Bias corrections
    are computed in fp64, the rest in fp32; each result is rounded once, and p' uses the unrounded m' and v'.

    ```mlir
    %p1, %m1, %v1 = train.adamw %p, %g, %m, %v, %lr, %step, %scale
      with <weightDecay = 0.01 : f64, beta1 = 0.9 : f64, beta2 = 0.999 : f64, eps = 1.0e-8 : f64>
      : tensor<64xf32>, tensor<64xf32>, tensor<f32>, tensor<i64>, tensor<f32>
    ```
  }];
  let arguments = (ins Train_Tensor:$parameter, Train_Tensor:$gradient, Train_Tensor:$exp_avg, Train_Tensor:$exp_avg_sq,
                       Train_Scalar:$learning_rate, Train_StepNumber:$step, Train_Scalar:$scale,
                       Train_AdamWAttr:$optimizer);
  let results = (outs Train_Tensor:$result, Train_Tensor:$new_exp_avg, Train_Tensor:$new_exp_avg_sq);
  let assemblyFormat = [{
    $parameter `,` $gradient `,` $exp_avg `,` $exp_avg_sq `,` $learning_rate `,` $step `,` $scale `with` $optimizer `:`
    type($parameter) `,` type($exp_avg) `,` type($learning_rate) `,` type($step) `,` type($scale) attr-dict
  }];
  let hasVerifier = 1;
}

def AdamWQuantizedOp : Train_PureOp<"adamw_quantized", [AllTypesMatch<["parameter", "gradient", "result"]>,
    AllTypesMatch<["exp_avg", "exp_avg_sq", "new_exp_avg", "new_exp_avg_sq"]>,
    AllTypesMatch<["exp_avg_scale", "exp_avg_sq_scale", "new_exp_avg_scale", "new_exp_avg_sq_scale"]>]> {
  let summary = "one AdamW update with quantized moments";
  let description = [{
    `train.adamw` in fp32 between decoding and encoding of its moments; p' uses the moments before they are encoded. A
    moment is codes and one scale for each block of the parameter's elements, row-major: `[elements / 256, 256]` of eight bits, or
    `[elements / 128, 64]` where a byte has element i of its block in the upper four bits and element i + 64 in the lower.
    ftc/Support/QuantizedStates.h has the numbers that codes stand for, and how each library chooses them.

    ```mlir
    %p1, %m1, %ms1, %v1, %vs1 = train.adamw_quantized %p, %g, %m, %ms, %v, %vs, %lr, %step, %scale torchao_8bit
      with <weightDecay = 0.01 : f64, beta1 = 0.9 : f64, beta2 = 0.999 : f64, eps = 1.0e-8 : f64>
      : tensor<64x128xf32>, tensor<32x256xi8>, tensor<32xf32>, tensor<f32>, tensor<i64>, tensor<f32>
    ```
  }];
  let arguments = (ins Train_Tensor:$parameter, Train_Tensor:$gradient, Train_Codes:$exp_avg, Train_CodeScales:$exp_avg_scale,
                       Train_Codes:$exp_avg_sq, Train_CodeScales:$exp_avg_sq_scale, Train_Scalar:$learning_rate,
                       Train_StepNumber:$step, Train_Scalar:$scale, Train_StateFormatAttr:$format,
                       Train_AdamWAttr:$optimizer);
  let results = (outs Train_Tensor:$result, Train_Codes:$new_exp_avg, Train_CodeScales:$new_exp_avg_scale,
                      Train_Codes:$new_exp_avg_sq, Train_CodeScales:$new_exp_avg_sq_scale);
  let assemblyFormat = [{
    $parameter `,` $gradient `,` $exp_avg `,` $exp_avg_scale `,` $exp_avg_sq `,` $exp_avg_sq_scale `,` $learning_rate `,`
    $step `,` $scale $format `with` $optimizer `:` type($parameter) `,` type($exp_avg) `,` type($exp_avg_scale) `,`
    type($learning_rate) `,` type($step) `,` type($scale) attr-dict
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Precision of updates
//===----------------------------------------------------------------------===//

def FirstStepOp : Train_PureOp<"first_step", [AllTypesMatch<["initial", "kept", "result"]>, RowWise]> {
  let summary = "one value at the first step, another one afterwards";
  let description = [{
    `initial` where `step` is 1 (whatever `kept` holds), else `kept`. So a state that starts as a copy of a parameter needs
    no host that knows of it: master weights are the parameter, exactly, when a run starts from a checkpoint without states.

    ```mlir
    %m = train.first_step %p, %kept at %step : tensor<64xf32>, tensor<i64>
    ```
  }];
  let arguments = (ins Train_Tensor:$initial, Train_Tensor:$kept, Train_StepNumber:$step);
  let results = (outs Train_Tensor:$result);
  let assemblyFormat = "$initial `,` $kept `at` $step `:` type($initial) `,` type($step) attr-dict";
}

def StochasticRoundOp : Train_PureOp<"stochastic_round", [RowWise]> {
  let summary = "f32 to bf16, up or down with the probabilities that keep the mean";
  let description = [{
    Towards zero, or away from it by one unit in the last place with a probability of the 16 bits that are cut off, times
    2^-16 (Gupta et al. 2015): away where these bits are above 16 random ones. Numbers that bf16 holds, infinities and NaNs
    stay what they are. The random bits are `roundingBits(seed, step, stream, row, column)` of lib/Support/Random.h, where
    a vector is one row; `stream` stands for the parameter (`hashName` of its name).

    ```mlir
    %b = train.stochastic_round %x, %seed, %step stream 7 : tensor<64xf32>, tensor<i64>, tensor<i64> -> tensor<64xbf16>
    ```
  }];
  let arguments = (ins Train_StaticTensor<[F32], [1, 2], "f32 vector or matrix">:$input, Train_StepNumber:$seed,
                       Train_StepNumber:$step, I64Attr:$stream);
  let results = (outs Train_StaticTensor<[BF16], [1, 2], "bf16 vector or matrix">:$result);
  let assemblyFormat = [{
    $input `,` $seed `,` $step `stream` $stream `:` type($input) `,` type($seed) `,` type($step) `->` type($result) attr-dict
  }];
  let hasVerifier = 1;
}

#endif // FTC_TRAIN_UPDATES_TD
