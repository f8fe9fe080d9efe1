//===- PreTokenizers.cpp - How text is cut into pieces --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Regex.h"
#include "Steps.h"

#include <algorithm>
#include <functional>

namespace ftc::pipeline {

namespace {

/// What becomes of what separates pieces.
enum class Behavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous };

/// Puts together what belongs together, in the order of the text.
void merge(std::vector<Match> &parts, Behavior behavior) {
  std::vector<Match> out;
  bool wasMatch = false;
  switch (behavior) {
  case Behavior::Isolated:
    return;
  case Behavior::Removed:
    std::erase_if(parts, [](const Match &part) { return part.isMatch; });
    return;
  case Behavior::Contiguous:
    for (const Match &part : parts) {
      if (part.isMatch == wasMatch && !out.empty())
        out.back().end = part.end;
      else
        out.push_back(part);
      wasMatch = part.isMatch;
    }
    break;
  case Behavior::MergedWithPrevious:
    for (const Match &part : parts) {
      if (part.isMatch && !wasMatch && !out.empty())
        out.back().end = part.end;
      else
        out.push_back(part);
      wasMatch = part.isMatch;
    }
    break;
  case Behavior::MergedWithNext:
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
      if (part->isMatch && !wasMatch && !out.empty())
        out.back().begin = part->begin;
      else
        out.push_back(*part);
      wasMatch = part->isMatch;
    }
    std::reverse(out.begin(), out.end());
    break;
  }
  parts = std::move(out);
}

/// Cuts each piece where `find` says.
template <typename Find> void cut(Pieces &pieces, Behavior behavior, bool inverts, Find find) {
  Pieces out;
  out.reserve(pieces.size());
  std::vector<Match> parts;
  for (Piece &piece : pieces) {
    find(piece.text, parts);
    if (inverts)
      for (Match &part : parts)
        part.isMatch = !part.isMatch;
    merge(parts, behavior);
    for (const Match &part : parts)
      if (part.end > part.begin)
        out.push_back({piece.text.substr(part.begin, part.end - part.begin), piece.isFirst && part.begin == 0});
  }
  pieces = std::move(out);
}

/// Each character that `is` is a match of its own.
template <typename Is> auto characters(Is is) {
  return [is](std::string_view text, std::vector<Match> &parts) {
    parts.clear();
    size_t done = 0;
    for (size_t at = 0, length; at < text.size(); at += length) {
      if (!is(frontOf(text.substr(at), length)))
        continue;
      if (at > done)
        parts.push_back({done, at, false});
      parts.push_back({at, at + length, true});
      done = at + length;
    }
    if (done < text.size())
      parts.push_back({done, text.size(), false});
  };
}

class Split final : public PreTokenizer {
public:
  Split(Pattern pattern, Behavior behavior, bool inverts)
      : pattern(std::move(pattern)), behavior(behavior), inverts(inverts) {}
  void apply(Pieces &pieces) const override {
    cut(pieces, behavior, inverts,
        [&](std::string_view text, std::vector<Match> &parts) { pattern.split(text, parts); });
  }

private:
  Pattern pattern;
  Behavior behavior;
  bool inverts;
};

class SplitAtCharacters final : public PreTokenizer {
public:
  SplitAtCharacters(std::function<bool(uint32_t)> is, Behavior behavior) : is(std::move(is)), behavior(behavior) {}
  void apply(Pieces &pieces) const override { cut(pieces, behavior, false, characters(is)); }

private:
  std::function<bool(uint32_t)> is;
  Behavior behavior;
};

class ByteLevel final : public PreTokenizer {
public:
  ByteLevel(bool addsSpace, bool cuts) : addsSpace(addsSpace), cuts(cuts) {}
  void apply(Pieces &pieces) const override {
    for (Piece &piece : pieces)
      if (addsSpace && !piece.text.empty() && !piece.text.starts_with(' '))
        piece.text.insert(0, " ");
    if (cuts)
      cut(pieces, Behavior::Isolated, false,
          [&](std::string_view text, std::vector<Match> &parts) { gpt2.split(text, parts); });
    for (Piece &piece : pieces) {
      std::string spelled;
      spellBytes(piece.text, spelled);
      piece.text = std::move(spelled);
    }
  }

private:
  bool addsSpace, cuts;
  Pattern gpt2 = Pattern::ofPcre("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" FTC_ONIG_SPACE "\\p{L}\\p{N}]+"
                                 "|[" FTC_ONIG_SPACE "]+(?![^" FTC_ONIG_SPACE "])|[" FTC_ONIG_SPACE "]+");
};

enum class Prepends { Always, First, Never };

class Metaspace final : public PreTokenizer {
public:
  Metaspace(std::string mark, Prepends prepends, bool cuts) : mark(std::move(mark)), prepends(prepends), cuts(cuts) {}
  void apply(Pieces &pieces) const override {
    for (Piece &piece : pieces) {
      std::string marked;
      for (char c : piece.text)
        if (c == ' ')
          marked += mark;
        else
          marked += c;
      const bool adds = prepends == Prepends::Always || (prepends == Prepends::First && piece.isFirst);
      if (adds && !marked.empty() && !marked.starts_with(mark))
        marked.insert(0, mark);
      piece.text = std::move(marked);
    }
    if (cuts)
      cut(pieces, Behavior::MergedWithNext, false, [&](std::string_view text, std::vector<Match> &parts) {
        parts.clear();
        size_t done = 0;
        for (size_t at = 0; (at = text.find(mark, at)) != text.npos; at = done) {
          if (at > done)
            parts.push_back({done, at, false});
          parts.push_back({at, at + mark.size(), true});
          done = at + mark.size();
        }
        if (done < text.size())
          parts.push_back({done, text.size(), false});
      });
  }

private:
  std::string mark;
  Prepends prepends;
  bool cuts;
};

