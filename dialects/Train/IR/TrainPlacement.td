//===- TrainPlacement.td - When and where values are ---------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Part of TrainOps.td, which includes it.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAIN_PLACEMENT_TD
#define FTC_TRAIN_PLACEMENT_TD

def DelayOp : Train_PureOp<"delay", [AllTypesMatch<["value", "result"]>]> {
  let summary = "a value, not to be used before another one exists";
  let description = [{
    The result is `value`. Because it depends on `until` as well, what is computed from it can neither be merged with the
    same computation elsewhere nor move in front of the op that makes `until`: `train-insert-remat` puts one between a kept
    activation and the ops that are computed again. It is no kernel and takes no memory; TrainToPlan drops it.

    ```mlir
    %x1 = train.delay %x until %dy : tensor<16x64xf32>, tensor<16x64xf32>
    %n1 = train.rms_norm %x1, %w eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32>
    ```
  }];
  let arguments = (ins Train_Any:$value, Train_Any:$until);
  let results = (outs Train_Any:$result);
  let assemblyFormat = "$value `until` $until `:` type($value) `,` type($until) attr-dict";
}

def OffloadOp : Train_PureOp<"offload", [TypesMatchWith<"result is the far type of value", "value", "result",
    "FarType::get(::mlir::cast<::mlir::RankedTensorType>($_self))">]> {
  let summary = "moves a value to the far tier";
  let description = [{
    The copy begins here and runs beside the ops that follow. Near memory is free once it is over and the last near reader
    is done. With `by_backward`, the first backward op waits until it is over.

    ```mlir
    %f = train.offload %x : tensor<16x64xf32>
    %g = train.offload %y by_backward : tensor<16x64xf32>
    ```
  }];
  let arguments = (ins Train_Any:$value, UnitAttr:$by_backward);
  let results = (outs Train_Far:$result);
  let assemblyFormat = "$value (`by_backward` $by_backward^)? `:` type($value) attr-dict";
  let builders = [OpBuilder<(ins "::mlir::Value":$value, CArg<"bool", "false">:$byBackward), [{
    auto type = FarType::get(::mlir::cast<::mlir::RankedTensorType>(value.getType()));
    build($_builder, $_state, type, value, byBackward);
  }]>];
}

def PrefetchOp : Train_PureOp<"prefetch", [TypesMatchWith<"far is the far type of result", "result", "far",
    "FarType::get(::mlir::cast<::mlir::RankedTensorType>($_self))">]> {
  let summary = "brings a value back from the far tier";
  let description = [{
    The result is what was offloaded. The copy begins when `until` exists, a gradient, as with `train.delay`: no pass can move
    it into the forward graph, where it would undo the offload. It runs beside the ops that follow, up to the first reader.

    ```mlir
    %x1 = train.prefetch %f until %dy : tensor<16x64xf32>, tensor<16x64xf32>
    ```
  }];
  let arguments = (ins Train_Far:$far, Train_Any:$until);
  let results = (outs Train_Any:$result);
  let assemblyFormat = "$far `until` $until `:` type($result) `,` type($until) attr-dict";
}

#endif // FTC_TRAIN_PLACEMENT_TD
