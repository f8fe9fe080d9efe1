#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random projections of trained tensors: so few numbers that goldens of them fit into a bundle, and that tell how far apart
two tensors are.

A tensor is cut into blocks of the same length; the elements of a block, each with a random sign, are added into one of 256
numbers, block b into number b modulo 256. The mean square of the norm of a difference's numbers is the square of the
difference's norm (a count sketch: Charikar, Chen and Farach-Colton, "Finding frequent items in data streams", 2004). Its
deviation is sqrt(2 / 256) of it or less, so a norm is right within 5 % as a rule. Tensors of up to 256 elements are kept
whole. Signs are a function of the tensor's name and of the block. Standard library only.
"""
import array
import hashlib
import json
import math
import operator
import os
import sys

NUMBERS = 256
LONGEST = 4096  # elements of a block
POOL = 1 << 16  # signs, of which each block takes a window

# As on the CPU (test/oracle/compare.py). fp32: of the golden's norm; bf16: of the norm of the golden's change.
BARS = {"fp32": 1e-4, "bf16": 0.25}


def make_signs():
    signs = array.array("d")
    for number in range((POOL + LONGEST) // 256):
        digest = int.from_bytes(hashlib.sha256(b"signs %d" % number).digest(), "little")
        signs.extend(1.0 if digest >> bit & 1 else -1.0 for bit in range(256))
    return signs


SIGNS = make_signs()


def floats(data, kind):
    """Bytes of a tensor as 32-bit floats; None where it has others."""
    if sys.byteorder != "little":
        sys.exit("projections are for little-endian machines")
    if kind == "BF16":  # the upper halves of 32-bit floats
        wide = bytearray(2 * len(data))
        wide[2::4], wide[3::4] = data[0::2], data[1::2]
        data = wide
    elif kind != "F32":
        return None
    values = array.array("f")
    values.frombytes(data)
    return values


def project(name, values):
    """The numbers of a tensor."""
    length = max(1, min(LONGEST, (len(values) + NUMBERS - 1) // NUMBERS))
    numbers = [0.0] * NUMBERS
    for block in range((len(values) + length - 1) // length):
        start = int.from_bytes(hashlib.sha256(f"{name} {block}".encode()).digest()[:4], "little") % POOL
        part = values[block * length:(block + 1) * length]
        numbers[block % NUMBERS] += sum(map(operator.mul, part, SIGNS[start:start + len(part)]))
    return numbers


def project_checkpoint(folder):
    """Of each trained tensor of a checkpoint, its adapter's where it has one: name -> numbers."""
    names = sorted(name for name in os.listdir(folder) if name.endswith(".safetensors"))
    adapters = [name for name in names if name.startswith("adapter_model")]
    found = {}
    for file_name in adapters or [name for name in names if name.startswith("model")]:
        with open(os.path.join(folder, file_name), "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
            for name, tensor in sorted(header.items()):
                if name == "__metadata__":
                    continue
                begin, end = tensor["data_offsets"]
                file.seek(8 + size + begin)
                values = floats(file.read(end - begin), tensor["dtype"])
                if values is not None:
                    found[name] = project(name, values)
    return found


def rounded(projections):
    """The same with nine digits, for a file."""
    return {name: [float(f"{number:.9g}") for number in numbers] for name, numbers in projections.items()}


def distance(x, y):
    return math.sqrt(sum((a - b) * (a - b) for a, b in zip(x, y)))


def compare(ours, golden, precision):
    """(worst figure, its tensor), to be held against BARS[precision]. `golden` is {"end": projections of the golden's last
    parameters, "start": in bf16, those that it began with}. Infinite where tensors are missing or no number; what bf16's
    rounding has kept in place has no change to compare with."""
    if set(ours) != set(golden["end"]):
        missing = sorted(set(golden["end"]) ^ set(ours))
        return math.inf, missing[0]
    worst, where = 0.0, "none"
    for name, end in golden["end"].items():
        whole = distance(end, golden["start"][name]) if precision == "bf16" else distance(end, [0.0] * NUMBERS)
        apart = distance(ours[name], end)
        if precision == "bf16" and whole == 0 and apart == apart:
            continue
        figure = apart / whole if whole > 0 else 0.0 if apart == 0 else math.inf
        if not figure <= worst:  # also where it is no number
            worst, where = figure if figure == figure else math.inf, name
    return worst, where
