#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How long ftc takes to plan and to compile a recipe, for both targets, with rows of one length and of several.

usage: compile.py --build BUILD --torch-python PYTHON [--json FILE] [--recipe FILE] [--device NAME] [--runs N] [--stages N]

The recipe is LoRA of an 8B Llama; `dataset.packed=False` gives it a ladder of lengths. Each case runs N times (3), in turn; the
fastest counts, since other programs can only make one slower. Printed: seconds on the clock, seconds of all cores together, and the
stages that took longest in that run. Judged: the steps of all runs of a case are the same file, and each case stays within
its bar on an idle machine of two cores. A GPU's cases need NVIDIA's assembler and are left out without it. Standard library only
(--torch-python is not used).
"""
import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from measure import ROOT

RECIPE = os.path.join(ROOT, "configs", "llama3_1", "8B_lora_single_device.yaml")
LADDER = ["dataset.packed=False"]
# Seconds that a case may take.
PLAN_BAR, COMPILE_BAR = 1.0, 8.0
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
STAGE = re.compile(r"^  (\S.*?)\s+([0-9.]+) (s|ms|us)$", re.MULTILINE)


def measure(command, step):
    """Runs ftc once: its seconds on the clock and on all cores, its stages, and what the step's bytes hash to (None without one)."""
    with tempfile.TemporaryFile("w+") as out:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        out.seek(0)
        text = out.read()
    if status != 0:
        sys.exit(f"{' '.join(command)}\nended with status {status}:\n{text[-4000:]}")
    # Stages stand behind everything else; a line of the tables before may look like one.
    last = text[text.rfind("\n  train  "):]
    stages = {name: float(number) * UNITS[unit] for name, number, unit in STAGE.findall(last)}
    digest = None
    if step:
        with open(step, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
    return {"seconds": seconds, "core_seconds": usage.ru_utime + usage.ru_stime, "stages": stages, "digest": digest}


def has_assembler(ftc, device):
    """Whether a step for a GPU can be compiled here."""
    with tempfile.TemporaryDirectory() as folder:
        tiny = os.path.join(ROOT, "configs", "demo", "tiny_llama.yaml")
        command = [ftc, "compile", tiny, "--target", "cuda", "--device", device, "-o", os.path.join(folder, "step.so")]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0 and "needs NVIDIA's assembler" not in done.stderr:
            sys.exit(done.stderr)
        return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--torch-python", help="not used")
    parser.add_argument("--json", help="write every figure to this file")
    parser.add_argument("--recipe", default=RECIPE)
    parser.add_argument("--device", default="h200")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--stages", type=int, default=3, help="how many of the longest stages are printed")
    args = parser.parse_args()
    ftc = os.path.join(args.build, "bin", "ftc")
    gpu = ["--target", "cuda", "--device", args.device]
    cases = [("plan", "plan", [], PLAN_BAR), ("cpu, one length", "compile", [], COMPILE_BAR),
             ("cpu, a ladder", "compile", LADDER, COMPILE_BAR)]
    if has_assembler(ftc, args.device):
        cases += [(f"{args.device}, one length", "compile", gpu, COMPILE_BAR),
                  (f"{args.device}, a ladder", "compile", gpu + LADDER, COMPILE_BAR)]
    else:
        print("no libnvJitLink and no ptxas: nothing is compiled for a GPU")
    runs = {name: [] for name, *_ in cases}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.runs):
            for name, verb, options, _ in cases:
                step = os.path.join(folder, "step.so") if verb == "compile" else None
                command = [ftc, verb, args.recipe, *options, "--timing", *(["-o", step] if step else [])]
                runs[name].append(measure(command, step))
    broken, results = [], []
    print(f"{'':20} {'clock':>8} {'cores':>8}  longest stages")
    for name, _, _, bar in cases:
        best = min(runs[name], key=lambda run: run["seconds"])
        longest = sorted(best["stages"].items(), key=lambda stage: -stage[1])[:args.stages]
        print(f"{name:20} {best['seconds']:6.2f} s {best['core_seconds']:6.2f} s  "
              + ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in longest))
        if best["seconds"] > bar:
            broken.append(f"{name} takes {best['seconds']:.2f} s, and its bar is {bar:.1f} s")
        if len({run["digest"] for run in runs[name]}) > 1:
            broken.append(f"{name} is not the same file each time")
        results.append({"case": name, "bar": bar, **best, "all_seconds": [run["seconds"] for run in runs[name]]})
    print("\n".join(broken) or "every rule holds")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
            file.write("\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
