#!/usr/bin/env python3
"""A copy of a Llama GGUF that computes the same function with a wider residual and more heads, padded with zeros: SmolLM2's
width of 576 fits no format with blocks of 256.

usage: pad_model.py IN.gguf OUT.gguf [--width 768] [--kind F32|F16]

The queries of one KV head stay together (9 heads over 3 become 12 over 4, each KV head still serving 3). Padded columns of the
residual are always zero: the rows that write them are zero, so that their squares add nothing to the norms; these divide by the wider
number of columns, and √(old / new) in their weights and old / new in their epsilon undo that. Added heads have zero queries, keys, values
and zero columns in the output projection. The matrices are dequantised, then stored in KIND; all metadata is kept."""
import argparse
import numpy as np
import gguf
from gguf import GGMLQuantizationType as Type, GGUFValueType as Value
from gguf.quants import dequantize

SHAPE = {"embedding_length", "attention.head_count", "attention.head_count_kv", "attention.layer_norm_rms_epsilon"}


def padded(x, *shape):
    out = np.zeros(shape, np.float32)
    out[tuple(slice(n) for n in x.shape)] = x
    return out


class Plan:
    def __init__(self, fields, width):
        get = lambda key: fields[f"llama.{key}"].contents()
        self.old, self.new = get("embedding_length"), width
        self.heads, self.kv, self.eps = get("attention.head_count"), get("attention.head_count_kv"), get("attention.layer_norm_rms_epsilon")
        self.dim, self.ratio = self.old // self.heads, self.old / width
        self.new_heads = width // self.dim
        self.new_kv = self.new_heads * self.kv // self.heads
        assert width % self.dim == 0 and self.new_heads * self.kv == self.new_kv * self.heads, "the width does not keep heads and groups whole"
        assert "llama.attention.key_length" not in fields, "heads of another size than width / heads"

    def metadata(self):
        return {"embedding_length": self.new, "attention.head_count": self.new_heads, "attention.head_count_kv": self.new_kv,
                "attention.layer_norm_rms_epsilon": self.eps * self.ratio}

    def tensor(self, name, x):
        part, q, kv = name.split(".")[-2], self.new, self.new_kv * self.dim
        if part in ("attn_norm", "ffn_norm", "output_norm"): return padded(x * np.float32(self.ratio ** 0.5), self.new)
        if part == "rope_freqs": return x
        rows = {"attn_q": q, "attn_k": kv, "attn_v": kv, "attn_output": self.new, "ffn_down": self.new}.get(part, x.shape[0])
        if x.ndim == 1: return padded(x, rows)  # a bias
        return padded(x, rows, x.shape[1] if part == "ffn_down" else q)


def copy_metadata(writer, fields, plan, kind):
    new = plan.metadata()
    for key, field in fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", "general.file_type"): continue
        short, types = key.removeprefix("llama."), field.types
        writer.add_key_value(key, new.get(short, field.contents()), types[0], sub_type=types[-1] if types[0] == Value.ARRAY else None)
    writer.add_file_type(gguf.LlamaFileType["ALL_F32" if kind == "F32" else "MOSTLY_F16"])


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("source"); p.add_argument("target"); p.add_argument("--width", type=int, default=768)
    p.add_argument("--kind", choices=["F32", "F16"], default="F32")
    a = p.parse_args()
    reader, writer = gguf.GGUFReader(a.source), gguf.GGUFWriter(a.target, "llama")
    plan = Plan(reader.fields, a.width)
    copy_metadata(writer, reader.fields, plan, a.kind)
    for t in reader.tensors:
        x = dequantize(t.data, t.tensor_type).astype(np.float32).reshape(tuple(reversed(t.shape.tolist())))
        x = plan.tensor(t.name, x)
        writer.add_tensor(t.name, x if x.ndim == 1 or a.kind == "F32" else x.astype(np.float16))
    writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()


if __name__ == "__main__": main()
