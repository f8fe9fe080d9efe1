#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs a command and succeeds if it exits with this code: `expect_exit.py CODE COMMAND...`.

With `--kill-when PATH` the command is killed (SIGKILL) as soon as PATH exists; an end before that is a failure.
"""
import os
import signal
import subprocess
import sys
import time


def main():
    arguments = sys.argv[1:]
    if arguments[0] != "--kill-when":
        done = subprocess.run(arguments[1:], stdin=subprocess.DEVNULL).returncode
        if done != int(arguments[0]):
            print(f"exit code {done}, not {arguments[0]}: {' '.join(arguments[1:])}", file=sys.stderr)
            return 1
        return 0
    process = subprocess.Popen(arguments[2:], stdin=subprocess.DEVNULL)
    while process.poll() is None and not os.path.exists(arguments[1]):
        time.sleep(0.001)
    process.kill()
    if process.wait() != -signal.SIGKILL:
        print(f"it ended with {process.returncode} before it was killed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
