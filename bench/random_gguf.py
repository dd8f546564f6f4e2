#!/usr/bin/env python3
"""A GGUF file with random weights of a known model's shape, for measuring speed and memory where the model itself is not at hand.

usage: random_gguf.py SHAPE TYPE FILE.gguf [--seed N] [--context N] [--layers N] [--tokenizer tokenizer.json]
SHAPE: smollm2-135m, tinyllama-1.1b, tinyllama-8-layers, llama-2-7b, mistral-7b, llama-3-8b, tiny. TYPE: what TYPES below lists (every matrix; norms are f32 ones).

Needs nothing but Python. Matrices are cut from a pool of random blocks at random places, so that writing costs little more than the disk does;
weights are of the size 0.58 / sqrt(columns), so that activations stay near 1. The tokenizer is GPT-2's bytes, a few control tokens and fillers:
enough for lorac and llama.cpp to open the file, of no use for text; or, with --tokenizer, that of Llama 3 from its file."""
import argparse, json, math, random, struct

SHAPES = {  # width, ffn, layers, heads, kv heads, vocabulary, context, rope base, head tied to the embedding
    "tiny": (512, 768, 2, 8, 4, 512, 512, 10000.0, False),
    "smollm2-135m": (576, 1536, 30, 9, 3, 49152, 8192, 100000.0, True),
    "tinyllama-1.1b": (2048, 5632, 22, 32, 4, 32000, 2048, 10000.0, False),
    "tinyllama-8-layers": (2048, 5632, 8, 32, 4, 32000, 2048, 10000.0, False),
    "llama-2-7b": (4096, 11008, 32, 32, 32, 32000, 4096, 10000.0, False),
    "mistral-7b": (4096, 14336, 32, 32, 8, 32000, 32768, 10000.0, False),
    "llama-3-8b": (4096, 14336, 32, 32, 8, 128256, 8192, 500000.0, False),
}
TYPES = {  # ggml type, llama.cpp's file type, weights in a block, its bytes
    "f16": (1, 1, 1, 2), "bf16": (30, 32, 1, 2), "q4_0": (2, 2, 32, 18), "q4_1": (3, 3, 32, 20), "q5_0": (6, 8, 32, 22), "q5_1": (7, 9, 32, 24), "q8_0": (8, 7, 32, 34),
    "q2_k": (10, 10, 256, 84), "q3_k": (11, 12, 256, 110), "q4_k": (12, 14, 256, 144), "q5_k": (13, 16, 256, 176), "q6_k": (14, 18, 256, 210),
    "iq4_nl": (20, 25, 32, 18), "iq4_xs": (23, 30, 256, 136), "iq3_xxs": (18, 23, 256, 98), "iq3_s": (21, 26, 256, 110), "iq2_xxs": (16, 19, 256, 66),
    "iq2_xs": (17, 20, 256, 74), "iq2_s": (22, 28, 256, 82), "iq1_s": (19, 24, 256, 50), "tq1_0": (34, 36, 256, 54), "tq2_0": (35, 37, 256, 66), "mxfp4": (39, 38, 32, 17),
}
# Where a block has its f16 scales, and what one over sqrt(columns) is divided by there.
SCALES = {
    "q4_0": [(0, 8)], "q4_1": [(0, 8), (2, -8 / 7.5)], "q5_0": [(0, 16)], "q5_1": [(0, 16), (2, -16 / 15.5)], "q8_0": [(0, 128)], "q2_k": [(80, 15), (82, 10)],
    "q3_k": [(108, 73)], "q4_k": [(0, 8 * 32), (2, 8 * 32 / 7.5)], "q5_k": [(0, 16 * 32), (2, 16 * 32 / 15.5)], "q6_k": [(208, 2300)], "iq4_nl": [(0, 124)],
    "iq4_xs": [(0, 2300)], "iq3_xxs": [(0, 250)], "iq3_s": [(0, 220)], "iq2_xxs": [(0, 100)], "iq2_xs": [(0, 100)], "iq2_s": [(0, 100)], "iq1_s": [(0, 12)],
    "tq1_0": [(52, 1.4)], "tq2_0": [(64, 1.4)],
}
F32, ALIGNMENT, POOL = 0, 32, 4 << 20
U32, FLOAT32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5  # types of metadata


