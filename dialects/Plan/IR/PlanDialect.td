//===- PlanDialect.td - The plan dialect ----------------------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PLAN_DIALECT_TD
#define FTC_PLAN_DIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def Plan_Dialect : Dialect {
  let name = "plan";
  let cppNamespace = "::ftc::plan";
  let summary = "A training step in execution order, with all its memory";
  let description = [{
    The step as a list of launches over buffers. Three kinds of symbols:

    - `plan.slab`: memory that the host takes once, near or far.
    - `plan.kernel`: a computation over buffers, shared by all launches of the same shape. Its body says what is computed
      and in which order reductions add up; it says nothing of lanes, threads or addresses. Targets map it.
    - `plan.entry`: launches and copies in execution order.

    TrainToPlan makes entries over `plan.alloc` and `plan.variable`; `plan-assign-offsets` turns both into `plan.view`s of a
    slab; `plan-verify` proves that no two live buffers overlap and that nothing else allocates.

    Near memory is what kernels see. The *far tier* is a slower and larger place (a file for the CPU): nothing but
    `plan.copy_in` and `plan.copy_out` touches it. Copies run beside the launches that follow, so each gives an event, and
    `plan.wait` is where its buffers are free again.

    Buffers are memrefs with identity layout. A *row value* is a rank-1 tensor: one row of a matrix, or part of it.
    Bodies of `plan.rows` compute with `arith` and `math` on row values and scalars, element by element.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
}

def Plan_EntryKind : I32EnumAttr<"EntryKind", "what an entry of the step does", [
    I32EnumAttrCase<"Step", 0, "step">,
    I32EnumAttrCase<"Micro", 1, "micro">,
    I32EnumAttrCase<"Evaluate", 2, "evaluate">,
    I32EnumAttrCase<"Logits", 3, "logits">]> {
  let cppNamespace = "::ftc::plan";
  let genSpecializedAttr = 0;
}
def Plan_EntryKindAttr : EnumAttr<Plan_Dialect, Plan_EntryKind, "entry_kind">;

def Plan_Role : I32EnumAttr<"Role", "what a persistent buffer holds", [
    I32EnumAttrCase<"Parameter", 0, "parameter">,
    I32EnumAttrCase<"State", 1, "state">,
    I32EnumAttrCase<"Constant", 2, "constant">,
    I32EnumAttrCase<"Accumulator", 3, "accumulator">,
    I32EnumAttrCase<"Quantized", 4, "quantized">,
    I32EnumAttrCase<"Teacher", 5, "teacher">,
    I32EnumAttrCase<"Reference", 6, "reference">]> {
  let cppNamespace = "::ftc::plan";
  let genSpecializedAttr = 0;
}
def Plan_RoleAttr : EnumAttr<Plan_Dialect, Plan_Role, "role">;

def Plan_ReduceKind : I32EnumAttr<"ReduceKind", "how a reduction combines", [
    I32EnumAttrCase<"Add", 0, "add">,
    I32EnumAttrCase<"Max", 1, "max">]> {
  let cppNamespace = "::ftc::plan";
  let genSpecializedAttr = 0;
}
def Plan_ReduceKindAttr : EnumAttr<Plan_Dialect, Plan_ReduceKind, "reduce_kind">;

def Plan_Order : I32EnumAttr<"RowOrder", "in which order rows run", [
    I32EnumAttrCase<"Parallel", 0, "parallel">,
    I32EnumAttrCase<"Sequential", 1, "sequential">]> {
  let cppNamespace = "::ftc::plan";
  let genSpecializedAttr = 0;
}
def Plan_OrderAttr : EnumAttr<Plan_Dialect, Plan_Order, "row_order">;

def Plan_Event : TypeDef<Plan_Dialect, "Event"> {
  let mnemonic = "event";
  let summary = "the end of a copy, to be waited for";
}

def Plan_Quantizer : I32EnumAttr<"Quantizer", "whose way of quantizing", [
    I32EnumAttrCase<"Bitsandbytes", 0, "bitsandbytes">,
    I32EnumAttrCase<"Torchao", 1, "torchao">]> {
  let cppNamespace = "::ftc::plan";
  let genSpecializedAttr = 0;
}

def Plan_StateFormat : I32EnumAttr<"StateFormat", "how quantized moments are kept", [
    I32EnumAttrCase<"Bitsandbytes8", 0, "bitsandbytes_8bit">,
    I32EnumAttrCase<"Torchao8", 1, "torchao_8bit">,
    I32EnumAttrCase<"Torchao4", 2, "torchao_4bit">]> {
  let cppNamespace = "::ftc::plan";
  let genSpecializedAttr = 0;
}

def Plan_StateMapAttr : AttrDef<Plan_Dialect, "StateMap"> {
  let mnemonic = "state_map";
  let summary = "the numbers that codes stand for, and how they are chosen";
  let description = [{
    One of the maps of ftc/Support/QuantizedStates.h: of 256 numbers, or of 16 with `torchao_4bit`.

    ```mlir
    #plan.state_map<format = torchao_8bit, isSigned = true>
    ```
  }];
  let parameters = (ins EnumParameter<Plan_StateFormat>:$format, "bool":$isSigned);
  let assemblyFormat = "`<` struct(params) `>`";
  let extraClassDeclaration = [{
    const ::ftc::StateMap &getMap() const {
      return stateMap(static_cast<::ftc::StateFormat>(getFormat()), getIsSigned());
    }
  }];
}

def Plan_Nf4Attr : AttrDef<Plan_Dialect, "Nf4"> {
  let mnemonic = "nf4";
  let summary = "how a matrix in four bits is decoded";
  let description = [{
    ftc/Support/Nf4.h has the formulas. `decoded`, f32 or bf16: what each element is rounded to.

    A matrix `@w` is four variables of role `quantized`: `@w`, the codes, two to a byte; `@w.absmax`, a byte for each 64
    elements; `@w.nested_absmax`, f32, one for each 256 of those; `@w.offset`, one f32. The first carries the attributes
    `plan.nf4` (this) and `plan.matrix` (the tensor type `[outputs, inputs]` that it decodes to); the host fills all four.

    ```mlir
    #plan.nf4<bitsandbytes, f32>
    ```
  }];
  let parameters = (ins EnumParameter<Plan_Quantizer>:$quantizer, "::mlir::Type":$decoded);
  let assemblyFormat = "`<` $quantizer `,` $decoded `>`";
  let genVerifyDecl = 1;
}

#endif // FTC_PLAN_DIALECT_TD
