#!/usr/bin/env python3
"""Compares freshly derived goldens with the committed ones.  usage: compare_goldens.py COMMITTED FRESH

Numbers agree within 1e-5 of the largest in their list or tensor (another thread count alone moves transformers' f32 logits by 1.2e-6);
what stands after training steps within 1e-4 (50 steps amplify the rounding of another CPU's sums: golden_training.py measures by how
much); everything else is equal. Exit 1 where not."""
import json, os, sys
from safetensors.numpy import load_file

LOOSE, TIGHT, NOISE = 1e-4, 1e-5, ("noise",)


def numbers(x):
    return isinstance(x, list) and x and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in x)


def json_differs(a, b, bound, place=""):
    """The first place where two JSON values differ by more than the bound; None where they agree."""
    if numbers(a) and numbers(b) and len(a) == len(b):
        scale = max(abs(v) for v in a) or 1
        return next((f"{place}[{i}]: {v} and {w}" for i, (v, w) in enumerate(zip(a, b)) if abs(v - w) > bound * scale), None)
    if isinstance(a, float) or isinstance(b, float): return None if abs(a - b) <= bound * max(abs(a), abs(b), 1e-30) else f"{place}: {a} and {b}"
    if type(a) is not type(b): return f"{place}: {a} and {b}"
    if isinstance(a, dict):
        if set(a) != set(b): return f"{place}: keys {set(a) ^ set(b)}"
        pairs = [(a[k], b[k], f"{place}.{k}", LOOSE if k == "steps" else bound) for k in a if k not in NOISE]
    elif isinstance(a, list):
        if len(a) != len(b): return f"{place}: {len(a)} and {len(b)} items"
        pairs = [(v, w, f"{place}[{i}]", bound) for i, (v, w) in enumerate(zip(a, b))]
    else: return None if a == b else f"{place}: {a!r} and {b!r}"
    return next((d for v, w, p, bound in pairs if (d := json_differs(v, w, bound, p))), None)


def tensors_differ(a, b, bound):
    a, b = load_file(a), load_file(b)
    if set(a) != set(b): return f"tensors {set(a) ^ set(b)}"
    far = {n: abs(a[n].astype("f8") - b[n].astype("f8")).max() / (abs(a[n].astype("f8")).max() or 1) for n in a}
    worst = max(far, key=far.get)
    return None if far[worst] <= bound else f"{worst}: {far[worst]:.2e} of its largest value"


def flat(x):
    return [w for v in x for w in flat(v)] if isinstance(x, list) else [x]


def columns(path):
    """A golden JSON file; the steps of a training case as one list per field, so that late small values are held to the field's size."""
    j = json.load(open(path))
    if "steps" in j: j["steps"] = {k: flat([s[k] for s in j["steps"]]) for k in j["steps"][0]}
    return j


def differs(a, b):
    if open(a, "rb").read() == open(b, "rb").read(): return None
    if a.endswith("gradients.safetensors"): return tensors_differ(a, b, TIGHT)
    if a.endswith("final.safetensors"): return tensors_differ(a, b, LOOSE)
    if a.endswith((".logits.json", "case.json", "cases.json")): return json_differs(columns(a), columns(b), TIGHT)
    return "not the same bytes"


def files(root):
    return {os.path.relpath(os.path.join(d, n), root) for part in ("models", "training", "rope", "quant") for d, _, names in os.walk(os.path.join(root, part)) for n in names}


def main():
    committed, fresh = sys.argv[1:3]
    bad = [f"{f}: only in one of the two" for f in sorted(files(committed) ^ files(fresh))]
    both = sorted(files(committed) & files(fresh))
    bad += [f"{f}: {d}" for f in both if (d := differs(os.path.join(committed, f), os.path.join(fresh, f)))]
    print("\n".join(bad + [f"{len(both)} golden files derived again, {len(bad)} differ"]))
    sys.exit(bool(bad))


if __name__ == "__main__": main()
