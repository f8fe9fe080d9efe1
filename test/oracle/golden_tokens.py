#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Ids and masks of torchtune's tokenizers of Llama 2 and Llama 3, for the unit test of ours.

usage: golden_tokens.py OUT_FOLDER     (in the environment of requirements-torchtune.txt)

Writes small vocabularies, trained here on the texts below and on the GPL: llama3.model (tiktoken's format), special.json
(special tokens behind it), tokenizer.json (both, as Hugging Face has them; its library is asked too), llama2.model (SentencePiece, with Llama 2's settings); and golden.json: texts with the ids
that torchtune's own classes give, and conversations with ids and masks; of long texts a number that stands for the ids.
"""
import base64
import collections
import json
import os
import sys

import regex
import sentencepiece
import tokenizers
from torchtune.data import AlpacaToMessages, InputOutputToMessages, OpenAIToMessages, ShareGPTToMessages
from torchtune.models.llama2 import llama2_tokenizer
from torchtune.models.llama3 import llama3_tokenizer
from torchtune.models.llama3._tokenizer import CL100K_PATTERN

TEXTS = [
    "Hello world!", "", " ", "a", "The license's terms: you'll see, we've SAID it'S ok, I'm sure they'd agree.",
    "  two  spaces   three\n\n\nlines\r\nCRLF\r\n\r\n  indented\ttab\t\ttabs \n x ", "12345678901234567890 1,234.56 ٣٤٥ ½ Ⅷ",
    "naïve café e\u0301 Straße ǅ ſ'ſ 'S", "日本語のテキスト。中文文本,한국어", "Привет, мир! Γειά σου Κόσμε", "שלום עולם مرحبا بالعالم",
    "😀😃👨‍👩‍👧‍👦 🇩🇪 flags", "nbsp\u00a0here\u2003em\u3000wide\u0085next\u2028line\u180emongolian\ufeffbom", "<|begin_of_text|>not special<|eot_id|>",
    "def f(x):\n    return x**2  # comment\n\n\nclass A:\n\tpass\n", "...!!!???---===   ***\n", "\n\n  \n \n", "x" * 40, "ab" * 300,
    "a\x00b\x01c\x1cd\x1fe\x7ff", "http://example.com/path?query=1&other=2#frag", "𝓤𝓷𝓲𝓬𝓸𝓭𝓮 𐍈 \U0010ffff",
]
LONG = [("a", 60000), (" ", 60001), ("ab ", 150000), ("é", 30001), ("\u3000\n", 20000)]
CHATS = [
    [("user", "Hi there"), ("assistant", "Hello! How can I help?")],
    [("system", "  Be brief.\n"), ("user", " What is 2+2? "), ("assistant", "4"), ("user", "And 3+3?\n\n"), ("assistant", " 6 ")],
    [("user", "日本の首都は?"), ("assistant", "東京です。\n"), ("user", "<|eot_id|> ok"), ("assistant", "")],
    [("user", ["Two pieces, ", " the second one "]), ("assistant", "Seen.")],
    [("user", "\u00a0\x1c odd spaces \x1f\u3000"), ("assistant", "\u2003yes\u0085")],
]
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>", "<|step_id|>", "<|start_header_id|>", "<|end_header_id|>",
           "<|eom_id|>", "<|eot_id|>", "<|python_tag|>", "<|image|>"]


# Data sets: how torchtune makes messages of a record, and records.
RECORDS = {
    "alpaca": (AlpacaToMessages(), [
        {"instruction": "Add the numbers.", "input": "2 and 3", "output": "5"},
        {"instruction": "Name a colour.", "input": "", "output": "Blue"}, {"instruction": "Say hi.", "output": " hi\n"}]),
    "alpaca-answers": (AlpacaToMessages(train_on_input=False, column_map={"instruction": "ask", "output": "say"}), [
        {"ask": "Add the numbers.", "input": "2 and 3", "say": "5"}]),
    "instruct": (InputOutputToMessages(column_map={"input": "q", "output": "a"}, new_system_prompt="Be brief."), [
        {"q": "Why?", "a": "Because."}]),
    "sharegpt": (ShareGPTToMessages(train_on_input=True), [
        {"conversations": [{"from": "system", "value": "Be kind."}, {"from": "human", "value": "Hi"},
                           {"from": "gpt", "value": "Hello"}]}]),
    "sharegpt-prompt": (ShareGPTToMessages(train_on_input=True, new_system_prompt="Be brief."), [
        {"conversations": [{"from": "system", "value": "Be kind."}, {"from": "human", "value": "Hi"},
                           {"from": "gpt", "value": "Hello"}]}]),
}


def byte_pairs(corpus, merges):
    """Tokens of a byte-pair encoding, in the order of their ids."""
    words = collections.Counter(tuple(bytes([b]) for b in piece.encode()) for text in corpus
                                for piece in regex.findall(CL100K_PATTERN, text))
    tokens = [bytes([b]) for b in range(256)]
    for _ in range(merges):
        pairs = collections.Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        left, right = max(pairs, key=lambda pair: (pairs[pair], pair))
        tokens.append(left + right)
        joined = collections.Counter()
        for word, count in words.items():
            out = []
            for part in word:
                if out and out[-1] == left and part == right:
                    out[-1] = left + right
                else:
                    out.append(part)
            joined[tuple(out)] += count
        words = joined
    return tokens


def split_of(token, ranks):
    """The two tokens that a token was joined of: what its bytes become without it."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        rank, at = min((ranks.get(a + b, len(ranks)), i) for i, (a, b) in enumerate(zip(parts, parts[1:])))
        parts[at:at + 2] = [parts[at] + parts[at + 1]]
    return parts


def bytes_in_order():
    """GPT-2's map of bytes to characters, as (byte, character)."""
    plain = [byte for byte in range(256) if 0x21 <= byte <= 0x7E or byte >= 0xA1 and byte != 0xAD]
    return {byte: chr(byte) for byte in plain} | {
        byte: chr(0x100 + i) for i, byte in enumerate(byte for byte in range(256) if byte not in plain)}


def digest(ids):
    """A number that stands for ids, small enough for a test to compute."""
    number = 0
    for one in ids:
        number = (number * 1000003 + one) % 2**64
    return number


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    path = lambda name: os.path.join(out, name)
    with open("/usr/share/common-licenses/GPL-3", encoding="utf-8") as file:
        corpus = TEXTS + [file.read()]
    tokens = byte_pairs(corpus, 400)
    assert len(set(tokens)) == len(tokens)
    with open(path("llama3.model"), "w", encoding="ascii") as file:
        for rank, token in enumerate(tokens):
            file.write(f"{base64.b64encode(token).decode()} {rank}\n")
    with open(path("special.json"), "w", encoding="utf-8") as file:
        json.dump({"added_tokens": [{"id": len(tokens) + i, "content": text} for i, text in enumerate(SPECIAL)]}, file, indent=1)
        file.write("\n")
    # The same vocabulary as Hugging Face writes it, with the pieces cut by the same pattern.
    letters = bytes_in_order()
    spell = lambda token: "".join(letters[byte] for byte in token)
    ranks = {token: rank for rank, token in enumerate(tokens)}
    merges = [pair for token in tokens[256:]
              for pair in [split_of(token, ranks)]]
    with open(path("tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump({"version": "1.0", "added_tokens": [
            {"id": len(tokens) + i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True} for i, text in enumerate(SPECIAL)], "normalizer": None, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": CL100K_PATTERN}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
            "post_processor": None, "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
                      "vocab": {spell(token): rank for token, rank in ranks.items()},
                      "merges": [[spell(left), spell(right)] for left, right in merges]}}, file, ensure_ascii=True)
        file.write("\n")
    theirs = tokenizers.Tokenizer.from_file(path("tokenizer.json"))
    ours = llama3_tokenizer(path("llama3.model"), path("special.json"))
    for text in TEXTS:
        if "<|" not in text:  # Hugging Face's reads special tokens in text
            assert theirs.encode(text, add_special_tokens=False).ids == ours.encode(text, add_bos=False, add_eos=False), text

    lines = [line for text in corpus for line in text.replace("\0", " ").splitlines() if line.strip()]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=path("llama2"), vocab_size=700, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True,
        allow_whitespace_only_pieces=True, num_threads=1, hard_vocab_limit=False)
    os.remove(path("llama2.vocab"))

    to_messages = OpenAIToMessages()
    golden = {}
    for family, tokenizer in (("llama3", llama3_tokenizer(path("llama3.model"), path("special.json"))),
                              ("llama2", llama2_tokenizer(path("llama2.model")))):
        encode = lambda text: tokenizer.encode(text, add_bos=False, add_eos=False)
        chats = []
        for chat in CHATS:
            if family == "llama2" and chat[-1][1] == "":
                chat = chat[:-1] + [("assistant", "-")]
            messages = [{"role": role, "content": [{"type": "text", "text": piece} for piece in words]
                         if isinstance(words, list) else words} for role, words in chat]
            ids, mask = tokenizer.tokenize_messages(to_messages({"messages": messages})["messages"])
            chats.append({"messages": messages, "ids": ids, "trained": [int(not masked) for masked in mask]})
        records = {}
        for name, (transform, given) in RECORDS.items():
            pairs = [tokenizer.tokenize_messages(transform(dict(record))["messages"]) for record in given]
            records[name] = {"records": given, "ids": [ids for ids, _ in pairs],
                             "trained": [[int(not masked) for masked in mask] for _, mask in pairs]}
        golden[family] = {"records": records, "texts": [{"text": text, "ids": encode(text)} for text in TEXTS], "chats": chats,
                          "long": [{"text": text, "times": times, "count": len(ids), "digest": digest(ids)} for text, times in LONG
                                   for ids in [encode(text * times)]]
                          if family == "llama3" else []}
    with open(path("golden.json"), "w", encoding="utf-8") as file:
        json.dump(golden, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
