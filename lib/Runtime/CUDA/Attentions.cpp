//===- Attentions.cpp - Attention of a step by cuDNN -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A recorded graph is the same for every batch, and documents are not. Where they lie is therefore read from memory, by
// cuDNN's kernels (AttentionGraph.cpp): offsets and lengths, which the host computes from the segment starts before it
// launches the graph, a few KiB, and which the graph copies with the batch. Only how many documents there may be is
// part of a plan, so the host picks the recording by their number. Everything here is a function of the batch alone:
// the same data give the same bits.
//
// Documents that are one token (padding is) are left out: the step writes what they give (ftrt_device.attention).
// Documents of the list that are not there have length 0 and lie behind the last token.
//
//===----------------------------------------------------------------------===//

#include "Attentions.h"

#include "ftc/Runtime/RunError.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace ftc::cuda {
namespace {

/// Documents of a row, on average, of the larger plans; and what compiled steps have planned workspace for.
constexpr uint64_t mostDocumentsARow = 64;
constexpr uint64_t alignment = 256;
/// The first version that computes rightly beside documents of no tokens (NVIDIA's cudnn-frontend leaves tests with
/// them out before it).
constexpr size_t emptyDocuments = 92500;

uint64_t aligned(uint64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

std::string wish() {
  const char *text = std::getenv("FTRT_CUDNN");
  return text ? text : "";
}

/// Bytes of a list of `capacity` offsets and one, and of lengths.
uint64_t offsetBytes(uint64_t capacity) { return aligned((capacity + 1) * sizeof(int64_t)); }
uint64_t lengthBytes(uint64_t capacity) { return aligned(capacity * sizeof(int32_t)); }

} // namespace

std::string identifyAttention(const ftrt_attention &a) {
  return fmt::format("{}, {} x {} tokens, {} heads and {} of keys of {} columns, scale {}, workspace {}",
                     a.gradient ? "gradient" : "forward", a.batch, a.sequence, a.heads, a.key_heads, a.head_dim,
                     a.scale, a.workspace_bytes);
}

std::string describeAttention(size_t index, const ftrt_attention &a) {
  return fmt::format("attention {} ({}, {} x {} tokens, {} heads and {} of keys of {} columns)", index,
                     a.gradient ? "gradient" : "forward", a.batch, a.sequence, a.heads, a.key_heads, a.head_dim);
}

Attentions::Attentions(const AttentionHost &host, const Survey &survey, const std::string &deviceName,
                       const ProductAlgorithms *kept)
    : host(host), plans(host.step.attention_count), reasons(host.step.attention_count),
      paused(host.step.attention_count), firstEntries(host.step.attention_count) {
  entries.resize(host.step.entry_count);
  std::string missing = wish() == "0" ? "FTRT_CUDNN=0" : "";
  if (missing.empty())
    dnn = openDnn(missing);
  try {
    if (dnn) {
      if (DnnStatus status = dnn->functions.create(&handle); status != 0)
        missing = fmt::format("cuDNN ({}) cannot start: {}", dnn->path, dnn->functions.getErrorString(status));
      else if (status = dnn->functions.setStream(handle, host.stream); status != 0)
        missing = fmt::format("cuDNN ({}) refuses the stream: {}", dnn->path, dnn->functions.getErrorString(status));
    }
    if (missing.empty()) {
      const size_t version = dnn->functions.getVersion();
      libraryText = fmt::format("cuDNN {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
      takesEmptyDocuments = version >= emptyDocuments;
      findEntries(survey);
      const bool holds = kept && kept->attentionLibrary == libraryText && kept->device == deviceName &&
                         kept->attentions.size() == host.step.attention_count;
      makePlans(holds ? kept : nullptr);
      makeLists();
    } else {
      for (uint64_t index = 0; index < host.step.attention_count; ++index) {
        reasons[index] = missing;
        chosen.push_back({identifyAttention(host.step.attentions[index]), {}});
      }
    }
    for (size_t index = 0; wish() == "1" && index < reasons.size(); ++index)
      if (!reasons[index].empty())
        throw RunError(ExitCode::Unsupported,
                       fmt::format("{}: {}: FTRT_CUDNN=1 asks for cuDNN, which does not compute it: {}", host.path,
                                   describeAttention(index, host.step.attentions[index]), reasons[index]));
  } catch (...) {
    release();
    throw;
  }
}

Attentions::~Attentions() { release(); }

void Attentions::release() {
  plans.clear();
  if (handle)
    dnn->functions.destroy(handle);
  if (device)
    host.cu.memFree(device);
  if (pinned)
    host.cu.memFreeHost(pinned);
}

std::vector<uint64_t> Attentions::capacitiesOf(const ftrt_attention &attention) const {
  const uint64_t most = std::min(mostDocumentsARow, attention.sequence / 2) * attention.batch;
  if (most <= attention.batch || !takesEmptyDocuments)
    return {attention.batch};
  return {attention.batch, most};
}

/// Which input holds an entry's segment starts: attention is declined in entries where it is none.
void Attentions::findEntries(const Survey &survey) {
  uint64_t tokens = 0;
  for (auto attends = survey.attends.rbegin(); attends != survey.attends.rend(); ++attends)
    firstEntries[attends->attention] = attends->entry;
  for (const Survey::Attends &attends : survey.attends) {
    const ftrt_attention &attention = host.step.attentions[attends.attention];
    const auto *inputs =
        host.manifest.entries()->Get(static_cast<flatbuffers::uoffset_t>(attends.entry))->input_tensors();
    const manifest::Tensor *starts = nullptr;
    for (flatbuffers::uoffset_t index = 0; inputs && index < inputs->size(); ++index) {
      const manifest::Tensor *tensor = inputs->Get(index);
      const uint64_t at = reinterpret_cast<uint64_t>(host.slabs[tensor->slab()]) + tensor->offset();
      if (at == attends.starts && tensor->bytes() == 4 * attention.batch * attention.sequence)
        starts = tensor;
    }
    Entry &entry = entries[attends.entry];
    const bool first = entry.batch == 0;
    if (!starts || (!first && (entry.starts != starts || entry.sequence != attention.sequence))) {
      reasons[attends.attention] = "its segments are no input of an entry";
      continue;
    }
    entry.starts = starts;
    entry.batch = attention.batch;
    entry.sequence = attention.sequence;
    entry.capacities = capacitiesOf(attention);
    tokens = std::max(tokens, attention.batch * attention.sequence);
    if (!listsOf(attends.entry, attention))
      entry.lists.push_back({attention.heads, attention.key_heads, attention.head_dim, 0, nullptr, {}});
  }
  documents.reserve(tokens / 2);
}

void Attentions::makePlans(const ProductAlgorithms *kept) {
  const DnnDevice here{dnn->functions, handle, nullptr, host.architecture};
  for (size_t index = 0; index < plans.size(); ++index) {
    const ftrt_attention &attention = host.step.attentions[index];
    ProductAlgorithms::Attention &choice =
        chosen.emplace_back(ProductAlgorithms::Attention{identifyAttention(attention), std::vector<std::string>()});
    const ProductAlgorithms::Attention *before =
        kept && kept->attentions[index].what == choice.what ? &kept->attentions[index] : nullptr;
    const std::vector<uint64_t> capacities = capacitiesOf(attention);
    if (reasons[index].empty())
      reasons[index] = whyNoPlan(here, attention.gradient);
    for (size_t at = 0; reasons[index].empty() && at < capacities.size(); ++at) {
      const std::string name = before && at < before->plans.size() ? before->plans[at] : "";
      if (before && name.empty()) {
        reasons[index] = "so it was chosen before";
        break;
      }
      try {
        plans[index].push_back(
            std::make_unique<AttentionPlan>(here, attention, static_cast<int64_t>(capacities[at]), name));
        choice.plans.push_back(plans[index].back()->name());
      } catch (const DnnError &error) {
        if (before)
          throw RunError(ExitCode::BadStep,
                         fmt::format("{}: {}: plan {}, which was kept for it, is none that {} has here ({}); remove "
                                     "the file with the algorithms, or tune again",
                                     host.path, describeAttention(index, attention), name, libraryText, error.what()));
        reasons[index] = error.what();
      }
    }
    // All of them or none: which kernel computes a batch is not to depend on what fits.
    if (!reasons[index].empty()) {
      plans[index].clear();
      choice.plans.clear();
    }
  }
}

void Attentions::makeLists() {
  uint64_t bytes = 0;
  for (Entry &entry : entries) {
    if (entry.capacities.empty())
      continue;
    const uint64_t most = entry.capacities.back();
    entry.listBytes = 3 * offsetBytes(most) + lengthBytes(most);
    bytes += entry.lists.size() * entry.listBytes;
  }
  if (bytes == 0)
    return;
  void *memory = nullptr;
  if (host.cu.memAlloc(&device, bytes) != Success || host.cu.memHostAlloc(&memory, bytes, 0) != Success)
    throw RunError(ExitCode::NoMemory, fmt::format("{}: no room for {} bytes of lists of documents, on the GPU and in "
                                                   "pinned memory; end other programs",
                                                   host.path, bytes));
  pinned = static_cast<std::byte *>(memory);
  std::memset(pinned, 0, bytes);
  uint64_t offset = 0;
  for (Entry &entry : entries)
    for (Lists &lists : entry.lists) {
      const uint64_t step = offsetBytes(entry.capacities.back());
      lists.device = device + offset;
      lists.host = pinned + offset;
      lists.at = {lists.device, lists.device + step, lists.device + 2 * step, lists.device + 3 * step};
      offset += entry.listBytes;
    }
}

const Attentions::Lists *Attentions::listsOf(size_t entry, const ftrt_attention &attention) const {
  for (const Lists &lists : entries[entry].lists)
    if (lists.heads == attention.heads && lists.keyHeads == attention.key_heads && lists.headDim == attention.head_dim)
      return &lists;
  return nullptr;
}

void Attentions::write(const Lists &lists, const Entry &entry) const {
  const uint64_t most = entry.capacities.back(), step = offsetBytes(most);
  const auto offsets = [&](int list) {
    return reinterpret_cast<int64_t *>(lists.host + static_cast<uint64_t>(list) * step);
  };
  auto *lengths = reinterpret_cast<int32_t *>(lists.host + 3 * step);
  const auto perToken = [&](int list) {
    return static_cast<int64_t>(list == 0   ? lists.heads * lists.headDim
                                : list == 1 ? lists.keyHeads * lists.headDim
                                            : lists.heads);
  };
  const int64_t end = static_cast<int64_t>(entry.batch * entry.sequence);
  for (uint64_t index = 0; index <= most; ++index) {
    const bool there = index < documents.size();
    for (int list = 0; list < 3; ++list)
      offsets(list)[index] = (there ? documents[index].first : end) * perToken(list);
    if (index < most)
      lengths[index] = there ? documents[index].length : 0;
  }
}

size_t Attentions::choose(size_t index, const int32_t *starts) {
  const Entry &entry = entries[index];
  if (!findDocuments(starts, entry.batch, entry.sequence, documents))
    return entry.capacities.size();
  const auto fits = std::find_if(entry.capacities.begin(), entry.capacities.end(), [&](uint64_t capacity) {
    return takesEmptyDocuments ? documents.size() <= capacity : documents.size() == capacity;
  });
  if (fits != entry.capacities.end())
    for (const Lists &lists : entry.lists)
      write(lists, entry);
  return static_cast<size_t>(fits - entry.capacities.begin());
}

Result Attentions::queueLists(size_t index, size_t variant) const {
  const Entry &entry = entries[index];
  for (const Lists &lists : entry.lists)
    if (variant < entry.capacities.size())
      if (Result result = host.cu.memcpyHtoDAsync(lists.device, lists.host, entry.listBytes, host.stream);
          result != Success)
        return result;
  return Success;
}

int32_t Attentions::attend(size_t entry, size_t variant, uint32_t attention, const uint64_t *addresses,
                           std::string &error) const {
  if (variant >= plans[attention].size() || variant >= entries[entry].capacities.size() || paused[attention])
    return FTRT_DECLINED;
  try {
    plans[attention][variant]->run(addresses, listsOf(entry, host.step.attentions[attention])->at);
    return 0;
  } catch (const DnnError &refused) {
    error = refused.what();
    return 1;
  }
}

void Attentions::leave(size_t attention, std::string reason) {
  reasons[attention] = std::move(reason);
  plans[attention].clear();
  chosen[attention].plans.clear();
}

std::string Attentions::describe() const {
  const bool used = std::any_of(plans.begin(), plans.end(), [](const auto &list) { return !list.empty(); });
  return used ? fmt::format("{} ({})", libraryText, dnn->path) : "";
}

std::vector<std::string> Attentions::lines() const {
  std::vector<std::string> all;
  for (size_t index = 0; index < plans.size(); ++index) {
    const ftrt_attention &attention = host.step.attentions[index];
    std::string line = describeAttention(index, attention) + ": ";
    if (plans[index].empty()) {
      all.push_back(line + "our own kernels, since " + reasons[index]);
      continue;
    }
    const std::vector<uint64_t> capacities = capacitiesOf(attention);
    for (size_t at = 0; at < capacities.size(); ++at)
      line += fmt::format("{} {} {} documents, ", plans[index][at]->name(), takesEmptyDocuments ? "up to" : "of",
                          capacities[at]);
    all.push_back(line + "then our own kernels");
  }
  return all;
}

} // namespace ftc::cuda
