#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Trains the cases with PyTorch and transformers' models and writes what ftc is compared with.

  golden.py inputs [NAME]   makes checkpoints/, adapters/ and data/ anew (the same files each time), or only the checkpoints
                            and adapters of these names
  golden.py run DIR [CASE]  trains the cases that are not torchtune's; writes DIR/CASE.json and, where the case
                            wants parameters, DIR/CASE.safetensors; of LoRA also DIR/CASE.adapter.safetensors
  golden.py packed          prints the rows that data/packed.jsonl becomes

Settings come from the recipe and its overrides, so nothing is said twice. Needs requirements-torch.txt.
"""
import json
import math
import os
import pydoc
import sys

import torch
import yaml
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForCausalLM, AutoModelForImageTextToText, Gemma2Config, Gemma3Config, Gemma3TextConfig,
                          GemmaConfig, GraniteConfig, LlamaConfig, Mistral3Config, MistralConfig, Olmo2Config, Phi3Config,
                          PixtralVisionConfig, Qwen2_5_VLConfig, Qwen2Config, Qwen3Config, SiglipVisionConfig, SmolLM3Config)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import phi3_parts  # noqa: E402
import plain  # noqa: E402

BOS, EOS, PAD = 256, 257, 258  # of the byte tokenizer
IGNORE = -100


# Models of text and images, by the folder of their weights: the configuration around that of the text part, with a tower of
# one layer, which no case runs.
IMAGES = {
    "gemma3-images": lambda text: Gemma3Config(text_config=text, mm_tokens_per_image=4, vision_config=SiglipVisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)),
    "mistral3": lambda text: Mistral3Config(text_config=text, tie_word_embeddings=False, vision_config=PixtralVisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, head_dim=8, image_size=28)),
    "qwen2_5_vl": lambda text: Qwen2_5_VLConfig(
        text_config={**{key: value for key, value in text.to_dict().items() if key not in (
            "model_type", "architectures", "rope_parameters", "transformers_version")}, "rope_theta": text.rope_parameters["rope_theta"],
            "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}},
        vision_config={"depth": 1, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "out_hidden_size": text.hidden_size}),
}


def images(recipe):
    """IMAGES' function for a recipe; None for a model of text alone."""
    return IMAGES.get(os.path.basename(recipe.get("checkpointer", {}).get("checkpoint_dir", "")))


def on_disk(name):
    """What files call a parameter of a model of text and images, but for Qwen's: as in the first releases."""
    if name.startswith("lm_head"):
        return "language_model." + name
    return name.removeprefix("model.").replace("language_model.", "language_model.model.", 1)


def model_config(recipe):
    """transformers' configuration of a builder with explicit arguments, torchtune's or ftc's own."""
    model = recipe["model"]
    family = model["_component_"].rsplit(".", 1)[1].removeprefix("lora_")
    base = {"llama2": 1e4, "mistral": 1e4, "gemma": 1e4, "gemma2": 1e4, "phi3": 1e4, "qwen2": 1e6, "qwen3": 1e6}.get(family, 5e5)
    rope = {"rope_type": "default", "rope_theta": float(model.get("rope_base", base))}
    if family in ("llama3_1", "llama3_2"):
        rope.update(rope_type="llama3", factor=8.0 if family == "llama3_1" else 32.0, low_freq_factor=1.0,
                    high_freq_factor=4.0, original_max_position_embeddings=8192)
    if family == "gemma3":
        rope.update(rope_type="linear", factor=float(model["scale_factor"]))
        rope = {"full_attention": rope,
                "sliding_attention": {"rope_type": "default", "rope_theta": float(model["rope_local_base_freq"])}}
    if family == "phi3" and model.get("rope_short_factor"):
        rope.update(rope_type="longrope", short_factor=model["rope_short_factor"], long_factor=model["rope_long_factor"],
                    partial_rotary_factor=model["partial_rotary_factor"])
    kind, others = {"mistral": (MistralConfig, {"sliding_window": None, "head_dim": model.get("head_dim")}),
                    "phi3": (Phi3Config, {"sliding_window": model.get("sliding_window_size"),
                                          "original_max_position_embeddings": model.get("original_max_seq_len", 4096)}),
                    "qwen2": (Qwen2Config, {}),
                    "qwen3": (Qwen3Config, {"head_dim": model.get("head_dim")}),
                    "smollm3": (SmolLM3Config, {"no_rope_layer_interval": model.get("no_rope_layer_interval")}),
                    "olmo2": (Olmo2Config, {}),
                    "granite": (GraniteConfig, {key: model.get(key) for key in (
                        "embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling")}),
                    "gemma3": (Gemma3TextConfig, {
                        "head_dim": model.get("head_dim"), "sliding_window": model.get("sliding_window_size"),
                        "sliding_window_pattern": model.get("sliding_window_pattern"),
                        "query_pre_attn_scalar": model.get("query_pre_attn_scalar")}),
                    "gemma": (GemmaConfig, {"head_dim": model.get("head_dim")}),
                    "gemma2": (Gemma2Config, {
                        "head_dim": model.get("head_dim"), "sliding_window": model.get("sliding_window_size"),
                        "query_pre_attn_scalar": model.get("query_pre_attn_scalar"),
                        "attn_logit_softcapping": model.get("hidden_capping_value"),
                        "final_logit_softcapping": model.get("final_capping_value")})}.get(family, (LlamaConfig, {}))
    config = kind(
        vocab_size=model["vocab_size"], hidden_size=model["embed_dim"], intermediate_size=model["intermediate_dim"],
        num_hidden_layers=model["num_layers"], num_attention_heads=model["num_heads"],
        num_key_value_heads=model["num_kv_heads"], max_position_embeddings=model["max_seq_len"],
        rms_norm_eps=float(model["norm_eps"]), rope_parameters=rope,
        tie_word_embeddings=model.get("tie_word_embeddings", family in ("llama3_2", "gemma", "gemma2", "gemma3", "smollm3")),
        bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, **others)
    return images(recipe)(config) if images(recipe) else config


