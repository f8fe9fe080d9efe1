# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# What a lit test of ftc may use.
#   %ftc %ftrun %ftc-opt       the three tools (ftc-opt, FileCheck, not, count and split-file are on the PATH too)
#   %source %build             the two roots
#   %python                    a Python 3 with the standard library only
#   %cc                        the C compiler of the build
#   %ptxas                     NVIDIA's assembler, where there is one
# Features: asan (sanitized build), x86-64-v3 (the host can run what is compiled for it), ptxas.
import os
import platform
import shutil
import sys

import lit.formats

config.name = "ftc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test", ".yaml"]
config.excludes = ["Inputs", "oracle", "unit", "CMakeLists.txt", "lit.cfg.py", "lit.site.cfg.py"]
config.test_source_root = os.path.join(config.ftc_source, "test")
config.test_exec_root = os.path.join(config.ftc_build, "test")

# Plans are for two threads, however many processors there are.
config.environment["FTC_THREADS"] = "2"

tools = os.path.join(config.ftc_build, "bin")
config.environment["PATH"] = os.pathsep.join([tools, config.llvm_bin, os.environ.get("PATH", "")])
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "HOME", "CI"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
if config.ftc_sanitize:
    # LLVM and MLIR keep global state until the end of the process. Their libraries are not instrumented: memory of a
    # bump allocator that our code poisoned is not unpoisoned when they hand it out.
    config.environment.setdefault("ASAN_OPTIONS", "detect_leaks=0:allow_user_poisoning=0")
    config.environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    config.available_features.add("asan")

for name in ("ftc-opt", "ftc", "ftrun"):  # the longest first: %ftc is a prefix of %ftc-opt
    config.substitutions.append(("%" + name + r"(?![\w-])", os.path.join(tools, name)))
config.substitutions.append(("%source", config.ftc_source))
config.substitutions.append(("%build", config.ftc_build))
config.substitutions.append(("%python", sys.executable))
config.substitutions.append(("%cc", config.c_compiler))
ptxas = shutil.which("ptxas") or shutil.which("ptxas", path="/usr/local/cuda/bin")
if ptxas:
    config.substitutions.append(("%ptxas", ptxas))
    config.available_features.add("ptxas")


def host_is_v3():
    """Whether the host has AVX2, FMA, BMI2, F16C and MOVBE, which x86-64-v3 asks for."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((set(line.split()) for line in file if line.startswith("flags")), set())
    except OSError:
        return False
    return {"avx2", "fma", "bmi2", "f16c", "movbe"} <= flags


if platform.machine() == "x86_64" and host_is_v3():
    config.available_features.add("x86-64-v3")
for name in ("ftc", "ftrun", "ftc-opt"):
    if os.access(os.path.join(tools, name), os.X_OK):
        config.available_features.add(name)
