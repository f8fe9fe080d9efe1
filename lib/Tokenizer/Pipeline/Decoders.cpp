//===- Decoders.cpp - From the spellings of tokens to text ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Regex.h"
#include "Steps.h"

#include "ftc/Tokenizer/Tokenizer.h"

#include <charconv>

namespace ftc::pipeline {

namespace {

class ByteLevel final : public Decoder {
public:
  void apply(std::vector<std::string> &tokens) const override {
    std::string bytes;
    for (const std::string &token : tokens) {
      const size_t before = bytes.size();
      if (!bytesOfSpelling(token, bytes)) { // an added token
        bytes.resize(before);
        bytes += token;
      }
    }
    tokens = {repairUtf8(bytes)};
  }
};

class ByteFallback final : public Decoder {
public:
  void apply(std::vector<std::string> &tokens) const override {
    std::vector<std::string> out;
    std::string bytes;
    auto flush = [&] {
      if (repairUtf8(bytes) == bytes && !bytes.empty())
        out.push_back(bytes);
      else
        out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
      bytes.clear();
    };
    for (std::string &token : tokens) {
      unsigned value = 0;
      const char *digits = token.data() + 3;
      if (token.size() == 6 && token.starts_with("<0x") && token.ends_with('>') &&
          std::from_chars(digits, digits + 2, value, 16).ptr == digits + 2) {
        bytes += static_cast<char>(value);
        continue;
      }
      flush();
      out.push_back(std::move(token));
    }
    flush();
    tokens = std::move(out);
  }
};

class Metaspace final : public Decoder {
public:
  Metaspace(std::string mark, bool dropsFirst) : mark(std::move(mark)), dropsFirst(dropsFirst) {}
  void apply(std::vector<std::string> &tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      std::string_view rest = tokens[i];
      std::string out;
      for (size_t found; (found = rest.find(mark)) != rest.npos; rest.remove_prefix(found + mark.size())) {
        out += rest.substr(0, found);
        out += i == 0 && dropsFirst ? "" : " ";
      }
      tokens[i] = out + std::string(rest);
    }
  }

private:
  std::string mark;
  bool dropsFirst;
};

class Fuse final : public Decoder {
public:
  void apply(std::vector<std::string> &tokens) const override {
    std::string all;
    for (const std::string &token : tokens)
      all += token;
    tokens = {all};
  }
};

class Strip final : public Decoder {
public:
  Strip(std::string content, int64_t front, int64_t back) : content(std::move(content)), front(front), back(back) {}
  void apply(std::vector<std::string> &tokens) const override {
    for (std::string &token : tokens) {
      std::string_view text = token;
      for (int64_t i = 0; i < front && text.starts_with(content); ++i)
        text.remove_prefix(content.size());
      for (int64_t i = 0; i < back && text.ends_with(content); ++i)
        text.remove_suffix(content.size());
      token = std::string(text);
    }
  }

private:
  std::string content;
  int64_t front, back;
};

class Replace final : public Decoder {
public:
  Replace(Pattern pattern, std::string content) : pattern(std::move(pattern)), content(std::move(content)) {}
  void apply(std::vector<std::string> &tokens) const override {
    std::vector<Match> parts;
    for (std::string &token : tokens) {
      pattern.split(token, parts);
      std::string out;
      for (const Match &part : parts)
        out += part.isMatch ? content : token.substr(part.begin, part.end - part.begin);
      token = std::move(out);
    }
  }

private:
  Pattern pattern;
  std::string content;
};

/// A suffix that ends words becomes a space, or nothing at the end of the text.
class WordEnds final : public Decoder {
public:
  explicit WordEnds(std::string suffix) : suffix(std::move(suffix)) {}
  void apply(std::vector<std::string> &tokens) const override {
    for (size_t i = 0; i < tokens.size() && !suffix.empty(); ++i)
      for (size_t at = 0; (at = tokens[i].find(suffix, at)) != std::string::npos;) {
        const std::string with = i + 1 == tokens.size() ? "" : " ";
        tokens[i].replace(at, suffix.size(), with);
        at += with.size();
      }
  }

private:
  std::string suffix;
};

class Chain final : public Decoder {
public:
  std::vector<std::unique_ptr<Decoder>> steps;
  void apply(std::vector<std::string> &tokens) const override {
    for (const auto &step : steps)
      step->apply(tokens);
  }
};

} // namespace

std::unique_ptr<Decoder> readDecoder(const Part &part) {
  if (part.isNull())
    return nullptr;
  const std::string &type = part["type"].text();
  if (type == "ByteLevel") {
    part.expectKeys({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    return std::make_unique<ByteLevel>();
  }
  if (type == "ByteFallback" || type == "Fuse") {
    part.expectKeys({"type"});
    if (type == "Fuse")
      return std::make_unique<Fuse>();
    return std::make_unique<ByteFallback>();
  }
  if (type == "Metaspace") {
    part.expectKeys({"type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
    const std::string mark = part["replacement"].text("\xE2\x96\x81");
    if (mark.empty())
      part["replacement"].fail("is empty");
    const char *usual = part["add_prefix_space"].flag(true) ? "always" : "never";
    return std::make_unique<Metaspace>(mark, part["prepend_scheme"].text(usual) != "never");
  }
  if (type == "Strip") {
    part.expectKeys({"type", "content", "start", "stop"});
    if (part["content"].text().empty())
      part["content"].fail("is empty");
    return std::make_unique<Strip>(part["content"].text(), part["start"].number(0, INT32_MAX),
                                   part["stop"].number(0, INT32_MAX));
  }
  if (type == "Replace") {
    part.expectKeys({"type", "pattern", "content"});
    return std::make_unique<Replace>(Pattern(part["pattern"]), part["content"].text());
  }
  if (type == "BPEDecoder") {
    part.expectKeys({"type", "suffix"});
    return std::make_unique<WordEnds>(part["suffix"].text("</w>"));
  }
  if (type == "Sequence") {
    part.expectKeys({"type", "decoders"});
    auto chain = std::make_unique<Chain>();
    const Part list = part["decoders"];
    for (size_t i = 0, count = list.listSize(); i < count; ++i)
      if (std::unique_ptr<Decoder> step = readDecoder(list.at(i)))
        chain->steps.push_back(std::move(step));
    return chain;
  }
  part["type"].refuse(fmt::format("'{}'", type));
}

} // namespace ftc::pipeline
