#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checks and measures the steps of this bundle on the machine's NVIDIA GPU.

usage: run_all [--dry-run] [--json FILE] [--only NAME...] [--stages NAME...] [--minutes N]

Stage by stage, each for every case:
  check       losses and gradient norms of its steps against goldens; the GPU's memory, item by item (slabs must be the
              plan's, rounded up to 2 MiB); the same bits from a second run, and from one without CUDA graphs; speed: tokens/s
              of the later steps, and SOL, the time that the necessary products take at the rate that a large product reaches
              on this GPU, over the step's time. A case that does not run is run once more without CUDA graphs, and under
              compute-sanitizer, to learn why, and left out of the other stages
  cudnn       the cases in bf16 with attention by cuDNN, where the machine has one that can: which attentions it computes, the
              same comparisons with goldens (or with the losses of our own kernels) and of bits, and both speeds. All other
              stages run our own attention
  sanitize    compute-sanitizer, where it is installed, on the first case of each precision
  kernels     the time of each kernel and product
  tuned       the speed with tuned products (ftrun --tune)
  torch       the same step in PyTorch, where that and transformers are installed
  compiled    the same through torch.compile
Everything goes into one JSON file, written anew after each case of each stage, and the last line is 'N passed, N failed'. With
--minutes nothing begins later than that, and no program runs longer: what is left is told, and a second call with --only and
--stages does it. Needs python3, NVIDIA's driver and cuBLAS; nothing is installed or fetched.

