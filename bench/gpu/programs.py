#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs programs for run_all, each within its limit and all within the time that there is. Standard library only."""
import contextlib
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
START = time.monotonic()
LIMIT = 180  # seconds of a program, where its case names no limit
NO_DEVICE = 17  # ftrun's exit code where there is no GPU for the step
KERNELS_FAILED = (25, 26)  # where an entry failed, or the loss is no number
NO_END = -1  # of execute(), where a program did not end within its limit, or did not start
FINDING = 9  # compute-sanitizer's where it has found something


class OutOfTime(Exception):
    """The time for all was over before a program began."""


class CutShort(Exception):
    """The time for all was over before a program had ended, and before its own limit; with what it had said."""


class NoDevice(Exception):
    """There is no GPU that any step can run on."""


class Clock:
    """The time for all, from the start of the program on."""

    seconds = math.inf

    @classmethod
    def left(cls):
        return cls.seconds - (time.monotonic() - START)


def limit_of(case):
    """Seconds that a run of a case may take."""
    return case.get("limit", LIMIT)


def execute(command, environment=None, timeout=LIMIT, libraries=False):
    """(exit code, output). Code -1: it cannot start, or did not end within `timeout` seconds. `libraries`: with those of the
    bundle. Raises OutOfTime where nothing was started, CutShort where the time for all ended it."""
    variables = dict(os.environ)
    if libraries:
        folders = [os.path.join(HERE, "lib"), variables.get("LD_LIBRARY_PATH", "")]
        variables["LD_LIBRARY_PATH"] = ":".join(path for path in folders if path)
        variables["FTRT_CUDNN"] = "0"
        # ftrun asks `python3` where NVIDIA's libraries are: this one, be its environment activated or not.
        variables["PATH"] = ":".join(filter(None, [os.path.dirname(sys.executable), variables.get("PATH", "")]))
    variables.update(environment or {})
    seconds = min(timeout, Clock.left())
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
    said += f"\nno end after {seconds:.0f} s"
    if seconds < timeout:
        raise CutShort(said)
    return -1, said


def ftrun(*arguments):
    return [os.path.join(HERE, "bin", "ftrun"), *arguments]


def training(case, out, steps=None, tune=False):
    """The command that trains a case."""
    measured = [] if case["check"] else ["--no-checkpoint"]
    if case.get("held_out"):
        measured += ["--held-out", str(case["held_out"])]
    if tune:
        measured.append("--tune")
    return ftrun(step_of(case), "--data", data_of(case), "--steps",
                 str(steps or case["steps"]), "--out", out, "shuffle=False", *measured)


def train(case, out, environment=None, limit=math.inf, **options):
    """Trains a case: (exit code, output)."""
    return execute(training(case, out, **options), environment, timeout=min(limit, limit_of(case)), libraries=True)


def compare_launches(case, environment=None):
    """Compares a case's launches with the host's, one by one: (exit code, output)."""
    # The memory of a virtual machine may grow as it is used: what it has now says little.
    return execute(ftrun(launches_of(case, "device"), "--against", launches_of(case, "host")),
                   {"FTRT_CUDA_GRAPH": "0", "FTRT_HOST_MEMORY": "any", **(environment or {})}, timeout=limit_of(case), libraries=True)


def launches_of(case, which):
    """The step whose launches are compared, for the `device` or the `host`."""
    return os.path.join(HERE, "launches", f"{case['name']}.{which}.so")


def step_of(case):
    return os.path.join(HERE, "steps", case["name"] + ".so")


def data_of(case):
    return os.path.join(HERE, "data", case.get("data", case["name"] + ".bin"))


def sanitizer():
    """Path of compute-sanitizer; None where it is not installed."""
    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    return tool if os.path.exists(tool) else None


def sanitize(case, out, *options, steps=1, timeout=120):
    """One by one under compute-sanitizer: (exit code, output). Code FINDING: it has found something."""
    command = [sanitizer(), *options, "--error-exitcode", str(FINDING), *training(case, out, steps=steps)]
    return execute(command, {"FTRT_CUDA_GRAPH": "0"}, timeout=timeout, libraries=True)


@contextlib.contextmanager
def kept_awake():
    """Meanwhile some program uses the GPU: without one, NVIDIA's driver may put it down, and the next waits seconds for it."""
    try:
        client = subprocess.Popen(["nvidia-smi", "--loop=60"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, start_new_session=True)
    except OSError:
        client = None
    try:
        yield
    finally:
        if client:
            client.kill()
            client.wait()


def found_something(code, said):
    """Whether compute-sanitizer ended with a finding: not where it cannot work on this device at all."""
    return code == FINDING and "not supported" not in said