def model_of(config):
    """The model of a configuration, with weights of chance."""
    kind = AutoModelForImageTextToText if hasattr(config, "vision_config") else AutoModelForCausalLM
    return kind.from_config(config, torch_dtype=torch.float32)


def lora_config(recipe):
    """PEFT's configuration of torchtune's arguments."""
    model = recipe["model"]
    names = {"q_proj": "q_proj", "k_proj": "k_proj", "v_proj": "v_proj", "output_proj": "o_proj"}
    targets = [names[name] for name in model["lora_attn_modules"]]
    if model.get("apply_lora_to_mlp"):
        targets += ["gate_proj", "up_proj", "down_proj"]
    if model.get("apply_lora_to_output"):
        targets.append("lm_head")
    if images(recipe):  # the tower has modules of the same names
        inside = "|".join(target for target in targets if target != "lm_head")
        targets = r"(?:.*\.)?language_model\.(?:.*\.)?(?:{}){}".format(inside, r"|(?:.*\.)?lm_head" if "lm_head" in targets else "")
    return LoraConfig(use_dora=bool(model.get("use_dora")), r=model["lora_rank"], lora_alpha=model["lora_alpha"], target_modules=targets, lora_dropout=0.0,
                      bias="none", task_type="CAUSAL_LM",
                      base_model_name_or_path=recipe["checkpointer"]["checkpoint_dir"])


def quantize_base(model, recipe):
    """Puts the projections of attention and feed-forward blocks through the library's four bits and back."""
    node = recipe["model"]
    if not node.get("quantize_base"):
        return
    for name, tensor in model.named_parameters():
        if not any(f".{part}_proj." in name for part in ("q", "k", "v", "o", "gate", "up", "down")):
            continue
        if node.get("quantizer", "torchao") == "torchao":
            from torchao.quantization.quantize_.workflows.nf4.nf4_tensor import to_nf4
            decoded = to_nf4(tensor.detach()).get_original_weight()
        else:
            import bitsandbytes.functional as bnb
            decoded = bnb.dequantize_4bit(*bnb.quantize_4bit(tensor.detach(), blocksize=64, compress_statistics=True,
                                                             quant_type="nf4"))
        with torch.no_grad():
            tensor.copy_(decoded)


def adapter_folder(recipe):
    path = os.path.join(plain.ROOT, recipe["checkpointer"]["adapter_checkpoint"])
    return os.path.dirname(path) if path.endswith(".safetensors") else path


def learning_rates(recipe):
    """Of each step, as torchtune's schedules give it to the optimizer: step n has the multiple of n - 1."""
    peak, node = float(recipe["optimizer"]["lr"]), recipe.get("lr_scheduler")
    if not node:
        return [peak] * plain.STEPS
    warm, cycles = node["num_warmup_steps"], float(node.get("num_cycles", 0.5))
    rates = []
    for done in range(plain.STEPS):
        if done < warm:
            rates.append(peak * done / max(1, warm))
        else:
            progress = (done - warm) / max(1, plain.STEPS - warm)
            rates.append(peak * max(0.0, 0.5 * (1.0 + math.cos(math.pi * cycles * 2.0 * progress))))
    return rates


