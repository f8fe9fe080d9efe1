//===- TrainOps.td - Operations of the train dialect ----------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAIN_OPS_TD
#define FTC_TRAIN_OPS_TD

include "dialects/Train/IR/TrainDialect.td"
include "dialects/Train/IR/TrainInterfaces.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

// Shapes are static everywhere, and nothing is empty: a step is compiled for its sizes.
def Train_HasElementsPred
    : And<[HasStaticShapePred, CPred<"::llvm::cast<::mlir::ShapedType>($_self).getNumElements() > 0">]>;
class Train_TensorOf<list<Type> elements>
    : RankedTensorOf<elements, [Train_HasElementsPred], "tensor of static shape that is not empty">;
class Train_StaticTensor<list<Type> elements, list<int> ranks, string summary>
    : RankedTensorOf<elements, [Train_HasElementsPred, HasAnyRankOfPred<ranks>],
                     summary # " of static shape that is not empty">;

def Train_Matrix : Train_StaticTensor<[F32, BF16, F64], [2], "matrix">;
def Train_Vector : Train_StaticTensor<[F32, BF16, F64], [1], "vector">;
def Train_Tensor : Train_TensorOf<[F32, BF16, F64]>;
def Train_Any : Train_TensorOf<[F32, BF16, F64, I32, I64, I8]>;
// What a variable can hold; a weight in four bits has no other use than as a factor of a product.
def Train_Stored : Train_TensorOf<[F32, BF16, F64, I32, I64, I8, Train_Nf4]>;
def Train_Factor : Train_StaticTensor<[F32, BF16, F64, Train_Nf4], [2], "matrix or matrix in four bits">;
def Train_Summable : Train_TensorOf<[F32, BF16, F64, I32]>;
def Train_Ids : Train_StaticTensor<[I32], [1], "vector of ids">;
def Train_Scalar : 0DTensorOf<[F32, F64]>;
def Train_StepNumber : 0DTensorOf<[I64]>;
// Statistics that are kept in full precision whatever the activations are.
def Train_Stats : Train_StaticTensor<[F32, F64], [1, 2], "statistics">;

class Train_Op<string mnemonic, list<Trait> traits = []> : Op<Train_Dialect, mnemonic, traits>;
class Train_PureOp<string mnemonic, list<Trait> traits = []> : Train_Op<mnemonic, !listconcat([Pure], traits)>;

// Row-wise ops over tensors whose leading dimension is the row (one row for rank 0 and 1).
defvar RowWise = DeclareOpInterfaceMethods<Train_RowWise>;
defvar Differentiable = DeclareOpInterfaceMethods<Train_Differentiable>;

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

