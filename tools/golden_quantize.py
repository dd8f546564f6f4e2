#!/usr/bin/env python3
"""Writes tests/golden/quantize/quantize.safetensors: rows of hard numbers, and the codes, scales and minimums that mlx and bitsandbytes
make of them on the CPU.

usage: golden_quantize.py [OUT]     (default tests/golden)

mlx: DTYPE.values (rows, 384), and for each MODE-BITS-GROUP-DTYPE .codes, .scales and (affine) .mins; mode and dtype as in mlx. The last
rows hold what is huge or not finite; only affine gets them. bitsandbytes: nf4-N.values (N numbers), .codes, .scales;
nested.absmax, .offset (its mean), .codes, .outer, .map."""
import os, shutil, sys
import mlx.core as mx
import numpy as np, torch
import bitsandbytes.functional as F
from safetensors.torch import save_file
import judge_quantized, reference

COLS, SPECIAL = 384, 2
DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}
LARGE, SMALL = {"float32": 1e8, "float16": 5e3, "bfloat16": 1e8}, {"float32": 2e-36, "float16": 2e-6, "bfloat16": 2e-36}


def hard(dtype):
    """Rows: spread over magnitudes; groups of zeros, of one number, of one sign; ties; large; small; special."""
    draw = np.random.Generator(np.random.PCG64(7))
    w = draw.standard_normal((6 + SPECIAL, COLS)).astype(np.float32)
    w[0] *= np.exp2(draw.integers(-9, 3, COLS // 16)).repeat(16)
    w[1, :128], w[1, 128:160], w[1, 160:192], w[1, 192:256], w[1, 256:384] = 0, 0.7, -0.7, -np.abs(w[1, 192:256]), 3 + np.abs(w[1, 256:384])
    w[2] = (np.arange(COLS) % 67 - 20) / 4  # halves of steps, on both sides of zero
    w[3] = np.tile([-0.0, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, -0.25, -0.75, -1.25, -1.75, -2.5, -3.5, -5, 6], COLS // 16)
    w[4], w[5] = w[4] * LARGE[dtype], w[5] * SMALL[dtype]
    w[6, [3, 100]], w[6, [200, 201]], w[7, 5], w[7, 300:] = np.inf, [np.inf, -np.inf], np.nan, np.nan
    if dtype != "float16": w[7, 64:192] *= 1e37
    return mx.array(w).astype(DTYPES[dtype])


def mlx_entries():
    modes = [("affine", b, g) for b in (2, 3, 4, 5, 6, 8) for g in (32, 64, 128)] + [("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16)]
    for dtype in DTYPES:
        w = hard(dtype)
        yield f"{dtype}.values", judge_quantized.to_torch(w)
        for mode, bits, group in modes:
            made = mx.quantize(w if mode == "affine" else w[:-SPECIAL], group_size=group, bits=bits, mode=mode)
            for part, value in zip(("codes", "scales", "mins"), made):
                yield f"{mode}-{bits}-{group}-{dtype}.{part}", judge_quantized.to_torch(value.view(mx.uint8) if part == "codes" else value)


def bnb_entries():
    draw = np.random.Generator(np.random.PCG64(8))
    for n in (64 * 12, 64 * 5 + 30, 64 * 3 + 7, 64 + 10, 6):
        x = draw.standard_normal(n).astype(np.float32) * np.exp2(draw.integers(-9, 3, n // 32 + 1)).repeat(32)[:n].astype(np.float32)
        if n == 74: x[64:] = 0
        if n > 600: x[:64], x[64:128], x[130], x[200], x[260:320], x[320:384] = 0, -0.7, np.inf, np.nan, 1e-41, np.linspace(-1, 1, 64)
        packed, state = F.quantize_4bit(torch.from_numpy(x), blocksize=64, quant_type="nf4", compress_statistics=False)
        yield f"nf4-{n}.values", torch.from_numpy(x)
        yield f"nf4-{n}.codes", packed.flatten()
        yield f"nf4-{n}.scales", state.absmax
    absmax = torch.from_numpy(np.abs(draw.standard_normal(700)).astype(np.float32)); absmax[3:9] = 0
    offset = absmax.mean()
    codes, state = F.quantize_blockwise(absmax - offset, blocksize=256)
    yield from (("nested.absmax", absmax), ("nested.offset", offset.reshape(1)), ("nested.codes", codes), ("nested.outer", state.absmax), ("nested.map", state.code))


def main():
    out = os.path.join(sys.argv[1] if len(sys.argv) > 1 else reference.GOLDEN, "quantize")
    shutil.rmtree(out, ignore_errors=True); os.makedirs(out)
    save_file({k: v.contiguous() for k, v in (*mlx_entries(), *bnb_entries())}, os.path.join(out, "quantize.safetensors"))
    reference.manifest(out, "tools/golden_quantize.py", ["mlx", "bitsandbytes", "numpy"])


if __name__ == "__main__": main()
