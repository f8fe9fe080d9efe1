//===- SentencePieceModel.cpp - Pieces of text ----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "SentencePieceModel.h"

#include <optional>

using namespace ftc;

namespace {

/// What a space becomes: U+2581.
constexpr std::string_view spaceMark = "\xE2\x96\x81";

/// A message in Protocol Buffers' wire format, read field by field.
class Fields {
public:
  explicit Fields(std::string_view bytes) : rest(bytes) {}
  /// Goes to the next field: its number, or 0 at the end or where the message is damaged.
  uint64_t next() {
    std::optional<uint64_t> tag = varint();
    number = 0;
    bytes = {};
    if (!tag)
      return 0;
    size_t length = 0;
    switch (*tag & 7) {
    case 0:
      number = varint().value_or(0);
      return *tag >> 3;
    case 1:
      length = 8;
      break;
    case 2:
      length = varint().value_or(rest.size() + 1);
      break;
    case 5:
      length = 4;
      break;
    default:
      return 0;
    }
    if (length > rest.size())
      return 0;
    bytes = rest.substr(0, length);
    rest.remove_prefix(length);
    return *tag >> 3;
  }
  uint64_t number = 0;    ///< of the field, where it is one
  std::string_view bytes; ///< of any other

private:
  std::optional<uint64_t> varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest.empty(); shift += 7) {
      auto byte = static_cast<unsigned char>(rest.front());
      rest.remove_prefix(1);
      value |= uint64_t(byte & 0x7F) << shift;
      if (byte < 0x80)
        return value;
    }
    return std::nullopt;
  }

  std::string_view rest;
};

/// Whether a model joins pairs of pieces, and takes text as it is but for the mark of spaces. Fields are those of
/// sentencepiece_model.proto, and so are the values of those that are absent.
bool joinsTextAsItIs(std::string_view model) {
  uint64_t type = 1, suffix = 0, removesSpaces = 1, marksSpaces = 1;
  bool maps = false;
  for (Fields fields(model); uint64_t field = fields.next();) {
    Fields inner(fields.bytes);
    while (uint64_t part = field == 2 || field == 3 ? inner.next() : 0) {
      if (field == 2 && part == 3)
        type = inner.number; // model_type: 2 is BPE
      else if (field == 2 && part == 24)
        suffix = inner.number; // treat_whitespace_as_suffix
      else if (field == 3 && part == 2)
        maps |= !inner.bytes.empty(); // precompiled_charsmap
      else if (field == 3 && part == 4)
        removesSpaces = inner.number; // remove_extra_whitespaces
      else if (field == 3 && part == 5)
        marksSpaces = inner.number; // escape_whitespaces
    }
  }
  return type == 2 && !suffix && !maps && !removesSpaces && marksSpaces;
}

} // namespace

std::string SentencePieceModel::load(const std::string &path) {
  if (sentencepiece::util::Status status = model->Load(path); !status.ok())
    return status.ToString();
  if (model->bos_id() < 0 || model->eos_id() < 0)
    return "it has no token for the begin or the end of a text";
  for (const char *space : {" ", "\n", "\t", "\r", "\v"})
    keepsSpaces |= !encoded(space).empty();
  prefix = encoded("\n").size();
  findCuts();
  return "";
}

// Byte-pair encoding joins two neighbours only to a piece of the model. So no join reaches over a place between
// characters a and b if no piece has a before b, and what is joined on one side does not depend on the other. Two more
// things have to hold. The right side is encoded behind a line feed (encodeInside), so no piece may have a line feed
// before b either. And neighbours that are both unknown are one id, so one side must be known: the space, or the line
// feed.
void SentencePieceModel::findCuts() {
  if (!joinsTextAsItIs(model->serialized_model_proto()))
    return;
  auto known = [&](std::string_view piece) {
    int id = model->PieceToId({piece.data(), piece.size()});
    return id != model->unk_id();
  };
  const std::vector<int> lineFeed = encoded("\n");
  cutsBeforeSpaces = known(spaceMark);
  cutsBehindLineFeeds = std::find(lineFeed.begin(), lineFeed.end(), model->unk_id()) == lineFeed.end();
  for (int id = 0; id < model->GetPieceSize(); ++id) {
    if (model->IsControl(id) || model->IsByte(id) || model->IsUnknown(id))
      continue;
    const std::string &piece = model->IdToPiece(id);
    for (size_t at = piece.find(spaceMark, 1); at != piece.npos; at = piece.find(spaceMark, at + 1))
      cutsBeforeSpaces &= std::string_view(piece).substr(0, at).ends_with(spaceMark);
    for (size_t at = piece.find('\n'); at != piece.npos; at = piece.find('\n', at + 1))
      cutsBehindLineFeeds &= at + 1 == piece.size() || piece[at + 1] == '\n';
  }
}

size_t SentencePieceModel::cutAt(std::string_view text) const {
  // Between a letter of ASCII, or a line feed, and a space; or between a line feed and anything else.
  for (size_t at = text.size(); at-- > 1;) {
    char last = text[at - 1], next = text[at];
    bool ascii = static_cast<unsigned char>(last) < 0x80;
    if ((cutsBeforeSpaces && next == ' ' && ascii && last != ' ') ||
        (cutsBehindLineFeeds && last == '\n' && next != '\n'))
      return at;
  }
  return 0;
}