# ---- random blocks ----------------------------------------------------------------------------

def half(x): return struct.pack("<e", x)


def put_everywhere(pool, size, at, value):
    """value at byte `at` of every block of `size` bytes."""
    for i, byte in enumerate(value): pool[at + i::size] = bytes([byte]) * (len(pool) // size)


def pool_of(kind, cols, rng):
    """About 4 MiB of blocks whose weights have a standard deviation near 0.58 / sqrt(cols)."""
    size, unit = TYPES[kind][3], 1 / math.sqrt(cols)
    pool = bytearray(rng.randbytes(POOL // size * size))
    if kind in SCALES:
        for at, over in SCALES[kind]: put_everywhere(pool, size, at, half(unit / over))
    elif kind == "mxfp4": put_everywhere(pool, size, 0, bytes([127 + round(math.log2(unit / 5))]))  # a power of two
    else:  # f16, bf16: the high byte is the sign and one exponent, the low byte random bits of the mantissa
        high = (half(unit / 2) if kind == "f16" else struct.pack("<f", unit / 2)[2:])[1]
        pool[1::2] = pool[1::2].translate(bytes(high | (i & 128) for i in range(256)))
    return pool


def write_matrix(out, pool, size, total, rng):
    view = memoryview(pool)
    while total:
        start = rng.randrange(len(pool) // size // 2) * size
        piece = view[start:start + min(total, len(pool) - start)]
        out.write(piece); total -= len(piece)


# ---- metadata ---------------------------------------------------------------------------------

def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def entry(key, kind, value):
    plain = {U32: "<I", FLOAT32: "<f", BOOL: "<?"}
    return text(key) + struct.pack("<I", kind) + (text(value) if kind == STRING else struct.pack(plain[kind], value))


def array(key, kind, packed, count): return text(key) + struct.pack("<IIQ", ARRAY, kind, count) + packed


def byte_letters():
    """GPT-2's letters of the 256 bytes: printable ones stand for themselves, the others for U+0100 and on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(others))]


def tokenizer_of(path, vocab):
    """Llama 3's, whose control tokens are its added ones."""
    t = json.load(open(path))
    added = {a["id"]: a["content"] for a in t["added_tokens"]}
    names = {i: s for s, i in t["model"]["vocab"].items()} | added
    merges = [m if isinstance(m, str) else " ".join(m) for m in t["model"]["merges"]]
    return [entry("tokenizer.ggml.model", STRING, "gpt2"), entry("tokenizer.ggml.pre", STRING, "llama-bpe"),
            array("tokenizer.ggml.tokens", STRING, b"".join(text(names[i]) for i in range(vocab)), vocab),
            array("tokenizer.ggml.token_type", I32, struct.pack(f"<{vocab}i", *(3 if i in added else 1 for i in range(vocab))), vocab),
            array("tokenizer.ggml.merges", STRING, b"".join(map(text, merges)), len(merges)),
            entry("tokenizer.ggml.bos_token_id", U32, 128000), entry("tokenizer.ggml.eos_token_id", U32, 128001)]


def tokenizer(vocab):
    control = ["<|endoftext|>", "<s>", "</s>"]
    tokens = control + byte_letters() + ["th"]
    tokens += [f"filler{i}" for i in range(len(tokens), vocab)]
    types = [3] * len(control) + [1] * (vocab - len(control))
    return [entry("tokenizer.ggml.model", STRING, "gpt2"), entry("tokenizer.ggml.pre", STRING, "gpt-2"),
            array("tokenizer.ggml.tokens", STRING, b"".join(map(text, tokens)), vocab),
            array("tokenizer.ggml.token_type", I32, struct.pack(f"<{vocab}i", *types), vocab),
            array("tokenizer.ggml.merges", STRING, text("t h"), 1),
            entry("tokenizer.ggml.bos_token_id", U32, 1), entry("tokenizer.ggml.eos_token_id", U32, 2),
            entry("tokenizer.ggml.add_bos_token", BOOL, False)]


def metadata(name, shape, kind, tokens):
    width, ffn, layers, heads, kv, vocab, context, base, _ = shape
    numbers = {"context_length": context, "embedding_length": width, "block_count": layers, "feed_forward_length": ffn, "attention.head_count": heads,
               "attention.head_count_kv": kv, "rope.dimension_count": width // heads, "vocab_size": vocab}
    return [entry("general.architecture", STRING, "llama"), entry("general.name", STRING, f"random {name}"), entry("general.file_type", U32, TYPES[kind][1]),
            *[entry("llama." + key, U32, value) for key, value in numbers.items()],
            entry("llama.rope.freq_base", FLOAT32, base), entry("llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5),
            *(tokenizer_of(tokens, vocab) if tokens else tokenizer(vocab))]


# ---- tensors ----------------------------------------------------------------------------------

def tensors(shape):
    """(name, rows, columns), rows 0 for a vector."""
    width, ffn, layers, heads, kv, vocab, _, _, tied = shape
    narrow = width // heads * kv
    yield "token_embd.weight", vocab, width
    for i in range(layers):
        for name, rows, cols in (("attn_norm", 0, width), ("attn_q", width, width), ("attn_k", narrow, width), ("attn_v", narrow, width),
                                 ("attn_output", width, width), ("ffn_norm", 0, width), ("ffn_gate", ffn, width), ("ffn_up", ffn, width), ("ffn_down", width, ffn)):
            yield f"blk.{i}.{name}.weight", rows, cols
    yield "output_norm.weight", 0, width
    if not tied: yield "output.weight", vocab, width


def padded(n): return -(-n // ALIGNMENT) * ALIGNMENT


def write(path, name, shape, kind, seed, tokens):
    ggml, _, block, size = TYPES[kind]
    rng, pools, infos, sizes, offset = random.Random(seed), {}, [], [], 0
    for tensor, rows, cols in tensors(shape):
        if rows and cols % block: raise SystemExit(f"{tensor}: rows of {cols} do not fill {kind} blocks of {block}")
        dims = (cols, rows) if rows else (cols,)
        infos.append(text(tensor) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, ggml if rows else F32, offset))
        sizes.append(rows * cols // block * size if rows else 4 * cols)
        offset += padded(sizes[-1])
    entries = metadata(name, shape, kind, tokens)
    with open(path, "wb", buffering=0) as out:
        head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(entries)) + b"".join(entries) + b"".join(infos)
        out.write(head.ljust(padded(len(head)), b"\0"))
        for (_, rows, cols), total in zip(tensors(shape), sizes):
            if not rows: out.write(struct.pack("<f", 1) * cols)
            else:
                if cols not in pools: pools[cols] = pool_of(kind, cols, rng)
                write_matrix(out, pools[cols], size, total, rng)
            out.write(bytes(padded(total) - total))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("shape", choices=SHAPES); p.add_argument("type", choices=TYPES); p.add_argument("file")
    p.add_argument("--seed", type=int, default=0); p.add_argument("--context", type=int, help="context length, in place of the model's own")
    p.add_argument("--layers", type=int, help="layers, in place of the model's own number")
    p.add_argument("--tokenizer", help="a tokenizer.json, in place of fillers")
    a = p.parse_args()
    shape = list(SHAPES[a.shape])
    if a.layers: shape[2] = a.layers
    if a.context: shape[6] = a.context
    write(a.file, a.shape, shape, a.type, a.seed, a.tokenizer)


if __name__ == "__main__": main()
