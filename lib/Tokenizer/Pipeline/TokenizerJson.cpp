//===- TokenizerJson.cpp - Hugging Face's tokenizer.json ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TokenizerJson.h"

#include "../BytePairs.h"
#include "../Patterns.h"
#include "../Utf8.h"

#include "ftc/Support/Files.h"
#include "ftc/Tokenizer/Tokenizer.h"

#include <algorithm>

namespace ftc::pipeline {

namespace {

/// The last character of a text that is not empty.
uint32_t lastOf(std::string_view text) {
  size_t begin = text.size() - 1, length;
  while (begin > 0 && (text[begin] & 0xC0) == 0x80)
    --begin;
  return frontOf(text.substr(begin), length);
}

size_t spacesBehind(std::string_view text) {
  size_t at = 0;
  for (size_t length; at < text.size() && isWhiteSpace(frontOf(text.substr(at), length));)
    at += length;
  return at;
}

/// Where the spaces begin that `text` ends with.
size_t spacesBefore(std::string_view text) {
  while (!text.empty() && isWhiteSpace(lastOf(text))) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (text[begin] & 0xC0) == 0x80)
      --begin;
    text = text.substr(0, begin);
  }
  return text.size();
}

bool hasSpace(std::string_view text) {
  for (size_t at = 0, length; at < text.size(); at += length)
    if (isSpace(frontOf(text.substr(at), length)))
      return true;
  return false;
}

} // namespace

std::optional<TokenizerJson> TokenizerJson::read(const std::string &path, std::vector<Diagnostic> &diags) {
  auto fail = [&](std::string message) {
    diags.push_back({Severity::Error, path, 0, 0, std::move(message)});
    return std::nullopt;
  };
  std::string text, error;
  if (!readFile(path, text, error))
    return fail(error);
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("model"))
    return fail("this is no tokenizer.json of Hugging Face's: an object with 'model'");
  text = {};
  try {
    const Part file(json, "");
    // How long texts are cut and filled is this program's to decide.
    file.expectKeys({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                     "post_processor", "decoder", "model"});
    TokenizerJson made;
    made.normalizer = readNormalizer(file["normalizer"]);
    made.preTokenizer = readPreTokenizer(file["pre_tokenizer"]);
    if (!file["model"].json().is_object())
      file["model"].fail("is no object");
    made.model = readModel(file["model"]);
    made.decoder = readDecoder(file["decoder"]);
    made.spellings = made.model->tokens();
    made.special.resize(made.spellings.size());
    if (!file["added_tokens"].isNull())
      made.readAdded(file["added_tokens"]);
    if (made.spellings.empty())
      file["model"].fail("has no tokens");
    made.readPostProcessor(file["post_processor"]);
    made.findCuts(file);
    return made;
  } catch (const Problem &problem) {
    return fail(problem.message);
  }
}

