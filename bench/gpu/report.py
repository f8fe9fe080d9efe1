#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The file that run_all keeps its figures in, over several calls, and the table of bars. Standard library only."""
import json
import os
import sys

import stages

PEER_BAR = 1.2  # of compiled PyTorch's speed
COPY_BAR = 0.8  # of the bandwidth of a copy


class Judge:
    """Counts and prints what holds and what does not, of one stage of one case."""

    def __init__(self):
        self.passed, self.failures = 0, []

    def forget(self):
        """All that was judged is judged anew."""
        self.passed, self.failures = 0, []

    def expect(self, good, what):
        good = bool(good)
        self.passed += good
        if not good:
            self.failures.append(what)
        print(f"  {'ok  ' if good else 'FAIL'} {what}", flush=True)
        return good


class Report:
    """What all calls for a bundle have found, in a file that is whole after each stage of each case."""

    def __init__(self, path, bundle, machine):
        self.path = path
        self.data = {"bundle": bundle["id"], "compiled_for": bundle["device"], "device": None, "machine": machine, "cases": {},
                     "done": {}, "cut_short": {}, "left_out": []}
        if os.path.exists(path):
            self.merge(bundle)
        self.data["machine"] = machine or self.data["machine"]
        self.data["left_out"] = []

    def merge(self, bundle):
        """Takes over what an earlier call has found."""
        try:
            with open(self.path, encoding="utf-8") as file:
                earlier = json.load(file)
        except (OSError, ValueError) as error:
            sys.exit(f"{self.path}: it is no file of run_all's ({error}); move it away, or name another one with --json")
        if not isinstance(earlier, dict) or not {"bundle", "cases", "done"} <= earlier.keys():
            sys.exit(f"{self.path}: it is no file of run_all's; move it away, or name another one with --json")
        names = [(data.get("machine") or "").split(",")[0] for data in (earlier, self.data)]
        other = ("another bundle" if earlier["bundle"] != bundle["id"] else
                 names[0] if all(names) and names[0] != names[1] else None)
        if not other:
            self.data.update(earlier)
            return
        # A machine that is lent for minutes does not wait for somebody to move a file.
        number = next(number for number in range(1, 1 << 30) if not os.path.exists(f"{self.path}.{number}"))
        os.rename(self.path, f"{self.path}.{number}")
        print(f"{self.path}: its figures are of {other}; they are in {self.path}.{number} now")

    def is_done(self, stage, case):
        entry = self.data["done"].get(f"{stage} {case['name']}")
        return bool(entry) and not entry.get("again")

    def result(self, case):
        return self.data["cases"].setdefault(case["name"], {})

    def finish(self, stage, case, judge, done=True):
        """A stage of a case is over. Not `done`: a later call does it again."""
        self.data["device"] = self.result(case).get("device") or self.data["device"]
        key = f"{stage} {case['name']}"
        self.data["cut_short"].pop(key, None)
        self.data["done"][key] = {"passed": judge.passed, "failures": judge.failures, "again": not done}
        self.write()

    def cut(self, stage, case, said):
        self.data["cut_short"][f"{stage} {case['name']}"] = said[-4000:]
        self.write()

    @property
    def passed(self):
        return sum(entry["passed"] for entry in self.data["done"].values())

    @property
    def failures(self):
        return [failure for entry in self.data["done"].values() for failure in entry["failures"]]

    def write(self):
        self.data.update(passed=self.passed, failed=len(self.failures), failures=self.failures)
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.data, file, indent=1)
        os.replace(self.path + ".new", self.path)


def bars_of(bundle, report):
    """[what, bar, figure or None, whether it is met or None] of each bar of speed."""
    rows = []
    for case in bundle["cases"]:
        if not case.get("sol_bar"):
            continue
        result = report.data["cases"].get(case["name"], {})
        ours = stages.fastest_of(result)
        sol = ours["sol"] if ours else None
        rows.append((f"{case['name']}: SOL", case["sol_bar"], sol))
        peer = (result.get("torch") or {}).get("compiled")
        rows.append((f"{case['name']}: speed, of compiled PyTorch's", PEER_BAR,
                     peer["median_seconds"] / ours["seconds"] if peer and ours else None))
        shares = {row["name"]: row["share_of_copy"] for row in result.get("kernels") or [] if row.get("share_of_copy")}
        slowest = min(shares, key=shares.get, default=None)
        rows.append((f"{case['name']}: slowest row kernel, of a copy's bandwidth" + (f" ({slowest})" if slowest else ""), COPY_BAR,
                     shares.get(slowest)))
    return [[what, bar, figure, None if figure is None else figure >= bar] for what, bar, figure in rows]


def tell_bars(bundle, report):
    """Prints the table of bars and puts it into the report."""
    rows = report.data["bars"] = bars_of(bundle, report)
    if rows:
        print(f"{'bar':60} {'at least':>8} {'is':>8}")
    for what, bar, figure, met in rows:
        print(f"{what:60} {bar:8.2f} " + ("       -  not measured" if figure is None else
                                         f"{figure:8.2f}  {'met' if met else 'NOT MET'}"))
    report.write()
