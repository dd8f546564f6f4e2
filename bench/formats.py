#!/usr/bin/env python3
"""Decoding and prompts in every quantised format, on random weights of one shape, beside what the format's bytes and the best format allow.

usage: formats.py LORAC FOLDER [--shape tinyllama-8-layers] [--rounds 3] [--only FORMAT,…] [--prefix CMD]
FOLDER keeps the models (some 8 GB) for the next time. A round runs every format once; medians count. Allowed while decoding: the bandwidth that the best
format reached, in the same rounds, by the bytes of a token; of a prompt: the best format's rate. --prefix: a command that every run gets in front of it."""
import argparse, json, os, shlex, statistics, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import random_gguf

FOLDERS = [f"affine-{b}-64" for b in (2, 3, 4, 5, 6, 8)] + ["mxfp4", "mxfp8", "nvfp4", "nf4", "int8", "fp8"]
GGUF = [t.upper() for t in random_gguf.TYPES if t not in ("f16", "bf16")]


def model(folder, shape, name):
    kind, path = ("gguf", name + ".gguf") if name in GGUF else ("folder", name)
    path = os.path.join(folder, path)
    if not os.path.exists(path): subprocess.run([sys.executable, os.path.join(HERE, f"random_{kind}.py"), shape, name.lower(), path], check=True)
    return path


def run(a, path):
    out = subprocess.run([*shlex.split(a.prefix), a.lorac, "bench", "--model", path, "--only", "prefill,decode", "-g", "32", "-n", "1", "--json"],
                         check=True, capture_output=True, text=True).stdout
    o = json.loads(out)
    decode = o["decode"]["tokens_per_second"]
    o["bytes"] = o["decode"]["percent_of_bandwidth"] / 100 * o["machine"]["read_bandwidth_bytes_per_second"] / decode
    return o


def table(results):
    median = lambda name, what: statistics.median(r[what]["tokens_per_second"] for r in results[name])
    size = {n: r[0]["bytes"] for n, r in results.items()}
    best_rate = max(size[n] * median(n, "decode") for n in results)
    best_prefill = max(median(n, "prefill") for n in results)
    print("| format | MB a token | decoding, tokens/s | of what its bytes allow | prompts of 512, tokens/s | of the best |\n| --- | --- | --- | --- | --- | --- |")
    for n in results:
        d, p = median(n, "decode"), median(n, "prefill")
        print(f"| {n} | {size[n] / 1e6:.0f} | {d:.1f} | {100 * d * size[n] / best_rate:.0f} % | {p:.0f} | {100 * p / best_prefill:.0f} % |")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("lorac"); p.add_argument("folder"); p.add_argument("--shape", default="tinyllama-8-layers"); p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--only", default=""); p.add_argument("--prefix", default="")
    a, results = p.parse_args(), {}
    wanted = [n for n in a.only.split(",") if n] or GGUF + FOLDERS
    models = {n: model(a.folder, a.shape, n) for n in wanted}
    for i in range(a.rounds):
        for n in sorted(models, reverse=i % 2): results.setdefault(n, []).append(run(a, models[n]))
    table({n: results[n] for n in wanted})


if __name__ == "__main__": main()
