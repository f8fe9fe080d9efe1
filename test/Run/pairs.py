#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every pair of levers of a recipe, compiled and run; exit code 1 and a line for every pair that breaks a promise.

usage: pairs.py BIN DATA OUT [--only LEVER...] [-j N]

A lever is a few overrides and what it promises:

  BITS        leaves losses and parameters as they are, bit for bit
  a number    changes them by no more than that, relative (parameters: norm of the difference over norm)
  OWN         has a meaning of its own: training goes on, and the result is another one

Promises hold in company: with any other lever B, {A, B} is compared with B alone by A's promise, and the other way round.
A lever with a twin is compared with that instead of with nothing: {A, B} with {twin of A, B}.
Where two levers do not go together, REFUSED has the words of the error. A lever joins with one line in LEVERS.
Standard library only.
"""
import argparse
import concurrent.futures
import itertools
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
RECIPE = os.path.join(HERE, "Inputs", "pairs.yaml")
STEPS = 6
BITS, OWN = "bits", "own"


class Lever:
    """`slot`: levers of one slot exclude each other. `within`: a lever that this one contains. `tight`: memory_budget is one
    byte below what the others alone take, with this one's twin if it has one; or this share of it. `lowers`: alone, it lowers the planned bytes. `far`: alone, it uses the far tier.
    `run`: options of ftrun. `resumed`: the second half starts from the first one's checkpoint. `twin`: the lever that the
    promise is about, where that is not the recipe without this one."""

    def __init__(self, name, overrides, promise, slot=None, within=None, tight=False, lowers=False, far=False, run=(),
                 resumed=False, twin=None):
        self.name, self.overrides, self.promise, self.slot, self.within = name, overrides, promise, slot, within
        self.tight, self.lowers, self.far, self.run, self.resumed, self.twin = tight, lowers, far, list(run), resumed, twin


LORA = ["model=torchtune.models.llama3_2.lora_llama3_2", "model.lora_attn_modules=[q_proj,v_proj,output_proj]",
        "model.apply_lora_to_mlp=True", "model.lora_rank=4"]
# Wider than the student, and random.
TEACHER = ["teacher_model={_component_: torchtune.models.qwen2.qwen2, vocab_size: 320, num_layers: 1, num_heads: 4, num_kv_heads: 2, "
           "embed_dim: 96, intermediate_dim: 128, max_seq_len: 64}"]
CHUNKS = ["loss=torchtune.modules.loss.LinearCrossEntropyLoss", "loss.num_output_chunks=3"]
# Activations outweigh parameters, and products are dear enough for a file to be cheaper.
LARGE = ["model.embed_dim=256", "batch_size=16", "tokenizer.max_seq_len=64"]
SHAPED = Lever("large", LARGE, OWN)
# MLPs of the 100000 elements from which on states are paged.
WIDE = ["model.intermediate_dim=1600"]
ADAMW, ADAMW_8BIT = (Lever("wide-" + name, WIDE + ["optimizer=bitsandbytes.optim." + name], OWN, slot="optimizer")
                     for name in ("AdamW", "AdamW8bit"))

LEVERS = [
    Lever("bf16", ["dtype=bf16"], OWN, lowers=True),
    Lever("checkpointing", ["enable_activation_checkpointing=True"], BITS, slot="remat"),
    Lever("selective", ["activation_checkpointing.mode=selective"], BITS, slot="remat"),
    Lever("auto", ["activation_checkpointing.mode=auto"], BITS, slot="remat", tight=True, lowers=True),
    Lever("auto-offloading", LARGE + ["activation_checkpointing.mode=auto", "enable_activation_offloading=True"], BITS,
          slot="remat", tight=0.8, far=True, twin=SHAPED),
    Lever("held", ["optimizer_in_bwd=False"], BITS, slot="updates"),
    Lever("fused", ["optimizer_in_bwd=True"], BITS, slot="updates"),
    Lever("two-passes", [], BITS, slot="updates", tight=True, lowers=True),
    Lever("unclipped", ["clip_grad_norm=null"], OWN, slot="clip", lowers=True),
    Lever("norm-only", ["clip_grad_norm=inf"], OWN, slot="clip", lowers=True),
    Lever("accumulation", ["gradient_accumulation_steps=2"], OWN),
    Lever("sgd", ["optimizer=torch.optim.SGD", "~optimizer.weight_decay", "optimizer.lr=0.3"], OWN, slot="optimizer",
          lowers=True),
    Lever("momentum", ["optimizer=torch.optim.SGD", "~optimizer.weight_decay", "optimizer.lr=0.05", "optimizer.momentum=0.9"],
          OWN, slot="optimizer", lowers=True),
    Lever("8bit", ["optimizer=torchao.optim.AdamW8bit"], OWN, slot="optimizer", lowers=True),
    Lever("4bit", ["optimizer=torchao.optim.AdamW4bit"], OWN, slot="optimizer", lowers=True),
    Lever("bitsandbytes-8bit", ["optimizer=bitsandbytes.optim.AdamW8bit"], OWN, slot="optimizer", lowers=True),
    Lever("paged", WIDE + ["optimizer=bitsandbytes.optim.PagedAdamW"], BITS, slot="optimizer", far=True, twin=ADAMW),
    Lever("paged-8bit", WIDE + ["optimizer=bitsandbytes.optim.PagedAdamW8bit"], BITS, slot="optimizer", far=True,
          twin=ADAMW_8BIT),
    Lever("bf16-states", ["optimizer_state_dtype=bf16"], OWN, lowers=True),
    Lever("master", ["dtype=bf16", "master_weights=fp32"], OWN, slot="rounding", within="bf16"),
    Lever("stochastic", ["dtype=bf16", "stochastic_rounding=True"], OWN, slot="rounding", within="bf16"),
    Lever("offloading", ["enable_activation_offloading=True"], BITS, far=True),
    Lever("chunks", CHUNKS, 1e-5),
    Lever("lengths", ["sequence_lengths=[6, 10]"], 1e-5),
    Lever("packed", ["dataset.packed=True"], OWN),
    Lever("lora", LORA, OWN, lowers=True),
    Lever("dropout", LORA + ["model.lora_dropout=0.2"], OWN, within="lora", lowers=True),
    Lever("qlora", LORA + ["model.quantize_base=True", "model.quantizer=bitsandbytes"], OWN, within="lora", lowers=True),
    Lever("dora", LORA + ["model.use_dora=True"], OWN, within="lora", lowers=True),
    Lever("distilled", TEACHER, OWN),
    Lever("one-thread", [], BITS, run=["--threads", "1"]),
    Lever("resumed", [], BITS, resumed=True),
]

# Rounding to bf16 turns the last bit of a sum into the last bit of eight.
BF16_TOLERANCE = 2e-2
# Where a sum stands between two codes, its last bit is a hundredth of one moment.
CODES_TOLERANCE = 1e-3

BUDGET = r"the step takes .* more than memory_budget, .* Most of it: .*; (it fits with|no single change|it still does not fit) "
REFUSED = {
    ("fused", "accumulation"): r"'optimizer_in_bwd' \(command line\) does not go with 'gradient_accumulation_steps' "
                               r"\(command line\) above 1; set gradient_accumulation_steps=1",
    # Nothing is held, or nothing that a second pass could spare.
    ("two-passes", "unclipped"): BUDGET,
    ("two-passes", "norm-only"): BUDGET,
    ("two-passes", "accumulation"): BUDGET,
    ("two-passes", "lora"): BUDGET,
    ("two-passes", "dropout"): BUDGET,
    ("two-passes", "qlora"): BUDGET,
    ("two-passes", "dora"): BUDGET,
    ("bf16-states", "sgd"): r"'optimizer_state_dtype' \(command line\) has a meaning only with states",
}


# Offloading is a part of the first, and where activations make the peak, two passes have nothing to spare. Moments have the parameters' type by themselves, and those of small adapters have no 8 bits and are not paged: together they
# are the first alone.
SAME = [{"bf16", "bf16-states"}, {"auto-offloading", "offloading"}, {"auto-offloading", "two-passes"}, *({adapter, states} for adapter in ("lora", "dropout", "qlora", "dora")
                                   for states in ("8bit", "4bit", "bitsandbytes-8bit", "paged", "paged-8bit"))]


# Dropout draws by element, and rows of another length have other elements.
SAME.append({"lengths", "dropout"})


class Refused(Exception):
    pass


class Outcome:
    """What a run left behind: planned bytes, losses, tensors by name."""

    def __init__(self, folder):
        with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
            self.lines = [json.loads(line) for line in file]
        self.losses = [line["loss"] for line in self.lines]
        self.planned = self.lines[-1]["planned_bytes"]
        self.taken = self.lines[-1]["peak_bytes"]
        self.far = self.lines[-1].get("far_bytes", 0)
        self.tensors = {}
        last = os.path.join(folder, f"step_{STEPS}")
        for name in sorted(os.listdir(last)):
            if name.endswith("model.safetensors"):
                self.tensors.update(read_tensors(os.path.join(last, name)))


def read_tensors(path):
    """{name: (dtype, bytes)} of a safetensors file."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        body = file.read()
    return {name: (entry["dtype"], body[slice(*entry["data_offsets"])]) for name, entry in header.items()
            if name != "__metadata__"}


