#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Opens an adapter that ftrun wrote with PEFT and compares its logits with those of the merged weights beside it.

  load_adapter.py CHECKPOINT TOKENS.bin

CHECKPOINT is a step_N of a LoRA run. PEFT loads its adapter onto the frozen weights that adapter_config.json names;
transformers loads the merged weights as a model of their own. Bar: their logits differ by at most 1e-5 of the largest,
and the adapter moves them by more than 100 times that. Needs requirements-torch.txt.
"""
import argparse
import json
import os
import shutil
import sys
import tempfile

import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("tokens")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with open(args.tokens, "rb") as file:
        ids = torch.frombuffer(bytearray(file.read(4 * 64 * 2)), dtype=torch.uint16).long().view(4, 64)
    with open(os.path.join(args.checkpoint, "adapter_config.json"), encoding="utf-8") as file:
        base = json.load(file)["base_model_name_or_path"]
    with torch.no_grad():
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        frozen = model(input_ids=ids).logits
        model = PeftModel.from_pretrained(model, args.checkpoint)
        # In files, PEFT leaves out the name of the adapter, and of magnitudes the last word too.
        ours = {name.replace(".default", "").replace("magnitude_vector.weight", "magnitude_vector"): tensor
                for name, tensor in model.named_parameters() if "lora_" in name}
        with safe_open(os.path.join(args.checkpoint, "adapter_model.safetensors"), "pt") as file:
            assert set(file.keys()) == set(ours), set(file.keys()) ^ set(ours)
            assert all(torch.equal(file.get_tensor(name), ours[name]) for name in ours)
        adapted = model(input_ids=ids).logits
        with tempfile.TemporaryDirectory() as folder:
            copy = os.path.join(folder, "merged")
            shutil.copytree(args.checkpoint, copy, ignore=shutil.ignore_patterns("adapter_*"))
            model, info = AutoModelForCausalLM.from_pretrained(copy, dtype=torch.float32, output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"], info
        merged = model(input_ids=ids).logits
    apart = float((merged - adapted).abs().max() / adapted.abs().max())
    moved = float((frozen - adapted).abs().max() / adapted.abs().max())
    good = apart <= 1e-5 < moved / 100
    print(f"  adapter    {'ok  ' if good else 'FAIL'} {apart:.2e} from the merged weights, bar 1e-05; {moved:.2e} from the "
          f"frozen ones ({args.checkpoint})")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