def VariableOp : Train_Op<"variable", [Symbol]> {
  let summary = "declares a named tensor that outlives a call of the step";
  let description = [{
    Parameters carry their Hugging Face name, states `<parameter>.<state>`. `trainable` parameters get gradients. An
    accumulator holds a sum of gradients between the micro-batches of one step; no checkpoint keeps it. A `far` state lives in
    the far tier and is streamed past the ops that use it; its value is the same. A parameter in four bits (`!train.nf4`) is
    frozen, and `init` says what it is quantized from. A `teacher` is a weight of another model, from which this one learns:
    nothing writes it, it gets no adapter, and no checkpoint keeps it. A `reference` is a copy of a parameter as it was before
    training, under that one's name behind `reference.`, with the same shape and initial values: nothing writes it, and no
    checkpoint keeps it. It may be in four bits.

    ```mlir
    train.variable @"model.norm.weight" : tensor<64xf32> parameter init #train.ones trainable
    train.variable @"w.exp_avg" : tensor<4096x64xf32> state init #train.zeros far
    train.variable @"teacher.model.norm.weight" : tensor<96xf32> teacher init #train.ones
    train.variable @"reference.model.norm.weight" : tensor<64xf32> reference init #train.ones
    train.variable @"rotary.cos" : tensor<128x8xf32> constant init #train.rotary<sine = false, headDim = 16,
      base = 5.0e+05 : f64, factor = 3.2e+01 : f64, lowFactor = 1.0 : f64, highFactor = 4.0 : f64, oldContext = 8192>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Train_Stored>:$type, Train_VariableRoleAttr:$role,
                       AnyAttr:$init, UnitAttr:$trainable, UnitAttr:$far);
  let assemblyFormat = [{
    $sym_name `:` $type `` $role `init` $init (`trainable` $trainable^)? (`far` $far^)? attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType getTensorType() { return ::mlir::cast<::mlir::RankedTensorType>(getType()); }
  }];
}

def EntryOp : Train_Op<"entry", [Symbol, IsolatedFromAbove, SingleBlock]> {
  let summary = "one entry of the step: a graph from inputs and variables to outputs";
  let description = [{
    Block arguments are the inputs, named by `input_names`. Those called `learning_rate`, `inv_tokens`, `step`, `micro`,
    `seed`, `row`, `position` are the scalar inputs of the ABI (rank 0; f32 for the first two, else i64); the others
    (`tokens`, `labels`, `positions`, `segment_starts`: `[batch * sequence]` of i32) are written by the host. Token t of a
    row of the batch attends to positions `segment_starts[t]` to t of the same row. `labels` are shifted already.

    ```mlir
    train.entry @step kind(step) batch 2 sequence 8 inputs ["tokens", "labels"] outputs ["loss"] {
    ^bb0(%tokens: tensor<16xi32>, %labels: tensor<16xi32>):
      ...
      train.return %loss : tensor<f32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Train_EntryKindAttr:$kind, I64Attr:$batch, I64Attr:$sequence,
                       StrArrayAttr:$input_names, StrArrayAttr:$output_names);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `kind` `(` custom<Kind>($kind) `)` `batch` $batch `sequence` $sequence `inputs` $input_names `outputs` $output_names
    attr-dict-with-keyword $body
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    /// The block argument called `name`, or null.
    ::mlir::Value getInput(::llvm::StringRef name);
  }];
}

