//===- TorchFile.cpp - What torch.save writes -----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Source of the layout: PyTorch's documentation, "Serialized file format for torch.save".
//
//===----------------------------------------------------------------------===//

#include "ftc/Checkpoint/TorchFile.h"

#include "Descriptor.h"
#include "Pickle.h"
#include "ZipList.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <limits>

using namespace ftc;
using Kind = PickleValue::Kind;

namespace {

/// Largest data.pkl: some 300 000 tensors.
constexpr uint64_t maxPickleBytes = 64 << 20;
/// As PyTorch limits it.
constexpr size_t maxDimensions = 64;

/// Has PyTorch write a file anew.
std::string savedAnew(const std::string &path) {
  return fmt::format("save it anew: python3 -c \"import torch; f = '{}'; torch.save(torch.load(f, map_location='cpu', "
                     "weights_only=True), f)\"",
                     path);
}

/// What a file is that is no zip archive, and what to do about it, by its first bytes.
std::string whatInstead(const std::string &path, std::string_view head, uint64_t bytes) {
  if (head.starts_with("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")) // a magic number, pickled
    return "is in the format that PyTorch wrote before version 1.6, which is not read; " + savedAnew(path);
  if (head.starts_with("version https://git-lfs"))
    return "holds a reference to the weights, not the weights; fetch them with git lfs pull";
  if (head.size() > 9 && head[8] == '{')
    return fmt::format("is a safetensors file by its contents; name it {}",
                       std::filesystem::path(path).filename().replace_extension(".safetensors").native());
  if (head.starts_with("GGUF"))
    return "is a GGUF file; get the model's .safetensors files, or PyTorch's";
  if (!bytes)
    return "is empty; get it again";
  return "";
}

/// Turns the values of a pickle into entries.
class StateDict {
public:
  StateDict(const Pickle &pickle, const std::map<std::string_view, const ZipMember *> &members,
            const std::string &folder)
      : pickle(pickle), members(members), folder(folder) {}

  /// The dictionary that holds the tensors. Null with `problem`.
  const PickleValue *find(std::string &problem) const {
    const PickleValue &root = pickle[pickle.root];
    if (root.kind != Kind::Dict) {
      problem = fmt::format("holds {}, not a dictionary of tensors; save model.state_dict()", kindName(root.kind));
      return nullptr;
    }
    if (holdsTensors(root))
      return &root;
    std::string keys;
    for (std::string_view wanted : {"model", "state_dict"})
      for (size_t i = 0; i < root.items.size(); i += 2)
        if (pickle[root.items[i]].text == wanted && pickle[root.items[i + 1]].kind == Kind::Dict &&
            holdsTensors(pickle[root.items[i + 1]]))
          return &pickle[root.items[i + 1]];
    constexpr size_t listed = 5;
    for (size_t i = 0; i < std::min(root.items.size(), 2 * listed); i += 2)
      if (pickle[root.items[i]].kind == Kind::Text)
        keys += fmt::format("{}'{}'", keys.empty() ? "" : ", ", pickle[root.items[i]].text.substr(0, 100));
    problem = fmt::format(
        "holds no tensors at its top, nor in 'model' or 'state_dict'{}; save the state dict alone, "
        "torch.save(model.state_dict(), FILE)",
        keys.empty() ? "" : fmt::format(" (it has {}{})", keys, root.items.size() > 2 * listed ? " …" : ""));
    return nullptr;
  }

  /// What is wrong with a tensor, or nullopt and `entry`.
  std::optional<std::string> read(const PickleValue &tensor, TensorFile::Entry &entry) const {
    const PickleValue &storage = pickle[tensor.items[0]], &sizes = pickle[tensor.items[1]],
                      &strides = pickle[tensor.items[2]];
    TensorSpec &spec = entry.spec;
    spec.type = storage.type;
    if (sizes.items.size() != strides.items.size() || sizes.items.size() > maxDimensions)
      return fmt::format("it has {} sizes and {} strides", sizes.items.size(), strides.items.size());
    // Sizes are limited so that no product below overflows.
    const uint64_t limit = uint64_t(std::numeric_limits<int64_t>::max());
    uint64_t bytes = static_cast<uint64_t>(typeBytes(spec.type)), last = 0;
    bool isEmpty = false;
    for (size_t i = 0; i < sizes.items.size(); ++i) {
      const PickleValue &size = pickle[sizes.items[i]], &stride = pickle[strides.items[i]];
      if (size.kind != Kind::Int || stride.kind != Kind::Int || size.number < 0 || stride.number < 0)
        return "its shape or strides hold something that is not a size";
      spec.shape.push_back(size.number);
      entry.layout.push_back({size.number, stride.number});
      isEmpty |= size.number == 0;
      if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(std::max<int64_t>(size.number, 1)), &bytes) ||
          bytes > limit)
        return fmt::format("shape {} is too large", shapeText(spec.shape));
      uint64_t reach;
      if (size.number > 1 && (__builtin_mul_overflow(static_cast<uint64_t>(size.number - 1),
                                                     static_cast<uint64_t>(stride.number), &reach) ||
                              __builtin_add_overflow(last, reach, &last)))
        return fmt::format("shape {} and its strides are too large", shapeText(spec.shape));
    }
    if (isEmpty || entry.layout == rowMajor(spec.shape))
      entry.layout.clear();
    if (isEmpty)
      return std::nullopt;