--dry-run: everything that needs no GPU (files, steps, goldens), and the commands that would run. Standard library only.
"""
import argparse
import hashlib
import json
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.realpath(__file__))
PAGE = 2 << 20  # what the driver rounds allocations up to
# As on the CPU: relative difference of each loss, and of each gradient norm.
BARS = {"fp32": {"losses": 1e-5, "grad_norms": 1e-3}, "bf16": {"losses": 2e-3, "grad_norms": 5e-2}}
TIMEOUT = 1800  # seconds for one program
START = time.monotonic()
LIMIT = math.inf  # seconds for all, from the start on


class Judge:
    """Counts and prints what holds and what does not."""

    def __init__(self):
        self.passed = self.failed = 0
        self.failures = []

    def expect(self, good, what):
        self.passed += bool(good)
        self.failed += not good
        if not good:
            self.failures.append(what)
        print(f"  {'ok  ' if good else 'FAIL'} {what}", flush=True)
        return good


class OutOfTime(Exception):
    """The time for all was over before a program ended."""


def left():
    """Seconds that are left."""
    return LIMIT - (time.monotonic() - START)


def execute(command, environment=None, timeout=TIMEOUT):
    """(exit code, output); a program that hangs has code -1. Raises OutOfTime."""
    variables = dict(os.environ)
    libraries = [os.path.join(HERE, "lib"), variables.get("LD_LIBRARY_PATH", "")]
    variables["LD_LIBRARY_PATH"] = ":".join(path for path in libraries if path)
    variables["FTRT_CUDNN"] = "0"
    variables.update(environment or {})
    seconds = min(timeout, left())
    if seconds <= 0:
        raise OutOfTime()
    # Output goes to a file, and a group of its own is ended: what a program has started and left cannot hold us up.
    with tempfile.TemporaryFile() as output:
        try:
            program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                       env=variables, start_new_session=True)
        except OSError as error:
            return -1, str(error)
        ended = True
        try:
            program.wait(seconds)
        except subprocess.TimeoutExpired:
            ended = False
        try:
            os.killpg(program.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        program.wait()
        output.seek(0)
        said = output.read().decode(errors="replace")
    if ended:
        return program.returncode, said
    if seconds < timeout:
        raise OutOfTime()
    return -1, said + f"\nno end after {seconds:.0f} s"


def ftrun(*arguments):
    return [os.path.join(HERE, "bin", "ftrun"), *arguments]


def training(case, out, steps=None, tune=False):
    measured = [] if case["check"] else ["--no-checkpoint"]
    if tune:
        measured.append("--tune")
    return ftrun(step_of(case), "--data", data_of(case), "--steps",
                 str(steps or case["steps"]), "--out", out, "shuffle=False", *measured)


def step_of(case):
    return os.path.join(HERE, "steps", case["name"] + ".so")


def data_of(case):
    return os.path.join(HERE, "data", case.get("data", case["name"] + ".bin"))


def read_metrics(out):
    with open(os.path.join(out, "metrics.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def digest(out, steps):
    """A hash of everything that a run has trained."""
    total = hashlib.sha256()
    for name in sorted(os.listdir(os.path.join(out, f"step_{steps}"))):
        if name.endswith(".safetensors"):
            with open(os.path.join(out, f"step_{steps}", name), "rb") as file:
                for block in iter(lambda: file.read(1 << 20), b""):
                    total.update(block)
    return total.hexdigest()


def apart(ours, theirs):
    """Largest relative difference of two lists of numbers; infinite where one has no number."""
    if len(ours) != len(theirs):
        return math.inf
    worst = 0.0
    for x, y in zip(ours, theirs):
        if (x is None) != (y is None):
            return math.inf
        if x is not None:
            worst = max(worst, abs(x - y) / max(abs(y), 1e-30))
    return worst


def read_memory(case, said):
    """The items that ftrun prints, and what the slabs must be."""
    planned = re.search(r"^planned .* \((\d+) bytes\), taken (\d+) bytes of the device$", said, re.MULTILINE)
    items = dict((name.strip(), int(count)) for name, count in
                 re.findall(r"^  (\S.*?) +(\d+) bytes of its free memory$", said, re.MULTILINE))
    _, info = execute(ftrun("--info", step_of(case)))
    slabs = [int(count) for count in re.findall(r"^  slab '.*': (\d+) bytes, near", info, re.MULTILINE)]
    return {"planned": int(planned.group(1)) if planned else None, "taken": int(planned.group(2)) if planned else None,
            "items": items, "slabs_rounded": sum((count + PAGE - 1) // PAGE * PAGE for count in slabs)}


def read_device(said):
    found = re.search(r"^(.+) \((sm_\w+)\), driver ([\d.]+)(?:, cuBLASLt ([\d.]+) \((.+?)\))?"
                      r"(?:, cuDNN ([\d.]+) \((.+)\))?$", said, re.MULTILINE)
    names = ("name", "architecture", "driver", "cublaslt", "cublaslt_path", "cudnn", "cudnn_path")
    return dict(zip(names, found.groups())) if found else None


def speed_of(case, rows):
    """Figures of the later half of the steps; the first ones warm up."""
    later = rows[len(rows) // 2:]
    seconds = [row["tokens"] / row["tokens_per_second"] for row in later]
    shares = [row["share_of_peak"] for row in later if row.get("share_of_peak")]
    second = statistics.median(seconds)
    return {"seconds": second, "fastest_seconds": min(seconds), "tokens_per_second": case["batch"] * case["length"] / second,
            "sol": statistics.median(shares) if shares else None}


def sanitizer():
    """Path of compute-sanitizer; None where it is not installed."""
    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    return tool if os.path.exists(tool) else None


def explain(case, result, folder):
    """What can be learned of a run that failed: which kernel it was, and what compute-sanitizer says of it."""
    command = training(case, os.path.join(folder, "again"), steps=1)
    _, said = execute(command, {"FTRT_CUDA_GRAPH": "0"})
    result["error_one_by_one"] = said[-4000:]
    print("  kernels one by one:\n" + said[-2000:])
    if sanitizer():
        _, said = execute([sanitizer(), *command], {"FTRT_CUDA_GRAPH": "0"}, timeout=120)
        result["error_sanitized"] = said[-8000:]


def check_case(case, judge, result, folder):
    """Runs a case; what ftrun said of the device goes into `result`."""
    out = os.path.join(folder, "first")
    code, said = execute(training(case, out))
    if not judge.expect(code == 0, f"{case['name']}: runs (exit code {code})"):
        print(said[-4000:])
        result["error"] = said[-4000:]
        explain(case, result, folder)
        return
    result["device"] = read_device(said)
    rows = read_metrics(out)
    judge.expect(len(rows) == case["steps"], f"{case['name']}: {len(rows)} of {case['steps']} steps")
    result["losses"] = [row["loss"] for row in rows]
    result["grad_norms"] = [row["grad_norm"] for row in rows]
    if case["check"]:
        for key, bar in BARS[case["check"]].items():
            worst = apart(result[key], case["golden"][key])
            result[key + "_apart"] = worst if math.isfinite(worst) else None
            judge.expect(worst <= bar, f"{case['name']}: {key} apart by {worst:.2e} at most (bar {bar:.0e})")
    memory = result["memory"] = read_memory(case, said)
    judge.expect(memory["planned"] and memory["planned"] == memory["taken"],
                 f"{case['name']}: bytes planned {memory['planned']}, taken {memory['taken']}")
    judge.expect(memory["items"].get("slabs") == memory["slabs_rounded"],
                 f"{case['name']}: free memory fell by {memory['items'].get('slabs')} for slabs of "
                 f"{memory['slabs_rounded']} in pages")
    speed = result["speed"] = speed_of(case, rows)
    if case["check"]:
        bits = digest(out, case["steps"])
        for what, environment in (("a second run", {}), ("a run without graphs", {"FTRT_CUDA_GRAPH": "0"})):
            again = os.path.join(folder, "again")
            code, text = execute(training(case, again), environment)
            judge.expect(code == 0 and digest(again, case["steps"]) == bits, f"{case['name']}: the same bits from {what}")
            shutil.rmtree(again, ignore_errors=True)
    print(f"  {case['name']}: {speed['seconds']:.4f} s a step, {speed['tokens_per_second']:.0f} tokens/s"
          + (f", SOL {100 * speed['sol']:.1f} %" if speed["sol"] else ""))


def measure_cudnn(case, judge, result, folder):
    """The case once more with attention by cuDNN: right, the same bits each time, and how fast."""
    leave, out = {"FTRT_CUDNN": ""}, os.path.join(folder, "cudnn")
    code, said = execute(training(case, out), leave)
    lines = re.findall(r"^  (attention \d+ \(.*)$", said, re.MULTILINE)
    used = [line for line in lines if ": eng" in line]
    found = result["cudnn"] = {"attentions": lines, "device": read_device(said)}
    if not judge.expect(code == 0, f"{case['name']}: runs with leave to use cuDNN (exit code {code})"):
        found["error"] = said[-4000:]
        print(said[-4000:])
        return
    for line in lines:
        print("    " + line)
    if not used:
        print(f"  {case['name']}: cuDNN computes no attention here: nothing is compared")
        return
    rows = read_metrics(out)
    bars, golden = BARS["bf16"], case["golden"] if case["check"] else result
    for key in ("losses", "grad_norms") if case["check"] else ("losses",):
        if key not in golden:
            continue
        worst = apart([row["loss" if key == "losses" else "grad_norm"] for row in rows], golden[key])
        found[key + "_apart"] = worst if math.isfinite(worst) else None
        judge.expect(worst <= bars[key], f"{case['name']}: with cuDNN {key} apart by {worst:.2e} at most (bar {bars[key]:.0e})")
    if case["check"]:
        bits = digest(out, case["steps"])
        for what, environment in (("a second run", {}), ("a run without graphs", {"FTRT_CUDA_GRAPH": "0"})):
            again = os.path.join(folder, "again")
            code, _ = execute(training(case, again), {**leave, **environment})
            judge.expect(code == 0 and digest(again, case["steps"]) == bits,
                         f"{case['name']}: with cuDNN the same bits from {what}")
            shutil.rmtree(again, ignore_errors=True)
    speed = result["speed_cudnn"] = speed_of(case, rows)
    found["kernels"] = kernel_times(case, folder, leave)
    found["kernels_own"] = kernel_times(case, folder, {})
    times = [sum(row[0] for row in found[which] or [] if "attention" in row[2]) for which in ("kernels", "kernels_own")]
    print(f"  {case['name']}: with cuDNN {speed['seconds']:.4f} s a step"
          + (f", without {result['speed']['seconds']:.4f}" if "speed" in result else "")
          + f"; attention takes {times[0]:.0f} us of it, {times[1]:.0f} without")


def kernel_times(case, folder, environment, steps=4):
    """[microseconds a step, calls a step, name] of each kernel, product and attention of cuDNN; None where it fails."""
    path = os.path.join(folder, "times")
    code, _ = execute(training(case, os.path.join(folder, "timed"), steps=steps), {**environment, "FTRT_CUDA_TIMES": path})
    if code != 0 or not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    os.remove(path)
    shutil.rmtree(os.path.join(folder, "timed"), ignore_errors=True)
    return [[float(row[0]) / steps, int(row[1]) / steps, row[2]] for row in rows]


def sanitize(case, judge, result, folder):
    """All of a step under memcheck; attention, whose threads share memory, under the tools for that."""
    if not sanitizer():
        result["sanitizer"] = None
        print("  compute-sanitizer is not installed: skipped")
        return
    result["sanitizer"] = {}
    attention = ["--kernel-name", "kernel_substring=attention"]
    for tool, options in (("memcheck", []), ("synccheck", attention), ("racecheck", attention)):
        def run(*options):
            command = [sanitizer(), "--tool", tool, *options, "--report-api-errors", "no", "--error-exitcode", "9"]
            return execute(command + training(case, os.path.join(folder, tool), steps=2), {"FTRT_CUDA_GRAPH": "0"}, timeout=240)
        code, said = run(*options)
        if options and "SUMMARY" not in said:  # other versions name that option otherwise
            code, said = run()
        result["sanitizer"][tool] = {"code": code, "said": said[-2000:]}
        if code != 0 and "SUMMARY" not in said:
            print(f"  {tool} does not run here: {said.strip().splitlines()[-1:]}")
            continue
        if not judge.expect(code == 0, f"{case['name']}: {tool} finds nothing (exit code {code})"):
            print(said[-4000:])


def measure_tuned(case, judge, result, folder):
    """The speed once more, with the fastest algorithm of each product."""
    out = os.path.join(folder, "tuned")
    code, said = execute(training(case, out, tune=True))
    # Later cases and runs take the library's first choice again.
    for name in os.listdir(os.path.join(HERE, "steps")):
        if name.endswith(".algorithms.json"):
            os.remove(os.path.join(HERE, "steps", name))
    if not judge.expect(code == 0, f"{case['name']}: runs with tuned products (exit code {code})"):
        print(said[-4000:])
        return
    speed = result["speed_tuned"] = speed_of(case, read_metrics(out))
    told = re.search(r"^tuned .*$", said, re.MULTILINE)
    result["tuned"] = told.group(0) if told else None
    print(f"  {case['name']}: tuned {speed['seconds']:.4f} s a step ({told.group(0) if told else 'no products'})")


def measure_kernels(case, judge, result, folder):
    """Where the time of a step goes: [microseconds a step, calls a step, name] of each kernel and product."""
    rows = kernel_times(case, folder, {})
    if not judge.expect(rows is not None, f"{case['name']}: runs with times of kernels"):
        return
    result["kernels"] = rows
    for microseconds, calls, name in result["kernels"][:8]:
        print(f"    {microseconds:10.1f} us a step in {calls:6.1f} calls: {name}")


def peer_command(case, compiled):
    command = [sys.executable, os.path.join(HERE, "torch_peer.py"), "--device", "cuda", "--dtype", "bf16", "--batch",
               str(case["batch"]), "--length", str(case["length"]), "--steps", "8", "--warmup", "4"]
    for name, value in case["peer"].items():
        command += ["--" + name, str(value)]
    return command + (["--compile"] if compiled else [])


def last_object(said):
    """The last line that is a JSON object; other programs' warnings may follow it."""
    for line in reversed(said.splitlines()):
        if line.startswith("{"):
            try:
                return json.loads(line)
            except ValueError:
                pass
    return None