def optimizer_of(recipe, parameters):
    node = dict(recipe["optimizer"])
    name = node.pop("_component_")
    if name == "bitsandbytes.optim.PagedAdamW":  # the same update; pages need a GPU
        name = "bitsandbytes.optim.AdamW"
    if name.startswith("bitsandbytes."):
        import bitsandbytes  # noqa: F401, for the cases that name it only: it is slow to load
    kind = pydoc.locate(name)
    return kind(parameters, **{key: float(value) if isinstance(value, str) else value for key, value in node.items()})


class Updates:
    """The optimizer, in the precision that the recipe asks for: PyTorch's own, or what its users write by hand around it.
    `master_weights: fp32`: it updates fp32 copies, which are rounded into the parameters. `optimizer_state_dtype`: moments
    are rounded to that type behind each step."""

    def __init__(self, recipe, parameters):
        self.parameters = parameters
        self.masters = [p.detach().float() for p in parameters] if recipe.get("master_weights") else parameters
        self.optimizer = optimizer_of(recipe, self.masters)
        self.state = {None: None, "fp32": torch.float32, "bf16": torch.bfloat16}[recipe.get("optimizer_state_dtype")]

    def step(self, rate):
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        apart = self.masters is not self.parameters
        for master, parameter in zip(self.masters, self.parameters):
            if apart:
                master.grad = parameter.grad.float()
        self.optimizer.step()
        if self.state:
            for moments in self.optimizer.state.values():
                for key in ("exp_avg", "exp_avg_sq", "momentum_buffer"):
                    if key in moments:
                        moments[key].copy_(moments[key].to(self.state))
        with torch.no_grad():
            for master, parameter in zip(self.masters, self.parameters):
                if apart:
                    parameter.copy_(master)
                parameter.grad = None


def pack(path, length):
    """Rows of a .jsonl of texts, packed as docs/data.md says: each text is BOS, its bytes, EOS; texts follow one another
    and are cut at a row's end. Returns (tokens, labels, positions, segments), each a list of rows; a segment is
    one text's part of one row, and padding is each token its own."""
    texts = [json.loads(line)["text"] for line in open(path, encoding="utf-8")]
    stream = []  # (token, label, position, text)
    for number, text in enumerate(texts):
        ids = [BOS] + list(text.encode()) + [EOS]
        for place, token in enumerate(ids):
            stream.append((token, ids[place + 1] if place + 1 < len(ids) else IGNORE, place, number))
    while len(stream) % length:
        stream.append((PAD, IGNORE, 0, -1 - len(stream)))
    rows = [stream[i:i + length] for i in range(0, len(stream), length)]
    return [[[cell[i] for cell in row] for row in rows] for i in range(4)]


def batches_of(case, recipe):
    """For each step the keyword arguments of the model. transformers shifts `labels` itself, `shift_labels` are shifted."""
    length, size = recipe["tokenizer"]["max_seq_len"], recipe["batch_size"]
    if case["data"].endswith(".jsonl"):
        tokens, labels, positions, segments = (torch.tensor(x) for x in pack(case["data"], length))
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        mask = causal & (segments[:, :, None] == segments[:, None, :])
        full = len(tokens) // size
        pick = lambda x, step: x[(step % full) * size:(step % full + 1) * size]
        return [dict(input_ids=pick(tokens, s), labels=pick(labels, s), shift_labels=pick(labels, s),
                     position_ids=pick(positions, s),
                     attention_mask=torch.where(pick(mask, s), 0.0, torch.finfo(torch.float32).min)[:, None])
                for s in range(plain.STEPS)]
    with open(case["data"], "rb") as file:
        ids = torch.frombuffer(bytearray(file.read()), dtype=torch.uint16).long().view(plain.STEPS, size, length)
    return [dict(input_ids=ids[s], labels=ids[s]) for s in range(plain.STEPS)]


