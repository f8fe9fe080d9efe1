#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""pair_metrics.py OUT BETA: checks what metrics.jsonl of a run of DPO says of pairs; exit code 1 and a line for every difference.

A margin is the difference of the rewards; the loss is convex in it, so the mean loss is at least that of the mean margin, and where
margins are small about that; accuracies are shares; the reference's log-probabilities stay what they were.
"""
import json
import math
import os
import sys

folder, beta = sys.argv[1], float(sys.argv[2])
with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
    lines = [json.loads(line) for line in file]
wrong = []
for line in lines:
    chosen, rejected, margin = (line["rewards/" + name] for name in ("chosen", "rejected", "margins"))
    if abs(chosen - rejected - margin) > 1e-5:
        wrong.append(f"step {line['step']}: rewards {chosen} and {rejected}, margin {margin}")
    least = math.log1p(math.exp(-margin))
    if not least - 1e-5 <= line["loss"] <= least + 0.5:
        wrong.append(f"step {line['step']}: loss {line['loss']} of margin {margin}")
    if not 0 <= line["rewards/accuracies"] <= 1 or not line["log_probs/chosen"] < 0 or not line["log_probs/rejected"] < 0:
        wrong.append(f"step {line['step']}: {line}")
    for side, reward in (("chosen", chosen), ("rejected", rejected)):
        if not line["log_probs/" + side] - reward / beta < 0:
            wrong.append(f"step {line['step']}: the reference gives {side} answers a probability above 1")
if all(line["rewards/margins"] == 0 for line in lines):
    wrong.append("nothing was learned")
print("\n".join(wrong) or f"{len(lines)} steps: margins are differences, and losses those of the margins' mean or above")
sys.exit(1 if wrong else 0)
