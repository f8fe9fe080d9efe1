"""Writes texts of so many tokens of the byte-level tokenizer, begin and end included, a JSON line each.

    samples.py FILE TOKENS[xCOUNT]...
"""

import json
import sys

path, *groups = sys.argv[1:]
with open(path, "w") as out:
    for group in groups:
        tokens, _, count = group.partition("x")
        for i in range(int(count or 1)):
            out.write(json.dumps({"text": "".join(chr(97 + (i + j * j) % 26) for j in range(int(tokens) - 2))}) + "\n")
