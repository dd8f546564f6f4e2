#!/usr/bin/env python3
"""Writes tests/golden/families: for each family a model of width 16, its logits by transformers and its adapters' gradients by PEFT, in f32.

usage: golden_families.py [OUT] [--family NAME]...     (default tests/golden, every family; what other families left there stays)

FAMILY/                 the Hugging Face folder (bf16, no tokenizer)
FAMILY.logits.json      as golden_logits.py writes them, without texts
FAMILY.training/        as golden_training.py writes them, without steps: the start, gradients.safetensors, case.json"""
import argparse, json, os, shutil, warnings
import numpy as np, torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
import golden_logits, golden_training, reference
from families import folders, table

PACKAGES = ["torch", "transformers", "peft", "safetensors", "numpy"]
SMALL = dict(vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8, shared_intermediate_size=16, mamba_n_heads=4,
             sliding_window=6, max_position_embeddings=64, n_embd=16, n_layer=2, n_head=2, n_positions=64, n_ctx=64, n_inner=24, query_pre_attn_scalar=8)
VARIANTS = {"llama": "bias", "mistral": "window", "qwen2": "plain", "qwen3": "plain", "phi": "plain", "phi3": "plain", "gemma": "plain", "gemma2": "plain",
            "gemma3": "mixed", "olmo": "plain", "olmo2": "groups", "olmo3": "mixed", "smollm3": "mixed", "granite": "plain", "granitemoehybrid": "plain", "mistral3": "plain", "gemma3_multimodal": "mixed", "cohere": "qknorm", "cohere2": "mixed",
            "starcoder2": "plain", "stablelm": "parallel", "glm": "plain", "glm4": "bias", "gpt_neox": "plain", "gpt2": "inner", "internlm2": "plain",
            "internlm3": "bias", "minicpm": "plain"}
LENGTHS, RANK, SCALE = [9, 5, 14], 1, 2.0


def smaller(o):
    """The options at width 16; layer types keep their first two."""
    small = {k: SMALL[k] if v is not None else v for k, v in o.items() if k in SMALL}
    if "text_config" in o: small["text_config"] = smaller(o["text_config"])
    return o | small | ({"layer_types": o["layer_types"][:2]} if "layer_types" in o else {}) | ({"no_rope_layers": o["no_rope_layers"][:2]} if "no_rope_layers" in o else {})


def write_logits(family, folder, out):
    model = folders.load(folder)
    ids = np.random.Generator(np.random.PCG64(7)).integers(3, SMALL["vocab_size"], 24).tolist()
    with open(os.path.join(out, f"{family}.logits.json"), "w") as f:
        json.dump({"model": family, "rows": [golden_logits.row(model, ids, [0, 10, 23]), golden_logits.row(model, ids[:5], [4])]}, f); f.write("\n")


def write_training(family, folder, out):
    targets = sorted(table.FAMILIES[family].targets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(folders.load(folder), LoraConfig(r=RANK, lora_alpha=SCALE * RANK, target_modules=table.FAMILIES[family].peft_targets(), base_model_name_or_path=family)).eval()
        for name, p in golden_training.trained(model).items():
            p.data = torch.from_numpy((0.25 if "lora_A" in name else 0.1) * golden_training.draw(family + name).standard_normal(tuple(p.shape))).float()
        c = model.peft_config["default"]
        c.base_model_name_or_path, c.target_modules = family, targets
        model.save_pretrained(out, save_embedding_layers=False)
    os.remove(os.path.join(out, "README.md"))
    rows, masks = golden_training.data(dict(lengths=LENGTHS), family, SMALL["vocab_size"])
    _, loss = golden_training.accumulate(model, rows, masks, [list(range(len(rows)))])
    save_file({n: p.grad.clone() for n, p in golden_training.trained(model).items()}, os.path.join(out, "gradients.safetensors"))
    case = dict(model=family, rank=RANK, scale=SCALE, num_layers=-1, target_modules=",".join(targets), rows=rows, targets=masks, weight_decay=0.0, clip_norm=0.0,
                accumulation=1, schedule="constant", learning_rate=1e-2, warmup=0, gradient_rows=list(range(len(rows))), gradient_loss=loss)
    with open(os.path.join(out, "case.json"), "w") as f: json.dump(case, f); f.write("\n")


def make(family, out):
    folder = os.path.join(out, family)
    for path in (folder, folder + ".training"): shutil.rmtree(path, ignore_errors=True)
    folders.save_model(family, table.FAMILIES[family].variants[VARIANTS[family]], smaller(table.settings(family, VARIANTS[family])), folder, "bfloat16")
    generation = os.path.join(folder, "generation_config.json")
    if os.path.exists(generation): os.remove(generation)
    write_logits(family, folder, out)
    write_training(family, folder, folder + ".training")
    size = sum(os.path.getsize(os.path.join(d, n)) for root in (folder, folder + ".training") for d, _, names in os.walk(root) for n in names) + os.path.getsize(folder + ".logits.json")
    print(f"{family}: {size} bytes", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("out", nargs="?", default=reference.GOLDEN); p.add_argument("--family", action="append", choices=list(VARIANTS))
    a = p.parse_args()
    out = os.path.join(a.out, "families")
    torch.set_num_threads(1); os.makedirs(out, exist_ok=True)
    for family in a.family or VARIANTS: make(family, out)
    for d, _, names in os.walk(out):
        for n in names: os.chmod(os.path.join(d, n), 0o644)
    reference.manifest(out, "tools/golden_families.py", PACKAGES)


if __name__ == "__main__": main()