void TokenizerJson::readAdded(const Part &list) {
  std::vector<std::pair<std::string, int32_t>> raw, normalized;
  for (size_t i = 0, count = list.listSize(); i < count; ++i) {
    const Part part = list.at(i);
    part.expectKeys({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    AddedToken token;
    token.content = part["content"].text();
    token.id = static_cast<int32_t>(part["id"].number(0, mostTokens - 1));
    token.isSpecial = part["special"].flag(false);
    token.isWord = part["single_word"].flag(false);
    token.takesSpacesBefore = part["lstrip"].flag(false);
    token.takesSpacesBehind = part["rstrip"].flag(false);
    token.isNormalized = part["normalized"].flag(!token.isSpecial);
    if (token.content.empty())
      continue;
    const auto place = static_cast<size_t>(token.id);
    if (place >= spellings.size()) {
      spellings.resize(place + 1);
      special.resize(place + 1);
    }
    const int32_t known = model->idOf(token.content);
    if ((known >= 0 && known != token.id) || (!spellings[place].empty() && spellings[place] != token.content))
      part.fail(
          fmt::format("gives '{}' the id {}, which the model's vocabulary does not; the two are not of one tokenizer",
                      token.content, token.id));
    spellings[place] = token.content;
    special[place] = special[place] || token.isSpecial;
    std::string content = token.content;
    if (token.isNormalized && normalizer)
      normalizer->apply(content);
    (token.isNormalized ? normalized : raw).emplace_back(content, static_cast<int32_t>(added.size()));
    addedIds.insert_or_assign(token.content, token.id);
    added.push_back(std::move(token));
  }
  inText = PrefixSet(std::move(raw));
  inNormalized = PrefixSet(std::move(normalized));
}

int32_t TokenizerJson::idOf(std::string_view spelling) const {
  auto found = addedIds.find(std::string(spelling));
  return found != addedIds.end() ? found->second : model->idOf(spelling);
}

bool TokenizerJson::isAdded(int32_t id) const {
  return id >= 0 && id < size() && addedIds.contains(spellings[static_cast<size_t>(id)]);
}

void TokenizerJson::readPostProcessor(const Part &part) {
  if (part.isNull())
    return;
  const std::string &type = part["type"].text();
  auto idIn = [&](const Part &pair) { // ["<s>", 0]
    if (pair.listSize() != 2)
      pair.fail("is no token with its id, [\"TOKEN\", ID]");
    return static_cast<int32_t>(pair.at(1).number(0, size() - 1));
  };
  if (type == "ByteLevel") {
    part.expectKeys({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    part.expectKeys({"type", "sep", "cls", "trim_offsets", "add_prefix_space"});
    before.insert(before.begin(), idIn(part["cls"]));
    behind.push_back(idIn(part["sep"]));
  } else if (type == "TemplateProcessing") {
    part.expectKeys({"type", "single", "pair", "special_tokens"});
    const Part single = part["single"];
    bool isBehind = false;
    for (size_t i = 0, count = single.listSize(); i < count; ++i) {
      if (const Part sequence = single.at(i)["Sequence"]; !sequence.isNull()) {
        if (isBehind)
          sequence.refuse("the text once more");
        isBehind = true;
        continue;
      }
      const Part token = single.at(i)["SpecialToken"]["id"];
      const Part ids = part["special_tokens"][token.text().c_str()]["ids"];
      for (size_t k = 0, all = ids.listSize(); k < all; ++k)
        (isBehind ? behind : before).push_back(static_cast<int32_t>(ids.at(k).number(0, size() - 1)));
    }
    if (!isBehind)
      single.fail("has no place for the text");
  } else if (type == "Sequence") {
    part.expectKeys({"type", "processors"});
    const Part list = part["processors"];
    for (size_t i = 0, count = list.listSize(); i < count; ++i)
      readPostProcessor(list.at(i));
  } else {
    part["type"].refuse(fmt::format("'{}'", type));
  }
}

/// Added tokens in a text, and what is between.
void TokenizerJson::split(std::string_view text, const PrefixSet &words, std::vector<Segment> &out) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size() && !words.isEmpty();) {
    size_t length = 0;
    int32_t place = -1;
    if (words.begins(text[at]))
      words.each(text.substr(at), [&](size_t bytes, int32_t number) { length = bytes, place = number; });
    if (place < 0) {
      ++at;
      continue;
    }
    const AddedToken &token = added[static_cast<size_t>(place)];
    size_t begin = at, end = at + length;
    at = end;
    if (token.isWord && ((begin > 0 && isWordCharacter(lastOf(text.substr(0, begin)))) ||
                         (end < text.size() && isWordCharacter(frontOf(text.substr(end), length)))))
      continue;
    if (token.takesSpacesBefore)
      begin = std::max(spacesBefore(text.substr(0, begin)), done);
    if (token.takesSpacesBehind)
      end += spacesBehind(text.substr(end));
    if (begin > done)
      out.push_back({done, begin, -1});
    if (end > begin) // else the token before has taken it along, with the spaces behind itself
      out.push_back({begin, end, token.id});
    done = end;
  }
  if (done < text.size())
    out.push_back({done, text.size(), -1});
}

void TokenizerJson::encode(std::string_view given, std::vector<int32_t> &ids, bool isRest) const {
  std::string repaired;
  if (std::any_of(given.begin(), given.end(), [](char c) { return c & 0x80; })) {
    repaired = repairUtf8(given); // `tokenizers` takes valid text alone
    given = repaired;
  }
  std::vector<Segment> segments, inner;
  split(given, inText, segments);
  Pieces pieces;
  for (const Segment &segment : segments) {
    if (segment.id >= 0) {
      ids.push_back(segment.id);
      continue;
    }
    std::string text(given.substr(segment.begin, segment.end - segment.begin));
    bool isFirst = segment.begin == 0;
    if (const Normalizer *step = normalizer.get())
      isFirst &= step->apply(text);
    inner.clear();
    split(text, inNormalized, inner);
    for (const Segment &part : inner) {
      if (part.id >= 0) {
        ids.push_back(part.id);
        continue;
      }
      pieces.clear();
      pieces.push_back({text.substr(part.begin, part.end - part.begin), isFirst && part.begin == 0 && !isRest});
      if (preTokenizer)
        preTokenizer->apply(pieces);
      for (const Piece &piece : pieces)
        if (!piece.text.empty())
          model->encode(piece.text, ids);
    }
  }
}

std::string TokenizerJson::decode(std::span<const int32_t> ids, bool spellSpecial) const {
  std::vector<std::string> tokens;
  for (int32_t id : ids)
    if (id < 0 || id >= size() || spellings[static_cast<size_t>(id)].empty())
      tokens.emplace_back("\xEF\xBF\xBD");
    else if (spellSpecial || !special[static_cast<size_t>(id)])
      tokens.push_back(spellings[static_cast<size_t>(id)]);
  if (decoder)
    decoder->apply(tokens);
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i)
    text += (i && !decoder ? " " : "") + tokens[i];
  return repairUtf8(text);
}

// Where a text may be cut. Added tokens must not reach over such a place: none has a space in it, takes spaces next to
// it, or asks what is next to it.
//
// Between words, as BytePairs::cutAt proves it: for byte levels with a pattern that is one of Patterns.h, text as it is
// or in form C.
void TokenizerJson::findCuts(const Part &file) {
  for (const AddedToken &token : added)
    if (hasSpace(token.content) || token.isWord || token.takesSpacesBefore || token.takesSpacesBehind)
      return;
  const Part form = file["normalizer"], pre = file["pre_tokenizer"];
  std::vector<Part> steps;
  if (const Part list = pre["pretokenizers"]; !list.isNull())
    for (size_t i = 0, count = list.listSize(); i < count; ++i)
      steps.push_back(list.at(i));
  else if (!pre.isNull())
    steps.push_back(pre);
  auto typeOf = [](const Part &step) { return step["type"].text(""); };
  auto isByteLevel = [&](const Part &step, bool cuts) {
    return typeOf(step) == "ByteLevel" && !step["add_prefix_space"].flag(true) && step["use_regex"].flag(true) == cuts;
  };
  auto isKnownSplit = [&](const Part &step) {
    if (typeOf(step) != "Split" || step["behavior"].text("") != "Isolated" || step["invert"].flag(false))
      return false;
    const std::string pattern = step["pattern"]["Regex"].text("");
    // As Llama 3's and Qwen's files write what Patterns.h has.
    for (const char *numbers : {"\\p{N}{1,3}", "\\p{N}"})
      if (pattern ==
          fmt::format("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{{L}}\\p{{N}}]?\\p{{L}}+|{}| ?[^\\s\\p{{L}}\\p{{N}}]"
                      "+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
                      numbers))
        return true;
    return false;
  };
  const bool isPlain = form.isNull() || typeOf(form) == "NFC";
  if (isPlain && ((steps.size() == 1 && isByteLevel(steps[0], true)) ||
                  (steps.size() == 2 && isKnownSplit(steps[0]) && isByteLevel(steps[1], false)) ||
                  (steps.size() == 2 && typeOf(steps[0]) == "Digits" && isByteLevel(steps[1], true)))) {
    cutsBetweenWords = true;
  }
}

size_t TokenizerJson::cutAt(std::string_view text) const { return cutsBetweenWords ? BytePairs::cutAt(text) : 0; }

} // namespace ftc::pipeline
