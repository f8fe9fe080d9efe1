#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Plans every recipe that torchtune ships for fine-tuning a text model, as it is shipped.

  shipped_recipes.py --build BUILD --torchtune-python PYTHON [--distributed] [--only WORD...]

The list is torchtune's own registry: all configs of full_finetune_single_device, lora_finetune_single_device and
lora_dpo_single_device (with --distributed also those of their distributed twins, which are planned for one device; of DPO only
LoRA's), but for vision models. Each goes through
`ftc plan CONFIG tokenizer.max_seq_len=512`, since most leave the length open and a step is compiled for one. Prints a line for
each with its planned bytes, or ftc's error; the last line is 'N passed, N failed'. This script itself needs no package.

A recipe in configs/ that has the name of one of these has its levers too: all of LEVERS, a line for each that differs.
"""
import argparse
import json
import os
import re
import subprocess
import sys

LENGTH = "tokenizer.max_seq_len=512"
# What torchtune's registry holds. Its configs lie in the package `recipes`, which cannot be imported, only found.
LIST = """
import importlib.util, json, os
from torchtune._recipe_registry import get_all_recipes
folder = os.path.join(importlib.util.find_spec("recipes").submodule_search_locations[0], "configs")
print(json.dumps([[recipe.name, config.name, os.path.join(folder, config.file_path)]
                  for recipe in get_all_recipes() for config in recipe.configs]))
"""

# What a recipe of ours has in common with its namesake: everything that decides about memory, time and what is learned, but
# for packing, lengths, seeds, and data.
LEVERS = ["optimizer._component_", "optimizer.lr", "optimizer_in_bwd", "lr_scheduler._component_", "lr_scheduler.num_warmup_steps",
          "loss._component_", "loss.beta", "loss.label_smoothing", "batch_size", "gradient_accumulation_steps", "epochs", "clip_grad_norm", "dtype",
          "enable_activation_checkpointing", "enable_activation_offloading", "model._component_", "model.lora_attn_modules",
          "model.apply_lora_to_mlp", "model.apply_lora_to_output", "model.lora_rank", "model.lora_alpha", "model.lora_dropout"]
CONFIGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "configs")
READ = "import json, sys, yaml; print(json.dumps([yaml.safe_load(open(path)) for path in sys.argv[1:]]))"


def other_levers(python, ours, theirs):
    """'key: ours, not theirs' for each lever of two recipes that differs; an absent switch is off."""
    done = subprocess.run([python, "-c", READ, ours, theirs], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          check=True)

    def get(recipe, lever):
        for word in lever.split("."):
            recipe = (recipe or {}).get(word)
        return float(recipe) if lever == "optimizer.lr" else recipe or None  # YAML takes 2e-5 for text

    for lever in LEVERS:
        mine, its = (get(recipe, lever) for recipe in json.loads(done.stdout))
        if mine != its:
            yield f"{lever}: {mine}, not {its}"


def shipped(python):
    """[recipe, config, path] of each config in the registry."""
    done = subprocess.run([python, "-c", LIST], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True,
                          env=dict(os.environ, HF_HUB_OFFLINE="1", PYTHONWARNINGS="ignore"))
    return json.loads(done.stdout.splitlines()[-1])


def plan(build, path):
    """(bytes, None) or (None, error) of one recipe."""
    done = subprocess.run([os.path.join(build, "bin", "ftc"), "plan", path, LENGTH], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    total = re.search(r"^ *total .*?(\d+) B", done.stdout, re.MULTILINE)
    if done.returncode == 0 and total:
        return int(total.group(1)), None
    errors = [line for line in done.stdout.splitlines() if "error" in line] or done.stdout.splitlines()[-1:]
    return None, " | ".join(errors) or f"exit code {done.returncode} without a word"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--torchtune-python", required=True)
    parser.add_argument("--distributed", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="configs whose names hold one of these words")
    args = parser.parse_args()
    wanted = [f"{kind}_{where}" for kind in ("full_finetune", "lora_finetune", "lora_dpo")
              for where in ("single_device", *(["distributed"] if args.distributed else []))]
    passed = failed = 0
    for recipe, name, path in shipped(args.torchtune_python):
        if recipe not in wanted or "vision" in name or args.only and not any(word in name for word in args.only):
            continue
        total, error = plan(args.build, path)
        passed, failed = passed + (error is None), failed + (error is not None)
        ours = os.path.join(CONFIGS, name + ".yaml")
        differences = list(other_levers(args.torchtune_python, ours, path)) if os.path.exists(ours) else []
        print(f"{'ok  ' if error is None else 'FAIL'} {name:44}{total if error is None else error}", flush=True)
        for difference in differences:
            failed += 1
            print(f"FAIL configs/{name}.yaml has {difference}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
