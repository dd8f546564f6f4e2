#!/usr/bin/env python3
"""Adapters with random weights in PEFT's form for a model, for measuring what adapters cost.

usage: random_adapter.py MODEL FOLDER [--count N] [--rank 16] [--seed N]
MODEL: a GGUF file of the Llama architecture or a Hugging Face folder; its shape is read, nothing else. FOLDER becomes the adapter; with --count N,
FOLDER-1 … FOLDER-N become N different ones. Every linear of every layer, A and B in bf16, scale 1; A and B are small, so that activations stay finite.

Needs nothing but Python."""
import argparse, json, os, random, struct

ATTENTION, MLP = "self_attn", "mlp"


# ---- the model's shape ------------------------------------------------------------------------

PLAIN = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


def read(file, kind):
    fields = struct.Struct("<" + kind)
    return fields.unpack(file.read(fields.size))[0]


def read_text(file): return file.read(read(file, "Q")).decode("utf-8", "replace")


def read_value(file, kind):
    if kind in PLAIN: return read(file, PLAIN[kind])
    if kind == STRING: return read_text(file)
    if kind != ARRAY: raise SystemExit(f"metadata of type {kind}")
    element, count = read(file, "I"), read(file, "Q")
    for _ in range(count): read_value(file, element)  # no list matters here


def gguf_shape(path):
    with open(path, "rb") as file:
        if file.read(4) != b"GGUF": raise SystemExit(f"{path}: not a GGUF file")
        _, _, entries = read(file, "I"), read(file, "Q"), read(file, "Q")
        values = {read_text(file): read_value(file, read(file, "I")) for _ in range(entries)}
    get = lambda key: values["llama." + key]
    heads = get("attention.head_count")
    head = values.get("llama.attention.key_length", get("embedding_length") // heads)
    return get("embedding_length"), get("feed_forward_length"), get("block_count"), heads * head, values.get("llama.attention.head_count_kv", heads) * head


def folder_shape(path):
    c = json.load(open(os.path.join(path, "config.json")))
    heads = c["num_attention_heads"]
    head = c.get("head_dim") or c["hidden_size"] // heads
    return c["hidden_size"], c["intermediate_size"], c["num_hidden_layers"], heads * head, c.get("num_key_value_heads", heads) * head


def linears(shape):
    """(module, inputs, outputs) of one layer."""
    width, ffn, _, query, narrow = shape
    return [(f"{ATTENTION}.q_proj", width, query), (f"{ATTENTION}.k_proj", width, narrow), (f"{ATTENTION}.v_proj", width, narrow), (f"{ATTENTION}.o_proj", query, width),
            (f"{MLP}.gate_proj", width, ffn), (f"{MLP}.up_proj", width, ffn), (f"{MLP}.down_proj", ffn, width)]


# ---- the adapter ------------------------------------------------------------------------------

def random_bf16(rng, count):
    """Values of either sign between 1/128 and 1/64 in size: the high byte is fixed but for the sign, the low byte is random."""
    values = bytearray(rng.randbytes(2 * count))
    values[0::2] = values[0::2].translate(bytes(i & 127 for i in range(256)))
    values[1::2] = values[1::2].translate(bytes(0x3C | (i & 128) for i in range(256)))
    return values


def write(folder, base, shape, rank, seed):
    rng, header, parts, end = random.Random(seed), {"__metadata__": {"format": "pt"}}, [], 0
    for layer in range(shape[2]):
        for module, inputs, outputs in linears(shape):
            for part, rows, cols in (("A", rank, inputs), ("B", outputs, rank)):
                parts.append(random_bf16(rng, rows * cols))
                header[f"base_model.model.model.layers.{layer}.{module}.lora_{part}.weight"] = {
                    "dtype": "BF16", "shape": [rows, cols], "data_offsets": [end, end + len(parts[-1])]}
                end += len(parts[-1])
    os.makedirs(folder, exist_ok=True)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "adapter_model.safetensors"), "wb") as out: out.writelines([struct.pack("<Q", len(text)), text, *parts])
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "r": rank, "lora_alpha": rank, "lora_dropout": 0.0, "bias": "none",
              "target_modules": [module.split(".")[1] for module, _, _ in linears(shape)], "inference_mode": True}
    with open(os.path.join(folder, "adapter_config.json"), "w") as out: json.dump(config, out, indent=1)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model"); p.add_argument("folder"); p.add_argument("--count", type=int)
    p.add_argument("--rank", type=int, default=16); p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    shape = folder_shape(a.model) if os.path.isdir(a.model) else gguf_shape(a.model)
    base = os.path.basename(os.path.abspath(a.model))
    folders = [a.folder] if a.count is None else [f"{a.folder}-{i + 1}" for i in range(a.count)]
    for i, folder in enumerate(folders): write(folder, base, shape, a.rank, a.seed + i)


if __name__ == "__main__": main()
