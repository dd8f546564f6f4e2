#!/usr/bin/env python3
"""Writes tests/golden/quant: random blocks of every quantised format and the values that the gguf package gives them,
or ggml itself where the package has none.

usage: golden_quants.py [OUT]     (default tests/golden)

NAME.blocks: the blocks; NAME.values: their elements, f32, little-endian. Scales are finite halves of any size, subnormal and negative
ones among them, then infinities and a NaN; all other bytes are uniform."""
import ctypes, glob, importlib.util, os, shutil, sys, zlib
import numpy as np
import gguf
from gguf import GGMLQuantizationType as Type
import reference

# bytes of a block, places of its halves, blocks in the file
KINDS = {"Q4_0": (18, [0], 40), "Q4_1": (20, [0, 2], 40), "Q8_0": (34, [0], 40),
         "Q4_K": (144, [0, 2], 6), "Q5_K": (176, [0, 2], 6), "Q6_K": (210, [208], 6),
         "Q5_0": (22, [0], 12), "Q5_1": (24, [0, 2], 12), "Q2_K": (84, [80, 82], 4), "Q3_K": (110, [108], 4), "IQ4_NL": (18, [0], 12),
         "IQ4_XS": (136, [0], 4), "IQ1_S": (50, [0], 4), "IQ1_M": (56, [], 4), "IQ2_XXS": (66, [0], 4), "IQ2_XS": (74, [0], 4), "IQ2_S": (82, [0], 4),
         "IQ3_XXS": (98, [0], 4), "IQ3_S": (110, [0], 4), "TQ1_0": (54, [52], 4), "TQ2_0": (66, [64], 4), "MXFP4": (17, [], 12), "NVFP4": (36, [], 6),
         "Q8_K": (292, [], 4), "Q1_0": (18, [0], 6), "Q2_0": (18, [0], 6)}
GGML = {"Q8_K": ("q8_K", 256), "Q1_0": ("q1_0", 128), "Q2_0": ("q2_0", 64)}  # ggml's name, values of a block


def blocks(name):
    size, halves, count = KINDS[name]
    draw = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    out = draw.integers(0, 256, (count, size), dtype=np.uint8)
    for place in halves:
        h = draw.integers(0, 0x7C00, count, dtype=np.uint16) | draw.integers(0, 2, count, dtype=np.uint16) << np.uint16(15)
        h[::5] &= 0x83FF  # subnormal
        out[:, place:place + 2] = h.astype("<u2").view(np.uint8).reshape(count, 2)
    if name == "IQ1_M": out[:, 55] &= 0xBF  # the top of d's exponent: finite
    if name == "Q8_K": out[:, :4] = (draw.standard_normal(count) * 10.0 ** draw.integers(-38, 36, count)).astype("<f4").view(np.uint8).reshape(count, 4)
    extreme = out[:3].copy()
    for place in halves: extreme[:, place:place + 2] = np.array([0x7C00, 0xFC00, 0x7E01], "<u2").view(np.uint8).reshape(3, 2)
    return np.concatenate([out, extreme]) if halves else out


def dequantize(name, data):
    if name not in GGML: return gguf.quants.dequantize(data, Type[name]).astype("<f4")
    called, block = GGML[name]
    values = np.zeros(len(data) * block, "<f4")
    getattr(ggml(), "dequantize_row_" + called)(data.ctypes.data_as(ctypes.c_void_p), values.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(values.size))
    return values


def ggml():
    folder = os.path.dirname(importlib.util.find_spec("llama_cpp").origin)
    return ctypes.CDLL(glob.glob(os.path.join(folder, "lib", "libggml-base.*"))[0])


def main():
    out = os.path.join(sys.argv[1] if len(sys.argv) > 1 else reference.GOLDEN, "quant")
    shutil.rmtree(out, ignore_errors=True); os.makedirs(out)
    for name in KINDS:
        data = blocks(name)
        values = dequantize(name, data)
        for kind, x in (("blocks", data), ("values", values)):
            with open(os.path.join(out, f"{name.lower()}.{kind}"), "wb") as f: f.write(x.tobytes())
    reference.manifest(out, "tools/golden_quants.py", ["gguf", "llama_cpp_python", "numpy"])


if __name__ == "__main__": main()
