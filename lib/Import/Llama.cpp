//===- Llama.cpp - Forward graphs of Llama and its like ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Import/Llama.h"

#include <cmath>

using namespace mlir;
using namespace ftc;

namespace {
constexpr StringLiteral tablesPrefix = "rotary.";

/// Of a table of angles: those of layers that turn by localRopeBase are apart.
const char *tableName(bool sine, bool local) {
  if (local)
    return sine ? "rotary.local.sin" : "rotary.local.cos";
  return sine ? "rotary.sin" : "rotary.cos";
}

std::string layerName(int64_t layer, StringRef rest) {
  return "model.layers." + std::to_string(layer) + "." + rest.str();
}
} // namespace

LlamaBuilder::LlamaBuilder(ModuleOp module, const Recipe &recipe, const ModelConfig &model, train::VariableRole role,
                           StringRef prefix)
    : module(module), recipe(recipe), model(model), role(role), prefix(prefix), location(module.getLoc()) {
  MLIRContext *context = module.getContext();
  elementType = recipe.dtype == DType::BF16 ? Type(BFloat16Type::get(context)) : Type(Float32Type::get(context));
}

Location LlamaBuilder::at(const Twine &where) {
  return NameLoc::get(StringAttr::get(module.getContext(), prefix + where), location);
}

void LlamaBuilder::declare(OpBuilder &builder, StringRef name, ArrayRef<int64_t> shape, Attribute init) {
  auto type = RankedTensorType::get(shape, elementType);
  types[name] = type;
  train::VariableOp::create(builder, location, builder.getStringAttr(variableOf(name)), TypeAttr::get(type),
                            train::VariableRoleAttr::get(builder.getContext(), role), init,
                            isTrained() ? builder.getUnitAttr() : UnitAttr());
}

void LlamaBuilder::declareVariables() {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  MLIRContext *context = module.getContext();
  auto f64 = [&](double value) { return builder.getF64FloatAttr(value); };
  // GPT-2's and Llama's usual initialization; torchtune leaves PyTorch's defaults, which a checkpoint replaces anyway.
  auto normal = train::NormalInitAttr::get(context, f64(0.02));
  Attribute neutral = train::OnesInitAttr::get(context);
  if (model.isGemma()) // counted from 1
    neutral = train::ZerosInitAttr::get(context);

  int64_t d = model.embedDim, q = model.numHeads * model.headDim, kv = model.numKvHeads * model.headDim;
  declare(builder, "model.embed_tokens.weight", {model.vocabSize, d}, normal);
  for (int64_t i = 0; i < model.numLayers; ++i) {
    if (model.hasInnerNorms())
      declare(builder, layerName(i, "input_layernorm.weight"), {d}, neutral);
    declare(builder, layerName(i, "self_attn.q_proj.weight"), {q, d}, normal);
    declare(builder, layerName(i, "self_attn.k_proj.weight"), {kv, d}, normal);
    declare(builder, layerName(i, "self_attn.v_proj.weight"), {kv, d}, normal);
    if (model.qkvBias) {
      auto zeros = train::ZerosInitAttr::get(context);
      declare(builder, layerName(i, "self_attn.q_proj.bias"), {q}, zeros);
      declare(builder, layerName(i, "self_attn.k_proj.bias"), {kv}, zeros);
      declare(builder, layerName(i, "self_attn.v_proj.bias"), {kv}, zeros);
    }
    declare(builder, layerName(i, "self_attn.o_proj.weight"), {d, q}, normal);
    if (model.qkNorm) {
      declare(builder, layerName(i, "self_attn.q_norm.weight"), {model.qkNormWidth(model.numHeads)}, neutral);
      declare(builder, layerName(i, "self_attn.k_norm.weight"), {model.qkNormWidth(model.numKvHeads)}, neutral);
    }
    declare(builder, layerName(i, "post_attention_layernorm.weight"), {d}, neutral);
    if (model.hasOuterNorms()) {
      if (model.hasInnerNorms())
        declare(builder, layerName(i, "pre_feedforward_layernorm.weight"), {d}, neutral);
      declare(builder, layerName(i, "post_feedforward_layernorm.weight"), {d}, neutral);
    }
    declare(builder, layerName(i, "mlp.gate_proj.weight"), {model.intermediateDim, d}, normal);
    declare(builder, layerName(i, "mlp.up_proj.weight"), {model.intermediateDim, d}, normal);
    declare(builder, layerName(i, "mlp.down_proj.weight"), {d, model.intermediateDim}, normal);
  }
  declare(builder, "model.norm.weight", {d}, neutral);
  if (!model.tiedEmbeddings)
    declare(builder, "lm_head.weight", {model.vocabSize, d}, normal);

  for (bool local : {false, true})
    for (int64_t i = 0; i < model.numLayers; ++i)
      if (model.hasRotary(i) && model.hasLocalRotary(i) == local) {
        declareTables(builder, local);
        break;
      }
}

