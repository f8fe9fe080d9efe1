#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Ids that Hugging Face's `tokenizers` makes, and conversations in the wording of chat templates, for the unit tests of ours.

usage: golden_pipelines.py OUT_FOLDER     (in the environment of requirements-torch.txt)

Writes small tokenizer.json files, trained here on the GPL and a few texts (byte levels as GPT-2's, Llama 3's, Qwen's, SmolLM's and DeepSeek's; pairs with bytes for unknown
characters as Llama 2's and Gemma's; a unigram model), and golden.json: for each its texts with ids, and lists of ids with their text; `variants`: parts that replace those of a file,
with the ids that it then makes; in odd.json small files with texts and their ids; and `chats`: tokenizer files with a chat template, and conversations with the text that transformers writes, their ids, and which of these
torchtune's way (the first message, the first two, ...) gives to the assistant.
"""
import json
import os
import random
import sys

from chat_templates import CHATS, TEMPLATES
from golden_chat import rendered
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = [
    "Hello world!", "", " ", "a", "The license's terms: you'll see, we've SAID it'S ok, I'm sure they'd agree.", "  two  spaces   three\n\n\nlines\r\nCRLF\r\n\r\n  indented\ttab\t\ttabs \n x ",
    "12345678901234567890 1,234.56 ٣٤٥ ½ Ⅷ", "naïve café e\u0301 Straße ǅ ſ'ſ 'S", "日本語のテキスト。中文文本,한국어", "Привет, мир! Γειά σου", "שלום مرحبا", "😀👨‍👩‍👧 🇩🇪 flags",
    "nbsp\u00a0here\u2003em\u3000wide\u0085next\u2028line\u180emongolian\ufeffbom", "<|begin_of_text|>x<|eot_id|> <|im_start|>user\nHi<|im_end|>\n <s>a</s> <unk>", "def f(x):\n    return x**2  # c\n\n\tpass\n",
    "...!!!???---===   ***\n", "\n\n  \n \n", "x" * 40, "a\x00b\x01c\x1cd\x1fe\x7ff", "𝓤𝓷 𐍈 \U0010ffff", "a<w>b <w> c<w>.<w>", "x  <l>  y <l><l>", "x <r>  y<r> <r>", "FooFoo Foo", "  lead", "trail  ",
    "▁▁x ▁ y", "A\u030angstro\u0308m \u212b \ufb01 \u1112\u1161\u11ab", "\u0301 alone, x\n\u0301 after", "a.b,c;d-e_f", "<start_of_turn>user\nHi\n\n\nx", "<think>\nx</think> <thinking>",
]
EXTRA = ["日本語のテキスト。中文文本 한국어 naïve café Straße Привет мир 12345 x=1;\n\n\tdef f(x):\n    return x**2\n", "  two  spaces   three\n\n\n   indented 1234.5 it's we'll I'M"] * 20
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# As GPT-4o's tokenizer cuts, and Phi-4 mini's.
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = [r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+", r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""]


def corpus():
    with open("/usr/share/common-licenses/GPL-3", encoding="utf-8") as file:
        return [file.read()] + EXTRA


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def byte_level(pre_tokenizer, special, normalizer=None, **options):
    """Pairs of bytes, with `special` tokens behind them."""
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.add_special_tokens(special)
    return tokenizer


def characters(normalizer, pre_tokenizer, decoder):
    """Pairs of characters, with the tokens of bytes for those that are unknown, as SentencePiece's models have them."""
    trained = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    special = ["<unk>", "<s>", "</s>"]
    trained.train_from_iterator(corpus()[:1], trainers.BpeTrainer(vocab_size=520, special_tokens=special + [f"<0x{byte:02X}>" for byte in range(256)], show_progress=False))
    file = json.loads(trained.to_str())
    file["added_tokens"] = [token for token in file["added_tokens"] if token["content"] in special]
    file.update(normalizer=None, pre_tokenizer=None)
    tokenizer = Tokenizer.from_str(json.dumps(file))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    return tokenizer


