//===- AttentionPlan.cpp - A kernel of cuDNN's for an attention ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Forward, cuDNN's heuristic proposes plans, and the first that fits is taken. A gradient's bits depend on the order in
// which blocks add to the query's gradient, unless a plan fixes it. cuDNN does not say of a plan whether it does: its
// note of that is about the engine. The plans that do are known from NVIDIA's frontend (1.32, node
// CompositeSDPABackwardNode): on Hopper engine 6 with four stages, where blocks wait for their turn; on Blackwell
// engine 5 (17 from sm_104 on) with two. Another deterministic plan, for older versions on Hopper, keeps a number for
// each query and key in memory: a square of the sequence, which no plan of ours has room for.
//
// The workspace: what the kernels want, then the graph's own parts, each at a multiple of 256 bytes.
//
//===----------------------------------------------------------------------===//

#include "AttentionPlan.h"

#include <charconv>
#include <limits>

namespace ftc::cuda {
namespace {

constexpr size_t oldest = 91900;          ///< older versions were not looked at
constexpr size_t orderedOnHopper = 92500; ///< the first whose gradient has a fixed order there, without a square
constexpr size_t knobsBySize = 92300;     ///< from here on, tiles have knobs of their own
constexpr uint64_t partAlignment = 256;

uint64_t aligned(uint64_t bytes) { return (bytes + partAlignment - 1) / partAlignment * partAlignment; }

} // namespace

DnnOwner describedDevice(const DnnFunctions &functions, const std::string &json) {
  DnnOwner device(functions, DnnKind::Device);
  device.set(DnnName::DeviceJson, DnnType::Char, static_cast<int64_t>(json.size()), json.data()).finalize();
  return device;
}

std::string whyNoPlan(const DnnDevice &device, bool gradient) {
  const size_t version = device.version();
  const auto text = [](size_t number) { return fmt::format("{}.{}", number / 10000, number / 100 % 100); };
  if (version < oldest)
    return fmt::format("cuDNN {} is older than {}", text(version), text(oldest));
  if (device.architecture < 80)
    return fmt::format("sm_{} is not looked at", device.architecture);
  if (!gradient)
    return "";
  if (device.architecture < 90)
    return fmt::format("cuDNN has no gradient in a fixed order for documents on sm_{}", device.architecture);
  if (device.architecture < 100 && version < orderedOnHopper)
    return fmt::format(
        "cuDNN {} has no gradient in a fixed order on Hopper that needs less than a number for each query "
        "and key; {} has",
        text(version), text(orderedOnHopper));
  if (device.architecture >= 120)
    return fmt::format("cuDNN has no gradient in a fixed order for documents on sm_{}", device.architecture);
  return "";
}

AttentionPlan::AttentionPlan(const DnnDevice &device, const ftrt_attention &shape, int64_t documents,
                             const std::string &kept)
    : device(device), shape(shape),
      ops(device.functions, this->shape, documents, /*sumsQueries=*/device.architecture < 100, device.handle) {
  if (std::string why = whyNoPlan(device, shape.gradient); !why.empty())
    throw DnnError(why);
  std::vector<Choice> choices;
  if (kept.empty())
    choices = shape.gradient ? std::vector<Choice>{stableGradient()} : proposals();
  else if (std::optional<Choice> choice = choiceOf(kept))
    choices.push_back(*choice);
  // A heuristic that finds nothing reports success; why is in the last error (a library that is missing, say).
  std::string refused = choices.empty() ? "cuDNN proposes no plan" + lastDnnError(device.functions) : "";
  for (const Choice &choice : choices)
    try {
      take(choice);
      return;
    } catch (const DnnError &error) {
      refused += fmt::format("{}{}: {}", refused.empty() ? "" : "; ", nameOf(choice), error.what());
    }
  throw DnnError(refused);
}

std::string AttentionPlan::nameOf(const Choice &choice) {
  std::string name = fmt::format("eng{}", choice.engine);
  for (const Knob &knob : choice.knobs)
    name += fmt::format("_k{}={}", knob.kind, knob.value);
  return name;
}

std::optional<AttentionPlan::Choice> AttentionPlan::choiceOf(const std::string &name) {
  const char *at = name.data(), *end = at + name.size();
  const auto literal = [&](std::string_view text) {
    const bool found = std::string_view(at, static_cast<size_t>(end - at)).starts_with(text);
    at += found ? text.size() : 0;
    return found;
  };
  const auto number = [&](auto &value) {
    const auto [rest, error] = std::from_chars(at, end, value);
    at = rest;
    return error == std::errc();
  };
  Choice choice{};
  if (!literal("eng") || !number(choice.engine))
    return std::nullopt;
  while (at != end) {
    Knob knob{};
    if (!literal("_k") || !number(knob.kind) || !literal("=") || !number(knob.value))
      return std::nullopt;
    choice.knobs.push_back(knob);
  }
  return choice;
}

std::vector<AttentionPlan::Choice> AttentionPlan::proposals() const {
  DnnOwner heuristic(device.functions, DnnKind::Heuristic);
  heuristic.set(DnnName::HeuristicGraph, ops.graph())
      .set(DnnName::HeuristicMode, DnnType::HeuristicMode, DnnHeuristicA);
  if (device.described)
    heuristic.set(DnnName::HeuristicDevice, *device.described);
  heuristic.finalize();
  std::vector<Choice> choices;
  for (const DnnOwner &config : heuristic.readAll(DnnName::HeuristicResults, DnnKind::EngineConfig)) {
    DnnOwner engine(device.functions, DnnKind::Engine);
    DnnObject into = engine.get();
    config.read(DnnName::ConfigEngine, DnnType::Descriptor, 1, &into);
    Choice &choice = choices.emplace_back(Choice{engine.readNumber(DnnName::EngineIndex), {}});
    for (const DnnOwner &knob : config.readAll(DnnName::ConfigKnobs, DnnKind::Knob)) {
      int kind = 0;
      knob.read(DnnName::KnobType, DnnType::KnobType, 1, &kind);
      choice.knobs.push_back({kind, knob.readNumber(DnnName::KnobValue)});
    }
  }
  return choices;
}

AttentionPlan::Choice AttentionPlan::stableGradient() const {
  const bool newer = device.version() >= knobsBySize;
  if (device.architecture < 100) // always newer: whyNoPlan
    return {6,
            {{DnnKnobTileM, 2},
             {DnnKnobTileN, 1},
             {DnnKnobKernel, 2},
             {DnnKnobStreamK, 0},
             {DnnKnobCluster, 0},
             {DnnKnobStages, 4}}};
  const int64_t engine = device.architecture > 103 ? 17 : 5;
  if (!newer)
    return {engine, {{DnnKnobKernel, 31}, {DnnKnobStages, 2}}};
  return {engine,
          {{DnnKnobTileM, 3},
           {DnnKnobTileN, 2},
           {DnnKnobKernel, 2},
           {DnnKnobStreamK, 0},
           {DnnKnobCluster, 0},
           {DnnKnobStages, 2}}};
}

void AttentionPlan::take(const Choice &choice) {
  const DnnFunctions &f = device.functions;
  DnnOwner engine(f, DnnKind::Engine);
  engine.set(DnnName::EngineGraph, ops.graph()).set(DnnName::EngineIndex, choice.engine);
  if (device.described)
    engine.set(DnnName::EngineDevice, *device.described);
  engine.finalize();
  std::vector<DnnOwner> knobs;
  std::vector<DnnObject> objects;
  for (const Knob &knob : choice.knobs) {
    DnnOwner &made = knobs.emplace_back(f, DnnKind::Knob);
    made.set(DnnName::KnobType, DnnType::KnobType, knob.kind).set(DnnName::KnobValue, knob.value).finalize();
    objects.push_back(made.get());
  }
  DnnOwner config(f, DnnKind::EngineConfig);
  config.set(DnnName::ConfigEngine, engine);
  if (!objects.empty())
    config.set(DnnName::ConfigKnobs, objects);
  config.finalize();
  DnnOwner made(f, DnnKind::Plan);
  if (device.handle)
    made.set(DnnName::PlanHandle, DnnType::Handle, 1, &device.handle);
  made.set(DnnName::PlanConfig, config).finalize();
  planBytes = aligned(static_cast<uint64_t>(made.readNumber(DnnName::PlanWorkspace)));
  bytes = planBytes;
  for (const AttentionGraph::Part &part : ops.parts())
    bytes += aligned(part.bytes);
  if (bytes > shape.workspace_bytes)
    throw DnnError(fmt::format("it needs {} bytes of workspace, and the plan has {}", bytes, shape.workspace_bytes));
  plan.emplace(std::move(made));
  text = nameOf(choice);
}

void AttentionPlan::run(const uint64_t *addresses, const DocumentLists &lists) const {
  float scale = shape.scale, lowest = -std::numeric_limits<float>::infinity(), one = 1;
  std::vector<int64_t> ids;
  std::vector<void *> pointers;
  const auto give = [&](DnnTensor tensor, auto *pointer) {
    ids.push_back(static_cast<int64_t>(tensor));
    pointers.push_back(const_cast<void *>(static_cast<const void *>(pointer)));
  };
  const auto at = [](Address address) { return reinterpret_cast<void *>(address); };
  for (DnnTensor tensor : {DnnTensor::Query, DnnTensor::Key, DnnTensor::Value, DnnTensor::Output, DnnTensor::Lse})
    give(tensor, at(addresses[static_cast<size_t>(tensor) - 1]));
  give(DnnTensor::QueryOffsets, at(lists.queryOffsets));
  give(DnnTensor::KeyOffsets, at(lists.keyOffsets));
  give(DnnTensor::LseOffsets, at(lists.lseOffsets));
  give(DnnTensor::Lengths, at(lists.lengths));
  give(DnnTensor::Scale, &scale);
  give(DnnTensor::BehindEnd, &lowest);
  give(DnnTensor::BehindDiagonal, &lowest);
  if (shape.gradient) {
    for (DnnTensor tensor :
         {DnnTensor::OutputGradient, DnnTensor::QueryGradient, DnnTensor::KeyGradient, DnnTensor::ValueGradient})
      give(tensor, at(addresses[static_cast<size_t>(tensor) - 1]));
    give(DnnTensor::One, &one);
  }
  const Address workspace = addresses[shape.gradient ? 10 : 6];
  Address place = workspace + planBytes;
  for (const AttentionGraph::Part &part : ops.parts()) {
    give(part.tensor, at(place));
    place += aligned(part.bytes);
  }
  void *ofPlan = at(workspace);
  DnnOwner pack(device.functions, DnnKind::Pack);
  pack.set(DnnName::PackPointers, DnnType::Pointer, static_cast<int64_t>(pointers.size()), pointers.data())
      .set(DnnName::PackIds, DnnType::Int64, static_cast<int64_t>(ids.size()), ids.data())
      .set(DnnName::PackWorkspace, DnnType::Pointer, 1, &ofPlan)
      .finalize();
  if (DnnStatus status = device.functions.execute(device.handle, plan->get(), pack.get()); status != 0)
    throw DnnError(device.functions.getErrorString(status));
}

} // namespace ftc::cuda
