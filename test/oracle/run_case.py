#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles a case, runs it and compares the run with its golden. Standard library only.

  run_case.py --build BUILD --out DIR CASE [KEY=VALUE...]

KEY=VALUE are further overrides for `ftc compile`. Leaves DIR/CASE.so and the run in DIR/CASE. Exit code 1 if a bar fails,
2 if a program does.
"""
import argparse
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import compare  # noqa: E402
import plain  # noqa: E402


class ProgramFailed(Exception):
    pass


def call(command):
    """Runs a program in the root of the source tree, to which the recipes' paths are relative."""
    done = subprocess.run(command, cwd=plain.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise ProgramFailed(f"{' '.join(command)}\n{done.stdout}\nexit code {done.returncode}")
    return done.stdout


def run(build, name, case, out, overrides=()):
    """Returns (step.so, run directory)."""
    os.makedirs(out, exist_ok=True)
    step, folder = os.path.join(out, name + ".so"), os.path.join(out, name)
    shutil.rmtree(folder, ignore_errors=True)
    lengths = ["--data", case["data"]] if case.get("lengths") == "by data" else []
    call([os.path.join(build, "bin", "ftc"), "compile", case["recipe"], "-o", step, *lengths, *case["overrides"], *overrides])
    call([os.path.join(build, "bin", "ftrun"), step, "--data", case["data"], "--steps", str(plain.STEPS), "--out", folder])
    return step, folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(plain.ROOT, "build"))
    parser.add_argument("--out", required=True)
    parser.add_argument("--goldens", default=plain.GOLDENS)
    parser.add_argument("case", choices=sorted(plain.cases()))
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_args()
    case = plain.cases()[args.case]
    try:
        _, folder = run(os.path.abspath(args.build), args.case, case, os.path.abspath(args.out), args.overrides)
    except ProgramFailed as error:
        print(error)
        return 2
    return 1 if compare.compare(args.case, case, args.goldens, folder) else 0


if __name__ == "__main__":
    sys.exit(main())