def make():
    """Tokenizers by name."""
    bytes_alone = lambda: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    sequence = lambda *steps: pre_tokenizers.Sequence([*steps, bytes_alone()])
    made = {"gpt2": byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), ["<|endoftext|>"])}
    made["gpt2"].post_processor = processors.ByteLevel(trim_offsets=False)
    made["gpt2"].add_tokens([AddedToken("<w>", single_word=True), AddedToken("<l>", lstrip=True), AddedToken("<r>", rstrip=True, lstrip=True), AddedToken("Foo", normalized=True)])
    made["llama3"] = byte_level(sequence(split(LLAMA3)), ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], ignore_merges=True)
    begin = made["llama3"].token_to_id("<|begin_of_text|>")
    made["llama3"].post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B", special_tokens=[("<|begin_of_text|>", begin)])])
    made["qwen"] = byte_level(sequence(split(LLAMA3.replace("{1,3}", ""))), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizers.NFC())
    made["qwen"].add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    made["smollm"] = byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    made["deepseek"] = byte_level(sequence(*(split(pattern) for pattern in DEEPSEEK)), ["<｜begin▁of▁sentence｜>"])
    to_spaces = decoders.Replace("▁", " ")
    made["llama2"] = characters(normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None,
                                decoders.Sequence([to_spaces, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]))
    made["llama2"].post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    made["gemma"] = characters(normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"), decoders.Sequence([to_spaces, decoders.ByteFallback(), decoders.Fuse()]))
    made["gemma"].add_tokens([AddedToken("<start_of_turn>", normalized=False, special=True), AddedToken("<end_of_turn>", normalized=False, special=True), AddedToken("\n\n", normalized=False)])
    made["mistral"] = characters(None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False), decoders.Metaspace(prepend_scheme="first"))
    made["mistral"].add_special_tokens(["[INST]", "[/INST]"])
    unigram = Tokenizer(models.Unigram())
    unigram.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    unigram.normalizer = normalizers.NFKC()
    unigram.train_from_iterator(corpus(), trainers.UnigramTrainer(vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>", show_progress=False))
    unigram.decoder = decoders.Metaspace()
    made["unigram"] = unigram
    return made


def variants():
    """(file, parts that replace its own)."""
    bytes_alone = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    pre = lambda *steps: {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [*steps, bytes_alone]}}
    pattern = lambda text, behavior, invert: {"type": "Split", "pattern": {"Regex": text}, "behavior": behavior, "invert": invert}
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        yield "gpt2", pre(pattern(r"[aeiou\s]", behavior, False))
        yield "gpt2", pre(pattern(r"\w+|[^\w\s]+", behavior, True))
        yield "gpt2", pre({"type": "Punctuation", "behavior": behavior})
    yield "gpt2", pre(pattern(GPT4O, "Removed", True))
    yield "gpt2", pre({"type": "Split", "pattern": {"String": "e"}, "behavior": "Isolated", "invert": False})
    for step in ({"type": "Whitespace"}, {"type": "WhitespaceSplit"}, {"type": "BertPreTokenizer"}, {"type": "Digits", "individual_digits": False}, {"type": "CharDelimiterSplit", "delimiter": "e"}):
        yield "gpt2", pre(step)
    yield "gpt2", {"pre_tokenizer": dict(bytes_alone, add_prefix_space=True, use_regex=True)}
    yield "gpt2", {"pre_tokenizer": None, "normalizer": {"type": "ByteLevel"}}
    for step in ({"type": "NFD"}, {"type": "NFKD"}, {"type": "NFKC"}, {"type": "Lowercase"}, {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Strip", "strip_left": False, "strip_right": True},
                 {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}]}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, {"type": "Prepend", "prepend": "ab"}):
        yield "gpt2", {"normalizer": step}
    for scheme in ("always", "first", "never"):
        for cuts in (True, False):
            yield "mistral", {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": cuts}}


def odd_files():
    """A tokenizer.json of single characters, and (parts that replace its own, texts) of several."""
    letters = ["<unk>", "</s>", "f", "o", "x", " ", "\n", "²", "©", "#", "a", "b", "É", "é", "▁", "½", "Q", ".", "E", "s", "ß", "Ⅷ", "ⓐ", "‿", "{", "}", ",", "2", "\u0301", "\v", "V", "!"]
    token = lambda content, place, **options: {"id": place, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} | options
    base = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [token("</s>", 1)], "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": {
        "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
        "vocab": {letter: place for place, letter in enumerate(letters)}, "merges": []}}
    return base, list(odd_parts(base["added_tokens"], token))


