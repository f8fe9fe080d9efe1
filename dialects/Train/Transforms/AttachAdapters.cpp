//===- AttachAdapters.cpp - Low-rank adapters beside projections -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// LoRA (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021), with PEFT's names; with magnitudes,
// DoRA (Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation", 2024), as torchtune computes it: what dropout drops
// is the adapter's input alone.
//
// Assumes: forward graphs only; a linear layer is a train.matmul whose b is a read of the weight, `[outputs, inputs]`,
// transposed.
//
// Promises: every entry gets the same adapters; frozen products keep their operands and their order. Adapters are
// declared right behind their weight, A before B, then the magnitude and the norm of the weight's rows.
//
// Ops marked `train.reference` get none: a loss of preferences compares the model with adapters with itself without.
//
// With dropout (Srivastava et al. 2014), training entries drop parts of an adapter's input, never of the frozen
// product's.
//
// Refuses: dropout without the inputs `seed`, `step` and `micro`; a graph that is differentiated already; a target that
// no parameter has, or that is read by anything but a linear layer; magnitudes (DoRA) of one that adds onto something.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"

#include "mlir/IR/Remarks.h"
#include "llvm/ADT/StringSet.h"

#include <cmath>

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_ATTACHADAPTERSPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

constexpr remark::RemarkOpts remarkOpts = remark::RemarkOpts::name("adapter").category("train-attach-adapters");

/// The two factors beside one weight; with magnitudes also these, and the norms of the weight's rows.
struct Adapter {
  VariableOp a, b, magnitude, norm;
};

class AdapterAttachment {
public:
  AdapterAttachment(ModuleOp module, LoraAttr lora) : module(module), lora(lora), builder(module.getContext()) {}

  LogicalResult run() {
    for (auto entry : module.getOps<EntryOp>())
      for (Operation &op : entry.getBody().front())
        if (isa<UpdateOp, WriteOp>(op))
          return op.emitOpError("stands before adapters are attached; attach them to the forward graph");
    if (lora.getRank() < 1)
      return module.emitError("train.adapters has rank ") << lora.getRank() << "; it must be at least 1";
    dropout = lora.getDropout() ? lora.getDropout().getValueAsDouble() : 0.0;
    if (!(dropout >= 0 && dropout < 1))
      return module.emitError("train.adapters has dropout ") << dropout << "; it must be at least 0 and below 1";
    if (failed(declare()))
      return failure();
    for (auto entry : module.getOps<EntryOp>()) {
      if (failed(findRandomness(entry)))
        return failure();
      for (auto read : llvm::make_early_inc_range(entry.getBody().front().getOps<ReadOp>()))
        if (auto found = adapters.find(read.getVariableAttr()); found != adapters.end())
          if (failed(attach(read, found->second)))
            return failure();
    }
    return success();
  }

private:
  /// The module of a parameter `<module>.weight`; empty for other names.
  static StringRef moduleOf(VariableOp variable) {
    StringRef name = variable.getSymName();
    return name.consume_back(".weight") ? name : StringRef();
  }

