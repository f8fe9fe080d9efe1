# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the comparisons share and that needs nothing but Python: the cases, safetensors files, metrics."""
import array
import json
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GOLDENS = os.path.join(HERE, "goldens")
STEPS = 20


def cases():
    """name -> {recipe, overrides, data, parameters}, from cases.json; paths are absolute."""
    with open(os.path.join(HERE, "cases.json"), encoding="utf-8") as file:
        table = json.load(file)
    for case in table.values():
        case["recipe"] = os.path.join(HERE, case["recipe"])
        case["data"] = os.path.join(HERE, "data", case.get("data", "tokens.bin"))
    return table


def recipe_of(case):
    """The recipe as nested dictionaries, overrides applied ("a.b=value", "~a.b", "node=component"). Needs PyYAML."""
    import yaml
    with open(case["recipe"], encoding="utf-8") as file:
        recipe = yaml.safe_load(file)
    for override in case["overrides"]:
        path, _, value = override.partition("=")
        keys = path.lstrip("~").split(".")
        node = recipe
        for key in keys[:-1]:
            node = node[key]
        if override.startswith("~"):
            del node[keys[-1]]
        elif isinstance(node.get(keys[-1]), dict):
            node[keys[-1]]["_component_"] = value
        else:
            node[keys[-1]] = float(value) if value == "inf" else yaml.safe_load(value)
    return recipe


def read_safetensors(path):
    """name -> (shape, array of 32-bit floats), for tensors of types F32, BF16 and F64 (rounded)."""
    assert sys.byteorder == "little", "written for little-endian machines"
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        body = file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw, kind = body[begin:end], entry["dtype"]
        if kind == "F32":
            values = array.array("f", raw)
        elif kind == "BF16":  # the upper half of a float
            wide = bytearray(2 * len(raw))
            wide[2::4], wide[3::4] = raw[0::2], raw[1::2]
            values = array.array("f", bytes(wide))
        elif kind == "F64":
            values = array.array("f", array.array("d", raw))
        else:
            raise ValueError(f"{path}: {name} has type {kind}")
        tensors[name] = (entry["shape"], values)
    return tensors


def read_model(directory):
    """All tensors of a Hugging Face directory, one file or shards."""
    index = os.path.join(directory, "model.safetensors.index.json")
    if not os.path.exists(index):
        return read_safetensors(os.path.join(directory, "model.safetensors"))
    with open(index, encoding="utf-8") as file:
        shards = sorted(set(json.load(file)["weight_map"].values()))
    tensors = {}
    for shard in shards:
        tensors.update(read_safetensors(os.path.join(directory, shard)))
    return tensors


def read_metrics(run):
    """The objects of RUN/metrics.jsonl, in order."""
    with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]
