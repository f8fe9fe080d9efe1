#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""usage: layers.py SOURCE_ROOT [FTRUN]

Checks that includes go downward only, as docs/architecture.md draws the house: every `#include` of a project header must
be allowed by BELOW, rooms without a compiler see no MLIR and no LLVM, only two rooms name CUDA, one room names YAML, and
the C ABI includes nothing but C. Every pass shows IR in its description. With FTRUN, checks that this program loads no library of LLVM, MLIR or NVIDIA. Prints each
violation as file:line and exits 1 if there is one. Standard library only.
"""
import os
import re
import subprocess
import sys

# What each room may include besides itself. `Schema` is the generated manifest, `ftrt` the C ABI.
IRS = {"Train/IR", "Plan/IR"}
TRANSFORMS = {"Train/Transforms", "Plan/Transforms"}
BELOW = {
    "ftrt": set(),
    "Support": set(),
    "Schema": set(),
    "Config": {"Support"},
    "Planning": {"Support"},
    "Train/IR": {"Support"},
    "Plan/IR": {"Support"},
    "Analysis": IRS | {"Support"},
    "Train/Transforms": {"Train/IR", "Analysis", "Planning", "Support"},
    "Plan/Transforms": {"Plan/IR", "Analysis", "Planning", "Support"},
    "Import": {"Train/IR", "Config", "Support"},
    "Conversion/TrainToPlan": IRS | TRANSFORMS | {"Analysis", "Support"},
    "Conversion/PlanToLLVM": IRS | TRANSFORMS | {"Analysis", "Support", "ftrt"},
    # The targets' interface, what they share, and the targets themselves, none of which knows another.
    "Target": {"Plan/IR", "Support"},
    "Target/Common": {"Plan/IR", "Support"},
    "Target/CPU": {"Target", "Target/Common", "Plan/IR", "Plan/Transforms", "Conversion/PlanToLLVM", "Schema", "ftrt",
                   "Support"},
    "Target/CUDA": {"Target", "Target/Common", "Plan/IR", "Plan/Transforms", "Conversion/PlanToLLVM", "Config", "Schema",
                    "ftrt", "Support"},
    "Reference": IRS | {"Support"},
    "Pipelines": IRS | TRANSFORMS | {"Analysis", "Config", "Conversion/TrainToPlan", "Conversion/PlanToLLVM", "Import",
                                     "Planning", "Reference", "Schema", "Support", "Target", "Target/CPU", "Target/CUDA",
                                     "ftrt"},
    "Runtime": {"Schema", "Support", "ftrt"},
    "Tokenizer": {"Support"},
    "Data": {"Config", "Support", "Tokenizer"},
    "Checkpoint": {"Config", "Support"},
    "Trainer": {"Checkpoint", "Config", "Data", "Runtime", "Schema", "Support", "Tokenizer", "ftrt"},
    "tools/ftc": {"Config", "Data", "Pipelines", "Planning", "Support", "Tokenizer"},
    "tools/ftc-opt": {"Pipelines", "Support"},
    "tools/ftrun": {"Config", "Support", "Trainer"},
    "examples": {"ftrt"},
}
# Rooms of the run-time side and the pure ones: none of them sees the compiler's libraries.
WITHOUT_MLIR = {"ftrt", "Support", "Schema", "Config", "Planning", "Runtime", "Tokenizer", "Data", "Checkpoint",
                "Trainer", "tools/ftrun", "examples"}
COMPILER_HEADER = re.compile(r"(mlir|mlir-c|llvm|llvm-c|lld|clang)/")
CUDA_HEADER = re.compile(r"(cuda|cublas|cudnn|nvrtc|nvJitLink|nvml|nvtx)", re.IGNORECASE)
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
C_HEADERS = {"stddef.h", "stdint.h", "stdbool.h"}


def room_of(path):
    """The room of a source path, or of an include as written; None where no rule applies (tests, foreign headers)."""
    parts = path.split("/")
    if path.startswith("include/ftrt/") or path.startswith("ftrt/"):
        return "ftrt"
    for prefix in (["include", "ftc"], ["ftc"], ["lib"]):
        if parts[:len(prefix)] == prefix and len(parts) > len(prefix) + 1:
            room = parts[len(prefix)]
            deep = room == "Conversion" or (room == "Target" and len(parts) > len(prefix) + 2)
            return "/".join(parts[len(prefix):len(prefix) + 2]) if deep else room
    if parts[0] == "dialects" and len(parts) > 3:
        return f"{parts[1]}/{parts[2]}"
    if parts[0] == "tools" and len(parts) > 2:
        return f"tools/{parts[1]}"
    return "examples" if parts[0] == "examples" else None


def sources(root, endings=(".h", ".hpp", ".cpp", ".c", ".inc")):
    for top in ("dialects", "include", "lib", "tools", "examples"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith(endings):
                    yield os.path.relpath(os.path.join(folder, name), root)


def check_file(path, text):
    """Violations of one file: list of (line, message)."""
    room, found = room_of(path), []
    if room not in BELOW:
        return [(1, f"the room '{room}' is not in the drawing (test/layers.py, docs/architecture.md)")]
    for match in INCLUDE.finditer(text):
        header, line = match.group(1), text.count("\n", 0, match.start(1)) + 1
        seen = room_of(header)
        if "/" not in header and '"' in match.group(0):
            seen = room  # a neighbour in the same folder
        if seen and seen != room and seen not in BELOW[room]:
            found.append((line, f"{room} must not include {seen} ({header}); it may include: "
                          f"{', '.join(sorted(BELOW[room])) or 'nothing'}"))
        if room in WITHOUT_MLIR and COMPILER_HEADER.match(header):
            found.append((line, f"{room} must not see MLIR or LLVM ({header})"))
        if CUDA_HEADER.match(os.path.basename(header)) and not re.match(r"(lib|include/ftc)/(Target|Runtime)/CUDA/", path):
            if not seen:
                found.append((line, f"only Target/CUDA and Runtime/CUDA may name CUDA ({header})"))
        if header.startswith("yaml-cpp/") and room != "Config":
            found.append((line, f"only Config may name YAML ({header})"))
        if header in ("pcre2.h", "sentencepiece_processor.h", "utf8proc.h") and room != "Tokenizer":
            found.append((line, f"only Tokenizer may cut text ({header})"))
        if header == "zip.h" and room != "Checkpoint":
            found.append((line, f"only Checkpoint may open archives ({header})"))
        if header == "csv.h" and room != "Data":
            found.append((line, f"only Data may read tables ({header})"))
        if room == "ftrt" and header not in C_HEADERS and seen != "ftrt":
            found.append((line, f"the C ABI includes C headers only ({header})"))
    return found


def passes_without_ir(text):
    """(line, message) of each pass of a .td file whose description shows no IR."""
    starts = [match for match in re.finditer(r'^def \w+ : \w*Pass<"([\w-]+)"', text, re.MULTILINE)]
    for match, end in zip(starts, [*(later.start() for later in starts[1:]), len(text)]):
        if "```mlir" not in text[match.start():end]:
            yield text.count("\n", 0, match.start()) + 1, f"{match.group(1)} has no IR before and after in its description"


def check_program(path):
    """Libraries of the compiler and of NVIDIA that `path` loads."""
    text = subprocess.run(["ldd", path], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    unwanted = r"LLVM|MLIR|clang|libPolly|libcuda|cublas|cudnn|nvJitLink|nvrtc"
    return [line.split()[0] for line in text.splitlines() if re.search(unwanted, line)]


def main():
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    root, bad, count = sys.argv[1], 0, 0
    for path in sources(root):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        count += 1
        for line, message in check_file(path, text):
            print(f"{path}:{line}: {message}")
            bad += 1
    for path in sources(root, ("Passes.td",)):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            for line, message in passes_without_ir(file.read()):
                print(f"{path}:{line}: {message}")
                bad += 1
    if not count:
        print(f"{root}: no sources here")
        return 1
    if len(sys.argv) == 3:
        for library in check_program(sys.argv[2]):
            print(f"{sys.argv[2]}: loads {library}")
            bad += 1
    print(f"{count} files, {bad} violations")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
