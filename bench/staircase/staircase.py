#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The memory staircase: torchtune's table of memory techniques, for a 135M Llama in bf16 on the CPU.

usage: staircase.py --build BUILD --torch-python PYTHON [--json FILE] [--rounds N] [--only RUNG...]

Batch 2 x 1024, bf16, AdamW, no clipping. Each rung adds a technique to the one before it; LoRA and QLoRA (bitsandbytes' NF4)
stand on all of them. Printed: bytes planned, bytes taken by the runtime (near memory), bytes of the far tier, tokens/s, and the
speed against the rung before. Rungs take turns for `rounds` rounds of two timed steps, and the fastest step of each counts.
A rung that ftc refuses is left out, with its reason. Broken rules are marked with '!': every rung lowers the plan, measured equals planned, and the costs in speed stay below those
of the table LIMITS. Standard library only (--torch-python is not used).
"""
import argparse
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from measure import LORA, RECIPE, ftrun, run, write_tokens

BATCH, LENGTH, STEPS = 2, 1024, 2
BASE = ["dtype=bf16", f"batch_size={BATCH}", f"tokenizer.max_seq_len={LENGTH}", "clip_grad_norm=null",
        "~activation_checkpointing", "optimizer_in_bwd=False"]
RUNGS = [("baseline", []),
         ("+ chunked loss", ["loss=torchtune.modules.loss.LinearCrossEntropyLoss"]),
         ("+ activation checkpointing", ["enable_activation_checkpointing=True"]),
         ("+ optimizer in backward", ["optimizer_in_bwd=True"]),
         ("+ activation offloading", ["enable_activation_offloading=True"]),
         ("+ 8-bit AdamW", ["optimizer=bitsandbytes.optim.AdamW8bit"]),
         ("LoRA", LORA),
         ("QLoRA", ["model.quantize_base=True", "model.quantizer=bitsandbytes"])]
# Most of the speed of the rung before that a technique may cost; 2 % is what one run differs from the next.
LIMITS = {"+ chunked loss": 0.02, "+ activation checkpointing": 0.25, "+ optimizer in backward": 0.02,
          "+ activation offloading": 0.15, "+ 8-bit AdamW": 0.05}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--torch-python", help="not used")
    parser.add_argument("--json", help="write every figure to this file")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=[name for name, _ in RUNGS], metavar="RUNG",
                        help="run these rungs alone, each still on top of all before it")
    args = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        tokens = write_tokens(folder, (STEPS + 1) * BATCH * LENGTH)
        overrides = list(BASE)
        for name, added in RUNGS:
            if args.only and name not in args.only:
                overrides += added
                continue
            path = os.path.join(folder, f"{len(figures)}.so")
            text, done = run([os.path.join(args.build, "bin", "ftc"), "compile", RECIPE, "-o", path, *overrides, *added],
                             check=False)
            if done is None:
                print(f"{name}: left out, ftc refuses it: {text.strip().splitlines()[-1]}", flush=True)
                continue
            overrides += added
            figures.append({"rung": name, "overrides": list(overrides), "step": path, "runs": []})
        for number in range(args.rounds):
            for figure in figures:
                print(f"round {number + 1} of {args.rounds}: {figure['rung']}", file=sys.stderr, flush=True)
                figure["runs"].append(ftrun(args.build, folder, figure["step"], tokens, STEPS, BATCH, LENGTH))
    print(f"{'':28}{'planned':>14}{'measured':>14}{'far':>13}{'tokens/s':>10}{'change':>8}")
    before = broken = None
    for figure in figures:
        first = figure["runs"][0]
        planned, measured, far = first["planned"], first["measured"], first["far"]
        speed = BATCH * LENGTH / min(seconds for run in figure["runs"] for seconds in run["seconds"])
        marks = []
        if before and planned >= before[0]:
            marks.append("the plan is no smaller")
        if measured != planned:
            marks.append("measured is not planned")
        change = speed / before[1] - 1 if before else 0.0
        limit = LIMITS.get(figure["rung"])
        if limit is not None and change < -limit:
            marks.append(f"costs more than {100 * limit:.0f} %")
        broken = broken or marks
        print(f"{figure['rung']:28}{planned:14d}{measured:14d}{far:13d}{speed:10.1f}{100 * change:+7.1f}%"
              f"{'  ! ' + ', '.join(marks) if marks else ''}", flush=True)
        figure.update(planned=planned, measured=measured, far=far, tokens_per_second=speed)
        del figure["step"]
        before = (planned, speed)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
            file.write("\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
