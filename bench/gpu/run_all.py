#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checks and measures the steps of this bundle on the machine's NVIDIA GPU.

usage: run_all [--dry-run] [--json FILE] [--session N] [--only NAME...] [--stages NAME...] [--again] [--minutes N]

Stage by stage, each for every case:
  check       losses, gradient norms and last parameters of its steps against goldens; losses that are numbers and fall; the
              GPU's memory, item by item (slabs must be the plan's, rounded up to 2 MiB, and steps take nothing); the same bits
              from a second run, and from one without CUDA graphs; speed: tokens/s of the later steps, and SOL, the time that the
              necessary products take at the rate that a large product reaches on this GPU, over the step's time. A case that
              does not run, since a kernel fails, is run once more without CUDA graphs, and at the end the first of each message
              under compute-sanitizer, to learn why; it is left out of the other stages
  launches    of tiny cases, and of single layers of larger models: each launch of the plan alone, by the GPU's kernels and by those
              of this machine's CPU, on the same operands; what differs is named with its kernel, and no error reaches another
  cudnn       the cases in bf16 with attention by cuDNN, where the machine has one that can: which attentions it computes, the
              same comparisons with goldens (or with the losses of our own kernels), of launches and of bits, memory, and both
              speeds. All other stages but `fastest` run our own attention
  sanitize    compute-sanitizer, where it is installed, on the first case of each precision
  kernels     the time of each kernel and product, and how near row kernels come to the bandwidth of a copy
  tuned       the speed with tuned products (ftrun --tune)
  fastest     the speed with tuned products and cuDNN, where that is faster than our own attention
  torch       the same step in PyTorch, where that and transformers are installed
  compiled    as torch, through torch.compile

--session 1, 2 and 3 share all of this out, 9 minutes each (or --minutes): 1 checks a small case of each precision, measures the
models that bars of speed are of, checks the other small cases and all launches, and begins with PyTorch; 2 measures these models
tuned and kernel by kernel, then cuDNN; 3 does the rest. Each does first what those before it have left.

Everything goes into one JSON file, written anew after each stage of each case. A call goes on with the file: what is in it is not
done again (--again does it again). The last line is 'N passed, N failed' of all calls, before it the table of the bars of speed.
A run may take as long as its case's limit (tiny ones 60 s, others 180 s); one that takes longer has failed. With --minutes nothing
begins later than that; what was left out, or cut short, is told, and the next call does it. Where no GPU can be used, nothing more
is tried. Needs python3, NVIDIA's driver and cuBLAS; nothing is installed or fetched.

