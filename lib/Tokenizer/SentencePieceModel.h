//===- SentencePieceModel.h - Pieces of text --------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_SENTENCEPIECEMODEL_H
#define FTC_LIB_TOKENIZER_SENTENCEPIECEMODEL_H

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sentencepiece_processor.h>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ftc {

/// A SentencePiece model (Kudo and Richardson 2018) as torchtune uses it. The library puts a space before what it
/// encodes; in the middle of a text torchtune takes it away by encoding a line feed in front and dropping what that
/// gives.
class SentencePieceModel {
public:
  /// Reads a file. The error, or "".
  std::string load(const std::string &path);

  int64_t size() const { return model->GetPieceSize(); }
  int32_t bosId() const { return model->bos_id(); }
  int32_t eosId() const { return model->eos_id(); }
  /// Whether `id` stands for no text, as the begin of one.
  bool isControl(int32_t id) const { return model->IsControl(id); }
  std::string spelling(int32_t id) const { return model->IdToPiece(id); }

  void encode(std::string_view text, std::vector<int32_t> &ids) const {
    std::vector<int> found = encoded(text);
    ids.insert(ids.end(), found.begin(), found.end());
  }
  /// Without the space that the model puts in front.
  void encodeInside(std::string_view text, std::vector<int32_t> &ids) const {
    if (!keepsSpaces)
      return encode(text, ids);
    std::vector<int> found = encoded("\n" + std::string(text));
    ids.insert(ids.end(), found.begin() + static_cast<std::ptrdiff_t>(std::min(prefix, found.size())), found.end());
  }
  /// How much of the front of `text` may be encoded alone, whatever follows it, where encodeInside has the rest; 0:
  /// nothing.
  size_t cutAt(std::string_view text) const;
  /// The text of ids below size(); "" where there is none. It may be no UTF-8.
  std::string decode(std::span<const int32_t> ids) const {
    std::string text;
    if (ids.empty() || !model->Decode(std::vector<int>(ids.begin(), ids.end()), &text).ok())
      text.clear();
    return text;
  }

private:
  void findCuts();
  std::vector<int> encoded(std::string_view text) const {
    std::vector<int> ids;
    if (!model->Encode({text.data(), text.size()}, &ids).ok())
      ids.clear();
    return ids;
  }

  std::unique_ptr<sentencepiece::SentencePieceProcessor> model =
      std::make_unique<sentencepiece::SentencePieceProcessor>(); // does not move
  bool keepsSpaces = false;                                      ///< some character of space alone has ids
  size_t prefix = 0;                                             ///< ids of a line feed
  bool cutsBeforeSpaces = false, cutsBehindLineFeeds = false;    ///< where cutAt may cut
};

} // namespace ftc

#endif // FTC_LIB_TOKENIZER_SENTENCEPIECEMODEL_H
