#!/usr/bin/env python3
"""Writes tiny random Llamas as Hugging Face folders (OUT/NAME) and as GGUF v3 files (OUT/NAME-TYPE.gguf).

usage: make_tiny_models.py OUT [--check] [--only NAME,…]
--check: each model once more as an F32 GGUF, its logits in llama.cpp against transformers' on the folder: proves row order, rope
scaling, biases and names of the files by two foreign programs (types below F32 are rounded inside llama.cpp's products)."""
import argparse, os, tempfile
import gguf_llama, reference, tiny_llama


def differs(folder):
    """Largest difference of the logits between llama.cpp on the F32 GGUF and transformers on the folder, relative to their spread."""
    import llama_cpp, numpy as np, torch
    ids = [3 + 7 * i % 280 for i in range(48)]
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "f32.gguf")
        gguf_llama.write(folder, path, "F32")
        m = llama_cpp.Llama(path, n_ctx=64, n_batch=64, logits_all=True, verbose=False, flash_attn=False, type_k=0, type_v=0, n_threads=1)
        m.eval(ids)
        theirs = np.array(m.scores[:len(ids)])
        with torch.no_grad(): ours, again = (reference.load(f)(torch.tensor([ids])).logits[0].numpy() for f in (folder, path))
    return max(np.abs(ours - theirs).max(), np.abs(ours - again).max()) / ours.std()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("out"); p.add_argument("--check", action="store_true"); p.add_argument("--only", default=",".join(tiny_llama.MODELS))
    a, report = p.parse_args(), reference.Report()
    for name in a.only.split(","):
        folder = tiny_llama.save(name, a.out)
        for kind in tiny_llama.MODELS[name][3]: gguf_llama.write(folder, os.path.join(a.out, f"{name}-{kind.lower()}.gguf"), kind)
        if a.check: report.check(f"{name}: llama.cpp on the GGUF against transformers on the folder", differs(folder), 1e-4)
    if a.check: report.end()


if __name__ == "__main__": main()
