# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""usage: qlora_files.py START CHECKPOINT

Compares the merged weights of a QLoRA run with those it started from: projections differ by what four bits lose, the
others not at all.
"""
import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "oracle"))
import plain  # noqa: E402


def main():
    start, ours = plain.read_model(sys.argv[1]), plain.read_model(sys.argv[2])
    assert set(start) == set(ours), set(start) ^ set(ours)
    decoded, unchanged, worst = 0, [], 0.0
    for name, (shape, values) in sorted(start.items()):
        assert list(ours[name][0]) == list(shape), name
        apart = math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(ours[name][1], values)))
        size = math.sqrt(math.fsum(a * a for a in values))
        if "_proj." in name:
            assert apart > 0.01 * size, f"{name} is not in four bits"
            decoded += 1
            worst = max(worst, apart / size)
        else:
            assert apart == 0, name
            unchanged.append(name)
    print(f"decoded: {decoded}, worst {worst:.2f} of a weight's norm")
    print("unchanged:", *unchanged)


main()
