#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""usage: offload_within.py FTC CONFIG [OVERRIDE...]

Plans CONFIG with activation_checkpointing.mode=auto, without and with enable_activation_offloading, for budgets between what
`full` takes and what nothing computed again takes. Every plan must lie within its budget; with offloading something has to leave
the device, the predicted time must be less, and no more than a twentieth above its bound. What fits as it is leaves nothing, and
below `full` there is a plan with offloading alone.
"""
import re
import subprocess
import sys

UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}


def plan(*overrides):
    """Bytes near and far, seconds by name; or None, where it does not fit."""
    done = subprocess.run([sys.argv[1], "plan", *sys.argv[2:], *overrides], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode != 0:
        if "more than memory_budget" not in done.stdout:
            sys.exit(done.stdout)
        return None
    total = re.search(r"^  total .*? (\d+) B .*? %(?: .*? (\d+) B far)?$", done.stdout, re.MULTILINE)
    told = re.search(r"is what costs least within the budget \((.*)\)", done.stdout)
    seconds = {name: float(number) * UNITS[unit] for name, number, unit in
               re.findall(r"(recompute|copy|stall|bound) ([\d.]+) (ns|us|ms|s)\b", told.group(1) if told else "")}
    return int(total.group(1)), int(total.group(2) or 0), seconds


def auto(budget, *overrides):
    found = plan("activation_checkpointing.mode=auto", f"memory_budget={budget}", *overrides)
    if found and found[0] > budget:
        sys.exit(f"{found[0]} bytes, above the budget of {budget}")
    return found


def cost(seconds):
    return sum(value for name, value in seconds.items() if name != "bound")


OFFLOAD = "enable_activation_offloading=True"
none, full = plan("enable_activation_checkpointing=False")[0], plan("activation_checkpointing.mode=full")[0]
if auto(none, OFFLOAD) != (none, 0, {}):
    sys.exit("something leaves, or is computed again, though all fits")
for share in (0.8, 0.5, 0.2):
    budget = full + int(share * (none - full))
    near, ours = auto(budget)[2], auto(budget, OFFLOAD)
    print(f"budget {budget}: {cost(near) * 1e3:.2f} ms, with offloading {cost(ours[2]) * 1e3:.2f} ms, {ours[1]} bytes away")
    if ours[1] == 0 or cost(ours[2]) >= cost(near):
        sys.exit("nothing is gained by offloading")
    if cost(ours[2]) > ours[2]["bound"] * 1.05 + 1e-4:
        sys.exit(f"far above the bound: {ours[2]}")
least = full - (none - full) // 20
if auto(least) or not auto(least, OFFLOAD):
    sys.exit("offloading makes no difference below what `full` takes")