def compare_with_torch(case, judge, result, folder, compiled=False):
    """Seconds of the same step in PyTorch; None where it does not run. That is no failure of ours."""
    mode = "compiled" if compiled else "eager"
    code, said = execute(peer_command(case, compiled))
    figures = result.setdefault("torch", {})[mode] = last_object(said) if code == 0 else None
    if figures:
        ours = [result[key]["seconds"] for key in ("speed", "speed_tuned", "speed_cudnn") if key in result]
        print(f"  {case['name']}: PyTorch {mode} {figures['median_seconds']:.4f} s a step"
              + (f", {figures['median_seconds'] / min(ours):.2f} of ours" if ours else ""))
    else:
        result["torch"][mode + "_said"] = said[-1000:]
        print(f"  {case['name']}: PyTorch {mode} does not run here: {said.strip().splitlines()[-1:]}")


def dry_run(bundle, judge):
    for case in bundle["cases"]:
        code, said = execute(ftrun("--info", step_of(case)))
        judge.expect(code == 0 and "target      cuda" in said, f"{case['name']}: its step is one for a GPU")
        data = data_of(case)
        judge.expect(os.path.exists(data) and os.path.getsize(data) >= 2 * case["batch"] * case["length"] * case["steps"],
                     f"{case['name']}: tokens for {case['steps']} steps of {case['batch']} x {case['length']}")
        if case["check"]:
            losses = case["golden"]["losses"]
            judge.expect(len(losses) == case["steps"] and all(loss is not None for loss in losses),
                         f"{case['name']}: goldens of {len(losses)} steps")
        print("       " + " ".join(training(case, "OUT")))
        if case.get("peer"):
            print("       " + " ".join(peer_command(case, compiled=True)))


