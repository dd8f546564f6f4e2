#!/usr/bin/env python3
"""Writes tests/golden/adapters: small adapters for the tiny Llama "plain" that PEFT and mlx-lm saved, and a GGUF one.

usage: golden_adapter_files.py [OUT]     default: tests/golden
peft/, dora/, patterns/, trained/: PEFT (plain; DoRA; rank and alpha patterns; a saved norm and trained token rows). mlx_dora/: mlx-lm.
peft.gguf: peft/ written with the gguf package, rows of q and k permuted as llama.cpp's converter does."""
import json, os, shutil, sys, tempfile, warnings
import numpy as np, gguf
from safetensors.torch import load_file
import gguf_llama, judge_adapter_files, reference

SOME = dict(r=2, lora_alpha=4, target_modules=["q_proj", "k_proj", "down_proj"], layers_to_transform=[1], layers_pattern="layers")
PEFT = {"peft": {}, "dora": dict(use_dora=True), "patterns": dict(rank_pattern={"q_proj": 1}, alpha_pattern={"down_proj": 16}),
        "trained": dict(modules_to_save=["norm"], trainable_token_indices={"embed_tokens": [5, 9]})}


def keep(source, out, weights):
    """The weights, and the config without the path of the model that was made for this."""
    os.makedirs(out, exist_ok=True)
    shutil.copy(os.path.join(source, weights), out)
    c = json.load(open(os.path.join(source, "adapter_config.json")))
    if "base_model_name_or_path" in c: c["base_model_name_or_path"] = "plain"
    if "target_modules" in c: c["target_modules"] = sorted(c["target_modules"])  # PEFT keeps a set
    json.dump(c, open(os.path.join(out, "adapter_config.json"), "w"), indent=2, sort_keys=True)


def write_gguf(adapter, path):
    w = gguf.GGUFWriter(path, "llama")
    w.add_string("general.type", "adapter"); w.add_string("adapter.type", "lora"); w.add_float32("adapter.lora.alpha", 4.0)
    for key, t in sorted(load_file(os.path.join(adapter, "adapter_model.safetensors")).items()):
        module, kind = key.removeprefix("base_model.model.").removesuffix(".weight").rsplit(".lora_", 1)
        name, x = gguf_llama.gguf_name(module + ".weight"), t.numpy()
        heads = {"attn_q": 4, "attn_k": 2}.get(name.split(".")[-2])
        w.add_tensor(f"{name}.lora_{kind.lower()}", np.ascontiguousarray(gguf_llama.permute(x, heads) if kind == "B" and heads else x))
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


def main():
    out = os.path.join(sys.argv[1] if len(sys.argv) > 1 else reference.GOLDEN, "adapters")
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as root:
        place = judge_adapter_files.Place(root, "plain")
        for name, options in PEFT.items(): keep(judge_adapter_files.made_by_peft(place, **{**SOME, **options}), os.path.join(out, name), "adapter_model.safetensors")
        keep(judge_adapter_files.made_by_mlx(place, "dora", ["self_attn.q_proj", "mlp.down_proj"], rank=2), os.path.join(out, "mlx_dora"), "adapters.safetensors")
    write_gguf(os.path.join(out, "peft"), os.path.join(out, "peft.gguf"))
    reference.manifest(out, "tools/golden_adapter_files.py", ["peft", "mlx_lm", "torch", "transformers", "gguf", "numpy"])


if __name__ == "__main__": main()
