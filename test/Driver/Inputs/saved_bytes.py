#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""usage: saved_bytes.py BEFORE AFTER BYTES

Checks that the second memory table of `ftc plan` has a total at least BYTES below the first one's.
"""
import re
import sys


def total(path):
    with open(path, encoding="utf-8") as file:
        found = re.search(r"^  total .* (\d+) B ", file.read(), re.MULTILINE)
    if not found:
        sys.exit(f"{path}: no total")
    return int(found.group(1))


saved = total(sys.argv[1]) - total(sys.argv[2])
print("saved", saved)
if saved < int(sys.argv[3]):
    sys.exit(f"saves {saved} bytes, not {sys.argv[3]}")