  /// Freezes every parameter and declares the adapters of those that are targets.
  LogicalResult declare() {
    llvm::StringSet<> wanted, met;
    for (Attribute target : lora.getTargets()) {
      auto word = dyn_cast<StringAttr>(target);
      if (!word)
        return module.emitError("train.adapters has a target that is no string: ") << target;
      wanted.insert(word.getValue());
    }
    int64_t frozen = 0, trained = 0;
    for (auto variable : llvm::make_early_inc_range(module.getOps<VariableOp>())) {
      if (variable.getRole() != VariableRole::Parameter)
        continue;
      variable.setTrainable(false);
      frozen += variable.getTensorType().getNumElements();
      StringRef name = moduleOf(variable), word = name.rsplit('.').second;
      if (word.empty())
        word = name;
      if (!wanted.contains(word))
        continue;
      met.insert(word);
      RankedTensorType type = variable.getTensorType();
      if (type.getRank() != 2)
        return variable.emitOpError("is a target of adapters but no matrix: ") << type;
      Adapter adapter;
      builder.setInsertionPointAfter(variable);
      int64_t inputs = type.getDimSize(1);
      auto bound = builder.getF64FloatAttr(1.0 / std::sqrt(static_cast<double>(inputs)));
      adapter.a = declareFactor(variable, (name + ".lora_A.weight").str(), type.clone({lora.getRank(), inputs}),
                                UniformInitAttr::get(builder.getContext(), bound));
      adapter.b =
          declareFactor(variable, (name + ".lora_B.weight").str(), type.clone({type.getDimSize(0), lora.getRank()}),
                        ZerosInitAttr::get(builder.getContext()));
      trained += adapter.a.getTensorType().getNumElements() + adapter.b.getTensorType().getNumElements();
      if (lora.getMagnitudes()) {
        auto norms = RowNormsInitAttr::get(builder.getContext(), FlatSymbolRefAttr::get(variable.getSymNameAttr()));
        auto vector = RankedTensorType::get({type.getDimSize(0)}, type.getElementType());
        adapter.magnitude = declareFactor(variable, (name + ".lora_magnitude_vector").str(), vector, norms);
        adapter.norm = VariableOp::create(builder, variable.getLoc(), builder.getStringAttr(name + ".weight_norm"),
                                          TypeAttr::get(vector.clone(statisticsType(type))),
                                          VariableRoleAttr::get(builder.getContext(), VariableRole::Constant), norms,
                                          UnitAttr(), UnitAttr());
        trained += vector.getNumElements();
      }
      adapters[FlatSymbolRefAttr::get(variable.getSymNameAttr())] = adapter;
    }
    for (Attribute target : lora.getTargets())
      if (!met.contains(cast<StringAttr>(target).getValue()))
        return module.emitError("no parameter '<...>.")
               << cast<StringAttr>(target).getValue() << ".weight' for the target of train.adapters";
    remark::passed(module.getLoc(), remarkOpts)
        << remark::add("adapters of rank {0}{1} beside {2} weights: {3} parameters are trained, {4} are frozen",
                       lora.getRank(), lora.getMagnitudes() ? " and magnitudes" : "", adapters.size(), trained, frozen);
    return success();
  }

  /// Norms and factors of columns are f32, or f64 beside f64.
  Type statisticsType(RankedTensorType type) {
    return type.getElementType().isF64() ? builder.getF64Type() : Type(builder.getF32Type());
  }

  VariableOp declareFactor(VariableOp weight, StringRef name, Type type, Attribute init) {
    return VariableOp::create(builder, weight.getLoc(), builder.getStringAttr(name), TypeAttr::get(type),
                              weight.getRoleAttr(), init, builder.getUnitAttr());
  }

  /// What dropout's bits depend on; nothing where the entry does not drop anything.
  LogicalResult findRandomness(EntryOp entry) {
    seed = step = micro = Value();
    bool trains = entry.getKind() == EntryKind::Step || entry.getKind() == EntryKind::Micro;
    if (dropout == 0 || !trains)
      return success();
    for (auto [name, input] : {std::pair("seed", &seed), std::pair("step", &step), std::pair("micro", &micro)})
      if (*input = entry.getInput(name); !*input)
        return entry.emitOpError("trains adapters with dropout but has no input called ") << name;
    return success();
  }

  LogicalResult attach(ReadOp read, Adapter adapter) {
    SmallVector<OpOperand *> uses;
    for (OpOperand &use : read->getUses())
      if (!use.getOwner()->hasAttr(TrainDialect::referenceAttrName))
        uses.push_back(&use);
    // Once an entry, whatever reads the weight.
    Value factors;
    if (adapter.magnitude && !uses.empty()) {
      builder.setInsertionPointAfter(read);
      factors = columnFactors(read, adapter);
    }
    for (OpOperand *use : uses) {
      auto product = dyn_cast<MatmulOp>(use->getOwner());
      if (!product || use->getOperandNumber() != 1 || !product.getTransposeB() || product.getTransposeA())
        return use->getOwner()->emitOpError("reads ")
               << read.getVariableAttr() << ", a target of adapters, but is no linear layer";
      if (factors && product.getOnto())
        return product.emitOpError("adds onto something, which magnitudes of an adapter would scale with the weight; "
                                   "attach adapters before sums are fused");
      attach(product, adapter, factors);
    }
    return success();
  }

