//===- FakeQuantize.cpp - Linear layers in a quantized model's numbers --------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Quantization-aware training (Jacob et al., "Quantization and Training of Neural Networks for Efficient
// Integer-Arithmetic-Only Inference", 2018), of the layers that torchtune's recipes choose.
//
// Assumes: forward graphs only; a linear layer is a train.matmul whose b is a read of the weight, `[outputs, inputs]`,
// transposed; adapters are attached already.
//
// Promises: every entry computes with the same layers fake-quantized; a weight and what enters several layers are
// fake-quantized once an entry.
//
// Refuses: a graph that is differentiated already; delayed fake quantization without the input `step`; inputs of a
// layer that are no multiple of the group, where it may not stay as it is; a module in which no layer is left.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"

#include "mlir/IR/Remarks.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_FAKEQUANTIZEPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

constexpr remark::RemarkOpts remarkOpts = remark::RemarkOpts::name("fake_quantize").category("train-fake-quantize");

/// The weight of a linear layer; null for any other op.
ReadOp weightOf(Operation *op) {
  auto product = dyn_cast<MatmulOp>(op);
  if (!product || !product.getTransposeB() || product.getTransposeA())
    return {};
  return product.getB().getDefiningOp<ReadOp>();
}

class LayerConversion {
public:
  LayerConversion(ModuleOp module, QatAttr qat) : module(module), qat(qat), builder(module.getContext()) {}

  LogicalResult run() {
    for (auto entry : module.getOps<EntryOp>())
      for (Operation &op : entry.getBody().front())
        if (isa<UpdateOp, WriteOp>(op))
          return op.emitOpError("stands before weights are fake-quantized; do that in the forward graph");
    if (failed(chooseLayers()))
      return failure();
    for (auto entry : module.getOps<EntryOp>())
      if (failed(convert(entry)))
        return failure();
    return success();
  }

private:
  int64_t group() const { return qat.getGroup(); }

  /// Decides which weights are fake-quantized; tells what stays as it is.
  LogicalResult chooseLayers() {
    auto lora = module->getAttrOfType<LoraAttr>("train.adapters");
    llvm::StringSet<> targets, tables, biased;
    for (Attribute target : lora ? lora.getTargets().getValue() : ArrayRef<Attribute>())
      if (auto word = dyn_cast<StringAttr>(target))
        targets.insert(word.getValue());
    module.walk([&](Operation *op) {
      if (auto embedding = dyn_cast<EmbeddingOp>(op))
        if (auto read = embedding.getTable().getDefiningOp<ReadOp>())
          tables.insert(read.getVariable());
      // What an adapter gives may be added in between.
      auto addsBias = [](Operation *user) {
        return isa<AddBiasOp>(user) || (isa<AddOp>(user) && llvm::any_of(user->getUsers(), llvm::IsaPred<AddBiasOp>));
      };
      if (auto read = weightOf(op); read && llvm::any_of(op->getUsers(), addsBias))
        biased.insert(read.getVariable());
    });
    for (auto variable : module.getOps<VariableOp>()) {
      StringRef name = variable.getSymName(), layer = name;
      RankedTensorType type = variable.getTensorType();
      if (variable.getRole() != VariableRole::Parameter || type.getRank() != 2 || !layer.consume_back(".weight"))
        continue;
      if (lora && !targets.contains(layer.rsplit('.').second.empty() ? layer : layer.rsplit('.').second))
        continue;
      auto stays = [&](StringRef why) {
        remark::missed(variable.getLoc(), remarkOpts) << remark::add("{0} is not fake-quantized: {1}", name.str(), why);
      };
      if (!lora && tables.contains(name)) {
        stays("it is the table of embeddings");
        continue;
      }
      if (biased.contains(name)) {
        if (lora)
          return variable.emitOpError("belongs to a layer with a bias and an adapter, which is not fake-quantized");
        stays("its layer has a bias");
        continue;
      }
      if (type.getDimSize(1) % group() != 0) {
        if (lora || qat.getWeights() != FakeQuantization::Int4Symmetric)
          return variable.emitOpError("has ")
                 << type.getDimSize(1) << " columns, which groups of " << group() << " do not divide";
        stays(std::to_string(type.getDimSize(1)) + " inputs are no multiple of " + std::to_string(group()));
        continue;
      }
      chosen.insert(name);
    }
    if (chosen.empty())
      return module.emitError("no linear layer is left for train.fake_quantize, with groups of ") << group();
    remark::passed(module.getLoc(), remarkOpts)
        << remark::add("the weights of {0} linear layers are fake-quantized by groups of {1}{2}", chosen.size(),
                       group(), qat.getActivations() ? ", and what enters them by tokens" : "");
    return success();
  }

  LogicalResult convert(EntryOp entry) {
    step = Value();
    const bool trains = entry.getKind() == EntryKind::Step || entry.getKind() == EntryKind::Micro;
    if (trains && qat.getAfter() > 0)
      if (step = entry.getInput("step"); !step)
        return entry.emitOpError("fake-quantizes after ") << qat.getAfter() << " steps but has no input called step";
    made.clear();
    for (auto product : entry.getBody().front().getOps<MatmulOp>()) {
      ReadOp weight = weightOf(product);
      if (!weight || !chosen.contains(weight.getVariable()))
        continue;
      builder.setInsertionPoint(product);
      if (qat.getActivations())
        product.getAMutable().assign(fakeQuantized(product, product.getA(), FakeQuantization::Int8Asymmetric,
                                                   product.getA().getType().getDimSize(1)));
      product.getBMutable().assign(fakeQuantized(product, product.getB(), qat.getWeights(), group()));
    }
    return success();
  }

  /// `value`, which enters `product`.
  Value fakeQuantized(MatmulOp product, Value value, FakeQuantization scheme, int64_t group) {
    Value &result = made[value];
    if (result)
      return result;
    IntegerAttr after = step ? builder.getI64IntegerAttr(qat.getAfter()) : IntegerAttr();
    auto op = FakeQuantizeOp::create(builder, product.getLoc(), value.getType(), value, scheme, group, after, step);
    if (Attribute layer = product->getAttr(TrainDialect::layerAttrName))
      op->setAttr(TrainDialect::layerAttrName, layer);
    return result = op;
  }

  ModuleOp module;
  QatAttr qat;
  OpBuilder builder;
  llvm::StringSet<> chosen;    ///< weights that are fake-quantized
  Value step;                  ///< input of the entry at hand, where it does not begin at once
  DenseMap<Value, Value> made; ///< in the entry at hand
};

struct FakeQuantizePass : impl::FakeQuantizePassBase<FakeQuantizePass> {
  void runOnOperation() override {
    auto qat = getOperation()->getAttrOfType<QatAttr>(TrainDialect::fakeQuantizeAttrName);
    if (!qat)
      return markAllAnalysesPreserved();
    if (failed(LayerConversion(getOperation(), qat).run()))
      signalPassFailure();
  }
};

} // namespace
} // namespace ftc::train
