#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs torchtune's own recipe (full_finetune_single_device, on the CPU) on checkpoints/untied.

  torchtune_run.py data         makes data/torchtune.bin, the token rows that torchtune's data set feeds, and data/alpaca.jsonl
  torchtune_run.py run DIR      trains and writes DIR/torchtune-fp32.json and DIR/torchtune-null-fp32.json

The data set of torchtune-fp32 gives rows of exactly 64 tokens (texts are longer and truncated), so there is no padding and its rows
are a token file. torchtune-null-fp32 has what torchtune's shipped recipes have: Alpaca's records, not packed, and
`tokenizer.max_seq_len: null`, so each batch is as long as its longest sample and nothing is cut. The logged learning rate of torchtune is the next step's; the golden has each step's own. Needs
requirements-torchtune.txt.
"""
import array
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import plain  # noqa: E402

NAMES = ["torchtune-fp32", "torchtune-null-fp32"]
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>", "<|step_id|>", "<|start_header_id|>",
           "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>", "<|image|>"]


def write_records(path):
    """Records of Alpaca's of many lengths, two for each step, a third of them with an input."""
    with open(os.path.join(plain.ROOT, "LICENSE"), encoding="utf-8") as file:
        words = file.read().split()
    at = 0

    def some(count):
        nonlocal at
        at += count
        return " ".join(words[at - count:at])

    with open(path, "w", encoding="utf-8") as file:
        for i in range(2 * plain.STEPS):
            record = {"instruction": some(2 + i % 5), "input": "" if i % 3 else some(1 + i % 4), "output": some(1 + i * i * 7 % 43)}
            file.write(json.dumps(record) + "\n")


def prepare(folder, name):
    """A checkpoint directory with a byte-level tokenizer of Llama 3's kind, a data file, and the recipe."""
    checkpoint = os.path.join(folder, "checkpoint")
    shutil.copytree(os.path.join(plain.HERE, "checkpoints", "untied"), checkpoint)
    with open(os.path.join(checkpoint, "tokenizer.model"), "w", encoding="ascii") as file:
        file.writelines(f"{base64.b64encode(bytes([i])).decode()} {i}\n" for i in range(256))
    with open(os.path.join(checkpoint, "special_tokens.json"), "w", encoding="ascii") as file:
        json.dump({"added_tokens": [{"content": text, "id": 256 + i} for i, text in enumerate(SPECIAL)]}, file)
    with open(os.path.join(plain.ROOT, "LICENSE"), encoding="utf-8") as file:
        text = " ".join(file.read().split())
    texts = [text[i:i + 80] for i in range(0, 80 * 2 * plain.STEPS, 80)]
    with open(os.path.join(folder, "data.json"), "w", encoding="utf-8") as file:
        json.dump([{"text": part} for part in texts], file)
    import yaml
    with open(os.path.join(plain.HERE, "untied.yaml"), encoding="utf-8") as file:
        recipe = yaml.safe_load(file)
    # What ftc takes as the usual component, or as given elsewhere, torchtune wants said.
    recipe["output_dir"] = os.path.join(folder, "out")
    recipe["tokenizer"].update(_component_="torchtune.models.llama3.llama3_tokenizer",
                               path=os.path.join(checkpoint, "tokenizer.model"),
                               special_tokens_path=os.path.join(checkpoint, "special_tokens.json"),
                               max_seq_len=65)  # its data set cuts texts to one less
    recipe["dataset"].update(source="json", data_files=os.path.join(folder, "data.json"), split="train", column="text",
                             packed=False)
    if name == "torchtune-null-fp32":
        recipe["tokenizer"]["max_seq_len"] = None
        recipe["dataset"] = {"_component_": "torchtune.datasets.alpaca_dataset", "source": "json", "split": "train",
                             "data_files": plain.cases()[name]["data"], "packed": False}
    recipe["checkpointer"].update(checkpoint_dir=checkpoint, output_dir=recipe["output_dir"])
    recipe["metric_logger"] = {"_component_": "torchtune.training.metric_logging.DiskLogger",
                               "log_dir": recipe["output_dir"], "filename": os.path.join(folder, "log.txt")}
    recipe["optimizer"]["lr"] = float(recipe["optimizer"]["lr"])
    recipe["model"]["norm_eps"] = float(recipe["model"]["norm_eps"])
    recipe.update(compile=False, enable_activation_checkpointing=False, enable_activation_offloading=False,
                  optimizer_in_bwd=False, log_every_n_steps=1, log_peak_memory_stats=False)
    path = os.path.join(folder, "recipe.yaml")
    with open(path, "w", encoding="utf-8") as file:
        yaml.safe_dump(recipe, file)
    return path, recipe


def make_data():
    """The rows as torchtune's own data set class gives them."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    from torchtune import config
    from omegaconf import OmegaConf
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_HOME"] = folder
        _, recipe = prepare(folder, "torchtune-fp32")
        recipe = OmegaConf.create(recipe)
        tokenizer = config.instantiate(recipe.tokenizer)
        rows = [sample["tokens"] for sample in config.instantiate(recipe.dataset, tokenizer)]
    assert len(rows) == 2 * plain.STEPS and all(len(row) == 64 for row in rows)
    with open(os.path.join(plain.HERE, "data", "torchtune.bin"), "wb") as file:
        for row in rows:
            array.array("H", row).tofile(file)
    write_records(plain.cases()["torchtune-null-fp32"]["data"])


def run(name, target):
    with tempfile.TemporaryDirectory() as folder:
        path, recipe = prepare(folder, name)
        env = dict(os.environ, HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_HOME=os.path.join(folder, "hf"),
                   OMP_NUM_THREADS="1")
        # The module that the command `tune` starts; a virtual environment may have moved since its scripts were made.
        subprocess.run([sys.executable, "-c", "from torchtune._cli.tune import main; main()", "run",
                        "full_finetune_single_device", "--config", path], check=True, env=env, cwd=folder,
                       stdin=subprocess.DEVNULL)
        with open(os.path.join(folder, "log.txt"), encoding="utf-8") as file:
            lines = [line for line in file if line.startswith("Step ")]
    steps, rate = [], 0.0
    for line in lines:  # Step 1 | loss:5.7 lr:0.001 tokens_per_second_per_gpu:...
        fields = dict(part.split(":", 1) for part in line.split("|", 1)[1].split())
        row = {"loss": float(fields["loss"]), "lr": rate}
        if "grad_norm" in fields:
            row["grad_norm"] = float(fields["grad_norm"].removeprefix("tensor(").rstrip(")"))
        steps.append(row)
        rate = float(fields["lr"])
    assert len(steps) == plain.STEPS, lines
    import torch
    import torchtune
    golden = {"case": name, "by": f"torchtune {torchtune.__version__.split('+')[0]} on PyTorch {torch.__version__.split('+')[0]}: "
              "full_finetune_single_device, device=cpu", "dtype": "fp32", "checkpoint": "test/oracle/checkpoints/untied",
              "steps": steps}
    os.makedirs(target, exist_ok=True)
    with open(os.path.join(target, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")
    print(f"{name}: loss {steps[0]['loss']:.4f} to {steps[-1]['loss']:.4f}")


if __name__ == "__main__":
    if sys.argv[1:] == ["data"]:
        make_data()
    elif len(sys.argv) == 3 and sys.argv[1] == "run":
        for each in NAMES:
            run(each, sys.argv[2])
    else:
        sys.exit(__doc__)
