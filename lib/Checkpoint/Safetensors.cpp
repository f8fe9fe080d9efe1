//===- Safetensors.cpp - Files of named tensors ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Checkpoint/Safetensors.h"

#include "Convert.h"
#include "Descriptor.h"
#include "ftc/Support/Files.h"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sys/stat.h>

using namespace ftc;
using nlohmann::json;

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

namespace {

struct TypeFacts {
  TensorType type;
  std::string_view name;
  int64_t bytes;
};

constexpr TypeFacts typeTable[] = {
    {TensorType::F64, "F64", 8},   {TensorType::F32, "F32", 4},        {TensorType::F16, "F16", 2},
    {TensorType::BF16, "BF16", 2}, {TensorType::I64, "I64", 8},        {TensorType::I32, "I32", 4},
    {TensorType::I16, "I16", 2},   {TensorType::I8, "I8", 1},          {TensorType::U64, "U64", 8},
    {TensorType::U32, "U32", 4},   {TensorType::U16, "U16", 2},        {TensorType::U8, "U8", 1},
    {TensorType::Bool, "BOOL", 1}, {TensorType::F8E4M3, "F8_E4M3", 1}, {TensorType::F8E5M2, "F8_E5M2", 1},
};

/// As the format's reference implementation limits it.
constexpr uint64_t maxHeaderBytes = 100'000'000;

} // namespace

std::string_view ftc::typeName(TensorType type) { return typeTable[static_cast<size_t>(type)].name; }
int64_t ftc::typeBytes(TensorType type) { return typeTable[static_cast<size_t>(type)].bytes; }

std::optional<TensorType> ftc::typeFromName(std::string_view name) {
  for (const TypeFacts &facts : typeTable)
    if (facts.name == name)
      return facts.type;
  return std::nullopt;
}

std::string ftc::shapeText(std::span<const int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

int64_t TensorSpec::elements() const {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

namespace {

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
  file->filePath = path;
  file->descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file->descriptor < 0)
    return fail(fmt::format("cannot open: {}", std::strerror(errno)));
  struct stat info;
  if (fstat(file->descriptor, &info) || !S_ISREG(info.st_mode))
    return fail("not a regular file");
  uint64_t size = static_cast<uint64_t>(info.st_size), headerBytes = 0;
  if (size < 8 || !fileio::readAt(file->descriptor, &headerBytes, 8, 0))
    return fail(fmt::format("{} bytes are too few for a safetensors file", size));
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

SafetensorsFile::~SafetensorsFile() {
  if (descriptor >= 0)
    ::close(descriptor);
}

const SafetensorsFile::Entry *SafetensorsFile::find(std::string_view name) const {
  auto found = byName.find(name);
  return found == byName.end() ? nullptr : &found->second;
}

bool SafetensorsFile::read(const Entry &entry, TensorType type, void *out, std::vector<Diagnostic> &diags) const {
  return read(entry, type, 0, entry.spec.elements(), out, diags);
}

bool SafetensorsFile::read(const Entry &entry, const TensorView &out, std::vector<Diagnostic> &diags) const {
  const TensorType type = out.spec.type;
  if (out.data)
    return read(entry, type, const_cast<void *>(out.data), diags);
  const int64_t elements = entry.spec.elements(), size = typeBytes(type);
  const int64_t block = std::min<int64_t>(elements, (int64_t(4) << 20) / size);
  std::vector<char> part(static_cast<size_t>(block * size));
  for (int64_t first = 0; first < elements; first += block) {
    const int64_t count = std::min(block, elements - first);
    if (!read(entry, type, first, count, part.data(), diags))
      return false;
    out.write(static_cast<uint64_t>(first * size), part.data(), static_cast<uint64_t>(count * size));
  }
  return true;
}

bool SafetensorsFile::read(const Entry &entry, TensorType type, int64_t first, int64_t elements, void *out,
                           std::vector<Diagnostic> &diags) const {
  auto fail = [&](const std::string &message) {
    diags.push_back({Severity::Error, filePath, 0, 0, fmt::format("tensor '{}': {}", entry.spec.name, message)});
    return false;
  };
  auto readError = [&] {
    return fail(fmt::format("cannot read: {}", errno ? std::strerror(errno) : "the file has become shorter"));
  };
  TensorType fileType = entry.spec.type;
  if (fileType == type) {
    if (!fileio::readAt(descriptor, out, static_cast<uint64_t>(elements * typeBytes(type)),
                        entry.offset + static_cast<uint64_t>(first * typeBytes(type))))
      return readError();
    return true;
  }
  if (!isConvertible(fileType) || !isConvertible(type))
    return fail(fmt::format("{} cannot be read as {}", typeName(fileType), typeName(type)));
  constexpr int64_t blockElements = 1 << 16;
  std::vector<char> block(blockElements * typeBytes(fileType));
  for (int64_t done = 0; done < elements; done += blockElements) {
    int64_t count = std::min(blockElements, elements - done);
    if (!fileio::readAt(descriptor, block.data(), count * typeBytes(fileType),
                        entry.offset + static_cast<uint64_t>((first + done) * typeBytes(fileType))))
      return readError();
    convertElements(block.data(), fileType, static_cast<char *>(out) + done * typeBytes(type), type, count);
  }
  return true;
}

bool SafetensorsFile::stream(const Entry &entry, TensorType type,
                             const std::function<void(const float *, int64_t)> &take,
                             std::vector<Diagnostic> &diags) const {
  auto fail = [&](const std::string &message) {
    diags.push_back({Severity::Error, filePath, 0, 0, fmt::format("tensor '{}': {}", entry.spec.name, message)});
    return false;
  };
  const TensorType fileType = entry.spec.type;
  if (!isConvertible(fileType) || !isConvertible(type))
    return fail(fmt::format("{} cannot be read as {}", typeName(fileType), typeName(type)));
  constexpr int64_t partElements = 1 << 16;
  std::vector<char> stored(partElements * typeBytes(fileType)), converted(partElements * typeBytes(type));
  std::vector<float> values(partElements);
  for (int64_t done = 0, elements = entry.spec.elements(); done < elements; done += partElements) {
    const int64_t count = std::min(partElements, elements - done);
    if (!fileio::readAt(descriptor, stored.data(), count * typeBytes(fileType),
                        entry.offset + static_cast<uint64_t>(done * typeBytes(fileType))))
      return fail(fmt::format("cannot read: {}", errno ? std::strerror(errno) : "the file has become shorter"));
    convertElements(stored.data(), fileType, converted.data(), type, count);
    convertElements(converted.data(), type, values.data(), TensorType::F32, count);
    take(values.data(), count);
  }
  return true;
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
