#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What run_all does with a case, stage by stage. Standard library only.

Each stage is a function of (case, judge, result, folder): it tells the judge what holds, puts its figures into `result`, and
may write into `folder`.
"""
import math
import os
import re
import shutil
import sys

import programs
import projections
import readings

HERE = programs.HERE
# As on the CPU: relative difference of each loss, and of each gradient norm.
BARS = {"fp32": {"losses": 1e-5, "grad_norms": 1e-3}, "bf16": {"losses": 2e-3, "grad_norms": 5e-2}}
HELD_OUT_DIGITS = 1e-4  # of what ftrun prints
PEER_LIMIT = 420  # seconds of PyTorch, which compiles first: a model of 28 layers on a machine that has compiled nothing yet
WORTH_A_LOOK = 30  # microseconds of a call: below, starting a kernel counts
EXPLAINED_SECONDS = 30  # of a run with kernels one by one that is only to tell which of them fails
EXPLAINED = set()  # messages that compute-sanitizer is asked about
TO_EXPLAIN = []  # [case, result] that it has yet to be asked about

DO = {"FTRT_CUDNN": ""}  # leave to use cuDNN


def number(value):
    return value if math.isfinite(value) else None


def runs(case, judge, result, what, code, said):
    """Judges whether a run ended well; keeps what it said of the device, or why it did not."""
    result["device"] = readings.read_device(said) or result.get("device")
    if judge.expect(code == 0, f"{case['name']}: {what} (exit code {code})"):
        return True
    print(said[-4000:])
    if code == programs.NO_DEVICE:
        raise programs.NoDevice(said[-1000:])
    return False


def explain(case, result, folder, code, said):
    """What can be learned of a run whose kernels failed: which of them it was. The first case of each message (cases get larger)
    is left for compute-sanitizer, which takes minutes and comes when all else is done (explain_rest)."""
    if code not in programs.KERNELS_FAILED and code >= -1:  # a signal is below
        return
    try:
        _, one_by_one = programs.train(case, os.path.join(folder, "again"), {"FTRT_CUDA_GRAPH": "0"}, steps=1, limit=EXPLAINED_SECONDS)
    except programs.CutShort as end:
        one_by_one = str(end)
    result["error_one_by_one"] = one_by_one[-4000:]
    print("  kernels one by one:\n" + one_by_one[-2000:])
    message = readings.message_of(said)
    if message not in EXPLAINED and programs.sanitizer():
        EXPLAINED.add(message)
        TO_EXPLAIN.append((case, result))


def explain_rest(folder):
    """Asks compute-sanitizer about what is left."""
    for case, result in TO_EXPLAIN:
        try:
            _, sanitized = programs.sanitize(case, os.path.join(folder, case["name"]))
        except programs.OutOfTime:
            print(f"no time was left to ask compute-sanitizer about {case['name']}")
            return
        except programs.CutShort as end:
            sanitized = str(end)
        result["error_sanitized"] = sanitized[-8000:]
        print(f"{case['name']}: compute-sanitizer:\n{sanitized[-2000:]}")
    TO_EXPLAIN.clear()


def compare_numbers(case, judge, found, rows, said, golden, what=""):
    """Losses, gradient norms and held-out losses of a run against those of `golden`."""
    values = {"losses": [row["loss"] for row in rows], "grad_norms": [row["grad_norm"] for row in rows]}
    for key, bar in BARS[case["check"] or "bf16"].items():
        if not case["check"] and key not in golden:
            continue
        worst = readings.apart(values[key], golden[key])
        found[key + "_apart"] = number(worst)
        judge.expect(worst <= bar, f"{case['name']}: {what}{key} apart by {worst:.2e} at most (bar {bar:.0e})")
    if golden.get("held_out"):
        ours, bar = readings.read_held_out(said) or [math.inf, math.inf], BARS[case["check"]]["losses"]
        found["held_out"] = ours if ours[0] < math.inf else None
        good = all(abs(x - y) <= bar * y + HELD_OUT_DIGITS for x, y in zip(ours, golden["held_out"]))
        judge.expect(good, f"{case['name']}: {what}held-out losses {ours}, the golden's {golden['held_out']}")


def compare_parameters(case, judge, found, out, what=""):
    """Parameters after the last step against projections of the golden's."""
    golden = case["golden"]["parameters"]
    ours = projections.project_checkpoint(os.path.join(out, f"step_{case['steps']}"))
    worst, where = projections.compare(ours, golden, case["check"])
    bar, of = projections.BARS[case["check"]], "the golden's change" if case["check"] == "bf16" else "the golden's norm"
    found["parameters_apart"], found["parameters_apart_most"] = number(worst), where
    judge.expect(worst <= bar, f"{case['name']}: {what}parameters apart by {worst:.2e} of {of} at most, in {where} (bar {bar:g})")