class Chain final : public PreTokenizer {
public:
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  void apply(Pieces &pieces) const override {
    for (const auto &step : steps)
      step->apply(pieces);
  }
};

Behavior readBehavior(const Part &part, const char *usual) {
  const std::string name = part.text(usual);
  if (name == "Removed")
    return Behavior::Removed;
  if (name == "Isolated")
    return Behavior::Isolated;
  if (name == "MergedWithPrevious")
    return Behavior::MergedWithPrevious;
  if (name == "MergedWithNext")
    return Behavior::MergedWithNext;
  if (name == "Contiguous")
    return Behavior::Contiguous;
  part.refuse(fmt::format("'{}'", name));
}

std::unique_ptr<PreTokenizer> readMetaspace(const Part &part) {
  part.expectKeys({"type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
  Prepends prepends = part["add_prefix_space"].flag(true) ? Prepends::Always : Prepends::Never;
  if (const Part scheme = part["prepend_scheme"]; !scheme.isNull()) {
    if (scheme.text() == "first")
      prepends = Prepends::First;
    else if (scheme.text() == "always")
      prepends = Prepends::Always;
    else if (scheme.text() == "never")
      prepends = Prepends::Never;
    else
      scheme.refuse(fmt::format("'{}'", scheme.text()));
  }
  const std::string mark = part["replacement"].text("\xE2\x96\x81");
  if (mark.empty())
    part["replacement"].fail("is empty");
  return std::make_unique<Metaspace>(mark, prepends, part["split"].flag(true));
}

} // namespace

std::unique_ptr<PreTokenizer> readPreTokenizer(const Part &part) {
  if (part.isNull())
    return nullptr;
  const std::string &type = part["type"].text();
  if (type == "ByteLevel") {
    part.expectKeys({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    return std::make_unique<ByteLevel>(part["add_prefix_space"].flag(true), part["use_regex"].flag(true));
  }
  if (type == "Split") {
    part.expectKeys({"type", "pattern", "behavior", "invert"});
    return std::make_unique<Split>(Pattern(part["pattern"]), readBehavior(part["behavior"], "Isolated"),
                                   part["invert"].flag(false));
  }
  if (type == "Metaspace")
    return readMetaspace(part);
  if (type == "Digits") {
    part.expectKeys({"type", "individual_digits"});
    return std::make_unique<SplitAtCharacters>(isNumeric, part["individual_digits"].flag(false) ? Behavior::Isolated
                                                                                                : Behavior::Contiguous);
  }
  if (type == "Punctuation") {
    part.expectKeys({"type", "behavior"});
    return std::make_unique<SplitAtCharacters>(isPunctuation, readBehavior(part["behavior"], "Isolated"));
  }
  if (type == "CharDelimiterSplit") {
    part.expectKeys({"type", "delimiter"});
    size_t length;
    const std::string &delimiter = part["delimiter"].text();
    if (delimiter.empty())
      part["delimiter"].fail("is empty");
    const uint32_t wanted = frontOf(delimiter, length);
    return std::make_unique<SplitAtCharacters>([wanted](uint32_t c) { return c == wanted; }, Behavior::Removed);
  }
  if (type == "WhitespaceSplit") {
    part.expectKeys({"type"});
    return std::make_unique<SplitAtCharacters>(isWhiteSpace, Behavior::Removed);
  }
  if (type == "Whitespace") { // characters of words as Rust's regex defines them
    part.expectKeys({"type"});
#define FTC_RUST_WORD FTC_UNICODE_WORD "\\p{Join_Control}"
    return std::make_unique<Split>(Pattern::ofPcre("[" FTC_RUST_WORD "]+|[^" FTC_RUST_WORD FTC_ONIG_SPACE "]+"),
                                   Behavior::Removed, true);
  }
  if (type == "BertPreTokenizer" || type == "Sequence") {
    auto chain = std::make_unique<Chain>();
    if (type == "BertPreTokenizer") {
      part.expectKeys({"type"});
      chain->steps.push_back(std::make_unique<SplitAtCharacters>(isWhiteSpace, Behavior::Removed));
      chain->steps.push_back(std::make_unique<SplitAtCharacters>(isPunctuation, Behavior::Isolated));
      return chain;
    }
    part.expectKeys({"type", "pretokenizers"});
    const Part list = part["pretokenizers"];
    for (size_t i = 0, count = list.listSize(); i < count; ++i)
      if (std::unique_ptr<PreTokenizer> step = readPreTokenizer(list.at(i)))
        chain->steps.push_back(std::move(step));
    return chain;
  }
  part["type"].refuse(fmt::format("'{}'", type));
}

} // namespace ftc::pipeline
