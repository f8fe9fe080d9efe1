//===- CudnnObject.h - Descriptors of cuDNN --------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_RUNTIME_CUDA_CUDNNOBJECT_H
#define FTC_LIB_RUNTIME_CUDA_CUDNNOBJECT_H

#include "CudnnApi.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace ftc::cuda {

/// What cuDNN refuses, and what it says.
struct DnnError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What cuDNN says of the cause of its last error in this thread, behind ": "; empty where it says nothing.
inline std::string lastDnnError(const DnnFunctions &functions) {
  std::array<char, 1024> text{};
  if (functions.getLastError)
    functions.getLastError(text.data(), text.size() - 1);
  std::string line(text.data());
  std::replace(line.begin(), line.end(), '\n', ' ');
  line.erase(line.find_last_not_of(' ') + 1);
  return line.empty() ? "" : ": " + line;
}

/// A descriptor: attributes are set, then it is finalized, then it stays as it is. Functions throw DnnError.
class DnnOwner {
public:
  DnnOwner(const DnnFunctions &f, DnnKind kind) : f(&f), kind(kind) {
    require(f.makeObject(static_cast<int>(kind), &object), "made");
  }
  DnnOwner(DnnOwner &&other) noexcept : f(other.f), kind(other.kind), object(std::exchange(other.object, nullptr)) {}
  DnnOwner &operator=(DnnOwner &&other) noexcept {
    std::swap(f, other.f);
    std::swap(kind, other.kind);
    std::swap(object, other.object);
    return *this;
  }
  ~DnnOwner() {
    if (object)
      f->destroyObject(object);
  }

  DnnObject get() const { return object; }

  DnnOwner &set(DnnName name, DnnType type, int64_t count, const void *elements) {
    require(f->setAttribute(object, static_cast<int>(name), static_cast<int>(type), count, elements),
            fmt::format("given attribute {}", static_cast<int>(name)));
    return *this;
  }
  DnnOwner &set(DnnName name, DnnType type, int value) { return set(name, type, 1, &value); }
  DnnOwner &set(DnnName name, DnnData value) { return set(name, DnnType::DataType, static_cast<int>(value)); }
  DnnOwner &set(DnnName name, int64_t value) { return set(name, DnnType::Int64, 1, &value); }
  DnnOwner &set(DnnName name, bool value) { return set(name, DnnType::Boolean, 1, &value); }
  DnnOwner &set(DnnName name, const std::array<int64_t, 4> &values) {
    return set(name, DnnType::Int64, values.size(), values.data());
  }
  DnnOwner &set(DnnName name, const DnnOwner &value) { return set(name, DnnType::Descriptor, 1, &value.object); }
  DnnOwner &set(DnnName name, const std::vector<DnnObject> &values) {
    return set(name, DnnType::Descriptor, static_cast<int64_t>(values.size()), values.data());
  }
  void finalize() { require(f->finalize(object), "finalized"); }

  /// How many elements an attribute has; the first `asked` of them are stored.
  int64_t read(DnnName name, DnnType type, int64_t asked, void *elements) const {
    int64_t count = 0;
    require(f->getAttribute(object, static_cast<int>(name), static_cast<int>(type), asked, &count, elements),
            fmt::format("asked for attribute {}", static_cast<int>(name)));
    return count;
  }
  int64_t readNumber(DnnName name) const {
    int64_t value = 0;
    read(name, DnnType::Int64, 1, &value);
    return value;
  }
  /// The descriptors that an attribute consists of, the first 64 of them.
  std::vector<DnnOwner> readAll(DnnName name, DnnKind of) const {
    constexpr int64_t most = 64;
    std::vector<DnnOwner> all;
    std::vector<DnnObject> objects;
    for (int64_t index = 0; index < most; ++index)
      objects.push_back(all.emplace_back(*f, of).get());
    const int64_t count = read(name, DnnType::Descriptor, most, objects.data());
    all.erase(all.begin() + std::min(count, most), all.end());
    return all;
  }

private:
  void require(DnnStatus status, const std::string &what) const {
    if (status == 0)
      return;
    const char *name = f->getErrorString(status);
    throw DnnError(fmt::format("{} (descriptor {}, {}){}", name ? name : fmt::format("status {}", status),
                               static_cast<int>(kind), what, lastDnnError(*f)));
  }

  const DnnFunctions *f;
  DnnKind kind;
  DnnObject object = nullptr;
};

} // namespace ftc::cuda

#endif // FTC_LIB_RUNTIME_CUDA_CUDNNOBJECT_H
