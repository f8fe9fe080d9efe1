#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Trains the cases of quantization-aware training with torchtune's own recipes, qat_distributed and
qat_lora_finetune_distributed, on the CPU in a world of one process.

  torchtune_qat.py run DIR [CASE]   trains and writes DIR/CASE.json, and of what a case asks for DIR/CASE.safetensors,
                                    DIR/CASE.first.safetensors (behind the first step) and DIR/CASE.adapter.safetensors
  torchtune_qat.py groups FILE      writes torchao's fake quantization of numbers of chance, and its gradients, for the unit test

Data, model, quantizer, loss and optimizer are torchtune's and torchao's, called by the recipe; only an adapter is put into the model
before it trains, since torchtune reads one only with the rest of a checkpoint. Needs requirements-torchtune.txt.
"""
import json
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import plain  # noqa: E402
from torchtune_dpo import recipe_module, torchtune_adapter  # noqa: E402

BY = "torchtune's QAT"


def prepare(case, folder):
    """The case's recipe as torchtune wants it: what ftc takes as given elsewhere is said."""
    recipe = plain.recipe_of(case)
    recipe["output_dir"] = os.path.join(folder, "out")
    checkpoint = os.path.join(folder, "checkpoint")
    shutil.copytree(os.path.join(plain.ROOT, recipe["checkpointer"]["checkpoint_dir"]), checkpoint)
    adapter = recipe["checkpointer"].pop("adapter_checkpoint", None)
    recipe["checkpointer"].update(checkpoint_dir=checkpoint, output_dir=recipe["output_dir"])
    for key in ("path", "special_tokens_path"):
        recipe["tokenizer"][key] = os.path.join(plain.ROOT, recipe["tokenizer"][key])
    recipe["dataset"].update(source="json", data_files=case["data"], split="train")
    recipe["metric_logger"] = {"_component_": "torchtune.training.metric_logging.DiskLogger",
                               "log_dir": recipe["output_dir"], "filename": os.path.join(folder, "log.txt")}
    recipe["optimizer"]["lr"] = float(recipe["optimizer"]["lr"])
    recipe["model"]["norm_eps"] = float(recipe["model"]["norm_eps"])
    recipe.update(compile=False, enable_activation_checkpointing=False, enable_activation_offloading=False,
                  save_adapter_weights_only=False, log_every_n_steps=1, log_peak_memory_stats=False)
    return recipe, adapter


