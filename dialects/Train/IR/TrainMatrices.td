//===- TrainMatrices.td - Products, and parts of tensors ------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Part of TrainOps.td, which includes it.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAIN_MATRICES_TD
#define FTC_TRAIN_MATRICES_TD

def MatmulOp : Train_PureOp<"matmul", [Differentiable]> {
  let summary = "matrix product, either side transposed";
  let description = [{
    `op(a) * op(b)` with accumulation in fp32 and one rounding to the result's type. A linear layer with weight
    `[out, in]` is `train.matmul %x, %w transpose_b`. Element types agree, but f32 may be the result's type of bf16 operands.
    `b` may be a frozen weight in four bits, decoded to the type of `a` where it is read; it has no gradient.
    With `onto`, a matrix of the result's type, the product is added to it before it is rounded: a sum of products takes
    one buffer.

    ```mlir
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    %z = train.matmul %d, %x transpose_a onto %y
      : tensor<16x128xf32>, tensor<8x16xf32>, tensor<8x128xf32> -> tensor<16x128xf32>
    %q = train.matmul %x, %v transpose_b
      : tensor<16x64xf32>, tensor<128x64x!train.nf4<bitsandbytes, f32>> -> tensor<16x128xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$a, Train_Factor:$b, UnitAttr:$transpose_a, UnitAttr:$transpose_b,
                       Optional<Train_Matrix>:$onto);
  let results = (outs Train_Matrix:$result);
  let builders = [OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$a, "::mlir::Value":$b,
                                 CArg<"bool", "false">:$transposeA, CArg<"bool", "false">:$transposeB), [{
    build($_builder, $_state, result, a, b, transposeA, transposeB, ::mlir::Value());
  }]>];
  let assemblyFormat = [{
    $a `,` $b (`transpose_a` $transpose_a^)? (`transpose_b` $transpose_b^)? (`onto` $onto^ `:` type($onto) `,`):(`:`)?
    type($a) `,` type($b) `->` type($result) attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    int64_t getM() { return getResult().getType().getDimSize(0); }
    int64_t getN() { return getResult().getType().getDimSize(1); }
    int64_t getK() { return getA().getType().getDimSize(getTransposeA() ? 0 : 1); }
  }];
}

def MatmulPairOp : Train_PureOp<"matmul_pair"> {
  let summary = "a product and a narrow one beside it, added";
  let description = [{
    `op(a) * op(b) + c * op(d)`, with `onto` added, each product with accumulation in fp32, and one rounding of their sum to
    the result's type: a linear layer and its low-rank adapter in one pass over the result. Element types agree, but f32 may
    be the result's type of bf16 operands. `b` may be a frozen weight in four bits. It has no gradient: pairs are formed
    when the graph is complete.

    ```mlir
    %y = train.matmul_pair %x, %w transpose_b and %xa, %lora_b transpose_d
      : (tensor<16x64xf32>, tensor<128x64xf32>), (tensor<16x8xf32>, tensor<128x8xf32>) -> tensor<16x128xf32>
    %dx = train.matmul_pair %dy, %w and %dya, %lora_a onto %dx0 : tensor<16x64xf32>,
      (tensor<16x128xf32>, tensor<128x64xf32>), (tensor<16x8xf32>, tensor<8x64xf32>) -> tensor<16x64xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$a, Train_Factor:$b, Train_Matrix:$c, Train_Matrix:$d, UnitAttr:$transpose_a,
                       UnitAttr:$transpose_b, UnitAttr:$transpose_d, Optional<Train_Matrix>:$onto);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = [{
    $a `,` $b (`transpose_a` $transpose_a^)? (`transpose_b` $transpose_b^)? `and` $c `,` $d (`transpose_d` $transpose_d^)?
    (`onto` $onto^ `:` type($onto) `,`):(`:`)? `(` type($a) `,` type($b) `)` `,` `(` type($c) `,` type($d) `)` `->`
    type($result) attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    int64_t getM() { return getResult().getType().getDimSize(0); }
    int64_t getN() { return getResult().getType().getDimSize(1); }
    int64_t getK() { return getA().getType().getDimSize(getTransposeA() ? 0 : 1); }
    /// Terms of the second product.
    int64_t getPairK() { return getC().getType().getDimSize(1); }
  }];
}

def SliceRowsOp : Train_PureOp<"slice_rows"> {
  let summary = "consecutive rows of a tensor";
  let description = [{
    Rows `first` to `first + n - 1` of the leading dimension, n that of the result. Nothing moves: in the plan it is the
    same memory, seen from an offset.

    ```mlir
    %c = train.slice_rows %x from 4 : tensor<16x64xf32> -> tensor<4x64xf32>
    ```
  }];
  let arguments = (ins Train_Any:$input, I64Attr:$first);
  let results = (outs Train_Any:$result);
  let assemblyFormat = "$input `from` $first `:` type($input) `->` type($result) attr-dict";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def ConcatRowsOp : Train_PureOp<"concat_rows"> {
  let summary = "tensors below each other";
  let description = [{
    The rows of all parts in order. In the plan a part that nothing else reads is made in its place of the whole.

    ```mlir
    %x = train.concat_rows %a, %b : tensor<4x64xf32>, tensor<12x64xf32> -> tensor<16x64xf32>
    ```
  }];
  let arguments = (ins Variadic<Train_Any>:$parts);
  let results = (outs Train_Any:$result);
  let assemblyFormat = "$parts `:` type($parts) `->` type($result) attr-dict";
  let hasVerifier = 1;
  let hasFolder = 1;
}

#endif // FTC_TRAIN_MATRICES_TD
