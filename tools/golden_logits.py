#!/usr/bin/env python3
"""Writes tests/golden/models: a selection of the tiny models and, per model, NAME.logits.json by transformers in f32 on the
(dequantised) weights.

usage: golden_logits.py [OUT]     (default tests/golden)

NAME.logits.json: {"model": folder or file beside it, "text": S, "text_ids": [ids of S],
  "rows": [{"ids": [n ids], "loss": mean −log p of ids[1:], "logprobs": [n−1 log p], "positions": [p…], "logits": [[vocab]…] after ids[p]}]}"""
import json, os, shutil, sys, tempfile
import numpy as np, torch
from transformers import AutoTokenizer
import gguf_llama, reference, tiny_llama

FOLDERS = ["plain", "bias", "linear", "llama3", "sharded"]
GGUFS = ["plain-q4_0", "plain-q4_1", "plain-q8_0", "untied-q4_1", "bias-q8_0", "headdim-q4_1", "llama3-q8_0", "yarn-f16", "sharded-q4_0", "wide-k_mix"]
TEXT = "<|im_start|>the 42 cats\n\n sat on  Ærø's mat.<|im_end|>"
PACKAGES = ["torch", "transformers", "tokenizers", "safetensors", "gguf", "numpy"]


def rounded(x):
    return [float(f"{v:.7g}") for v in x]


def row(model, ids, positions):
    with torch.no_grad(): logits = model(torch.tensor([ids])).logits[0]
    logp = torch.log_softmax(logits[:-1].double(), -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    return {"ids": ids, "loss": float(f"{-logp.mean().item():.8g}"), "logprobs": rounded(logp.tolist()), "positions": positions,
            "logits": [rounded(logits[p].tolist()) for p in positions]}


def golden(path, tokenizer):
    model = reference.load(path)
    draw = np.random.Generator(np.random.PCG64(7))
    long, short = (draw.integers(3, model.config.vocab_size, n).tolist() for n in (80, 5))
    return {"model": os.path.basename(path), "text": TEXT, "text_ids": tokenizer.encode(TEXT, add_special_tokens=False),
            "rows": [row(model, long, [0, 40, 79]), row(model, short, [4])]}


def main():
    out = os.path.join(sys.argv[1] if len(sys.argv) > 1 else reference.GOLDEN, "models")
    torch.set_num_threads(1)
    shutil.rmtree(out, ignore_errors=True); os.makedirs(out)
    with tempfile.TemporaryDirectory() as tmp:
        folders = {name: tiny_llama.save(name, tmp) for name in tiny_llama.MODELS}
        for item in FOLDERS + GGUFS:
            name, _, kind = item.partition("-")
            if kind: path = os.path.join(out, item + ".gguf"); gguf_llama.write(folders[name], path, kind.upper())
            else: path = shutil.copytree(folders[name], os.path.join(out, item))
            with open(os.path.join(out, item + ".logits.json"), "w") as f:
                json.dump(golden(path, AutoTokenizer.from_pretrained(folders[name])), f); f.write("\n")
    for d, _, names in os.walk(out):
        for n in names: os.chmod(os.path.join(d, n), 0o644)
    reference.manifest(out, "tools/golden_logits.py", PACKAGES)


if __name__ == "__main__": main()
