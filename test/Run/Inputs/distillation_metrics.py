#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""distillation_metrics.py OUT RATIO: checks what metrics.jsonl of a run with a teacher says; exit code 1 and a line for every
difference. The loss is made of its two parts, of steps and of evaluations; both fall from the first step to the last."""
import json
import os
import sys

folder, ratio = sys.argv[1], float(sys.argv[2])
with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
    lines = [json.loads(line) for line in file]
wrong, steps = [], [line for line in lines if "loss" in line]
for line in lines:
    prefix = "" if "loss" in line else "val_"
    loss, classes, kd = (line[prefix + name] for name in ("loss", "class_loss", "kd_loss"))
    if abs((1 - ratio) * classes + ratio * kd - loss) > 1e-5 * loss:
        wrong.append(f"step {line['step']}: {prefix}loss {loss} of {classes} and {kd}")
for name in ("class_loss", "kd_loss"):
    if not steps[-1][name] < steps[0][name]:
        wrong.append(f"{name} is {steps[0][name]}, then {steps[-1][name]}")
print("\n".join(wrong) or f"{len(steps)} steps and {len(lines) - len(steps)} evaluations: losses are made of their parts, which fall")
sys.exit(1 if wrong else 0)
