//===- Pickle.cpp - State dicts in Python's pickle format -----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Source of the format: the comments of CPython's Lib/pickletools.py. torch.save uses protocol 2.
//
//===----------------------------------------------------------------------===//

#include "Pickle.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <unordered_map>

using namespace ftc;
using Kind = PickleValue::Kind;
using Index = PickleValue::Index;

namespace {

/// Far more than any model has: a tensor makes about a dozen.
constexpr size_t maxValues = 4'000'000;
/// torch.save counts storages: "0", "1" …
constexpr size_t maxKeyBytes = 64;

/// Opcodes of protocol 2, as far as state dicts need them.
enum Opcode : unsigned char {
  Mark = '(',
  Stop = '.',
  BinFloat = 'G',
  BinInt = 'J',
  BinInt1 = 'K',
  BinInt2 = 'M',
  None = 'N',
  BinPersId = 'Q',
  Reduce = 'R',
  BinString = 'T',
  ShortBinString = 'U',
  BinUnicode = 'X',
  EmptyList = ']',
  Append = 'a',
  Build = 'b',
  Global = 'c',
  Appends = 'e',
  BinGet = 'h',
  LongBinGet = 'j',
  BinPut = 'q',
  LongBinPut = 'r',
  SetItem = 's',
  MakeTuple = 't',
  SetItems = 'u',
  EmptyDict = '}',
  EmptyTuple = ')',
  Proto = 0x80,
  Tuple1 = 0x85,
  Tuple2 = 0x86,
  Tuple3 = 0x87,
  NewTrue = 0x88,
  NewFalse = 0x89,
  Long1 = 0x8A,
  EmptySet = 0x8F,
  Frame = 0x95,
};

constexpr std::string_view tensorV2 = "torch._utils._rebuild_tensor_v2", tensorV1 = "torch._utils._rebuild_tensor",
                           parameter = "torch._utils._rebuild_parameter",
                           parameterWithState = "torch._utils._rebuild_parameter_with_state",
                           orderedDict = "collections.OrderedDict", torchSize = "torch.Size",
                           torchDevice = "torch.device";

struct StorageName {
  std::string_view name;
  TensorType type;
};
constexpr StorageName storages[] = {
    {"torch.FloatStorage", TensorType::F32},     {"torch.HalfStorage", TensorType::F16},
    {"torch.BFloat16Storage", TensorType::BF16}, {"torch.DoubleStorage", TensorType::F64},
    {"torch.LongStorage", TensorType::I64},      {"torch.IntStorage", TensorType::I32},
    {"torch.ShortStorage", TensorType::I16},     {"torch.CharStorage", TensorType::I8},
    {"torch.ByteStorage", TensorType::U8},       {"torch.BoolStorage", TensorType::Bool},
};
/// Types that a checkpoint's settings may name. They are values, nothing can be done with them.
constexpr std::string_view types[] = {"torch.float32", "torch.float", "torch.float16", "torch.half", "torch.bfloat16",
                                      "torch.float64", "torch.int64", "torch.int32",   "torch.bool"};

/// The name as it stands here, "" for one that is not known.
std::string_view knownName(std::string_view name) {
  for (std::string_view known :
       {tensorV2, tensorV1, parameter, parameterWithState, orderedDict, torchSize, torchDevice})
    if (name == known)
      return known;
  if (auto type = std::ranges::find(types, name); type != std::end(types))
    return *type;
  auto storage = std::ranges::find(storages, name, &StorageName::name);
  return storage == std::end(storages) ? "" : storage->name;
}

/// The stack machine. Every step returns false with `problem` set, or goes on.
class Machine {
public:
  Machine(Pickle &pickle, std::string &problem) : pickle(pickle), bytes(pickle.bytes), problem(problem) {}

  bool run() {
    if (bytes.size() < 2 || static_cast<unsigned char>(bytes[0]) != Proto)
      return fail("it does not begin as a pickle does");
    while (!stopped) {
      begin = at;
      unsigned char opcode;
      if (!number(opcode) || !step(opcode))
        return false;
    }
    return true;
  }

private:
  bool fail(std::string_view message) {
    problem = fmt::format("byte {}: {}", begin, message);
    return false;
  }

