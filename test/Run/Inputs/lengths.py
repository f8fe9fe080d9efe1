"""Compares a step of several lengths with one that pads to the longest.

    lengths.py plans ONE FOUR PLAN    the memory tables that `ftc` printed: the same, and the same decisions
    lengths.py losses ONE FOUR BAR    the metrics of two runs: the same but for rounding, relative BAR; and that some
                                      steps of the second did fewer operations, or nothing was tested
"""

import json
import sys


def lines(path):
    text = open(path).read().splitlines()
    return [line for line in text if not line.startswith(("rows of", "wrote"))]


def metrics(folder):
    return [json.loads(line) for line in open(folder + "/metrics.jsonl")]


what, first, second, third = sys.argv[1:]
if what == "plans":
    one, four, plan = lines(first), lines(second), lines(third)
    if not one == four == plan:
        different = [pair for pair in zip(one, four, plan) if len(set(pair)) > 1]
        sys.exit(f"the plans differ: {different or (len(one), len(four), len(plan))}")
else:
    one, four, bar = metrics(first), metrics(second), float(third)
    assert len(one) == len(four) > 0
    for a, b in zip(one, four):
        for key in ("loss", "grad_norm"):
            if key in a and abs(a[key] - b[key]) > bar * abs(a[key]):
                sys.exit(f"step {a['step']}: {key} is {a[key]} and {b[key]}")
        if a["tokens"] != b["tokens"]:
            sys.exit(f"step {a['step']}: {a['tokens']} and {b['tokens']} labels")
    widths = {row["padded_tokens"] for row in four}
    if len(widths) < 2 or max(widths) > one[0]["padded_tokens"]:
        sys.exit(f"batches of the second run have {sorted(widths)} tokens, of the first {one[0]['padded_tokens']}")