def same_bits(case, judge, folder, out, environment, what=""):
    """A second run, and one without graphs, leave the same bits as the one in `out`."""
    bits = readings.digest(out, case["steps"])
    for how, more in (("a second run", {}), ("a run without graphs", {"FTRT_CUDA_GRAPH": "0"})):
        again = os.path.join(folder, "again")
        code, _ = programs.train(case, again, {**environment, **more})
        judge.expect(bits and code == 0 and readings.digest(again, case["steps"]) == bits,
                     f"{case['name']}: {what}the same bits from {how}")
        shutil.rmtree(again, ignore_errors=True)


def judge_memory(case, judge, said):
    """Bytes taken against the plan's; what free memory says, item by item, and after the last step."""
    memory = readings.read_memory(case, said)
    judge.expect(memory["planned"] and memory["planned"] == memory["taken"],
                 f"{case['name']}: bytes planned {memory['planned']}, taken {memory['taken']}")
    judge.expect(memory["items"].get("slabs") == memory["slabs_rounded"],
                 f"{case['name']}: free memory fell by {memory['items'].get('slabs')} for slabs of "
                 f"{memory['slabs_rounded']} in pages")
    judge.expect(memory["grown_in_steps"] == 0,
                 f"{case['name']}: free memory fell by {memory['grown_in_steps']} from the first step to the last")
    return memory


def tell_speed(case, speed, what=""):
    print(f"  {case['name']}: {what}{speed['seconds']:.4f} s a step, {speed['tokens_per_second']:.0f} tokens/s"
          + (f", SOL {100 * speed['sol']:.1f} %" if speed["sol"] else ""))


def check_case(case, judge, result, folder):
    """Runs a case and judges all that it computes. False where that has to be done again: a run without an end may have waited
    for a machine that was starting."""
    out = os.path.join(folder, "first")
    for key in ("error", "error_one_by_one", "error_sanitized"):
        result.pop(key, None)
    code, said = programs.train(case, out)
    if not runs(case, judge, result, "runs", code, said):
        result["error"] = said[-4000:]
        explain(case, result, folder, code, said)
        return code != programs.NO_END
    rows = readings.read_metrics(out)
    judge.expect(len(rows) == case["steps"], f"{case['name']}: {len(rows)} of {case['steps']} steps")
    result["losses"] = [row["loss"] for row in rows]
    result["grad_norms"] = [row["grad_norm"] for row in rows]
    result["rates"] = readings.read_rates(case, said)
    judge.expect(readings.finite_and_falling(result["losses"]),
                 f"{case['name']}: losses are finite, and fall from {result['losses'][:1]} to {result['losses'][-1:]}")
    if case["check"]:
        compare_numbers(case, judge, result, rows, said, case["golden"])
        compare_parameters(case, judge, result, out)
    result["memory"] = judge_memory(case, judge, said)
    speed = result["speed"] = readings.speed_of(case, rows)
    if case["check"]:
        same_bits(case, judge, folder, out, {})
    tell_speed(case, speed)


def compare_launches(case, judge, result, folder, environment=None, key="launches", what="our own kernels"):
    """Each launch on operands that the host's have left, against the host's: where numbers are wrong, which kernel it is."""
    code, said = programs.compare_launches(case, environment)
    found = result[key] = readings.read_launches(said)
    if code == programs.NO_DEVICE:
        raise programs.NoDevice(said[-1000:])
    if judge.expect(code == 0, f"{case['name']}: {found['agree'] or 'not all'} launches agree with the host's, {what} "
                               f"(exit code {code})"):
        print(f"    {found['equal']} of them bit for bit")
    else:
        found["said"] = said[-8000:]
        for line in found["differ"][:12]:  # the first of each kernel come first
            print("    " + line)
        print(said[-1000:])
    for line in found["farthest"]:
        print("    " + line)


