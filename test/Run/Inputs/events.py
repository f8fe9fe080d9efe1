#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""events.py FOLDER OUT: the one file of TensorBoard's events below FOLDER holds the scalars of OUT/metrics.jsonl, each once and
rounded to fp32. Exit code 1 and a line for every difference."""
import glob
import json
import os
import struct
import sys


def fields(data):
    """(field, value) of a message of protocol buffers."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        field, kind = divmod(varint(), 8)
        if kind == 0:
            yield field, varint()
            continue
        size = {1: 8, 5: 4}.get(kind) or varint()
        piece = data[at:at + size]
        at += size
        yield field, struct.unpack("<d", piece)[0] if kind == 1 else struct.unpack("<f", piece)[0] if kind == 5 else piece


def scalars(path):
    """(step, tag, value) of each event."""
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at < len(data):
        size = struct.unpack_from("<Q", data, at)[0]
        event = dict(fields(data[at + 12:at + 12 + size]))
        at += 16 + size
        if 5 in event:
            value = dict(fields(dict(fields(event[5]))[1]))
            yield event[2], value[1].decode(), value[2]


def main():
    folder, out = sys.argv[1:]
    paths = glob.glob(os.path.join(folder, "**", "events.out.tfevents.*"), recursive=True)
    if len(paths) != 1:
        print(f"files {paths}")
        return 1
    narrow = lambda x: struct.unpack("<f", struct.pack("<f", x))[0]
    wanted = []
    with open(os.path.join(out, "metrics.jsonl"), encoding="utf-8") as file:
        for line in map(json.loads, file):
            for tag in ("loss", "lr", "tokens_per_second", "grad_norm", "val_loss"):
                if line.get(tag) is not None:
                    wanted.append((line["step"], tag, narrow(line[tag])))
    found = list(scalars(paths[0]))
    for one in sorted(set(wanted) ^ set(found)):
        print(one, "is in the metrics only" if one in wanted else "is in the events only")
    print(f"{len(found)} scalars in {paths[0]}")
    return int(found != wanted or not found)


if __name__ == "__main__":
    sys.exit(main())
