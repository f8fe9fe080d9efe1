//===- TensorFile.h - Named tensors in a file --------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What files of tensors have in common, whatever their format: a list of names, shapes and places, made and checked
// when the file is opened, and elements that are read from there when they are asked for.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_CHECKPOINT_TENSORFILE_H
#define FTC_CHECKPOINT_TENSORFILE_H

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

/// Element types that a checkpoint may hold.
enum class TensorType { F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, Bool, F8E4M3, F8E5M2 };

/// Safetensors' name of a type, e.g. "BF16".
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

/// An open file of tensors. Data are read with pread when asked for, never mapped.
class TensorFile {
public:
  /// A loop over elements: how often, and how far apart, counted in elements.
  struct Dimension {
    int64_t size = 0;
    int64_t stride = 0; ///< not below 0

    friend bool operator==(const Dimension &, const Dimension &) = default;
  };
  struct Entry {
    TensorSpec spec;
    uint64_t offset = 0; ///< of element 0, from the start of the file
    /// Where the others are: loops, outermost first, that visit them in row-major order of `spec.shape`. They need not
    /// be the shape's own dimensions, only as many elements in all. Empty: one behind the other.
    std::vector<Dimension> layout = {};
  };

  virtual ~TensorFile();
  TensorFile(const TensorFile &) = delete;
  TensorFile &operator=(const TensorFile &) = delete;

  const std::string &path() const { return filePath; }
  /// By name.
  const std::map<std::string, Entry, std::less<>> &entries() const { return byName; }
  const Entry *find(std::string_view name) const;

  /// Reads a whole tensor into `out`, which has room for entry.spec.elements() elements of `type`. F32, F16 and BF16
  /// are converted into each other (to nearest, ties to even; a NaN stays one); other types must be equal. `entry` is
  /// one of this file, or another view of its bytes.
  bool read(const Entry &entry, TensorType type, void *out, std::vector<Diagnostic> &diags) const;
  /// Reads a whole tensor to where `out` is, of the type that it has there: into its memory, or part by part through
  /// its `write`.
  bool read(const Entry &entry, const TensorView &out, std::vector<Diagnostic> &diags) const;

  /// Gives the elements of a tensor of F32, F16 or BF16, converted to `type` (F32 or BF16), to `take` as fp32, part by
  /// part in order.
  bool stream(const Entry &entry, TensorType type, const std::function<void(const float *, int64_t)> &take,
              std::vector<Diagnostic> &diags) const;

  /// Bytes of the file as they are. False with errno, which is 0 where the file ends before.
  bool readBytes(void *out, uint64_t bytes, uint64_t offset) const;

protected:
  TensorFile() = default;
  /// Opens a regular file and takes its size. False with an error.
  bool openFile(const std::string &path, uint64_t &bytes, std::vector<Diagnostic> &diags);

  std::string filePath;
  int descriptor = -1;
  std::map<std::string, Entry, std::less<>> byName;
};

/// The loops of a tensor of this shape whose elements lie one behind the other.
std::vector<TensorFile::Dimension> rowMajor(std::span<const int64_t> shape);

} // namespace ftc

#endif // FTC_CHECKPOINT_TENSORFILE_H
