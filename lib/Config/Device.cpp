//===- Device.cpp - Device files -----------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Config/Device.h"

#include "Values.h"
#include "ftc/Support/Files.h"
#include "ftc/Support/Suggest.h"
#include "ftc/Support/Units.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

namespace ftc {

using namespace config;

namespace {

struct BuiltIn {
  const char *name, *text;
};
constexpr BuiltIn builtIn[] = {
#include "lib/Config/Devices.inc"
};

/// How the value of a key is written.
enum class Form { Word, Architecture, PtxVersion, Count, Bytes, BytesOrNone, Rate };

struct DeviceKey {
  const char *key;
  Form form;
  std::string DeviceFile::*text = nullptr;
  int64_t DeviceFile::*number = nullptr;
  double DeviceFile::*rate = nullptr;
};

const std::vector<DeviceKey> &deviceKeys() {
  using D = DeviceFile;
  static const std::vector<DeviceKey> keys = {
      {"name", Form::Word, &D::name},
      {"architecture", Form::Architecture, &D::architecture},
      {"ptx", Form::PtxVersion, nullptr, &D::ptxVersion},
      {"multiprocessors", Form::Count, nullptr, &D::multiprocessors},
      {"shared_memory_per_block", Form::Bytes, nullptr, &D::sharedBytesABlock},
      {"l2_cache", Form::Bytes, nullptr, &D::l2Bytes},
      {"memory", Form::Bytes, nullptr, &D::memoryBytes},
      {"product_workspace", Form::Bytes, nullptr, &D::productWorkspaceBytes},
      {"attention_workspace", Form::BytesOrNone, nullptr, &D::attentionWorkspaceBytes},
      {"matrix_flops_per_second", Form::Rate, nullptr, nullptr, &D::matrixFlopsPerSecond},
      {"memory_bytes_per_second", Form::Rate, nullptr, nullptr, &D::memoryBytesPerSecond},
      {"link_bytes_per_second", Form::Rate, nullptr, nullptr, &D::linkBytesPerSecond}};
  return keys;
}

const char *wanted(Form form) {
  switch (form) {
  case Form::Word:
    return "a word of letters, digits, '-' and '_'";
  case Form::Architecture:
    return "LLVM's name of an instruction set from sm_80 on, such as sm_90a";
  case Form::PtxVersion:
    return "a version of PTX that LLVM writes, 7.0 to 7.8, 8.0 to 8.8 or 9.0";
  case Form::Count:
    return "a whole number from 1 to 1048576";
  case Form::Bytes:
    return "a number of bytes above 0, or one with a unit, such as 227KiB (1 PiB at most)";
  case Form::BytesOrNone:
    return "a number of bytes, or one with a unit, such as 1GiB (1 PiB at most); 0 leaves attention to our own kernels";
  case Form::Rate:
    return "a number above 0, such as 3.35e12";
  }
  return "";
}

// Of LLVM 22 (NVPTX.td), from the first that has sm_80 on.
constexpr int64_t ptxVersions[] = {70, 71, 72, 73, 74, 75, 76, 77, 78, 80, 81, 82, 83, 84, 85, 86, 87, 88, 90};

/// Sizes that can be added up.
constexpr int64_t mostBytes = int64_t(1) << 50;

bool isWord(const std::string &text) {
  return !text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
                              std::string::npos;
}

/// An instruction set, and the versions of PTX from which it can be named: plainly, with the letter a (code that runs
/// on this one alone), and with the letter f (on its family alone); 0: never.
struct Architecture {
  int number, plain, alone, family;
};
// Those of LLVM 22 (NVPTX.td), which follow the table of targets in NVIDIA's "PTX ISA", chapter ".target".
constexpr Architecture architectures[] = {
    {80, 70, 0, 0},    {86, 71, 0, 0},    {87, 74, 0, 0},    {88, 90, 0, 0},    {89, 78, 0, 0},    {90, 78, 80, 0},
    {100, 86, 86, 88}, {101, 86, 86, 88}, {103, 88, 88, 88}, {110, 90, 90, 90}, {120, 87, 87, 88}, {121, 88, 88, 88},
};

/// The first version of PTX (80: 8.0) that has an instruction set, "sm_80" or "sm_90a"; 0 where LLVM knows none of this
/// name.
int64_t firstPtxOf(const std::string &text) {
  if (text.compare(0, 3, "sm_") != 0)
    return 0;
  int number = 0;
  const char *end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + 3, end, number);
  const std::string_view suffix(rest, static_cast<size_t>(end - rest));
  for (const Architecture &known : architectures)
    if (error == std::errc() && known.number == number)
      return suffix.empty() ? known.plain : suffix == "a" ? known.alone : suffix == "f" ? known.family : 0;
  return 0;
}

std::string ptxText(int64_t version) { return std::to_string(version / 10) + "." + std::to_string(version % 10); }

/// Stores what `node` says under `key`; false where it is written in another form.
bool store(const DeviceKey &key, const Node &node, DeviceFile &to) {
  if (!node.isScalar())
    return false;
  switch (key.form) {
  case Form::Word:
    to.*key.text = node.text;
    return isWord(node.text);
  case Form::Architecture:
    to.*key.text = node.text;
    return firstPtxOf(node.text) > 0;
  case Form::PtxVersion: {
    const std::string &text = node.text;
    const bool isVersion =
        text.size() == 3 && text[0] >= '0' && text[0] <= '9' && text[1] == '.' && text[2] >= '0' && text[2] <= '9';
    to.*key.number = isVersion ? (text[0] - '0') * 10 + (text[2] - '0') : 0;
    return std::find(std::begin(ptxVersions), std::end(ptxVersions), to.*key.number) != std::end(ptxVersions);
  }
  case Form::Count:
    to.*key.number = asInt(node).value_or(0);
    return to.*key.number > 0 && to.*key.number <= 1 << 20;
  case Form::Bytes:
    to.*key.number = static_cast<int64_t>(parseBytes(node.text).value_or(0));
    return to.*key.number > 0 && to.*key.number <= mostBytes;
  case Form::BytesOrNone: {
    const std::optional<uint64_t> bytes = parseBytes(node.text);
    to.*key.number = static_cast<int64_t>(bytes.value_or(0));
    return bytes && to.*key.number >= 0 && to.*key.number <= mostBytes;
  }
  case Form::Rate:
    to.*key.rate = asFloat(node).value_or(0);
    return std::isfinite(to.*key.rate) && to.*key.rate > 0;
  }
  return false;
}

void readKeys(const Node &root, DeviceFile &device, Messages &messages) {
  std::vector<std::string> keys;
  for (const DeviceKey &key : deviceKeys())
    keys.push_back(key.key);
  for (const Entry &entry : root.entries)
    if (std::find(keys.begin(), keys.end(), entry.key) == keys.end())
      messages.error(entry.place, "unknown key '" + entry.key + "' of a device" + didYouMean(entry.key, keys));
  for (const DeviceKey &key : deviceKeys()) {
    const Entry *entry = root.entry(key.key);
    if (!entry)
      messages.error(root.place, std::string("a device needs '") + key.key + "': " + wanted(key.form));
    else if (!store(key, entry->value, device))
      messages.error(entry->value.place,
                     std::string("'") + key.key + "' is " + shown(entry->value) + "; it must be " + wanted(key.form));
  }
  const int64_t first = firstPtxOf(device.architecture);
  if (const Entry *ptx = root.entry("ptx"); ptx && device.ptxVersion > 0 && device.ptxVersion < first)
    messages.error(ptx->value.place, "'ptx' is " + shown(ptx->value) + ", and '" + device.architecture +
                                         "' is in PTX from " + ptxText(first) + " on; write that, or a later version");
}

} // namespace

