# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Phi-3's fused projections taken apart, as torchtune and ftc train them, and put together, as files have them.

transformers' model has qkv_proj and gate_up_proj. `separate` puts modules of the projections in their place, which PEFT
gives an adapter each and a quantizer blocks of their own; everything else of the model stays transformers'.
"""
import torch

WHOLE = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}


def names(name):
    """A step's names of what a file calls `name`: 'a.qkv_proj.weight' is a.q_proj.weight, and so on."""
    for whole, parts in WHOLE.items():
        if name.endswith(f".{whole}.weight"):
            return [name.replace(whole, part) for part in parts]
    return [name]


class Parts(torch.nn.Module):
    def __init__(self, weight, sizes):
        super().__init__()
        for name, rows in zip(sizes, weight.split(list(sizes.values()))):
            linear = torch.nn.Linear(rows.shape[1], rows.shape[0], bias=False)
            linear.weight = torch.nn.Parameter(rows.detach().clone())
            self.add_module(name, linear)

    def forward(self, x):
        return torch.cat([part(x) for part in self.children()], dim=-1)


def separate(model):
    config = model.config
    width = config.hidden_size // config.num_attention_heads
    heads, kv, wide = config.num_attention_heads * width, config.num_key_value_heads * width, config.intermediate_size
    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        attention.qkv_proj = Parts(attention.qkv_proj.weight, {"q_proj": heads, "k_proj": kv, "v_proj": kv})
        mlp.gate_up_proj = Parts(mlp.gate_up_proj.weight, {"gate_proj": wide, "up_proj": wide})


def fuse(tensors):
    """Parameters of a separated model under transformers' names."""
    whole = {}
    for name, tensor in tensors.items():
        module, _, part = name.removesuffix(".weight").rpartition(".")
        word = module.rsplit(".", 1)[-1]
        if word not in WHOLE:
            whole[name] = tensor
        elif part == WHOLE[word][0]:
            whole[module + ".weight"] = torch.cat([tensors[f"{module}.{each}.weight"] for each in WHOLE[word]])
    return whole


def modules(model):
    """(PEFT's name, module) of what `separate` made."""
    for name, module in model.named_modules():
        if isinstance(module, Parts):
            yield name if name.startswith("base_model.") else "base_model.model." + name, module


def rows_of(part):
    return getattr(part, "base_layer", part).weight.shape[0]


def fuse_adapter(adapter, model, config):
    """PEFT's state of a separated model's adapters as one of transformers' modules: A has the rows of all, B their blocks,
    magnitudes of projections without an adapter are norms. `model`: separated, without adapters."""
    whole = dict(adapter)
    for name, module in modules(model):
        has = [part for part, _ in module.named_children() if f"{name}.{part}.lora_A.weight" in adapter]
        if not has:
            continue
        a, b, magnitudes, column = [], [], [], 0
        rank = config.r * len(has)
        for part, linear in module.named_children():
            key = f"{name}.{part}."
            if part in has:
                a.append(whole.pop(key + "lora_A.weight"))
                own = whole.pop(key + "lora_B.weight")
                left = torch.zeros(own.shape[0], column, dtype=own.dtype)
                b.append(torch.cat([left, own, torch.zeros(own.shape[0], rank - column - config.r, dtype=own.dtype)], 1))
                column += config.r
                if config.use_dora:
                    magnitudes.append(whole.pop(key + "lora_magnitude_vector"))
            else:
                b.append(torch.zeros(linear.weight.shape[0], rank, dtype=adapter[f"{name}.{has[0]}.lora_B.weight"].dtype))
                if config.use_dora:
                    magnitudes.append(linear.weight.detach().float().norm(dim=1))
        whole[name + ".lora_A.weight"], whole[name + ".lora_B.weight"] = torch.cat(a).contiguous(), torch.cat(b).contiguous()
        if config.use_dora:
            whole[name + ".lora_magnitude_vector"] = torch.cat(magnitudes).contiguous()
    return whole


def adapter_parts(adapter, model, config):
    """The reverse: `adapter` of transformers' modules as PEFT's state of a separated model."""
    parts = dict(adapter)
    for name, module in modules(model):
        if name + ".lora_A.weight" not in adapter:
            continue
        a, b = parts.pop(name + ".lora_A.weight"), parts.pop(name + ".lora_B.weight")
        magnitude = parts.pop(name + ".lora_magnitude_vector", None)
        row = column = 0
        for part, linear in module.named_children():
            rows = slice(row, row + rows_of(linear))
            row = rows.stop
            if part not in config.target_modules:
                assert not b[rows].any()
                continue
            columns = slice(column, column + config.r)
            column = columns.stop
            key = f"{name}.{part}."
            parts[key + "lora_A.weight"], parts[key + "lora_B.weight"] = a[columns].clone(), b[rows, columns].clone()
            if magnitude is not None:
                parts[key + "lora_magnitude_vector"] = magnitude[rows].clone()
    return parts


def fuse_config(config):
    """adapter_config.json of a separated model's adapters as of transformers' modules: ranks add up, and so do alphas."""
    targets = set(config["target_modules"])
    for whole, parts in WHOLE.items():
        has = [part for part in parts if part in targets]
        if not has:
            continue
        targets -= set(parts)
        targets.add(whole)
        if len(has) > 1:
            config["rank_pattern"][whole] = len(has) * config["r"]
            config["alpha_pattern"][whole] = len(has) * config["lora_alpha"]
    config["target_modules"] = sorted(targets)
