#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a ladder of lengths saves where rows are not packed: a 135M Llama in bf16 on the CPU.

usage: lengths.py --build BUILD --torch-python PYTHON [--json FILE] [--steps N]

Rows are paragraphs of /usr/share/common-licenses, a byte a token, at most 1024 of them; batch 2. The same batches are trained three
times: padded to the longest row that there may be (sequence_lengths=[]), padded to the shortest length of the ladder that holds
them (what `ftc` does by itself), and padded to multiples of 32, each length compiled (nearly torchtune's padding to
the longest of the batch). Printed: seconds to compile, positions that were computed, labels a second, and the time against the first;
last what is left of the positions, which the time cannot fall below by more than attention's share. Judged: the ladder takes no more
time than padding to the longest, and the losses are the same. Standard library only (--torch-python is not used).
"""
import argparse
import glob
import json
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from measure import RECIPE, compile_step, run

BATCH, LENGTH = 2, 1024
BASE = ["dtype=bf16", f"batch_size={BATCH}", f"tokenizer.max_seq_len={LENGTH}", "dataset.packed=False", "shuffle=True",
        "loss=torchtune.modules.loss.LinearCrossEntropyLoss"]
CASES = [("longest", ["sequence_lengths=[]"]), ("ladder", []),
         ("each 32", [f"sequence_lengths=[{','.join(str(n) for n in range(32, LENGTH, 32))}]"])]
NOISE = 0.03


def write_paragraphs(path):
    """Paragraphs of the licenses as records; returns how many there are."""
    count = 0
    with open(path, "w", encoding="utf-8") as out:
        for name in sorted(glob.glob("/usr/share/common-licenses/*")):
            if os.path.islink(name):
                continue
            with open(name, encoding="utf-8", errors="replace") as file:
                for paragraph in re.split(r"\n\s*\n", file.read()):
                    text = " ".join(paragraph.split())
                    if text:
                        out.write(json.dumps({"text": text}) + "\n")
                        count += 1
    return count


def train(build, folder, step, data, steps):
    """One untimed step, then `steps` timed ones."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        run([os.path.join(build, "bin", "ftrun"), step, "--data", data, "--steps", str(steps + 1), "--out", out,
             "--no-checkpoint"])
        with open(os.path.join(out, "metrics.jsonl"), encoding="utf-8") as file:
            rows = [json.loads(line) for line in file][1:]
    return {"seconds": sum(row["tokens"] / row["tokens_per_second"] for row in rows), "labels": sum(row["tokens"] for row in rows),
            "positions": sum(row["padded_tokens"] for row in rows), "planned": rows[0]["planned_bytes"],
            "losses": [row["loss"] for row in rows]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--torch-python", help="not used")
    parser.add_argument("--json", help="write every figure to this file")
    parser.add_argument("--steps", type=int, default=16)
    args = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "paragraphs.jsonl")
        print(f"{write_paragraphs(data)} paragraphs; {args.steps} steps of {BATCH} of them, at most {LENGTH} tokens each")
        for name, overrides in CASES:
            step, seconds = compile_step(args.build, folder, RECIPE, name.replace(" ", "-"), BASE + overrides)
            results.append({"case": name, "compile_seconds": seconds, **train(args.build, folder, step, data, args.steps)})
    first = results[0]
    print(f"{'':10} {'compiled in':>12} {'positions':>10} {'labels/s':>9} {'time':>7} {'positions':>10}")
    broken = []
    for result in results:
        share = result["seconds"] / first["seconds"]
        print(f"{result['case']:10} {result['compile_seconds']:10.1f} s {result['positions']:10} "
              f"{result['labels'] / result['seconds']:9.1f} {share:7.3f} {result['positions'] / first['positions']:10.3f}")
        if share > 1 + NOISE:
            broken.append(f"{result['case']} is slower than padding to the longest")
        if result["planned"] != first["planned"]:
            broken.append(f"{result['case']} plans {result['planned']} bytes, not {first['planned']}")
        # bf16: sums of other lengths are rounded elsewhere.
        if any(abs(a - b) > 2e-3 * abs(b) for a, b in zip(result["losses"], first["losses"])):
            broken.append(f"{result['case']} has other losses: {result['losses']}")
    print("\n".join(broken) or "every rule holds")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
            file.write("\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
