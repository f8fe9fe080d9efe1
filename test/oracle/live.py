#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The comparisons, live: trains every case with PyTorch and torchtune now and compares ftc's runs with that.

  live.py --build BUILD --torch-python PYTHON --torchtune-python PYTHON [CASE...]

Also compares the stored goldens with the live ones (same bars), and opens the checkpoints of the cases with
parameters in transformers. The last line is 'N passed, N failed'. This script itself needs no package.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import compare  # noqa: E402
import plain  # noqa: E402
import run_case  # noqa: E402


def as_run(goldens, name, folder):
    """A golden laid out as a run of ftrun, so that it can be compared with another golden."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, f"step_{plain.STEPS}"))
    with open(os.path.join(goldens, name + ".json"), encoding="utf-8") as file:
        steps = json.load(file)["steps"]
    with open(os.path.join(folder, "metrics.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps(dict(row, step=number)) + "\n" for number, row in enumerate(steps, 1))
    model = os.path.join(goldens, name + ".safetensors")
    if os.path.exists(model):
        shutil.copy(model, os.path.join(folder, f"step_{plain.STEPS}", "model.safetensors"))
    first = os.path.join(goldens, name + ".first.safetensors")
    if os.path.exists(first):
        os.makedirs(os.path.join(folder, "step_1"))
        shutil.copy(first, os.path.join(folder, "step_1", "model.safetensors"))
    adapter = os.path.join(goldens, name + ".adapter.safetensors")
    if os.path.exists(adapter):
        os.makedirs(os.path.join(folder, f"step_{plain.STEPS}", "adapter"))
        shutil.copy(adapter, os.path.join(folder, f"step_{plain.STEPS}", "adapter", "adapter_model.safetensors"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--torch-python", required=True)
    parser.add_argument("--torchtune-python", required=True)
    parser.add_argument("--goldens-only", action="store_true", help="only compare stored goldens with live ones")
    parser.add_argument("case", nargs="*")
    args = parser.parse_args()
    cases, results = plain.cases(), []
    names = args.case or list(cases)
    for name in names:
        if name not in cases:
            parser.error(f"no case '{name}'; there are {', '.join(cases)}")

    def script(python, *command):
        env = dict(os.environ, HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", PYTHONWARNINGS="ignore")
        return subprocess.run([python, os.path.join(plain.HERE, command[0]), *command[1:]], env=env,
                              stdin=subprocess.DEVNULL).returncode == 0

    with tempfile.TemporaryDirectory(prefix="ftc-oracle-") as folder:
        live = os.path.join(folder, "goldens")
        by = {name: cases[name].get("by") for name in names}
        here = [name for name in names if not by[name]]
        if here and not script(args.torch_python, "golden.py", "run", live, *here):
            print("golden.py failed")
            return 1
        for who, program in (("torchtune", "torchtune_run.py"), ("torchtune's checkpointers", "torch_files.py"),
                             ("torchtune's DPO", "torchtune_dpo.py"), ("torchtune's distillation", "torchtune_kd.py"),
                             ("torchtune's QAT", "torchtune_qat.py")):
            if who in by.values() and not script(args.torchtune_python, program, "run", live):
                print(f"{program} failed")
                return 1
        for name in names:
            case = cases[name]
            stored = os.path.join(folder, "stored", name)
            as_run(plain.GOLDENS, name, stored)
            print("stored golden against live one")
            results.append(not compare.compare(name, case, live, stored))
            if args.goldens_only:
                continue
            try:
                step, run = run_case.run(os.path.abspath(args.build), name, case, os.path.join(folder, "runs"))
            except run_case.ProgramFailed as error:
                print(error)
                results.append(False)
                continue
            print("ftc against live golden")
            results.append(not compare.compare(name, case, live, run))
            if by[name] in ("torchtune's DPO", "torchtune's distillation", "torchtune's QAT"):
                continue  # what follows feeds rows of tokens
            if case.get("parameters"):
                results.append(script(args.torch_python, "load_checkpoint.py", "--libftrt",
                                      os.path.join(os.path.abspath(args.build), "lib", "libftrt.so"), step,
                                      os.path.join(run, f"step_{plain.STEPS}"), case["data"]))
            if case.get("adapter") and case.get("parameters"):  # of QLoRA, merged weights are in bf16
                try:
                    _, alone = run_case.run(os.path.abspath(args.build), name, case, os.path.join(folder, "alone"),
                                            ["save_adapter_weights_only=True"])
                except run_case.ProgramFailed as error:
                    print(error)
                    results.append(False)
                    continue
                results.append(script(args.torch_python, "load_adapter.py", os.path.join(run, f"step_{plain.STEPS}"),
                                      case["data"], os.path.join(alone, f"step_{plain.STEPS}")))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
