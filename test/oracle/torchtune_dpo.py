#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Trains the cases of preference optimization with torchtune's own recipes on the CPU: lora_dpo_single_device, and for cases
without an adapter full_dpo_distributed, in a process group of one.

  torchtune_dpo.py data             makes data/dpo: pairs of answers, and a byte-level tokenizer of Llama 3's kind
  torchtune_dpo.py run DIR [CASE]   trains and writes DIR/CASE.json, DIR/CASE.safetensors and DIR/CASE.adapter.safetensors

Data, loss, model and optimizer are torchtune's, called by its recipe; only the adapter is put into the model before it trains,
since torchtune reads one only with the rest of a checkpoint. The recipe with adapters logs rewards and log-probabilities of a
step's last micro-batch alone, so a case with several has none of them in its golden. The distributed one is for GPUs: what it
does there and has no meaning for one process on a CPU (shards, sums over processes, statistics of memory) does nothing here.
Needs requirements-torchtune.txt.
"""
import base64
import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import plain  # noqa: E402
from torchtune_run import SPECIAL  # noqa: E402

DATA = os.path.join(plain.HERE, "data", "dpo")
RECIPE, FULL_RECIPE = "lora_dpo_single_device", "full_dpo_distributed"
# As torchtune logs them; ftrun's names are the same.
MEASURED = ["rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "log_probs/chosen",
            "log_probs/rejected"]


def make_data():
    """Questions of a few words with two answers; some are longer than a row of 64 tokens, so that answers are cut."""
    os.makedirs(DATA, exist_ok=True)
    with open(os.path.join(DATA, "tokenizer.model"), "w", encoding="ascii") as file:
        file.writelines(f"{base64.b64encode(bytes([i])).decode()} {i}\n" for i in range(256))
    with open(os.path.join(DATA, "special_tokens.json"), "w", encoding="ascii") as file:
        json.dump({"added_tokens": [{"content": text, "id": 256 + i} for i, text in enumerate(SPECIAL)]}, file)
    with open(os.path.join(plain.ROOT, "LICENSE"), encoding="utf-8") as file:
        words = re.findall(r"[A-Za-z]+", file.read())
    at = 0

    def some(count):
        nonlocal at
        at += count
        return " ".join(words[at - count:at])

    with open(os.path.join(DATA, "pairs.jsonl"), "w", encoding="utf-8") as file:
        for number in range(4 * plain.STEPS):  # 2 pairs a batch, and up to two batches a step
            question = some(1 + number % 3)
            record = {side: [{"role": "user", "content": question}, {"role": "assistant", "content": some(1 + count % 7)}]
                      for side, count in (("better", number), ("worse", 3 * number + 1))}
            if number % 4 == 1:
                record = {side: [{"role": "system", "content": "Be brief."}, *turns] for side, turns in record.items()}
            file.write(json.dumps(record) + "\n")


def torchtune_adapter(state, recipe):
    """PEFT's names and order of rows to torchtune's: what tune_to_peft_adapter_weights undoes."""
    import torch
    from torchtune.models.convert_weights import tune_to_peft_adapter_weights
    model = recipe["model"]
    head = model["embed_dim"] // model["num_heads"]
    names = {"self_attn": "attn", "o_proj": "output_proj", "gate_proj": "w1", "down_proj": "w2", "up_proj": "w3",
             "lora_A": "lora_a", "lora_B": "lora_b", "lm_head": "output"}
    converted = {}
    for key, value in state.items():
        parts = key.removeprefix("base_model.model.").removeprefix("model.").split(".")
        heads = {"q_proj": model["num_heads"], "k_proj": model["num_kv_heads"]}.get(parts[-3])
        if heads and parts[-2] == "lora_B":
            value = value.view(heads, 2, head // 2, -1).transpose(1, 2).reshape(heads * head, -1)
        converted[".".join(names.get(part, part) for part in parts)] = value.float()  # exact: bf16's numbers
    back = tune_to_peft_adapter_weights(converted, num_heads=model["num_heads"], num_kv_heads=model["num_kv_heads"],
                                        dim=model["embed_dim"])
    assert set(back) == set(state) and all(torch.equal(back[key], state[key].float()) for key in state)
    return converted


def copied(node, folder):
    """A checkpointer's folder as torchtune wants it, with a config.json: the tied model's where there is none."""
    source = os.path.join(plain.ROOT, node["checkpoint_dir"])
    os.makedirs(folder)
    files = node.get("checkpoint_files", ["model.safetensors"])
    for file in files:
        shutil.copy(os.path.join(source, file), folder)
    config = os.path.join(source, "config.json")
    shutil.copy(config if os.path.exists(config) else os.path.join(plain.HERE, "checkpoints", "tied", "config.json"), folder)
    return {"_component_": "torchtune.training.FullModelHFCheckpointer", "checkpoint_dir": folder, "checkpoint_files": files,
            "model_type": "LLAMA3"}


def prepare(case, folder):
    """The case's recipe as torchtune wants it: what ftc takes as given elsewhere is said."""
    recipe = plain.recipe_of(case)
    recipe["output_dir"] = os.path.join(folder, "out")
    for key in ("path", "special_tokens_path"):
        recipe["tokenizer"][key] = os.path.join(plain.ROOT, recipe["tokenizer"][key])
    recipe["dataset"].update(source="json", data_files=case["data"], split="train")
    recipe["dataset"].pop("packed")
    adapter = recipe["checkpointer"].pop("adapter_checkpoint", None)
    before = recipe.get("ref_checkpointer", recipe["checkpointer"])
    for node, values in (("checkpointer", recipe["checkpointer"]), ("ref_checkpointer", before)):
        if node == "checkpointer" or not adapter:
            recipe[node] = dict(copied(values, os.path.join(folder, node)), output_dir=recipe["output_dir"])
    recipe["metric_logger"] = {"_component_": "torchtune.training.metric_logging.DiskLogger",
                               "log_dir": recipe["output_dir"], "filename": os.path.join(folder, "log.txt")}
    recipe["optimizer"]["lr"] = float(recipe["optimizer"]["lr"])
    recipe["model"]["norm_eps"] = float(recipe["model"]["norm_eps"])
    recipe.update(compile=False, enable_activation_checkpointing=False, enable_activation_offloading=False,
                  save_adapter_weights_only=False, log_every_n_steps=1, log_peak_memory_stats=False)
    recipe["loss"].pop("num_output_chunks", None)  # ftc's own
    if adapter:
        assert recipe.pop("clip_grad_norm") is None  # torchtune's recipe has no such key
        adapter = os.path.join(plain.ROOT, adapter)
    return recipe, adapter


