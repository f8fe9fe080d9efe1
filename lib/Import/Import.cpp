//===- Import.cpp - Recipe to the train dialect ------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The entries of a step around a family's forward graph. What differs between families is in one builder each
// (Llama.cpp).
//
//===----------------------------------------------------------------------===//

#include "ftc/Import/Import.h"

#include "lib/Import/Llama.h"

using namespace mlir;
using namespace ftc;

namespace {

/// An entry under construction: inputs by name, then the body.
struct EntryBuilder {
  train::EntryOp entry;
  OpBuilder builder;

  EntryBuilder(ModuleOp module, StringRef name, train::EntryKind kind, int64_t batch, int64_t sequence,
               ArrayRef<StringRef> inputs, ArrayRef<StringRef> outputs)
      : builder(OpBuilder::atBlockEnd(module.getBody())) {
    Location loc = NameLoc::get(builder.getStringAttr(name));
    entry = train::EntryOp::create(builder, loc, builder.getStringAttr(name),
                                   train::EntryKindAttr::get(builder.getContext(), kind),
                                   builder.getI64IntegerAttr(batch), builder.getI64IntegerAttr(sequence),
                                   builder.getStrArrayAttr(inputs), builder.getStrArrayAttr(outputs));
    Block &body = entry.getBody().emplaceBlock();
    auto ids = RankedTensorType::get({batch * sequence}, builder.getI32Type());
    for (StringRef input : inputs) {
      Type type = ids;
      if (input == "learning_rate" || input == "inv_tokens")
        type = RankedTensorType::get({}, builder.getF32Type());
      else if (llvm::is_contained({"step", "micro", "seed", "position"}, input))
        type = RankedTensorType::get({}, builder.getI64Type());
      body.addArgument(type, NameLoc::get(builder.getStringAttr(input)));
    }
    builder.setInsertionPointToStart(&body);
  }

