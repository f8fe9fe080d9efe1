#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Opens the folders that ftrun leaves of a LoRA run, as they are, in each way that transformers and PEFT have.

  load_adapter.py CHECKPOINT TOKENS.bin [ADAPTER_ONLY_CHECKPOINT]

CHECKPOINT is a step_N with merged weights, ADAPTER_ONLY_CHECKPOINT one of the same run without them. Each of these must
be the same model, its logits at most 1e-5 of the largest apart; and the adapter moves them by more than 100 times that:

  PeftModel.from_pretrained(BASE, CHECKPOINT/adapter)       the frozen weights that adapter_config.json names, and the adapter
  AutoPeftModelForCausalLM.from_pretrained(CHECKPOINT/adapter)
  AutoModelForCausalLM.from_pretrained(CHECKPOINT/adapter)
  AutoModelForCausalLM.from_pretrained(CHECKPOINT)          the merged weights
  all but the last of ADAPTER_ONLY_CHECKPOINT, too

Needs requirements-torch.txt.
"""
import argparse
import json
import os
import sys

import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("tokens")
    parser.add_argument("adapter_only", nargs="?")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with open(args.tokens, "rb") as file:
        ids = torch.frombuffer(bytearray(file.read(4 * 64 * 2)), dtype=torch.uint16).long().view(4, 64)
    merged, info = AutoModelForCausalLM.from_pretrained(args.checkpoint, dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    assert not [name for name, _ in merged.named_parameters() if "lora_" in name]
    logits = lambda model: model(input_ids=ids).logits
    good = True
    with torch.no_grad():
        merged = logits(merged)
        for folder in [os.path.join(args.checkpoint, "adapter")] + ([args.adapter_only] if args.adapter_only else []):
            with open(os.path.join(folder, "adapter_config.json"), encoding="utf-8") as file:
                base = json.load(file)["base_model_name_or_path"]
            model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
            frozen = logits(model)
            model = PeftModel.from_pretrained(model, folder)
            # In files, PEFT leaves out the name of the adapter, and of magnitudes the last word too.
            ours = {name.replace(".default", "").replace("magnitude_vector.weight", "magnitude_vector"): tensor
                    for name, tensor in model.named_parameters() if "lora_" in name}
            with safe_open(os.path.join(folder, "adapter_model.safetensors"), "pt") as file:
                assert set(file.keys()) == set(ours), set(file.keys()) ^ set(ours)
                assert all(torch.equal(file.get_tensor(name), ours[name]) for name in ours)
            adapted = {"PeftModel": logits(model)}
            for kind in (AutoPeftModelForCausalLM, AutoModelForCausalLM):
                adapted[kind.__name__] = logits(kind.from_pretrained(folder, dtype=torch.float32))
            for name, found in adapted.items():
                apart = float((merged - found).abs().max() / merged.abs().max())
                moved = float((frozen - found).abs().max() / merged.abs().max())
                fine = apart <= 1e-5 < moved / 100
                good = good and fine
                print(f"  adapter    {'ok  ' if fine else 'FAIL'} {apart:.2e} from the merged weights, bar 1e-05; {moved:.2e} "
                      f"from the frozen ones ({name} of {folder})")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
