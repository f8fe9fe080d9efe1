//===- QuantizeFrozen.cpp - Frozen weights in four bits ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// QLoRA's base weights (Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", 2023).
//
// Assumes: forward graphs only, adapters attached: what is not trainable is frozen. A linear layer is a train.matmul
// whose b is a read of the weight. Where all parameters are trained, a reference beside them is what is frozen; the
// attribute says which of the two it is about.
//
// Promises: types change and nothing else; ops, their order and all other variables stay. Results change: a weight has
// one of 16 numbers for each block of 64, as the library has it that the attribute names.
//
// Refuses: a target that no parameter (or no reference) has, that is trainable, that the quantizer cannot take, or that
// is read by anything but a product as its second factor.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"

#include "mlir/IR/Remarks.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_QUANTIZEFROZENPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

constexpr remark::RemarkOpts remarkOpts = remark::RemarkOpts::name("quantize").category("train-quantize-frozen");

class Quantization {
public:
  Quantization(ModuleOp module, QuantizeAttr how)
      : module(module), how(how), role(how.getReference() ? VariableRole::Reference : VariableRole::Parameter) {}

  LogicalResult run() {
    llvm::StringSet<> wanted, met;
    for (Attribute target : how.getTargets()) {
      auto word = dyn_cast<StringAttr>(target);
      if (!word)
        return module.emitError("train.quantize has a target that is no string: ") << target;
      wanted.insert(word.getValue());
    }
    for (auto variable : module.getOps<VariableOp>()) {
      StringRef name = variable.getSymName();
      if (variable.getRole() != role || !name.consume_back(".weight"))
        continue;
      StringRef word = name.substr(name.rfind('.') + 1); // all of it where there is no dot
      if (!wanted.contains(word))
        continue;
      met.insert(word);
      if (failed(quantize(variable)))
        return failure();
    }
    for (Attribute target : how.getTargets())
      if (!met.contains(cast<StringAttr>(target).getValue()))
        return module.emitError(how.getReference() ? "no reference '<...>." : "no parameter '<...>.")
               << cast<StringAttr>(target).getValue() << ".weight' for the target of train.quantize";
    for (auto entry : module.getOps<EntryOp>())
      for (auto read : entry.getBody().front().getOps<ReadOp>())
        if (auto type = types.lookup(read.getVariableAttr()); type && failed(retype(read, type)))
          return failure();
    remark::passed(module.getLoc(), remarkOpts)
        << remark::add("{0} {1} are kept in NF4, as {2} quantizes them", types.size(),
                       how.getReference() ? "weights of the reference" : "frozen weights",
                       stringifyQuantizer(how.getQuantizer()).str())
        << remark::metric("bytes", after) << remark::metric("bytes_saved", before - after);
    return success();
  }

private:
  LogicalResult quantize(VariableOp variable) {
    RankedTensorType type = variable.getTensorType();
    if (variable.getTrainable())
      return variable.emitOpError("is a target of train.quantize but trainable; only frozen weights are quantized");
    if (type.getRank() != 2 || !(type.getElementType().isF32() || type.getElementType().isBF16()))
      return variable.emitOpError("is a target of train.quantize but no matrix of f32 or bf16: ") << type;
    auto nf4 = Nf4Type::get(module.getContext(), how.getQuantizer(), type.getElementType());
    int64_t elements = type.getNumElements();
    if (!nf4Takes(formatOf(nf4).quantizer, elements))
      return variable.emitOpError("has ")
             << elements << " elements; torchao quantizes multiples of 16384, bitsandbytes any number";
    before += elements * (type.getElementTypeBitWidth() / 8);
    after += nf4CodeBytes(elements) + nf4Blocks(elements) + 4 * (nf4NestedBlocks(elements) + 1);
    RankedTensorType quantized = type.clone(nf4);
    variable.setTypeAttr(TypeAttr::get(quantized));
    types[FlatSymbolRefAttr::get(variable.getSymNameAttr())] = quantized;
    return success();
  }

  LogicalResult retype(ReadOp read, RankedTensorType type) {
    for (OpOperand &use : read->getUses())
      if (!isa<MatmulOp>(use.getOwner()) || use.getOperandNumber() != 1)
        return use.getOwner()->emitOpError("reads ")
               << read.getVariableAttr() << ", a target of train.quantize, but not as the second factor of a product";
    read.getValue().setType(type);
    return success();
  }

  ModuleOp module;
  QuantizeAttr how;
  VariableRole role; ///< of the targets
  DenseMap<Attribute, RankedTensorType> types;
  int64_t before = 0, after = 0;
};

struct QuantizeFrozenPass : impl::QuantizeFrozenPassBase<QuantizeFrozenPass> {
  void runOnOperation() override {
    auto how = getOperation()->getAttrOfType<QuantizeAttr>(TrainDialect::quantizeAttrName);
    if (!how)
      return markAllAnalysesPreserved();
    if (failed(Quantization(getOperation(), how).run()))
      signalPassFailure();
  }
};

} // namespace
} // namespace ftc::train
