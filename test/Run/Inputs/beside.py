# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compares two folders of a model that reads images: `beside.py BEFORE AFTER`. Names and files' settings of other parts must
be the same, and so the bytes of their tensors. Tells how many tensors of text have changed."""
import json
import os
import struct
import sys


def read(folder):
    """(config.json, name -> (type, shape, bytes))."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    with open(os.path.join(folder, "model.safetensors"), "rb") as file:
        header = json.loads(file.read(*struct.unpack("<Q", file.read(8))))
        body = file.read()
    header.pop("__metadata__", None)
    return config, {name: (entry["dtype"], entry["shape"], body[slice(*entry["data_offsets"])]) for name, entry in header.items()}


(before, old), (after, new) = read(sys.argv[1]), read(sys.argv[2])
for key in ("architectures", "model_type", "vision_config"):
    assert before[key] == after[key], key
assert set(old) == set(new), set(old) ^ set(new)
beside = [name for name in old if name.startswith(("vision_tower.", "multi_modal_projector.", "visual."))]
assert all(old[name] == new[name] for name in beside)
texts = [name for name in old if name not in beside]
assert all(old[name][1] == new[name][1] for name in texts)
changed = sum(old[name] != new[name] for name in texts)
print(f"{after['model_type']}: {changed} tensors of {texts[0].split('.')[0]} changed, {len(beside)} others are the same")