--dry-run: everything that needs no GPU (files, steps, goldens), and the commands that would run. Standard library only.
"""
import argparse
import json
import math
import os
import sys
import tempfile
import time
import traceback

import programs
import stages
from report import Judge, Report, tell_bars

SESSION_MINUTES = 9
WAKING_SECONDS = 180  # that the first program on a machine may take: driver and libraries are read for the first time
RETRY_SECONDS = 5  # before what has found no GPU looks once more


def all_of(case):
    return True


def checked(case):
    return bool(case["check"])


def by_launch(case):
    return bool(case.get("launches"))


def in_bf16(case):
    return case["check"] != "fp32"


def with_bars(case):
    return bool(case.get("sol_bar"))


def measured(case):
    return not case["check"]


def with_peer(case):
    return bool(case.get("peer"))


# What there is to do: name, function, and for which cases.
STAGES = {
    "check": (stages.check_case, all_of),
    "launches": (stages.compare_launches, by_launch),
    "cudnn": (stages.measure_cudnn, in_bf16),
    "sanitize": (stages.sanitize, checked),
    "kernels": (stages.measure_kernels, all_of),
    "tuned": (stages.measure_tuned, all_of),
    "fastest": (stages.measure_fastest, in_bf16),
    "torch": (stages.compare_with_torch, with_peer),
    "compiled": (lambda *all: stages.compare_with_torch(*all, compiled=True), with_peer),
}

# What each session does, most important first. A third element: of these cases the first of each precision alone.
FIRST = "the first of each precision"
SESSIONS = [
    [("check", checked, FIRST), ("launches", checked, FIRST), ("check", with_bars), ("check", checked), ("launches", all_of),
     ("compiled", with_bars)],
    [("kernels", with_bars), ("fastest", with_bars), ("tuned", with_bars), ("cudnn", checked), ("cudnn", with_bars)],
    [(name, all_of) for name in STAGES],
]


def pairs_of(bundle, wanted):
    """[stage, case] for each of a list of (stage, which cases[, FIRST]), in order, each once."""
    pairs = []
    for name, chosen, *first in wanted:
        cases = [case for case in bundle["cases"] if chosen(case) and STAGES[name][1](case)]
        if first or name == "sanitize":  # which takes minutes a case
            cases = [next((case for case in cases if case["check"] == precision), None) for precision in stages.BARS]
        for case in cases:
            if case and (name, case["name"]) not in [(stage, other["name"]) for stage, other in pairs]:
                pairs.append((name, case))
    return pairs


def dry_run(bundle, judge):
    for case in bundle["cases"]:
        code, said = programs.execute(programs.ftrun("--info", programs.step_of(case)), libraries=True)
        judge.expect(code == 0 and "target      cuda" in said, f"{case['name']}: its step is one for a GPU")
        data = programs.data_of(case)
        judge.expect(os.path.exists(data) and os.path.getsize(data) >= 2 * case["batch"] * case["length"] * case["steps"],
                     f"{case['name']}: tokens for {case['steps']} steps of {case['batch']} x {case['length']}")
        if case["check"]:
            losses, parameters = case["golden"]["losses"], case["golden"].get("parameters") or {"end": {}}
            judge.expect(len(losses) == case["steps"] and all(loss is not None for loss in losses),
                         f"{case['name']}: goldens of {len(losses)} steps, and of {len(parameters['end'])} tensors")
        if case.get("launches"):
            for which in ("device", "host"):
                code, said = programs.execute(programs.ftrun("--info", programs.launches_of(case, which)), libraries=True)
                judge.expect(code == 0, f"{case['name']}: its launches are there, for the {which}")
        print("       " + " ".join(programs.training(case, "OUT")))
        if case.get("peer"):
            print("       " + " ".join(stages.peer_command(case, compiled=True)))


def describe_machine():
    """What nvidia-smi tells of the GPU."""
    try:
        code, said = programs.execute(["nvidia-smi", "--format=csv,noheader", "--query-gpu=name,driver_version,memory.total,"
                                       "memory.used,clocks.max.sm,power.limit"], timeout=30)
    except (programs.OutOfTime, programs.CutShort):
        return None
    return said.strip() if code == 0 else None


def wake(case, report):
    """Runs one step, whose time and outcome count for nothing but themselves: what comes first on a machine waits for it."""
    begin = time.monotonic()
    limit = min(WAKING_SECONDS, 3 * programs.limit_of(case))
    try:
        with tempfile.TemporaryDirectory() as folder:
            code, _ = programs.execute(programs.training(case, folder, steps=1), timeout=limit, libraries=True)
    except (programs.OutOfTime, programs.CutShort):
        code = None
    report.data.setdefault("woken", []).append({"case": case["name"], "code": code, "seconds": time.monotonic() - begin})


def run_stage(name, case, judge, result):
    """Whether the stage has an outcome; what has found no GPU looks once more."""
    for last in (False, True):
        try:
            with tempfile.TemporaryDirectory() as folder:
                return STAGES[name][0](case, judge, result, folder) is not False
        except programs.NoDevice:
            if last:
                raise
            time.sleep(max(0, min(RETRY_SECONDS, programs.Clock.left())))
            judge.forget()


def measure(pairs, report):
    """Does what is not done yet, as far as time goes."""
    cut = []
    if pairs:
        stages.forget_choices()  # of a call that was ended
        wake(pairs[0][1], report)
    for number, (name, case) in enumerate(pairs):
        result, judge = report.result(case), Judge()
        if "error" in result and name not in ("check", "launches"):
            continue
        if programs.Clock.left() <= 0:
            report.data["left_out"].append([name, case["name"]])
            continue
        print(f"{case['name']}: {name}", flush=True)
        done = True
        try:
            done = run_stage(name, case, judge, result)
        except programs.OutOfTime:
            report.data["left_out"].append([name, case["name"]])
            continue
        except programs.CutShort as end:
            cut.append(f"{name} of {case['name']}")
            print(f"  the time for all was over before this had ended; it had said:\n{str(end)[-1000:]}")
            report.cut(name, case, str(end))
            continue
        except programs.NoDevice:
            report.finish(name, case, judge, done=False)
            print(f"no GPU can be used here: {len(pairs) - number - 1} more are not tried")
            break
        except Exception as problem:  # the next case may well run
            result.setdefault("broken", {})[name] = traceback.format_exc()
            judge.expect(False, f"{case['name']}: {name} broke off: {problem!r}")
        report.finish(name, case, judge, done)
    with tempfile.TemporaryDirectory() as folder:
        stages.explain_rest(folder)
    if cut:
        print("cut short, since the time for all was over: " + ", ".join(cut))
    if report.data["left_out"]:
        print("no time was left for: " + ", ".join(" of ".join(pair) for pair in report.data["left_out"]))
    if cut or report.data["left_out"]:
        print("another call does them")
    report.write()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="check the bundle, run nothing on the GPU")
    parser.add_argument("--json", default="gpu.json", help="where every figure goes")
    parser.add_argument("--session", type=int, choices=range(1, len(SESSIONS) + 1), help="a third of it all, most important first")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of cases")
    parser.add_argument("--minutes", type=float, help="begin nothing later, and end what runs then")
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), help="these alone")
    parser.add_argument("--again", action="store_true", help="do again what the file has")
    args = parser.parse_args()
    try:
        with open(os.path.join(programs.HERE, "cases.json"), encoding="utf-8") as file:
            bundle = json.load(file)
    except OSError as error:
        sys.exit(f"{error}: this runs in a bundle, which bundle.py (./dev gpu-bundle) packs")
    names = [case["name"] for case in bundle["cases"]]
    if unknown := [name for name in args.only or [] if name not in names]:
        sys.exit(f"--only: this bundle has no case {', '.join(unknown)}; it has {', '.join(names)}")
    some = dict(bundle, cases=[case for case in bundle["cases"] if not args.only or case["name"] in args.only])
    if args.dry_run:
        judge = Judge()
        dry_run(some, judge)
        print(f"{judge.passed} passed, {len(judge.failures)} failed")
        return 0 if judge.passed and not judge.failures else 1
    minutes = args.minutes or (SESSION_MINUTES if args.session else math.inf)
    programs.Clock.seconds = 60 * minutes
    wanted = [pair for session in SESSIONS[:args.session] for pair in session] if args.session else SESSIONS[-1]
    report = Report(args.json, bundle, describe_machine())
    pairs = [(name, case) for name, case in pairs_of(some, wanted) if not args.stages or name in args.stages]
    earlier = len(pairs)
    pairs = [(name, case) for name, case in pairs if args.again or not report.is_done(name, case)]
    if len(pairs) < earlier:
        print(f"{args.json}: has {earlier - len(pairs)} of {earlier} already (--again does them again)")
    with programs.kept_awake():
        measure(pairs, report)
    tell_bars(bundle, report)
    print(f"{args.json}: every figure, on {report.data['device']}")
    print(f"{report.passed} passed, {len(report.failures)} failed")
    return 0 if report.passed and not report.failures else 1


if __name__ == "__main__":
    sys.exit(main())
