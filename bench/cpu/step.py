#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A whole training step of a 135M Llama, compiled by ftc and in PyTorch, on the same cores in the same run.

usage: step.py --build BUILD --torch-python PYTHON [--json FILE] [--quick] [--skip-compiled] [--ours-only] [--avx2]

Prints seconds a step (the fastest and the median of the timed ones), the share of the machine's FMA peak that the necessary products take
(SOL), tokens/s, resident memory (VmHWM), and the ratios to PyTorch eager and compiled. SOL = FLOPs / peak / seconds;
FLOPs are those of the linear layers and the head, forward and backward, plus causal attention's products, without
recomputation. The peak is ftrun's own measurement (an FMA loop on the same threads, at the start of the run).
--avx2 adds the bf16 step as a CPU with AVX2 alone would run it: ftc with --mcpu x86-64-v3, PyTorch and oneDNN held to
AVX2. ftrun and PyTorch take turns, so that a change of the machine's speed meets both. Standard library only.
"""
import argparse
import json
import os
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from measure import (FEED_FORWARD, HEADS, KV_HEADS, LARGE_RECIPE, LAYERS, RECIPE, VOCABULARY, WIDTH, compile_step, ftrun, gib,
                     torch_peer, write_tokens)


def necessary_flops(batch, length):
    """FLOPs of one step's necessary products, counted here again, apart from the compiler's own count."""
    head = WIDTH // HEADS
    weights = LAYERS * (WIDTH * WIDTH * 2 + 2 * WIDTH * KV_HEADS * head + 3 * WIDTH * FEED_FORWARD) + VOCABULARY * WIDTH
    products = 6 * weights * batch * length
    attention = 6 * 2 * LAYERS * batch * HEADS * head * length * (length + 1) // 2
    return products + attention


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--torch-python", required=True)
    parser.add_argument("--json", help="write every figure to this file")
    parser.add_argument("--quick", action="store_true", help="one timed step of each, PyTorch eager fp32 only")
    parser.add_argument("--skip-compiled", action="store_true", help="without torch.compile")
    parser.add_argument("--ours-only", action="store_true", help="batch 4 x 512 alone, without PyTorch and its ratios")
    parser.add_argument("--avx2", action="store_true", help="also bf16 on AVX2 alone (PyTorch takes a minute a step)")
    args = parser.parse_args()
    steps = 1 if args.quick else 3
    figures = {"flops": {}, "compile_seconds": {}, "ftc": {}, "torch": {}}

    with tempfile.TemporaryDirectory() as folder:
        print("compiling")
        recipes = [("135m-fp32", RECIPE, []), ("135m-bf16", RECIPE, ["dtype=bf16"]),
                   ("135m-fp32-short", RECIPE, ["batch_size=1", "tokenizer.max_seq_len=256"]),
                   ("135m-bf16-short", RECIPE, ["dtype=bf16", "batch_size=1", "tokenizer.max_seq_len=256"]),
                   ("8b", LARGE_RECIPE, [])]
        compiled = {}
        for name, recipe, overrides in recipes:
            compiled[name], seconds = compile_step(args.build, folder, recipe, name, overrides)
            figures["compile_seconds"][name] = seconds
            print(f"  {name:18} {seconds:6.2f} s")
        tokens = write_tokens(folder, (steps + 1) * 4 * 512)

        def ours(name, batch, length):
            result = ftrun(args.build, folder, compiled[name], tokens, steps, batch, length)
            flops = necessary_flops(batch, length)
            best = min(result["seconds"])
            figures["flops"][name] = flops
            # A second run of a step adds its times to the first's.
            if name in figures["ftc"]:
                first = figures["ftc"][name]
                first["seconds"] += result["seconds"]
                first["share"] = max(first["share"] or 0, result["share"] or 0)
            else:
                figures["ftc"][name] = result
            share = f"SOL {100 * result['share']:.1f} %" if result["share"] else "SOL unknown"
            print(f"  ftc    {name:18} {best:7.3f} s (median {statistics.median(result['seconds']):.3f})  {share} of "
                  f"{flops / 1e9:.1f} GFLOP  {batch * length / best:8.1f} tokens/s  resident {gib(result['resident'])} "
                  f"(plan {gib(result['planned'])})", flush=True)

        def peer(name, batch, length, dtype, mode):
            if args.ours_only:
                return
            result = torch_peer(args.torch_python, batch, length, dtype, steps, ["--compile"] if mode == "compiled" else [])
            figures["torch"][name + "-" + mode] = result
            print(f"  torch  {name:18} {result['min_seconds']:7.3f} s (median {result['median_seconds']:.3f})  {mode}  "
                  f"{batch * length / result['min_seconds']:8.1f} tokens/s  resident "
                  f"{gib(result['peak_resident_bytes'])}", flush=True)

        print("batch 4 x 512")
        ours("135m-fp32", 4, 512)
        peer("135m-fp32", 4, 512, "fp32", "eager")
        if not args.quick:
            ours("135m-bf16", 4, 512)
            ours("135m-fp32", 4, 512)
            if not args.skip_compiled:
                peer("135m-fp32", 4, 512, "fp32", "compiled")
            ours("135m-bf16", 4, 512)
            if not args.ours_only:
                print("batch 1 x 256")
                ours("135m-fp32-short", 1, 256)
                ours("135m-bf16-short", 1, 256)
            peer("135m-fp32-short", 1, 256, "fp32", "eager")
            peer("135m-bf16-short", 1, 256, "bf16", "eager")
        if args.avx2:
            print("batch 1 x 256, AVX2 alone")
            compiled["135m-bf16-avx2"], _ = compile_step(
                args.build, folder, RECIPE, "135m-bf16-avx2",
                ["dtype=bf16", "batch_size=1", "tokenizer.max_seq_len=256"], ["--mcpu", "x86-64-v3"])
            ours("135m-bf16-avx2", 1, 256)
            held = dict(os.environ, ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2")
            result = torch_peer(args.torch_python, 1, 256, "bf16", 1, environment=held)
            figures["torch"]["135m-bf16-avx2-eager"] = result
            print(f"  torch  {'135m-bf16-avx2':18} {result['min_seconds']:7.3f} s", flush=True)

    def fastest(name):
        return min(figures["ftc"][name]["seconds"])

    print("ratios (bar)")
    rows = []
    eager = figures["torch"].get("135m-fp32-eager")
    rows.append(("SOL of the fp32 step", figures["ftc"]["135m-fp32"]["share"] or 0, ">= 0.70"))
    if eager:
        rows.append(("PyTorch eager / ftc, seconds", eager["min_seconds"] / fastest("135m-fp32"), ">= 1.3"))
    if "135m-fp32-compiled" in figures["torch"]:
        rows.append(("PyTorch compiled / ftc, seconds",
                     figures["torch"]["135m-fp32-compiled"]["min_seconds"] / fastest("135m-fp32"), ">= 1.3"))
    if eager:
        rows.append(("ftc / PyTorch eager, resident",
                     figures["ftc"]["135m-fp32"]["resident"] / eager["peak_resident_bytes"], "<= 0.6"))
    if "135m-bf16" in figures["ftc"]:
        rows.append(("bf16 / fp32, seconds of ftc", fastest("135m-bf16") / fastest("135m-fp32"), "<= 1"))
    if "135m-bf16-short-eager" in figures["torch"]:
        rows.append(("PyTorch bf16 / ftc bf16 at 1 x 256, seconds",
                     figures["torch"]["135m-bf16-short-eager"]["min_seconds"] / fastest("135m-bf16-short"), ">= 10"))
    if "135m-bf16-avx2-eager" in figures["torch"]:
        rows.append(("the same, both on AVX2 alone",
                     figures["torch"]["135m-bf16-avx2-eager"]["min_seconds"] / fastest("135m-bf16-avx2"), ">= 10"))
    rows.append(("ftc compile of the 135M recipe, seconds", figures["compile_seconds"]["135m-fp32"], "< 3"))
    rows.append(("ftc compile of the 8B recipe, seconds", figures["compile_seconds"]["8b"], "< 6"))
    for what, value, bar in rows:
        print(f"  {what:46} {value:7.3f}   {bar}")
    if args.json:
        figures["ratios"] = {what: value for what, value, _ in rows}
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
