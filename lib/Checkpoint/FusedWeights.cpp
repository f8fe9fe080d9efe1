//===- FusedWeights.cpp - Projections that share a tensor -----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FusedWeights.h"

#include "Convert.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

using namespace ftc;

namespace {

struct Fused {
  std::string_view word;
  std::array<std::string_view, 3> parts; ///< last words; an empty one is none
};

constexpr Fused fusedModules[] = {{"qkv_proj", {"q_proj", "k_proj", "v_proj"}},
                                  {"gate_up_proj", {"gate_proj", "up_proj"}}};

const Fused *findFused(std::string_view word, const ModelConfig &model) {
  if (model.architecture != ModelArchitecture::Phi3)
    return nullptr;
  const Fused *found = std::ranges::find(fusedModules, word, &Fused::word);
  return found == std::end(fusedModules) ? nullptr : found;
}

/// The fused module that has the part `word`.
const Fused *findWhole(std::string_view word, const ModelConfig &model) {
  if (model.architecture != ModelArchitecture::Phi3 || word.empty())
    return nullptr;
  for (const Fused &fused : fusedModules)
    if (std::ranges::find(fused.parts, word) != fused.parts.end())
      return &fused;
  return nullptr;
}

int64_t rowsOfWord(std::string_view word, const ModelConfig &model) {
  const int64_t width = model.headDim ? model.headDim : model.embedDim / model.numHeads;
  if (word == "q_proj")
    return model.numHeads * width;
  return word == "k_proj" || word == "v_proj" ? model.numKvHeads * width : model.intermediateDim;
}

std::string_view lastWordOf(std::string_view module) { return module.substr(module.rfind('.') + 1); }

bool isTarget(std::string_view word, const LoraConfig &lora) {
  return std::ranges::find(lora.targets, word) != lora.targets.end();
}

} // namespace

bool FusedPart::isTargetOf(const LoraConfig &lora) const { return isTarget(lastWordOf(module), lora); }

std::vector<FusedPart> ftc::partsOf(std::string_view module, const ModelConfig &model) {
  const std::string_view word = lastWordOf(module);
  const Fused *fused = findFused(word, model);
  std::vector<FusedPart> parts;
  if (!fused)
    return parts;
  int64_t row = 0;
  for (std::string_view part : fused->parts) {
    if (part.empty())
      continue;
    const int64_t rows = rowsOfWord(part, model);
    parts.push_back({std::string(module.substr(0, module.size() - word.size())) + std::string(part), row, rows});
    row += rows;
  }
  return parts;
}

std::string ftc::fusedModule(std::string_view module, const ModelConfig &model) {
  const std::string_view word = lastWordOf(module);
  const Fused *whole = findWhole(word, model);
  return whole ? std::string(module.substr(0, module.size() - word.size())) + std::string(whole->word) : "";
}

int64_t ftc::fusedTargets(std::string_view word, const LoraConfig &lora, const ModelConfig &model) {
  const Fused *fused = findFused(word, model);
  return fused ? std::ranges::count_if(fused->parts, [&](std::string_view part) { return isTarget(part, lora); }) : 0;
}

std::vector<std::string> ftc::fileTargets(const LoraConfig &lora, const ModelConfig &model) {
  std::vector<std::string> targets;
  for (const std::string &target : lora.targets) {
    const Fused *whole = findWhole(target, model);
    std::string word = whole ? std::string(whole->word) : target;
    if (std::ranges::find(targets, word) == targets.end())
      targets.push_back(std::move(word));
  }
  return targets;
}

static TensorFile::Entry cut(const TensorFile::Entry &entry, size_t dimension, int64_t first, int64_t count) {
  TensorFile::Entry part = entry;
  if (part.layout.empty())
    part.layout = rowMajor(entry.spec.shape);
  TensorFile::Dimension &loop = part.layout[dimension];
  part.offset += static_cast<uint64_t>(first * loop.stride * typeBytes(entry.spec.type));
  part.spec.shape[dimension] = loop.size = count;
  if (part.layout == rowMajor(part.spec.shape))
    part.layout.clear();
  return part;
}

TensorFile::Entry ftc::rowsOf(const TensorFile::Entry &entry, int64_t first, int64_t count) {
  return cut(entry, 0, first, count);
}

TensorFile::Entry ftc::columnsOf(const TensorFile::Entry &entry, int64_t first, int64_t count) {
  return cut(entry, 1, first, count);
}

//===----------------------------------------------------------------------===//
// Adapters put together
//===----------------------------------------------------------------------===//

namespace {

/// A matrix of blocks, zero elsewhere. The blocks of a row are those that hold it, and lie apart.
class Blocks {
public:
  explicit Blocks(TensorSpec spec)
      : spec(std::move(spec)), rowBytes(static_cast<uint64_t>(this->spec.shape[1] * typeBytes(this->spec.type))),
        line(rowBytes) {}

  void add(TensorView block, int64_t firstRow, int64_t firstColumn) {
    if (block.spec.shape.size() == 1)
      block.spec.shape.push_back(1);
    Block &added = blocks.emplace_back();
    added.bytes = static_cast<uint64_t>(block.spec.shape[1] * typeBytes(spec.type));
    added.firstByte = static_cast<uint64_t>(firstColumn * typeBytes(spec.type));
    added.firstRow = firstRow;
    added.rows = block.spec.shape[0];
    added.buffer = std::make_unique<std::vector<char>>();
    added.reader = RowReader(block, added.buffer.get());
  }