def numbers(tensor):
    kind, data = tensor
    if kind == "F32":
        return struct.unpack(f"<{len(data) // 4}f", data)
    if kind == "BF16":
        wide = b"".join(b"\0\0" + data[i:i + 2] for i in range(0, len(data), 2))
        return struct.unpack(f"<{len(data) // 2}f", wide)
    sys.exit(f"a tensor of {kind}")


def differences(one, two, promise, rounding=0):
    """Words for what breaks `promise` between two outcomes. `rounding`: what a last bit can become in their types."""
    if promise == OWN:
        return ["the lever changes nothing"] if one.losses[1:] == two.losses[1:] else []
    if one.tensors.keys() != two.tensors.keys() or len(one.losses) != len(two.losses):
        return ["other tensors or steps"]
    if promise == BITS:
        wrong = [f"losses {one.losses} and {two.losses}"] if one.losses != two.losses else []
        return wrong + [f"{name} differs" for name in one.tensors if one.tensors[name] != two.tensors[name]][:3]
    tolerance = max(promise, rounding)
    wrong = [f"loss {a} and {b}" for a, b in zip(one.losses, two.losses) if abs(a - b) > tolerance * abs(b)]
    for name in one.tensors:
        a, b = numbers(one.tensors[name]), numbers(two.tensors[name])
        norm = math.sqrt(sum(y * y for y in b))
        off = math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b)))
        if off > tolerance * max(norm, 1e-3):
            wrong.append(f"{name} differs by {off / max(norm, 1e-3):.1e}")
    return wrong[:3]


