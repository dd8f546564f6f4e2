#!/usr/bin/env python3
"""`lorac fuse` against PEFT, transformers and mlx-lm, on tiny checkpoints of every family (tools/families/table.py).

usage: judge_fuse.py LORAC [--family NAME]...
An adapter of PEFT on every linear, fused. In f32: transformers' logits on the folder are PEFT's with the adapter, and lorac's on it as well.
Two adapters with factors: lorac's logits are those under both. As the base is: names, types and shapes of the source, transformers loads it.
On an MLX folder: mlx-lm's logits. On one of 8 bits: what stays as it was is the same bytes, mlx-lm loads it, and the error that lorac
reports is the one of its files. Exit 1 when one does not hold."""
import argparse, json, os, tempfile, warnings
import numpy as np, torch
import mlx.core as mx
from safetensors.torch import load_file
import judge_convert, reference
from families import folders, mlx_folder, proofs, table

BOUND = 1e-4  # of the logits' spread, in f32


def fuse(exe, model, out, *more):
    return reference.lorac(exe, "fuse", "--model", model, "--save-path", out, *more)[-1]


def described(folder):
    names = sorted(n for n in os.listdir(folder) if n.endswith(".safetensors"))
    return {k: (str(t.dtype), tuple(t.shape)) for n in names for k, t in load_file(os.path.join(folder, n)).items()}


def numbers(report, exe, place, adapters, models):
    """In f32, from the folder."""
    expected = folders.logits(models[0], place.ids)
    out, both = os.path.join(place.root, "f32"), os.path.join(place.root, "both")
    said = fuse(exe, place.folder, out, "--adapter-path", adapters[0], "--dtype", "float32")
    report.check(f"{place.name}: transformers on the fused folder, against PEFT", np.abs(folders.logits(folders.load(out), place.ids) - expected).max() / expected.std(), BOUND)
    report.check(f"{place.name}: lorac on the fused folder, against PEFT", proofs.relative(proofs.one_pass(exe, out, place.ids), expected), BOUND)
    report.check(f"{place.name}: its change is the adapter's", said["relative_error"], 1e-5)
    fuse(exe, place.folder, both, "--adapter-path", f"{adapters[0]}:0.5", "--adapter-path", f"{adapters[1]}:-1.5", "--dtype", "float32")
    under = proofs.one_pass(exe, place.folder, place.ids, "--adapter-path", f"{adapters[0]}:0.5", "--adapter-path", f"{adapters[1]}:-1.5")
    report.check(f"{place.name}: two adapters fused, against both unfused", np.abs(proofs.one_pass(exe, both, place.ids) - under).max() / expected.std(), BOUND)


def as_it_is(report, exe, place, adapters):
    out = os.path.join(place.root, "same")
    fuse(exe, place.folder, out, "--adapter-path", adapters[0])
    a, b = described(out), described(place.folder)
    report.holds(f"{place.name}: names, types and shapes of the source", a == b, sorted(set(a.items()) ^ set(b.items()))[:4])
    report.holds(f"{place.name}: transformers loads it", np.isfinite(folders.logits(folders.load(out), place.ids)).all())


def mlx(report, exe, place, adapters, models):
    ids, out = place.ids[:judge_convert.LENGTH], os.path.join(place.root, "fused-mlx")
    expected = folders.logits(models[0], ids)
    base = mlx_folder.write(place.folder, os.path.join(place.root, "mlx"), "float32")
    fuse(exe, base, out, "--adapter-path", adapters[0])
    unfused = np.abs(mlx_folder.logits(base, ids) - folders.logits(place.model(), ids)).max() / expected.std()  # mlx-lm's own departures
    report.check(f"{place.name}: mlx-lm on the fused MLX folder, against PEFT", np.abs(mlx_folder.logits(out, ids) - expected).max() / expected.std(), BOUND + 3 * unfused)


def codes(report, exe, place, adapters):
    base, out = os.path.join(place.root, "codes"), os.path.join(place.root, "fused-codes")
    reference.lorac(exe, "convert", "--model", place.folder, "--out", base, "-q", "--q-bits", 8, "--q-group-size", 32)
    said = fuse(exe, base, out, "--adapter-path", adapters[0])
    a, b = judge_convert.tensors(base), judge_convert.tensors(out)
    config = json.load(open(os.path.join(base, "config.json")))
    report.holds(f"{place.name}: 8 bits: names and quantisation of the source", a.keys() == b.keys() and config["quantization"] == json.load(open(os.path.join(out, "config.json")))["quantization"])
    changed = {m["module"] for m in said["modules"]}
    kept = [k for k in a if not mx.array_equal(a[k].view(mx.uint8), b[k].view(mx.uint8)).item() and k.rsplit(".", 1)[0] not in changed]
    report.holds(f"{place.name}: 8 bits: what no adapter changes is the same bytes", not kept, kept[:4])
    lost = change = 0
    f32 = os.path.join(place.root, "codes-f32")
    fuse(exe, base, f32, "--adapter-path", adapters[0], "-d", "--dtype", "float32")
    whole = judge_convert.tensors(f32)
    def values(t, m):
        if m + ".scales" not in t: return np.array(t[m + ".weight"].astype(mx.float32))
        q = config["quantization"].get(m, config["quantization"])
        return np.array(mx.dequantize(t[m + ".weight"], t[m + ".scales"], t[m + ".biases"], group_size=q["group_size"], bits=q["bits"]).astype(mx.float32))
    for m in changed:
        w, fused, ideal = values(a, m), values(b, m), values(whole, m)
        lost, change = lost + ((fused - ideal) ** 2).sum(), change + ((ideal - w) ** 2).sum()
    report.check(f"{place.name}: 8 bits: the error that it reports ({said['relative_error']:.3g}), against that of its files", abs(said["relative_error"] / np.sqrt(lost / change) - 1), 0.02)
    report.holds(f"{place.name}: 8 bits: mlx-lm loads it", np.isfinite(mlx_folder.logits(out, place.ids[:judge_convert.LENGTH])).all())


def judge(report, exe, family, variant):
    with tempfile.TemporaryDirectory() as root:
        place = proofs.Place(family, variant, root)
        models = [proofs.with_adapter(place, seed) for seed in ("first", "second")]
        adapters = [proofs.saved(place, m) for m in models]
        report.attempt(f"{place.name}, numbers", numbers, report, exe, place, adapters, models)
        report.attempt(f"{place.name}, as it is", as_it_is, report, exe, place, adapters)
        if place.variant.mlx or place.name in proofs.NOT_IN_MLX: return
        report.attempt(f"{place.name}, MLX", mlx, report, exe, place, adapters, models)
        report.attempt(f"{place.name}, codes", codes, report, exe, place, adapters)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("lorac"); p.add_argument("--family", action="append", choices=list(table.FAMILIES))
    a, report = p.parse_args(), reference.Report()
    torch.set_num_threads(1); warnings.simplefilter("ignore"); mx.set_default_device(mx.cpu)
    for family, variant in table.names():
        if not a.family or family in a.family: report.attempt(f"{family}-{variant}", judge, report, a.lorac, family, variant)
    report.end()


if __name__ == "__main__": main()
