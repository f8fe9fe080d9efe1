#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Plans every recipe that torchtune ships for fine-tuning a text model, as it is shipped.

  shipped_recipes.py --build BUILD --torchtune-python PYTHON [--distributed] [--only WORD...]

The list is torchtune's own registry: all configs of full_finetune_single_device, lora_finetune_single_device,
lora_dpo_single_device and knowledge_distillation_single_device (with --distributed also those of their distributed twins and of
full_dpo_distributed, qat_distributed and qat_lora_finetune_distributed, planned for one device), but for vision models. Each goes through
`ftc plan CONFIG --data FILE`, since most leave the length open and data decide it then. FILE holds records that every data set of
theirs can read, of 20 to 400 words, and tokenizers' files, which lie beside the weights, are the small ones of goldens/tokens.
Prints a line for each with its length and planned bytes, or ftc's error; the last line is 'N passed, N failed'. This script
itself needs no package.

A recipe in configs/ that has the name of one of these has its levers too: all of LEVERS, a line for each that differs.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

TOKENS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "goldens", "tokens")
# Files for the tokenizer of each family, by the key that names them.
FILES = {
    "llama3_tokenizer": {"path": "llama3.model"},
    "llama2_tokenizer": {"path": "llama2.model"},
    "mistral_tokenizer": {"path": "llama2.model"},
    "phi3_mini_tokenizer": {"path": "llama2.model"},
    "gemma_tokenizer": {"path": "gemma.model"},
    "qwen2_tokenizer": {"path": "qwen/vocab.json", "merges_file": "qwen/merges.txt"},
    "qwen2_5_tokenizer": {"path": "qwen/vocab.json", "merges_file": "qwen/merges.txt"},
    "phi4_tokenizer": {"vocab_path": "phi4/vocab.json", "merges_path": "phi4/merges.txt"},
}
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
          "loss._component_", "loss.beta", "loss.label_smoothing", "teacher_model._component_",
          "kd_loss._component_", "kd_ratio", "quantizer._component_", "quantizer.groupsize", "fake_quant_after_n_steps",
          "batch_size", "gradient_accumulation_steps", "epochs", "clip_grad_norm", "dtype",
          "enable_activation_checkpointing", "enable_activation_offloading", "model._component_", "model.lora_attn_modules",
          "model.apply_lora_to_mlp", "model.apply_lora_to_output", "model.lora_rank", "model.lora_alpha", "model.lora_dropout"]
CONFIGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "configs")
READ = "import json, sys, yaml; print(json.dumps([yaml.safe_load(open(path)) for path in sys.argv[1:]]))"


def read(python, *paths):
    """The recipes at these paths."""
    done = subprocess.run([python, "-c", READ, *paths], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def write_records(path, count=64):
    """Records with all that torchtune's data sets ask for under their usual keys."""
    with open(path, "w", encoding="utf-8") as out:
        for i in range(count):
            answer = " ".join(f"word{(i * 7 + j) % 50}" for j in range(20 + (i * i * 11) % 380))
            out.write(json.dumps({
                "instruction": "Say some words.", "input": "", "output": answer, "question": "Which words?",
                "response_j": answer, "response_k": "None.",
                "conversations": [{"from": "human", "value": "Which words?"}, {"from": "gpt", "value": answer}]}) + "\n")


def other_levers(python, ours, theirs):
    """'key: ours, not theirs' for each lever of two recipes that differs; an absent switch is off."""
    both = read(python, ours, theirs)

    def get(recipe, lever):
        for word in lever.split("."):
            recipe = (recipe or {}).get(word)
        return float(recipe) if lever == "optimizer.lr" else recipe or None  # YAML takes 2e-5 for text

    for lever in LEVERS:
        mine, its = (get(recipe, lever) for recipe in both)
        if mine != its:
            yield f"{lever}: {mine}, not {its}"


def shipped(python):
    """[recipe, config, path] of each config in the registry."""
    done = subprocess.run([python, "-c", LIST], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True,
                          env=dict(os.environ, HF_HUB_OFFLINE="1", PYTHONWARNINGS="ignore"))
    return json.loads(done.stdout.splitlines()[-1])


def plan(build, path, tokenizer, data):
    """("512 tokens, 123 bytes", None) or (None, error) of one recipe."""
    files = [f"tokenizer.{key}={os.path.join(TOKENS, name)}" for key, name in FILES[tokenizer.rsplit(".", 1)[-1]].items()]
    done = subprocess.run([os.path.join(build, "bin", "ftc"), "plan", path, *files, "--data", data], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    total = re.search(r"^ *total .*?(\d+) B", done.stdout, re.MULTILINE)
    length = re.search(r"tokenizer.max_seq_len is (\d+), and none is cut", done.stdout)
    if done.returncode == 0 and total:
        return f"{length.group(1) if length else 'given'} tokens, {total.group(1)} bytes", None
    errors = [line for line in done.stdout.splitlines() if "error" in line] or done.stdout.splitlines()[-1:]
    return None, " | ".join(errors) or f"exit code {done.returncode} without a word"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--torchtune-python", required=True)
    parser.add_argument("--distributed", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="configs whose names hold one of these words")
    args = parser.parse_args()
    wanted = [f"{kind}_{where}" for kind in ("full_finetune", "lora_finetune", "lora_dpo", "knowledge_distillation")
              for where in ("single_device", *(["distributed"] if args.distributed else []))]
    wanted += ["full_dpo_distributed", "qat_distributed", "qat_lora_finetune_distributed"] if args.distributed else []
    passed = failed = 0
    folder = tempfile.TemporaryDirectory()
    data = os.path.join(folder.name, "records.jsonl")
    write_records(data)
    for recipe, name, path in shipped(args.torchtune_python):
        if recipe not in wanted or "vision" in name or args.only and not any(word in name for word in args.only):
            continue
        total, error = plan(args.build, path, read(args.torchtune_python, path)[0]["tokenizer"]["_component_"], data)
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
