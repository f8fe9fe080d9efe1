#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs all tests of a build tree and prints the totals.

Every GoogleTest program that the build knows (test/unit/programs.txt), then lit. The last line is
'N passed, N failed': GoogleTest cases and lit tests together; a program that crashes, hangs or runs no case counts as one
failure. The exit code is 0 only if something passed and nothing failed. Standard library only.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

TIMEOUT = 900  # seconds for one GoogleTest program; a sanitized one has four times as long
# For a sanitized build: MLIR's libraries are not instrumented and do not unpoison what our copies of LLVM's bump
# allocators poisoned.
SANITIZER = "allow_user_poisoning=0"


def is_sanitized(build):
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as file:
        return re.search(r"^FTC_SANITIZE:BOOL=(ON|1|TRUE)$", file.read(), re.MULTILINE | re.IGNORECASE) is not None


def run_program(path, folder, timeout):
    """Runs one GoogleTest program; returns (passed, failed, skipped) and prints what failed."""
    name = os.path.basename(path)
    report = os.path.join(folder, name + ".json")
    try:
        done = subprocess.run([path, "--gtest_output=json:" + report, "--gtest_brief=1"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, cwd=folder,
                              env={"ASAN_OPTIONS": SANITIZER, **os.environ})
        code, text = done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as error:
        code, text = -1, (error.stdout or b"").decode(errors="replace") + f"\nno end after {timeout} s"
    except OSError as error:
        code, text = -1, str(error)
    passed = failed = skipped = 0
    if os.path.exists(report):
        with open(report, encoding="utf-8") as file:
            for suite in json.load(file).get("testsuites", []):
                for case in suite.get("testsuite", []):
                    if case.get("failures"):
                        failed += 1
                    elif case.get("result") == "COMPLETED":
                        passed += 1
                    else:
                        skipped += 1
    if (code != 0 and failed == 0) or passed + failed + skipped == 0:
        failed += 1  # a crash, a leak found at exit, or a program without a case
    print(f"{'ok  ' if failed == 0 else 'FAIL'} {name}: {passed} passed, {failed} failed"
          + (f", {skipped} skipped" if skipped else "") + (f" (exit code {code})" if code else ""), flush=True)
    if failed:
        print(text[-20000:], flush=True)
    return passed, failed, skipped


def run_lit(lit, build, jobs, pattern, folder):
    """Runs lit over test/; returns (passed, failed, skipped)."""
    report = os.path.join(folder, "lit.json")
    command = [sys.executable, lit, "-v", f"-j{jobs}", "--order=lexical", "-o", report, os.path.join(build, "test")]
    if pattern:
        command += ["--filter", pattern, "--allow-empty-runs"]
    env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    code = subprocess.run(command, stdin=subprocess.DEVNULL, env=env).returncode
    counts = {"pass": 0, "fail": 0, "skip": 0}
    if os.path.exists(report):
        with open(report, encoding="utf-8") as file:
            for test in json.load(file)["tests"]:
                kind = {"PASS": "pass", "FLAKYPASS": "pass", "XFAIL": "pass", "UNSUPPORTED": "skip", "SKIPPED": "skip",
                        "EXCLUDED": "skip"}.get(test["code"], "fail")
                counts[kind] += 1
    if code != 0 and counts["fail"] == 0:
        counts["fail"] = 1  # lit itself broke
    return counts["pass"], counts["fail"], counts["skip"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="build tree")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--lit", default="/usr/lib/llvm-22/bin/lit")
    parser.add_argument("filter", nargs="?", default="", help="regular expression on program and lit test names")
    args = parser.parse_args()
    with open(os.path.join(args.build, "test", "unit", "programs.txt"), encoding="utf-8") as file:
        programs = [line for line in file.read().splitlines() if line]
    timeout = 4 * TIMEOUT if is_sanitized(args.build) else TIMEOUT
    totals = [0, 0, 0]
    with tempfile.TemporaryDirectory(prefix="ftc-test-") as folder:
        for path in programs:
            if re.search(args.filter, os.path.basename(path)):
                totals = [a + b for a, b in zip(totals, run_program(path, folder, timeout))]
        totals = [a + b for a, b in zip(totals, run_lit(args.lit, args.build, args.jobs, args.filter, folder))]
    if totals[2]:
        print(f"({totals[2]} skipped: not supported in this configuration)")
    print(f"{totals[0]} passed, {totals[1]} failed", flush=True)
    return 0 if totals[0] and not totals[1] else 1


if __name__ == "__main__":
    sys.exit(main())