  //===--------------------------------------------------------------------===//
  // Bytes
  //===--------------------------------------------------------------------===//

  bool part(uint64_t count, std::string_view &out) {
    if (count > bytes.size() - at)
      return fail("it ends in the middle; the file is truncated or broken");
    out = std::string_view(bytes).substr(at, count);
    at += count;
    return true;
  }

  /// A little-endian number.
  template <typename T> bool number(T &out) {
    std::string_view raw;
    if (!part(sizeof(T), raw))
      return false;
    std::memcpy(&out, raw.data(), sizeof(T));
    return true;
  }

  template <typename Length> bool sized(std::string_view &out) {
    Length length;
    return number(length) && part(length, out);
  }

  bool line(std::string_view &out) {
    size_t end = bytes.find('\n', at);
    if (end == std::string::npos)
      return fail("a name does not end; the file is truncated or broken");
    out = std::string_view(bytes).substr(at, end - at);
    at = end + 1;
    return true;
  }

  //===--------------------------------------------------------------------===//
  // Stack
  //===--------------------------------------------------------------------===//

  bool push(Index index) {
    stack.push_back(index);
    return true;
  }

  bool push(PickleValue value) {
    if (pickle.values.size() >= maxValues)
      return fail(fmt::format("it makes more than {} values; this is not a state dict", maxValues));
    pickle.values.push_back(std::move(value));
    return push(static_cast<Index>(pickle.values.size() - 1));
  }

  /// Whether `count` values lie above the last mark.
  bool has(size_t count) {
    return stack.size() - (marks.empty() ? 0 : marks.back()) >= count || fail("the stack is empty; the file is broken");
  }

  Index pop() {
    Index top = stack.back();
    stack.pop_back();
    return top;
  }

  /// Takes what lies above the last mark, and the mark.
  bool popMark(std::vector<Index> &items) {
    if (marks.empty())
      return fail("there is no mark on the stack; the file is broken");
    items.assign(stack.begin() + static_cast<std::ptrdiff_t>(marks.back()), stack.end());
    stack.resize(marks.back());
    marks.pop_back();
    return true;
  }

  bool tuple(size_t count) {
    if (!has(count))
      return false;
    std::vector<Index> items(stack.end() - static_cast<std::ptrdiff_t>(count), stack.end());
    stack.resize(stack.size() - count);
    return push({.kind = Kind::Tuple, .items = std::move(items)});
  }

  /// Appends to the list or dictionary on top.
  bool extend(Kind kind, const std::vector<Index> &items) {
    if (!has(1))
      return false;
    PickleValue &value = pickle.values[stack.back()];
    if (value.kind != kind || (kind == Kind::Dict && items.size() % 2))
      return fail(fmt::format("something is added to {}; the file is broken", kindName(value.kind)));
    value.items.insert(value.items.end(), items.begin(), items.end());
    return true;
  }

  bool get(uint32_t key) {
    auto found = memo.find(key);
    return found != memo.end() ? push(found->second)
                               : fail(fmt::format("value {} was never kept; the file is broken", key));
  }

  bool put(uint32_t key) {
    if (!has(1))
      return false;
    memo[key] = stack.back();
    return true;
  }

  //===--------------------------------------------------------------------===//
  // Objects
  //===--------------------------------------------------------------------===//

  bool global() {
    std::string_view module, name;
    if (!line(module) || !line(name))
      return false;
    const std::string whole = fmt::format("{}.{}", module, name);
    if (std::string_view known = knownName(whole); !known.empty())
      return push({.kind = Kind::Name, .text = known});
    return fail(fmt::format("it holds a Python object, '{}', which is nothing that a state dict needs; nothing of "
                            "Python is run here: save the tensors alone, torch.save(model.state_dict(), FILE)",
                            printable(whole)));
  }

