#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a smaller memory_budget costs in speed, beside the switches that a person could set: a 135M Llama in bf16 on the CPU.

usage: budget.py --build BUILD --torch-python PYTHON [--json FILE] [--rounds N] [--shares S...]

Batch 2 x 1024, bf16, AdamW, no clipping, loss by chunks. First the switches: nothing computed again, selective and full activation
checkpointing. Then activation_checkpointing.mode=auto for budgets between what full and nothing take. Printed: the budget, bytes
planned and taken, tokens/s, and the step's time against nothing computed again. All
take turns for `rounds` rounds of two timed steps, and the fastest step of each counts. Judged: every plan lies within its budget,
and auto is at no budget slower than the best switch that fits into it, by more than what one run differs from the next. Standard
library only (--torch-python is not used).
"""
import argparse
import json
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from measure import RECIPE, ftrun, gib, run, write_tokens

BATCH, LENGTH, STEPS = 2, 1024, 2
BASE = ["dtype=bf16", f"batch_size={BATCH}", f"tokenizer.max_seq_len={LENGTH}", "clip_grad_norm=null",
        "loss=torchtune.modules.loss.LinearCrossEntropyLoss"]
SWITCHES = [("none", []), ("selective", ["activation_checkpointing.mode=selective"]),
            ("full", ["activation_checkpointing.mode=full"])]
NOISE = 0.03


class Case:
    def __init__(self, build, folder, name, overrides, budget=None):
        self.name, self.budget, self.runs = name, budget, []
        self.path = os.path.join(folder, name.replace(" ", "-") + ".so")
        limit = [] if budget is None else [f"memory_budget={budget}"]
        text, _ = run([os.path.join(build, "bin", "ftc"), "compile", RECIPE, "-o", self.path, *BASE, *overrides, *limit])
        self.planned = int(re.search(r"^  total .* (\d+) B ", text, re.MULTILINE).group(1))

    def seconds(self):
        return min(min(run["seconds"]) for run in self.runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--torch-python", help="not used")
    parser.add_argument("--json", help="write every figure to this file")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.75, 0.5, 0.25, 0.1, 0.0], metavar="S",
                        help="budgets: full + S * (none - full)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tokens = write_tokens(folder, (STEPS + 1) * BATCH * LENGTH)
        cases = [Case(args.build, folder, *switch) for switch in SWITCHES]
        none, full = cases[0].planned, cases[-1].planned
        for share in args.shares:
            cases.append(Case(args.build, folder, f"auto {share:.2f}", ["activation_checkpointing.mode=auto"],
                              full + int(share * (none - full))))
        for _ in range(args.rounds):
            for case in cases:
                case.runs.append(ftrun(args.build, folder, case.path, tokens, STEPS, BATCH, LENGTH))
    plain = cases[0].seconds()
    print(f"{'':12} {'budget':>10} {'planned':>10} {'taken':>10} {'tokens/s':>9} {'time':>7}")
    broken = False
    for case in cases:
        marks = ""
        if case.budget is not None:
            if case.planned > case.budget:
                marks += "  ! above its budget"
            best = min(other.seconds() for other in cases[:len(SWITCHES)] if other.planned <= case.budget)
            if case.seconds() > best * (1 + NOISE):
                marks += "  ! a switch is faster"
        broken |= bool(marks)
        print(f"{case.name:12} {gib(case.budget) if case.budget else '':>10} {gib(case.planned):>10} "
              f"{gib(case.runs[0]['measured']):>10} {BATCH * LENGTH / case.seconds():9.1f} {case.seconds() / plain:7.3f}{marks}")
    print("rules broken" if broken else "every rule holds")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump([{"case": case.name, "budget": case.budget, "planned": case.planned, "runs": case.runs}
                       for case in cases], file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