  /// Bytes `offset` to `offset + bytes` of it.
  void read(uint64_t offset, void *to, uint64_t bytes) {
    char *out = static_cast<char *>(to);
    while (bytes) {
      const uint64_t inRow = offset % rowBytes, part = std::min(bytes, rowBytes - inRow);
      compute(static_cast<int64_t>(offset / rowBytes));
      std::memcpy(out, line.data() + inRow, part);
      out += part;
      offset += part;
      bytes -= part;
    }
  }

private:
  struct Block {
    RowReader reader;
    std::unique_ptr<std::vector<char>> buffer;
    int64_t firstRow = 0, rows = 0;
    uint64_t firstByte = 0, bytes = 0; ///< of a row
  };

  void compute(int64_t row) {
    std::ranges::fill(line, '\0');
    for (Block &block : blocks)
      if (row >= block.firstRow && row < block.firstRow + block.rows)
        std::memcpy(line.data() + block.firstByte, block.reader.row(row - block.firstRow), block.bytes);
  }

  TensorSpec spec;
  uint64_t rowBytes;
  std::vector<char> line;
  std::vector<Block> blocks;
};

TensorView viewOf(std::string name, std::vector<int64_t> shape, const std::shared_ptr<Blocks> &blocks,
                  TensorType type) {
  TensorView view{{std::move(name), type, std::move(shape)}};
  view.read = [blocks](uint64_t offset, void *to, uint64_t bytes) { blocks->read(offset, to, bytes); };
  return view;
}

/// The norms of a weight's rows as a column of `type`.
TensorView normsOf(const TensorView &weight, TensorType type, const std::shared_ptr<MergeBuffers> &buffers) {
  struct Rows {
    MergedWeight weight;
    TensorType type;
    std::vector<char> row;
    std::vector<float> values;
    std::shared_ptr<MergeBuffers> buffers;
  };
  const auto inputs = static_cast<size_t>(weight.spec.shape[1]);
  MergedWeight rows(weight, buffers.get());
  auto state = std::make_shared<Rows>(
      Rows{rows, weight.spec.type, std::vector<char>(rows.rowBytes()), std::vector<float>(inputs), buffers});
  TensorView view{{weight.spec.name, type, {weight.spec.shape[0], 1}}};
  view.read = [state, type](uint64_t offset, void *to, uint64_t bytes) {
    const auto size = static_cast<uint64_t>(typeBytes(type));
    for (uint64_t i = 0; i < bytes / size; ++i) {
      state->weight.row(static_cast<int64_t>(offset / size + i), state->row.data());
      convertElements(state->row.data(), state->type, state->values.data(), TensorType::F32,
                      static_cast<int64_t>(state->values.size()));
      double squares = 0;
      for (float value : state->values)
        squares += static_cast<double>(value) * value;
      const auto norm = static_cast<float>(std::sqrt(squares));
      convertElements(&norm, TensorType::F32, static_cast<char *>(to) + i * size, type, 1);
    }
  };
  return view;
}

} // namespace

std::vector<TensorView> ftc::fuseAdapters(const std::vector<TensorView> &adapters,
                                          const std::vector<TensorView> &weights, const LoraConfig &lora,
                                          const ModelConfig &model) {
  constexpr std::string_view endA = ".lora_A.weight", endB = ".lora_B.weight", endMagnitude = ".lora_magnitude_vector";
  auto find = [](const std::vector<TensorView> &tensors, const std::string &name) {
    auto found = std::ranges::find(tensors, name, [](const TensorView &tensor) { return tensor.spec.name; });
    return found == tensors.end() ? nullptr : &*found;
  };
  auto buffers = std::make_shared<MergeBuffers>();
  std::vector<TensorView> fused;
  for (const TensorView &adapter : adapters) {
    std::string_view name = adapter.spec.name, end;
    for (std::string_view each : {endA, endB, endMagnitude})
      end = name.ends_with(each) ? each : end;
    const std::string module(name.substr(0, name.size() - end.size())), whole = fusedModule(module, model);
    if (whole.empty()) {
      fused.push_back(adapter);
      continue;
    }
    std::vector<FusedPart> parts = partsOf(whole, model);
    // Each once: with its first part.
    if (module != std::ranges::find_if(parts, [&](const FusedPart &part) { return part.isTargetOf(lora); })->module)
      continue;
    const int64_t outputs = parts.back().firstRow + parts.back().rows;
    const int64_t rank = lora.rank * fusedTargets(whole.substr(whole.rfind('.') + 1), lora, model);
    const TensorType type = adapter.spec.type;
    std::vector<int64_t> shape = end == endA   ? std::vector{rank, adapter.spec.shape[1]}
                                 : end == endB ? std::vector{outputs, rank}
                                               : std::vector{outputs, int64_t(1)};
    auto blocks = std::make_shared<Blocks>(TensorSpec{"", type, shape});
    int64_t rankBefore = 0;
    for (const FusedPart &part : parts) {
      const TensorView *own = find(adapters, part.module + std::string(end));
      if (end == endA && own)
        blocks->add(*own, rankBefore, 0);
      else if (end == endB && own)
        blocks->add(*own, part.firstRow, rankBefore);
      else if (end == endMagnitude && own)
        blocks->add(*own, part.firstRow, 0);
      else if (const TensorView *weight = find(weights, part.module + ".weight"); end == endMagnitude && weight)
        blocks->add(normsOf(*weight, type, buffers), part.firstRow, 0);
      rankBefore += own ? lora.rank : 0;
    }
    if (end == endMagnitude)
      shape.pop_back();
    fused.push_back(viewOf(whole + std::string(end), std::move(shape), blocks, type));
  }
  return fused;
}