    const std::string name = fmt::format("{}data/{}", folder, storage.text);
    auto member = members.find(name);
    if (member == members.end())
      return fmt::format("its data '{}' are not in the file; the file is broken", name);
    const ZipMember &data = *member->second;
    if (!data.isStored)
      return fmt::format("its data '{}' are compressed, and are read where they lie", name);
    const uint64_t size = static_cast<uint64_t>(typeBytes(spec.type)), held = data.bytes / size;
    if (storage.number < 0 || static_cast<uint64_t>(storage.number) > held)
      return fmt::format("its data should have {} elements of {}, '{}' has {} bytes; the file is truncated or broken",
                         storage.number, typeName(spec.type), name, data.bytes);
    if (tensor.number < 0 || static_cast<uint64_t>(tensor.number) >= held ||
        last >= held - static_cast<uint64_t>(tensor.number))
      return fmt::format("its elements, from {} on, are not within the {} of '{}'; the file is broken", tensor.number,
                         held, name);
    entry.offset = data.offset + static_cast<uint64_t>(tensor.number) * size;
    return std::nullopt;
  }

private:
  bool holdsTensors(const PickleValue &dictionary) const {
    for (size_t i = 1; i < dictionary.items.size(); i += 2)
      if (pickle[dictionary.items[i]].kind == Kind::Tensor)
        return true;
    return false;
  }

  const Pickle &pickle;
  const std::map<std::string_view, const ZipMember *> &members;
  const std::string &folder;
};

} // namespace

bool ftc::isTorchFileName(std::string_view name) {
  return name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth");
}

std::unique_ptr<TorchFile> TorchFile::open(const std::string &path, std::vector<Diagnostic> &diags) {
  auto fail = [&](const std::string &message) {
    diags.push_back({Severity::Error, path, 0, 0, message});
    return nullptr;
  };
  std::unique_ptr<TorchFile> file(new TorchFile);
  uint64_t bytes = 0;
  if (!file->openFile(path, bytes, diags))
    return nullptr;
  std::string head(std::min<uint64_t>(bytes, 64), '\0'), problem;
  if (!fileio::readAt(file->descriptor, head.data(), head.size(), 0))
    return fail("cannot be read");
  if (std::string other = whatInstead(path, head, bytes); !other.empty())
    return fail(other);
  auto list = listZip(file->descriptor, bytes, problem);
  if (!list)
    return fail(fmt::format("is not what torch.save writes, or is truncated ({}); get it again", problem));

  // All members lie in one folder, whose name does not matter.
  std::map<std::string_view, const ZipMember *> members;
  const ZipMember *pickled = nullptr;
  for (const ZipMember &member : *list) {
    if (!members.emplace(member.name, &member).second)
      return fail(fmt::format("entry '{}' is in the archive twice; the file is broken", member.name));
    constexpr std::string_view name = "data.pkl";
    const size_t slash = member.name.find('/');
    if (slash == std::string::npos ? member.name == name : std::string_view(member.name).substr(slash + 1) == name) {
      if (pickled)
        return fail(
            fmt::format("both '{}' and '{}' are in the archive; the file is broken", pickled->name, member.name));
      pickled = &member;
    }
  }
  if (!pickled)
    return fail("is a zip archive without data.pkl, not what torch.save writes; name the model's weights");
  const std::string folder = pickled->name.substr(0, pickled->name.size() - std::string_view("data.pkl").size());
  if (!pickled->isStored)
    return fail(
        fmt::format("'{}' is compressed, and torch.save compresses nothing; {}", pickled->name, savedAnew(path)));
  if (pickled->bytes > maxPickleBytes)
    return fail(
        fmt::format("'{}' has {} bytes, too many for the names and shapes of a model", pickled->name, pickled->bytes));
  auto contents = [&](const ZipMember &member, std::string &text) {
    text.resize(member.bytes);
    return fileio::readAt(file->descriptor, text.data(), text.size(), member.offset);
  };
  if (auto order = members.find(folder + "byteorder"); order != members.end()) {
    std::string text;
    if (order->second->bytes > 16 || !contents(*order->second, text) || text != "little")
      return fail(fmt::format("holds numbers in another byte order than this machine's; on a machine like this one, {}",
                              savedAnew(path)));
  }

  Pickle pickle;
  if (!contents(*pickled, pickle.bytes))
    return fail(fmt::format("'{}' cannot be read", pickled->name));
  if (!readPickle(pickle, problem))
    return fail(fmt::format("'{}', {}", pickled->name, problem));
  const StateDict reader(pickle, members, folder);
  const PickleValue *dictionary = reader.find(problem);
  if (!dictionary)
    return fail(problem);
  for (size_t i = 0; i < dictionary->items.size(); i += 2) {
    const PickleValue &key = pickle[dictionary->items[i]], &value = pickle[dictionary->items[i + 1]];
    if (key.kind != Kind::Text)
      return fail(fmt::format("a tensor's name is {}, not text; save model.state_dict()", kindName(key.kind)));
    const std::string name(key.text.substr(0, 500));
    if (value.kind != Kind::Tensor)
      return fail(
          fmt::format("'{}' is {}, not a tensor; save the state dict alone, torch.save(model.state_dict(), FILE)", name,
                      kindName(value.kind)));
    Entry entry;
    entry.spec.name = name;
    if (auto wrong = reader.read(value, entry))
      return fail(fmt::format("tensor '{}': {}", name, *wrong));
    if (!file->byName.emplace(name, std::move(entry)).second)
      return fail(fmt::format("tensor '{}' is in the file twice; the file is broken", name));
  }
  return file;
}