def odd_parts(added, token):
    for pattern in (r"\w", r"\W", r"[\w]+", r"[^\w]", "[[:punct:]]", "[^[:punct:]]", "[[:alpha:]]", "[[:alnum:]]", "[[:word:]]", "[[:upper:]]", "[[:lower:]]", "[[:digit:]]", "[[:space:]]", "[[:blank:]]", "[[:^digit:]]",
                    "o{,2}x", "o{2,}x", "o{,}x", r"\Qa.\E", r"[\Q.]", r"\v", r"\V", "(?i:É)o|o", "(?i)x(?-i:s)s", "(?i:s|o)b", "(?:(?i)s|a)b", "(?i:'s|'t|'re|'ve|'m|'ll|'d)"):
        yield {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": False}}, ["x²a", "©½#", "a©b", "aⅧⓐ‿b", "foox", "fox", "o{,2}x", "a.b", "Qa.E", "aßb ssb sb Sb", "É é\nb", "fo\vV", "'s'S", "XsS xSs"]
    yield {"added_tokens": added + [token("fo", 32, single_word=True)]}, ["fo²", "fo½", "²fo", "foⅧ", "foⓐ", "fo‿", "fo\u0301", "fo©", "fo x", "fox", "xfo", "fo"]
    for options in ({"lstrip": True, "rstrip": True}, {"lstrip": True}, {"rstrip": True}):
        yield {"added_tokens": added + [token(" ", 5, **options)]}, ["a   b", "   ", " a ", "a b", "a \n b"]
        yield {"added_tokens": added + [token("<|end|>", 32, rstrip=True), token("\n", 6, **options), token("  ", 33)]}, ["a<|end|>\nb", "a<|end|>\n\nb", "<|end|>    b", "<|end|> \n \n"]
    first = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    replaces = lambda text, content: {"type": "Replace", "pattern": {"Regex": text}, "content": content}
    for step in ({"type": "Strip", "strip_left": True, "strip_right": False}, {"type": "Strip", "strip_left": False, "strip_right": True}, replaces("^x", ""), replaces("^x", "o"), replaces("^x+", "ab"), {"type": "StripAccents"}, {"type": "Lowercase"},
                 {"type": "NFD"}, {"type": "Prepend", "prepend": "ab"}, {"type": "Sequence", "normalizers": [{"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Prepend", "prepend": "x"}]}):
        yield {"normalizer": step, "pre_tokenizer": first, "added_tokens": added + [token("<w>", 32)]}, [" a", "a", "xa", "xxa b", "\u0301a", "é", "É", "  ", "a<w> a", "<w>a", " <w> a"]


def entries(tokenizer, texts, dice):
    size = tokenizer.get_vocab_size(True)
    lists = [[dice.randrange(size) for _ in range(12)] for _ in range(15)]
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    return {"texts": [{"text": text, "ids": encode(text)} for text in texts],
            "decoded": [{"ids": ids, "text": tokenizer.decode(ids), "spelled": tokenizer.decode(ids, skip_special_tokens=False)} for ids in lists + [encode(text) for text in texts[:12]]]}


# Tokenizers with templates whose words do not change when more follows, so that torchtune's way is well defined.
WORDINGS = [("llama3", "llama3", "<|begin_of_text|>", "<|eot_id|>"), ("qwen", "qwen2.5", None, "<|im_end|>"), ("smollm", "smollm", "<|im_start|>", "<|im_end|>"),
            ("gemma", "gemma", "<s>", "</s>"), ("mistral", "llama2", "<s>", "</s>"), ("llama2", "numbers", "<s>", "</s>"), ("qwen", "gathered", None, "<|endoftext|>")]


def conversations(made):
    for name, template, begin, end in WORDINGS:
        tokenizer = made[name]
        config = {"bos_token": begin, "eos_token": {"content": end, "lstrip": False}, "chat_template": TEMPLATES[template], "model_max_length": 1000000000000000019884624838656}
        chats = []
        for chat in CHATS:
            messages = [{"role": role, "content": words} for role, words in chat]
            text = lambda count, asks=False: rendered(TEMPLATES[template], {"messages": messages[:count], "add_generation_prompt": asks, "tools": None, "documents": None, "eos_token": end} | ({"bos_token": begin} if begin else {})).get("text")
            fronts = [text(count + 1) for count in range(len(messages))]
            if fronts[-1] is None or messages[-1]["role"] != "assistant":
                continue
            if not all(fronts[-1].startswith(front or "") for front in fronts):
                continue  # two answers of tools in one turn
            ids, trained = [], []
            for message, front in zip(messages, fronts):
                if front is None:  # a system prompt alone may be refused
                    continue
                now = tokenizer.encode(front, add_special_tokens=False).ids
                if begin and tokenizer.token_to_id(begin) not in now[:1]:
                    now.insert(0, tokenizer.token_to_id(begin))
                trained += [int(message["role"] == "assistant")] * (len(now) - len(ids))
                ids = now
            if end not in fronts[-1][fronts[-1].rfind(messages[-1]["content"].strip()):]:
                ids.append(tokenizer.token_to_id(end))
                trained.append(1)
            question = text(len(messages) - 1, True)
            asked = tokenizer.encode(question, add_special_tokens=False).ids
            if begin and tokenizer.token_to_id(begin) not in asked[:1]:
                asked.insert(0, tokenizer.token_to_id(begin))
            chats.append({"messages": messages, "ids": ids, "trained": trained, "asked": asked})
        assert len(chats) >= 3
        yield {"file": name, "config": config, "chats": chats}


def write_odd(out):
    base, odd = odd_files()
    files = []
    for parts, texts in odd:
        tokenizer, made = Tokenizer.from_str(json.dumps(base | parts)), []
        for text in texts:
            try:
                made.append({"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids})
            except BaseException as error:  # a panic of the library's, where a token takes spaces that another one has
                assert type(error).__name__ == "PanicException", error
        files.append({"parts": parts, "texts": made})
    with open(os.path.join(out, "odd.json"), "w", encoding="utf-8") as file:
        json.dump({"base": base, "files": files}, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    made, dice = make(), random.Random(3)
    golden = {"files": {}, "variants": [], "chats": list(conversations(made))}
    for name, tokenizer in made.items():
        file = json.loads(tokenizer.to_str())
        if name == "gpt2":  # older files have merges as texts
            file["model"]["merges"] = [" ".join(merge) for merge in file["model"]["merges"]]
        with open(os.path.join(out, name + ".json"), "w", encoding="utf-8") as target:
            json.dump(file, target, ensure_ascii=True, separators=(",", ":"))
            target.write("\n")
        golden["files"][name] = entries(Tokenizer.from_file(os.path.join(out, name + ".json")), TEXTS, dice)
    for name, parts in variants():
        tokenizer = Tokenizer.from_str(json.dumps(json.loads(made[name].to_str()) | parts))
        golden["variants"].append({"file": name, "parts": parts, "ids": [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]})
    golden["texts"] = TEXTS
    write_odd(out)
    with open(os.path.join(out, "golden.json"), "w", encoding="utf-8") as file:
        json.dump(golden, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
