#!/usr/bin/env python3
"""Writes tests/golden/convert/tensors.json: what mlx_lm.convert makes of the small folders below tests/golden, and transformers with
bitsandbytes of one.

usage: golden_convert.py [OUT]     (default tests/golden)

A list of {"folder", "options" of lorac convert, "tensors": {name: "TYPE [shape] SHA-256's first 16 digits"}}, some with
"dequantized": the tensors that mlx_lm.convert --dequantize makes of what was written."""
import hashlib, json, os, shutil, sys, tempfile
import torch
from safetensors import safe_open
from transformers import BitsAndBytesConfig, LlamaForCausalLM
import judge_convert, reference, tiny_llama
from tensor_digests import digests
from families import mlx_folder, table

FAMILIES = sorted(set(table.FAMILIES) - {"olmo", "granite", "minicpm", "gpt2", "gpt_neox"})  # not read by mlx-lm in this form or width
MODELS = [("models/plain", "affine", 4, 32, {}), ("models/bias", "affine", 3, 32, {}), ("models/llama3", "mxfp8", 8, 32, {}), ("models/sharded", "mxfp4", 4, 32, {}),
          ("models/linear", "affine", 5, 64, {}), ("models/plain", "affine", 8, 32, {"dtype": "bfloat16"}), ("models/plain", "affine", 4, 32, {"quant_predicate": "mixed_3_6"})]


def with_tokenizer(folder, root):
    out = shutil.copytree(folder, os.path.join(root, "source"))
    if not os.path.exists(os.path.join(out, "tokenizer.json")): tiny_llama.tokenizer(False).save_pretrained(out)
    return out


def mlx(folder, mode, bits, group, more):
    with tempfile.TemporaryDirectory() as root:
        source = mlx_folder.convertible(with_tokenizer(os.path.join(reference.GOLDEN, folder), root), os.path.join(root, "convertible"))
        judge_convert.quiet(judge_convert.mlx_lm.convert, source, os.path.join(root, "out"), quantize=True, q_mode=mode, q_bits=bits, q_group_size=group, **more)
        dequantized = {}
        if folder.startswith("models") and mode != "mxfp4":  # MLX gives bf16, in a model of f16, too
            judge_convert.quiet(judge_convert.mlx_lm.convert, os.path.join(root, "out"), os.path.join(root, "numbers"), dequantize=True)
            dequantized = dict(dequantized=digests(os.path.join(root, "numbers")))
        options = ["-q", "--q-mode", mode, "--q-bits", str(bits), "--q-group-size", str(group), *(x for k, v in more.items() for x in (f"--{k.replace('_', '-')}", v))]
        return dict(folder=folder, options=options, tensors=digests(os.path.join(root, "out"))) | dequantized


def nf4(folder, double):
    with tempfile.TemporaryDirectory() as out:
        q = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double)
        LlamaForCausalLM.from_pretrained(os.path.join(reference.GOLDEN, folder), quantization_config=q, device_map="cpu").save_pretrained(out)
        kept = {k: v for k, v in digests(out).items() if not double or "absmax" not in k and "quant_state" not in k}  # their mean is a sum in torch's order
        return dict(folder=folder, options=["-q", "--q-mode", "nf4", *(["--double-quant"] if double else [])], tensors=kept)


def main():
    out = os.path.join(sys.argv[1] if len(sys.argv) > 1 else reference.GOLDEN, "convert")
    shutil.rmtree(out, ignore_errors=True); os.makedirs(out)
    cases = [mlx(*m) for m in MODELS] + [mlx(f"families/{f}", "nvfp4", 4, 16, {}) for f in FAMILIES] + [nf4("models/linear", d) for d in (False, True)]
    with open(os.path.join(out, "tensors.json"), "w") as f: json.dump(cases, f, separators=(",", ":")); f.write("\n")
    reference.manifest(out, "tools/golden_convert.py", ["mlx", "mlx-lm", "transformers", "bitsandbytes"])


if __name__ == "__main__": main()