  Value input(StringRef name) { return entry.getInput(name); }
  LlamaInputs modelInputs() { return {input("tokens"), input("positions"), input("segment_starts")}; }
  void finish(ValueRange outputs) { train::ReturnOp::create(builder, entry.getLoc(), outputs); }
};

/// Cross-entropy of every row, times `invTokens`: (loss, valid tokens).
std::pair<Value, Value> buildLoss(OpBuilder &builder, const Recipe &recipe, Value logits, Value labels,
                                  Value invTokens) {
  auto f32 = builder.getF32Type();
  int64_t rows = cast<RankedTensorType>(logits.getType()).getDimSize(0);
  auto loss = train::CrossEntropyOp::create(builder, NameLoc::get(builder.getStringAttr("loss"), logits.getLoc()),
                                            TypeRange{RankedTensorType::get({}, f32),
                                                      RankedTensorType::get({}, builder.getI32Type()),
                                                      RankedTensorType::get({rows}, f32)},
                                            logits, labels, invTokens, builder.getI64IntegerAttr(recipe.ignoreIndex));
  return {loss.getLoss(), loss.getCount()};
}

/// What an entry that compares answers gives: the loss and how many pairs it is of, and log-probabilities of each
/// answer by the model and by the reference.
struct PreferenceValues {
  Value loss, pairs, policy, reference;
};

/// The model as it was before training first, whose activations are gone when those of the other are kept. `second`:
/// that model, where it has weights of its own; null: `model` without its adapters.
PreferenceValues buildPreference(EntryBuilder &entry, LlamaBuilder &model, LlamaBuilder *second, const Recipe &recipe,
                                 Value invPairs) {
  OpBuilder &builder = entry.builder;
  const PreferenceConfig &preference = *recipe.preference;
  const int64_t answers = recipe.rowsOfBatch();
  model.buildInside(entry.entry);
  if (second)
    second->buildInside(entry.entry);
  auto f32 = builder.getF32Type();
  auto tokens = RankedTensorType::get({answers * static_cast<int64_t>(entry.entry.getSequence())}, f32),
       sums = RankedTensorType::get({answers}, f32);
  IntegerAttr ignored = builder.getI64IntegerAttr(recipe.ignoreIndex);
  PreferenceValues values;
  Value counts, labels = entry.input("labels");
  for (bool reference : {true, false}) {
    LlamaBuilder &compared = reference && second ? *second : model;
    compared.setReference(reference);
    Value hidden = compared.buildHidden(builder, entry.modelInputs(), answers);
    Value logits = compared.buildHead(builder, hidden);
    Location loc = NameLoc::get(builder.getStringAttr(reference ? "reference" : "policy"));
    auto each = train::LabelLogProbsOp::create(builder, loc, TypeRange{tokens, tokens}, logits, labels, ignored);
    auto all = train::SequenceSumsOp::create(builder, loc, TypeRange{sums, sums}, each.getLogProbs(), labels,
                                             builder.getI64IntegerAttr(answers), ignored);
    (reference ? values.reference : values.policy) = all.getSums();
    counts = all.getCounts();
  }
  auto kind =
      preference.kind == PreferenceConfig::Kind::Hinge ? train::PreferenceKind::Hinge : train::PreferenceKind::Sigmoid;
  auto loss = train::PreferenceLossOp::create(
      builder, NameLoc::get(builder.getStringAttr("loss")),
      TypeRange{RankedTensorType::get({}, f32), RankedTensorType::get({}, builder.getI32Type())},
      train::PreferenceKindAttr::get(builder.getContext(), kind), values.policy, values.reference, counts, invPairs,
      builder.getF64FloatAttr(preference.beta), builder.getF64FloatAttr(preference.labelSmoothing));
  values.loss = loss.getLoss();
  values.pairs = loss.getPairs();
  return values;
}

/// What an entry that learns from a teacher gives: the loss, its two parts, and the number of valid tokens.
struct DistillationValues {
  Value loss, classLoss, kdLoss, count;
};

/// The teacher first: all that is kept of it are its last hidden states, when the student's activations are made. Both
/// heads stand at the loss, so that they are made by chunks of the same rows.
DistillationValues buildDistillation(EntryBuilder &entry, LlamaBuilder &model, LlamaBuilder &teacher,
                                     const Recipe &recipe, Value invTokens) {
  OpBuilder &builder = entry.builder;
  const int64_t batch = recipe.rowsOfBatch(), rows = batch * static_cast<int64_t>(entry.entry.getSequence());
  model.buildInside(entry.entry);
  teacher.buildInside(entry.entry);
  Value theirs = teacher.buildHidden(builder, entry.modelInputs(), batch);
  Value hidden = model.buildHidden(builder, entry.modelInputs(), batch);
  Value teacherLogits = teacher.buildHead(builder, theirs), logits = model.buildHead(builder, hidden);
  auto f32 = builder.getF32Type();
  auto scalar = RankedTensorType::get({}, f32), numbers = RankedTensorType::get({rows}, f32);
  auto loss = train::DistillationLossOp::create(
      builder, NameLoc::get(builder.getStringAttr("loss"), logits.getLoc()),
      TypeRange{scalar, scalar, scalar, RankedTensorType::get({}, builder.getI32Type()), numbers, numbers}, logits,
      teacherLogits, entry.input("labels"), invTokens, builder.getF64FloatAttr(recipe.distillation->ratio),
      builder.getI64IntegerAttr(recipe.ignoreIndex));
  return {loss.getLoss(), loss.getClassLoss(), loss.getKdLoss(), loss.getCount()};
}

Attribute optimizerAttr(OpBuilder &builder, const OptimizerConfig &optimizer) {
  auto f64 = [&](double value) { return builder.getF64FloatAttr(value); };
  if (optimizer.kind == OptimizerConfig::Kind::SGD && optimizer.momentum == 0)
    return train::SGDAttr::get(builder.getContext(), f64(optimizer.weightDecay));
  if (optimizer.kind == OptimizerConfig::Kind::SGD)
    return train::SGDMomentumAttr::get(builder.getContext(), f64(optimizer.weightDecay), f64(optimizer.momentum),
                                       f64(optimizer.dampening), optimizer.nesterov);
  return train::AdamWAttr::get(builder.getContext(), f64(optimizer.weightDecay), f64(optimizer.beta1),
                               f64(optimizer.beta2), f64(optimizer.eps));
}

} // namespace