std::string DeviceFile::yaml() const {
  std::string text;
  for (const DeviceKey &key : deviceKeys()) {
    text += std::string(key.key) + ": ";
    if (key.form == Form::PtxVersion)
      text += ptxText(ptxVersion);
    else
      text += key.text ? this->*key.text : key.number ? std::to_string(this->*key.number) : floatText(this->*key.rate);
    text += "\n";
  }
  return text;
}

std::vector<std::string> knownDevices() {
  std::vector<std::string> names;
  for (const BuiltIn &device : builtIn)
    names.push_back(device.name);
  return names;
}

std::optional<DeviceFile> parseDevice(const std::string &text, const std::string &file,
                                      std::vector<Diagnostic> &diags) {
  Messages messages;
  DeviceFile device;
  if (std::optional<Node> root = readDeviceTree(text, file, messages))
    readKeys(*root, device, messages);
  const bool failed = messages.failed();
  for (Diagnostic &message : messages.list)
    if (message.severity == Severity::Error)
      diags.push_back(std::move(message));
  return failed ? std::nullopt : std::optional(device);
}

std::optional<DeviceFile> readDevice(const std::string &nameOrFile, std::vector<Diagnostic> &diags) {
  const auto fail = [&](std::string message) {
    diags.push_back({Severity::Error, "", 0, 0, std::move(message)});
    return std::nullopt;
  };
  const std::string ending = ".yaml";
  if (nameOrFile.find('/') != std::string::npos ||
      (nameOrFile.size() > ending.size() && nameOrFile.ends_with(ending))) {
    std::string text, error;
    if (!readFile(nameOrFile, text, error))
      return fail("device file: " + error);
    return parseDevice(text, nameOrFile, diags);
  }
  std::string all;
  for (const BuiltIn &device : builtIn) {
    if (nameOrFile == device.name)
      return parseDevice(device.text, "configs/devices/" + nameOrFile + ending, diags);
    all += (all.empty() ? "'" : ", '") + std::string(device.name) + "'";
  }
  std::string message = "unknown device '" + nameOrFile + "'; ";
  if (std::optional<std::string> near = nearest(nameOrFile, knownDevices()))
    message += "did you mean '" + *near + "'? ";
  return fail(message + "known are " + all +
              ", and files that end in .yaml: for another GPU copy configs/devices/h100.yaml, write the numbers of its "
              "data sheet there, and name that file with --device");
}

} // namespace ftc
