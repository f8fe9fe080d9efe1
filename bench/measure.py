# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the benchmarks share: compiling and running a step of the 135M Llama, and its peer in PyTorch. Standard library only."""
import json
import os
import random
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RECIPE = os.path.join(ROOT, "configs", "bench", "llama_135m.yaml")
LARGE_RECIPE = os.path.join(ROOT, "configs", "bench", "llama_8b.yaml")
LAYERS, WIDTH, FEED_FORWARD, HEADS, KV_HEADS, VOCABULARY = 30, 576, 1536, 9, 3, 49152
# LoRA of rank 8 on every projection but k, as torchtune names them.
LORA = ["model=torchtune.models.llama3_2.lora_llama3_2", "model.lora_attn_modules=[q_proj,v_proj,output_proj]",
        "model.apply_lora_to_mlp=True", "model.lora_rank=8", "model.lora_alpha=16"]


def run(command, environment=None, check=True):
    """Runs a command; returns its output and the largest resident size of the process in bytes. Without `check` a failure
    returns None for the size."""
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        out.seek(0)
        text = out.read()
        if status != 0:
            if not check:
                return text, None
            sys.exit(f"{' '.join(command)}\nended with status {status}:\n{text[-4000:]}")
        return text, usage.ru_maxrss * 1024


def compile_step(build, folder, recipe, name, overrides, options=()):
    """Compiles a recipe; returns the step's path and the seconds it took."""
    path = os.path.join(folder, name + ".so")
    start = time.perf_counter()
    run([os.path.join(build, "bin", "ftc"), "compile", recipe, "-o", path, *options, *overrides])
    return path, time.perf_counter() - start


def write_tokens(folder, count):
    """A token file of random ids."""
    generator = random.Random(1)
    path = os.path.join(folder, "tokens.bin")
    with open(path, "wb") as file:
        for _ in range(0, count, 4096):
            file.write(b"".join(generator.randrange(VOCABULARY).to_bytes(2, "little") for _ in range(4096)))
    return path


def ftrun(build, folder, step, tokens, steps, batch, length):
    """Runs `steps` timed steps behind an untimed one that warms the caches."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        _, resident = run([os.path.join(build, "bin", "ftrun"), step, "--data", tokens, "--steps", str(steps + 1), "--out",
                           out])
        with open(os.path.join(out, "metrics.jsonl"), encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
    timed = rows[1:]
    seconds = [batch * length / row["tokens_per_second"] for row in timed]
    peaks = [row["share_of_peak"] for row in timed if row.get("share_of_peak")]
    return {"seconds": seconds, "resident": resident, "planned": rows[0]["planned_bytes"],
            "measured": rows[-1]["peak_bytes"], "far": rows[-1].get("far_bytes", 0), "share": max(peaks) if peaks else None,
            "loss": rows[-1]["loss"]}


def torch_peer(python, batch, length, dtype, steps, options=(), environment=None):
    """The same step in PyTorch, in a process of its own; see torch_peer.py."""
    command = [python, os.path.join(ROOT, "bench", "torch_peer.py"), "--dtype", dtype, "--batch", str(batch), "--length",
               str(length), "--steps", str(steps), *options]
    text, _ = run(command, environment)
    return json.loads(text.strip().splitlines()[-1])


def gib(count):
    return f"{count / 2**30:.2f} GiB"
