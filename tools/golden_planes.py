#!/usr/bin/env python3
"""Writes tests/golden/planes/planes.safetensors: small matrices in every format whose scales lie apart, with the values that mlx and
bitsandbytes give them.

usage: golden_planes.py [OUT]     (default tests/golden)

Tensors of a matrix: NAME.codes, NAME.scales, NAME.mins (affine), NAME.values (f32). NAME: the format, then bits where there are some, the
group and the scales' type."""
import os, shutil, sys, zlib
import mlx.core as mx
import numpy as np, torch
from safetensors.torch import save_file
import judge_quantized, reference


def weights(name, rows=2, cols=256):
    draw = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    w = draw.standard_normal((rows, cols)).astype(np.float32) * np.exp2(draw.integers(-9, 3, (rows, cols // 16)).repeat(16, 1))
    w[0, :64] = 0  # a group of nothing
    return torch.from_numpy(w.astype(np.float32))


def entries():
    for b in (2, 3, 4, 5, 6, 8):
        for g, d in ((32, "bfloat16"), (64, "float16"), (64, "bfloat16"), (128, "float32")):
            name = f"affine-{b}-{g}-{d}"
            made, values = judge_quantized.mlx("affine", b, g, d)[0]("m", weights(name))
            yield name, made["m.weight"].view(torch.uint8), made["m.scales"], made["m.biases"], values
    for mode, b, g in (("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16)):
        name = f"{mode}-{b}-{g}-scale"
        made, values = judge_quantized.mlx(mode, b, g, "float32")[0]("m", weights(name))
        yield name, made["m.weight"].view(torch.uint8), made["m.scales"], None, values
    for kind in ("nf4", "fp4"):
        name = f"{kind}-4-64-float32"
        made, values = judge_quantized.bnb4(kind, False)[0]("m", weights(name))
        yield name, made["m.weight"].reshape(2, -1), made["m.weight.absmax"].reshape(2, -1), None, values


def main():
    out = os.path.join(sys.argv[1] if len(sys.argv) > 1 else reference.GOLDEN, "planes")
    shutil.rmtree(out, ignore_errors=True); os.makedirs(out)
    tensors = {}
    for name, codes, scales, mins, values in entries():
        tensors |= {f"{name}.codes": codes, f"{name}.scales": scales, f"{name}.values": values.float()}
        if mins is not None: tensors[f"{name}.mins"] = mins
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(out, "planes.safetensors"))
    reference.manifest(out, "tools/golden_planes.py", ["mlx", "bitsandbytes", "numpy"])


if __name__ == "__main__": main()
