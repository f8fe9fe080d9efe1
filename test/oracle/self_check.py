#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Shows that the bars can fail: writes runs made of the goldens themselves and compares them.

  self_check.py DIR

For each case: the golden as a run passes; the same with the losses of an untrained model and the untouched parameters
fails losses and parameters; with one loss moved by twice the bar, or one tensor moved, or one step missing, it fails.
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


def write_run(folder, steps, tensors):
    """metrics.jsonl and step_20/model.safetensors in fp32."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, f"step_{plain.STEPS}"))
    with open(os.path.join(folder, "metrics.jsonl"), "w", encoding="utf-8") as file:
        for number, row in enumerate(steps, 1):
            file.write(json.dumps(dict(row, step=number)) + "\n")
    header, at, body = {}, 0, []
    for name, (shape, values) in tensors.items():
        raw = values.tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        body.append(raw)
    text = json.dumps(header).encode()
    with open(os.path.join(folder, f"step_{plain.STEPS}", "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(body))


def main():
    folder, wrong = sys.argv[1], []

    def expect(name, case, what, steps, tensors, failures):
        run = os.path.join(folder, name)
        write_run(run, steps, tensors)
        got = compare.compare(name, case, plain.GOLDENS, run)
        if set(got) != set(failures):
            wrong.append(f"{name}, {what}: {got} failed, not {failures}")

    for name, case in plain.cases().items():
        with open(os.path.join(plain.GOLDENS, name + ".json"), encoding="utf-8") as file:
            golden = json.load(file)
        steps, bars = golden["steps"], compare.BARS[golden["dtype"]]
        end, start = {}, {}
        if case.get("parameters"):
            end = plain.read_safetensors(os.path.join(plain.GOLDENS, name + ".safetensors"))
            start = plain.read_model(os.path.join(plain.ROOT, golden["checkpoint"]))
        expect(name, case, "as it is", steps, end, [])
        if "losses_without_updates" in golden:
            still = [dict(row, loss=loss) for row, loss in zip(steps, golden["losses_without_updates"])]
            expect(name, case, "without updates", still, start, ["loss"] + (["parameters"] if start else []))
        moved = [dict(row) for row in steps]
        moved[-1]["loss"] *= 1 + 2 * bars["loss"]
        expect(name, case, "a moved loss", moved, end, ["loss"])
        expect(name, case, "a missing step", steps[:-1], end, ["steps"])
        broken = [dict(row) for row in steps]
        broken[3]["loss"] = None
        expect(name, case, "a loss that is no number", broken, end, ["loss"])
        if end:
            other = dict(end)
            victim = "model.layers.1.self_attn.k_proj.weight"
            shape, values = end[victim]
            origin = start[victim][1] if golden["dtype"] == "bf16" else [0.0] * len(values)
            share = 2 * bars["parameters"]
            other[victim] = (shape, array.array("f", (v + share * (v - o) for v, o in zip(values, origin))))
            expect(name, case, "a moved tensor", steps, other, ["parameters"])
            less = {key: value for key, value in end.items() if key != victim}
            expect(name, case, "a missing tensor", steps, less, ["parameters"])
    print("\n".join(wrong) or "the bars hold and can fail")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
