//===- Units.cpp - Bytes, seconds and counts as people read them ---------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Units.h"

#include <cctype>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <iterator>
#include <span>

namespace ftc {

/// Three significant digits, no exponent: 1.25, 12.5, 125, 1023.
static std::string threeDigits(double value) {
  // The thresholds are where rounding would carry into a new digit.
  int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}", value, decimals);
}

std::string formatBytes(uint64_t bytes) {
  if (bytes < 1024)
    return fmt::format("{} B", bytes);
  static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1023.5 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  return threeDigits(value) + " " + units[unit];
}

std::optional<uint64_t> parseBytes(std::string_view text) {
  double number = 0;
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number) || number < 0)
    return std::nullopt;
  std::string unit;
  for (const char *letter = rest; letter != text.data() + text.size(); ++letter)
    if (*letter != ' ' || !unit.empty())
      unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*letter)));
  if (!unit.empty() && unit.back() == 'b')
    unit.pop_back();
  else if (!unit.empty())
    return std::nullopt;
  double base = 1000;
  if (!unit.empty() && unit.back() == 'i') {
    base = 1024;
    unit.pop_back();
    if (unit.empty())
      return std::nullopt;
  }
  if (!unit.empty()) {
    size_t power = std::string_view("kmgtp").find(unit);
    if (unit.size() != 1 || power == std::string_view::npos)
      return std::nullopt;
    number *= std::pow(base, static_cast<double>(power + 1));
  }
  if (number >= 0x1p63)
    return std::nullopt;
  return static_cast<uint64_t>(number);
}

std::string formatSeconds(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0)
    return "-";
  if (seconds < 0.9995e-6)
    return threeDigits(seconds * 1e9) + " ns";
  if (seconds < 0.9995e-3)
    return threeDigits(seconds * 1e6) + " us";
  if (seconds < 0.9995)
    return threeDigits(seconds * 1e3) + " ms";
  if (seconds < 59.95)
    return threeDigits(seconds) + " s";
  if (seconds > 1e15)
    return fmt::format("{:.3g} s", seconds);
  int64_t whole = std::llround(seconds);
  if (whole < 3600)
    return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  int64_t minutes = std::llround(seconds / 60);
  return fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
}

/// `number` below 1000 as it is, else by the largest unit that leaves it one digit or more before the point.
static std::string byThousands(double number, std::span<const char *const> units) {
  if (!std::isfinite(number) || number < 0)
    return "-";
  if (number < 999.5)
    return fmt::format("{:.0f} ", number);
  double value = number / 1000;
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  return threeDigits(value) + " " + units[unit];
}

std::string formatCount(double count) {
  static const char *const units[] = {"k", "M", "B", "T"};
  std::string text = byThousands(count, units);
  if (text.ends_with(' '))
    text.pop_back();
  return text;
}

std::string formatFlops(double flops) {
  static const char *const units[] = {"k", "M", "G", "T", "P", "E"};
  std::string text = byThousands(flops, units);
  return text == "-" ? text : text + "FLOP";
}

} // namespace ftc
