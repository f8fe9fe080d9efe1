#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""usage: check_map.py MAP.html REPORT.txt

Reads the plan out of the page that --map writes and proves of it what plan-verify proves of the IR: no two buffers that live at
one moment share a byte, and all lie within their slabs. Its sums at the peak must be the memory table's, row by row.
"""
import json
import re
import sys

page = open(sys.argv[1], encoding="utf-8").read()
assert not re.search(r'(src|href)=|https?://|@PLAN@<', page), "the page loads something"
plan = json.loads(re.search(r'<script type="application/json" id="plan">(.*?)</script>', page, re.DOTALL).group(1))
print("entries:", *[entry["name"] for entry in plan["entries"]])
print("slabs:", *[slab["name"] + (" (far)" if slab["far"] else "") for slab in plan["slabs"]])
start = plan["entries"][plan["start"]]
print("start:", start["name"])

for entry in plan["entries"]:
    end = len(entry["moments"])
    buffers = [(*variable, -1, end) for variable in plan["variables"]] + [tuple(buffer) for buffer in entry["buffers"]]
    for slab, about in enumerate(plan["slabs"]):
        inside = sorted((b for b in buffers if b[2] == slab and b[4] > 0), key=lambda b: b[3])
        for i, a in enumerate(inside):
            assert 0 <= a[3] and a[3] + a[4] <= about["bytes"], ("outside of its slab", a, about)
            for b in inside[i + 1:]:
                if b[3] >= a[3] + a[4]:
                    break
                assert b[6] < a[5] or a[6] < b[5], ("two buffers meet", a, b)
print("no two buffers meet")

report = open(sys.argv[2], encoding="utf-8").read()
number, label = re.search(r"peak in '%s' at launch (-?\d+): (.*)" % start["name"], report).groups()
if 0 <= int(number) < len(start["moments"]):
    assert plan["strings"][start["moments"][int(number)]] == label
sums = {}
for _, row, slab, _, size, first, last in [(*v, -1, 1 << 40) for v in plan["variables"]] + start["buffers"]:
    if first <= int(number) <= last and not plan["slabs"][slab]["far"]:
        sums[plan["rows"][row]] = sums.get(plan["rows"][row], 0) + size
for line in re.findall(r"^  (\S.*?) {2,}\S+ \S+ +(\d+) B", report[:report.index("peak in")], re.MULTILINE):
    row, size = line[0], int(line[1])
    if row in ("total", "gaps"):
        continue
    # Scratch beside a library's workspace, in one buffer with it, is shown with that.
    if row == "scratch" or row.startswith("workspace"):
        continue
    assert sums.get(row, 0) == size, (row, sums.get(row, 0), size)
print("bytes at the peak are those of the memory table")
