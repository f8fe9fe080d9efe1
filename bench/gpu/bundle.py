#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Packs what a bare machine with an NVIDIA GPU needs to check and measure this project's steps there.

usage: bundle.py --build BUILD --out BUNDLE.tar.gz [--device h200] [--cases FILE.json] [--only NAME...] [--goldens FOLDER]

For each case a recipe is compiled twice: for the GPU, and for this machine's CPU, which then trains the same steps on the same
tokens from the same seed; its losses, gradient norms and projections of its last parameters are the goldens. Tiny ones are compiled
twice more, with each launch an entry of its own, by the GPU's kernels and by the CPU's, which compares them where the GPU is
(ftrun --against). Into the archive go the GPU's steps, the tokens, the goldens, ftrun with the two libraries that Debian has and others may not, and run_all. No
weights (the initialization is a function of the seed), no LLVM, no library of CUDA. Fails above 40 MiB, when no case compiles,
and, with the archive written, when the compiler takes some case not for the GPU.

--cases names a JSON list of cases to pack instead: {"name", "check": "fp32" or "bf16" or null, "steps", and either
"recipe" with "overrides", or "step" and "reference", compiled already, with "launches" (a pair of them) perhaps; "accumulation", "documents", "pairs", "held_out", "limit" (seconds
of a run), "peer" and "sol_bar" as below}. --goldens keeps goldens in a folder, each under a hash of what computes it (the plan for the CPU, its code, the recipe, the
tokens), and makes none anew that is there: after a change of what is done for a GPU alone they are the same. Standard library only.
"""
import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

import projections
import readings

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LIMIT = 40 << 20
LARGEST_ID = 250  # ids below what every tokenizer has
TINY_LIMIT = 60  # seconds of a run of a tiny model on a GPU
HOST_THREADS = 8  # that launches are compared on
FOLDERS = ("steps", "launches", "data")
SCRIPTS = ("programs.py", "projections.py", "readings.py", "report.py", "stages.py")  # what run_all is made of

TINY, SMALL = "configs/demo/tiny_llama.yaml", "configs/bench/llama_135m.yaml"
LORA = ["model=torchtune.models.llama3_2.lora_llama3_2", "model.lora_attn_modules=[q_proj,v_proj,output_proj]",
        "model.apply_lora_to_mlp=True", "model.lora_rank=8", "model.lora_alpha=16"]

# With biases on q, k and v. Qwen's other defaults are those of its sizes.
QWEN = ["model=torchtune.models.qwen2.qwen2", "model.tie_word_embeddings=True", "model.norm_eps=1e-6",
        "model.rope_base=1000000", "~model.scale_factor"]

# Gemma 2, with a window and caps that a tiny model's scores feel.
GEMMA2 = ["model=torchtune.models.gemma2.gemma2", "~model.rope_base", "~model.scale_factor", "model.head_dim=64",
          "model.query_pre_attn_scalar=64", "model.sliding_window_size=100", "model.hidden_capping_value=0.5",
          "model.final_capping_value=4.0"]

PHI3 = ["model=torchtune.models.phi3.phi3", "model.intermediate_dim=704", "~model.scale_factor"]

# A wider teacher beside the model; and pairs of answers, of which one is preferred.
TEACHER = ["teacher_model={_component_: torchtune.models.llama3_2.llama3_2, vocab_size: 320, num_layers: 2, num_heads: 5, "
           "num_kv_heads: 5, embed_dim: 320, intermediate_dim: 704, max_seq_len: 1024, rope_base: 10000, scale_factor: 1, norm_eps: 1e-5}",
           "loss=torchtune.modules.loss.CEWithChunkedOutputLoss", "kd_loss=torchtune.modules.loss.ForwardKLWithChunkedOutputLoss"]
PREFERENCE = [*LORA, "loss=torchtune.rlhf.loss.DPOLoss", "dataset=torchtune.datasets.stack_exchange_paired_dataset",
              "dataset.packed=False", "sequence_lengths=[128]"]

# States and activations in the far tier. Only tensors of 100 000 elements and more are paged.
FAR = ["optimizer=bitsandbytes.optim.PagedAdamW", "enable_activation_offloading=True", "dtype=bf16"]


def sized(width, layers, heads, kv_heads, feed_forward, vocabulary, batch, length):
    """A full fine-tuning step in bf16 of a model of these sizes."""
    return ["dtype=bf16", f"model.embed_dim={width}", f"model.num_layers={layers}", f"model.num_heads={heads}",
            f"model.num_kv_heads={kv_heads}", f"model.intermediate_dim={feed_forward}", f"model.vocab_size={vocabulary}",
            f"model.max_seq_len={length}", f"batch_size={batch}", f"tokenizer.max_seq_len={length}"]


# Computed again is what the GPU's memory has no room for, and no more: its peer computes nothing again either.
FASTEST = ["activation_checkpointing.mode=auto"]

# `check`: compared with goldens, in this precision. Without: only measured; `peer` is then what PyTorch runs beside it, and
# `sol_bar` the share of the GPU's rate that is the bar. `by_launch`: launches are compared, as those of tiny models always are;
# what kernels depend on, columns and heads, is that of larger models, and what a CPU takes long for, layers and tokens, is not.
CASES = [
    {"name": "tiny-fp32", "recipe": TINY, "overrides": [], "steps": 20, "check": "fp32"},
    {"name": "tiny-bf16", "recipe": TINY, "overrides": ["dtype=bf16"], "steps": 20, "check": "bf16"},
    {"name": "tiny-packed-bf16", "recipe": TINY, "overrides": ["dtype=bf16"], "steps": 20, "check": "bf16",
     "documents": True},
    {"name": "tiny-lora-fp32", "recipe": TINY, "overrides": LORA, "steps": 20, "check": "fp32"},
    {"name": "tiny-qlora-fp32", "recipe": TINY, "overrides": [*LORA, "model.quantize_base=True"], "steps": 20,
     "check": "fp32"},
    {"name": "tiny-gemma2-fp32", "recipe": TINY, "overrides": GEMMA2, "steps": 20, "check": "fp32"},
    {"name": "tiny-gemma2-bf16", "recipe": TINY, "overrides": [*GEMMA2, "dtype=bf16"], "steps": 20, "check": "bf16"},
    {"name": "tiny-8bit-fp32", "recipe": TINY, "overrides": ["optimizer=bitsandbytes.optim.AdamW8bit"], "steps": 20,
     "check": "fp32"},
    {"name": "tiny-accumulation-fp32", "recipe": TINY, "overrides": ["gradient_accumulation_steps=2"], "steps": 20,
     "check": "fp32", "accumulation": 2, "held_out": 0.1},
    {"name": "tiny-far-bf16", "recipe": TINY, "overrides": FAR, "steps": 20, "check": "bf16"},
    {"name": "tiny-dora-fp32", "recipe": TINY, "overrides": [*LORA, "model.use_dora=True"], "steps": 20, "check": "fp32"},
    {"name": "tiny-distilled-bf16", "recipe": TINY, "overrides": [*TEACHER, "dtype=bf16"], "steps": 20, "check": "bf16"},
    {"name": "tiny-preference-fp32", "recipe": TINY, "overrides": PREFERENCE, "steps": 20, "check": "fp32", "pairs": True},
    {"name": "tiny-phi3-bf16", "recipe": TINY, "overrides": [*PHI3, "dtype=bf16"], "steps": 20, "check": "bf16",
     "held_out": 0.1},
    {"name": "135m-fp32", "recipe": SMALL, "overrides": [], "steps": 20, "check": "fp32"},
    {"name": "135m-bf16", "recipe": SMALL, "overrides": ["dtype=bf16"], "steps": 20, "check": "bf16"},
    {"name": "llama-3b-layer-bf16", "recipe": SMALL, "overrides": sized(3072, 1, 24, 8, 8192, 128256, 1, 256), "steps": 8,
     "check": None, "by_launch": True},
    {"name": "qwen-0.5b-layer-bf16", "recipe": SMALL, "overrides": [*QWEN, *sized(896, 1, 14, 2, 4864, 151936, 1, 256)], "steps": 8,
     "check": None, "by_launch": True},
    {"name": "qwen-0.5b-bf16", "recipe": SMALL, "overrides": [*QWEN, *FASTEST, *sized(896, 24, 14, 2, 4864, 151936, 8, 2048)],
     "steps": 20, "check": None, "sol_bar": 0.5, "peer": {"family": "qwen2", "width": 896, "layers": 24, "heads": 14, "kv-heads": 2,
                                          "feed-forward": 4864, "vocabulary": 151936}},
    {"name": "llama-1.5b-bf16", "recipe": SMALL, "overrides": [*FASTEST, *sized(1536, 28, 12, 2, 8960, 151936, 8, 2048)], "steps": 12,
     "check": None, "sol_bar": 0.6, "peer": {"width": 1536, "layers": 28, "heads": 12, "kv-heads": 2, "feed-forward": 8960,
                             "vocabulary": 151936}},
    {"name": "llama-3b-bf16", "recipe": SMALL, "overrides": [*FASTEST, *sized(3072, 28, 24, 8, 8192, 128256, 8, 2048)], "steps": 12,
     "check": None, "sol_bar": 0.6, "peer": {"width": 3072, "layers": 28, "heads": 24, "kv-heads": 8, "feed-forward": 8192,
                             "vocabulary": 128256}},
    {"name": "llama-8b-lora-bf16", "recipe": SMALL, "overrides": [*FASTEST, *sized(4096, 32, 32, 8, 14336, 128256, 4, 2048), *LORA, "optimizer.lr=1e-3"],
     "steps": 8, "check": None, "peer": {"width": 4096, "layers": 32, "heads": 32, "kv-heads": 8, "feed-forward": 14336,
                                         "vocabulary": 128256, "lora": 8}},
    {"name": "llama-8b-qlora-bf16", "recipe": SMALL, "steps": 8, "check": None,
     "overrides": [*FASTEST, *sized(4096, 32, 32, 8, 14336, 128256, 4, 2048), *LORA, "optimizer.lr=1e-3", "model.quantize_base=True"]},
]


def run(command):
    """Output of a command, or None and its output when it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT)
    text = done.stdout.decode(errors="replace")
    return (text, text) if done.returncode == 0 else (None, text)


