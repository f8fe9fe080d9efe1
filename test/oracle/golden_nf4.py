#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Quantizes tensors to NF4 with bitsandbytes and with torchao, and writes what lib/Support/Nf4.cpp is compared with.

  golden_nf4.py FILE.safetensors

Of each case: CASE.weight, and the library's CASE.codes, CASE.absmax (8-bit), CASE.nested_absmax, CASE.offset and
CASE.decoded. Names begin with the library. Needs requirements-torch.txt.
"""
import sys

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import save_file
from torchao.quantization.quantize_.workflows.nf4.nf4_tensor import to_nf4


def weights():
    """What differs between blocks: their sizes (over several powers of two), zeros, places half-way between two codes."""
    generator = torch.Generator().manual_seed(5)

    def random(*shape):
        x = 0.05 * torch.randn(shape, generator=generator)
        blocks = x.flatten()[: x.numel() // 64 * 64].view(-1, 64)
        blocks *= 2.0 ** torch.randint(-3, 4, (len(blocks), 1), generator=generator)
        return x

    code = bnb.get_4bit_type("nf4", device="cpu")
    ties = ((code[:-1] + code[1:]) / 2).repeat(8)[:64]
    ties[0] = 1.0
    small = random(6, 64)
    small[1] = 0
    small[2] = ties
    small[3] = torch.nextafter(ties, torch.tensor(2.0)).clamp(max=1)
    small[4] = -ties
    ragged, odd, same = random(5, 100), random(3, 33), 0.25 * torch.ones(4, 32)
    zeros = torch.zeros(2, 64)
    long = random(70, 256)
    long[1] = 0  # more blocks than one scale of scales covers; the last has fewer
    square = random(64, 256)
    square[1] = 0
    square[2, :64] = ties
    return {"bitsandbytes": {"small": small, "ragged": ragged, "odd": odd, "same": same, "zeros": zeros, "long": long},
            "torchao": {"square": square}}


def with_bitsandbytes(weight):
    codes, state = bnb.quantize_4bit(weight, blocksize=64, compress_statistics=True, quant_type="nf4")
    decoded = bnb.dequantize_4bit(codes, state)
    return {"codes": codes.flatten(), "absmax": state.absmax, "nested_absmax": state.state2.absmax,
            "offset": state.offset.view(1), "decoded": decoded}


def with_torchao(weight):
    x = to_nf4(weight)
    return {"codes": x.quantized_data, "absmax": x.quantized_scalers.view(torch.uint8),
            "nested_absmax": x.quantization_factor.float(), "offset": x.scaler_mean.float().view(1),
            "decoded": x.get_original_weight()}


def main():
    torch.set_num_threads(1)
    tensors = {"bitsandbytes.map": bnb.create_dynamic_map(), "bitsandbytes.code": bnb.get_4bit_type("nf4", device="cpu")}
    for library, cases in weights().items():
        for name, weight in cases.items():
            for dtype in (torch.float32, torch.bfloat16):
                w = weight.to(dtype)
                case = f"{library}.{name}.{'fp32' if dtype == torch.float32 else 'bf16'}"
                quantize = with_bitsandbytes if library == "bitsandbytes" else with_torchao
                tensors[case + ".weight"] = w
                for part, value in quantize(w).items():
                    tensors[f"{case}.{part}"] = value.contiguous()
    save_file(tensors, sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())
