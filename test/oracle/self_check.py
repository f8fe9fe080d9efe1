#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Shows that the bars can fail: writes runs made of the goldens themselves and compares them.

  self_check.py DIR

For each case: the golden as a run passes; the same with the losses of an untrained model and the untouched parameters
fails losses and parameters; with one loss moved by twice the bar, or one tensor moved, or one step missing, it fails. Where
weights are fake-quantized, the same of the first step's model and of the bars that hold behind it.
Standard library only.
"""
import array
import json
import os
import shutil
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import compare  # noqa: E402
import plain  # noqa: E402


def write_tensors(path, tensors):
    """A safetensors file in fp32."""
    header, at, body = {}, 0, []
    for name, (shape, values) in tensors.items():
        raw = values.tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        body.append(raw)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(body))


def moved(tensors, victim, share, origin):
    """The tensors, one of them moved by a share of its change since `origin`."""
    shape, values = tensors[victim]
    return dict(tensors, **{victim: (shape, array.array("f", (v + share * (v - o) for v, o in zip(values, origin))))})


def attention(tensors):
    """The name of a weight of attention that every family has."""
    return next(key for key in tensors if key.endswith(("model.layers.1.self_attn.k_proj.weight", "model.layers.1.self_attn.qkv_proj.weight")))


def write_run(folder, steps, tensors, adapter, first):
    """metrics.jsonl, step_20/model.safetensors and, if there are such, the adapter and step_1/model.safetensors."""
    shutil.rmtree(folder, ignore_errors=True)
    last = os.path.join(folder, f"step_{plain.STEPS}")
    os.makedirs(last)
    with open(os.path.join(folder, "metrics.jsonl"), "w", encoding="utf-8") as file:
        for number, row in enumerate(steps, 1):
            file.write(json.dumps(dict(row, step=number)) + "\n")
    write_tensors(os.path.join(last, "model.safetensors"), tensors)
    if first:
        os.makedirs(os.path.join(folder, "step_1"))
        write_tensors(os.path.join(folder, "step_1", "model.safetensors"), first)
    if adapter:
        os.makedirs(os.path.join(last, "adapter"))
        write_tensors(os.path.join(last, "adapter", "adapter_model.safetensors"), adapter)


def main():
    folder, wrong = sys.argv[1], []

    for name, case in plain.cases().items():
        with open(os.path.join(plain.GOLDENS, name + ".json"), encoding="utf-8") as file:
            golden = json.load(file)
        steps, bars = golden["steps"], compare.QUANTIZED.get(case.get("quantized"), compare.BARS[golden["dtype"]])
        late = "loss then" if case.get("steps_alike") else "loss"
        end, start, adapter, untouched, first = {}, {}, {}, {}, {}
        if case.get("parameters"):
            end = plain.read_safetensors(os.path.join(plain.GOLDENS, name + ".safetensors"))
        if case.get("first"):
            first = plain.read_safetensors(os.path.join(plain.GOLDENS, name + ".first.safetensors"))
        if end or first:
            start = plain.read_model(os.path.join(plain.ROOT, golden["checkpoint"]))
        if case.get("adapter"):
            adapter = plain.read_safetensors(os.path.join(plain.GOLDENS, name + ".adapter.safetensors"))
            untouched = {key: (shape, array.array("f", [0.0]) * len(values)) for key, (shape, values) in adapter.items()}

        def expect(what, steps, failures, tensors=end, adapter=adapter, first=first):
            run = os.path.join(folder, name)
            write_run(run, steps, tensors, adapter, first)
            got = compare.compare(name, case, plain.GOLDENS, run)
            if set(got) != set(failures):
                wrong.append(f"{name}, {what}: {got} failed, not {failures}")

        expect("as it is", steps, [])
        if "losses_without_updates" in golden:
            still = [dict(row, loss=loss) for row, loss in zip(steps, golden["losses_without_updates"])]
            failures = ["loss"] + (["parameters"] if end else []) + (["adapter"] if untouched else [])
            expect("without updates", still, failures, start, untouched)
        worse = [dict(row) for row in steps]
        worse[-1]["loss"] *= 1 + 2 * bars["loss"]
        expect("a moved loss", worse, [late])
        if case.get("steps_alike"):
            worse = [dict(row) for row in steps]
            worse[case["steps_alike"] - 1]["loss"] *= 1 + 2 * compare.BARS[golden["dtype"]]["loss"]
            expect("a moved loss of the steps that are alike", worse, ["loss"])
        expect("a missing step", steps[:-1], ["steps"])
        broken = [dict(row) for row in steps]
        broken[3]["loss"] = None
        expect("a loss that is no number", broken, [late])
        if "rewards/margins" in steps[0]:
            other = [dict(row) for row in steps]
            other[7]["rewards/margins"] += 2 * bars["pairs"] * max(1, abs(other[7]["rewards/margins"]))
            expect("a moved margin", other, ["pairs"])
        if "kd_loss" in steps[0]:
            other = [dict(row) for row in steps]
            other[7]["kd_loss"] *= 1 + 2 * bars["loss"]
            expect("a moved loss of the teacher's probabilities", other, ["kd_loss"])
        if first:
            victim = attention(first)
            expect("a model that did not learn", steps, ["first"], first=start)
            expect("a moved tensor of the first step", steps, ["first"], first=moved(first, victim, 2 * bars["first"], start[victim][1]))
            expect("a missing tensor of the first step", steps, ["first"], first={key: value for key, value in first.items() if key != victim})
        share = 2 * bars.get("parameters", 0)
        if end:
            victim = attention(end)
            values = end[victim][1]
            origin = start[victim][1] if golden["dtype"] == "bf16" else [0.0] * len(values)
            expect("a moved tensor", steps, ["parameters"], moved(end, victim, share, origin))
            less = {key: value for key, value in end.items() if key != victim}
            expect("a missing tensor", steps, ["parameters"], less)
        if adapter:
            victim = next(iter(adapter))
            other = moved(adapter, victim, share, [0.0] * len(adapter[victim][1]))
            expect("a moved adapter", steps, ["adapter"], adapter=other)
    print("\n".join(wrong) or "the bars hold and can fail")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