  /// Calls that are known, each of which only makes a value here.
  bool reduce() {
    if (!has(2))
      return false;
    const Index argument = pop(), callee = pop();
    const PickleValue &function = pickle.values[callee], &arguments = pickle.values[argument];
    if (function.kind != Kind::Name || arguments.kind != Kind::Tuple)
      return fail("something is called that is no function; the file is broken");
    const std::string_view name = function.text;
    const std::vector<Index> &items = arguments.items; // until a value is pushed
    if (name == orderedDict) {
      if (!items.empty())
        return fail("an OrderedDict is made of a list, as Python 2 did; save the file anew with Python 3");
      return push({.kind = Kind::Dict});
    }
    if (name == torchSize && items.size() == 1 && pickle.values[items[0]].kind == Kind::Tuple)
      return push(items[0]);
    if (name == torchDevice)
      return push({.kind = Kind::Other, .text = name});
    if ((name == parameter || name == parameterWithState) && !items.empty() &&
        pickle.values[items[0]].kind == Kind::Tensor)
      return push(items[0]);
    if ((name == tensorV2 || name == tensorV1) && items.size() >= 4 && is(items[0], Kind::Storage) &&
        is(items[1], Kind::Int) && is(items[2], Kind::Tuple) && is(items[3], Kind::Tuple))
      return push(
          {.kind = Kind::Tensor, .number = pickle.values[items[1]].number, .items = {items[0], items[2], items[3]}});
    return fail(fmt::format("'{}' is called in another way than torch.save does", printable(name)));
  }

  /// ('storage', class, key, device, elements)
  bool persistent() {
    if (!has(1))
      return false;
    const std::vector<Index> &items = pickle.values[stack.back()].items; // until a value is pushed
    if (!is(stack.back(), Kind::Tuple) || items.size() != 5 || !is(items[0], Kind::Text) || !is(items[1], Kind::Name) ||
        !is(items[2], Kind::Text) || !is(items[4], Kind::Int) || pickle.values[items[0]].text != "storage")
      return fail("it refers to something outside that is no storage of a tensor");
    const std::string_view name = pickle.values[items[1]].text;
    const StorageName *storage = std::ranges::find(storages, name, &StorageName::name);
    if (storage == std::end(storages))
      return fail(fmt::format("a storage of the class '{}' is not known", printable(name)));
    PickleValue value{.kind = Kind::Storage,
                      .type = storage->type,
                      .number = pickle.values[items[4]].number,
                      .text = pickle.values[items[2]].text};
    if (value.text.size() > maxKeyBytes)
      return fail("the key of a storage is too long; the file is broken");
    pop();
    return push(std::move(value));
  }

  /// Attributes of an object: those of a state dict (`_metadata`) say nothing about its tensors.
  bool build() {
    if (!has(2))
      return false;
    pop();
    return is(stack.back(), Kind::Dict) ||
           fail(fmt::format("{} is given attributes; save the tensors alone, torch.save(model.state_dict(), FILE)",
                            kindName(pickle.values[stack.back()].kind)));
  }

  bool is(Index index, Kind kind) const { return pickle.values[index].kind == kind; }

  /// At most 100 characters, others than letters and the like replaced.
  static std::string printable(std::string_view text) {
    std::string result(text.substr(0, 100));
    std::ranges::replace_if(result, [](char c) { return c < ' ' || c > '~'; }, '?');
    return result + (text.size() > 100 ? "…" : "");
  }

  bool longNumber() {
    std::string_view raw;
    if (!sized<uint8_t>(raw))
      return false;
    if (raw.size() > 8)
      return fail("a number has more than 64 bits; this is not a state dict");
    uint64_t value = !raw.empty() && static_cast<signed char>(raw.back()) < 0 ? ~uint64_t(0) : 0;
    std::memcpy(&value, raw.data(), raw.size());
    return push({.kind = Kind::Int, .number = static_cast<int64_t>(value)});
  }

  template <typename T> bool integer() {
    T value;
    return number(value) && push({.kind = Kind::Int, .number = static_cast<int64_t>(value)});
  }

  template <typename Length> bool text() {
    std::string_view value;
    return sized<Length>(value) && push({.kind = Kind::Text, .text = value});
  }