void LlamaBuilder::declareTables(OpBuilder &builder, bool local) {
  MLIRContext *context = module.getContext();
  auto f64 = [&](double value) { return builder.getF64FloatAttr(value); };
  // Tables stay fp32 whatever the dtype is.
  const int64_t turned = model.rotaryDim ? model.rotaryDim : model.headDim;
  auto table = RankedTensorType::get({recipe.seqLen, turned / 2}, builder.getF32Type());
  const RopeScaling scaling = local ? RopeScaling() : model.ropeScaling;
  DenseF64ArrayAttr divisors;
  if (!scaling.divisors.empty())
    divisors = builder.getDenseF64ArrayAttr(scaling.divisors);
  for (bool sine : {false, true}) {
    const char *name = tableName(sine, local);
    types[name] = table;
    if (role == train::VariableRole::Reference) // has the angles of the model that it is the copy of
      continue;
    auto init = train::RotaryInitAttr::get(context, sine, turned, f64(local ? model.localRopeBase : model.ropeBase),
                                           f64(scaling.factor), f64(scaling.lowFactor), f64(scaling.highFactor),
                                           scaling.oldContext, divisors,
                                           scaling.amplitude == 1 ? FloatAttr() : f64(scaling.amplitude));
    train::VariableOp::create(builder, location, builder.getStringAttr(variableOf(name)), TypeAttr::get(table),
                              train::VariableRoleAttr::get(context, train::VariableRole::Constant), init, UnitAttr());
  }
}

std::string LlamaBuilder::variableOf(StringRef name) const {
  const bool isShared = role == train::VariableRole::Reference && name.starts_with(tablesPrefix);
  return isShared ? name.str() : prefix + name.str();
}

Value LlamaBuilder::read(OpBuilder &builder, StringRef name) {
  return train::ReadOp::create(builder, at(name), types[name], variableOf(name));
}

Value LlamaBuilder::linear(OpBuilder &builder, Value input, StringRef weight) {
  Value w = read(builder, weight);
  int64_t rows = cast<RankedTensorType>(input.getType()).getDimSize(0);
  auto type = RankedTensorType::get({rows, cast<RankedTensorType>(w.getType()).getDimSize(0)}, elementType);
  return train::MatmulOp::create(builder, at(weight), type, input, w, /*transpose_a=*/false, /*transpose_b=*/true);
}

Value LlamaBuilder::norm(OpBuilder &builder, Value input, StringRef weight) {
  Value w = read(builder, weight);
  return train::RmsNormOp::create(builder, at(weight), input.getType(), input, w,
                                  builder.getF64FloatAttr(model.normEps),
                                  model.isGemma() ? builder.getUnitAttr() : UnitAttr());
}

Value LlamaBuilder::embed(OpBuilder &builder, Value tokens) {
  Value table = read(builder, "model.embed_tokens.weight");
  int64_t rows = cast<RankedTensorType>(tokens.getType()).getDimSize(0);
  Value x = train::EmbeddingOp::create(builder, at("model.embed_tokens"),
                                       RankedTensorType::get({rows, model.embedDim}, elementType), table, tokens);
  if (!model.isGemma())
    return scale(builder, x, APFloat(static_cast<float>(model.embeddingFactor)), "model.embed_scale");
  // The factor is rounded to the type of the embeddings, as Gemma was trained.
  APFloat factor(static_cast<float>(std::sqrt(static_cast<double>(model.embedDim))));
  bool inexact;
  factor.convert(cast<FloatType>(elementType).getFloatSemantics(), APFloat::rmNearestTiesToEven, &inexact);
  factor.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven, &inexact);
  return scale(builder, x, factor, "model.embed_scale");
}

Value LlamaBuilder::scale(OpBuilder &builder, Value x, const APFloat &factor, const Twine &where) {
  if (factor.isExactlyValue(1.0))
    return x;
  auto scalar = RankedTensorType::get({}, builder.getF32Type());
  Value constant = train::ConstantOp::create(builder, at(where), DenseElementsAttr::get(scalar, factor));
  return train::ScaleOp::create(builder, at(where), x.getType(), x, constant);
}

Value LlamaBuilder::addToStream(OpBuilder &builder, Value stream, Value x, const std::string &block) {
  x = scale(builder, x, APFloat(static_cast<float>(model.residualFactor)), block + ".residual_scale");
  return train::AddOp::create(builder, at(block + ".residual"), stream, x);
}