def write_report(report, judge, args):
    report.update(passed=judge.passed, failed=judge.failed, failures=judge.failures)
    with open(args.json + ".new", "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
    os.replace(args.json + ".new", args.json)


def first_of_each_precision(cases):
    return [next((case for case in cases if case["check"] == precision), None) for precision in BARS]


def in_bf16(cases):
    return [case for case in cases if case["check"] != "fp32"]


def with_peer(cases):
    return [case for case in cases if case.get("peer")]


# What is done, in this order: name, function, and for which cases.
STAGES = [
    ("check", check_case, lambda cases: cases),
    ("cudnn", measure_cudnn, in_bf16),
    ("sanitize", sanitize, first_of_each_precision),
    ("kernels", measure_kernels, lambda cases: cases),
    ("tuned", measure_tuned, lambda cases: cases),
    ("torch", compare_with_torch, with_peer),
    ("compiled", lambda *all: compare_with_torch(*all, compiled=True), with_peer),
]


def describe_machine():
    """What nvidia-smi tells of the GPU."""
    try:
        code, said = execute(["nvidia-smi", "--format=csv,noheader",
                              "--query-gpu=name,driver_version,memory.total,memory.used,clocks.max.sm,power.limit"], timeout=30)
    except OutOfTime:
        return None
    return said.strip() if code == 0 else None


def measure(bundle, judge, args):
    report = {"compiled_for": bundle["device"], "device": None, "machine": describe_machine(), "cases": {}, "left_out": []}
    for name, work, chosen in STAGES:
        if args.stages and name not in args.stages:
            continue
        for case in filter(None, chosen(bundle["cases"])):
            result = report["cases"].setdefault(case["name"], {})
            if "error" in result:
                continue
            print(f"{case['name']}: {name}", flush=True)
            try:
                if left() <= 0:
                    raise OutOfTime()
                with tempfile.TemporaryDirectory() as folder:
                    work(case, judge, result, folder)
            except OutOfTime:
                report["left_out"].append([name, case["name"]])
            except Exception as problem:  # the next case may well run
                result.setdefault("broken", {})[name] = traceback.format_exc()
                judge.expect(False, f"{case['name']}: {name} broke off: {problem!r}")
            report["device"] = report["device"] or result.get("device")
            write_report(report, judge, args)
    if report["left_out"]:
        print("no time was left for: " + ", ".join(" of ".join(pair) for pair in report["left_out"])
              + " (--stages and --only do them)")
    write_report(report, judge, args)
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="check the bundle, run nothing on the GPU")
    parser.add_argument("--json", default="gpu.json", help="where every figure goes")
    parser.add_argument("--only", nargs="+", help="names of cases")
    parser.add_argument("--minutes", type=float, help="end within this time, give or take")
    parser.add_argument("--stages", nargs="+", choices=[name for name, _, _ in STAGES], help="these alone")
    args = parser.parse_args()
    with open(os.path.join(HERE, "cases.json"), encoding="utf-8") as file:
        bundle = json.load(file)
    bundle["cases"] = [case for case in bundle["cases"] if not args.only or case["name"] in args.only]
    judge = Judge()
    if args.dry_run:
        dry_run(bundle, judge)
    else:
        global LIMIT
        LIMIT = 60 * args.minutes if args.minutes else math.inf
        report = measure(bundle, judge, args)
        print(f"{args.json}: every figure, on {report['device']}")
    print(f"{judge.passed} passed, {judge.failed} failed")
    return 0 if judge.passed and not judge.failed else 1


if __name__ == "__main__":
    sys.exit(main())
