#!/usr/bin/env python3
"""Writes tests/golden/quantize_mix/types.txt: which type llama.cpp's quantiser gives each matrix, in every mix, of three models.

usage: golden_quantize_mix.py MODEL.gguf PADDED.gguf [OUT]     (default tests/golden)
MODEL.gguf: the default model, whose rows super-blocks do not divide; PADDED.gguf: tools/pad_model.py's copy. Two more are written here: with
two heads of keys for eight of queries, a head of its own, and rows that 32 does not divide; and with q, k and v in one matrix. Nothing is
quantised: the types are in what a dry run prints.

    model LAYERS HEADS KV_HEADS TIED
    mix NAME WITH                   (WITH: 0 without importance, 1 with, 2 either)
    TYPE COLUMNS TENSOR ...         (NAME-M-N: blk.M.NAME.weight … blk.N.NAME.weight; NAME: NAME.weight)"""
import ctypes, os, re, shutil, sys, tempfile
import numpy as np
import gguf, llama_cpp
import reference

FTYPES = [0, 1, 32, 2, 3, 8, 9, 7, 10, 21, 11, 12, 13, 14, 15, 16, 17, 18, 25, 30]
NAMES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q2_K_S", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K",
         "IQ4_NL", "IQ4_XS"]
LINE = re.compile(r"\] +(\S+\.weight) +- \[ *(\d+), *(\d+),.*?type = +(\w+), size = [^>]*?(?:\((\w+)\)|-> .*?\((\w+)\))?\s*$")
log_lines = []


@llama_cpp.llama_log_callback
def log(level, text, _): log_lines.append(text.decode(errors="replace"))


def small(path, attention):
    """16 layers, each matrix a sliver; some rows have 48 numbers, which no block divides."""
    w = gguf.GGUFWriter(path, "llama")
    w.add_block_count(16); w.add_context_length(64); w.add_embedding_length(256); w.add_feed_forward_length(512)
    w.add_head_count(8); w.add_head_count_kv(2); w.add_layer_norm_rms_eps(1e-5); w.add_vocab_size(2)
    cols = {**{k: 256 for k in attention}, "attn_output": 256, "ffn_gate": 256, "ffn_up": 48, "ffn_down": 512}
    for name, n in {"token_embd": 256, "output": 256, **{f"blk.{i}.{k}": n for i in range(16) for k, n in cols.items()}}.items():
        w.add_tensor(name + ".weight", np.ones((2, n), "<f4"))
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


def types(path, ftype, importance):
    """{(type, columns): tensors} of the file that llama.cpp would write."""
    p, found = llama_cpp.llama_model_quantize_default_params(), {}
    p.ftype, p.allow_requantize, p.dry_run, p.nthread = ftype, True, True, 1
    if importance:
        entries = [(t.name.encode(), np.ones(int(t.shape[0]), "<f4")) for t in gguf.GGUFReader(path).tensors if len(t.shape) == 2]
        rows = (llama_cpp.llama_model_imatrix_data * (len(entries) + 1))()
        for row, (name, x) in zip(rows, entries): row.name, row.data, row.size = name, x.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), x.size
        p.imatrix = rows
    log_lines.clear()
    if llama_cpp.llama_model_quantize(path.encode(), b"none", ctypes.byref(p)): raise RuntimeError("".join(log_lines[-5:]))
    for line in "".join(log_lines).split("\n"):
        m = LINE.search(line)
        if m and int(m[3]) > 1: found.setdefault(((m[6] or m[4]).upper(), int(m[2])), []).append(m[1].removesuffix(".weight"))
    return found


def ranges(names):
    """blk.3.a, blk.4.a, b → a-3-4 b"""
    layers = {}
    for name in names:
        m = re.fullmatch(r"blk\.(\d+)\.(.*)", name)
        layers.setdefault(m[2] if m else name, []).append(int(m[1]) if m else None)
    out = []
    for name, at in sorted(layers.items()):
        if at == [None]: out.append(name); continue
        at.sort()
        starts = [i for i in at if i - 1 not in at]
        out += [f"{name}-{i}-{next(j for j in range(i, 10**6) if j + 1 not in at)}" for i in starts]
    return " ".join(out)


def main():
    out = os.path.join(sys.argv[3] if len(sys.argv) > 3 else reference.GOLDEN, "quantize_mix")
    shutil.rmtree(out, ignore_errors=True); os.makedirs(out)
    llama_cpp.llama_log_set(log, ctypes.c_void_p())
    with tempfile.TemporaryDirectory() as root, open(os.path.join(out, "types.txt"), "w") as f:
        shared, fused = os.path.join(root, "shared.gguf"), os.path.join(root, "fused.gguf")
        small(shared, ["attn_q", "attn_k", "attn_v"]); small(fused, ["attn_qkv"])
        for path in [*sys.argv[1:3], shared, fused]:
            model = gguf.GGUFReader(path)
            value = lambda key: int(model.fields["llama." + key].contents())
            f.write(f"model {value('block_count')} {value('attention.head_count')} {value('attention.head_count_kv')} {int(all(t.name != 'output.weight' for t in model.tensors))}\n")
            for ftype, name in zip(FTYPES, NAMES):
                plain, weighted = types(path, ftype, False), types(path, ftype, True)
                for which, found in [(2, plain)] if plain == weighted else [(0, plain), (1, weighted)]:
                    f.write(f"mix {name} {which}\n")
                    f.writelines(f"{kind} {cols} {ranges(names)}\n" for (kind, cols), names in sorted(found.items()))
    reference.manifest(out, "tools/golden_quantize_mix.py", ["gguf", "llama_cpp_python", "numpy"])


if __name__ == "__main__": main()
