//===- Wording.cpp - What is written around messages -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TokenStore.h"

#include <algorithm>
#include <fmt/format.h>

using namespace ftc;

/// The wording of Taori et al. 2023.
std::string ftc::alpacaWords(const std::string &instruction, const std::string &input) {
  if (!input.empty())
    return fmt::format("Below is an instruction that describes a task, paired with an input that provides further "
                       "context. Write a response that appropriately completes the request.\n\n### "
                       "Instruction:\n{}\n\n### Input:\n{}\n\n### Response:\n",
                       instruction, input);
  return fmt::format("Below is an instruction that describes a task. Write a response that appropriately completes "
                     "the request.\n\n### Instruction:\n{}\n\n### Response:\n",
                     instruction);
}

void ftc::wordTurns(const DataOptions &options, std::vector<Message> &turns) {
  if (options.systemPrompt) {
    std::erase_if(turns, [](const Message &turn) { return turn.role == "system"; });
    turns.insert(turns.begin(), Message{"system", {*options.systemPrompt}, false});
  }
  bool isLast = true; // of the assistant's
  for (auto turn = turns.rbegin(); turn != turns.rend(); ++turn) {
    const bool isAnswer = turn->role == "assistant";
    turn->trained = options.masking == MaskingStrategy::TrainOnAll    ? turn->role != "system"
                    : options.masking == MaskingStrategy::TrainOnLast ? isAnswer && isLast
                                                                      : isAnswer || options.trainOnInput;
    isLast &= !isAnswer;
  }
  // A system prompt of the recipe's own is masked always, as torchtune does.
  if (options.systemPrompt)
    turns.front().trained = false;
  for (Message &turn : turns)
    for (const PromptTags &tags : options.promptTags) {
      if (tags.role != turn.role)
        continue;
      const bool isOpen =
          tags.staysOpen && &turn == &turns.back() &&
          std::all_of(turn.pieces.begin(), turn.pieces.end(), [](const std::string &piece) { return piece.empty(); });
      if (!tags.before.empty())
        turn.pieces.insert(turn.pieces.begin(), tags.before);
      if (!tags.after.empty() && !isOpen)
        turn.pieces.push_back(tags.after);
    }
}

std::string ftc::encodeQuestion(const std::string &question, const DataOptions &options, const Tokenizer &tokenizer,
                                std::vector<int32_t> &ids) {
  DataOptions open = options;
  for (PromptTags &tags : open.promptTags)
    if (tags.role == "assistant")
      tags.staysOpen = true;
  const bool isAlpaca = options.records == RecordKind::Alpaca;
  std::vector<Message> turns = {{"user", {isAlpaca ? alpacaWords(question, "") : question}}, {"assistant", {}}};
  wordTurns(open, turns);
  std::string why = tokenizer.whyNotWorded(turns);
  if (why.empty())
    tokenizer.encodeQuestion(turns, ids);
  return why;
}
