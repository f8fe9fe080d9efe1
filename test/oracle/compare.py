#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compares a run of ftrun with a golden of PyTorch. Standard library only.

The bars, over the 20 steps of a case:
  fp32  each loss within 1e-5 relative; each parameter after the last step within 1e-4 relative norm, each
        tensor of an adapter too
  bf16  each loss within 2e-3 relative; for each tensor that PyTorch changed |dOurs - dRef| <= 0.25 |dRef|, d being the
        change since the start
  both  each learning rate within 1e-6 relative; each gradient norm within 1e-3 (fp32) or 5e-2 (bf16), where both give one
  parts (of a loss with a teacher): class_loss and kd_loss as the loss
  fake quantization rounds, so that a last bit decides between two codes; how far that leads was measured (README.md). Of weights that
        are trained the number at the end of a group's range always lies between two: the bars above hold in the steps before
        weights may differ, the case's `steps_alike`, and where `first` is given each tensor's change in the first step is within 1e-3
        of it; behind them each loss within 5e-3 relative, each gradient norm within 0.04. Of activations alone, beside adapters:
        each loss in fp32 within 5e-4, each parameter and tensor of an adapter within 2e-3
  pairs (of preference optimization): each mean of rewards and log-probabilities within 1e-4, relative where above 1
Each bar prints one line: its name, ok or FAIL, the worst figure and where it was. Exit code 1 if one fails.
"""
import argparse
import json
import math
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import plain  # noqa: E402

BARS = {
    "fp32": {"loss": 1e-5, "parameters": 1e-4, "lr": 1e-6, "grad_norm": 1e-3, "pairs": 1e-4},
    "bf16": {"loss": 2e-3, "parameters": 0.25, "lr": 1e-6, "grad_norm": 5e-2},
}
# Where values are fake-quantized, by the case's `quantized`.
QUANTIZED = {
    "weights": {"loss": 5e-3, "lr": 1e-6, "grad_norm": 0.04, "first": 1e-3},
    "activations": {"loss": 5e-4, "parameters": 2e-3, "lr": 1e-6, "grad_norm": 5e-3},
}


def norm(values):
    return math.sqrt(math.fsum(x * x for x in values))


def distance(a, b):
    return math.sqrt(math.fsum((x - y) * (x - y) for x, y in zip(a, b)))


class Report:
    """Collects the bars of one comparison."""

    def __init__(self, log=print):
        self.failed, self.log = [], log

    def bar(self, name, figures, limit):
        """figures: list of (figure, where); the worst one decides. Not a number fails."""
        worst, where = max(figures, key=lambda pair: math.inf if math.isnan(pair[0]) else pair[0])
        good = worst <= limit
        self.log(f"  {name:<10} {'ok  ' if good else 'FAIL'} worst {worst:.2e} ({where}), bar {limit:g}")
        if not good:
            self.failed.append(name)

    def wrong(self, name, message):
        self.log(f"  {name:<10} FAIL {message}")
        self.failed.append(name)


def compare_metrics(report, golden, metrics, bars, alike=None):
    """golden: {"steps": [{loss, lr, grad_norm}]}; metrics: objects of ftrun, which may be more than the golden's. Behind the first
    `alike` steps, if given, the bars are those of fake-quantized weights."""
    steps = golden["steps"]
    if [row.get("step") for row in metrics] != list(range(1, len(steps) + 1)):
        report.wrong("steps", f"the golden has steps 1 to {len(steps)}, the run {[row.get('step') for row in metrics]}")
        return
    for key, bar in (("loss", "loss"), ("class_loss", "loss"), ("kd_loss", "loss"), ("lr", "lr"), ("grad_norm", "grad_norm")):
        figures = []
        for number, (ours, theirs) in enumerate(zip(metrics, steps), 1):
            reference = theirs.get(key)
            if reference is None or (key == "grad_norm" and ours.get(key) is None):
                continue
            value = ours.get(key)
            value = math.nan if value is None else float(value)
            figures.append((abs(value - reference) / max(abs(reference), 1e-12), f"step {number}"))
        if figures:
            report.bar(key, figures[:alike], bars[bar])
        if figures[alike or len(figures):]:
            report.bar(key + " then", figures[alike:], QUANTIZED["weights"][bar])
    figures = []
    for number, (ours, theirs) in enumerate(zip(metrics, steps), 1):
        for key in theirs:
            if key.startswith(("rewards/", "log_probs/")):
                value = math.nan if ours.get(key) is None else float(ours[key])
                figures.append((abs(value - theirs[key]) / max(abs(theirs[key]), 1.0), f"{key} of step {number}"))
    if figures:
        report.bar("pairs", figures, bars["pairs"])


def compare_parameters(report, dtype, start, reference, ours, limit, bar="parameters"):
    """All three: name -> (shape, values)."""
    if set(ours) != set(reference):
        report.wrong(bar, f"missing {sorted(set(reference) - set(ours))}, too many {sorted(set(ours) - set(reference))}")
        return
    figures = []
    for name, (shape, values) in sorted(reference.items()):
        if list(ours[name][0]) != list(shape):
            report.wrong(bar, f"{name} has shape {ours[name][0]}, not {shape}")
            return
        apart = distance(ours[name][1], values)
        if dtype == "fp32":
            figures.append((apart / norm(values), name))
            continue
        changed = distance(start[name][1], values)
        if changed > 0:  # what rounding keeps in place there has no change to compare with
            figures.append((apart / changed, name))
    report.bar(bar, figures, limit)


def compare(name, case, goldens, run, log=print):
    """Returns the names of the bars that failed. `goldens` holds NAME.json and NAME.safetensors."""
    log(f"{name}: {run} against {goldens}")
    with open(os.path.join(goldens, name + ".json"), encoding="utf-8") as file:
        golden = json.load(file)
    report = Report(log)
    bars = QUANTIZED["activations"] if case.get("quantized") == "activations" else BARS[golden["dtype"]]
    compare_metrics(report, golden, plain.read_metrics(run), bars, case.get("steps_alike"))
    if case.get("first"):
        changes = [plain.read_model(os.path.join(run, "step_1")), plain.read_safetensors(os.path.join(goldens, name + ".first.safetensors"))]
        start = plain.read_model(os.path.join(plain.ROOT, golden["checkpoint"]))
        for model in changes:
            for key in model:
                model[key] = (model[key][0], [x - y for x, y in zip(model[key][1], start[key][1])])
        compare_parameters(report, "fp32", {}, changes[1], changes[0], QUANTIZED["weights"]["first"], "first")
    if case.get("parameters"):
        reference = plain.read_safetensors(os.path.join(goldens, name + ".safetensors"))
        start = plain.read_model(os.path.join(plain.ROOT, golden["checkpoint"]))
        ours = plain.read_model(os.path.join(run, f"step_{len(golden['steps'])}"))
        compare_parameters(report, golden["dtype"], start, reference, ours, bars["parameters"])
    if case.get("adapter"):
        reference = plain.read_safetensors(os.path.join(goldens, name + ".adapter.safetensors"))
        ours = plain.read_safetensors(os.path.join(run, f"step_{len(golden['steps'])}", "adapter", "adapter_model.safetensors"))
        compare_parameters(report, golden["dtype"], {}, reference, ours, bars["parameters"], "adapter")
    return report.failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=sorted(plain.cases()))
    parser.add_argument("run", help="ftrun's output directory, with metrics.jsonl and step_20/")
    parser.add_argument("--goldens", default=plain.GOLDENS)
    args = parser.parse_args()
    return 1 if compare(args.case, plain.cases()[args.case], args.goldens, args.run) else 0


if __name__ == "__main__":
    sys.exit(main())
