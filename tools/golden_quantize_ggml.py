#!/usr/bin/env python3
"""Writes tests/golden/quantize_ggml: a sample of a real model's rows, and the squared error that ggml's own quantisers make of it.

usage: golden_quantize_ggml.py MODEL-F32.gguf [OUT]     (default tests/golden)

sample.f32: the numbers; errors.txt: a line for each type, its name and sum (y - x)^2."""
import ctypes, os, sys
import numpy as np
import gguf
from gguf import GGMLQuantizationType as Type
import golden_quants, reference

NAMES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4"]
TENSORS = ["blk.3.attn_q.weight", "blk.10.ffn_down.weight", "blk.20.ffn_up.weight", "blk.27.attn_v.weight", "token_embd.weight"]


def sample(path):
    tensors = {t.name: t for t in gguf.GGUFReader(path).tensors}
    rows = [np.asarray(tensors[n].data).reshape(int(tensors[n].shape[1]), -1)[7:19, :512].reshape(-1) for n in TENSORS]
    return np.ascontiguousarray(np.concatenate(rows), "<f4")


def error(name, x):
    block, size = gguf.GGML_QUANT_SIZES[Type[name]]
    blocks, at = np.zeros(x.size // block * size, np.uint8), lambda a: a.ctypes.data_as(ctypes.c_void_p)
    golden_quants.ggml().ggml_quantize_chunk(ctypes.c_int(Type[name]), at(x), at(blocks), ctypes.c_int64(0), ctypes.c_int64(x.size // 256), ctypes.c_int64(256), None)
    y = gguf.quants.dequantize(blocks.reshape(1, -1), Type[name]).reshape(-1)
    return float(((y.astype("f8") - x) ** 2).sum())


def main():
    out = os.path.join(sys.argv[2] if len(sys.argv) > 2 else reference.GOLDEN, "quantize_ggml")
    os.makedirs(out, exist_ok=True)
    x = sample(sys.argv[1])
    open(os.path.join(out, "sample.f32"), "wb").write(x.tobytes())
    open(os.path.join(out, "errors.txt"), "w").writelines(f"{n} {error(n, x):.6e}\n" for n in NAMES)
    reference.manifest(out, "tools/golden_quantize_ggml.py", ["gguf", "llama_cpp_python", "numpy"])


if __name__ == "__main__": main()