  bool step(unsigned char opcode) {
    std::vector<Index> items;
    uint8_t small;
    uint32_t large;
    std::string_view skipped;
    switch (opcode) {
    case Proto:
      if (!number(small))
        return false;
      return small == 2 || small == 3 ||
             fail(fmt::format("pickle protocol {} is not that of torch.save; save the file with "
                              "torch.save(…, pickle_protocol=2), which is the default",
                              small));
    case Frame:
      return fail("it is of a newer pickle protocol than torch.save's; save the file with torch.save(…, "
                  "pickle_protocol=2), which is the default");
    case Mark:
      marks.push_back(stack.size());
      return true;
    case Stop:
      if (!has(1) || !marks.empty() || stack.size() != 1)
        return fail("it ends with something else than one value; the file is broken");
      pickle.root = stack.back();
      return stopped = true;
    case None:
      return push({.kind = Kind::None});
    case NewTrue:
    case NewFalse:
      return push({.kind = Kind::Bool, .number = opcode == NewTrue});
    case BinInt:
      return integer<int32_t>();
    case BinInt1:
      return integer<uint8_t>();
    case BinInt2:
      return integer<uint16_t>();
    case Long1:
      return longNumber();
    case BinFloat:
      return part(8, skipped) && push({.kind = Kind::Float});
    case BinUnicode:
    case BinString:
      return text<uint32_t>();
    case ShortBinString:
      return text<uint8_t>();
    case EmptyTuple:
      return push({.kind = Kind::Tuple});
    case EmptyList:
      return push({.kind = Kind::List});
    case EmptyDict:
      return push({.kind = Kind::Dict});
    case EmptySet:
      return push({.kind = Kind::Set});
    case Tuple1:
    case Tuple2:
    case Tuple3:
      return tuple(static_cast<size_t>(opcode - Tuple1) + 1);
    case MakeTuple:
      return popMark(items) && push({.kind = Kind::Tuple, .items = std::move(items)});
    case Append:
      return has(2) && extend(Kind::List, {pop()});
    case Appends:
      return popMark(items) && extend(Kind::List, items);
    case SetItem:
      if (!has(3))
        return false;
      items = {0, pop()};
      items[0] = pop();
      return extend(Kind::Dict, items);
    case SetItems:
      return popMark(items) && extend(Kind::Dict, items);
    case BinPut:
      return number(small) && put(small);
    case LongBinPut:
      return number(large) && put(large);
    case BinGet:
      return number(small) && get(small);
    case LongBinGet:
      return number(large) && get(large);
    case Global:
      return global();
    case Reduce:
      return reduce();
    case BinPersId:
      return persistent();
    case Build:
      return build();
    default:
      return fail(fmt::format("opcode 0x{:02x} is nothing that a state dict needs; save the tensors alone, "
                              "torch.save(model.state_dict(), FILE)",
                              opcode));
    }
  }

  Pickle &pickle;
  const std::string &bytes;
  std::string &problem;
  size_t at = 0, begin = 0; ///< where the next byte is, and where this step's opcode was
  bool stopped = false;
  std::vector<Index> stack;
  std::vector<size_t> marks; ///< sizes of the stack
  std::unordered_map<uint32_t, Index> memo;
};

} // namespace

std::string_view ftc::kindName(Kind kind) {
  switch (kind) {
  case Kind::None:
    return "None";
  case Kind::Bool:
    return "True or False";
  case Kind::Int:
  case Kind::Float:
    return "a number";
  case Kind::Text:
    return "text";
  case Kind::Tuple:
    return "a tuple";
  case Kind::List:
    return "a list";
  case Kind::Set:
    return "a set";
  case Kind::Dict:
    return "a dictionary";
  case Kind::Name:
  case Kind::Other:
    return "an object of Python's";
  case Kind::Storage:
    return "a storage";
  case Kind::Tensor:
    return "a tensor";
  }
  return "";
}

bool ftc::readPickle(Pickle &pickle, std::string &problem) {
  pickle.values.clear();
  return Machine(pickle, problem).run();
}
