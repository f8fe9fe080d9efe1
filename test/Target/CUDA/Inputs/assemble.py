#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""usage: assemble.py PTXAS DEVICE PLAN...

Lowers the kernels of each plan for DEVICE, assembles their PTX with ptxas -v, and prints for each plan the
architecture, how many kernels there are, and how many bytes they spill. ftc-opt must be on the PATH. Exits 1 if a tool
fails, ptxas reports on another number of kernels than the plan has, or a warp might part before what all its lanes must do
together. Standard library only.
"""
import os
import re
import subprocess
import sys
import tempfile

SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "support")


def check_together(ptx):
    """What a warp does as one is under no predicate, and LLVM has moved no product away from the loads of its operands: for LLVM, mma
    is an operation like any other, which it may sink into a branch that only some lanes take."""
    for kernel in re.split(r"^\.visible \.entry ", ptx, flags=re.MULTILINE)[1:]:
        name = kernel[:kernel.index("(")]
        if parted := re.search(r"^\s*@!?%p\d+\s+(mma|ldmatrix|shfl|bar|barrier)\b.*$", kernel, re.MULTILINE):
            raise ValueError(f"{name}: under a predicate: {parted[0].strip()}")
        for block in re.split(r"\n\$L__\w+:|\n\s*@!?%p\d+ bra[^\n]*", kernel):
            if ("mma.sync" in block) != ("ldmatrix" in block):
                raise ValueError(f"{name}: a block has mma.sync or ldmatrix without the other:\n{block}")


def assemble(ptxas, device, plan):
    """Returns (architecture, kernels, bytes spilled)."""
    ir = subprocess.run(["ftc-opt", plan, f"-cuda-lower-kernels=device={device}", "-cuda-lower-to-nvvm",
                         f"-cuda-emit-ptx=device={device}"], capture_output=True, text=True, check=True).stdout
    ptx = subprocess.run([sys.executable, os.path.join(SUPPORT, "ptx.py")], input=ir, capture_output=True, text=True,
                         check=True).stdout
    check_together(ptx)
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
