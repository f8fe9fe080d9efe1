#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""usage: falling_totals.py REPORT...

Checks that each memory table of `ftc plan` has a total below the one before it.
"""
import re
import sys

totals = []
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        found = re.search(r"^  total .* (\d+) B ", file.read(), re.MULTILINE)
    if not found:
        sys.exit(f"{path}: no total")
    totals.append(int(found.group(1)))
print(totals)
if any(later >= earlier for earlier, later in zip(totals, totals[1:])):
    sys.exit("the totals do not fall")
