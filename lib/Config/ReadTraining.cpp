//===- ReadTraining.cpp - How a recipe trains ----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Read.h"

#include "Components.h"

#include <algorithm>
#include <cmath>

namespace ftc::config {

static SchedulerConfig::Kind schedulerKind(const std::string &name) {
  using Kind = SchedulerConfig::Kind;
  static const std::map<std::string, Kind> kinds = {
      {"get_constant_schedule", Kind::Constant},
      {"get_constant_schedule_with_warmup", Kind::ConstantWithWarmup},
      {"get_linear_schedule_with_warmup", Kind::LinearWithWarmup},
      {"get_cosine_with_hard_restarts_schedule_with_warmup", Kind::HardRestarts},
      {"get_polynomial_decay_schedule_with_warmup", Kind::Polynomial},
      {"get_wsd_schedule", Kind::WarmupStableDecay}};
  const auto found = kinds.find(name);
  return found == kinds.end() ? Kind::CosineWithWarmup : found->second;
}

/// False for a name that is none.
static bool curveOf(const std::string &name, SchedulerConfig::Curve &curve) {
  using Curve = SchedulerConfig::Curve;
  for (const auto &[text, each] : {std::pair("linear", Curve::Linear), std::pair("cosine", Curve::Cosine),
                                   std::pair("1-sqrt", Curve::OneMinusRoot)})
    if (name == text) {
      curve = each;
      return true;
    }
  return false;
}

void Reader::optimizer() {
  OptimizerConfig &o = recipe.optimizer;
  o.component = components.at("optimizer");
  bool sgd = o.component == "torch.optim.SGD";
  o.kind = sgd ? OptimizerConfig::Kind::SGD : OptimizerConfig::Kind::AdamW;
  o.weightDecay = sgd ? 0 : 1e-2;
  if (lastWord(o.component).ends_with("8bit"))
    o.quantizedStates = o.component.starts_with("torchao.") ? StateFormat::Torchao8 : StateFormat::Bitsandbytes8;
  if (lastWord(o.component).ends_with("4bit"))
    o.quantizedStates = StateFormat::Torchao4;
  if (o.component.starts_with("bitsandbytes."))
    o.stateType = DType::F32; // the same update as PyTorch's, with moments that are fp32 whatever the parameters are
  o.paged = lastWord(o.component).starts_with("Paged");
  auto notNegative = [](double x) { return x >= 0 && isSinglePrecision(x); };
  number("optimizer.lr", o.lr, "at least 0 and finite", notNegative);
  number("optimizer.weight_decay", o.weightDecay, "at least 0 and finite", notNegative);
  number("optimizer.eps", o.eps, "at least 0 and finite", notNegative);
  if (const Node *node = value("optimizer.betas")) {
    o.beta1 = asFloat(node->items[0]).value_or(0);
    o.beta2 = asFloat(node->items[1]).value_or(0);
    if (!(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1))
      messages.error(node->place, "'optimizer.betas' must both be at least 0 and below 1");
  }
  momentum();
  updatePrecision();
}

void Reader::momentum() {
  OptimizerConfig &o = recipe.optimizer;
  auto isShare = [](double x) { return x >= 0 && x <= 1; };
  number("optimizer.momentum", o.momentum, "at least 0 and at most 1", isShare);
  number("optimizer.dampening", o.dampening, "at least 0 and at most 1", isShare);
  boolean("optimizer.nesterov", o.nesterov);
  for (const char *key : {"optimizer.dampening", "optimizer.nesterov"})
    if (o.momentum == 0 && (std::string(key) == "optimizer.nesterov" ? o.nesterov : o.dampening != 0))
      messages.error(placeOf(key), named(key) + " has a meaning only with " + named("optimizer.momentum") +
                                       " above 0; set optimizer.momentum=0.9, or remove it (~" + key + ")");
  if (o.nesterov && o.dampening != 0)
    messages.error(placeOf("optimizer.nesterov"), named("optimizer.nesterov") + " does not go with " +
                                                      named("optimizer.dampening") +
                                                      ", as in PyTorch; set optimizer.dampening=0");
}

void Reader::updatePrecision() {
  OptimizerConfig &o = recipe.optimizer;
  const std::string state = "optimizer_state_dtype", master = "master_weights", rounding = "stochastic_rounding";
  if (const Node *node = value(state)) {
    if (node->text == "fp32" || node->text == "bf16")
      o.stateType = node->text == "bf16" ? DType::BF16 : DType::F32;
    else
      messages.error(node->place, "'" + state + "' is '" + node->text + "'; it must be fp32 or bf16" +
                                      didYouMean(node->text, {"fp32", "bf16"}));
    if (o.kind == OptimizerConfig::Kind::SGD && o.momentum == 0)
      messages.error(placeOf(state), named(state) + " has a meaning only with states, and " +
                                         named("optimizer._component_") + ", torch.optim.SGD, has none without " +
                                         named("optimizer.momentum") + "; remove it (~" + state + ")");
  }
  if (const Node *node = value(master)) {
    o.masterWeights = node->text == "fp32";
    if (!o.masterWeights)
      messages.error(node->place, "'" + master + "' is '" + node->text + "'; it must be fp32, or null for none");
  }
  boolean(rounding, o.stochasticRounding);
  for (const std::string &key : {master, rounding})
    if ((key == master ? o.masterWeights : o.stochasticRounding) && recipe.dtype != DType::BF16)
      messages.error(placeOf(key), named(key) + " has nothing to do where " + named("dtype") +
                                       " is fp32: parameters are not rounded; set dtype=bf16, or remove it (~" + key +
                                       ")");
  if (o.masterWeights && o.stochasticRounding)
    messages.error(placeOf(rounding), named(rounding) + " does not go with " + named(master) +
                                          ": the parameter is its master, rounded to nearest; remove one of them (~" +
                                          rounding + " or ~" + master + ")");
}

void Reader::scheduler() {
  using Kind = SchedulerConfig::Kind;
  if (!given("lr_scheduler"))
    return;
  const std::string component = components.at("lr_scheduler"), name = lastWord(component);
  SchedulerConfig &s = recipe.scheduler;
  s.kind = schedulerKind(name);
  const auto required = [&](const std::string &key) {
    if (!takesKey("lr_scheduler." + key, component) || given("lr_scheduler." + key))
      return;
    messages.error(placeOf("lr_scheduler"), "'lr_scheduler' lacks " + key + "; set lr_scheduler." + key +
                                                "=N, or remove the node for a constant rate (~lr_scheduler)");
  };
  required("num_warmup_steps");
  required("num_decay_steps");
  integer("lr_scheduler.num_warmup_steps", s.numWarmupSteps, 0, maxCount);
  integer("lr_scheduler.num_decay_steps", s.numDecaySteps, 0, maxCount);
  if (int64_t steps = 0; integer("lr_scheduler.num_stable_steps", steps, 0, maxCount))
    s.numStableSteps = steps;
  auto notNegative = [](double x) { return x >= 0 && x <= 1e6; };
  s.numCycles = s.kind == Kind::HardRestarts ? 1 : 0.5;
  number("lr_scheduler.num_cycles", s.numCycles, "at least 0 and finite", notNegative);
  auto isShare = [](double x) { return x >= 0 && x <= 1; };
  number("lr_scheduler.min_lr_rate", s.minLrRate, "at least 0 and at most 1", isShare);
  number("lr_scheduler.min_lr_ratio", s.minLrRate, "at least 0 and at most 1", isShare);
  number("lr_scheduler.power", s.power, "at least 0 and finite", notNegative);
  const std::string low = "lr_scheduler.min_lr", end = "lr_scheduler.lr_end";
  if (value(low)) {
    s.minLr = 0;
    number(low, *s.minLr, "at least 0 and finite", notNegative);
  }
  if (name == "get_cosine_with_min_lr_schedule_with_warmup" && given(low) == given("lr_scheduler.min_lr_rate"))
    messages.error(placeOf(given(low) ? low : "lr_scheduler"),
                   std::string("'lr_scheduler' ") + (given(low) ? "has both min_lr and min_lr_rate; remove one of them"
                                                                : "lacks min_lr or min_lr_rate; set one of them"));
  number(end, s.lrEnd, "at least 0 and finite", notNegative);
  if (s.kind == Kind::Polynomial && s.lrEnd >= recipe.optimizer.lr)
    messages.error(placeOf(end), named(end) + " is " + floatText(s.lrEnd) + ", which is not below " +
                                     named("optimizer.lr") + ", " + floatText(recipe.optimizer.lr) +
                                     ", where the decay begins; lower it");
  for (const auto &[key, curve] :
       {std::pair("lr_scheduler.warmup_type", &s.warmupCurve), std::pair("lr_scheduler.decay_type", &s.decayCurve)}) {
    const Node *node = value(key);
    if (node && !curveOf(node->text, *curve))
      messages.error(node->place, "'" + std::string(key) + "' is '" + node->text + "'; it must be linear, cosine or " +
                                      "1-sqrt" + didYouMean(node->text, {"linear", "cosine", "1-sqrt"}));
  }
}

void Reader::metricLogger() {
  const std::string path = "metric_logger", folder = path + ".log_dir", organize = path + ".organize_logs";
  const Node *node = value(path);
  if (!node)
    return;
  const Node *component = node->isMap() ? node->find("_component_") : nullptr;
  const std::string logger = component ? lastWord(component->text) : "";
  if (logger == "DiskLogger" || logger == "StdoutLogger")
    return; // metrics.jsonl, and what is printed, are there in any case
  if (logger != "TensorBoardLogger") {
    const std::string near = didYouMean(logger, {"TensorBoardLogger"});
    messages.remark(placeOf(path), "'" + path +
                                       "' is without effect: metrics go to metrics.jsonl in the output folder, and "
                                       "to TensorBoard's events with metric_logger=torchtune.training.metric_logging."
                                       "TensorBoardLogger metric_logger.log_dir=DIR" +
                                       (!near.empty() ? near
                                        : logger == "WandBLogger"
                                            ? ", which 'wandb sync DIR' uploads; docs/running.md has a way for while "
                                              "it runs"
                                            : "; other loggers are not built"));
    return;
  }
  // Arguments of another logger, over which this one was named.
  const std::vector<std::string> others = {
      "project",  "entity",         "group",  "name",     "id",        "tags",       "notes",           "mode",
      "job_type", "resume",         "dir",    "config",   "save_code", "api_key",    "workspace",       "prefix",
      "log_code", "experiment_key", "online", "filename", "run_name",  "output_fmt", "experiment_name", "tracking_uri"};
  std::string unread;
  for (const Entry &entry : node->entries)
    if (std::find(others.begin(), others.end(), entry.key) != others.end())
      unread += (unread.empty() ? "'" : ", '") + path + "." + entry.key + "'";
    else if (const std::vector<std::string> keys = {"_component_", "log_dir", "organize_logs"};
             std::find(keys.begin(), keys.end(), entry.key) == keys.end()) {
      std::string near = didYouMean(entry.key, keys);
      if (!near.empty())
        near.insert(near.find('\'') + 1, path + ".");
      messages.error(entry.place, "unknown key '" + path + "." + entry.key + "'" +
                                      (near.empty() ? "; valid keys here: log_dir, organize_logs" : near));
    }
  if (!unread.empty())
    messages.remark(placeOf(path), unread + ": without effect, TensorBoardLogger has log_dir and organize_logs alone");
  TensorBoardConfig board;
  const Node *where = node->find("log_dir"), *organized = node->find("organize_logs");
  if (!where || !where->isScalar() || where->text.empty())
    messages.error(where ? where->place : placeOf(path),
                   "'" + folder + "' must name the folder of the events, as in " + folder + "=out/logs");
  else
    board.logDir = where->text;
  if (organized && !organized->isNull()) {
    if (!asBool(*organized))
      messages.error(organized->place, "'" + organize + "' needs True or False, not " + shown(*organized));
    board.organizeLogs = asBool(*organized).value_or(true);
  }
  recipe.tensorBoard = board;
}

void Reader::checkpointing() {
  using Mode = CheckpointingConfig::Mode;
  CheckpointingConfig &c = recipe.checkpointing;
  std::string key = given("activation_checkpointing.mode")    ? "activation_checkpointing.mode"
                    : given("activation_checkpointing.every") ? "activation_checkpointing.every"
                                                              : "";
  bool enabled = !key.empty();
  boolean("enable_activation_checkpointing", enabled);
  if (!enabled && !key.empty())
    messages.error(placeOf(key), named(key) + " needs " + named("enable_activation_checkpointing") +
                                     " to be True or absent; set enable_activation_checkpointing=True");
  c.mode = enabled ? Mode::Full : Mode::None;
  if (const Node *node = value("activation_checkpointing.mode")) {
    if (node->text != "full" && node->text != "selective" && node->text != "auto")
      messages.error(node->place, "'activation_checkpointing.mode' is '" + node->text +
                                      "'; it must be full, selective or auto" +
                                      didYouMean(node->text, {"full", "selective", "auto"}));
    else if (enabled && node->text != "full")
      c.mode = node->text == "auto" ? Mode::Auto : Mode::Selective;
    if (c.mode == Mode::Auto && !given("memory_budget"))
      recipe.lacksBudget = Diagnostic{
          Severity::Error, node->place.file, node->place.line, node->place.column,
          named("activation_checkpointing.mode") +
              ", auto, computes again what a step needs to fit into 'memory_budget', and there is none; set "
              "memory_budget=12GiB or so, compile for a GPU, whose memory then is the budget (--target cuda), or "
              "choose full or selective"};
  }
  boolean("enable_activation_offloading", recipe.offloadActivations);
  integer("activation_checkpointing.every", c.every, 1, std::max<int64_t>(recipe.model.numLayers, 1));
}

} // namespace ftc::config
