#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes FOLDER/large.txt, .jsonl and .json of 64 MB each, and medium.txt of 8: words, and no two records alike."""
import random
import sys

folder = sys.argv[1]
random.seed(3)
words = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(1, 9))) for _ in range(400)]
words += ["caf\u00e9", "\u4e2d\u6587", "\u3002", "don't", "2026", "...", "\n", "\n\n"]


def text(bytes):
    block = " ".join(random.choices(words, k=20000))
    while len(block.encode()) < bytes:
        block += block
    return block.encode()[:bytes].decode(errors="ignore")


with open(f"{folder}/large.txt", "w", encoding="utf-8") as file:
    file.write(text(64_000_000))
with open(f"{folder}/medium.txt", "w", encoding="utf-8") as file:
    file.write(text(8_000_000))
record = " ".join(random.choices([word for word in words if "\n" not in word], k=15))
with open(f"{folder}/large.jsonl", "w", encoding="utf-8") as lines, open(f"{folder}/large.json", "w", encoding="utf-8") as array:
    array.write("[")
    count = 64_000_000 // len(record.encode())
    for number in range(count):
        entry = f'{{"text": "{number} {record}"}}'
        lines.write(entry + "\n")
        array.write(entry + (",\n" if number + 1 < count else "]\n"))
