#!/usr/bin/env python3
"""What each format costs a real model: the padded SmolLM2 in every type that llama.cpp writes and in every scheme of folders (those of
judge_quantized.py), and lorac's perplexity on a data set, as the table of docs/formats.md.

usage: format_perplexity.py LORAC MODEL-F32.gguf FOLDER --data DIR [--only TEXT]
MODEL-F32.gguf is tools/pad_model.py's; FOLDER the same weights as a Hugging Face folder."""
import argparse, ctypes, os, shutil, tempfile
import llama_cpp
import judge_quantized, reference

GGUF = {"F32": 0, "Q8_0": 7, "Q6_K": 18, "Q5_1": 9, "Q5_0": 8, "Q5_K_M": 17, "Q4_1": 3, "Q4_0": 2, "Q4_K_M": 15, "Q4_K_S": 14, "IQ4_NL": 25, "IQ4_XS": 30,
        "Q3_K_S": 11, "Q2_K": 10, "IQ3_S": 26, "TQ2_0": 37, "TQ1_0": 36}
BEGIN, END = "<!-- written by tools/format_perplexity.py -->", "<!-- end -->"


def quantize(source, out, kind):
    p = llama_cpp.llama_model_quantize_default_params()
    p.ftype, p.nthread, p.allow_requantize = kind, 2, True
    if llama_cpp.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(p)): raise RuntimeError(f"llama.cpp does not write {out}")


def size(path):
    return os.path.getsize(path if os.path.isfile(path) else os.path.join(path, "model.safetensors"))


def measure(a, name, path, rows):
    loss = reference.lorac(a.lorac, "eval", "--model", path, "--data", a.data)[-1]
    rows.append((name, size(path) / 1e6, loss["perplexity"]))
    print(f"{name}: {rows[-1][1]:.0f} MB, perplexity {rows[-1][2]}", flush=True)


def table(rows):
    half = (len(rows) + 1) // 2
    cell = lambda r: f"{r[0]} | {r[1]:.0f} | {r[2]:.2f}" if r and (r[2] or 1e9) < 1e4 else f"{r[0]} | {r[1]:.0f} | over 10⁴" if r else " | | "
    lines = [f"| {cell(rows[i])} | | {cell(rows[i + half] if i + half < len(rows) else None)} |" for i in range(half)]
    return "\n".join(["| format | MB | perplexity | | format | MB | perplexity |", "| --- | --- | --- | --- | --- | --- | --- |"] + lines)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("lorac"); p.add_argument("gguf"); p.add_argument("folder"); p.add_argument("--data", required=True); p.add_argument("--only", default="")
    a, rows = p.parse_args(), []
    with tempfile.TemporaryDirectory() as root:
        for name, kind in GGUF.items():
            if a.only not in name: continue
            out = os.path.join(root, "model.gguf")
            quantize(a.gguf, out, kind); measure(a, name, out, rows)
        for name, scheme in judge_quantized.SCHEMES.items():
            if a.only not in name: continue
            out = os.path.join(root, "folder")
            judge_quantized.folder(a.folder, out, scheme); measure(a, name, out, rows); shutil.rmtree(out)
    if a.only: return
    path = os.path.join(reference.ROOT, "docs", "formats.md")
    text = open(path).read()
    before, rest = text.split(BEGIN); after = rest.split(END)[1]
    text = f"{before}{BEGIN}\n{table(rows)}\n{END}{after}"
    open(path, "w").write(text)


if __name__ == "__main__": main()
