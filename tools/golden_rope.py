#!/usr/bin/env python3
"""Writes tests/golden/rope/cases.json: the inverse frequencies and the attention factor that transformers gives configurations of
Llama, those of known models among them.

usage: golden_rope.py [OUT]     (default tests/golden)

A list of {"config": a config.json, "inverse": [head_dim / 2 numbers], "factor": what cos and sin are multiplied with}."""
import json, os, sys
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
import reference

PACKAGES = ["torch", "transformers"]
LLAMA31 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
CASES = [  # rope_theta, head_dim, max_position_embeddings, scaling
    (100000.0, 64, 8192, None),
    (500000.0, 128, 131072, LLAMA31),
    (500000.0, 64, 131072, LLAMA31 | {"factor": 32.0}),
    (10000.0, 128, 16384, {"rope_type": "linear", "factor": 4.0}),
    (10000.0, 128, 65536, {"rope_type": "yarn", "factor": 16.0, "original_max_position_embeddings": 4096}),
    (1000000.0, 96, 32768, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8192, "beta_fast": 24, "beta_slow": 2}),
    (10000.0, 64, 65536, {"rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 4096, "mscale": 1.0, "mscale_all_dim": 0.7}),
    (10000.0, 64, 65536, {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 4096, "attention_factor": 1.25, "truncate": False}),
]


def case(theta, head_dim, positions, scaling):
    config = {"model_type": "llama", "hidden_size": 4 * head_dim, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
              "num_key_value_heads": 2, "head_dim": head_dim, "vocab_size": 100, "max_position_embeddings": positions,
              "rope_parameters": {"rope_type": "default", "rope_theta": theta} if scaling is None else scaling | {"rope_theta": theta}}
    e = LlamaRotaryEmbedding(LlamaConfig(**config))
    return {"config": config, "inverse": [float(f"{x:.9g}") for x in e.inv_freq.tolist()], "factor": e.attention_scaling}


def main():
    out = os.path.join(sys.argv[1] if len(sys.argv) > 1 else reference.GOLDEN, "rope")
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "cases.json"), "w") as f: json.dump([case(*c) for c in CASES], f, indent=1); f.write("\n")
    reference.manifest(out, "tools/golden_rope.py", PACKAGES)


if __name__ == "__main__": main()
