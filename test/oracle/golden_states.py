#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""50 steps of AdamW with quantized moments by bitsandbytes and by torchao: what `train.adamw_quantized` is compared with.

  golden_states.py FILE.safetensors

`gradient` (int8, [steps, 16, 256]) stands for q * |q| * 2^-(14 + row). Of each FORMAT (bitsandbytes_8bit,
torchao_8bit, torchao_4bit) FORMAT.exp_avg.codes, .scale, FORMAT.exp_avg_sq.codes, .scale after every step, and
FORMAT.parameter after the last; it is 0 at the start. Codes are the library's bytes: of four bits the first of two is in the
upper ones. lr 1e-3,
betas 0.9 and 0.95, eps 1e-8, weight decay 0.1. Needs requirements-torch.txt and g++ (torchao compiles its step).
"""
import sys

import bitsandbytes
import torch
import torchao.optim
from safetensors.torch import save_file

STEPS, ROWS, BLOCK = 50, 16, 256
SETTINGS = dict(lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)


def gradients():
    generator = torch.Generator().manual_seed(11)
    codes = torch.randint(-127, 128, (STEPS, ROWS, BLOCK), generator=generator, dtype=torch.int8)
    codes[:, 3] = 0  # a block without any gradient, one whose gradient stops, and one that starts late
    codes[10:, 4] = 0
    codes[:10, 5] = 0
    return codes


def values(codes):
    q = codes.double()
    return (q * q.abs() * 2.0 ** -(14 + torch.arange(ROWS).double().view(ROWS, 1))).float()


def run(make, states, codes):
    parameter = torch.nn.Parameter(torch.zeros(ROWS, BLOCK))
    optimizer = make([parameter], **SETTINGS)
    kept = {}
    for step in range(STEPS):
        parameter.grad = values(codes[step])
        optimizer.step()
        for name, tensor in states(optimizer.state[parameter]).items():
            kept.setdefault(name, []).append(tensor.detach().clone().flatten())
    return {name: torch.stack(tensors) for name, tensors in kept.items()} | {"parameter": parameter.detach()}


def main():
    codes = gradients()
    out = {"gradient": codes}
    of_bitsandbytes = run(bitsandbytes.optim.AdamW8bit,
                          lambda s: {"exp_avg.codes": s["state1"], "exp_avg.scale": s["absmax1"],
                                     "exp_avg_sq.codes": s["state2"], "exp_avg_sq.scale": s["absmax2"]}, codes)
    parts = lambda s: {f"{n}.{part}": getattr(s[n], part) for n in ("exp_avg", "exp_avg_sq")  # noqa: E731
                       for part in ("codes", "scale")}
    for name, tensors in (("bitsandbytes_8bit", of_bitsandbytes),
                          ("torchao_8bit", run(torchao.optim.AdamW8bit, parts, codes)),
                          ("torchao_4bit", run(torchao.optim.AdamW4bit, parts, codes))):
        out |= {f"{name}.{part}": tensor.contiguous() for part, tensor in tensors.items()}
    save_file(out, sys.argv[1])


if __name__ == "__main__":
    main()