def measure_cudnn(case, judge, result, folder):
    """The case once more with attention by cuDNN: right, the same bits each time, and how fast."""
    out = os.path.join(folder, "cudnn")
    code, said = programs.train(case, out, DO)
    lines = readings.read_attentions(said)
    used = [line for line in lines if ": eng" in line]
    found = result["cudnn"] = {"attentions": lines, "device": readings.read_device(said)}
    if not runs(case, judge, result, "runs with leave to use cuDNN", code, said):
        found["error"] = said[-4000:]
        return
    for line in lines:
        print("    " + line)
    if not used:
        print(f"  {case['name']}: cuDNN computes no attention here: nothing is compared")
        return
    rows = readings.read_metrics(out)
    golden = case["golden"] if case["check"] else {"losses": result["losses"]} if "losses" in result else {}
    compare_numbers(case, judge, found, rows, said, golden, "with cuDNN ")
    found["memory"] = judge_memory(case, judge, said)
    if case["check"]:
        compare_parameters(case, judge, found, out, "with cuDNN ")
        same_bits(case, judge, folder, out, DO, "with cuDNN ")
    # The odd rows that are compared hold two documents. A cuDNN that must have one a row leaves them to our own kernels.
    if case.get("launches") and case["batch"] > 1 and not any(" up to " in line for line in used):
        print(f"  {case['name']}: this cuDNN takes a document a row alone: launches are not compared with it")
    elif case.get("launches"):
        compare_launches(case, judge, result, folder, DO, "launches_cudnn", "with attention by cuDNN")
    speed = result["speed_cudnn"] = readings.speed_of(case, rows)
    found["kernels"] = kernel_times(case, folder, DO)
    found["kernels_own"] = kernel_times(case, folder, {})
    times = [sum(row["microseconds"] for row in found[which] or [] if "attention" in row["name"])
             for which in ("kernels", "kernels_own")]
    tell_speed(case, speed, "with cuDNN ")
    print(f"  {case['name']}: attention takes {times[0]:.0f} us of a step with cuDNN, {times[1]:.0f} without")


def kernel_times(case, folder, environment, steps=4):
    """The time of each kernel, product and attention of cuDNN (readings.read_times); None where it fails."""
    path = os.path.join(folder, "times")
    code, _ = programs.train(case, os.path.join(folder, "timed"), {**environment, "FTRT_CUDA_TIMES": path}, steps=steps)
    if code != 0 or not os.path.exists(path):
        return None
    rows = readings.read_times(path, steps)
    os.remove(path)
    shutil.rmtree(os.path.join(folder, "timed"), ignore_errors=True)
    return rows


def measure_kernels(case, judge, result, folder):
    """Where the time of a step goes; of row kernels that take long enough, the share of what a copy reaches."""
    rows = kernel_times(case, folder, {})
    if not judge.expect(rows is not None, f"{case['name']}: runs with times of kernels"):
        return
    result["kernels"] = rows
    for row in rows[:8]:
        print(f"    {row['microseconds']:10.1f} us a step in {row['calls']:6.1f} calls: {row['name']}")
    copies = result.get("rates", {}).get("copy_bytes_per_second")
    for row in rows:
        a_call = row["microseconds"] / row["calls"]
        if not row["bytes"] or not copies or a_call < WORTH_A_LOOK:
            continue
        row["share_of_copy"] = row["bytes"] / (a_call * 1e-6) / copies
        print(f"    {100 * row['share_of_copy']:6.1f} % of a copy's {copies * 1e-9:.0f} GB/s: {row['name']}, {row['bytes']} bytes "
              f"in {a_call:.1f} us")


