#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes the same eight documents of 62 bytes, a row of 64 tokens each, in every form that ftrun reads: `forms.py DIR`."""
import csv
import json
import os
import struct
import sys

folder = sys.argv[1]
documents = [("%d: %s" % (index, "the same words in other clothes " * 3))[:62] for index in range(8)]
os.makedirs(os.path.join(folder, "tree", "below"))
for index, text in enumerate(documents):
    where = "tree" if index < 4 else "tree/below"
    name = f"{index}.txt" if index < 4 else f"b{index}.txt"
    with open(os.path.join(folder, where, name), "w", encoding="utf-8") as file:
        file.write(text)
with open(os.path.join(folder, "text.jsonl"), "w", encoding="utf-8") as file:
    file.writelines(json.dumps({"text": text}) + "\n" for text in documents)
with open(os.path.join(folder, "column.jsonl"), "w", encoding="utf-8") as file:
    file.writelines(json.dumps({"body": text, "id": 1}) + "\n" for text in documents)
with open(os.path.join(folder, "table.csv"), "w", encoding="utf-8", newline="") as file:
    csv.writer(file).writerows([["n", "text"], *enumerate(documents)])
with open(os.path.join(folder, "lines.txt"), "w", encoding="utf-8") as file:
    file.writelines(text + "\n" for text in documents)
ids = [token for text in documents for token in (256, *text.encode(), 257)]
with open(os.path.join(folder, "short.bin"), "wb") as file:
    file.write(struct.pack(f"<{len(ids)}H", *ids))
with open(os.path.join(folder, "wide.bin"), "wb") as file:
    file.write(b"FTCTOK01" + struct.pack("<QQ", 4, len(ids)) + struct.pack(f"<{len(ids)}I", *ids))
with open(os.path.join(folder, "chat.jsonl"), "w", encoding="utf-8") as file:
    for index in range(8):
        file.write(json.dumps({"messages": [{"role": "user", "content": "2 + %d?" % index},
                                            {"role": "assistant", "content": "%d." % (index + 2)}]}) + "\n")
