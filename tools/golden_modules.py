#!/usr/bin/env python3
"""Writes tests/golden/modules/modules.safetensors: a matrix of 32 x 32 as the module of a folder in every quantised scheme, with the values
that judge_quantized.py's makers give it.

usage: golden_modules.py [OUT]     (default tests/golden)

Tensors of a scheme: "SCHEME|ENDING", ENDING what stands behind the module's name, and "SCHEME|values" (f32). Metadata: SCHEME, the part of
config.json that tells it. Blocks of 32: bitsandbytes on the CPU
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


def main():
    out = os.path.join(sys.argv[1] if len(sys.argv) > 1 else reference.GOLDEN, "modules")
    shutil.rmtree(out, ignore_errors=True); os.makedirs(out)
    tensors = {}
    for name, (make, _, _) in SCHEMES.items():
        w = torch.from_numpy(np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal((32, 32)).astype(np.float32))
        made, values = make("", w)
        tensors |= {f"{name}|{k}": v for k, v in made.items()} | {f"{name}|values": values.float()}
    save_file({k: v.clone().contiguous() for k, v in tensors.items()}, os.path.join(out, "modules.safetensors"), {n: json.dumps(s[1]) for n, s in SCHEMES.items()})
    reference.manifest(out, "tools/golden_modules.py", ["mlx", "bitsandbytes", "transformers", "numpy"])


if __name__ == "__main__": main()
