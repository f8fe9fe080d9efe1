#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reads what programs print and write, for run_all. Standard library only."""
import hashlib
import json
import math
import os
import re
import statistics

import programs

PAGE = 2 << 20  # what the driver rounds allocations up to


def read_metrics(out):
    with open(os.path.join(out, "metrics.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def digest(out, steps):
    """A hash of everything that a run has trained; None where it has not."""
    folder = os.path.join(out, f"step_{steps}")
    if not os.path.isdir(folder):
        return None
    total = hashlib.sha256()
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            with open(os.path.join(folder, name), "rb") as file:
                for block in iter(lambda: file.read(1 << 20), b""):
                    total.update(block)
    return total.hexdigest()


def apart(ours, theirs):
    """Largest relative difference of two lists of numbers; infinite where one has no number."""
    if len(ours) != len(theirs):
        return math.inf
    worst = 0.0
    for x, y in zip(ours, theirs):
        if (x is None) != (y is None):
            return math.inf
        if x is not None:
            worst = max(worst, abs(x - y) / max(abs(y), 1e-30))
    return worst


def finite_and_falling(losses):
    """Every loss is a number, and those of the later half are lower, on average, than those of the first half."""
    if len(losses) < 2 or any(loss is None or not math.isfinite(loss) for loss in losses):
        return False
    half = len(losses) // 2
    return statistics.mean(losses[half:]) < statistics.mean(losses[:half])


def read_memory(case, said):
    """The items that ftrun prints, and what the slabs must be."""
    planned = re.search(r"^planned .* \((\d+) bytes\), taken (\d+) bytes of the device$", said, re.MULTILINE)
    items = dict((name.strip(), int(count)) for name, count in
                 re.findall(r"^  (\S.*?) +(\d+) bytes of its free memory$", said, re.MULTILINE))
    grown = re.search(r"^after the last step (\d+) bytes of the device's free memory are gone, (\d+) of them since the first$",
                      said, re.MULTILINE)
    _, info = programs.execute(programs.ftrun("--info", programs.step_of(case)), timeout=60, libraries=True)
    slabs = [int(count) for count in re.findall(r"^  slab '.*': (\d+) bytes, near", info, re.MULTILINE)]
    return {"planned": int(planned.group(1)) if planned else None, "taken": int(planned.group(2)) if planned else None,
            "items": items, "slabs_rounded": sum((count + PAGE - 1) // PAGE * PAGE for count in slabs),
            "highest": int(grown.group(1)) if grown else None, "grown_in_steps": int(grown.group(2)) if grown else None}


def read_rates(case, said):
    """FLOPs of a step, and what large products and copies reach on this GPU."""
    _, info = programs.execute(programs.ftrun("--info", programs.step_of(case)), timeout=60, libraries=True)
    flops = re.search(r"^  step +batch \d+ x \d+ tokens, ([\d.]+) GFLOP", info, re.MULTILINE)
    products = re.search(r"^products reach ([\d.]+) TFLOP/s \((.*)\)$", said, re.MULTILINE)
    copies = re.search(r"^copies reach ([\d.]+) GB/s", said, re.MULTILINE)
    return {"step_flops": float(flops.group(1)) * 1e9 if flops else None,
            "product_flops_per_second": float(products.group(1)) * 1e12 if products else None,
            "product": products.group(2) if products else None,
            "copy_bytes_per_second": float(copies.group(1)) * 1e9 if copies else None}


def read_device(said):
    found = re.search(r"^(.+) \((sm_\w+)\), driver ([\d.]+)(?:, which assembled the step's code)?(?:, cuBLASLt ([\d.]+) \((.+?)\))?"
                      r"(?:, cuDNN ([\d.]+) \((.+)\))?$", said, re.MULTILINE)
    names = ("name", "architecture", "driver", "cublaslt", "cublaslt_path", "cudnn", "cudnn_path")
    return dict(zip(names, found.groups())) if found else None


def read_held_out(said):
    """Held-out losses before and after; None where there are none."""
    found = re.search(r"^held-out loss ([\d.]+) -> ([\d.]+)$", said, re.MULTILINE)
    return [float(found.group(1)), float(found.group(2))] if found else None


def read_attentions(said):
    """What computes each attention, in ftrun's words."""
    return re.findall(r"^  (attention \d+ \(.*)$", said, re.MULTILINE)


def speed_of(case, rows):
    """Figures of the later half of the steps; the first ones warm up."""
    later = rows[len(rows) // 2:]
    seconds = [row["tokens"] / row["tokens_per_second"] for row in later]
    shares = [row["share_of_peak"] for row in later if row.get("share_of_peak")]
    second = statistics.median(seconds)
    return {"seconds": second, "fastest_seconds": min(seconds),
            "tokens_per_second": statistics.median(row["tokens"] for row in later) / second,
            "sol": statistics.median(shares) if shares else None}


def message_of(said):
    """What a program said last, without what differs between cases: names, places, numbers."""
    lines = [line for line in said.strip().splitlines() if line.strip()]
    text = re.sub(r"\S*/\S*", "", lines[-1] if lines else "")
    return re.sub(r"\d+", "#", re.sub(r"'[^']*'", "''", text))


def read_times(path, steps):
    """Rows of a file of FTRT_CUDA_TIMES: {"name", "microseconds" and "calls" a step, "bytes" a call or None}."""
    with open(path, encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    return [{"name": row[3], "microseconds": float(row[0]) / steps, "calls": int(row[1]) / steps,
             "bytes": int(row[2]) if row[2] else None} for row in rows]


def read_launches(said):
    """What a comparison of launches has found: how many agree, how many to the bit, the farthest of each type, and what
    differs, in ftrun's words."""
    agree = re.search(r"^(\d+) launches agree with \S+, (\d+) of them bit for bit$", said, re.MULTILINE)
    return {"agree": int(agree.group(1)) if agree else None, "equal": int(agree.group(2)) if agree else None,
            "farthest": re.findall(r"^(farthest apart of .*)$", said, re.MULTILINE),
            "differ": re.findall(r"^(?:DIFFERS|kernel) (.*)$", said, re.MULTILINE)}


def last_object(said):
    """The last line that is a JSON object; other programs' warnings may follow it."""
    for line in reversed(said.splitlines()):
        if line.startswith("{"):
            try:
                return json.loads(line)
            except ValueError:
                pass
    return None
