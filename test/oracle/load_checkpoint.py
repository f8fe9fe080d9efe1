#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Opens a checkpoint that ftrun wrote with transformers and compares its logits with those of the compiled step.

  load_checkpoint.py --libftrt BUILD/lib/libftrt.so STEP.so CHECKPOINT TOKENS.bin

The step's `logits` entry is called through the C ABI (include/ftrt/host.h) with the checkpoint's parameters, for each row
of a batch at some positions. Merged weights of LoRA are opened as such: the step's adapters start at zero. Bar: |ours - theirs| <= 1e-4 max |theirs| in fp32, 2e-2 in bf16. Needs
requirements-torch.txt.
"""
import argparse
import ctypes
import json
import os
import sys

import torch
import transformers

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import phi3_parts  # noqa: E402
import plain  # noqa: E402

ENTRY_LOGITS = 3
TYPES = {0: torch.float32, 1: torch.bfloat16, 2: torch.int32, 3: torch.int64, 4: torch.uint8}


class Tensor(ctypes.Structure):  # ftrt_tensor
    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("bytes", ctypes.c_uint64),
                ("type", ctypes.c_int32), ("role", ctypes.c_int32), ("rank", ctypes.c_uint64),
                ("shape", ctypes.POINTER(ctypes.c_int64))]

    def torch(self):
        """A view of the step's memory."""
        memory = (ctypes.c_uint8 * self.bytes).from_address(self.data)
        flat = torch.frombuffer(memory, dtype=TYPES[self.type])
        return flat.view([self.shape[i] for i in range(self.rank)])


class Scalars(ctypes.Structure):  # ftrt_scalars
    _fields_ = [("learning_rate", ctypes.c_float), ("inv_tokens", ctypes.c_float), ("step", ctypes.c_uint64),
                ("micro", ctypes.c_uint64), ("seed", ctypes.c_uint64), ("row", ctypes.c_uint64),
                ("position", ctypes.c_uint64)]


class Host:
    """A step opened through libftrt."""

    def __init__(self, library, step):
        self.api = ctypes.CDLL(library)
        self.api.ftrt_host_error.restype = ctypes.c_char_p
        self.api.ftrt_host_open.restype = ctypes.c_void_p
        self.host = self.api.ftrt_host_open(step.encode(), ctypes.c_uint32(0))
        if not self.host:
            raise RuntimeError(self.api.ftrt_host_error().decode())
        self.host = ctypes.c_void_p(self.host)
        self.check(self.api.ftrt_host_init(self.host, ctypes.c_uint64(0)))

    def check(self, code):
        if code:
            raise RuntimeError(self.api.ftrt_host_error().decode())

    def tensor(self, kind, *names):
        found = Tensor()
        self.check(getattr(self.api, "ftrt_host_" + kind)(self.host, *names, ctypes.byref(found)))
        return found.torch()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--libftrt", required=True)
    parser.add_argument("step")
    parser.add_argument("checkpoint")
    parser.add_argument("tokens")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with open(os.path.join(args.checkpoint, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    kind = "AutoModelForImageTextToText" if "vision_config" in config else "AutoModelForCausalLM"
    model, info = getattr(transformers, kind).from_pretrained(args.checkpoint, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    assert [type(model).__name__] == config["architectures"]
    host = Host(args.libftrt, args.step)
    kinds = set()
    for name, (shape, values) in plain.read_model(args.checkpoint).items():
        if name.startswith(("vision_tower.", "multi_modal_projector.", "visual.")):
            continue  # beside the text part, which the step has
        name = name.removeprefix("language_model.")
        whole = torch.frombuffer(values, dtype=torch.float32).view(shape)
        for part in phi3_parts.names(name):  # Phi-3's files have one tensor for several of the step's
            place = host.tensor("tensor", part.encode())
            assert list(place.shape[1:]) == list(shape[1:]) and len(place) <= len(whole), name
            kinds.add(place.dtype)
            place.copy_(whole[:len(place)])
            whole = whole[len(place):]
        assert not len(whole), name
    entry = host.api.ftrt_host_entry(host.host, ENTRY_LOGITS)
    tokens = host.tensor("input", entry, b"tokens")
    rows, length = tokens.shape
    with open(args.tokens, "rb") as file:
        ids = torch.frombuffer(bytearray(file.read(rows * length * 2)), dtype=torch.uint16).long().view(rows, length)
    with torch.no_grad():
        theirs = model(input_ids=ids).logits.float()
    worst = 0.0
    for row in range(rows):
        for position in sorted({0, 1, length // 3, length // 2, length - 2, length - 1}):
            tokens.copy_(ids)  # an entry may use its inputs' memory: write them before each call
            for name, values in ((b"labels", torch.full((rows, length), -100)), (b"positions", torch.arange(length)),
                                 (b"segment_starts", torch.zeros(rows, length))):
                try:
                    place = host.tensor("input", entry, name)
                except RuntimeError:
                    continue  # an input that this entry does not read
                place.copy_(values)
            host.check(host.api.ftrt_host_run(host.host, entry, ctypes.byref(Scalars(row=row, position=position))))
            ours = host.tensor("output", entry, b"logits").float().flatten()
            reference = theirs[row, position]
            worst = max(worst, float((ours - reference).abs().max() / reference.abs().max()))
    bar = 2e-2 if torch.bfloat16 in kinds else 1e-4
    good = worst <= bar  # not a number is no success
    print(f"  logits     {'ok  ' if good else 'FAIL'} worst {worst:.2e} of the largest, bar {bar:g} ({args.checkpoint})")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
