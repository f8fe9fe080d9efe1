#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""usage: attention_plan.py [ATTRIBUTES] HEAD_SIZE...

Prints a plan with attention of bf16, forward and backward, for each head size: 2 rows of 700 tokens, 6 heads, 3 key heads.
ATTRIBUTES: behind the scale, such as 'window 100 softcap 50.0'.
"""
import sys


def kernels(size, attributes):
    tokens, heads, key_heads = 1400, 6, 3
    wide, narrow = f"memref<{tokens}x{heads * size}xbf16>", f"memref<{tokens}x{key_heads * size}xbf16>"
    starts, lse, scratch = f"memref<{tokens}xi32>", f"memref<{tokens}x{heads}xf32>", f"memref<{4 * tokens * heads}xi8>"
    types = [wide, narrow, narrow, starts, wide, lse]
    sizes = f"batch 2 heads {heads} kv_heads {key_heads} scale 1.250000e-01 {attributes}"

    def kernel(name, op, types, scratch):
        names = [f"%{i}" for i in range(len(types))]
        arguments = [f"{n}: {t}" for n, t in zip(names + ["%s"] * len(scratch), types + scratch)]
        extra = "".join(f" scratch(%s : {t})" for t in scratch)
        return (f"plan.kernel @{name}{size} {{\n^bb0({', '.join(arguments)}):\n"
                f"  {op} {', '.join(names)}{extra} {sizes} : {', '.join(types)}\n}}\n")

    return (kernel("forward", "plan.attention", types, []) +
            kernel("backward", "plan.attention_grad", types + [wide, wide, narrow, narrow], [scratch]))


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    attributes = "" if sys.argv[1].isdigit() else sys.argv[1]
    for size in sys.argv[2 if attributes else 1:]:
        print(kernels(int(size), attributes), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
