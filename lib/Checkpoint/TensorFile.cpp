//===- TensorFile.cpp - Named tensors in a file ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Checkpoint/TensorFile.h"

#include "Convert.h"
#include "Descriptor.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

using namespace ftc;

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

std::vector<TensorFile::Dimension> ftc::rowMajor(std::span<const int64_t> shape) {
  std::vector<TensorFile::Dimension> layout(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    layout[i] = {shape[i], stride};
    stride *= shape[i];
  }
  return layout;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

namespace {

/// Runs of elements shorter than this are not read one by one: the whole range that a tensor is spread over is read,
/// and its elements are picked out of it.
constexpr int64_t shortRunBytes = 512;

/// Reads the elements of an entry in order, as they are stored.
class Elements {
public:
  Elements(int file, const TensorFile::Entry &entry)
      : file(file), size(typeBytes(entry.spec.type)), start(entry.offset) {
    loops = {{1, 0}, {entry.spec.elements(), 1}};
    if (!entry.layout.empty())
      setLoops(entry.layout);
    index.assign(loops.size() - 1, 0);
  }

  /// The next `count` elements, which must be there. False with what went wrong.
  bool next(void *to, int64_t count, std::string &problem) {
    char *out = static_cast<char *>(to);
    if (isScattered() && count && !fetch(problem))
      return false;
    while (count) {
      const TensorFile::Dimension run = loops.back();
      const int64_t part = std::min(count, run.size - inRun);
      const int64_t from = base + inRun * run.stride;
      if (whole) {
        for (int64_t i = 0; i < part; ++i)
          std::memcpy(out + i * size, whole.get() + (from + i * run.stride) * size, static_cast<size_t>(size));
      } else if (!fileio::readAt(file, out, static_cast<uint64_t>(part * size),
                                 start + static_cast<uint64_t>(from * size))) {
        problem = fmt::format("cannot read: {}", errno ? std::strerror(errno) : "the file has become shorter");
        return false;
      }
      out += part * size;
      count -= part;
      if ((inRun += part) == run.size)
        nextRun();
    }
    return true;
  }

private:
  /// Dimensions of one element say nothing, and neighbours that continue each other are one.
  void setLoops(const std::vector<TensorFile::Dimension> &layout) {
    loops = {{1, 0}};
    for (const TensorFile::Dimension &dimension : layout) {
      if (dimension.size == 1)
        continue;
      if (loops.size() > 1 && loops.back().stride == dimension.size * dimension.stride)
        loops.back() = {loops.back().size * dimension.size, dimension.stride};
      else
        loops.push_back(dimension);
    }
    if (loops.size() == 1)
      loops.push_back({1, 1});
  }

  bool isScattered() const {
    return loops.back().stride != 1 || (loops.size() > 2 && loops.back().size * size < shortRunBytes);
  }

  /// Reads all that lies between the first and the last element, once.
  bool fetch(std::string &problem) {
    if (whole)
      return true;
    int64_t last = 0;
    for (const TensorFile::Dimension &loop : loops)
      last += (loop.size - 1) * loop.stride;
    const int64_t bytes = (last + 1) * size;
    whole.reset(static_cast<char *>(std::malloc(static_cast<size_t>(bytes))));
    if (!whole) {
      problem = fmt::format("it is a view whose elements are spread over {} bytes, for which there is no memory; save "
                            "its .contiguous() instead",
                            bytes);
      return false;
    }
    if (fileio::readAt(file, whole.get(), static_cast<uint64_t>(bytes), start))
      return true;
    problem = fmt::format("cannot read: {}", errno ? std::strerror(errno) : "the file has become shorter");
    return false;
  }

  void nextRun() {
    inRun = 0;
    for (size_t i = index.size(); i-- > 0;) {
      base += loops[i].stride;
      if (++index[i] < loops[i].size)
        return;
      base -= loops[i].size * loops[i].stride;
      index[i] = 0;
    }
  }

  int file;
  int64_t size; ///< bytes of an element
  uint64_t start;
  std::vector<TensorFile::Dimension> loops; ///< the last one: a run
  std::vector<int64_t> index;               ///< of the loops around a run
  int64_t base = 0, inRun = 0;              ///< elements from `start` to this run, and done of it
  std::unique_ptr<char, decltype(&std::free)> whole{nullptr, std::free};
};

} // namespace

bool TensorFile::openFile(const std::string &path, uint64_t &bytes, std::vector<Diagnostic> &diags) {
  auto fail = [&](const std::string &message) {
    diags.push_back({Severity::Error, path, 0, 0, message});
    return false;
  };
  filePath = path;
  descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return fail(fmt::format("cannot open: {}", std::strerror(errno)));
  struct stat info;
  if (fstat(descriptor, &info) || !S_ISREG(info.st_mode))
    return fail("not a regular file");
  bytes = static_cast<uint64_t>(info.st_size);
  return true;
}

TensorFile::~TensorFile() {
  if (descriptor >= 0)
    ::close(descriptor);
}

const TensorFile::Entry *TensorFile::find(std::string_view name) const {
  auto found = byName.find(name);
  return found == byName.end() ? nullptr : &found->second;
}

bool TensorFile::readBytes(void *out, uint64_t bytes, uint64_t offset) const {
  return fileio::readAt(descriptor, out, bytes, offset);
}

bool TensorFile::read(const Entry &entry, TensorType type, void *out, std::vector<Diagnostic> &diags) const {
  return read(entry, {{entry.spec.name, type, entry.spec.shape}, out}, diags);
}

bool TensorFile::read(const Entry &entry, const TensorView &out, std::vector<Diagnostic> &diags) const {
  auto fail = [&](const std::string &message) {
    diags.push_back({Severity::Error, filePath, 0, 0, fmt::format("tensor '{}': {}", entry.spec.name, message)});
    return false;
  };
  const TensorType type = out.spec.type, fileType = entry.spec.type;
  if (fileType != type && (!isConvertible(fileType) || !isConvertible(type)))
    return fail(fmt::format("{} cannot be read as {}", typeName(fileType), typeName(type)));
  // Straight into memory where nothing is in between; else through parts.
  const int64_t elements = entry.spec.elements(), size = typeBytes(type);
  const bool isDirect = out.data && fileType == type;
  const int64_t most = isDirect ? elements : out.data ? int64_t(1) << 16 : (int64_t(4) << 20) / size;
  const int64_t block = std::min(elements, most);
  std::vector<char> stored(fileType == type ? 0 : static_cast<size_t>(block * typeBytes(fileType)));
  std::vector<char> part(out.data ? 0 : static_cast<size_t>(block * size));
  Elements source(descriptor, entry);
  std::string problem;
  for (int64_t first = 0; first < elements; first += block) {
    const int64_t count = std::min(block, elements - first);
    char *to = out.data ? static_cast<char *>(const_cast<void *>(out.data)) + first * size : part.data();
    if (!source.next(fileType == type ? to : stored.data(), count, problem))
      return fail(problem);
    if (fileType != type)
      convertElements(stored.data(), fileType, to, type, count);
    if (!out.data)
      out.write(static_cast<uint64_t>(first * size), part.data(), static_cast<uint64_t>(count * size));
  }
  return true;
}

bool TensorFile::stream(const Entry &entry, TensorType type, const std::function<void(const float *, int64_t)> &take,
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
  Elements source(descriptor, entry);
  std::string problem;
  for (int64_t done = 0, elements = entry.spec.elements(); done < elements; done += partElements) {
    const int64_t count = std::min(partElements, elements - done);
    if (!source.next(stored.data(), count, problem))
      return fail(problem);
    convertElements(stored.data(), fileType, converted.data(), type, count);
    convertElements(converted.data(), type, values.data(), TensorType::F32, count);
    take(values.data(), count);
  }
  return true;
}
