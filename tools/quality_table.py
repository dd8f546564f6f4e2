#!/usr/bin/env python3
"""What lorac's own quantisers cost a model: bits a weight, perplexity, size and decoding speed of every form that `lorac convert` writes, as
the table of docs/quality.md.

usage: quality_table.py LORAC FOLDER... --data DIR [--only TEXT] [--no-write]
FOLDERs: Hugging Face folders of numbers, such as the default model's and its padded copy's. DIR: train.jsonl (for the rows with a text) and
valid.jsonl. Speeds are one run each, in the order of the rows: they say which is faster, no more."""
import argparse, os, shutil, tempfile
import reference

AFFINE = [(f"affine {b}", ["-q", "--q-bits", b]) for b in (8, 6, 5, 4, 3, 2)]
RECIPES = [(r, ["-q", "--quant-predicate", r]) for r in ("mixed_4_6", "mixed_3_6", "mixed_3_4", "mixed_2_6")]
GPTQ = [(f"affine {b}, GPTQ", ["-q", "--q-bits", b, "--q-method", "gptq"]) for b in (4, 3)]
OTHERS = [("mxfp8", ["-q", "--q-mode", "mxfp8"]), ("mxfp4", ["-q", "--q-mode", "mxfp4"]), ("nvfp4", ["-q", "--q-mode", "nvfp4"]), ("nf4", ["-q", "--q-mode", "nf4"]),
          ("nf4, double", ["-q", "--q-mode", "nf4", "--double-quant"])]
GGUF = [(f"GGUF {t.upper()}", ["--gguf-type", t]) for t in ("f16", "q8_0", "q6_k", "q5_k_m", "q5_1", "q5_0", "q4_k_m", "q4_k_s", "q4_1", "q4_0", "iq4_nl", "iq4_xs", "mxfp4", "q3_k_m", "q2_k")]
FORMS = [("as it is", [])] + AFFINE + GPTQ + RECIPES + OTHERS + GGUF
BEGIN, END = "<!-- written by tools/quality_table.py -->", "<!-- end -->"


def measure(a, folder, name, options, root):
    out = os.path.join(root, "out.gguf" if "--gguf-type" in options else "out")
    done = reference.lorac(a.lorac, "convert", "--model", folder, "--out", out, "--data", a.data, *options)[-1]
    speed = reference.lorac(a.lorac, "bench", "--model", out, "--only", "decode")[-1]["decode"]["tokens_per_second"]
    shutil.rmtree(out) if os.path.isdir(out) else os.remove(out)
    row = (name, done["bits_per_weight"], done["bytes"] / 1e6, done["perplexity"], speed)
    print(f"{row[0]}: {row[1]:.2f} bits, {row[2]:.0f} MB, perplexity {row[3]}, {row[4]:.0f} tokens/s", flush=True)
    return row


def table(folder, rows):
    perplexity = lambda x: f"{x:.2f}" if x and x < 1e4 else "over 10⁴"
    lines = [f"| {r[0]} | {r[1]:.2f} | {r[2]:.0f} | {perplexity(r[3])} | {r[4]:.0f} |" for r in rows]
    return "\n".join([f"### {os.path.basename(os.path.normpath(folder))}", "", "| form | bits a weight | MB | perplexity | decoding, tokens/s |", "| --- | --- | --- | --- | --- |"] + lines)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("lorac"); p.add_argument("folders", nargs="+"); p.add_argument("--data", required=True); p.add_argument("--only", default=""); p.add_argument("--no-write", action="store_true")
    a, tables = p.parse_args(), []
    for folder in a.folders:
        with tempfile.TemporaryDirectory() as root:
            tables.append(table(folder, [measure(a, folder, n, o, root) for n, o in FORMS if a.only in n]))
    if a.no_write: return
    path = os.path.join(reference.ROOT, "docs", "quality.md")
    text = open(path).read()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    with open(path, "w") as f: f.write(text[:begin] + "\n" + "\n\n".join(tables) + "\n" + text[end:])


if __name__ == "__main__": main()