  /// Magnitude over norm of each row of W + scale * B A.
  Value columnFactors(ReadOp weight, Adapter adapter) {
    Location loc = NameLoc::get(adapter.magnitude.getSymNameAttr(), weight.getLoc());
    auto read = [&](VariableOp variable) -> Value {
      return ReadOp::create(builder, loc, variable.getTensorType(), variable.getSymName());
    };
    Value a = read(adapter.a), b = read(adapter.b), base = read(adapter.norm), magnitude = read(adapter.magnitude);
    auto aType = cast<RankedTensorType>(a.getType()), bType = cast<RankedTensorType>(b.getType());
    const int64_t rank = aType.getDimSize(0), outputs = bType.getDimSize(0);
    Type statistics = statisticsType(aType);
    auto product = [&](ArrayRef<int64_t> shape, Type element, Value x, Value y, bool transposeY) -> Value {
      return MatmulOp::create(builder, loc, RankedTensorType::get(shape, element), x, y, /*transpose_a=*/false,
                              transposeY);
    };
    Value p = product({rank, outputs}, statistics, a, weight, true);
    Value square = product({rank, rank}, aType.getElementType(), a, a, true);
    Value q = product({outputs, rank}, statistics, b, square, false);
    Value inverse = InverseNormOp::create(builder, loc, base.getType(), base, b, p, q, lora.getScale());
    if (magnitude.getType() != inverse.getType())
      magnitude = CastOp::create(builder, loc, inverse.getType(), magnitude);
    return MultiplyOp::create(builder, loc, magnitude, inverse);
  }

  /// `input` times a factor, as `element`.
  Value linear(Value input, VariableOp factor, Type element) {
    Location loc = NameLoc::get(factor.getSymNameAttr(), input.getLoc());
    Value weight = ReadOp::create(builder, loc, factor.getTensorType(), factor.getSymName());
    auto type =
        cast<RankedTensorType>(input.getType())
            .clone({cast<RankedTensorType>(input.getType()).getDimSize(0), factor.getTensorType().getDimSize(0)},
                   element);
    return MatmulOp::create(builder, loc, type, input, weight, /*transpose_a=*/false, /*transpose_b=*/true);
  }

  /// y becomes y + (scale * x A^T) B^T, with dropout of x in entries that train; then, with `factors`, each of its
  /// columns is scaled.
  void attach(MatmulOp product, Adapter adapter, Value factors) {
    builder.setInsertionPointAfter(product);
    Value input = product.getA();
    if (seed) {
      std::string stream =
          (adapter.b.getSymName().drop_back(StringRef(".lora_B.weight").size()) + ".lora_dropout").str();
      input =
          DropoutOp::create(builder, NameLoc::get(builder.getStringAttr(stream), product.getLoc()), input.getType(),
                            input, builder.getF64FloatAttr(dropout), builder.getStringAttr(stream), seed, step, micro);
    }
    Value narrow = linear(input, adapter.a, product.getA().getType().getElementType());
    Location loc = NameLoc::get(adapter.b.getSymNameAttr(), product.getLoc());
    if (double scale = lora.getScale().getValueAsDouble(); scale != 1) {
      auto scalar = RankedTensorType::get({}, builder.getF32Type());
      Value factor = ConstantOp::create(builder, loc, DenseElementsAttr::get(scalar, static_cast<float>(scale)));
      narrow = ScaleOp::create(builder, loc, narrow.getType(), narrow, factor);
    }
    Value wide = linear(narrow, adapter.b, product.getResult().getType().getElementType());
    auto sum = AddOp::create(builder, loc, product.getResult(), wide);
    Value result = sum;
    if (factors) {
      Location magnitude = NameLoc::get(adapter.magnitude.getSymNameAttr(), product.getLoc());
      result = ScaleColumnsOp::create(builder, magnitude, sum.getType(), sum, factors);
    }
    product.getResult().replaceAllUsesExcept(result, sum);
  }

  ModuleOp module;
  LoraAttr lora;
  OpBuilder builder;
  double dropout = 0;
  Value seed, step, micro; ///< inputs of the entry at hand, where it has dropout
  DenseMap<Attribute, Adapter> adapters;
};

struct AttachAdaptersPass : impl::AttachAdaptersPassBase<AttachAdaptersPass> {
  void runOnOperation() override {
    auto lora = getOperation()->getAttrOfType<LoraAttr>(TrainDialect::adaptersAttrName);
    if (!lora)
      return;
    if (failed(AdapterAttachment(getOperation(), lora).run()))
      signalPassFailure();
  }
};

} // namespace
} // namespace ftc::train
