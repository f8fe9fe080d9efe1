//===- TrainDialect.td - The training-step dialect ------------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAIN_DIALECT_TD
#define FTC_TRAIN_DIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def Train_Dialect : Dialect {
  let name = "train";
  let cppNamespace = "::ftc::train";
  let summary = "A training step as a dataflow graph";
  let description = [{
    A training step before memory exists: values are tensors, parameters and optimizer states are named variables, and
    nothing has an address. Matrices of activations are `[rows, columns]` with `rows = batch * sequence`; heads stay side
    by side in the columns (`[rows, heads * head_dim]`), so that no op only moves data.

    A tensor's element type is its precision: a `bf16` value is rounded where it is defined. Arithmetic inside an op is
    fp32 (fp64 if the op's tensors are fp64, which only the reference interpreter uses).

    The forward graph of each entry is built by Import; differentiation, clipping, the optimizer, rematerialization and
    kernel forming are passes over it. TrainToPlan leaves this level.

    Four discardable attributes say where an op comes from. `train.layer = N : i64`: the forward graph of transformer layer
    N, set by Import. `train.backward`: built by `train-differentiate`. `train.recompute`: the copy of a forward op that
    `train-insert-remat` or `train-chunk-loss` put into the backward graph, or of an op that `train-fuse-updates` runs a second
    time; its work is not counted as necessary. `train.reference`: part of the model as it was before training, which Import puts
    beside the one that is trained for a loss of preferences; it gets no adapters. Its weights are the frozen ones of that model, or
    variables of the role `reference`.

    Four attributes of the module, besides `train.optimizer`, say in which precision updates are made; they are read by
    `train-lower-optimizer`. `train.state_type = bf16`: the type of moments. `train.quantized_states = #train<state_format
    torchao_8bit>`: large moments of AdamW have eight bits, in that library's numerics. `train.master_weights`: bf16 parameters keep
    an f32 copy, which is updated. `train.stochastic_rounding`: updates of bf16 parameters are rounded at random.

    `train.fake_quantize = #train.qat<...>` says that linear layers learn to be quantized (`train-fake-quantize`).

    Two attributes of the module ask for the far tier: `train.offload_activations` (`train-offload-activations`) and
    `train.page_states` (`train-page-states`). Neither has a value. Within a budget (`train.remat`), `train-insert-remat` says which
    activations leave: `train.away = array<i64: 0>` on a forward op has the numbers of its results that do.

    The rest of a module's attributes each belong to the pass that reads them: `train.adapters` (`#train.lora`), `train.quantize`,
    `train.optimizer`, `train.clip_grad_norm = 1.0 : f64`, `train.loss_chunks = 8 : i64` (0: a number is chosen), `train.remat`,
    `train.updates`. A `train.` attribute of another name, or with a value of another kind, is an error: no pass
    would read it.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect"];
  let hasOperationAttrVerify = 1;
  let extraClassDeclaration = [{
    static constexpr ::llvm::StringLiteral layerAttrName = "train.layer";
    static constexpr ::llvm::StringLiteral backwardAttrName = "train.backward";
    static constexpr ::llvm::StringLiteral recomputeAttrName = "train.recompute";
    static constexpr ::llvm::StringLiteral referenceAttrName = "train.reference";
    static constexpr ::llvm::StringLiteral rematAttrName = "train.remat";
    static constexpr ::llvm::StringLiteral fakeQuantizeAttrName = "train.fake_quantize";
    static constexpr ::llvm::StringLiteral awayAttrName = "train.away";
    static constexpr ::llvm::StringLiteral offloadAttrName = "train.offload_activations";
    static constexpr ::llvm::StringLiteral pageStatesAttrName = "train.page_states";
    static constexpr ::llvm::StringLiteral updatesAttrName = "train.updates";
    static constexpr ::llvm::StringLiteral stateTypeAttrName = "train.state_type";
    static constexpr ::llvm::StringLiteral quantizedStatesAttrName = "train.quantized_states";
    static constexpr ::llvm::StringLiteral masterWeightsAttrName = "train.master_weights";
    static constexpr ::llvm::StringLiteral stochasticRoundingAttrName = "train.stochastic_rounding";
    static constexpr ::llvm::StringLiteral optimizerAttrName = "train.optimizer";
    static constexpr ::llvm::StringLiteral clipGradNormAttrName = "train.clip_grad_norm";
    static constexpr ::llvm::StringLiteral lossChunksAttrName = "train.loss_chunks";
    static constexpr ::llvm::StringLiteral adaptersAttrName = "train.adapters";
    static constexpr ::llvm::StringLiteral quantizeAttrName = "train.quantize";
  }];
}

//===----------------------------------------------------------------------===//
// Enumerations and attributes
//===----------------------------------------------------------------------===//

def Train_EntryKind : I32EnumAttr<"EntryKind", "what an entry of the step does", [
    I32EnumAttrCase<"Step", 0, "step">,
    I32EnumAttrCase<"Micro", 1, "micro">,
    I32EnumAttrCase<"Evaluate", 2, "evaluate">,
    I32EnumAttrCase<"Logits", 3, "logits">]> {
  let cppNamespace = "::ftc::train";
  let genSpecializedAttr = 0;
}
def Train_EntryKindAttr : EnumAttr<Train_Dialect, Train_EntryKind, "entry_kind">;

def Train_VariableRole : I32EnumAttr<"VariableRole", "what a variable holds", [
    I32EnumAttrCase<"Parameter", 0, "parameter">,
    I32EnumAttrCase<"State", 1, "state">,
    I32EnumAttrCase<"Constant", 2, "constant">,
    I32EnumAttrCase<"Accumulator", 3, "accumulator">,
    I32EnumAttrCase<"Teacher", 4, "teacher">,
    I32EnumAttrCase<"Reference", 5, "reference">]> {
  let cppNamespace = "::ftc::train";
  let genSpecializedAttr = 0;
}
def Train_VariableRoleAttr : EnumAttr<Train_Dialect, Train_VariableRole, "role">;

class Train_Attr<string name, string attrMnemonic> : AttrDef<Train_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Train_ZerosInitAttr : Train_Attr<"ZerosInit", "zeros"> {
  let summary = "filled with zeros";
}
def Train_OnesInitAttr : Train_Attr<"OnesInit", "ones"> {
  let summary = "filled with ones";
}
def Train_NormalInitAttr : Train_Attr<"NormalInit", "normal"> {
  let summary = "normal distribution of mean 0, counter-based on (seed, variable name, element)";
  let parameters = (ins "::mlir::FloatAttr":$stddev);
  let assemblyFormat = "`<` $stddev `>`";
}
def Train_UniformInitAttr : Train_Attr<"UniformInit", "uniform"> {
  let summary = "uniform in (-bound, bound), counter-based on (seed, variable name, element)";
  let description = [{
    With `bound = 1 / sqrt(inputs)` this is PyTorch's initialization of a linear layer (kaiming_uniform with a = sqrt(5)).
  }];
  let parameters = (ins "::mlir::FloatAttr":$bound);
  let assemblyFormat = "`<` $bound `>`";
}
def Train_RotaryInitAttr : Train_Attr<"RotaryInit", "rotary"> {
  let summary = "a table of cosines or sines of rotary angles, [positions, head_dim / 2]";
  let description = [{
    Angle of (position p, column i) is `p * f(base^(-2i / head_dim))`, where `f` is Llama 3's frequency scaling
    (identity when `factor` is 1). Numbers are f64 attributes. Su et al. 2021; scaling as in Llama 3.1. Evaluated in fp64, rounded to fp32.
    `headDim` counts the columns of a head that are turned.

    `divisors` (optional, a number for each column): `f` divides the angle of column i by the i-th of them instead.
    `amplitude` (optional): cosines and sines are multiplied by it. Both are LongRoPE's (Ding et al. 2024).

    ```mlir
    #train.rotary<sine = true, headDim = 4, base = 1.0e4 : f64, factor = 1.0 : f64, lowFactor = 1.0 : f64, highFactor = 4.0 : f64,
                  oldContext = 4096, divisors = [1.0, 1.25], amplitude = 1.19 : f64>
    ```
  }];
  let parameters = (ins "bool":$sine, "int64_t":$headDim, "::mlir::FloatAttr":$base, "::mlir::FloatAttr":$factor, "::mlir::FloatAttr":$lowFactor,
                        "::mlir::FloatAttr":$highFactor, "int64_t":$oldContext,
                        OptionalParameter<"::mlir::DenseF64ArrayAttr">:$divisors, OptionalParameter<"::mlir::FloatAttr">:$amplitude);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Train_RowNormsInitAttr : Train_Attr<"RowNormsInit", "row_norms"> {
  let summary = "Euclidean norms of the rows of a parameter, as it is when training starts";
  let description = [{
    Of a parameter in four bits: of the numbers that it decodes to. Filled after all parameters.

    ```mlir
    #train.row_norms<@"model.layers.0.self_attn.q_proj.weight">
    ```
  }];
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$parameter);
  let assemblyFormat = "`<` $parameter `>`";
}

def Train_LoraAttr : Train_Attr<"Lora", "lora"> {
  let summary = "which projections get low-rank adapters (LoRA, Hu et al. 2021)";
  let description = [{
    `targets` are last words of modules ("q_proj"); `scale` multiplies what an adapter adds (alpha / rank). With `dropout`, in
    (0, 1), entries that train drop so large a part of what enters an adapter. With `magnitudes`, a trained magnitude for each
    output replaces the norm of its row of the adapted weight (DoRA, Liu et al. 2024).

    ```mlir
    #train.lora<rank = 8, scale = 2.0, targets = ["q_proj", "v_proj"]>
    #train.lora<rank = 8, scale = 2.0, targets = ["q_proj", "v_proj"], dropout = 0.05>
    #train.lora<rank = 8, scale = 2.0, targets = ["q_proj", "v_proj"], magnitudes = true>
    ```
  }];
  let parameters = (ins "int64_t":$rank, "::mlir::FloatAttr":$scale, "::mlir::ArrayAttr":$targets,
                        OptionalParameter<"::mlir::FloatAttr">:$dropout,
                        DefaultValuedParameter<"bool", "false">:$magnitudes);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Train_SGDAttr : Train_Attr<"SGD", "sgd"> {
  let summary = "plain stochastic gradient descent with L2 weight decay, as torch.optim.SGD";
  let parameters = (ins "::mlir::FloatAttr":$weightDecay);
  let assemblyFormat = "`<` struct(params) `>`";
}
def Train_SGDMomentumAttr : Train_Attr<"SGDMomentum", "sgd_momentum"> {
  let summary = "stochastic gradient descent with momentum and L2 weight decay, as torch.optim.SGD";
  let parameters = (ins "::mlir::FloatAttr":$weightDecay, "::mlir::FloatAttr":$momentum, "::mlir::FloatAttr":$dampening, "bool":$nesterov);
  let assemblyFormat = "`<` struct(params) `>`";
}
def Train_AdamWAttr : Train_Attr<"AdamW", "adamw"> {
  let summary = "AdamW with decoupled weight decay (Loshchilov and Hutter 2019), as torch.optim.AdamW";
  let parameters = (ins "::mlir::FloatAttr":$weightDecay, "::mlir::FloatAttr":$beta1, "::mlir::FloatAttr":$beta2, "::mlir::FloatAttr":$eps);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Train_Quantizer : I32EnumAttr<"Quantizer", "whose way of quantizing", [
    I32EnumAttrCase<"Bitsandbytes", 0, "bitsandbytes">,
    I32EnumAttrCase<"Torchao", 1, "torchao">]> {
  let cppNamespace = "::ftc::train";
  let genSpecializedAttr = 0;
}
def Train_QuantizerAttr : EnumAttr<Train_Dialect, Train_Quantizer, "quantizer">;

def Train_StateFormat : I32EnumAttr<"StateFormat", "how quantized moments are kept", [
    I32EnumAttrCase<"Bitsandbytes8", 0, "bitsandbytes_8bit">,
    I32EnumAttrCase<"Torchao8", 1, "torchao_8bit">,
    I32EnumAttrCase<"Torchao4", 2, "torchao_4bit">]> {
  let cppNamespace = "::ftc::train";
  let genSpecializedAttr = 0;
}
def Train_StateFormatAttr : EnumAttr<Train_Dialect, Train_StateFormat, "state_format">;

def Train_PreferenceKind : I32EnumAttr<"PreferenceKind", "what a pair of answers costs", [
    I32EnumAttrCase<"Sigmoid", 0, "sigmoid">,
    I32EnumAttrCase<"Hinge", 1, "hinge">]> {
  let cppNamespace = "::ftc::train";
  let genSpecializedAttr = 0;
}
def Train_PreferenceKindAttr : EnumAttr<Train_Dialect, Train_PreferenceKind, "preference">;

def Train_Nf4 : TypeDef<Train_Dialect, "Nf4"> {
  let mnemonic = "nf4";
  let summary = "an element of a frozen weight in four bits";
  let description = [{
    Element type of a matrix `[outputs, inputs]` whose elements are one of 16 numbers each, times a factor for each 64 of
    them in row-major order (NF4, Dettmers et al. 2023; ftc/Support/Nf4.h has the two ways of doing it). `decoded`, f32 or
    bf16, is the type of the weight before it is quantized and after it is decoded. Only `train.matmul` reads such a matrix.

    ```mlir
    tensor<128x64x!train.nf4<bitsandbytes, bf16>>
    ```
  }];
  let parameters = (ins EnumParameter<Train_Quantizer>:$quantizer, "::mlir::Type":$decoded);
  let assemblyFormat = "`<` $quantizer `,` $decoded `>`";
  let genVerifyDecl = 1;
}

def Train_QuantizeAttr : Train_Attr<"Quantize", "quantize"> {
  let summary = "which frozen weights are kept in four bits";
  let description = [{
    The module's `train.quantize`, read by `train-quantize-frozen`. `targets` are last words of modules ("q_proj"). With `reference`
    they are those of variables of that role, and parameters stay as they are.

    ```mlir
    #train.quantize<torchao, targets = ["q_proj", "v_proj"]>
    #train.quantize<torchao, targets = ["q_proj", "v_proj"], reference = true>
    ```
  }];
  let parameters = (ins EnumParameter<Train_Quantizer>:$quantizer, "::mlir::ArrayAttr":$targets,
                        DefaultValuedParameter<"bool", "false">:$reference);
  let assemblyFormat = "`<` $quantizer `,` `targets` `=` $targets (`,` `reference` `=` $reference^)? `>`";
}

def Train_FakeQuantization : I32EnumAttr<"FakeQuantization", "in which numbers values are quantized", [
    I32EnumAttrCase<"Int8Asymmetric", 0, "int8_asymmetric">,
    I32EnumAttrCase<"Int4Symmetric", 1, "int4_symmetric">,
    I32EnumAttrCase<"Int4Asymmetric", 2, "int4_asymmetric">]> {
  let cppNamespace = "::ftc::train";
  let genSpecializedAttr = 0;
}
def Train_FakeQuantizationAttr : EnumAttr<Train_Dialect, Train_FakeQuantization, "fake_quantization">;

def Train_QatAttr : Train_Attr<"Qat", "qat"> {
  let summary = "what linear layers are fake-quantized for";
  let description = [{
    The module's `train.fake_quantize`, read by `train-fake-quantize`. Weights get the scheme `weights`, by groups of `group` of a row; with
    `activations`, what enters the layer gets int8_asymmetric, a token at a time. `after = n`: entries that train begin with that
    behind n steps.

    ```mlir
    #train.qat<weights = int4_symmetric, group = 256, activations = true, after = 1000>
    #train.qat<weights = int4_asymmetric, group = 128>
    ```
  }];
  let parameters = (ins EnumParameter<Train_FakeQuantization>:$weights, "int64_t":$group,
                        DefaultValuedParameter<"bool", "false">:$activations,
                        DefaultValuedParameter<"int64_t", "0">:$after);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Train_RematMode : I32EnumAttr<"RematMode", "which activations are computed again in the backward graph", [
    I32EnumAttrCase<"Full", 0, "full">,
    I32EnumAttrCase<"Selective", 1, "selective">,
    I32EnumAttrCase<"Budget", 2, "budget">]> {
  let cppNamespace = "::ftc::train";
  let genSpecializedAttr = 0;
}
def Train_RematAttr : Train_Attr<"Remat", "remat"> {
  let summary = "which layers compute activations again, and which";
  let description = [{
    The module's `train.remat`, read by `train-insert-remat`. `full`: all but the layer's input, as torchtune does;
    `selective`: what is cheap; `budget`: what costs the least time for all layers together to keep no more than `bytes` from
    the forward graph for the backward graph (none given: as few as can be), near memory's bytes where
    `train.offload_activations` lets values leave. `every = k`: of each k layers the last.

    ```mlir
    module attributes {train.remat = #train.remat<full, every = 1>}
    module attributes {train.remat = #train.remat<budget, every = 1, bytes = 1048576>}
    ```
  }];
  let parameters = (ins EnumParameter<Train_RematMode>:$mode, "int64_t":$every, OptionalParameter<"int64_t">:$bytes);
  let assemblyFormat = "`<` $mode `,` `every` `=` $every (`,` `bytes` `=` $bytes^)? `>`";
  let builders = [AttrBuilder<(ins "RematMode":$mode, "int64_t":$every), [{
    return $_get($_ctxt, mode, every, /*bytes=*/0);
  }]>];
  let genVerifyDecl = 1;
}

def Train_UpdatePlacement : I32EnumAttr<"UpdatePlacement", "where updates stand among the gradients", [
    I32EnumAttrCase<"Backward", 0, "backward">,
    I32EnumAttrCase<"End", 1, "end">,
    I32EnumAttrCase<"TwoPasses", 2, "two_passes">]> {
  let cppNamespace = "::ftc::train";
  let genSpecializedAttr = 0;
}
def Train_UpdatesAttr : Train_Attr<"Updates", "updates"> {
  let summary = "when variables are updated";
  let description = [{
    The module's `train.updates`, read by `train-fuse-updates`. `backward`: each update right behind its gradient; `end`: all
    behind the last gradient, as torchtune does without `optimizer_in_bwd`; `two_passes`: `backward` under clipping too, with
    gradients that are made once for their norm and again for the updates.

    ```mlir
    module attributes {train.updates = #train.updates<backward>}
    ```
  }];
  let parameters = (ins EnumParameter<Train_UpdatePlacement>:$placement);
  let assemblyFormat = "`<` $placement `>`";
}

def Train_Far : TypeDef<Train_Dialect, "Far"> {
  let mnemonic = "far";
  let summary = "a tensor in the far tier";
  let description = [{
    What `train.offload` gives and `train.prefetch` takes; nothing else can read it.

    ```mlir
    !train.far<tensor<16x64xf32>>
    ```
  }];
  let parameters = (ins "::mlir::RankedTensorType":$tensor);
  let assemblyFormat = "`<` $tensor `>`";
  let builders = [TypeBuilderWithInferredContext<(ins "::mlir::RankedTensorType":$tensor), [{
    return $_get(tensor.getContext(), tensor);
  }]>];
}

#endif // FTC_TRAIN_DIALECT_TD
