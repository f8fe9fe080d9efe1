#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Times one training step of a Llama, or a Qwen2, in PyTorch, for comparison with a compiled step.

Forward, backward, clipping to norm 1.0, fused AdamW, as a user of transformers writes it. Default: 135M parameters (30
layers, width 576, feed-forward 1536, heads 9/3, vocabulary 49152, tied), batch 4 x 512, fp32, eager. With --lora PEFT's adapters are trained instead, with
--nf4 on 4-bit weights; with --device cuda on a GPU. Prints one JSON object:
seconds of each timed step, their minimum and median, seconds of the first step (with torch.compile: compilation), the
process's largest resident size in bytes and PyTorch's highest use of the GPU, the last loss. One process a measurement, so that the resident size is its
own. Needs test/oracle/requirements-torch.txt.
"""
import argparse
import json
import os
import re
import statistics
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    parser.add_argument("--lora", type=int, metavar="RANK",
                        help="train PEFT's adapters of this rank on every projection but k, alpha twice the rank")
    parser.add_argument("--nf4", action="store_true", help="with --lora: frozen projections in bitsandbytes' NF4")
    parser.add_argument("--family", choices=["llama", "qwen2"], default="llama")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--steps", type=int, default=3, help="timed steps")
    parser.add_argument("--warmup", type=int, default=1, help="untimed steps before them")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--feed-forward", type=int, default=1536)
    parser.add_argument("--heads", type=int, default=9)
    parser.add_argument("--kv-heads", type=int, default=3)
    parser.add_argument("--vocabulary", type=int, default=49152)
    return parser.parse_args()


def peak_resident():
    """VmHWM of this process in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return int(re.search(r"VmHWM:\s*(\d+) kB", file.read()).group(1)) * 1024


def quantize(model, dtype):
    """Replaces the projections of all layers by bitsandbytes' 4-bit ones, as from_pretrained does with load_in_4bit."""
    import bitsandbytes
    import torch

    for layer in model.model.layers:
        for block in (layer.self_attn, layer.mlp):
            for name, linear in list(block.named_children()):
                if not isinstance(linear, torch.nn.Linear):
                    continue
                small = bitsandbytes.nn.Linear4bit(linear.in_features, linear.out_features, bias=False, compute_dtype=dtype,
                                                   compress_statistics=True, quant_type="nf4")
                small.weight = bitsandbytes.nn.Params4bit(linear.weight.data, requires_grad=False, quant_type="nf4",
                                                          compress_statistics=True)
                setattr(block, name, small.to(linear.weight.device))
                assert small.weight.quant_state is not None, "the weight was not quantized"
    model.is_loaded_in_4bit = True


def attach_adapters(model, rank):
    from peft import LoraConfig, get_peft_model

    # Adapters in the model's own precision, as ours: PEFT would keep those of a model in bf16 in fp32.
    return get_peft_model(model, autocast_adapter_dtype=False, peft_config=LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, task_type="CAUSAL_LM",
        target_modules=["q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])).train()


def main():
    args = arguments()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[args.dtype]
    # Qwen2's norm epsilon and rotary base; neither changes what is computed, only its numbers.
    epsilon, theta = {"llama": (1e-5, 1e4), "qwen2": (1e-6, 1e6)}[args.family]
    config = {"llama": LlamaConfig, "qwen2": Qwen2Config}[args.family](
        vocab_size=args.vocabulary, hidden_size=args.width, intermediate_size=args.feed_forward,
        num_hidden_layers=args.layers, num_attention_heads=args.heads, num_key_value_heads=args.kv_heads,
        max_position_embeddings=2048, rms_norm_eps=epsilon, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": theta}, use_cache=False)
    config._attn_implementation = "sdpa"
    with torch.device(args.device):  # made there: billions of random numbers take a CPU minutes
        model = AutoModelForCausalLM.from_config(config).to(dtype).train()
    # Every row is full. Without a mask SDPA is told that attention is causal, and may take its flash kernels with grouped heads.
    # Eager, transformers finds that out by itself; compiled, it would make a mask of [batch, 1, length, length].
    sys.modules[type(model).__module__].create_causal_mask = lambda *args, **kwargs: None
    if args.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    if args.nf4:
        quantize(model, dtype)
    if args.lora:
        model = attach_adapters(model, args.lora)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=3e-4, weight_decay=0.01, fused=True)
    forward = torch.compile(model) if args.compile else model
    ids = torch.randint(0, args.vocabulary, (args.batch, args.length)).to(args.device)

    def step():
        loss = forward(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    seconds, loss = [], 0.0
    for _ in range(args.warmup + args.steps):
        start = time.perf_counter()
        loss = step()
        seconds.append(time.perf_counter() - start)
    timed = seconds[args.warmup:]
    json.dump({"torch": torch.__version__.split("+")[0], "mode": "compiled" if args.compile else "eager",
               "dtype": args.dtype, "batch": args.batch, "length": args.length, "threads": args.threads,
               "parameters": sum(p.numel() for p in model.parameters()), "first_seconds": seconds[0],
               "seconds": timed, "min_seconds": min(timed), "median_seconds": statistics.median(timed),
               "peak_resident_bytes": peak_resident(), "device": args.device,
               "peak_device_bytes": torch.cuda.max_memory_allocated() if args.device == "cuda" else 0, "loss": loss},
              sys.stdout)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
