#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checks OUT/metrics.jsonl of runs; exit code 1 and a line for every difference.

  metrics.py equal A B [--from STEP] [--relative R]   same steps (B's from STEP on), learning rates, label counts; losses
                                                      and gradient norms equal, or within R
  metrics.py plan OUT STEPS [--resident]              STEPS lines; bytes taken = bytes planned; with --resident the
                                                      resident size at most 3 % + 32 MiB above
  metrics.py tokens OUT N...                          label counts of the steps
  metrics.py judged OUT STEP... [--as OTHER]          evaluations behind these steps, each right behind its step's line and
                                                      lower than the one before; the same as OTHER's
"""
import argparse
import json
import os
import sys


def read(folder):
    """The lines of steps."""
    return [line for line in read_all(folder) if "val_loss" not in line]


def read_all(folder):
    with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def near(a, b, relative):
    return a == b or (a is not None and b is not None and abs(a - b) <= relative * abs(b))


def equal(args):
    left, right = read(args.a), read(args.b)
    if args.first:
        left, right = ([line for line in lines if line["step"] >= args.first] for lines in (left, right))
    if not left or [line["step"] for line in left] != [line["step"] for line in right]:
        yield f"steps {[line['step'] for line in left]} and {[line['step'] for line in right]}"
        return
    for one, two in zip(left, right):
        for key in ("lr", "tokens"):
            if one[key] != two[key]:
                yield f"step {one['step']}: {key} {one[key]} and {two[key]}"
        for key in ("loss", "grad_norm"):
            if not near(one[key], two[key], args.relative):
                yield f"step {one['step']}: {key} {one[key]} and {two[key]}"
    worst = max(abs(one["loss"] - two["loss"]) / abs(two["loss"]) for one, two in zip(left, right))
    print(f"{len(left)} steps, losses differ by at most {worst:.2e}, the last is {left[-1]['loss']}")


def plan(args):
    lines = read(args.out)
    if len(lines) != args.steps:
        yield f"{len(lines)} lines"
    for line in lines:
        if line["planned_bytes"] != line["peak_bytes"]:
            yield f"step {line['step']}: {line['planned_bytes']} bytes planned, {line['peak_bytes']} taken"
        if args.resident and not line["planned_bytes"] <= line["resident_bytes"] <= 1.03 * line["planned_bytes"] + 2**25:
            yield f"step {line['step']}: {line['planned_bytes']} bytes planned, {line['resident_bytes']} resident"
    print(f"planned {lines[-1]['planned_bytes']}, taken {lines[-1]['peak_bytes']}, resident {lines[-1]['resident_bytes']}")


def tokens(args):
    found = [line["tokens"] for line in read(args.out)]
    if found != args.counts:
        yield f"labels {found}, not {args.counts}"


def judged(args):
    lines = read_all(args.out)
    found = [line for line in lines if "val_loss" in line]
    if [line["step"] for line in found] != args.steps:
        yield f"evaluations behind steps {[line['step'] for line in found]}, not {args.steps}"
        return
    for before, line in zip(lines, lines[1:]):
        if line in found and (before["step"] != line["step"] or before in found):
            yield f"the evaluation of step {line['step']} stands behind a line of step {before['step']}"
    for before, line in zip(found, found[1:]):
        if not line["val_loss"] < before["val_loss"]:
            yield f"held-out loss {line['val_loss']} at step {line['step']}, {before['val_loss']} before"
    if args.other and found != [line for line in read_all(args.other) if "val_loss" in line]:
        yield f"not the evaluations of {args.other}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("equal")
    command.set_defaults(check=equal)
    command.add_argument("a")
    command.add_argument("b")
    command.add_argument("--from", dest="first", type=int)
    command.add_argument("--relative", type=float, default=0.0)
    command = commands.add_parser("plan")
    command.set_defaults(check=plan)
    command.add_argument("out")
    command.add_argument("steps", type=int)
    command.add_argument("--resident", action="store_true")
    command = commands.add_parser("tokens")
    command.set_defaults(check=tokens)
    command.add_argument("out")
    command.add_argument("counts", type=int, nargs="+")
    command = commands.add_parser("judged")
    command.set_defaults(check=judged)
    command.add_argument("out")
    command.add_argument("steps", type=int, nargs="+")
    command.add_argument("--as", dest="other")
    args = parser.parse_args()
    wrong = list(args.check(args))
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
