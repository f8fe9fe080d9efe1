//===- Safetensors.cpp - Hugging Face's format of tensors ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Checkpoint/Safetensors.h"

#include "Descriptor.h"
#include "ftc/Support/Files.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

using namespace ftc;
using nlohmann::json;

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

namespace {

/// As the format's reference implementation limits it.
constexpr uint64_t maxHeaderBytes = 100'000'000;

/// Checks one tensor of the header. Returns what is wrong with it, or fills `entry` and `begin`, `end` within the data.
std::optional<std::string> readEntry(const json &value, uint64_t dataBytes, SafetensorsFile::Entry &entry,
                                     uint64_t &begin, uint64_t &end) {
  if (!value.is_object())
    return "its entry is not an object";
  auto type = value.find("dtype");
  if (type == value.end() || !type->is_string())
    return "'dtype' is missing or not a string";
  auto known = typeFromName(type->get_ref<const std::string &>());
  if (!known)
    return fmt::format("unknown dtype '{}'", type->get_ref<const std::string &>());
  entry.spec.type = *known;

  auto shape = value.find("shape");
  if (shape == value.end() || !shape->is_array())
    return "'shape' is missing or not a list";
  // Sizes are limited so that no product below overflows.
  uint64_t bytes = static_cast<uint64_t>(typeBytes(*known));
  bool empty = false;
  for (const json &size : *shape) {
    if (!size.is_number_unsigned() || size.get<uint64_t>() > uint64_t(std::numeric_limits<int64_t>::max()))
      return "'shape' holds something that is not a size";
    entry.spec.shape.push_back(size.get<int64_t>());
    empty |= size == 0;
    if (__builtin_mul_overflow(bytes, std::max<uint64_t>(size.get<uint64_t>(), 1), &bytes) ||
        bytes > uint64_t(std::numeric_limits<int64_t>::max()))
      return fmt::format("shape {} is too large", shapeText(entry.spec.shape));
  }
  if (empty)
    bytes = 0;

  auto range = value.find("data_offsets");
  if (range == value.end() || !range->is_array() || range->size() != 2 || !(*range)[0].is_number_unsigned() ||
      !(*range)[1].is_number_unsigned())
    return "'data_offsets' is missing or not a pair of offsets";
  begin = (*range)[0].get<uint64_t>();
  end = (*range)[1].get<uint64_t>();
  if (begin > end || end > dataBytes)
    return fmt::format("its bytes {} to {} are not within the file's {} bytes of data; the file is truncated or broken",
                       begin, end, dataBytes);
  if (end - begin != bytes)
    return fmt::format("shape {} of {} needs {} bytes, data_offsets give {}", shapeText(entry.spec.shape),
                       typeName(*known), bytes, end - begin);
  return std::nullopt;
}

} // namespace

std::unique_ptr<SafetensorsFile> SafetensorsFile::open(const std::string &path, std::vector<Diagnostic> &diags) {
  auto fail = [&](const std::string &message) {
    diags.push_back({Severity::Error, path, 0, 0, message});
    return nullptr;
  };
  std::unique_ptr<SafetensorsFile> file(new SafetensorsFile);
  uint64_t size = 0, headerBytes = 0;
  if (!file->openFile(path, size, diags))
    return nullptr;
  if (size < 8 || !fileio::readAt(file->descriptor, &headerBytes, 8, 0))
    return fail(fmt::format("{} bytes are too few for a safetensors file", size));
  constexpr std::string_view reference = "version https://git-lfs";
  std::string start(std::min<uint64_t>(size, reference.size()), '\0');
  if (fileio::readAt(file->descriptor, start.data(), start.size(), 0) && start == reference)
    return fail("holds a reference to the weights, not the weights; fetch them with git lfs pull");
  if (headerBytes > maxHeaderBytes || headerBytes > size - 8)
    return fail(fmt::format("the header would have {} bytes in a file of {}; this is not a safetensors file, or it is "
                            "truncated",
                            headerBytes, size));
  std::string text(headerBytes, '\0');
  if (!fileio::readAt(file->descriptor, text.data(), headerBytes, 8))
    return fail("cannot read the header");

  // Of a name that comes twice the parser would silently keep the last.
  std::set<std::string> names;
  std::optional<std::string> twice;
  json header = json::parse(
      text,
      [&](int depth, json::parse_event_t event, json &parsed) {
        if (event == json::parse_event_t::key && depth == 1 && !names.insert(parsed.get<std::string>()).second)
          twice = parsed.get<std::string>();
        return true;
      },
      /*allow_exceptions=*/false);
  if (header.is_discarded() || !header.is_object())
    return fail("the header is not a JSON object; this is not a safetensors file, or it is broken");
  if (twice)
    return fail(fmt::format("tensor '{}' is in the header twice", *twice));

  uint64_t dataBytes = size - 8 - headerBytes;
  struct Range {
    uint64_t begin, end;
    const std::string *name;
  };
  std::vector<Range> ranges;
  for (const auto &item : header.items()) {
    if (item.key() == "__metadata__") {
      if (!item.value().is_object())
        return fail("'__metadata__' is not an object");
      for (const auto &pair : item.value().items())
        if (pair.value().is_string())
          file->meta[pair.key()] = pair.value().get<std::string>();
      continue;
    }
    Entry entry;
    entry.spec.name = item.key();
    Range range;
    if (auto problem = readEntry(item.value(), dataBytes, entry, range.begin, range.end))
      return fail(fmt::format("tensor '{}': {}", item.key(), *problem));
    entry.offset = 8 + headerBytes + range.begin;
    auto [place, isNew] = file->byName.emplace(item.key(), std::move(entry));
    range.name = &place->first;
    ranges.push_back(range);
  }
  // Every byte of the data belongs to exactly one tensor.
  std::sort(ranges.begin(), ranges.end(),
            [](const Range &a, const Range &b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  uint64_t end = 0;
  const std::string *last = nullptr;
  for (const Range &range : ranges) {
    if (range.begin < end)
      return fail(fmt::format("tensor '{}' overlaps tensor '{}'", *range.name, *last));
    if (range.begin > end)
      return fail(fmt::format("{} bytes before tensor '{}' belong to no tensor", range.begin - end, *range.name));
    end = range.end;
    last = range.name;
  }
  if (end != dataBytes)
    return fail(fmt::format("the tensors end at byte {} of the data, the file has {}", end, dataBytes));
  return file;
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

std::string ftc::safetensorsHeader(std::span<const TensorSpec> tensors,
                                   const std::map<std::string, std::string> &metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty())
    header["__metadata__"] = metadata;
  int64_t offset = 0;
  for (const TensorSpec &tensor : tensors) {
    header[tensor.name] = {
        {"dtype", typeName(tensor.type)}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + tensor.bytes()}}};
    offset += tensor.bytes();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  uint64_t length = text.size();
  return std::string(reinterpret_cast<const char *>(&length), 8) + text;
}

bool ftc::writeSafetensors(const std::string &path, std::span<const TensorView> tensors,
                           const std::map<std::string, std::string> &metadata, std::vector<Diagnostic> &diags) {
  std::vector<TensorSpec> specs;
  for (const TensorView &tensor : tensors)
    specs.push_back(tensor.spec);
  std::string header = safetensorsHeader(specs, metadata);
  AtomicFile file(path);
  file.write(header);
  for (const TensorView &tensor : tensors)
    file.write(tensor.data, static_cast<size_t>(tensor.spec.bytes()));
  if (file.commit())
    return true;
  diags.push_back({Severity::Error, path, 0, 0, file.error()});
  return false;
}