OwningOpRef<ModuleOp> ftc::importRecipe(MLIRContext &context, const Recipe &recipe, const ImportOptions &options) {
  context.loadDialect<train::TrainDialect>();
  Location loc = UnknownLoc::get(&context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  OpBuilder builder(&context);
  (*module)->setAttr("train.optimizer", optimizerAttr(builder, recipe.optimizer));
  if (recipe.optimizer.stateType)
    (*module)->setAttr(train::TrainDialect::stateTypeAttrName,
                       TypeAttr::get(*recipe.optimizer.stateType == DType::BF16 ? Type(builder.getBF16Type())
                                                                                : Type(builder.getF32Type())));
  if (recipe.optimizer.quantizedStates)
    (*module)->setAttr(
        train::TrainDialect::quantizedStatesAttrName,
        train::StateFormatAttr::get(&context, static_cast<train::StateFormat>(*recipe.optimizer.quantizedStates)));
  if (recipe.optimizer.masterWeights)
    (*module)->setAttr(train::TrainDialect::masterWeightsAttrName, builder.getUnitAttr());
  if (recipe.optimizer.stochasticRounding)
    (*module)->setAttr(train::TrainDialect::stochasticRoundingAttrName, builder.getUnitAttr());
  if (recipe.clipGradNorm)
    (*module)->setAttr("train.clip_grad_norm", builder.getF64FloatAttr(*recipe.clipGradNorm));
  bool held = recipe.updates == UpdatePlacement::End;
  (*module)->setAttr(
      train::TrainDialect::updatesAttrName,
      train::UpdatesAttr::get(&context, held ? train::UpdatePlacement::End : train::UpdatePlacement::Backward));
  if (recipe.checkpointing.mode != CheckpointingConfig::Mode::None) {
    using Mode = CheckpointingConfig::Mode;
    train::RematMode mode = recipe.checkpointing.mode == Mode::Full   ? train::RematMode::Full
                            : recipe.checkpointing.mode == Mode::Auto ? train::RematMode::Budget
                                                                      : train::RematMode::Selective;
    (*module)->setAttr(train::TrainDialect::rematAttrName,
                       train::RematAttr::get(&context, mode, recipe.checkpointing.every));
  }
  if (recipe.optimizer.paged)
    (*module)->setAttr(train::TrainDialect::pageStatesAttrName, builder.getUnitAttr());
  if (recipe.offloadActivations)
    (*module)->setAttr(train::TrainDialect::offloadAttrName, builder.getUnitAttr());
  if (recipe.chunksLoss())
    (*module)->setAttr("train.loss_chunks", builder.getI64IntegerAttr(recipe.lossChunks));

  bool drops = recipe.lora && recipe.lora->dropout > 0;
  if (recipe.lora) {
    SmallVector<StringRef> targets(recipe.lora->targets.begin(), recipe.lora->targets.end());
    (*module)->setAttr("train.adapters",
                       train::LoraAttr::get(&context, recipe.lora->rank, builder.getF64FloatAttr(recipe.lora->scale()),
                                            builder.getStrArrayAttr(targets),
                                            drops ? builder.getF64FloatAttr(recipe.lora->dropout) : FloatAttr(),
                                            recipe.lora->dora));
  }

  auto quantize = [&](Nf4Quantizer how, bool ofReference) {
    auto quantizer = how == Nf4Quantizer::Torchao ? train::Quantizer::Torchao : train::Quantizer::Bitsandbytes;
    (*module)->setAttr("train.quantize",
                       train::QuantizeAttr::get(&context, quantizer,
                                                builder.getStrArrayAttr({"q_proj", "k_proj", "v_proj", "o_proj",
                                                                         "gate_proj", "up_proj", "down_proj"}),
                                                ofReference));
  };
  if (recipe.quantizedBase)
    quantize(*recipe.quantizedBase, /*ofReference=*/false);
  else if (recipe.reference && recipe.reference->quantized)
    quantize(*recipe.reference->quantized, /*ofReference=*/true);

  const bool delays = recipe.quantizer && recipe.quantizer->afterSteps > 0;
  if (recipe.quantizer) {
    const bool weightsOnly = recipe.quantizer->kind == QuantizerConfig::Kind::Int4WeightOnly;
    (*module)->setAttr(train::TrainDialect::fakeQuantizeAttrName,
                       train::QatAttr::get(&context,
                                           weightsOnly ? train::FakeQuantization::Int4Asymmetric
                                                       : train::FakeQuantization::Int4Symmetric,
                                           recipe.quantizer->groupSize, !weightsOnly, recipe.quantizer->afterSteps));
  }

  LlamaBuilder model(*module, recipe);
  model.declareVariables();
  std::optional<LlamaBuilder> reference, teacher;
  if (recipe.reference) {
    reference.emplace(LlamaBuilder::ofReference(*module, recipe));
    reference->declareVariables();
  }
  LlamaBuilder *second = reference ? &*reference : nullptr;
  if (recipe.distillation) {
    teacher.emplace(LlamaBuilder::ofTeacher(*module, recipe));
    teacher->declareVariables();
  }
  int64_t batch = recipe.rowsOfBatch();
  // A step of several micro-batches: all but the last run `micro`, the last runs `step`. Both have the same graph up to
  // the gradients; train-accumulate-gradients makes the difference.
  bool accumulates = recipe.gradientAccumulationSteps > 1;
  SmallVector<StringRef> inputs = {"tokens", "labels", "positions", "segment_starts", "inv_tokens"};
  if (drops)
    inputs.append({"seed", "step", "micro"});
  else if (accumulates)
    inputs.push_back("micro");
  if (delays && !drops)
    inputs.push_back("step");
  auto training = [&](const Twine &name, train::EntryKind kind, ArrayRef<StringRef> inputs, int64_t sequence) {
    if (recipe.preference) {
      EntryBuilder entry(*module, name.str(), kind, batch, sequence, inputs,
                         {"loss", "log_probs", "reference_log_probs"});
      auto [loss, pairs, policy, before] = buildPreference(entry, model, second, recipe, entry.input("inv_tokens"));
      train::LossOp::create(entry.builder, loss.getLoc(), loss);
      entry.finish({loss, policy, before});
      return;
    }
    if (teacher) {
      EntryBuilder entry(*module, name.str(), kind, batch, sequence, inputs, {"loss", "class_loss", "kd_loss"});
      auto [loss, classLoss, kdLoss, count] =
          buildDistillation(entry, model, *teacher, recipe, entry.input("inv_tokens"));
      train::LossOp::create(entry.builder, loss.getLoc(), loss);
      entry.finish({loss, classLoss, kdLoss});
      return;
    }
    EntryBuilder entry(*module, name.str(), kind, batch, sequence, inputs, {"loss"});
    model.buildInside(entry.entry);
    Value hidden = model.buildHidden(entry.builder, entry.modelInputs(), batch);
    Value logits = model.buildHead(entry.builder, hidden);
    Value loss = buildLoss(entry.builder, recipe, logits, entry.input("labels"), entry.input("inv_tokens")).first;
    train::LossOp::create(entry.builder, loss.getLoc(), loss);
    entry.finish(loss);
  };
  SmallVector<StringRef> stepInputs = inputs;
  stepInputs.push_back("learning_rate");
  if (!drops && !delays)
    stepInputs.push_back("step");
  if (recipe.optimizer.stochasticRounding && !drops)
    stepInputs.push_back("seed");
  auto evaluation = [&](const Twine &name, int64_t sequence) {
    if (recipe.preference) {
      EntryBuilder evaluate(*module, name.str(), train::EntryKind::Evaluate, batch, sequence,
                            {"tokens", "labels", "positions", "segment_starts"},
                            {"loss_sum", "pairs", "log_probs", "reference_log_probs"});
      auto scalar = RankedTensorType::get({}, builder.getF32Type());
      Value one = train::ConstantOp::create(evaluate.builder, loc, DenseElementsAttr::get(scalar, 1.0f));
      auto [loss, pairs, policy, before] = buildPreference(evaluate, model, second, recipe, one);
      evaluate.finish({loss, pairs, policy, before});
      return;
    }
    if (teacher) {
      EntryBuilder evaluate(*module, name.str(), train::EntryKind::Evaluate, batch, sequence,
                            {"tokens", "labels", "positions", "segment_starts"},
                            {"loss_sum", "class_loss_sum", "kd_loss_sum", "valid_tokens"});
      auto scalar = RankedTensorType::get({}, builder.getF32Type());
      Value one = train::ConstantOp::create(evaluate.builder, loc, DenseElementsAttr::get(scalar, 1.0f));
      auto [loss, classLoss, kdLoss, count] = buildDistillation(evaluate, model, *teacher, recipe, one);
      evaluate.finish({loss, classLoss, kdLoss, count});
      return;
    }
    EntryBuilder evaluate(*module, name.str(), train::EntryKind::Evaluate, batch, sequence,
                          {"tokens", "labels", "positions", "segment_starts"}, {"loss_sum", "valid_tokens"});
    model.buildInside(evaluate.entry);
    Value hidden = model.buildHidden(evaluate.builder, evaluate.modelInputs(), batch);
    Value logits = model.buildHead(evaluate.builder, hidden);
    auto scalar = RankedTensorType::get({}, builder.getF32Type());
    Value one = train::ConstantOp::create(evaluate.builder, logits.getLoc(), DenseElementsAttr::get(scalar, 1.0f));
    auto [loss, count] = buildLoss(evaluate.builder, recipe, logits, evaluate.input("labels"), one);
    evaluate.finish({loss, count});
  };
  // The longest has the plain names and comes first among its kind.
  SmallVector<int64_t> lengths = {recipe.seqLen};
  for (int64_t length : llvm::reverse(recipe.sequenceLengths))
    if (length < recipe.seqLen && options.shorterRows)
      lengths.push_back(length);
  for (int64_t sequence : lengths) {
    std::string suffix = sequence == recipe.seqLen ? "" : "_" + std::to_string(sequence);
    if (accumulates)
      training("micro" + suffix, train::EntryKind::Micro, inputs, sequence);
    training("step" + suffix, train::EntryKind::Step, stepInputs, sequence);
    if (options.evaluate)
      evaluation("evaluate" + suffix, sequence);
  }
  if (options.logits) {
    // One row of the batch; the head multiplies only the row that is asked for.
    EntryBuilder logits(*module, "logits", train::EntryKind::Logits, 1, recipe.seqLen,
                        {"tokens", "positions", "segment_starts", "position"}, {"logits"});
    model.buildInside(logits.entry);
    Value hidden = model.buildHidden(logits.builder, logits.modelInputs(), 1);
    auto row = RankedTensorType::get({1, recipe.model.embedDim}, model.getElementType());
    Value last = train::GatherRowOp::create(logits.builder, hidden.getLoc(), row, hidden, logits.input("position"));
    Value result = model.buildHead(logits.builder, last);
    auto f32 = RankedTensorType::get({1, recipe.model.vocabSize}, builder.getF32Type());
    if (result.getType() != f32)
      result = train::CastOp::create(logits.builder, result.getLoc(), f32, result);
    logits.finish(result);
  }
  return module;
}
