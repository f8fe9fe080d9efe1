#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""usage: plan_within.py FTC CONFIG [OVERRIDE...]

Plans CONFIG with activation_checkpointing.mode=auto for budgets between what `full` takes and what nothing computed again
takes. Every plan must lie within its budget, hold more than half of the room between the budget and `full`, and compute the more
again the smaller the budget is.
"""
import re
import subprocess
import sys


def plan(*overrides):
    done = subprocess.run([sys.argv[1], "plan", *sys.argv[2:], *overrides], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stdout)
    again = sum(int(count or 1) for count in re.findall(r"^    (?:(\d+) x )?train\.\w+ is computed again", done.stdout,
                                                        re.MULTILINE))
    return int(re.search(r"^  total .* (\d+) B ", done.stdout, re.MULTILINE).group(1)), again


none, full = plan()[0], plan("activation_checkpointing.mode=full")[0]
before = -1
for share in (1.0, 0.8, 0.5, 0.2, 0.0):
    budget = full + int(share * (none - full))
    total, again = plan("activation_checkpointing.mode=auto", f"memory_budget={budget}")
    print(f"budget {budget}: total {total}, {again} computed again")
    if total > budget:
        sys.exit("above the budget")
    if total - full < (budget - full) / 2:
        sys.exit("far below the budget")
    if (again > 0) != (share < 1) or again < before:
        sys.exit("computed again without need, or not at all")
    before = again
