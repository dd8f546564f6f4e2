#!/usr/bin/env python3
"""Writes tests/golden/quantize_ggml: a sample of a real model's rows, and the squared errors that ggml's own quantisers make of it.

usage: golden_quantize_ggml.py MODEL-F32.gguf [OUT]     (default tests/golden)

sample.bf16: rows of COLUMNS numbers; importance.f32: one a column, as an imatrix has them; errors.txt: a line for each type, its name,
sum (y - x)^2, and sum importance (y - x)^2 where ggml was given the importance."""
import ctypes, os, shutil, sys
import numpy as np
import gguf
from gguf import GGMLQuantizationType as Type
import golden_quants, reference

NAMES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4"]
TENSORS = ["blk.3.attn_q.weight", "blk.10.ffn_down.weight", "blk.20.ffn_up.weight", "blk.27.attn_v.weight", "token_embd.weight"]


COLUMNS = 256


def sample(path):
    tensors = {t.name: t for t in gguf.GGUFReader(path).tensors}
    rows = [np.asarray(tensors[n].data).reshape(int(tensors[n].shape[1]), -1)[7:21, :COLUMNS] for n in TENSORS]
    bits = np.ascontiguousarray(np.concatenate(rows), "<f4").view("<u4")
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")


def error(name, x, importance):
    block, size = gguf.GGML_QUANT_SIZES[Type[name]]
    blocks, at = np.zeros(x.size // block * size, np.uint8), lambda a: a.ctypes.data_as(ctypes.c_void_p)
    golden_quants.ggml().ggml_quantize_chunk(ctypes.c_int(Type[name]), at(x), at(blocks), ctypes.c_int64(0), ctypes.c_int64(len(x)), ctypes.c_int64(COLUMNS),
                                             None if importance is None else at(importance))
    y = gguf.quants.dequantize(blocks.reshape(1, -1), Type[name]).reshape(x.shape)
    return float(((y.astype("f8") - x) ** 2 * (1 if importance is None else importance)).sum())


def main():
    out = os.path.join(sys.argv[2] if len(sys.argv) > 2 else reference.GOLDEN, "quantize_ggml")
    shutil.rmtree(out, ignore_errors=True); os.makedirs(out)
    half = sample(sys.argv[1])
    x = (half.astype("<u4") << 16).view("<f4")
    importance = np.exp(np.random.Generator(np.random.PCG64(7)).standard_normal(COLUMNS)).astype("<f4")
    half.tofile(os.path.join(out, "sample.bf16")); importance.tofile(os.path.join(out, "importance.f32"))
    open(os.path.join(out, "errors.txt"), "w").writelines(f"{n} {error(n, x, None):.6e} {error(n, x, importance):.6e}\n" for n in NAMES)
    reference.manifest(out, "tools/golden_quantize_ggml.py", ["gguf", "llama_cpp_python", "numpy"])


if __name__ == "__main__": main()
