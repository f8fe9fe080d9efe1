//===- Info.cpp - A manifest as text for people ----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Trainer/Trainer.h"

#include "ftc/Runtime/CPU/CpuFeatures.h"
#include "ftc/Runtime/LoadedStep.h"
#include "ftc/Support/Reference.h"
#include "ftc/Support/Units.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <iterator>

namespace ftc {
namespace {

std::string orNone(const flatbuffers::String *text) { return text ? text->str() : "-"; }

const char *roleName(manifest::Role role) {
  switch (role) {
  case manifest::Role::Parameter:
    return "parameter";
  case manifest::Role::State:
    return "state";
  case manifest::Role::Constant:
    return "constant";
  case manifest::Role::Input:
    return "input";
  case manifest::Role::Output:
    return "output";
  case manifest::Role::Quantized:
    return "quantized";
  case manifest::Role::Teacher:
    return "teacher";
  case manifest::Role::Reference:
    return "reference";
  case manifest::Role::Accumulator:
    return "accumulator";
  }
  return "unknown";
}

std::string initText(const manifest::Tensor &tensor) {
  switch (tensor.init()) {
  case manifest::InitKind::Zeros:
    return "zeros";
  case manifest::InitKind::Ones:
    return "ones";
  case manifest::InitKind::Normal:
    return fmt::format("normal({:g})", tensor.value());
  case manifest::InitKind::Uniform:
    return fmt::format("uniform(-{0:g}, {0:g})", tensor.value());
  case manifest::InitKind::RowNorms:
    return fmt::format("norms of the rows of {}", orNone(tensor.source()));
  case manifest::InitKind::None:
    return tensor.data() ? "data" : "-";
  }
  return "-";
}

} // namespace

std::string runnerName() { return fmt::format("ftrun " FTC_VERSION ", for steps of ABI version {}", FTRT_ABI_VERSION); }

std::string describeStep(const std::string &path, const StepDetails &details) {
  LoadedStep step(path);
  const manifest::Manifest &info = step.manifest();
  std::string text;
  auto out = std::back_inserter(text);
  std::vector<std::string> features;
  if (info.features())
    for (const auto *feature : *info.features())
      features.push_back(feature->str());
  std::vector<std::string> missing = missingCpuFeatures(features);

  fmt::format_to(out, "step        {}\n", path);
  fmt::format_to(out, "abi         {}\n", info.abi_version());
  fmt::format_to(out, "compiler    {}\n", orNone(info.compiler()));
  if (step.needsDevice()) {
    const ftrt_step &tables = step.tables();
    uint64_t bytes = 0;
    for (uint64_t index = 0; index < tables.module_count; ++index)
      bytes += tables.modules[index].size;
    fmt::format_to(out, "target      {}, {} ({}); on the host {}\n", orNone(info.target()), orNone(info.device()),
                   orNone(info.architecture()), orNone(info.cpu()));
    fmt::format_to(out, "code        {} kernels in {} modules ({}), {} products, {} events\n", tables.kernel_count,
                   tables.module_count, formatBytes(bytes), tables.product_count, tables.event_count);
    fmt::format_to(out, "assembler   {}\n", orNone(info.assembler()));
  } else {
    fmt::format_to(out, "target      {}, {}\n", orNone(info.target()), orNone(info.cpu()));
  }
  fmt::format_to(out, "features    {}\n", fmt::join(features, " "));
  fmt::format_to(out, "this CPU    {}: {}\n", cpuBrand(),
                 missing.empty() ? "has all of them" : fmt::format("lacks {}", fmt::join(missing, ", ")));
  if (!step.needsDevice())
    fmt::format_to(out, "threads     up to {}\n", info.threads());

  fmt::format_to(out, "\nentries\n");
  for (const auto *entry : *info.entries()) {
    std::vector<std::string> inputs, outputs;
    if (entry->inputs())
      for (const auto *name : *entry->inputs())
        inputs.push_back(name->str());
    if (entry->outputs())
      for (const auto *name : *entry->outputs())
        outputs.push_back(name->str());
    fmt::format_to(out, "  {:<9} batch {} x {} tokens, {:.3f} GFLOP, reaches {}; {} -> {}\n", entryName(entry->kind()),
                   entry->batch(), entry->sequence(), entry->flops() * 1e-9, formatBytes(entry->peak_bytes()),
                   fmt::join(inputs, " "),
                   entry->launch() ? entry->launch()->kernel()->str() : fmt::format("{}", fmt::join(outputs, " ")));
  }

  fmt::format_to(out, "\nmemory      {} bytes ({})\n", step.plannedBytes(), formatBytes(step.plannedBytes()));
  if (step.plannedFarBytes() > 0)
    fmt::format_to(out, "far tier    {} bytes ({})\n", step.plannedFarBytes(), formatBytes(step.plannedFarBytes()));
  for (const auto *slab : *info.slabs())
    fmt::format_to(out, "  slab '{}': {} bytes, {}, aligned to {}\n", slab->name()->str(), slab->bytes(),
                   slab->place() == manifest::Place::Near ? "near" : "far", slab->alignment());
  if (info.memory())
    for (const auto *row : *info.memory())
      fmt::format_to(
          out, "  {:<40} {:>16} {:>12}{}\n", orNone(row->what()), row->bytes(), formatBytes(row->bytes()),
          row->far_bytes() ? fmt::format(" {:>16} {:>12} far", row->far_bytes(), formatBytes(row->far_bytes())) : "");
  if (info.peak_at())
    fmt::format_to(out, "  the peak is at {}\n", info.peak_at()->str());

  uint64_t parameters = 0, trained = 0, teacher = 0, reference = 0;
  for (const auto *tensor : *info.tensors())
    if (tensor->role() == manifest::Role::Parameter) {
      uint64_t elements = tensor->bytes() / elementSize(tensor->type());
      parameters += elements;
      trained += tensor->trainable() ? elements : 0;
    } else if (tensor->role() == manifest::Role::Teacher) {
      teacher += tensor->bytes() / elementSize(tensor->type());
    } else if (tensor->role() == manifest::Role::Reference) {
      reference += tensor->bytes() / elementSize(tensor->type());
    } else if (tensor->encoding() != manifest::Encoding::None) {
      uint64_t elements = 1;
      for (int64_t size : *tensor->decoded_shape())
        elements *= static_cast<uint64_t>(size);
      (isOfReference(tensor->name()->string_view()) ? reference : parameters) += elements;
    }
  fmt::format_to(out, "\ntensors     {} parameters, {} of them trained{}{}\n", parameters, trained,
                 teacher ? fmt::format("; {} of the teacher", teacher) : "",
                 reference ? fmt::format("; {} of the reference", reference) : "");
  if (!details.tensors)
    fmt::format_to(out, "  {} tensors; --info=tensors tells where each lies\n", info.tensors()->size());
  else
    for (const auto *tensor : *info.tensors())
      fmt::format_to(out, "  {:<60} {:<9} {:<5} {:<16} slab {} + {:<12} {}\n", tensor->name()->str(),
                     roleName(tensor->role()), elementName(tensor->type()), shapeString(*tensor), tensor->slab(),
                     tensor->offset(), initText(*tensor));

  if (info.remarks() && info.remarks()->size() > 0) {
    fmt::format_to(out, "\ndecisions\n");
    if (!details.decisions)
      fmt::format_to(out, "  {} decisions; --info=decisions tells each with its reason\n", info.remarks()->size());
    else
      for (const auto *remark : *info.remarks())
        fmt::format_to(out, "  [{}] {}: {} ({} bytes, {:.1f} us)\n", orNone(remark->pass()), orNone(remark->where()),
                       orNone(remark->message()), remark->bytes(), remark->microseconds());
  }
  fmt::format_to(out, "\nrecipe\n{}", orNone(info.recipe()));
  if (!text.ends_with('\n'))
    text += '\n';
  return text;
}

} // namespace ftc
