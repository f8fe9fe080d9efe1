//===- Safetensors.h - Files of named tensors -------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_CHECKPOINT_SAFETENSORS_H
#define FTC_CHECKPOINT_SAFETENSORS_H

#include "ftc/Support/Diagnostics.h"
#include "ftc/Support/Nf4.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ftc {

/// Element types that a safetensors file may hold.
enum class TensorType { F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, Bool, F8E4M3, F8E5M2 };

/// The format's name of a type, e.g. "BF16".
std::string_view typeName(TensorType type);
std::optional<TensorType> typeFromName(std::string_view name);
/// Bytes of one element.
int64_t typeBytes(TensorType type);

/// "[2, 3]"
std::string shapeText(std::span<const int64_t> shape);

/// A named tensor, row-major; a scalar has an empty shape.
struct TensorSpec {
  std::string name;
  TensorType type = TensorType::F32;
  std::vector<int64_t> shape;

  int64_t elements() const;
  int64_t bytes() const { return elements() * typeBytes(type); }
};

/// A weight in four bits.
struct Nf4Weight {
  Nf4Format format;
  Nf4Arrays arrays;
  /// Where the weight lies elsewhere: fill `arrays` with it, and put them back there. Both may throw.
  std::function<void()> fetch = {}, store = {};
};

/// A tensor in the caller's memory, or elsewhere (in a file, on a device).
struct TensorView {
  TensorSpec spec;
  const void *data = nullptr; ///< null: elsewhere, or in four bits
  /// Of a tensor elsewhere: copies its bytes `offset` to `offset + bytes` into `to`, or back. Both may throw.
  std::function<void(uint64_t offset, void *to, uint64_t bytes)> read = {};
  std::function<void(uint64_t offset, const void *from, uint64_t bytes)> write = {};
  /// A matrix in four bits: `spec` is what it is decoded to.
  std::optional<Nf4Weight> nf4 = {};
};

/// An open safetensors file (https://github.com/huggingface/safetensors#format): 8 bytes of header length, a JSON
/// header, then the data. The header is checked whole when the file is opened: lengths, types, shapes against byte
/// ranges, no overlap, no gap, nothing beyond the end. Data are read with pread when asked for, never mapped.
class SafetensorsFile {
public:
  struct Entry {
    TensorSpec spec;
    uint64_t offset = 0; ///< from the start of the file
  };

  /// Null with an error that names the file, and the tensor if it is one tensor's fault.
  static std::unique_ptr<SafetensorsFile> open(const std::string &path, std::vector<Diagnostic> &diags);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile &) = delete;
  SafetensorsFile &operator=(const SafetensorsFile &) = delete;

  const std::string &path() const { return filePath; }
  /// By name.
  const std::map<std::string, Entry, std::less<>> &entries() const { return byName; }
  const Entry *find(std::string_view name) const;
  /// The header's "__metadata__".
  const std::map<std::string, std::string> &metadata() const { return meta; }

  /// Reads a whole tensor into `out`, which has room for entry.spec.elements() elements of `type`. F32, F16 and BF16
  /// are converted into each other (to nearest, ties to even; a NaN stays one); other types must be equal.
  bool read(const Entry &entry, TensorType type, void *out, std::vector<Diagnostic> &diags) const;
  /// Reads a whole tensor to where `out` is, of the type that it has there: into its memory, or part by part through
  /// its `write`.
  bool read(const Entry &entry, const TensorView &out, std::vector<Diagnostic> &diags) const;
  /// The same for `count` elements from element `first` on.
  bool read(const Entry &entry, TensorType type, int64_t first, int64_t count, void *out,
            std::vector<Diagnostic> &diags) const;

  /// Gives the elements of a tensor of F32, F16 or BF16, converted to `type` (F32 or BF16), to `take` as fp32, part by
  /// part in order.
  bool stream(const Entry &entry, TensorType type, const std::function<void(const float *, int64_t)> &take,
              std::vector<Diagnostic> &diags) const;

private:
  SafetensorsFile() = default;

  std::string filePath;
  int descriptor = -1;
  std::map<std::string, Entry, std::less<>> byName;
  std::map<std::string, std::string> meta;
};

/// The bytes that come before the data: header length and JSON header, padded with spaces to a multiple of 8. Data
/// follow in the order of `tensors`, without gaps. Equal input gives equal bytes.
std::string safetensorsHeader(std::span<const TensorSpec> tensors, const std::map<std::string, std::string> &metadata);

/// Writes a file under a temporary name in the same folder, syncs it and renames it.
bool writeSafetensors(const std::string &path, std::span<const TensorView> tensors,
                      const std::map<std::string, std::string> &metadata, std::vector<Diagnostic> &diags);

} // namespace ftc

#endif // FTC_CHECKPOINT_SAFETENSORS_H