def train(name, case, target):
    import torch
    import torchtune
    from omegaconf import OmegaConf
    from safetensors.torch import load_file, save_file
    from torchtune import training
    # There is no GPU's memory to tell of, and one process has nothing to shard, which PyTorch does on GPUs alone.
    training.get_memory_stats = training.log_memory_stats = training.cleanup_before_training = lambda *args, **kwargs: {}
    training.shard_model = lambda *args, **kwargs: None
    torch.Tensor.full_tensor = lambda tensor: tensor
    with tempfile.TemporaryDirectory() as folder:
        settings, adapter = prepare(case, folder)
        kind = "qat_lora_finetune_distributed" if adapter else "qat_distributed"
        config = OmegaConf.create(settings)
        module = recipe_module(kind)
        recipe = (module.QATLoRAFinetuneRecipeDistributed if adapter else module.QATRecipeDistributed)(config)
        recipe.setup(config)
        if adapter:
            start = torchtune_adapter(load_file(os.path.join(plain.ROOT, adapter, "adapter_model.safetensors")), settings)
            missing, unexpected = recipe._model.load_state_dict(start, strict=False)
            assert not unexpected and not [key for key in missing if "lora" in key], (missing, unexpected)
        logged, first = [], {}  # the log itself has four digits

        def log(payload, step):
            logged.append({key: float(value) for key, value in payload.items()})
            if step == 1:
                first.update({key: value.detach().clone() for key, value in recipe._model.state_dict().items()})

        recipe._metric_logger.log_dict = log
        recipe.train()
        recipe._metric_logger.close()
        saved = os.path.join(settings["output_dir"], "epoch_0")
        shards = [file for file in os.listdir(saved) if re.fullmatch(r"(ft-)?model.*\.safetensors", file)]
        model = {key: value for file in shards for key, value in load_file(os.path.join(saved, file)).items()}
        adapter = load_file(os.path.join(saved, "adapter_model.safetensors")) if adapter else {}
    # The logged rate is the next step's; the recipe for all weights has no schedule.
    steps, rate = [], 0.0 if settings.get("lr_scheduler") else settings["optimizer"]["lr"]
    for fields in logged:
        row = {"loss": fields["loss"], "lr": rate}
        if "grad_norm" in fields:
            row["grad_norm"] = fields["grad_norm"]
        steps.append(row)
        rate = fields["lr"]
    assert len(steps) == plain.STEPS, logged
    golden = {"case": name, "by": f"torchtune {torchtune.__version__.split('+')[0]} on PyTorch {torch.__version__.split('+')[0]}: "
              f"{kind}, device=cpu, one process", "dtype": settings["dtype"],
              "checkpoint": os.path.relpath(plain.recipe_of(case)["checkpointer"]["checkpoint_dir"]), "steps": steps}
    os.makedirs(target, exist_ok=True)
    with open(os.path.join(target, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")
    if case.get("first"):
        from torchtune.models.convert_weights import tune_to_hf
        sizes = settings["model"]
        first = tune_to_hf(first, num_heads=sizes["num_heads"], num_kv_heads=sizes["num_kv_heads"], dim=sizes["embed_dim"])
        save_file({key: value.contiguous() for key, value in first.items()}, os.path.join(target, name + ".first.safetensors"))
    if case.get("parameters"):
        tied = settings["model"]["_component_"].endswith("llama3_2")
        save_file({key: value.contiguous() for key, value in model.items() if not (tied and key == "lm_head.weight")},
                  os.path.join(target, name + ".safetensors"))
    if case.get("adapter"):
        save_file({key: value.contiguous() for key, value in adapter.items()},
                  os.path.join(target, name + ".adapter.safetensors"))
    print(f"{name}: loss {steps[0]['loss']:.4f} to {steps[-1]['loss']:.4f}")


def write_groups(path):
    """Rows of many magnitudes, one of them zeros and one alike, through each fake quantizer of the two torchao has for linear
    layers, in fp32 and bf16, and the gradients that autograd finds."""
    import torch
    from safetensors.torch import save_file
    from torchao.quantization.qat.fake_quantizer import FakeQuantizer
    from torchao.quantization.qat.linear import _get_4w_weight_config, _get_8da4w_activation_config, _get_8da4w_weight_config
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(24, 64, generator=generator) * torch.logspace(-9, 4, 24)[:, None]
    x[3], x[5], x[7, 1:], x[9, 40:] = 0, 2.75, 0, x[9, 40:] * 1000
    x[11] = x[11].abs()
    x[13] = -x[13].abs()
    d = torch.randn(24, 64, generator=generator)
    tensors = {}
    for kind, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        tensors[f"{kind}.x"], tensors[f"{kind}.d"] = x.to(dtype), d.to(dtype)
        for scheme, config in (("int8_asymmetric", _get_8da4w_activation_config(torch.float32)),
                               ("int4_symmetric", _get_8da4w_weight_config(32, torch.float32)),
                               ("int4_asymmetric", _get_4w_weight_config(32, torch.bfloat16))):
            leaf = x.detach().clone().to(dtype).requires_grad_(True)
            y = FakeQuantizer(config)(leaf)
            assert y.dtype == dtype
            y.backward(d.to(dtype))
            tensors[f"{kind}.{scheme}"], tensors[f"{kind}.{scheme}.gradient"] = y.detach(), leaf.grad
    save_file(tensors, path)
    print(f"{path}: {len(tensors)} tensors")


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "groups":
        write_groups(sys.argv[2])
        return 0
    if sys.argv[1:2] != ["run"] or len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    os.environ.update(OMP_NUM_THREADS="1", RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", LOCAL_WORLD_SIZE="1")
    import torch.distributed
    with tempfile.TemporaryDirectory() as cache:
        os.environ["HF_HOME"] = cache
        torch.distributed.init_process_group("gloo", init_method=f"file://{cache}/meeting", rank=0, world_size=1)
        for name, case in plain.cases().items():
            if case.get("by") == BY and (len(sys.argv) == 3 or name in sys.argv[3:]):
                train(name, case, sys.argv[2])
        torch.distributed.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