def recipe_module(name):
    """One of torchtune's recipes. Their package cannot be imported, only found."""
    root = importlib.util.find_spec("recipes").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location(name, os.path.join(root, name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def alone(module):
    """full_dpo_distributed for one process on a CPU."""
    import torch

    class Training:
        """torchtune.training without shards and CUDA's statistics."""

        def __getattr__(self, name):
            return getattr(torchtune_training, name)

        def shard_model(self, **_):
            pass

        def cleanup_before_training(self):
            pass

        def get_memory_stats(self, **_):
            return {}

        def log_memory_stats(self, _):
            pass

        def load_from_full_model_state_dict(self, model, state, device, strict, cpu_offload):
            parameters = dict(model.named_parameters())
            state = {key: torch.nn.Parameter(value.to(parameters[key].dtype)) for key, value in state.items()}
            model.load_state_dict(state, strict=strict, assign=True)

    class Norm(float):
        def full_tensor(self):
            return self

    def clip(*args, **kwargs):
        return Norm(clip_grad_norm(*args, **kwargs))

    torchtune_training, module.training = module.training, Training()
    clip_grad_norm, torch.nn.utils.clip_grad_norm_ = torch.nn.utils.clip_grad_norm_, clip
    torch.distributed.all_reduce = lambda *_, **__: None
    torch.distributed.init_process_group("gloo", rank=0, world_size=1, store=torch.distributed.HashStore())
    return module.FullDPORecipeDistributed


def models(folder):
    """All tensors of torchtune's checkpoint."""
    from safetensors.torch import load_file
    shards = [file for file in os.listdir(folder) if re.fullmatch(r"(ft-)?model.*\.safetensors", file)]
    return {key: value for file in shards for key, value in load_file(os.path.join(folder, file)).items()}


def train(name, case, target):
    from omegaconf import OmegaConf
    from safetensors.torch import load_file, save_file
    with tempfile.TemporaryDirectory() as folder:
        settings, adapter = prepare(case, folder)
        config = OmegaConf.create(settings)
        module = recipe_module(RECIPE if adapter else FULL_RECIPE)
        recipe = (module.LoRADPORecipeSingleDevice if adapter else alone(module))(config)
        recipe.setup(config)
        if adapter:
            start = torchtune_adapter(load_file(os.path.join(adapter, "adapter_model.safetensors")), settings)
            missing, unexpected = recipe._model.load_state_dict(start, strict=False)
            assert not unexpected and not [key for key in missing if "lora" in key], (missing, unexpected)
        logged = []  # the log itself has four digits of some
        recipe._metric_logger.log_dict = lambda payload, step: logged.append({key: float(value) for key, value in payload.items()})
        recipe.train()
        recipe.cleanup()
        saved = os.path.join(settings["output_dir"], "epoch_0")
        model = models(saved)
        if adapter:
            adapter = load_file(os.path.join(saved, "adapter_model.safetensors"))
    lacks = adapter and settings["gradient_accumulation_steps"] > 1
    scheduler = settings.get("lr_scheduler")
    steps, rate = [], 0.0 if scheduler else settings["optimizer"]["lr"]  # the logged rate is the next step's
    for fields in logged:
        row = {"loss": fields["loss"], "lr": rate}
        if not lacks:
            row.update({key: fields[key] for key in MEASURED})
        steps.append(row)
        rate = fields["lr"]
    assert len(steps) == plain.STEPS and (not scheduler or scheduler["num_warmup_steps"] > 0), logged
    import torch
    import torchtune
    golden = {"case": name, "by": f"torchtune {torchtune.__version__.split('+')[0]} on PyTorch {torch.__version__.split('+')[0]}: "
              f"{RECIPE if adapter else FULL_RECIPE}, device=cpu", "dtype": settings["dtype"],
              "checkpoint": "test/oracle/checkpoints/tied", "steps": steps}
    os.makedirs(target, exist_ok=True)
    with open(os.path.join(target, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")
    save_file({key: value.contiguous() for key, value in model.items() if key != "lm_head.weight"},
              os.path.join(target, name + ".safetensors"))
    if adapter:
        save_file({key: value.contiguous() for key, value in adapter.items()},
                  os.path.join(target, name + ".adapter.safetensors"))
    print(f"{name}: loss {steps[0]['loss']:.4f} to {steps[-1]['loss']:.4f}")


def main():
    if sys.argv[1:] == ["data"]:
        make_data()
    elif sys.argv[1:2] == ["run"] and len(sys.argv) > 2:
        os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
        os.environ["OMP_NUM_THREADS"] = "1"
        with tempfile.TemporaryDirectory() as cache:
            os.environ["HF_HOME"] = cache
            for name, case in plain.cases().items():
                if case.get("by") == "torchtune's DPO" and (len(sys.argv) == 3 or name in sys.argv[3:]):
                    train(name, case, sys.argv[2])
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
