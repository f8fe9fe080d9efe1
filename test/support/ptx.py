#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""usage: ptx.py < IR

Prints the PTX text of the gpu.binary ops in MLIR text, unescaped. Exits 1 if there is none. Standard library only.
"""
import re
import sys


def main():
    found = re.findall(r'assembly = "((?:[^"\\]|\\.)*)"', sys.stdin.read())
    for text in found:
        plain = re.sub(r"\\([0-9A-F]{2}|.)", lambda m: chr(int(m[1], 16)) if len(m[1]) == 2 else m[1], text)
        sys.stdout.write(plain.rstrip("\0"))
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
