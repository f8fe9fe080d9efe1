//===- TrainAdapters.td - Magnitude and direction apart -------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Part of TrainOps.td, which includes it. What DoRA (Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation", 2024) adds to
// LoRA: a magnitude for each output, and the norm of the weight that the adapter makes.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAIN_ADAPTERS_TD
#define FTC_TRAIN_ADAPTERS_TD

def Train_Factors : Train_StaticTensor<[F32, F64], [1], "factors of columns">;

def MultiplyOp : Train_PureOp<"multiply", [SameOperandsAndResultType, Commutative, RowWise, Differentiable]> {
  let summary = "element-wise product";
  let description = [{
    ```mlir
    %c = train.multiply %a, %b : tensor<128xf32>
    ```
  }];
  let arguments = (ins Train_Tensor:$lhs, Train_Tensor:$rhs);
  let results = (outs Train_Tensor:$result);
  let assemblyFormat = "$lhs `,` $rhs `:` type($result) attr-dict";
}

def ScaleColumnsOp : Train_PureOp<"scale_columns", [AllTypesMatch<["input", "result"]>, RowWise, Differentiable]> {
  let summary = "a factor for each column";
  let description = [{
    `result[r][c] = input[r][c] * factors[c]`, rounded once. Factors are f32, whatever the input is (f64 for f64).

    ```mlir
    %y = train.scale_columns %x by %f : tensor<16x128xbf16>, tensor<128xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$input, Train_Factors:$factors);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = "$input `by` $factors `:` type($input) `,` type($factors) attr-dict";
  let hasVerifier = 1;
}

def ScaleColumnsGradOp : Train_PureOp<"scale_columns_grad", [
    AllTypesMatch<["input", "gradient", "input_gradient"]>, AllTypesMatch<["factors", "factor_gradients"]>, RowWise]> {
  let summary = "gradients of train.scale_columns";
  let description = [{
    `d_input[r][c] = d[r][c] * factors[c]`; `d_factors[c] = sum over r of d[r][c] * input[r][c]`, a reduction over rows.

    ```mlir
    %dx, %df = train.scale_columns_grad %x, %f, %d : tensor<16x128xf32>, tensor<128xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$input, Train_Factors:$factors, Train_Matrix:$gradient);
  let results = (outs Train_Matrix:$input_gradient, Train_Factors:$factor_gradients);
  let assemblyFormat = "$input `,` $factors `,` $gradient `:` type($input) `,` type($factors) attr-dict";
  let hasVerifier = 1;
}

def InverseNormOp : Train_PureOp<"inverse_norm", [AllTypesMatch<["base", "result"]>, Differentiable]> {
  let summary = "1 / norm of each row of a weight with its adapter, without making that weight";
  let description = [{
    With W `[outputs, inputs]`, A `[rank, inputs]`, B `[outputs, rank]` and s = `scale`, row o of W + s B A has the norm

    `n[o]^2 = base[o]^2 + 2 s sum over k of b[o][k] * p[k][o] + s^2 sum over k of b[o][k] * q[o][k]`

    where `base[o]` is the norm of row o of W, `p = A W^T` and `q = B (A A^T)`. So W is only read by a product that takes it in
    any precision, four bits too, and W + s B A is nowhere. The result is `1 / n`.

    It has no gradient: DoRA takes the norm for a constant (section 4.3 of the paper), as PEFT and torchtune do.

    ```mlir
    %i = train.inverse_norm %base, %b, %p, %q scale 2.0
      : tensor<128xf32>, tensor<128x8xf32>, tensor<8x128xf32>, tensor<128x8xf32>
    ```
  }];
  let arguments = (ins Train_Factors:$base, Train_Matrix:$b, Train_Matrix:$p, Train_Matrix:$q, F64Attr:$scale);
  let results = (outs Train_Factors:$result);
  let assemblyFormat = [{
    $base `,` $b `,` $p `,` $q `scale` $scale `:` type($base) `,` type($b) `,` type($p) `,` type($q) attr-dict
  }];
  let extraClassDeclaration = [{ int64_t getRank() { return getB().getType().getDimSize(1); } }];
  let hasVerifier = 1;
}

#endif // FTC_TRAIN_ADAPTERS_TD