def sanitize(case, judge, result, folder):
    """All of a step under memcheck; attention, whose threads share memory, under the tools for that."""
    if not programs.sanitizer():
        result["sanitizer"] = None
        print("  compute-sanitizer is not installed: skipped")
        return
    result["sanitizer"] = {}
    attention = ["--kernel-name", "kernel_substring=attention"]
    for tool, options in (("memcheck", []), ("synccheck", attention), ("racecheck", attention)):
        def run(*options):
            return programs.sanitize(case, os.path.join(folder, tool), "--tool", tool, *options, "--report-api-errors", "no",
                                     steps=2, timeout=240)
        code, said = run(*options)
        if options and "SUMMARY" not in said:  # other versions name that option otherwise
            code, said = run()
        result["sanitizer"][tool] = {"code": code, "said": said[-2000:]}
        finds = programs.found_something(code, said)
        if not finds and (code != 0 or "SUMMARY" not in said):
            print(f"  {tool} does not run here (exit code {code}): {said.strip().splitlines()[-1:]}")
            continue
        if not judge.expect(not finds, f"{case['name']}: {tool} finds nothing (exit code {code})"):
            print(said[-4000:])


def forget_choices():
    """Later cases and runs take the libraries' first choice again."""
    for name in os.listdir(os.path.join(HERE, "steps")):
        if name.endswith(".algorithms.json"):
            os.remove(os.path.join(HERE, "steps", name))


def tuned_run(case, judge, result, folder, environment, what):
    """A run with --tune: its speed and what it said; None where it fails."""
    out = os.path.join(folder, "tuned")
    try:
        code, said = programs.train(case, out, environment, tune=True)
    finally:
        forget_choices()
    if not runs(case, judge, result, what, code, said):
        return None
    rows = readings.read_metrics(out)
    judge.expect(readings.finite_and_falling([row["loss"] for row in rows]),
                 f"{case['name']}: {what}: losses are finite, and fall")
    return readings.speed_of(case, rows), said


def measure_tuned(case, judge, result, folder):
    """The speed once more, with the fastest algorithm of each product."""
    done = tuned_run(case, judge, result, folder, {}, "runs with tuned products")
    if done:
        result["speed_tuned"], said = done
        told = re.search(r"^tuned .*$", said, re.MULTILINE)
        result["tuned"] = told.group(0) if told else None
        tell_speed(case, result["speed_tuned"], "tuned ")
        print(f"  {result['tuned'] or 'no products'}")


def measure_fastest(case, judge, result, folder):
    """The speed with the fastest algorithm of each product, and each attention left to what is faster, cuDNN or we."""
    done = tuned_run(case, judge, result, folder, DO, "runs tuned, with leave to use cuDNN")
    if done:
        result["speed_fastest"], said = done
        told = re.search(r"^tuned .*$", said, re.MULTILINE)
        result["fastest"] = {"tuned": told.group(0) if told else None, "attentions": readings.read_attentions(said)}
        tell_speed(case, result["speed_fastest"], "tuned, with cuDNN ")
        for line in result["fastest"]["attentions"]:
            print("    " + line)


def peer_command(case, compiled):
    command = [sys.executable, os.path.join(HERE, "torch_peer.py"), "--device", "cuda", "--dtype", "bf16", "--batch",
               str(case["batch"]), "--length", str(case["length"]), "--steps", "8", "--warmup", "4"]
    for name, value in case["peer"].items():
        command += ["--" + name, str(value)]
    return command + (["--compile"] if compiled else [])


SPEEDS = ("speed", "speed_tuned", "speed_cudnn", "speed_fastest")


def fastest_of(result):
    """The fastest speed that was measured of a case; None without any."""
    return min((result[key] for key in SPEEDS if key in result), key=lambda speed: speed["seconds"], default=None)


def compare_with_torch(case, judge, result, folder, compiled=False):
    """Seconds of the same step in PyTorch; None where it does not run. That is no failure of ours. Whether it came to an end."""
    mode = "compiled" if compiled else "eager"
    code, said = programs.execute(peer_command(case, compiled), timeout=PEER_LIMIT)
    figures = result.setdefault("torch", {})[mode] = readings.last_object(said) if code == 0 else None
    if figures:
        ours = fastest_of(result)
        print(f"  {case['name']}: PyTorch {mode} {figures['median_seconds']:.4f} s a step"
              + (f", {figures['median_seconds'] / ours['seconds']:.2f} of ours" if ours else ""))
    else:
        result["torch"][mode + "_said"] = said[-1000:]
        print(f"  {case['name']}: PyTorch {mode} does not run here: {said.strip().splitlines()[-1:]}")
    return code != programs.NO_END
