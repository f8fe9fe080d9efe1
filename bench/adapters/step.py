#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A step that trains low-rank adapters of a 135M Llama: ftc against PEFT, and QLoRA against PEFT with bitsandbytes.

usage: step.py --build BUILD --torch-python PYTHON [--json FILE] [--rounds N]

Batch 2 x 512, fp32, rank 8 on every projection but k, clipping to norm 1, AdamW. ftrun and PyTorch take turns for `rounds`
rounds of three timed steps; the fastest step of each counts, so that a change of the machine's speed meets both. Resident
memory is VmHWM of a process that did nothing else. Standard library only.
"""
import argparse
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from measure import LORA, RECIPE, compile_step, ftrun, gib, torch_peer, write_tokens

BATCH, LENGTH, STEPS = 2, 512, 3
CASES = [("LoRA", LORA, ["--lora", "8"], 1.8, 0.5),
         ("QLoRA", LORA + ["model.quantize_base=True", "model.quantizer=bitsandbytes"], ["--lora", "8", "--nf4"], 1.8, 0.35)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--torch-python", required=True)
    parser.add_argument("--json", help="write every figure to this file")
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    figures, rows = {}, []
    with tempfile.TemporaryDirectory() as folder:
        tokens = write_tokens(folder, (STEPS + 1) * BATCH * LENGTH)
        for name, overrides, options, speed_bar, memory_bar in CASES:
            step, seconds = compile_step(args.build, folder, RECIPE, name,
                                         [f"batch_size={BATCH}", f"tokenizer.max_seq_len={LENGTH}", *overrides])
            print(f"{name}: compiled in {seconds:.2f} s", flush=True)
            ours, theirs = [], []
            for _ in range(args.rounds):
                ours.append(ftrun(args.build, folder, step, tokens, STEPS, BATCH, LENGTH))
                print(f"  ftc   {BATCH * LENGTH / min(ours[-1]['seconds']):7.1f} tokens/s  "
                      f"resident {gib(ours[-1]['resident'])} (plan {gib(ours[-1]['planned'])})", flush=True)
                theirs.append(torch_peer(args.torch_python, BATCH, LENGTH, "fp32", STEPS, options))
                print(f"  PEFT  {BATCH * LENGTH / theirs[-1]['min_seconds']:7.1f} tokens/s  "
                      f"resident {gib(theirs[-1]['peak_resident_bytes'])}", flush=True)
            figures[name] = {"compile_seconds": seconds, "ftc": ours, "peft": theirs}
            best = min(min(run["seconds"]) for run in ours)
            rows.append((f"{name}: speed, ftc / PEFT", min(run["min_seconds"] for run in theirs) / best, f">= {speed_bar}"))
            rows.append((f"{name}: resident memory, ftc / PEFT",
                         ours[0]["resident"] / theirs[0]["peak_resident_bytes"], f"<= {memory_bar}"))
    print("ratios (bar)")
    for what, value, bar in rows:
        print(f"  {what:46} {value:7.3f}   {bar}")
    if args.json:
        figures["ratios"] = {what: value for what, value, _ in rows}
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
