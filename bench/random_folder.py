#!/usr/bin/env python3
"""A quantised folder with random weights of a known model's shape, as random_gguf.py makes GGUF files: for speed and memory alone.

usage: random_folder.py SHAPE SCHEME FOLDER
SHAPE: those of random_gguf.py. SCHEME: affine-BITS-GROUP, mxfp4, mxfp8, nvfp4 (MLX's, embedding and head too), nf4, int8 (bitsandbytes'), fp8 (by blocks).

Needs nothing but Python. Codes are cut from a pool of random bytes; scales are all alike."""
import json, os, random, struct, sys
import random_gguf

POOL = 4 << 20


def bf16(x): return struct.pack("<f", x)[2:]
def f32(x): return struct.pack("<f", x)


def module(scheme, rows, cols):
    """(ending, dtype, shape, bytes of one number or None for random ones) of each tensor; config.json's object."""
    unit = 1 / cols ** 0.5
    if scheme.startswith("affine"):
        bits, group = map(int, scheme.split("-")[1:])
        scale = unit * 2 / 2 ** bits
        return [("weight", "U32", [rows, cols * bits // 32], None), ("scales", "BF16", [rows, cols // group], bf16(scale)),
                ("biases", "BF16", [rows, cols // group], bf16(-scale * (2 ** bits - 1) / 2))], {"quantization": {"bits": bits, "group_size": group}}
    if scheme in ("mxfp4", "mxfp8", "nvfp4"):
        bits, group, scale = (8, 32, 0x6C) if scheme == "mxfp8" else (4, 32, 0x78) if scheme == "mxfp4" else (4, 16, 0x10)
        return [("weight", "U32", [rows, cols * bits // 32], None), ("scales", "U8", [rows, cols // group], bytes([scale]))], {
            "quantization": {"bits": bits, "group_size": group, "mode": scheme}}
    method = {"quant_method": "bitsandbytes"}
    if scheme == "nf4":
        state = json.dumps({"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [rows, cols]}).encode()
        return [("weight", "U8", [rows * cols // 2, 1], None), ("weight.absmax", "F32", [rows * cols // 64], f32(unit)), ("weight.quant_map", "F32", [16], f32(0)),
                ("weight.quant_state.bitsandbytes__nf4", "U8", [len(state)], state)], {"quantization_config": method | {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}}
    if scheme == "int8":
        return [("weight", "I8", [rows, cols], None), ("SCB", "F32", [rows], f32(unit))], {"quantization_config": method | {"load_in_8bit": True}}
    blocks = [-(-rows // 128), -(-cols // 128)]
    return [("weight", "F8_E4M3", [rows, cols], None), ("weight_scale_inv", "F32", blocks, f32(unit / 64))], {
        "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}


def names(shape):
    """(module, rows, columns), rows 0 for a vector, under Hugging Face's names."""
    short = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
             "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    for name, rows, cols in random_gguf.tensors(shape):
        parts = name.split(".")
        if parts[0] == "blk": yield f"model.layers.{parts[1]}.{short[parts[2]]}", rows, cols
        else: yield {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}[parts[0]], rows, cols


def tensors(shape, scheme):
    """(name, dtype, shape, bytes of one number or None)."""
    mlx = scheme in ("mxfp4", "mxfp8", "nvfp4") or scheme.startswith("affine")
    for name, rows, cols in names(shape):
        if not rows: yield f"{name}.weight", "BF16", [cols], bf16(1)
        elif mlx or name.startswith("model.layers"):
            for ending, dtype, size, number in module(scheme, rows, cols)[0]: yield f"{name}.{ending}", dtype, size, number
        else: yield f"{name}.weight", "BF16", [rows, cols], bf16(1 / cols ** 0.5)


SIZES = {"U32": 4, "F32": 4, "BF16": 2, "U8": 1, "I8": 1, "F8_E4M3": 1}


def count(dtype, shape):
    n = SIZES[dtype]
    for s in shape: n *= s
    return n


def write(path, shape, scheme):
    rng, header, at, listed = random.Random(0), {}, 0, list(tensors(shape, scheme))
    listed.sort(key=lambda t: -SIZES[t[1]])
    for name, dtype, size, _ in listed:
        header[name] = {"dtype": dtype, "shape": size, "data_offsets": [at, at + count(dtype, size)]}
        at += count(dtype, size)
    head = json.dumps(header).encode()
    pool = bytes(b & 0xBF for b in rng.randbytes(POOL)) if scheme in ("fp8", "mxfp8") else rng.randbytes(POOL)  # no NaN of E4M3
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(head) + -len(head) % 8) + head + b" " * (-len(head) % 8))
        for name, dtype, size, number in listed:
            left = count(dtype, size)
            if number: out.write(number * (left // len(number))); continue
            while left: out.write(pool[:left]); left -= min(left, len(pool))


def main():
    if len(sys.argv) != 4: raise SystemExit(__doc__)
    name, scheme, folder = sys.argv[1:]
    shape = random_gguf.SHAPES[name]
    width, ffn, layers, heads, kv, vocab, context, base, tied = shape
    os.makedirs(folder)
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": width, "intermediate_size": ffn, "num_hidden_layers": layers, "num_attention_heads": heads,
              "num_key_value_heads": kv, "vocab_size": vocab, "max_position_embeddings": context, "rope_theta": base, "rms_norm_eps": 1e-5, "tie_word_embeddings": tied,
              "eos_token_id": 1, "hidden_act": "silu"} | module(scheme, width, width)[1]
    json.dump(config, open(os.path.join(folder, "config.json"), "w"))
    letters = random_gguf.byte_letters()
    vocabulary = {t: i for i, t in enumerate(letters + [f"filler{i}" for i in range(len(letters), vocab)])}
    json.dump({"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": vocabulary, "merges": []}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
               "decoder": {"type": "ByteLevel"}}, open(os.path.join(folder, "tokenizer.json"), "w"))
    write(os.path.join(folder, "model.safetensors"), shape, scheme)


if __name__ == "__main__": main()
