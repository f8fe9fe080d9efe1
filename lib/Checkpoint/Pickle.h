//===- Pickle.h - State dicts in Python's pickle format -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A pickle is a program for a stack machine that builds objects, of any class, by any function. What torch.save writes
// for a state dict needs little of it: dictionaries, lists, tuples, numbers, text, and a handful of names. This reader
// knows those and nothing else: it calls nothing, and a name that it does not know ends it.
//
// Values lie in one array and refer to each other by index, so that what is shared, nested deeply or contains itself
// costs no more than the bytes that made it.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CHECKPOINT_PICKLE_H
#define FTC_LIB_CHECKPOINT_PICKLE_H

#include "ftc/Checkpoint/TensorFile.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ftc {

struct PickleValue {
  using Index = uint32_t; ///< in Pickle::values

  enum class Kind {
    None,
    Bool,    ///< number: 0 or 1
    Int,     ///< number
    Float,   ///< its value is not kept
    Text,    ///< text, UTF-8 or bytes
    Tuple,   ///< items
    List,    ///< items
    Set,     ///< empty
    Dict,    ///< items: key, value, key, value …
    Name,    ///< text: "collections.OrderedDict"; a class or function
    Storage, ///< type; text: its key; number: its elements
    Tensor,  ///< items: storage, shape, strides; number: element of the storage that it begins with
    Other    ///< an object of a harmless class that holds no tensor: text, its name
  };
  Kind kind = Kind::None;
  TensorType type = TensorType::F32;
  int64_t number = 0;
  std::string_view text = {};
  std::vector<Index> items = {};
};

/// What a kind is called in messages: "a number".
std::string_view kindName(PickleValue::Kind kind);

struct Pickle {
  std::string bytes; ///< which the values' texts are parts of
  std::vector<PickleValue> values;
  PickleValue::Index root = 0;

  const PickleValue &operator[](PickleValue::Index index) const { return values[index]; }

  Pickle() = default;
  Pickle(const Pickle &) = delete; // texts would refer to the other's bytes
  Pickle &operator=(const Pickle &) = delete;
};

/// Reads `pickle.bytes` into the rest of `pickle`. False with what is wrong, and where; and the way out, unless the
/// bytes are broken.
bool readPickle(Pickle &pickle, std::string &problem);

} // namespace ftc

#endif // FTC_LIB_CHECKPOINT_PICKLE_H
