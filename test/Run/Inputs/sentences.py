"""Writes texts of many lengths, of 3 to 100 bytes, a JSON line each: sentences.py FILE COUNT."""

import json
import sys

path, count = sys.argv[1], int(sys.argv[2])
words = "the quick brown fox jumps over the lazy dog and then it rests for a while under a tree".split()
with open(path, "w") as out:
    for i in range(count):
        length = 3 + (i * i * 7 + i * 13) % 98
        text = " ".join(words[(i + j) % len(words)] for j in range(40))[:length].strip()
        out.write(json.dumps({"text": text}) + "\n")