def compile_step(build, case, path, options):
    return run([os.path.join(build, "bin", "ftc"), "compile", os.path.join(ROOT, case["recipe"]), "-o", path, *options,
                *case["overrides"]])


def shape_of(build, step):
    """Batch and length of a step's entry `step`."""
    text, said = run([os.path.join(build, "bin", "ftrun"), "--info", step])
    found = text and re.search(r"^  step +batch (\d+) x (\d+) tokens", text, re.MULTILINE)
    if not found:
        sys.exit(f"{step}: it has no entry 'step':\n{said}")
    return int(found.group(1)), int(found.group(2))


def write_tokens(path, count):
    """A sequence of 16-bit ids in which the next one follows from the last, give or take: something to learn."""
    state, token = 1, 0
    with open(path, "wb") as file:
        for _ in range(count):
            state = (state * 1664525 + 1013904223) % 2**32
            token = (token * 3 + 1 + (state >> 30)) % LARGEST_ID
            file.write(token.to_bytes(2, "little"))


def write_documents(path, count):
    """At least `count` tokens of bytes in short documents, several of which are packed into a row."""
    written, number = 0, 0
    with open(path, "w", encoding="utf-8") as file:
        while written < 2 * count:
            text = f"{number} follows {number - 1}. " * (1 + number * 7 % 6)
            file.write(json.dumps({"text": text}) + "\n")
            written += len(text)
            number += 1


