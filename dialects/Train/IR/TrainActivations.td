//===- TrainActivations.td - Element-wise functions of layers -*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Part of TrainOps.td, which includes it. Gated activations of feed-forward blocks, and the cap on logits.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAIN_ACTIVATIONS_TD
#define FTC_TRAIN_ACTIVATIONS_TD

def SwiGLUOp : Train_PureOp<"swiglu", [SameOperandsAndResultType, RowWise, Differentiable]> {
  let summary = "silu(gate) * up";
  let description = [{
    `gate / (1 + exp(-gate)) * up`, Shazeer 2020. The whole is computed in fp32 and rounded once.

    ```mlir
    %h = train.swiglu %gate, %up : tensor<16x128xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$gate, Train_Matrix:$up);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = "$gate `,` $up `:` type($result) attr-dict";
}

def SwiGLUGradOp : Train_PureOp<"swiglu_grad", [
    AllTypesMatch<["gate", "up", "gradient", "gate_gradient", "up_gradient"]>, RowWise]> {
  let summary = "gradients of train.swiglu";
  let description = [{
    With s = sigmoid(gate): `d_gate = d * up * s * (1 + gate * (1 - s))`, `d_up = d * gate * s`.

    ```mlir
    %dg, %du = train.swiglu_grad %gate, %up, %d : tensor<16x128xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$gate, Train_Matrix:$up, Train_Matrix:$gradient);
  let results = (outs Train_Matrix:$gate_gradient, Train_Matrix:$up_gradient);
  let assemblyFormat = "$gate `,` $up `,` $gradient `:` type($gate) attr-dict";
}

def GeGLUOp : Train_PureOp<"geglu", [SameOperandsAndResultType, RowWise, Differentiable]> {
  let summary = "gelu(gate) * up, with the approximation by tanh";
  let description = [{
    Shazeer 2020, with gelu(x) = x / 2 * (1 + tanh(z)), z = sqrt(2/pi) * (x + 0.044715 * x^3) (Hendrycks and Gimpel 2016;
    PyTorch's `gelu(approximate="tanh")`). Since 1 + tanh(z) = 2 * sigmoid(2 * z), that is `gate / (1 + exp(-2 * z)) * up`. The
    whole is computed in fp32 and rounded once.

    ```mlir
    %h = train.geglu %gate, %up : tensor<16x128xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$gate, Train_Matrix:$up);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = "$gate `,` $up `:` type($result) attr-dict";
}

def GeGLUGradOp : Train_PureOp<"geglu_grad", [
    AllTypesMatch<["gate", "up", "gradient", "gate_gradient", "up_gradient"]>, RowWise]> {
  let summary = "gradients of train.geglu";
  let description = [{
    With s = sigmoid(2 * z) and z' = sqrt(2/pi) * (1 + 3 * 0.044715 * gate^2):
    `d_gate = d * up * s * (1 + gate * (1 - s) * 2 * z')`, `d_up = d * gate * s`.

    ```mlir
    %dg, %du = train.geglu_grad %gate, %up, %d : tensor<16x128xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$gate, Train_Matrix:$up, Train_Matrix:$gradient);
  let results = (outs Train_Matrix:$gate_gradient, Train_Matrix:$up_gradient);
  let assemblyFormat = "$gate `,` $up `,` $gradient `:` type($gate) attr-dict";
}

def SoftcapOp : Train_PureOp<"softcap", [SameOperandsAndResultType, RowWise, Differentiable]> {
  let summary = "bounds numbers smoothly";
  let description = [{
    `cap * tanh(input / cap)`, rounded once: close to the input where that is small, and never beyond `cap` (Gemma Team 2024, on
    the logits).

    ```mlir
    %y = train.softcap %x cap 3.0e+01 : tensor<16x320xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$input, F64Attr:$cap);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = "$input `cap` $cap `:` type($result) attr-dict";
  let hasVerifier = 1;
}

def SoftcapGradOp : Train_PureOp<"softcap_grad", [SameOperandsAndResultType, RowWise]> {
  let summary = "gradient of train.softcap, from its result";
  let description = [{
    `gradient * (1 - (output / cap)^2)`: no hyperbolic tangent, and the input of the cap need not be kept.

    ```mlir
    %dx = train.softcap_grad %y, %d cap 3.0e+01 : tensor<16x320xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$output, Train_Matrix:$gradient, F64Attr:$cap);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = "$output `,` $gradient `cap` $cap `:` type($result) attr-dict";
  let hasVerifier = 1;
}

#endif // FTC_TRAIN_ACTIVATIONS_TD
