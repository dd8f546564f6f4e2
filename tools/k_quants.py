"""Plain quantisation to ggml's k-quants, which the gguf package only reads: ranges and roundings, no search. Blocks as src/quant/k_quants.h
describes them; whatever it makes, the reference reads back with gguf."""
import numpy as np
from gguf import GGMLQuantizationType as Type

SUPER = 256


def halves(x):
    return x.astype("<f2").view(np.uint8).reshape(len(x), 2)


def divided(x, by):
    return np.divide(x, by, out=np.zeros_like(x), where=by != 0)


def six_bits(s, m):
    """s, m (n, 8) of 0 .. 63 → (n, 12) bytes."""
    first = np.concatenate([s[:, :4] | s[:, 4:] >> 4 << 6, m[:, :4] | m[:, 4:] >> 4 << 6], 1)
    return np.concatenate([first, s[:, 4:] & 15 | (m[:, 4:] & 15) << 4], 1)


def with_minimum(x, bits):
    """Q4_K, Q5_K: x (n, 8, 32)."""
    low = np.minimum(x.min(2), 0)
    scale, top = (x.max(2) - low) / (2 ** bits - 1), 63
    d, dmin = (scale.max(1) / top).astype("<f2"), (-low.min(1) / top).astype("<f2")
    wide, wide_min = d.astype("f4")[:, None], dmin.astype("f4")[:, None]
    s, m = (np.clip(np.rint(divided(v, np.broadcast_to(w, v.shape))), 0, top).astype(np.uint8) for v, w in ((scale, wide), (-low, wide_min)))
    step = (wide * s)[..., None]
    q = np.clip(np.rint(divided(x + (wide_min * m)[..., None], np.broadcast_to(step, x.shape))), 0, 2 ** bits - 1).astype(np.uint8)
    nibbles = (q[:, 0::2] & 15 | (q[:, 1::2] & 15) << 4).reshape(len(x), 128)
    fifths = [(q >> 4 << np.arange(8, dtype=np.uint8)[:, None]).sum(1, dtype=np.uint8)] if bits == 5 else []
    return np.concatenate([halves(d), halves(dmin), six_bits(s, m), *fifths, nibbles], 1)


def q6_k(x):
    x = x.reshape(-1, 16, 16)
    scale = np.abs(x).max(2) / 31
    d = (scale.max(1) / 127).astype("<f2")
    s = np.rint(divided(scale, np.broadcast_to(d.astype("f4")[:, None], scale.shape))).clip(0, 127).astype(np.int8)
    step = (d.astype("f4")[:, None] * s)[..., None]
    q = (np.clip(np.rint(divided(x, np.broadcast_to(step, x.shape))), -32, 31) + 32).astype(np.uint8).reshape(-1, 2, 4, 32)
    low = (q[:, :, :2] & 15 | (q[:, :, 2:] & 15) << 4).reshape(len(x), 128)
    high = (q >> 4 << np.array([0, 2, 4, 6], np.uint8)[:, None]).sum(2, dtype=np.uint8).reshape(len(x), 64)
    return np.concatenate([low, high, s.view(np.uint8), halves(d)], 1)


def quantize(x, kind):
    """x (rows, cols) f32 → bytes (rows, row bytes)."""
    blocks = x.reshape(-1, 8, 32)
    data = q6_k(x) if kind == Type.Q6_K else with_minimum(blocks, 4 if kind == Type.Q4_K else 5)
    return data.astype(np.uint8).reshape(x.shape[0], -1)