Value LlamaBuilder::attentionBlock(OpBuilder &builder, Value input, int64_t layer, const LlamaInputs &inputs,
                                   int64_t batch) {
  auto name = [&](StringRef rest) { return layerName(layer, rest); };
  Value h = model.hasInnerNorms() ? norm(builder, input, name("input_layernorm.weight")) : input;
  Value cos, sin;
  if (const bool local = model.hasLocalRotary(layer); model.hasRotary(layer)) {
    cos = read(builder, tableName(/*sine=*/false, local));
    sin = read(builder, tableName(/*sine=*/true, local));
  }
  auto rotate = [&](Value x, const char *what) -> Value {
    if (!cos)
      return x;
    return train::RotaryOp::create(builder, at(name(what)), x.getType(), x, inputs.positions, cos, sin,
                                   builder.getI64IntegerAttr(model.headDim), UnitAttr());
  };
  auto project = [&](const std::string &projection) -> Value {
    Value x = linear(builder, h, name(projection + ".weight"));
    if (!model.qkvBias)
      return x;
    const std::string bias = name(projection + ".bias");
    return train::AddBiasOp::create(builder, at(bias), x, read(builder, bias));
  };
  auto head = [&](Value x, const char *weight) { return model.qkNorm ? norm(builder, x, name(weight)) : x; };
  Value q = rotate(head(project("self_attn.q_proj"), "self_attn.q_norm.weight"), "self_attn.q_rotary");
  Value k = rotate(head(project("self_attn.k_proj"), "self_attn.k_norm.weight"), "self_attn.k_rotary");
  Value v = project("self_attn.v_proj");
  int64_t rows = cast<RankedTensorType>(input.getType()).getDimSize(0);
  // A window that holds the sequence is none.
  IntegerAttr window;
  if (model.hasWindow(layer) && model.slidingWindow < recipe.seqLen)
    window = builder.getI64IntegerAttr(model.slidingWindow);
  FloatAttr softcap;
  if (model.attentionCap > 0)
    softcap = builder.getF64FloatAttr(model.attentionCap);
  double scoreScale = 1.0 / std::sqrt(static_cast<double>(model.queryScalar ? model.queryScalar : model.headDim));
  if (model.scoreFactor > 0)
    scoreScale = model.scoreFactor;
  auto attention = train::AttentionOp::create(
      builder, at(name("self_attn.attention")),
      TypeRange{q.getType(), RankedTensorType::get({rows, model.numHeads}, builder.getF32Type())}, q, k, v,
      inputs.segmentStarts, builder.getI64IntegerAttr(batch), builder.getI64IntegerAttr(model.numHeads),
      builder.getI64IntegerAttr(model.numKvHeads), builder.getF64FloatAttr(scoreScale), window, softcap);
  Value o = linear(builder, attention.getResult(), name("self_attn.o_proj.weight"));
  if (model.hasOuterNorms())
    o = norm(builder, o, name("post_attention_layernorm.weight"));
  return addToStream(builder, input, o, name("self_attn"));
}

Value LlamaBuilder::feedForwardBlock(OpBuilder &builder, Value input, int64_t layer) {
  auto name = [&](StringRef rest) { return layerName(layer, rest); };
  const bool outer = model.hasOuterNorms();
  Value h = input;
  if (model.hasInnerNorms())
    h = norm(builder, input, name(outer ? "pre_feedforward_layernorm.weight" : "post_attention_layernorm.weight"));
  Value gate = linear(builder, h, name("mlp.gate_proj.weight"));
  Value up = linear(builder, h, name("mlp.up_proj.weight"));
  Value product = model.isGemma() ? train::GeGLUOp::create(builder, at(name("mlp.geglu")), gate, up).getResult()
                                  : train::SwiGLUOp::create(builder, at(name("mlp.swiglu")), gate, up).getResult();
  Value down = linear(builder, product, name("mlp.down_proj.weight"));
  if (outer)
    down = norm(builder, down, name("post_feedforward_layernorm.weight"));
  return addToStream(builder, input, down, name("mlp"));
}

Value LlamaBuilder::buildHidden(OpBuilder &builder, const LlamaInputs &inputs, int64_t batch) {
  Value x = embed(builder, inputs.tokens);
  Operation *first = x.getDefiningOp();
  for (int64_t layer = 0; layer < model.numLayers; ++layer) {
    Operation *last = x.getDefiningOp();
    x = attentionBlock(builder, x, layer, inputs, batch);
    x = feedForwardBlock(builder, x, layer);
    // Variables belong to no layer: where they are read says nothing about when.
    for (Operation *op = last->getNextNode(); op && !isReference && isTrained(); op = op->getNextNode())
      if (!isa<train::ReadOp>(op))
        op->setAttr(train::TrainDialect::layerAttrName, builder.getI64IntegerAttr(layer));
  }
  Value hidden = norm(builder, x, "model.norm.weight");
  markReference(first);
  return hidden;
}

void LlamaBuilder::markReference(Operation *first) {
  for (Operation *op = first; op && isReference; op = op->getNextNode())
    if (!isa<train::ReadOp>(op))
      op->setAttr(train::TrainDialect::referenceAttrName, UnitAttr::get(op->getContext()));
}

Value LlamaBuilder::buildHead(OpBuilder &builder, Value hidden) {
  Value logits = linear(builder, hidden, model.tiedEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight");
  Operation *first = logits.getDefiningOp();
  if (model.logitsCap != 0)
    logits = train::SoftcapOp::create(builder, at("lm_head.softcap"), logits, builder.getF64FloatAttr(model.logitsCap));
  logits = scale(builder, logits, APFloat(static_cast<float>(1 / model.logitsDivisor)), "lm_head.scale");
  markReference(first);
  return logits;
}
