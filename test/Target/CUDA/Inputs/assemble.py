#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""usage: assemble.py PTXAS DEVICE PLAN...

Lowers the kernels of each plan for DEVICE, assembles their PTX with ptxas -v, and prints for each plan the
architecture, how many kernels there are, and how many bytes they spill. ftc-opt must be on the PATH. Exits 1 if a tool
fails or ptxas reports on another number of kernels than the plan has. Standard library only.
"""
import os
import re
import subprocess
import sys
import tempfile

SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "support")


def assemble(ptxas, device, plan):
    """Returns (architecture, kernels, bytes spilled)."""
    ir = subprocess.run(["ftc-opt", plan, f"-cuda-lower-kernels=device={device}", "-cuda-lower-to-nvvm",
                         f"-cuda-emit-ptx=device={device}"], capture_output=True, text=True, check=True).stdout
    ptx = subprocess.run([sys.executable, os.path.join(SUPPORT, "ptx.py")], input=ir, capture_output=True, text=True,
                         check=True).stdout
    arch = re.search(r"^\.target (\w+)", ptx, re.MULTILINE)[1]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kernels.ptx")
        with open(path, "w", encoding="ascii") as file:
            file.write(ptx)
        report = subprocess.run([ptxas, "-v", "-arch=" + arch, path, "-o", os.path.join(folder, "kernels.cubin")],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
    spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", report)
    entries = ptx.count(".entry ")
    if len(spills) != entries:
        raise ValueError(f"ptxas reports on {len(spills)} kernels, the PTX has {entries}")
    return arch, entries, sum(int(stores) + int(loads) for stores, loads in spills)


def main():
    if len(sys.argv) < 4:
        print(__doc__, file=sys.stderr)
        return 2
    for plan in sys.argv[3:]:
        arch, entries, spilled = assemble(sys.argv[1], sys.argv[2], plan)
        print(f"{arch}: {entries} kernels, {spilled} bytes spilled")
    return 0


if __name__ == "__main__":
    sys.exit(main())
