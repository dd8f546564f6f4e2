#!/usr/bin/env python3
"""Writes tests/golden/yarn/llama_cpp.json: llama.cpp's logits on the tiny Llama with YaRN, with keys of its scaling put into the GGUF file.

usage: golden_yarn.py [OUT]     (default tests/golden)

{"model": the file below models/ whose weights they are (llama.cpp reads them as F32, so that it computes in f32), "ids": [80],
 "cases": [{"keys": {key behind "llama.rope.scaling.": number}, "logits": [vocab] after the last id}]}"""
import json, os, shutil, struct, sys, tempfile
import gguf_llama, reference, tiny_llama
from families import verify

CASES = [{}, {"yarn_attn_factor": 1.7}, {"attn_factor": 1.3}, {"yarn_attn_factor": 0.6, "attn_factor": 0.8}]


def with_keys(source, out, keys):
    """The file with f32 metadata in front of its own; a text fills them up to a whole number of alignments."""
    text = lambda s: struct.pack("<Q", len(s)) + s.encode()
    new = b"".join(text(f"llama.rope.scaling.{k}") + struct.pack("<If", 6, v) for k, v in keys.items())
    fill = text("general.fill") + struct.pack("<I", 8)
    new += fill + text(" " * (-(len(new) + len(fill) + 8) % 32))
    data = open(source, "rb").read()
    count = struct.unpack_from("<Q", data, 16)[0] + len(keys) + 1
    open(out, "wb").write(data[:16] + struct.pack("<Q", count) + new + data[24:])


def main():
    out = os.path.join(sys.argv[1] if len(sys.argv) > 1 else reference.GOLDEN, "yarn")
    shutil.rmtree(out, ignore_errors=True); os.makedirs(out)
    ids, cases = [3 + 11 * k % 280 for k in range(80)], []
    with tempfile.TemporaryDirectory() as tmp:
        plain, path = os.path.join(tmp, "plain.gguf"), os.path.join(tmp, "keys.gguf")
        gguf_llama.write(tiny_llama.save("yarn", tmp), plain, "F32")
        for keys in CASES:
            with_keys(plain, path, keys)
            cases.append({"keys": keys, "logits": [float(f"{x:.7g}") for x in verify.llama_cpp_logits(path, ids)[-1]]})
    json.dump({"model": "yarn-f16.gguf", "ids": ids, "cases": cases}, open(os.path.join(out, "llama_cpp.json"), "w"))
    reference.manifest(out, "tools/golden_yarn.py", ["llama_cpp_python", "gguf", "transformers", "numpy"])


if __name__ == "__main__": main()
