#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""usage: on_processors.py N COMMAND...

Runs a command that may use N of the processors that this one may use; exits with 77 where these are fewer.
"""
import os
import sys

mine = sorted(os.sched_getaffinity(0))
wanted = int(sys.argv[1])
if len(mine) < wanted:
    sys.exit(77)
os.sched_setaffinity(0, mine[:wanted])
os.execvp(sys.argv[2], sys.argv[2:])