def train(case, recipe, update=True):
    """Returns (steps, parameters, adapter): 20 steps, or the losses of an untouched model if not `update`. With LoRA only
    the adapter is trained, and the parameters are those with it merged in; else the adapter is empty."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[recipe["dtype"]]
    checkpoint = os.path.join(plain.ROOT, recipe["checkpointer"]["checkpoint_dir"])
    config = model_config(recipe)
    # PyTorch's fused attention caps no scores.
    config._attn_implementation = "eager" if config.model_type == "gemma2" else "sdpa"
    if images(recipe):
        model, info = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32, output_loading_info=True)
        missing, unexpected = info["missing_keys"], info["unexpected_keys"]
        for key, tensor in model.named_parameters():
            tensor.requires_grad_("vision_tower" not in key and "multi_modal_projector" not in key and "visual" not in key)
    else:
        model = model_of(config)
        missing, unexpected = model.load_state_dict(load_file(os.path.join(checkpoint, "model.safetensors")), strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    apart = case.get("adapter") and config.model_type == "phi3"  # each projection has its own adapter, and its own blocks
    if apart:
        phi3_parts.separate(model)
    model.to(dtype).train()
    quantize_base(model, recipe)
    if apart:
        wanted = lora_config(recipe)
        model = get_peft_model(model, wanted)
        start = load_file(os.path.join(adapter_folder(recipe), "adapter_model.safetensors"))
        loaded = set_peft_model_state_dict(model, phi3_parts.adapter_parts(start, model, wanted))
        assert not loaded.unexpected_keys and not [key for key in loaded.missing_keys if "lora_" in key], loaded
    elif case.get("adapter"):
        model = PeftModel.from_pretrained(model, adapter_folder(recipe), is_trainable=True)
        wanted, found = lora_config(recipe), model.peft_config["default"]
        same = lambda c: (c.r, c.lora_alpha, set(c.target_modules), c.use_dora)  # noqa: E731
        assert same(wanted) == same(found)
    trained = [tensor for tensor in model.parameters() if tensor.requires_grad]
    updates = Updates(recipe, trained)
    clip, steps = recipe.get("clip_grad_norm"), []
    for rate, batch in zip(learning_rates(recipe), batches_of(case, recipe)):
        loss = model(**batch).loss
        row = {"loss": loss.item(), "lr": rate}
        if update:
            loss.backward()
            row["grad_norm"] = torch.nn.utils.clip_grad_norm_(trained, math.inf if clip is None else clip).item()
            updates.step(rate)
        steps.append(row)
    adapter = {}
    if case.get("adapter"):
        adapter = {name: tensor.detach().clone() for name, tensor in get_peft_model_state_dict(model, save_embedding_layers=False).items()}
        model = model.merge_and_unload()
    parameters = {name: tensor.detach().contiguous() for name, tensor in model.named_parameters()}
    if images(recipe):
        parameters = {on_disk(name): tensor for name, tensor in parameters.items()}
    if apart:
        adapter, parameters = phi3_parts.fuse_adapter(adapter, model, wanted), phi3_parts.fuse(parameters)
    return steps, parameters, adapter


def write_golden(name, case, folder):
    recipe = plain.recipe_of(case)
    steps, parameters, adapter = train(case, recipe)
    still = [row["loss"] for row in train(case, recipe, update=False)[0]]
    library = " and PEFT" if adapter else ""
    golden = {"case": name, "by": f"PyTorch {torch.__version__.split('+')[0]}, transformers' {type(model_of(model_config(recipe))).__name__}{library}",
              "dtype": recipe["dtype"], "checkpoint": recipe["checkpointer"]["checkpoint_dir"],
              "steps": steps, "losses_without_updates": still}
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")
    if case.get("parameters"):
        save_file(parameters, os.path.join(folder, name + ".safetensors"))
    if adapter:
        save_file(adapter, os.path.join(folder, name + ".adapter.safetensors"))
    print(f"{name}: loss {steps[0]['loss']:.4f} to {steps[-1]['loss']:.4f}, gradient norm {steps[0]['grad_norm']:.3f}")


def make_adapters(names):
    """Adapters to start from, so that both sides start equal; neither factor is zero."""
    for case in plain.cases().values():
        if not case.get("adapter"):
            continue
        recipe = plain.recipe_of(case)
        if names and os.path.basename(adapter_folder(recipe)) not in names:
            continue
        config = lora_config(recipe)
        model = model_of(model_config(recipe))
        apart = model.config.model_type == "phi3"
        if apart:
            base = load_file(os.path.join(plain.ROOT, recipe["checkpointer"]["checkpoint_dir"], "model.safetensors"))
            missing, unexpected = model.load_state_dict(base, strict=False)
            assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
            phi3_parts.separate(model)
        model = get_peft_model(model, config)
        generator = torch.Generator().manual_seed(13)
        with torch.no_grad():
            for key, tensor in sorted(model.named_parameters()):
                if "magnitude" in key:  # not at the norms, where DoRA starts
                    tensor.copy_((1 + torch.rand(tensor.shape, generator=generator)).to(torch.bfloat16))
                elif "lora_" in key:
                    tensor.copy_((0.1 * torch.randn(tensor.shape, generator=generator)).to(torch.bfloat16))
        model.peft_config["default"].base_model_name_or_path = recipe["checkpointer"]["checkpoint_dir"]
        model.save_pretrained(adapter_folder(recipe), save_embedding_layers=False)
        os.remove(os.path.join(adapter_folder(recipe), "README.md"))
        if apart:
            path = os.path.join(adapter_folder(recipe), "adapter_model.safetensors")
            whole = phi3_parts.fuse_adapter(load_file(path), model.unload(), config)
            save_file(whole, path, metadata={"format": "pt"})
        path = os.path.join(adapter_folder(recipe), "adapter_config.json")
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        if isinstance(config["target_modules"], list):
            config["target_modules"].sort()  # PEFT keeps a set
        if apart:
            phi3_parts.fuse_config(config)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file, indent=2)
            file.write("\n")


def make_inputs(names):
    """Checkpoints whose values bf16 holds exactly, so that both types start equal. The norms' weights are near 0.4, where
    bf16 is fine enough for 20 steps to move them; queries and keys are large enough for attention (and with it the rotary
    embedding's scaling) to count in the loss."""
    spread = {"qkv_proj": 0.3, "q_proj": 0.4, "k_proj": 0.4, "v_proj": 0.2, "o_proj": 0.2}
    for name, recipe in (("untied", "untied.yaml"), ("tied", "tied.yaml"), ("wide", "wide.yaml"),
                         ("qwen2", "qwen2.yaml"), ("qwen3", "qwen3.yaml"),
                         ("gemma", "gemma.yaml"), ("gemma2", "gemma2.yaml"), ("phi3", "phi3.yaml"),
                         ("gemma3", "gemma3.yaml"), ("smollm3", "smollm3.yaml"), ("olmo2", "olmo2.yaml"),
                         ("granite", "granite.yaml"), ("phi4mini", "phi4mini.yaml"), ("gemma3-images", "gemma3.yaml"),
                         ("mistral3", "mistral3.yaml"), ("qwen2_5_vl", "qwen2.yaml")):
        if names and name not in names:
            continue
        with open(os.path.join(plain.HERE, recipe), encoding="utf-8") as file:
            recipe = yaml.safe_load(file)
        recipe["checkpointer"]["checkpoint_dir"] = "test/oracle/checkpoints/" + name
        config = model_config(recipe)
        config.dtype = "bfloat16"
        model = model_of(config).to(torch.bfloat16)
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for key, tensor in sorted(model.named_parameters()):
                noise = torch.randn(tensor.shape, generator=generator)
                scale = next((value for part, value in spread.items() if part in key), 0.1)
                if name.startswith("gemma") and any(part in key for part in ("q_proj", "k_proj", "v_proj", "gate", "up_proj")):
                    scale *= 0.3  # norms multiply by 1.4 instead of 0.4
                tensor.copy_(0.4 + 0.04 * noise if "norm" in key else scale * noise)
        model.save_pretrained(os.path.join(plain.HERE, "checkpoints", name))
        os.remove(os.path.join(plain.HERE, "checkpoints", name, "generation_config.json"))
    if names:
        return
    data = os.path.join(plain.HERE, "data")
    os.makedirs(data, exist_ok=True)
    with open(os.path.join(plain.ROOT, "LICENSE"), "rb") as file:
        text = file.read()
    ids = torch.tensor(list(text[400:400 + plain.STEPS * 2 * 64]), dtype=torch.int64)
    generator = torch.Generator().manual_seed(11)
    other = torch.randint(0, 320, ids.shape, generator=generator)
    ids = torch.where(torch.rand(ids.shape, generator=generator) < 0.05, other, ids)
    with open(os.path.join(data, "tokens.bin"), "wb") as file:
        file.write(ids.to(torch.uint16).numpy().tobytes())
    words, at = text.decode().split(), 0
    with open(os.path.join(data, "packed.jsonl"), "w", encoding="utf-8") as file:
        while at < 520:  # texts of 1 to 24 words: some shorter than a row, some longer
            count = int(torch.randint(1, 25, (1,), generator=generator))
            file.write(json.dumps({"text": " ".join(words[at:at + count])}) + "\n")
            at += count


def main():
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["inputs"]:
        make_inputs(sys.argv[2:])
        make_adapters(sys.argv[2:])
    elif sys.argv[1:2] == ["packed"]:
        for row in zip(*pack(os.path.join(plain.HERE, "data", "packed.jsonl"), 64)):
            print(json.dumps(row))
    elif sys.argv[1:2] == ["run"] and len(sys.argv) > 2:
        for name, case in plain.cases().items():
            if not case.get("by") and (len(sys.argv) == 3 or name in sys.argv[3:]):
                write_golden(name, case, sys.argv[2])
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
