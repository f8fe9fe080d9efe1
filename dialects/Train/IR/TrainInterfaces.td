//===- TrainInterfaces.td - What passes ask of train ops ------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAIN_INTERFACES_TD
#define FTC_TRAIN_INTERFACES_TD

include "mlir/IR/OpBase.td"

def Train_Differentiable : OpInterface<"DifferentiableOpInterface"> {
  let cppNamespace = "::ftc::train";
  let description = [{ An op that states its vector-Jacobian product. }];
  let methods = [
    InterfaceMethod<[{
      Builds, at the builder's insertion point, the gradients of this op's operands, given those of its results.
      `resultGradients[i]` is null where result i has no gradient. `needed[j]` says whether operand j's gradient is
      wanted; the returned vector has one value per operand, null where it is not wanted or is zero (integer operands,
      saved statistics). A gradient has the type of its operand.
    }], "::llvm::SmallVector<::mlir::Value>", "buildVjp",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::ValueRange":$resultGradients, "::llvm::ArrayRef<bool>":$needed)>,
  ];
}

def Train_RowWise : OpInterface<"RowWiseOpInterface"> {
  let cppNamespace = "::ftc::train";
  let description = [{
    An op that treats its rows independently: row r of each row result depends only on row r of each row operand (and on
    operands that are not indexed by the row: weights, scalars). Such ops can share one kernel when they agree on rows.
    Results that are not row results (a weight's gradient, a sum) are reductions over all rows; they may end a kernel,
    but nothing in the same kernel can read them.
  }];
  let methods = [
    InterfaceMethod<"Number of independent rows.", "int64_t", "getRows", (ins)>,
    InterfaceMethod<"Whether operand `index` is read only at this row.", "bool", "isRowOperand", (ins "unsigned":$index)>,
    InterfaceMethod<"Whether result `index` is written only at this row.", "bool", "isRowResult", (ins "unsigned":$index)>,
  ];
}

#endif // FTC_TRAIN_INTERFACES_TD
