#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Ids and masks of torchtune's tokenizers of Llama 2, Llama 3, Qwen2, Qwen2.5, Qwen3, Mistral, Gemma, Phi-3 and Phi-4, for the unit tests of ours.

usage: golden_tokens.py OUT_FOLDER     (in the environment of requirements-torchtune.txt)

Writes small vocabularies, trained here on the texts below and on the GPL: llama3.model (tiktoken's format), special.json
(special tokens behind it), tokenizer.json (both, as Hugging Face has them; its library is asked too), llama2.model (SentencePiece, with Llama 2's settings; Mistral's and Phi-3's are the same), gemma.model (with Gemma's: no space in front, symbols that text may
spell); in qwen/ vocab.json, merges.txt
and tokenizer.json (GPT-2's byte pairs cut by Qwen's pattern), and qwen3.json (Qwen3's special tokens besides: its tokenizer came after torchtune 0.6.1, and is Qwen2.5's class with four tokens more;
Hugging Face's library is asked too), and the same in phi4/, with Phi-4's pattern and a few tokens more; and golden.json: texts with the ids
that torchtune's own classes give, and conversations with ids and masks; of long texts a number that stands for the ids.
"""
import base64
import collections
import json
import os
import sys

import random
import unicodedata

import regex
import sentencepiece
import tokenizers
from torchtune.data import AlpacaToMessages, InputOutputToMessages, Message, OpenAIToMessages, ShareGPTToMessages
from torchtune.models.gemma import gemma_tokenizer
from torchtune.models.llama2 import llama2_tokenizer
from torchtune.models.llama3 import llama3_tokenizer
from torchtune.models.llama3._tokenizer import CL100K_PATTERN
from torchtune.models.mistral import mistral_tokenizer
from torchtune.models.phi3 import phi3_mini_tokenizer
from torchtune.models.phi4 import phi4_tokenizer
from torchtune.models.phi4._tokenizer import CL100K_PATTERN as PHI4_PATTERN
from torchtune.models.qwen2 import qwen2_tokenizer
from torchtune.models.qwen2._tokenizer import PRETOKENIZE_REGEX
from torchtune.models.qwen2_5 import qwen2_5_tokenizer

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

# Gemma's model has pieces that text may spell, among them runs of line feeds.
GEMMA_SYMBOLS = ["<start_of_turn>", "<end_of_turn>", "\n\n", "\n\n\n", "  ", "   "]
GEMMA_TEXTS = ["<start_of_turn>user\nHi<end_of_turn>\n", "a\n\nb\n\n\nc\n\n\n\nd", "  x   y    z", "<bos>a<eos><pad>"]

# Qwen's: form C, special tokens in text, and merges whose order matters.
QWEN_TEXTS = [
    "A\u030angstro\u0308m \u212b \u2126 \ufb01 \u1112\u1161\u11ab\u1100\u1173\u11af \u0915\u093c \u0958", "a\u0307\u0323 a\u0323\u0307 \u0344 \u1e9b\u0323",
    "\u0301 alone, x\n\u0301 after a line", "<|im_start|>user\nHi<|im_end|>\n", "<|endoftext|><|endoftext|>x<|endoftext",
    "<tool_call>\n{}\n</tool_call> <|fim_prefix|>a<|fim_suffix|>", "<|im_start|e\u0301<|im_end|>'s", "qwqwqwq wqwqw qwwqw", "jkjkjk kjkjkl jkkl jklk",
]
QWEN_CHATS = [
    [("user", "Hi"), ("assistant", "Yo"), ("user", "Nobody answers")],
    [("user", "Look it up."), ("tool", "{\"found\": 3}"), ("assistant", "3 <|im_end|> e\u0301")],
]
# What tools answer has another role in torchtune's messages than in OpenAI's, and a wording of its own with Qwen2 and 2.5.
TOOL_CHATS = [
    [("user", "Look both up."), ("assistant", "a, b"), ("ipython", "{\"a\": 1}"), ("ipython", " 2 "), ("assistant", "1 and 2")],
    [("user", "Look it up."), ("assistant", "a"), ("ipython", "1"), ("user", "And?"), ("ipython", "3")],
]
# Thoughts and what tools answer are tokens of Qwen3.
QWEN3_TEXTS = ["<think>\nHm, 2+2.\n</think>\n\n4", "<think></think><thinking> </think", "<tool_response>\n{}\n</tool_response><tool_call>x</tool_call>"]
QWEN3_CHATS = [[("user", "2+2?"), ("assistant", "<think>\nEasy.\n</think>\n\n4"), ("user", "3+3?"), ("assistant", "<think>\n\n</think>\n\n6")]]
QWEN3_SPECIAL = ["<tool_response>", "</tool_response>", "<think>", "</think>"]
QWEN_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>e", "<tool_call>", "</tool_call>"]
# Merges before the trained ones: "qwq" has a rank before "qw", of which it is made, and "jkl" is made in two ways. So it
# matters that all pairs of a rank are joined before what they give.
QWEN_MERGES = [(b"qw", b"q"), (b"q", b"w"), (b"jk", b"l"), (b"jkl", b"j"), (b"j", b"kl"), (b"k", b"l"), (b"j", b"k"), (b"jk", b"j")]


# Prompt templates, by family: tags, names of torchtune's, or none in place of a family's own.
TAGS = {"system": ("<<", ">>\n"), "user": ("Q: ", "\nA: "), "assistant": ("", "\n")}
TEMPLATES = [("llama3", TAGS), ("qwen2", "torchtune.data.QuestionAnswerTemplate"), ("qwen2_5", TAGS), ("llama2", None), ("llama2", TAGS),
             ("llama2", "torchtune.data.SummarizeTemplate"), ("mistral", None), ("mistral", "torchtune.data.GrammarErrorCorrectionTemplate"), ("phi3", TAGS), ("phi4", TAGS), ("gemma", TAGS), ("gemma", "torchtune.data.SummarizeTemplate")] + [
    (family, "torchtune.data.ChatMLTemplate") for family in ("llama3", "llama2", "mistral", "gemma", "phi3", "phi4")]


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


def byte_pairs(corpus, merges, pattern):
    """Tokens of a byte-pair encoding, in the order of their ids, and what each but the bytes was joined of."""
    words = collections.Counter(tuple(bytes([b]) for b in piece.encode()) for text in corpus
                                for piece in regex.findall(pattern, text))
    joined_of = []
    tokens = [bytes([b]) for b in range(256)]
    for _ in range(merges):
        pairs = collections.Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        left, right = max(pairs, key=lambda pair: (pairs[pair], pair))
        tokens.append(left + right)
        joined_of.append((left, right))
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
    return tokens, joined_of


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


def hugging_face_file(tokens, merges, special, pattern, normalizer, ignore_merges):
    """Hugging Face's tokenizer.json of byte pairs: `tokens` by id, special tokens behind them."""
    letters = bytes_in_order()
    spell = lambda token: "".join(letters[byte] for byte in token)
    return {"version": "1.0", "added_tokens": [
        {"id": len(tokens) + i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True} for i, text in enumerate(special)], "normalizer": normalizer, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
        "post_processor": None, "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": ignore_merges,
                  "vocab": {spell(token): id for id, token in enumerate(tokens)},
                  "merges": [[spell(left), spell(right)] for left, right in merges]}}


def write_qwen(folder, corpus):
    """vocab.json, merges.txt, tokenizer.json. Ids say nothing of ranks here."""
    os.makedirs(folder, exist_ok=True)
    tokens, merges = byte_pairs([unicodedata.normalize("NFC", text) for text in corpus], 300, PRETOKENIZE_REGEX)
    merges = QWEN_MERGES + [pair for pair in merges if pair not in QWEN_MERGES]
    tokens = sorted(set(tokens) | {left + right for left, right in QWEN_MERGES})
    random.Random(1).shuffle(tokens)
    file = hugging_face_file(tokens, merges, QWEN_SPECIAL, PRETOKENIZE_REGEX, {"type": "NFC"}, False)
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as out:
        json.dump(file, out, ensure_ascii=True)
        out.write("\n")
    with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as out:
        json.dump(file["model"]["vocab"], out, ensure_ascii=False)
        out.write("\n")
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as out:
        out.write("#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in file["model"]["merges"]))
    theirs = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    ours = qwen2_tokenizer(os.path.join(folder, "vocab.json"), os.path.join(folder, "merges.txt"), os.path.join(folder, "tokenizer.json"))
    for text in TEXTS + QWEN_TEXTS[:-2]:  # in the last ones Hugging Face's order of joining is another
        assert theirs.encode(text, add_special_tokens=False).ids == ours.encode(text, add_bos=False, add_eos=False), text


def write_qwen3(folder):
    """qwen3.json beside Qwen's files. Hugging Face's tokenizer with these tokens, to compare with."""
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as file:
        whole = json.load(file)
    first = whole["added_tokens"][-1]["id"] + 1
    whole["added_tokens"] += [dict(whole["added_tokens"][-1], id=first + i, content=text, special=False) for i, text in enumerate(QWEN3_SPECIAL)]
    with open(os.path.join(folder, "qwen3.json"), "w", encoding="utf-8") as out:
        json.dump({"added_tokens": [{"id": token["id"], "content": token["content"]} for token in whole["added_tokens"]]}, out, indent=1)
        out.write("\n")
    return tokenizers.Tokenizer.from_str(json.dumps(whole))


def check_qwen3(theirs, golden):
    """Texts, and conversations as Qwen's chat templates spell them (without empty thoughts), are Hugging Face's ids too."""
    ids = lambda text: theirs.encode(text, add_special_tokens=False).ids
    for entry in golden["texts"]:
        assert entry["text"] in QWEN_TEXTS[-2:] or ids(entry["text"]) == entry["ids"], entry["text"]
    checked = 0
    for chat in golden["chats"]:
        words = [message["content"] for message in chat["messages"]]
        if all(isinstance(each, str) for each in words) and chat["messages"][-1]["role"] == "assistant":
            text, tools = "", 0
            for message in chat["messages"]:
                if message["role"] == "ipython":
                    text += ("\n" if tools else "<|im_start|>user\n") + f"<tool_response>\n{message['content']}\n</tool_response>"
                    tools += 1
                    continue
                text += ("<|im_end|>\n" if tools else "") + f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n"
                tools = 0
            assert ids(text.removesuffix("\n")) == chat["ids"], text
            checked += 1
    assert checked >= 5


# Phi's: GPT-2's pattern as Python reads it, special tokens that stay text.
PHI_TEXTS = ["12345 a1b2 e_x (x) x.\n (x 'S", "snake_case _x __y__ 'S it's IT'S", "a1b2 12ab ½x Ⅷi ² ٣٤", "\x1c\x1d x\x1e y\x1f\x1f z", "<|im_start|>user<|im_sep|>Hi<|im_end|>",
             "<|user|>\nHi<|end|>\n<|assistant|>", "  \n\n  x", "naïve_é 日本_語 \u0301\u0302 x\u0301y"]
PHI_CHATS = [
    [("user", "Hi"), ("assistant", "Yo"), ("user", "Nobody answers")],
    [("user", "Trailing spaces   "), ("assistant", "  both sides  ")],
]


def phi4_text(tokenizer, ids):
    """The text that Phi-4's decode spells: torchtune gives a list of GPT-2's spellings."""
    byte_of = {letter: byte for byte, letter in bytes_in_order().items()}
    return bytes(byte_of[letter] for token in tokenizer.decode(ids) for letter in token).decode("utf-8", "replace")


# Merges over which torchtune's pattern and cl100k_base's cut differently, behind Qwen's.
PHI4_MERGES = [(b"1", b"2"), (b"12", b"3"), (b"123", b"4"), (b"a", b"1"), (b"b", b"2"), (b"e", b"_"), (b"_", b"x"), (b"(", b"x"), (b"'", b"S"),
               (b".", b"\n"), (b"\x1c", b"\x1d"), (b"\x1f", b"\x1f")]


def write_phi4(folder, qwen):
    """vocab.json, merges.txt, and tokenizer.json as Hugging Face has Phi-4's, with cl100k_base's pattern: Qwen's small
    vocabulary and a few tokens more."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(qwen, "tokenizer.json"), encoding="utf-8") as file:
        model = json.load(file)["model"]
    byte_of = {letter: byte for byte, letter in bytes_in_order().items()}
    bytes_of = lambda spelling: bytes(byte_of[letter] for letter in spelling)
    tokens = [bytes_of(spelling) for spelling, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
    merges = [(bytes_of(left), bytes_of(right)) for left, right in model["merges"]]
    added = [pair for pair in PHI4_MERGES if pair not in merges]
    tokens += [left + right for left, right in added if left + right not in tokens]
    merges += added
    special = ["<|im_start|>", "<|im_sep|>", "<|im_end|>", "<|endoftext|>", "<|dummy_85|>"]
    file = hugging_face_file(tokens, merges, special, PHI4_PATTERN, None, False)
    with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as out:
        json.dump(file["model"]["vocab"], out, ensure_ascii=False)
        out.write("\n")
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as out:
        out.write("#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in file["model"]["merges"]))
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as out:
        json.dump(file, out, ensure_ascii=True)
        out.write("\n")
    theirs = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    return [{"text": text, "ids": theirs.encode(text, add_special_tokens=False).ids} for text in TEXTS + PHI_TEXTS if "<|im" not in text]


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
    tokens, _ = byte_pairs(corpus, 400, CL100K_PATTERN)
    assert len(set(tokens)) == len(tokens)
    with open(path("llama3.model"), "w", encoding="ascii") as file:
        for rank, token in enumerate(tokens):
            file.write(f"{base64.b64encode(token).decode()} {rank}\n")
    with open(path("special.json"), "w", encoding="utf-8") as file:
        json.dump({"added_tokens": [{"id": len(tokens) + i, "content": text} for i, text in enumerate(SPECIAL)]}, file, indent=1)
        file.write("\n")
    # The same vocabulary as Hugging Face writes it, with the pieces cut by the same pattern.
    ranks = {token: rank for rank, token in enumerate(tokens)}
    merges = [split_of(token, ranks) for token in tokens[256:]]
    with open(path("tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(hugging_face_file(tokens, merges, SPECIAL, CL100K_PATTERN, None, True), file, ensure_ascii=True)
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
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=path("gemma"), vocab_size=720, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False, split_digits=True,
        allow_whitespace_only_pieces=True, num_threads=1, hard_vocab_limit=False, user_defined_symbols=GEMMA_SYMBOLS,
        pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>")
    os.remove(path("gemma.vocab"))

    write_qwen(path("qwen"), corpus)
    qwen = [path("qwen/vocab.json"), path("qwen/merges.txt"), path("qwen/tokenizer.json")]
    qwen3 = write_qwen3(path("qwen"))

    phi4 = [path("phi4/vocab.json"), path("phi4/merges.txt")]
    to_messages = OpenAIToMessages()
    golden = {"phi4-huggingface": {"texts": write_phi4(path("phi4"), path("qwen"))}}
    for family, tokenizer in (("llama3", llama3_tokenizer(path("llama3.model"), path("special.json"))),
                              ("llama2", llama2_tokenizer(path("llama2.model"))), ("qwen2", qwen2_tokenizer(*qwen)),
                              ("qwen2_5", qwen2_5_tokenizer(*qwen)), ("qwen3", qwen2_5_tokenizer(*qwen[:2], path("qwen/qwen3.json"))), ("mistral", mistral_tokenizer(path("llama2.model"))),
                              ("gemma", gemma_tokenizer(path("gemma.model"))),
                              ("phi3", phi3_mini_tokenizer(path("llama2.model"))), ("phi4", phi4_tokenizer(*phi4))):
        is_qwen, is_phi = family.startswith("qwen"), family.startswith("phi")
        pieces = family in ("llama2", "mistral", "gemma", "phi3")
        encode = lambda text: tokenizer.encode(text, add_bos=False, add_eos=False)
        chats = []
        has_tools = family not in ("mistral", "phi3", "llama2")  # the last says the message before once more
        for chat in CHATS + (QWEN_CHATS if is_qwen else PHI_CHATS if is_phi else []) + (QWEN3_CHATS if family == "qwen3" else []) + (TOOL_CHATS if has_tools else []):
            if pieces and chat[-1][1] == "":
                chat = chat[:-1] + [("assistant", "-")]
            messages = [{"role": role, "content": [{"type": "text", "text": piece} for piece in words]
                         if isinstance(words, list) else words} for role, words in chat]
            if family == "mistral" and chat[0][0] == "system":
                try:
                    tokenizer.tokenize_messages(to_messages({"messages": messages})["messages"])
                    raise AssertionError("Mistral's words a system prompt")
                except ValueError:
                    continue
            ids, mask = tokenizer.tokenize_messages(to_messages({"messages": messages})["messages"])
            chats.append({"messages": messages, "ids": ids, "trained": [int(not masked) for masked in mask]})
        # What an answer goes on from. torchtune's tokenizer of Phi-3 ends the answer there, too, and those of pieces end no
        # earlier answer then.
        questions = []
        ends = {"add_end_tokens" if family.startswith("llama") else "add_eos": False}
        for chat in CHATS if family != "phi3" else []:
            if pieces and any(role == "assistant" or family == "mistral" and role == "system" for role, _ in chat[:-1]):
                continue
            messages = [{"role": role, "content": [{"type": "text", "text": piece} for piece in words]
                         if isinstance(words, list) else words} for role, words in chat[:-1]]
            asked = to_messages({"messages": messages + [{"role": "assistant", "content": "-"}]})["messages"][:-1]
            asked.append(Message(role="assistant", content=[] if pieces else ""))
            questions.append({"messages": messages, "ids": tokenizer.tokenize_messages(asked, **ends)[0]})
        records = {}
        for name, (transform, given) in RECORDS.items():
            if family == "mistral" and not name.startswith("alpaca"):
                continue  # they have system prompts
            pairs = [tokenizer.tokenize_messages(transform(dict(record))["messages"]) for record in given]
            records[name] = {"records": given, "ids": [ids for ids, _ in pairs],
                             "trained": [[int(not masked) for masked in mask] for _, mask in pairs]}
        texts = TEXTS + (QWEN_TEXTS if is_qwen else PHI_TEXTS if is_phi else GEMMA_TEXTS if family == "gemma" else []) + (QWEN3_TEXTS if family == "qwen3" else [])
        golden[family] = {"records": records, "texts": [{"text": text, "ids": encode(text)} | ({"spelled": tokenizer.decode(encode(text))} if is_qwen else {})
                                                       for text in texts], "chats": chats, "questions": questions,
                          "long": [{"text": text, "times": times, "count": len(ids), "digest": digest(ids)} for text, times in LONG
                                   for ids in [encode(text * times)]]
                          if not pieces and not is_phi else []}
        if is_phi:
            dice = random.Random(2)
            special = range(32000, 32011) if family == "phi3" else range(100256, 100352)
            size = tokenizer.vocab_size
            lists = [[dice.choice(special) if dice.random() < 0.2 else dice.randrange(3 if pieces else 0, size) for _ in range(12)] for _ in range(40)]
            golden[family]["decoded"] = [{"ids": ids, "text": tokenizer.decode(ids) if family == "phi3" else phi4_text(tokenizer, ids)} for ids in lists]
        if is_qwen:
            dice = random.Random(2)
            lists = [[dice.randrange(len(tokenizer.encoder) + len(QWEN_SPECIAL) + (len(QWEN3_SPECIAL) if family == "qwen3" else 0)) for _ in range(12)] for _ in range(40)]
            golden[family]["decoded"] = [{"ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=True), "spelled": tokenizer.decode(ids)}
                                         for ids in lists]
    check_qwen3(qwen3, golden["qwen3"])
    golden["templates"] = []
    for family, template in TEMPLATES:
        tokenizer = {"llama3": lambda: llama3_tokenizer(path("llama3.model"), path("special.json"), prompt_template=template),
                     "llama2": lambda: llama2_tokenizer(path("llama2.model"), prompt_template=template),
                     "mistral": lambda: mistral_tokenizer(path("llama2.model"), prompt_template=template),
                     "gemma": lambda: gemma_tokenizer(path("gemma.model"), prompt_template=template),
                     "phi3": lambda: phi3_mini_tokenizer(path("llama2.model"), prompt_template=template),
                     "phi4": lambda: phi4_tokenizer(*phi4, prompt_template=template),
                     "qwen2": lambda: qwen2_tokenizer(*qwen, prompt_template=template),
                     "qwen2_5": lambda: qwen2_5_tokenizer(*qwen, prompt_template=template)}[family]()
        tags = {role: list(words) for role, words in tokenizer.prompt_template.template.items()} if template else {}
        entry = {"family": family, "component": template if isinstance(template, str) else "", "tags": tags, "chats": []}
        # An answer without words stays open in ChatML.
        chats = CHATS if "ChatML" in str(template) and family in ("llama3", "phi4") else CHATS[:2] + CHATS[3:]
        for chat in chats:
            messages = [{"role": role, "content": [{"type": "text", "text": piece} for piece in words]
                         if isinstance(words, list) else words} for role, words in chat]
            ids, mask = tokenizer.tokenize_messages(to_messages({"messages": messages})["messages"])
            entry["chats"].append({"messages": messages, "ids": ids, "trained": [int(not masked) for masked in mask]})
        golden["templates"].append(entry)
    with open(path("golden.json"), "w", encoding="utf-8") as file:
        json.dump(golden, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
