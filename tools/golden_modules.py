#!/usr/bin/env python3
"""Writes tests/golden/modules/modules.safetensors: a matrix of 32 x 32 as the module of a folder in every quantised scheme, with the values
that judge_quantized.py's makers give it; and the seeds of tests/fuzz/fuzz_folder.c, a tiny model in each.

usage: golden_modules.py [OUT]     (default tests/golden)

Tensors of a scheme: "SCHEME|ENDING", ENDING what stands behind the module's name, and "SCHEME|values" (f32). configs.json: the part of
config.json that tells each scheme. Blocks of 32: bitsandbytes on the CPU
gives rows that are shorter than a block the first block's scale."""
import json, os, shutil, sys, zlib
import numpy as np, torch
from safetensors.torch import save_file
import judge_quantized as q, reference

SCHEMES = {f"mlx affine {b}": q.mlx("affine", b, 32, "bfloat16") for b in (2, 3, 4, 5, 6, 8)}
SCHEMES |= {"mlx mxfp4": q.mlx("mxfp4", 4, 32, "bfloat16"), "mlx mxfp8": q.mlx("mxfp8", 8, 32, "bfloat16"), "mlx nvfp4": q.mlx("nvfp4", 4, 16, "bfloat16")}
SCHEMES |= {"nf4": q.bnb4("nf4", False, 32), "nf4 double": q.bnb4("nf4", True, 32), "fp4 double": q.bnb4("fp4", True, 32), "bitsandbytes int8": q.bnb8()}
SCHEMES |= {f"gptq {b}": q.gptq(b, 32) for b in (2, 3, 4, 8)} | {"gptq asymmetric, desc_act": q.gptq(4, 16, False, True), "gptq v2": q.gptq(4, 32, False, False, True), "awq": q.awq(32)}
SCHEMES |= {"compressed int4": q.compressed(4, 32), "compressed int8, asymmetric": q.compressed(8, 32, False), "compressed nvfp4": q.fp4("nvfp4"), "compressed mxfp4": q.fp4("mxfp4"),
            "compressed int8 rows": q.fp8("row", True), "fp8 matrix": q.fp8("tensor"), "fp8 rows": q.fp8("row"), "mxfp4 of gpt-oss": q.mxfp4()}

# The tiny Llama of tests/fuzz/fuzz_folder.c.
LAYER = "model.layers.0."
PLAIN = {"model.embed_tokens.weight": (8, 32), "model.norm.weight": (32,), **{f"{LAYER}{n}.weight": (32,) for n in ("input_layernorm", "post_attention_layernorm")},
         **{f"{LAYER}{n}.weight": (32, 32) for n in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")}}
DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.uint8: "U8", torch.int8: "I8", torch.int32: "I32", torch.uint32: "U32", torch.int64: "I64",
          torch.float8_e4m3fn: "F8_E4M3"}


def seed(name, made, config):
    """The scheme as q_proj and o_proj of that model: what the fuzz target reads."""
    lines = [json.dumps(config)] + [f"{n} F32 {' '.join(map(str, s))}" for n, s in PLAIN.items() if "q_proj" not in n and "o_proj" not in n]
    for module in ("q_proj", "o_proj"):
        for ending, t in made.items():
            text = "=" + bytes(t.tolist()).decode() if "quant_state" in ending else ""
            lines.append(" ".join([f"{LAYER}self_attn.{module}{ending}", DTYPES[t.dtype], *map(str, t.shape)]) + text)
    folder = os.path.join(reference.ROOT, "tests", "fuzz", "corpus", "folder")
    os.makedirs(folder, exist_ok=True)
    open(os.path.join(folder, name.replace(" ", "_").replace(",", "")), "w").write("\n".join(lines) + "\n")


def main():
    out = os.path.join(sys.argv[1] if len(sys.argv) > 1 else reference.GOLDEN, "modules")
    shutil.rmtree(out, ignore_errors=True); os.makedirs(out)
    tensors = {}
    for name, (make, config, _) in SCHEMES.items():
        w = torch.from_numpy(np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal((32, 32)).astype(np.float32))
        made, values = make("", w)
        seed(name, made, config)
        tensors |= {f"{name}|{k}": v for k, v in made.items()} | {f"{name}|values": values.float()}
    save_file({k: v.clone().contiguous() for k, v in tensors.items()}, os.path.join(out, "modules.safetensors"))
    json.dump({n: s[1] for n, s in SCHEMES.items()}, open(os.path.join(out, "configs.json"), "w"), indent=1)
    reference.manifest(out, "tools/golden_modules.py", ["mlx", "bitsandbytes", "transformers", "numpy"])


if __name__ == "__main__": main()
