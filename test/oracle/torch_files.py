#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Files that torch.save writes, and what torchtune's checkpointers make of them.

  torch_files.py make     makes checkpoints/files/ and data/files.bin: one very small model as safetensors, as shards of
                          pytorch_model.bin, as Meta's consolidated.00.pth and as torchtune's model.pt; an adapter as
                          torchtune's adapter_model.pt and as PEFT's safetensors; and odd/, files for the unit tests of
                          the reader
  torch_files.py run DIR  loads each with torchtune's checkpointer, trains it, and writes DIR/CASE.json

Needs requirements-torchtune.txt.
"""
import argparse
import array
import collections
import json
import os
import random
import shutil
import sys

import torch
import yaml
from safetensors.torch import save_file
from torchtune import training
from torchtune.models import convert_weights
from torchtune.models.llama3 import llama3, lora_llama3
from torchtune.modules.loss import CEWithChunkedOutputLoss
from torchtune.modules.peft import get_adapter_params, set_trainable_params

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import plain  # noqa: E402

FOLDER = os.path.join(plain.HERE, "checkpoints", "files")
TOKENS = os.path.join(plain.HERE, "data", "files.bin")
HEADS, KV_HEADS, WIDTH, VOCABULARY, ROW, BATCH = 2, 1, 16, 40, 16, 2


RANK, ALPHA = 2, 4


def build(adapters=False):
    sizes = dict(vocab_size=VOCABULARY, num_layers=2, num_heads=HEADS, num_kv_heads=KV_HEADS, embed_dim=WIDTH,
                 max_seq_len=64, intermediate_dim=24, norm_eps=1e-5)
    if not adapters:
        return llama3(**sizes)
    return lora_llama3(lora_attn_modules=["q_proj", "k_proj", "v_proj", "output_proj"], apply_lora_to_mlp=True,
                       apply_lora_to_output=True, lora_rank=RANK, lora_alpha=ALPHA, use_dora=True, **sizes)


def save(folder, name, value, **options):
    os.makedirs(os.path.join(FOLDER, folder), exist_ok=True)
    torch.save(value, os.path.join(FOLDER, folder, name), **options)


def write_json(folder, name, value):
    with open(os.path.join(FOLDER, folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


def make():
    shutil.rmtree(FOLDER, ignore_errors=True)
    torch.manual_seed(7)
    weights = {}
    for name, tensor in build().state_dict().items():
        # Queries and keys are large enough for the order of their rows to count.
        scale = 0.6 if "q_proj" in name or "k_proj" in name else 0.3
        weights[name] = (torch.rand_like(tensor) + 0.5 if name.endswith("scale") else
                         torch.randn_like(tensor) * scale).to(torch.bfloat16)
    ours = convert_weights.tune_to_hf(weights, num_heads=HEADS, num_kv_heads=KV_HEADS, dim=WIDTH)
    ours = {name: tensor.contiguous() for name, tensor in ours.items()}

    names = list(ours)
    shards = {f"pytorch_model-0000{part + 1}-of-00002.bin": names[part::2] for part in range(2)}
    for file, part in shards.items():
        save("hf", file, collections.OrderedDict((name, ours[name]) for name in part))
    write_json("hf", "pytorch_model.bin.index.json",
               {"metadata": {"total_size": sum(2 * tensor.numel() for tensor in ours.values())},
                "weight_map": {name: file for file, part in shards.items() for name in part}})
    save_file(ours, os.path.join(FOLDER, "hf", "model.safetensors"), metadata={"format": "pt"})
    write_json("hf", "config.json", {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": WIDTH,
        "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
        "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16"})

    save("meta", "consolidated.00.pth", convert_weights.tune_to_meta(weights))
    write_json("meta", "params.json", {"dim": WIDTH, "n_layers": 2, "n_heads": HEADS, "n_kv_heads": KV_HEADS,
                                       "vocab_size": VOCABULARY, "multiple_of": 8, "norm_eps": 1e-5,
                                       "rope_theta": 500000.0})
    save("torchtune", "model.pt", weights)

    adapter = {}
    for name, tensor in get_adapter_params(build(adapters=True)).items():
        adapter[name] = (torch.rand_like(tensor) + 1 if name.endswith("magnitude") else
                         torch.randn_like(tensor) * 0.3).detach().to(torch.bfloat16)
    save("adapter", "adapter_model.pt", adapter)
    config = {"r": RANK, "lora_alpha": ALPHA, "peft_type": "LORA",  # as torchtune's recipe gives it to its checkpointer
              "target_modules": ["q_proj", "k_proj", "v_proj", "output_proj", "w1", "w2", "w3", "output"]}
    write_json("adapter", "adapter_config.json", convert_weights.tune_to_peft_adapter_config(config))
    peft = convert_weights.tune_to_peft_adapter_weights(  # which has no permutation for magnitudes
        {name: tensor for name, tensor in adapter.items() if "lora" in name}, num_heads=HEADS, num_kv_heads=KV_HEADS,
        dim=WIDTH)
    for name, tensor in adapter.items():
        if name.endswith("magnitude"):
            heads = HEADS if "q_proj" in name else KV_HEADS if "k_proj" in name else 0
            ours_name = next(iter(convert_weights.tune_to_hf(
                {name.replace("magnitude", "weight"): torch.zeros(WIDTH, WIDTH)}, HEADS, HEADS, WIDTH)))
            peft["base_model.model." + ours_name.replace("weight", "lora_magnitude_vector")] = (
                tensor.view(heads, -1, 2).transpose(1, 2).reshape(-1) if heads else tensor)
    os.makedirs(os.path.join(FOLDER, "adapter-peft"))
    save_file({name: tensor.contiguous() for name, tensor in peft.items()},
              os.path.join(FOLDER, "adapter-peft", "adapter_model.safetensors"), metadata={"format": "pt"})

    # What else a file may hold. Element i of each tensor that is read is i, as it is seen (of expanded, 0).
    grid = torch.arange(24, dtype=torch.float32)
    wide = torch.arange(48, dtype=torch.float32).reshape(4, 12)
    linear = torch.nn.Linear(3, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.arange(6).reshape(2, 3))
        linear.bias.copy_(torch.arange(2))
    save("odd", "module.pt", linear.state_dict())  # an OrderedDict with attributes
    save("odd", "views.pt", {
        "transposed": grid.reshape(6, 4).t().contiguous().t(), "sliced": (wide - 4 - 8 * torch.arange(4)[:, None])[:, 4:8],
        "expanded": torch.zeros(1).expand(3, 5), "scalar": torch.tensor(0.0), "empty": torch.zeros(0, 4),
        "shared": grid[:8], "parameter": torch.nn.Parameter(grid[:6].reshape(2, 3)),
        "permuted": grid.reshape(2, 3, 4).permute(2, 0, 1).contiguous().permute(1, 2, 0)})
    save("odd", "types.pt", {name: torch.arange(5).to(getattr(torch, name)) for name in
                             ("float16", "bfloat16", "float32", "float64", "int64", "int32", "int16", "int8", "uint8")})
    save("odd", "nested.pt", {"epoch": 3, "model": {"w": grid[:4]}, "optimizer": {
        "state": {0: {"step": torch.tensor(1.0), "exp_avg": grid[:4]}}, "lr": 1e-3, "betas": (0.9, 0.95), "big": 1 << 40,
        "amsgrad": False, "params": [0], "foreach": None, "dtype": torch.bfloat16}})
    save("odd", "number.pt", {"w": grid[:4], "epoch": 3})
    save("odd", "object.pt", {"w": grid[:4], "args": argparse.Namespace(lr=1)})
    save("odd", "list.pt", [grid[:4]])
    save("odd", "before-1.6.bin", {"w": grid[:4]}, _use_new_zipfile_serialization=False)
    save("odd", "protocol-4.pt", {"w": grid[:4]}, pickle_protocol=4)

    ids = random.Random(3)
    with open(TOKENS, "wb") as file:
        array.array("H", [ids.randrange(VOCABULARY) for _ in range(plain.STEPS * BATCH * ROW)]).tofile(file)


def train(weights, adapter):
    """Losses of 20 steps of torchtune's model and loss, in fp32; with an adapter, of that alone."""
    model = build(adapters=adapter is not None)
    if adapter is not None:
        set_trainable_params(model, get_adapter_params(model))
    missing, unexpected = model.load_state_dict({**weights, **(adapter or {})}, strict=False)
    assert not missing and not unexpected, (missing, unexpected)
    model = model.float()
    loss_of = CEWithChunkedOutputLoss()
    model.set_num_output_chunks(loss_of.num_output_chunks)
    with open(os.path.join(plain.HERE, "files.yaml"), encoding="utf-8") as file:
        optimizer = yaml.safe_load(file)["optimizer"]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=float(optimizer["lr"]), weight_decay=optimizer["weight_decay"])
    ids = array.array("H")
    with open(TOKENS, "rb") as file:
        ids.frombytes(file.read())
    steps = []
    for rows in torch.tensor(ids, dtype=torch.int64).reshape(plain.STEPS, BATCH, ROW):
        labels = torch.cat([rows[:, 1:], torch.full((BATCH, 1), -100)], dim=1)
        loss = loss_of(model(rows), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        steps.append({"loss": loss.item(), "lr": optimizer.param_groups[0]["lr"]})
    return steps


def run(target):
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    os.makedirs(target, exist_ok=True)
    seen = {}
    for name, case in plain.cases().items():
        if case.get("by") != "torchtune's checkpointers":
            continue
        settings = {"checkpoint_files": "[model.safetensors]"}
        settings.update(override.removeprefix("checkpointer.").split("=", 1) for override in case["overrides"])
        component, adapter = settings["_component_"], settings.get("adapter_checkpoint")
        checkpointer = getattr(training, component.rsplit(".", 1)[1])(
            checkpoint_dir=os.path.join(plain.ROOT, settings["checkpoint_dir"]),
            checkpoint_files=settings["checkpoint_files"].strip("[]").split(","), model_type="LLAMA3",
            adapter_checkpoint=adapter and os.path.join(plain.ROOT, adapter, "adapter_model.pt"),
            should_load_recipe_state=False, output_dir=os.path.join(target, "out"))
        loaded = checkpointer.load_checkpoint()
        adapter = torch.load(os.path.join(plain.ROOT, adapter, "adapter_model.pt")) if adapter else None
        steps = train(loaded["model"], adapter)
        assert seen.setdefault(adapter is None, steps) == steps, f"{name}: other losses than from the first file"
        golden = {"case": name, "by": f"{component} of torchtune 0.6.1 on PyTorch {torch.__version__.split('+')[0]}",
                  "dtype": "fp32", "checkpoint": settings["checkpoint_dir"], "steps": steps}
        with open(os.path.join(target, name + ".json"), "w", encoding="utf-8") as file:
            json.dump(golden, file, indent=1)
            file.write("\n")
        print(f"{name}: loss {steps[0]['loss']:.4f} to {steps[-1]['loss']:.4f}")
    shutil.rmtree(os.path.join(target, "out"), ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["make"]:
        make()
    elif len(sys.argv) == 3 and sys.argv[1] == "run":
        run(sys.argv[2])
    else:
        sys.exit(__doc__)