def write_pairs(path, count):
    """At least `count` tokens of bytes in questions with two answers each, of which the first is the better one."""
    written, number = 0, 0
    with open(path, "w", encoding="utf-8") as file:
        while written < 2 * count:
            answers = [f"{number} {word}s {number - 1}." * (1 + number * 7 % 5) for word in ("follow", "precede")]
            file.write(json.dumps({"question": f"{number}?", "response_j": answers[0], "response_k": answers[1]}) + "\n")
            written += sum(map(len, answers))
            number += 1


def train(build, case, reference, tokens, out, *more):
    """What ftrun says while it trains the reference step on this machine."""
    held_out = ["--held-out", str(case["held_out"])] if case.get("held_out") else []
    text, said = run([os.path.join(build, "bin", "ftrun"), reference, "--data", tokens, "--out", out, "shuffle=False", *held_out,
                      *more])
    if text is None:
        sys.exit(f"{case['name']}: the reference does not run:\n{said}")
    return text


def golden(build, case, reference, tokens, folder):
    """Losses, gradient norms, held-out losses and projected parameters of the reference step on this machine."""
    out = os.path.join(folder, "reference-" + case["name"])
    said = train(build, case, reference, tokens, out, "--steps", str(case["steps"]))
    with open(os.path.join(out, "metrics.jsonl"), encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    if not readings.finite_and_falling([row["loss"] for row in rows]):
        sys.exit(f"{case['name']}: the reference's losses are no numbers, or do not fall, which run_all would call a failure: "
                 f"{[row['loss'] for row in rows]}")
    parameters = {"end": projections.project_checkpoint(os.path.join(out, f"step_{case['steps']}"))}
    shutil.rmtree(out)
    if case["check"] == "bf16":  # the bar is of the change: a step without one leaves what it began with
        train(build, case, reference, tokens, out, "--steps", "1", "optimizer.lr=0")
        parameters["start"] = projections.project_checkpoint(os.path.join(out, "step_1"))
        shutil.rmtree(out)
    parameters = {when: projections.rounded(what) for when, what in parameters.items()}
    return {"losses": [row["loss"] for row in rows], "grad_norms": [row["grad_norm"] for row in rows],
            "held_out": readings.read_held_out(said), "parameters": parameters}


def kept_golden(args, case, reference, tokens, folder):
    """The golden, from the folder of kept ones where it is there."""
    if not args.goldens:
        return golden(args.build, case, reference, tokens, folder)
    total = hashlib.sha256(json.dumps([case["steps"], case["check"], case.get("held_out"), case.get("overrides")]).encode())
    for path in (tokens, os.path.join(ROOT, case["recipe"]) if "recipe" in case else reference):
        with open(path, "rb") as file:
            total.update(hashlib.sha256(file.read()).digest())
    for stage in ("plan", "llvm") if "recipe" in case else ():
        text, said = compile_step(args.build, case, "-", ["--emit", stage])
        if text is None:
            sys.exit(f"{case['name']}: --emit={stage} fails:\n{said}")
        # The manifest says more than what is computed.
        total.update("\n".join(line for line in text.splitlines() if not line.startswith(("@manifest", "@ftrt_step"))).encode())
    path = os.path.join(args.goldens, total.hexdigest()[:32] + ".json")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    made = golden(args.build, case, reference, tokens, folder)
    os.makedirs(args.goldens, exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(made, file)
    os.replace(path + ".new", path)
    return made


def add_program(build, folder):
    """ftrun, and beside it the libraries that are not part of every system (the C++ library is)."""
    os.makedirs(os.path.join(folder, "bin"))
    os.makedirs(os.path.join(folder, "lib"))
    program = os.path.join(build, "bin", "ftrun")
    shutil.copy(program, os.path.join(folder, "bin"))
    subprocess.run(["strip", os.path.join(folder, "bin", "ftrun")], check=True)
    text, said = run(["ldd", program])
    for name, path in re.findall(r"^\s*(\S+) => (\S+)", text or sys.exit(said), re.MULTILINE):
        if re.match(r"lib(yaml-cpp|fmt|pcre2-8|sentencepiece|utf8proc|csv|zip|bz2|crypto)\.", name):
            shutil.copy(path, os.path.join(folder, "lib", name))


def add_launches(args, case, folder):
    """Adds the pair of steps whose launches are compared; whether there is one."""
    name = case["name"]
    paths = {which: os.path.join(folder, "launches", f"{name}.{which}.so") for which in ("device", "host")}
    if case.get("launches"):
        for which, path in zip(paths, case["launches"]):
            shutil.copy(path, paths[which])
        return True
    if case.get("recipe") != TINY and not case.get("by_launch"):  # on a CPU, larger ones take minutes
        return False
    for which, path in paths.items():
        text, said = compile_step(args.build, case, path, ["--target", "cuda", "--device", args.device, "--by-launch", which,
                                                           "--threads", str(HOST_THREADS)])
        if text is None:
            sys.exit(f"{name}: it compiles, and does not launch by launch:\n{said}")
    return True


def add_case(args, case, folder, scratch):
    """Adds one case; returns its entry, or None when the compiler does not take it for the GPU."""
    name = case["name"]
    step = os.path.join(folder, "steps", name + ".so")
    reference = os.path.join(scratch, name + "-cpu.so")
    if "step" in case:
        shutil.copy(case["step"], step)
        reference = case.get("reference")
    else:
        text, said = compile_step(args.build, case, step, ["--target", "cuda", "--device", args.device])
        if text is None:
            print(f"  {name:18} not for the GPU: {said.strip().splitlines()[-1] if said.strip() else 'no word'}")
            return None
        if case["check"]:
            text, said = compile_step(args.build, case, reference, [])
            if text is None:
                sys.exit(f"{name}: it compiles for the GPU and not for the CPU:\n{said}")
    batch, length = shape_of(args.build, step)
    write = write_documents if case.get("documents") else write_pairs if case.get("pairs") else write_tokens
    tokens = os.path.join(folder, "data", name + (".bin" if write is write_tokens else ".jsonl"))
    count = batch * length * (case["steps"] + 1) * case.get("accumulation", 1)
    write(tokens, int(count / (1 - case.get("held_out", 0))) + length)
    entry = {"name": name, "steps": case["steps"], "check": case["check"], "batch": batch, "length": length,
             "data": os.path.basename(tokens), "limit": case.get("limit", TINY_LIMIT if case.get("recipe") == TINY else None)}
    entry.update({key: case[key] for key in ("peer", "sol_bar", "held_out") if case.get(key)})
    if add_launches(args, case, folder):
        entry["launches"] = True
    entry = {key: value for key, value in entry.items() if value is not None or key == "check"}
    if case["check"]:
        entry["golden"] = kept_golden(args, case, reference, tokens, scratch)
    print(f"  {name:18} {batch} x {length} tokens, {case['steps']} steps, step.so of {os.path.getsize(step)} bytes", flush=True)
    return entry


def identify(folder, entries):
    """A name for what is in a bundle: the same cases, steps and tokens have the same."""
    total = hashlib.sha256(json.dumps(entries, sort_keys=True).encode())
    for part in FOLDERS:
        for name in sorted(os.listdir(os.path.join(folder, part))):
            with open(os.path.join(folder, part, name), "rb") as file:
                total.update(name.encode() + hashlib.sha256(file.read()).digest())
    return total.hexdigest()[:16]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--out", required=True, help="the archive to write")
    parser.add_argument("--device", default="h200", help="of ftc compile --device")
    parser.add_argument("--cases", help="a JSON list of cases instead of the built-in ones")
    parser.add_argument("--only", nargs="+", help="names of cases")
    parser.add_argument("--goldens", help="a folder that keeps goldens")
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    cases = CASES
    if args.cases:
        with open(args.cases, encoding="utf-8") as file:
            cases = json.load(file)
    names = [case["name"] for case in cases]
    if unknown := [name for name in args.only or [] if name not in names]:
        sys.exit(f"--only: there is no case {', '.join(unknown)}; there are {', '.join(names)}")
    cases = [case for case in cases if not args.only or case["name"] in args.only]
    with tempfile.TemporaryDirectory() as scratch:
        folder = os.path.join(scratch, "ftc-gpu-bundle")
        for name in FOLDERS:
            os.makedirs(os.path.join(folder, name))
        entries = [entry for entry in (add_case(args, case, folder, scratch) for case in cases) if entry]
        if not entries:
            sys.exit("no case compiles for the GPU, so there is nothing to pack")
        add_program(args.build, folder)
        shutil.copy(os.path.join(HERE, "run_all.py"), os.path.join(folder, "run_all"))
        os.chmod(os.path.join(folder, "run_all"), 0o755)
        for name in SCRIPTS:
            shutil.copy(os.path.join(HERE, name), folder)
        shutil.copy(os.path.join(ROOT, "bench", "torch_peer.py"), folder)
        with open(os.path.join(folder, "cases.json"), "w", encoding="utf-8") as file:
            json.dump({"id": identify(folder, entries), "device": args.device, "cases": entries}, file)
        out = os.path.abspath(args.out)
        os.makedirs(os.path.dirname(out), exist_ok=True)
        with tarfile.open(out, "w:gz") as archive:
            archive.add(folder, os.path.basename(folder))
    size = os.path.getsize(out)
    print(f"{out}: {size} bytes, {len(entries)} of {len(cases)} cases; on the machine with the GPU: "
          f"tar xf {os.path.basename(out)} && ftc-gpu-bundle/run_all")
    if size > LIMIT:
        sys.exit(f"{out} is larger than {LIMIT} bytes: leave cases out with --only")
    return 0 if len(entries) == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