def loosened(levers):
    """The levers without a tight budget, and the twins of the others."""
    return [other for other in (lever.twin if lever.tight else lever for lever in levers) if other]


class Runs:
    """Compiles and runs sets of levers, each once."""

    def __init__(self, tools, data, out, jobs):
        self.tools, self.data, self.out = tools, data, out
        self.pool = concurrent.futures.ThreadPoolExecutor(jobs)
        self.futures = {}

    def start(self, levers):
        key = frozenset(lever.name for lever in levers)
        if key not in self.futures:
            # What a tight budget is measured by is wanted first.
            if any(lever.tight for lever in levers):
                self.start(loosened(levers))
            self.futures[key] = self.pool.submit(self.run, levers)
        return self.futures[key]

    def call(self, tool, arguments):
        done = subprocess.run([os.path.join(self.tools, tool), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        if done.returncode != 0:
            raise Refused(done.stdout.strip())
        return done.stdout

    def run(self, levers):
        name = "+".join(lever.name for lever in levers) or "plain"
        folder = os.path.join(self.out, name)
        overrides = [override for lever in levers for override in lever.overrides]
        # Once each: a node that is named twice would be the same node still, but `~key` cannot remove twice.
        overrides = list(dict.fromkeys(overrides))
        if any(lever.tight for lever in levers):
            alone = self.start(loosened(levers)).result()
            share = min(lever.tight for lever in levers if lever.tight)
            overrides.append(f"memory_budget={min(alone.planned - 1, int(alone.planned * share))}")
        step = folder + ".so"
        self.call("ftc", ["compile", RECIPE, "-o", step, *overrides])
        options = [option for lever in levers for option in lever.run]
        train = [step, "--data", self.data, "--steps", str(STEPS), "--out", folder, *options]
        self.call("ftrun", train)
        if any(lever.resumed for lever in levers):
            shutil.rmtree(os.path.join(folder, f"step_{STEPS}"))
            self.call("ftrun", [*train, "resume_from_checkpoint=True"])
        outcome = Outcome(folder)
        shutil.rmtree(folder)
        os.remove(step)
        return outcome


def refusal(names):
    for pair, words in REFUSED.items():
        if set(pair) == names:
            return words
    return None


def allowed(one, two):
    if {one.name, two.name} in SAME:
        return False
    return (one.slot is None or one.slot != two.slot) and one.within != two.name and two.within != one.name


def check_alone(runs, plain, lever):
    outcome = runs.start([lever]).result()
    yield from differences(outcome, runs.start([lever.twin]).result() if lever.twin else plain, lever.promise)
    if lever.lowers and outcome.planned >= plain.planned:
        yield f"plans {outcome.planned} bytes, {plain.planned} without"
    if lever.far != (outcome.far > 0):
        yield f"uses {outcome.far} bytes of the far tier"
    if lever.within:
        outer = next(other for other in LEVERS if other.name == lever.within)
        yield from differences(outcome, runs.start([outer]).result(), lever.promise)


def check_pair(runs, one, two):
    words = refusal({one.name, two.name})
    try:
        outcome = runs.start([one, two]).result()
    except Refused as error:
        if not words:
            yield f"refused: {error}"
        elif not re.search(words, str(error)):
            yield f"refused, but not by {words!r}: {error}"
        return
    if words:
        yield "is not refused"
        return
    names = " ".join(override for lever in (one, two) for override in lever.overrides)
    rounding = BF16_TOLERANCE if "bf16" in names else CODES_TOLERANCE if "8bit" in names or "4bit" in names else 0
    for lever, other in ((one, two), (two, one)):
        base = runs.start([lever.twin, other] if lever.twin else [other]).result()
        for wrong in differences(outcome, base, lever.promise, rounding):
            yield f"beside {other.name}, {lever.name}: {wrong}"
    if outcome.planned != outcome.taken:
        yield f"plans {outcome.planned} bytes, takes {outcome.taken}"
    # One batch is harder than another: of the second half of the steps, the best counts.
    if not all(math.isfinite(loss) for loss in outcome.losses) or min(outcome.losses[STEPS // 2:]) >= outcome.losses[0]:
        yield f"does not train: losses {outcome.losses}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", help="folder of ftc and ftrun")
    parser.add_argument("data", help="what is trained on")
    parser.add_argument("out", help="a folder to work in")
    parser.add_argument("--only", nargs="+", metavar="LEVER", help="pairs of which one lever has one of these names")
    parser.add_argument("-j", "--jobs", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    runs = Runs(args.bin, args.data, args.out, args.jobs)
    plain = runs.start([])
    only = args.only or [lever.name for lever in LEVERS]
    levers = [lever for lever in LEVERS if lever.name in only]
    pairs = [pair for pair in itertools.combinations(LEVERS, 2)
             if allowed(*pair) and (pair[0].name in only or pair[1].name in only)]
    for lever in LEVERS:
        runs.start([lever])
        if lever.twin:
            runs.start([lever.twin])
    for pair in pairs:
        runs.start(list(pair))
    failed = 0
    for names, found in itertools.chain(
            (((lever.name,), check_alone(runs, plain.result(), lever)) for lever in levers),
            (((one.name, two.name), check_pair(runs, one, two)) for one, two in pairs)):
        for wrong in found:
            failed += 1
            print(f"{' + '.join(names)}: {wrong}", flush=True)
    refused = sum(refusal({one.name, two.name}) is not None for one, two in pairs)
    print(f"{len(levers)} levers, {len(pairs)} pairs, {refused} of them refused, {failed} promises broken")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
