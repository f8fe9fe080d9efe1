#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Trains the cases of knowledge distillation with torchtune's own recipe, knowledge_distillation_single_device, on the CPU.

  torchtune_kd.py run DIR [CASE]   trains and writes DIR/CASE.json, DIR/CASE.safetensors and DIR/CASE.adapter.safetensors

Data, both models, losses and optimizer are torchtune's, called by its recipe, but for two things. The adapter is put into the
student before it trains, since torchtune reads one only with the rest of a checkpoint. And the gradient is that of the loss which
the recipe logs, the mean over the tokens of a step: torchtune 0.6.1 takes the gradient of each batch's mean and divides it by the
tokens of the step once more, where its other recipes multiply it by those of the batch before. Needs requirements-torchtune.txt.
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

RECIPE = "knowledge_distillation_single_device"
# As torchtune logs them; ftrun's names are the same.
MEASURED = ["class_loss", "kd_loss"]


def prepare(case, folder):
    """The case's recipe as torchtune wants it: what ftc takes as given elsewhere is said."""
    recipe = plain.recipe_of(case)
    recipe["output_dir"] = os.path.join(folder, "out")
    for node, name in (("checkpointer", "student"), ("teacher_checkpointer", "teacher")):
        checkpoint = os.path.join(folder, name)
        shutil.copytree(os.path.join(plain.ROOT, recipe[node]["checkpoint_dir"]), checkpoint)
        recipe[node].update(_component_="torchtune.training.FullModelHFCheckpointer", checkpoint_dir=checkpoint,
                            checkpoint_files=["model.safetensors"], model_type="LLAMA3", output_dir=recipe["output_dir"])
    adapter = os.path.join(plain.ROOT, recipe["checkpointer"].pop("adapter_checkpoint"))
    for key in ("path", "special_tokens_path"):
        recipe["tokenizer"][key] = os.path.join(plain.ROOT, recipe["tokenizer"][key])
    recipe["dataset"].update(source="json", data_files=case["data"], split="train")
    recipe["metric_logger"] = {"_component_": "torchtune.training.metric_logging.DiskLogger",
                               "log_dir": recipe["output_dir"], "filename": os.path.join(folder, "log.txt")}
    recipe["optimizer"]["lr"] = float(recipe["optimizer"]["lr"])
    for node in ("model", "teacher_model"):
        recipe[node]["norm_eps"] = float(recipe[node]["norm_eps"])
    recipe.update(compile=False, enable_activation_checkpointing=False, enable_activation_offloading=False,
                  save_adapter_weights_only=False, log_every_n_steps=1, log_peak_memory_stats=False)
    return recipe, adapter


def of_logged_loss(module):
    """torchtune's recipe with the gradients of the loss that it logs."""

    class Recipe(module.KDRecipeSingleDevice):
        def _loss_step(self, batch):
            tokens = (batch["labels"] != self._loss_fn.ignore_index).sum()
            # The same numbers, and `tokens` times their gradients.
            return tuple(loss.detach() + tokens * (loss - loss.detach()) for loss in super()._loss_step(batch))

    return Recipe


def train(name, case, target):
    from omegaconf import OmegaConf
    from safetensors.torch import load_file, save_file
    with tempfile.TemporaryDirectory() as folder:
        settings, adapter = prepare(case, folder)
        config = OmegaConf.create(settings)
        recipe = of_logged_loss(recipe_module(RECIPE))(config)
        recipe.setup(config)
        start = torchtune_adapter(load_file(os.path.join(adapter, "adapter_model.safetensors")), settings)
        missing, unexpected = recipe._model.load_state_dict(start, strict=False)
        assert not unexpected and not [key for key in missing if "lora" in key], (missing, unexpected)
        logged = []  # the log itself has four digits
        recipe._metric_logger.log_dict = lambda payload, step: logged.append({key: float(value) for key, value in payload.items()})
        recipe.train()
        recipe.cleanup()
        saved = os.path.join(settings["output_dir"], "epoch_0")
        adapter = load_file(os.path.join(saved, "adapter_model.safetensors"))
        shards = [file for file in os.listdir(saved) if re.fullmatch(r"(ft-)?model.*\.safetensors", file)]
        model = {key: value for file in shards for key, value in load_file(os.path.join(saved, file)).items()}
    steps, rate = [], 0.0  # the logged rate is the next step's
    for fields in logged:
        row = {"loss": fields["loss"], "lr": rate, **{key: fields[key] for key in MEASURED}}
        if "grad_norm" in fields:
            row["grad_norm"] = fields["grad_norm"]
        steps.append(row)
        rate = fields["lr"]
    assert len(steps) == plain.STEPS and settings["lr_scheduler"]["num_warmup_steps"] > 0, logged
    import torch
    import torchtune
    golden = {"case": name, "by": f"torchtune {torchtune.__version__.split('+')[0]} on PyTorch {torch.__version__.split('+')[0]}: "
              f"{RECIPE}, device=cpu, gradients of the logged loss", "dtype": settings["dtype"],
              "checkpoint": "test/oracle/checkpoints/tied", "steps": steps}
    os.makedirs(target, exist_ok=True)
    with open(os.path.join(target, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")
    save_file({key: value.contiguous() for key, value in model.items() if key != "lm_head.weight"},
              os.path.join(target, name + ".safetensors"))
    save_file({key: value.contiguous() for key, value in adapter.items()},
              os.path.join(target, name + ".adapter.safetensors"))
    print(f"{name}: loss {steps[0]['loss']:.4f} to {steps[-1]['loss']:.4f}")


def main():
    if sys.argv[1:2] != ["run"] or len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as cache:
        os.environ["HF_HOME"] = cache
        for name, case in plain.cases().items():
            if case.get("by") == "torchtune's distillation" and (len(sys.argv) == 3 or name in sys.argv[3:]):
                train(name, case, sys.argv[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
