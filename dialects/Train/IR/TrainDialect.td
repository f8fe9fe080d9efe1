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

    Three discardable attributes say where an op comes from. `train.layer = N : i64`: the forward graph of transformer layer
    N, set by Import. `train.backward`: built by `train-differentiate`. `train.recompute`: the copy of a forward op that
    `train-insert-remat` put into the backward graph; its work is not counted as necessary.

    Two attributes of the module ask for the far tier: `train.offload_activations` (`train-offload-activations`) and
    `train.page_states` (`train-page-states`). Neither has a value.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect"];
  let hasOperationAttrVerify = 1;
  let extraClassDeclaration = [{
    static constexpr ::llvm::StringLiteral layerAttrName = "train.layer";
    static constexpr ::llvm::StringLiteral backwardAttrName = "train.backward";
    static constexpr ::llvm::StringLiteral recomputeAttrName = "train.recompute";
    static constexpr ::llvm::StringLiteral rematAttrName = "train.remat";
    static constexpr ::llvm::StringLiteral offloadAttrName = "train.offload_activations";
    static constexpr ::llvm::StringLiteral pageStatesAttrName = "train.page_states";
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
    I32EnumAttrCase<"Accumulator", 3, "accumulator">]> {
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
  }];
  let parameters = (ins "bool":$sine, "int64_t":$headDim, "::mlir::FloatAttr":$base, "::mlir::FloatAttr":$factor, "::mlir::FloatAttr":$lowFactor,
                        "::mlir::FloatAttr":$highFactor, "int64_t":$oldContext);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Train_LoraAttr : Train_Attr<"Lora", "lora"> {
  let summary = "which projections get low-rank adapters (LoRA, Hu et al. 2021)";
  let description = [{
    `targets` are last words of modules ("q_proj"); `scale` multiplies what an adapter adds (alpha / rank).

    ```mlir
    #train.lora<rank = 8, scale = 2.0, targets = ["q_proj", "v_proj"]>
    ```
  }];
  let parameters = (ins "int64_t":$rank, "::mlir::FloatAttr":$scale, "::mlir::ArrayAttr":$targets);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Train_SGDAttr : Train_Attr<"SGD", "sgd"> {
  let summary = "plain stochastic gradient descent with L2 weight decay, as torch.optim.SGD";
  let parameters = (ins "::mlir::FloatAttr":$weightDecay);
  let assemblyFormat = "`<` struct(params) `>`";
}
def Train_AdamWAttr : Train_Attr<"AdamW", "adamw"> {
  let summary = "AdamW with decoupled weight decay (Loshchilov and Hutter 2019), as torch.optim.AdamW";
  let parameters = (ins "::mlir::FloatAttr":$weightDecay, "::mlir::FloatAttr":$beta1, "::mlir::FloatAttr":$beta2, "::mlir::FloatAttr":$eps);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Train_RematMode : I32EnumAttr<"RematMode", "which activations are computed again in the backward graph", [
    I32EnumAttrCase<"Full", 0, "full">,
    I32EnumAttrCase<"Selective", 1, "selective">]> {
  let cppNamespace = "::ftc::train";
  let genSpecializedAttr = 0;
}
def Train_RematAttr : Train_Attr<"Remat", "remat"> {
  let summary = "which layers compute activations again, and which";
  let description = [{
    The module's `train.remat`, read by `train-insert-remat`. `full`: all but the layer's input, as torchtune does;
    `selective`: what is cheap. `every = k`: of each k layers the last.

    ```mlir
    module attributes {train.remat = #train.remat<full, every = 1>}
    ```
  }];
  let parameters = (ins EnumParameter<Train_RematMode>:$mode, "int64_t":$every);
  let assemblyFormat = "`<` $mode `,` `every` `=` $every `>`";
  let genVerifyDecl = 1;
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