def ReturnOp : Train_Op<"return", [Terminator, HasParent<"EntryOp">]> {
  let summary = "ends an entry; its operands are the entry's outputs";
  let description = [{
    As many as `output_names`, in their order. A value of a variable is the one before the entry's writes.

    ```mlir
    train.return %loss, %count : tensor<f32>, tensor<i32>
    ```
  }];
  let arguments = (ins Variadic<Train_Any>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
  let hasVerifier = 1;
}

def ReadOp : Train_Op<"read", [HasParent<"EntryOp">, MemoryEffects<[MemRead]>]> {
  let summary = "the value of a variable at the start of the entry";
  let description = [{
    Reads see the value before the entry's writes. Not `Pure` because a write to the same variable ends the value's life.

    ```mlir
    %w = train.read @"model.norm.weight" : tensor<64xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$variable);
  let results = (outs Train_Stored:$value);
  let assemblyFormat = "$variable `:` type($value) attr-dict";
}

def WriteOp : Train_Op<"write", [HasParent<"EntryOp">, MemoryEffects<[MemWrite]>]> {
  let summary = "gives a variable the value it has after the entry";
  let description = [{
    At most one write of a variable in an entry, and every read of it stands before.

    ```mlir
    train.write @"model.norm.weight", %w1 : tensor<64xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$variable, Train_Any:$value);
  let assemblyFormat = "$variable `,` $value `:` type($value) attr-dict";
}

def LossOp : Train_Op<"loss", [HasParent<"EntryOp">, MemoryEffects<[MemWrite]>]> {
  let summary = "marks the scalar that is differentiated";
  let description = [{
    Import puts one into a `step` entry; `train-differentiate` replaces it by the backward graph and one `train.update`
    for each trainable variable.

    ```mlir
    train.loss %l : tensor<f32>
    ```
  }];
  let arguments = (ins Train_Scalar:$loss);
  let assemblyFormat = "$loss `:` type($loss) attr-dict";
}

def UpdateOp : Train_Op<"update", [HasParent<"EntryOp">, MemoryEffects<[MemWrite]>]> {
  let summary = "updates a trainable variable with its gradient, by whatever optimizer is chosen";
  let description = [{
    `scale`, if given, multiplies the gradient (clipping by global norm). `train-lower-optimizer` replaces it.

    ```mlir
    train.update @w, %g : tensor<64xf32>
    train.update @w, %g scale %s : tensor<64xf32>, tensor<f32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$variable, Train_Tensor:$gradient, Optional<Train_Scalar>:$scale);
  let assemblyFormat = [{
    $variable `,` $gradient (`scale` $scale^)? `:` type($gradient) (`,` type($scale)^)? attr-dict
  }];
}

def ConstantOp : Train_PureOp<"constant", [ConstantLike, AllTypesMatch<["value", "result"]>]> {
  let summary = "a splat constant";
  let description = [{
    ```mlir
    %one = train.constant dense<1.0> : tensor<f32>
    ```
  }];
  let arguments = (ins ElementsAttr:$value);
  let results = (outs Train_Any:$result);
  let assemblyFormat = "attr-dict $value";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def FusedOp : Train_Op<"fused", [IsolatedFromAbove, SingleBlock, RecursiveMemoryEffects]> {
  let summary = "row-wise ops that become one kernel";
  let description = [{
    Made by `train-form-kernels`. The body holds row-wise ops that agree on their number of rows and of columns; values
    that pass between them never reach memory unless they are yielded.

    ```mlir
    %h, %n = train.fused(%a = %x, %b = %y, %s = %w)
        : (tensor<16x64xf32>, tensor<16x64xf32>, tensor<64xf32>) -> (tensor<16x64xf32>, tensor<16x64xf32>) {
      %0 = train.add %a, %b : tensor<16x64xf32>
      %1 = train.rms_norm %0, %s eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32>
      train.yield %0, %1 : tensor<16x64xf32>, tensor<16x64xf32>
    }
    ```
  }];
  let arguments = (ins Variadic<Train_Any>:$inputs);
  let results = (outs Variadic<Train_Any>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def YieldOp : Train_Op<"yield", [Pure, Terminator, HasParent<"FusedOp">]> {
  let summary = "ends a fused group; its operands are the group's results";
  let description = [{
    ```mlir
    train.yield %0, %1 : tensor<16x64xf32>, tensor<16x64xf32>
    ```
  }];
  let arguments = (ins Variadic<Train_Any>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

include "dialects/Train/IR/TrainPlacement.td"

//===----------------------------------------------------------------------===//
// Element-wise ops
//===----------------------------------------------------------------------===//

def AddOp : Train_PureOp<"add", [SameOperandsAndResultType, Commutative, RowWise, Differentiable]> {
  let summary = "element-wise sum of floats or of counts (i32)";
  let description = [{
    ```mlir
    %c = train.add %a, %b : tensor<16x64xf32>
    ```
  }];
  let arguments = (ins Train_Summable:$lhs, Train_Summable:$rhs);
  let results = (outs Train_Summable:$result);
  let assemblyFormat = "$lhs `,` $rhs `:` type($result) attr-dict";
}

def AddBiasOp : Train_PureOp<"add_bias", [AllTypesMatch<["input", "result"]>, RowWise, Differentiable]> {
  let summary = "a bias for each column";
  let description = [{
    `result[r][c] = input[r][c] + bias[c]`, rounded once: what a linear layer adds to its product (Qwen2's queries, keys
    and values have one).

    ```mlir
    %y = train.add_bias %x, %b : tensor<16x64xf32>, tensor<64xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$input, Train_Vector:$bias);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = "$input `,` $bias `:` type($input) `,` type($bias) attr-dict";
  let hasVerifier = 1;
}

def ColumnSumsOp : Train_PureOp<"column_sums", [RowWise]> {
  let summary = "the sum of each column";
  let description = [{
    `result[c] = sum over r of input[r][c]`, a reduction over rows: the gradient of a bias.

    ```mlir
    %db = train.column_sums %d : tensor<16x64xf32> -> tensor<64xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$input);
  let results = (outs Train_Vector:$result);
  let assemblyFormat = "$input `:` type($input) `->` type($result) attr-dict";
  let hasVerifier = 1;
}

def CastOp : Train_PureOp<"cast", [SameOperandsAndResultShape, RowWise, Differentiable]> {
  let summary = "rounds to another element type";
  let description = [{
    Round to nearest, ties to even.

    ```mlir
    %b = train.cast %a : tensor<16x64xf32> to tensor<16x64xbf16>
    ```
  }];
  let arguments = (ins Train_Tensor:$input);
  let results = (outs Train_Tensor:$result);
  let assemblyFormat = "$input `:` type($input) `to` type($result) attr-dict";
}

def ScaleOp : Train_PureOp<"scale", [AllTypesMatch<["input", "result"]>, RowWise, Differentiable]> {
  let summary = "product with a scalar tensor; the scalar has no gradient";
  let description = [{
    ```mlir
    %b = train.scale %a by %s : tensor<16x64xf32>, tensor<f32>
    ```
  }];
  let arguments = (ins Train_Tensor:$input, Train_Scalar:$factor);
  let results = (outs Train_Tensor:$result);
  let assemblyFormat = "$input `by` $factor `:` type($input) `,` type($factor) attr-dict";
}

def DropoutOp : Train_PureOp<"dropout", [
    AllTypesMatch<["input", "result"]>, AllTypesMatch<["seed", "step", "micro"]>, RowWise, Differentiable]> {
  let summary = "zero with some probability, else scaled so that the mean stays";
  let description = [{
    `result[i] = input[i] / (1 - probability)` where the bits of (seed, stream, step, micro, element) keep element i, else 0
    (Srivastava et al. 2014, as torch.nn.Dropout). 1 / (1 - probability) is rounded to fp32 first. The bits are those of
    ftc/Support/Random.h's `keepsElement`, so they are the same wherever and however often they are computed, and no mask is
    stored. It is its own gradient, of the same bits.

    ```mlir
    %y = train.dropout %x probability 0.1 stream "model.layers.0.mlp.up_proj.lora_dropout" seed %seed step %step micro %micro
      : tensor<16x64xf32>, tensor<i64>
    ```
  }];
  let arguments = (ins Train_Matrix:$input, F64Attr:$probability, StrAttr:$stream, Train_StepNumber:$seed,
                       Train_StepNumber:$step, Train_StepNumber:$micro);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = [{
    $input `probability` $probability `stream` $stream `seed` $seed `step` $step `micro` $micro `:` type($input) `,`
    type($seed) attr-dict
  }];
  let hasVerifier = 1;
}

include "dialects/Train/IR/TrainActivations.td"
include "dialects/Train/IR/TrainMatrices.td"
include "dialects/Train/IR/TrainAdapters.td"
include "dialects/Train/IR/TrainQuantization.td"

//===----------------------------------------------------------------------===//
// Embedding, norm, rotary
//===----------------------------------------------------------------------===//

def EmbeddingOp : Train_PureOp<"embedding", [RowWise, Differentiable]> {
  let summary = "rows of a table";
  let description = [{
    `result[r] = table[ids[r]]`. Ids are in range: the host checks them.

    ```mlir
    %x = train.embedding %table, %ids : tensor<320x64xf32>, tensor<16xi32> -> tensor<16x64xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$table, Train_Ids:$ids);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = "$table `,` $ids `:` type($table) `,` type($ids) `->` type($result) attr-dict";
  let hasVerifier = 1;
}

def EmbeddingGradOp : Train_PureOp<"embedding_grad", []> {
  let summary = "gradient of the table of train.embedding";
  let description = [{
    `result = base` (zeros when absent), then `result[ids[r]] += gradient[r]` for r in order. With `base`, the gradient of
    tied embeddings needs no second table. Sums are in fp32 (fp64 of fp64), rounded to the table's type once.

    ```mlir
    %dt = train.embedding_grad %ids, %d : tensor<16xi32>, tensor<16x64xf32> -> tensor<320x64xf32>
    %dt = train.embedding_grad %ids, %d onto %base : tensor<320x64xf32>, tensor<16xi32>, tensor<16x64xf32> -> tensor<320x64xf32>
    ```
  }];
  let arguments = (ins Train_Ids:$ids, Train_Matrix:$gradient, Optional<Train_Matrix>:$base);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = [{
    $ids `,` $gradient (`onto` $base^ `:` type($base) `,`):(`:`)? type($ids) `,` type($gradient) `->` type($result) attr-dict
  }];
  let hasVerifier = 1;
}

def GatherRowOp : Train_PureOp<"gather_row", []> {
  let summary = "one row of a matrix, chosen at run time";
  let description = [{
    `result[0] = input[index]`. Used by the `logits` entry.

    ```mlir
    %x = train.gather_row %h, %i : tensor<16x64xf32>, tensor<i64> -> tensor<1x64xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$input, Train_StepNumber:$index);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = "$input `,` $index `:` type($input) `,` type($index) `->` type($result) attr-dict";
  let hasVerifier = 1;
}

def RmsNormOp : Train_PureOp<"rms_norm", [AllTypesMatch<["input", "result"]>, RowWise, Differentiable]> {
  let summary = "root-mean-square norm over the columns, times a weight";
  let description = [{
    `round(x * 1/sqrt(mean(x^2) + eps)) * weight` per row, Zhang and Sennrich 2019; the inner product is rounded to the
    activation's type before the weight is applied, as in Llama. `weight` is `[columns]`, or narrower: then each head, so
    many columns of a row, has a norm of its own and the same weight (Qwen3's queries and keys). `zero_centered`: the factor
    is `1 + weight`, and only the whole is rounded, as in Gemma.

    ```mlir
    %y = train.rms_norm %x, %w eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32>
    %q = train.rms_norm %x, %h eps 1.0e-6 : tensor<16x64xf32>, tensor<8xf32>
    %z = train.rms_norm %x, %w eps 1.0e-6 zero_centered : tensor<16x64xf32>, tensor<64xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$input, Train_Vector:$weight, F64Attr:$eps, UnitAttr:$zero_centered);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $weight `eps` $eps (`zero_centered` $zero_centered^)? `:` type($input) `,` type($weight) attr-dict
  }];
  let hasVerifier = 1;
}

def RmsNormGradOp : Train_PureOp<"rms_norm_grad", [
    AllTypesMatch<["input", "gradient", "input_gradient"]>, AllTypesMatch<["weight", "weight_gradient"]>, RowWise]> {
  let summary = "gradients of train.rms_norm";
  let description = [{
    With r = 1/sqrt(mean(x^2) + eps), u = gradient * weight (`zero_centered`: gradient * (1 + weight)):
    `d_x = r * u - x * r^3 * mean(u * x)`; `d_weight = sum over rows of gradient * x * r`. r is computed again: cheaper than
    keeping it. The second result is a reduction over rows.

    ```mlir
    %dx, %dw = train.rms_norm_grad %x, %w, %d eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$input, Train_Vector:$weight, Train_Matrix:$gradient, F64Attr:$eps,
                       UnitAttr:$zero_centered);
  let results = (outs Train_Matrix:$input_gradient, Train_Vector:$weight_gradient);
  let assemblyFormat = [{
    $input `,` $weight `,` $gradient `eps` $eps (`zero_centered` $zero_centered^)? `:` type($input) `,` type($weight)
    attr-dict
  }];
  let hasVerifier = 1;
}

def RotaryOp : Train_PureOp<"rotary", [AllTypesMatch<["input", "result"]>, Differentiable]> {
  let summary = "rotary position embedding, half-split layout";
  let description = [{
    For each row r and head, with c, s the table rows at positions[r] and x split in halves x1, x2:
    `[x1 * c - x2 * s, x2 * c + x1 * s]` (Su et al. 2021, Hugging Face's layout). `inverse` rotates back (s negated),
    which is the gradient. Tables of fewer than `head_dim / 2` columns turn as many pairs in the front of a head, and what
    is behind them stays (Phi-4 mini, GPT-NeoX): of a head of 16 and tables of 6, columns 0 to 5 with 6 to 11.

    ```mlir
    %y = train.rotary %x, %pos, %cos, %sin head_dim 16 : tensor<16x64xf32>, tensor<16xi32>, tensor<128x8xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$input, Train_Ids:$positions, Train_Matrix:$cos, Train_Matrix:$sin,
                       I64Attr:$head_dim, UnitAttr:$inverse);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $positions `,` $cos `,` $sin `head_dim` $head_dim (`inverse` $inverse^)? `:` type($input) `,`
    type($positions) `,` type($cos) `,` type($sin) attr-dict
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

def AttentionOp : Train_PureOp<"attention", [AllTypesMatch<["query", "result"]>, AllTypesMatch<["key", "value"]>,
                                             Differentiable]> {
  let summary = "causal grouped-query attention within segments";
  let description = [{
    Query `[batch * sequence, num_heads * head_dim]`, key and value `[batch * sequence, num_kv_heads * head_dim]`. Query t
    of a row of the batch sees keys `segment_starts[t]` to t of that row; query head h uses key head
    `h / (num_heads / num_kv_heads)`. Scores are multiplied by `scale`. The second result is the log-sum-exp of each
    query's scores, as they enter the softmax, `[batch * sequence, num_heads]`, kept for the gradient (Dao et al. 2022).

    `window` (optional, at least 1): a query sees no more than itself and the `window - 1` tokens before it, as with
    transformers' and torchtune's `sliding_window`: key s of query t where `s > t - window`.

    `softcap` (optional, positive): a scaled score x becomes `softcap * tanh(x / softcap)` before keys are hidden
    (Gemma 2; Bello et al. 2016, "Neural Combinatorial Optimization with Reinforcement Learning").

    ```mlir
    %o, %lse = train.attention %q, %k, %v, %starts batch 2 heads 4 kv_heads 2 scale 0.25
      : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32> -> tensor<16x4xf32>
    %p, %lsp = train.attention %q, %k, %v, %starts batch 2 heads 4 kv_heads 2 scale 0.25 window 4 softcap 50.0
      : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32> -> tensor<16x4xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$query, Train_Matrix:$key, Train_Matrix:$value, Train_Ids:$segment_starts,
                       I64Attr:$batch, I64Attr:$num_heads, I64Attr:$num_kv_heads, F64Attr:$scale,
                       OptionalAttr<I64Attr>:$window, OptionalAttr<F64Attr>:$softcap);
  let results = (outs Train_Matrix:$result, Train_Stats:$lse);
  let assemblyFormat = [{
    $query `,` $key `,` $value `,` $segment_starts `batch` $batch `heads` $num_heads `kv_heads` $num_kv_heads
    `scale` $scale (`window` $window^)? (`softcap` $softcap^)? `:` type($query) `,` type($key) `,` type($segment_starts)
    `->` type($lse) attr-dict
  }];
  let hasVerifier = 1;
}

def AttentionGradOp : Train_PureOp<"attention_grad", [
    AllTypesMatch<["query", "output", "gradient", "query_gradient"]>,
    AllTypesMatch<["key", "value", "key_gradient", "value_gradient"]>]> {
  let summary = "gradients of train.attention";
  let description = [{
    P is computed again from the scores and `lse`; with D = sum(gradient * output) per query and head:
    `dV = P^T dO`, `dS = P * (dO V^T - D)`, `dQ = scale * dS K`, `dK = scale * dS^T Q`. With a `softcap`, dS is multiplied
    by the slope of the cap, `1 - tanh^2`. No matrix of sequence × sequence reaches memory.

    ```mlir
    %dq, %dk, %dv = train.attention_grad %q, %k, %v, %starts, %o, %lse, %do batch 2 heads 4 kv_heads 2 scale 0.25
      : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32>, tensor<16x4xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$query, Train_Matrix:$key, Train_Matrix:$value, Train_Ids:$segment_starts,
                       Train_Matrix:$output, Train_Stats:$lse, Train_Matrix:$gradient,
                       I64Attr:$batch, I64Attr:$num_heads, I64Attr:$num_kv_heads, F64Attr:$scale,
                       OptionalAttr<I64Attr>:$window, OptionalAttr<F64Attr>:$softcap);
  let results = (outs Train_Matrix:$query_gradient, Train_Matrix:$key_gradient, Train_Matrix:$value_gradient);
  let assemblyFormat = [{
    $query `,` $key `,` $value `,` $segment_starts `,` $output `,` $lse `,` $gradient `batch` $batch `heads` $num_heads
    `kv_heads` $num_kv_heads `scale` $scale (`window` $window^)? (`softcap` $softcap^)? `:` type($query) `,` type($key)
    `,` type($segment_starts) `,` type($lse) attr-dict
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Loss
//===----------------------------------------------------------------------===//

def CrossEntropyOp : Train_PureOp<"cross_entropy", [RowWise, Differentiable]> {
  let summary = "sum of the cross-entropies of rows with a valid label, times a scalar";
  let description = [{
    `loss = inv_tokens * sum over rows with labels[r] != ignore_index of (lse[r] - logits[r, labels[r]])`, where lse is the
    log-sum-exp of the row in fp32. `count` is the number of valid rows. `loss` and `count` are reductions over rows.

    ```mlir
    %loss, %count, %lse = train.cross_entropy %logits, %labels, %inv ignore -100
      : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$logits, Train_Ids:$labels, Train_Scalar:$inv_tokens, I64Attr:$ignore_index);
  let results = (outs Train_Scalar:$loss, 0DTensorOf<[I32]>:$count, Train_Stats:$lse);
  let assemblyFormat = [{
    $logits `,` $labels `,` $inv_tokens `ignore` $ignore_index `:` type($logits) `,` type($labels) `,` type($inv_tokens)
    `->` type($loss) `,` type($count) `,` type($lse) attr-dict
  }];
  let hasVerifier = 1;
}

def CrossEntropyGradOp : Train_PureOp<"cross_entropy_grad", [AllTypesMatch<["logits", "result"]>, RowWise]> {
  let summary = "gradient of the logits of train.cross_entropy";
  let description = [{
    `gradient * inv_tokens * (exp(logits[r] - lse[r]) - onehot(labels[r]))` for valid rows, zero for the others.

    ```mlir
    %d = train.cross_entropy_grad %logits, %labels, %lse, %inv, %one ignore -100
      : tensor<16x320xf32>, tensor<16xi32>, tensor<16xf32>, tensor<f32>, tensor<f32>
    ```
  }];
  let arguments = (ins Train_Matrix:$logits, Train_Ids:$labels, Train_Stats:$lse, Train_Scalar:$inv_tokens,
                       Train_Scalar:$gradient, I64Attr:$ignore_index);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = [{
    $logits `,` $labels `,` $lse `,` $inv_tokens `,` $gradient `ignore` $ignore_index `:` type($logits) `,` type($labels)
    `,` type($lse) `,` type($inv_tokens) `,` type($gradient) attr-dict
  }];
  let hasVerifier = 1;
}

include "dialects/Train/IR/TrainPreference.td"
include "dialects/Train/IR/TrainDistillation.td"

//===----------------------------------------------------------------------===//
// Gradient accumulation
//===----------------------------------------------------------------------===//

def AccumulateOp : Train_PureOp<"accumulate", [AllTypesMatch<["gradient", "sum", "result"]>, RowWise]> {
  let summary = "adds a micro-batch's gradient to the sum of those before it";
  let description = [{
    `gradient` where `micro` is 0 (whatever `sum` holds), else `sum + gradient`, in fp32, rounded once. So the first
    micro-batch of a step overwrites what the step before left, and no pass over memory clears it.

    ```mlir
    %s1 = train.accumulate %g onto %s at %micro : tensor<64xf32>, tensor<i64>
    ```
  }];
  let arguments = (ins Train_Tensor:$gradient, Train_Tensor:$sum, Train_StepNumber:$micro);
  let results = (outs Train_Tensor:$result);
  let assemblyFormat = "$gradient `onto` $sum `at` $micro `:` type($gradient) `,` type($micro) attr-dict";
}

include "dialects/Train/IR/TrainUpdates.td"

#endif // FTC_TRAIN_OPS_TD
