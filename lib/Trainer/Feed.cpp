//===- Feed.cpp - Entries of a step, fed with batches ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Trainer/Feed.h"

#include "ftc/Data/BatchStream.h"
#include "ftc/Runtime/RunError.h"
#include "ftc/Support/Random.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace ftc {

using manifest::ElementType;
using manifest::EntryKind;
using manifest::Tensor;

EntryFeed::EntryFeed(Session &session, int entry, const std::vector<std::string> &outputs)
    : session(&session), entry(entry) {
  const auto *info = session.manifest().entries()->Get(static_cast<flatbuffers::uoffset_t>(entry));
  rows = info->batch();
  length = info->sequence();
  entryFlops = info->flops();
  unused.reserve(4);
  inputs.tokens = input("tokens", true);
  inputs.labels = input("labels", info->kind() != EntryKind::Logits);
  inputs.positions = input("positions", false);
  inputs.segmentStarts = input("segment_starts", false);
  for (const std::string &name : outputs) {
    const Tensor *tensor = session.findOutput(entry, name);
    const ElementType type = name == "valid_tokens" || name == "pairs" ? ElementType::I32 : ElementType::F32;
    const bool isEachRow = name == "log_probs" || name == "reference_log_probs";
    if (!tensor || tensor->type() != type || tensor->bytes() < 4 * static_cast<uint64_t>(isEachRow ? rows : 1))
      throw RunError(ExitCode::BadStep,
                     fmt::format("{}: entry '{}' has no output '{}' of type {}; recompile it", session.step().path(),
                                 entryName(info->kind()), name, elementName(type)));
  }
}

int32_t *EntryFeed::input(const char *name, bool required) {
  const Tensor *tensor = session->findInput(entry, name);
  auto kind = session->manifest().entries()->Get(static_cast<flatbuffers::uoffset_t>(entry))->kind();
  const uint64_t elements = static_cast<uint64_t>(rows) * static_cast<uint64_t>(length);
  if (!tensor && !required)
    return unused.emplace_back(elements).data();
  if (!tensor || tensor->type() != ElementType::I32 || tensor->bytes() != 4 * elements)
    throw RunError(ExitCode::BadStep, fmt::format("{}: entry '{}' has no input '{}' of {} x {} int32; recompile it",
                                                  session->step().path(), entryName(kind), name, rows, length));
  return reinterpret_cast<int32_t *>(session->data(*tensor));
}

const void *EntryFeed::output(std::string_view name) const {
  const Tensor *tensor = session->findOutput(entry, name);
  return tensor ? session->data(*tensor) : nullptr;
}

LengthFeeds::LengthFeeds(Session &session, EntryKind kind, const std::vector<std::string> &outputs) {
  for (int entry : session.step().findEntries(kind))
    feeds.emplace_back(session, entry, outputs);
}

EntryFeed &LengthFeeds::holding(int64_t tokens) {
  return *std::find_if(feeds.begin(), feeds.end() - 1,
                       [&](const EntryFeed &feed) { return feed.sequence() >= tokens; });
}

std::optional<double> evaluate(LengthFeeds &feeds, const DataSet &data, PairMeasure *pairs, DistillationLosses *parts,
                               const volatile int &stop) {
  BatchStream stream(data, {.batchSize = feeds.batch(), .shuffle = false, .seed = 0, .dropLast = false});
  if (pairs)
    pairs->clear();
  if (parts)
    *parts = {};
  double sum = 0;
  int64_t count = 0;
  for (int64_t batch = 0; batch < stream.batchesPerEpoch(); ++batch) {
    if (stop)
      return std::nullopt;
    const int64_t longest = stream.longest();
    EntryFeed &feed = feeds.holding(longest);
    if (longest < 0 || stream.next(feed.view(), feed.sequence()) < 0)
      throw RunError(ExitCode::BadData, "the tokens could not be read again; did their file change while training?");
    if (pairs)
      pairs->note(feed.view(), feed.sequence());
    feed.run({});
    sum += *static_cast<const float *>(feed.output("loss_sum"));
    count += *static_cast<const int32_t *>(feed.output(pairs ? "pairs" : "valid_tokens"));
    if (pairs)
      pairs->add(feed);
    if (parts) {
      parts->classLoss += *static_cast<const float *>(feed.output("class_loss_sum"));
      parts->kdLoss += *static_cast<const float *>(feed.output("kd_loss_sum"));
    }
  }
  if (parts) {
    parts->classLoss = count ? parts->classLoss / static_cast<double>(count) : NAN;
    parts->kdLoss = count ? parts->kdLoss / static_cast<double>(count) : NAN;
  }
  return count ? sum / static_cast<double>(count) : NAN;
}

namespace {

/// The likeliest of `count` logits, or one drawn by softmax(logits / temperature) with `uniform` in (0, 1).
int32_t chooseToken(const float *logits, int64_t count, double temperature, double uniform) {
  const float *top = std::max_element(logits, logits + count);
  if (temperature <= 0)
    return static_cast<int32_t>(top - logits);
  double total = 0;
  for (int64_t id = 0; id < count; ++id)
    total += std::exp((logits[id] - *top) / temperature);
  double left = uniform * total;
  for (int64_t id = 0; id < count; ++id) {
    left -= std::exp((logits[id] - *top) / temperature);
    if (left <= 0)
      return static_cast<int32_t>(id);
  }
  return static_cast<int32_t>(top - logits);
}

} // namespace

std::string generate(EntryFeed &feed, const Tokenizer &tokenizer, const SampleOptions &options,
                     const volatile int &stop) {
  std::vector<int32_t> ids = options.start;
  // The model needs a token to start from; what ends a text stands before the next one.
  if (ids.empty())
    ids.push_back(tokenizer.eosId());
  std::vector<int32_t> made;
  CounterRandom random(options.seed, "sample");
  const auto *logits = static_cast<const float *>(feed.output("logits"));
  const int64_t length = feed.sequence();
  const BatchView &view = feed.view();
  for (int64_t count = 0; count < options.tokens && !stop; ++count) {
    // A full row forgets its oldest quarter: the next tokens then need no new start each.
    if (static_cast<int64_t>(ids.size()) > length)
      ids.erase(ids.begin(), ids.end() - std::max<int64_t>(1, length - length / 4));
    const int64_t used = static_cast<int64_t>(ids.size());
    for (int64_t at = 0; at < length; ++at) {
      view.tokens[at] = at < used ? ids[static_cast<size_t>(at)] : tokenizer.padId();
      view.labels[at] = ignoredLabel;
      view.positions[at] = at < used ? static_cast<int32_t>(at) : 0;
      view.segmentStarts[at] = at < used ? 0 : static_cast<int32_t>(at);
    }
    ftrt_scalars scalars{};
    scalars.position = static_cast<uint64_t>(used - 1);
    feed.run(scalars);
    int32_t id =
        chooseToken(logits, tokenizer.vocabSize(), options.temperature, random.uniform(static_cast<uint64_t>(count)));
    if (tokenizer.ends(id))
      break;
    ids.push_back(id);
    made.push_back(id);
  }
  return tokenizer.decode(made);
}

} // namespace ftc
