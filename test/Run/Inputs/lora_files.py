# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""lora_files.py BASE CHECKPOINT: which weights of a LoRA checkpoint differ from the base's, and what else it holds."""
import json
import os
import struct
import sys


def tensors(path):
    """name -> (type, bytes) of a safetensors file."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        body = file.read()
    return {name: (entry["dtype"], body[slice(*entry["data_offsets"])])
            for name, entry in header.items() if name != "__metadata__"}


def as_fp32(kind, raw):
    """bf16 is the upper half of a float."""
    if kind == "BF16":
        wide = bytearray(2 * len(raw))
        wide[2::4], wide[3::4] = raw[0::2], raw[1::2]
        return bytes(wide)
    return raw


def main():
    base = tensors(os.path.join(sys.argv[1], "model.safetensors"))
    ours = tensors(os.path.join(sys.argv[2], "model.safetensors"))
    assert set(base) == set(ours), set(base) ^ set(ours)
    first = [name for name in sorted(ours) if ".layers.1." not in name]
    same = {name for name in ours if as_fp32(*base[name]) == as_fp32(*ours[name])}
    print("unchanged:", *[name for name in first if name in same])
    print("changed:", *[name for name in first if name not in same])
    print("adapter tensors:", len(tensors(os.path.join(sys.argv[2], "adapter", "adapter_model.safetensors"))))
    states = tensors(os.path.join(sys.argv[2], "state.safetensors"))
    print(f"states: {len(states)}, of adapters: {sum('.lora_' in name for name in states)}")


if __name__ == "__main__":
    main()
