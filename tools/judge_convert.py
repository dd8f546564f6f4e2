#!/usr/bin/env python3
"""`lorac convert` against mlx_lm.convert and bitsandbytes, on tiny checkpoints of every family (tools/families/table.py).

usage: judge_convert.py LORAC [--family NAME]... [--only PART]
mlx: every tensor's bytes, and the configs' quantization, equal mlx_lm.convert's, and its numbers again after --dequantize; mlx_lm loads both folders and gives the same 20 tokens;
lorac opens ours. nf4: transformers with bitsandbytes loads the folder, logits and tensors equal its own
quantisation's, lorac's those of transformers in f32 on its values. Exit 1 when one does not hold."""
import argparse, contextlib, io, itertools, json, os, shutil, tempfile, warnings
import numpy as np, torch
import mlx.core as mx, mlx_lm
import bitsandbytes.functional as F
from bitsandbytes.functional import QuantState
from mlx_lm.generate import generate_step
from safetensors.torch import load_file
from transformers import BitsAndBytesConfig
import transformers
import reference, tiny_llama
from families import folders, mlx_folder, table

MODES = [("affine", 4, 32), ("affine", 2, 32), ("affine", 3, 32), ("mxfp4", 4, 32), ("affine", 5, 32), ("nvfp4", 4, 16), ("affine", 6, 32), ("mxfp8", 8, 32), ("affine", 8, 32), ("mixed_3_6", 4, 32)]
WIDER = dict(hidden_size=64, intermediate_size=128)  # mlx-lm wants groups of 64 of some of Granite's modules
BNB = WIDER | dict(num_key_value_heads=4, head_dim=16)  # bitsandbytes multiplies by matrices of whole tiles alone
NO_NF4 = ("gpt2", "mistral3", "gemma3_multimodal", *folders.remote.BUILDERS)
NO_DOWN_PROJ = ("gpt2", "gpt_neox", "phi", "starcoder2", "internlm2")  # and no recipes
LENGTH = 16  # shorter than every window: mlx-lm has none in some families
LOGITS = 1e-5  # of the largest


def save(family, variant, root, options):
    v, folder = table.FAMILIES[family].variants[variant], os.path.join(root, f"{family}-{variant}")
    settings = table.settings(family, variant)
    folders.save_model(family, v, settings | {k: o for k, o in options.items() if k in settings}, folder, v.dtype)
    tiny_llama.tokenizer(False).save_pretrained(folder)
    return folder


def quiet(f, *args, **kwargs):
    with contextlib.redirect_stdout(io.StringIO()): return f(*args, **kwargs)


def tensors(folder):
    names = sorted(n for n in os.listdir(folder) if n.endswith(".safetensors"))
    return {k: v for n in names for k, v in mx.load(os.path.join(folder, n)).items()}


def different(ours, theirs):
    """Names that one of them has not, or whose type, shape or bytes differ."""
    same = lambda a, b: a.dtype == b.dtype and a.shape == b.shape and mx.array_equal(a.view(mx.uint8), b.view(mx.uint8)).item()
    return [k for k in sorted(ours.keys() | theirs.keys()) if k not in ours or k not in theirs or not same(ours[k], theirs[k])]


def greedy(folder, ids, count=20):
    model, _ = quiet(mlx_lm.load, folder)
    return [t if isinstance(t, int) else t.item() for t, _ in itertools.islice(generate_step(mx.array(ids), model), count)]


# ---- the folders --------------------------------------------------------------------------------

def judge_mlx(report, exe, name, source, root, mode, bits, group):
    ours, theirs, ids = os.path.join(root, "ours"), os.path.join(root, "theirs"), folders.ids_of(LENGTH)
    what = f"{name}, {mode} {bits} x {group}"
    recipe = mode if mode.startswith("mixed") else None
    mode, lorac_recipe = "affine" if recipe else mode, ["--quant-predicate", recipe] if recipe else []
    done = reference.lorac(exe, "convert", "--model", source, "--out", ours, "-q", "--q-mode", mode, "--q-bits", bits, "--q-group-size", group, *lorac_recipe)[-1]
    try: quiet(mlx_lm.convert, mlx_folder.convertible(source, os.path.join(root, "folder")), theirs, quantize=True, q_mode=mode, q_bits=bits, q_group_size=group, quant_predicate=recipe)
    except ValueError as e: raise AssertionError(f"mlx_lm.convert: {e}")
    differ = different(tensors(ours), tensors(theirs))
    report.holds(f"{what}: tensors equal mlx_lm.convert's", not differ, differ[:4])
    report.holds(f"{what}: bits per weight", done["bits_per_weight"] > (3 if recipe else bits) * 0.9 and done["bytes"] == sum(t.nbytes for t in tensors(ours).values()), done)
    configs = [json.load(open(os.path.join(f, "config.json"))) for f in (ours, theirs)]
    default = lambda q: {k: {**v, "mode": v.get("mode", "affine")} if isinstance(v, dict) else v for k, v in q.items()}
    report.holds(f"{what}: config", default(configs[0]["quantization"]) == default(configs[1]["quantization"]) and configs[0]["quantization"] == configs[0]["quantization_config"]
                 and {k for k in configs[0]} == {k for k in configs[1]}, [c.get("quantization") for c in configs] + [set(configs[0]) ^ set(configs[1])])
    for f in (ours, theirs): shutil.rmtree(f + "-numbers", ignore_errors=True)
    reference.lorac(exe, "convert", "--model", ours, "--out", ours + "-numbers", "-d", *(["--dtype", "bfloat16"] if mode in ("mxfp4", "mxfp8", "nvfp4") else []))
    quiet(mlx_lm.convert, theirs, theirs + "-numbers", dequantize=True, dtype="bfloat16" if mode in ("mxfp4", "mxfp8", "nvfp4") else None)
    differ = different(tensors(ours + "-numbers"), tensors(theirs + "-numbers"))
    other_modes = mode.endswith(("fp4", "fp8")) and any(isinstance(q, dict) for q in configs[0]["quantization"].values())  # MLX rounds affine's scales to bf16 first
    if not other_modes: report.holds(f"{what}: dequantised as mlx_lm.convert does", not differ, differ[:4])
    try: other = greedy(theirs, ids)
    except (IndexError, ValueError): other = None  # mlx-lm converts some layer patterns of Gemma 3, and nvfp4 of a width of 48, and does not run them
    if other: report.holds(f"{what}: mlx-lm's 20 tokens", other == greedy(ours, ids))
    o = reference.lorac(exe, "generate", "--model", ours, "--prompt-tokens", ",".join(map(str, ids)), "--max-tokens", 3, "--temp", 0)[-1]
    report.holds(f"{what}: lorac opens it", len(o["tokens"]) > 0 or o["finish_reason"] == "stop")


def judge_opens(report, exe, what, folder, ids, logits, bound):
    o = reference.lorac(exe, "generate", "--model", folder, "--prompt-tokens", ",".join(map(str, ids)), "--prompt-logprobs", 5, "--max-tokens", 1, "--temp", 0, "--precision", "exact")[-1]
    logp = torch.log_softmax(torch.from_numpy(logits).double(), -1).numpy()
    worst = max(abs(t["logprob"] - logp[i][t["token"]]) for i, item in enumerate(o["prompt_logprobs"][1:]) for t in item["top"])
    report.check(f"{what}: lorac's log-probabilities on it", worst, bound * np.abs(logits).max())


def exact(source, folder):
    """The source's model in f32 on the values that bitsandbytes gives the folder's codes."""
    model, made = folders.load(source), load_file(os.path.join(folder, "model.safetensors"))
    def state(k):
        q = QuantState.from_dict({n.removeprefix(k + "."): t for n, t in made.items() if n.startswith(k + ".")}, torch.device("cpu"))
        q.dtype = torch.float32
        return q
    values = {k: F.dequantize_4bit(made[k], state(k)) if k + ".absmax" in made else made[k].float() for k in made if k.endswith((".weight", ".bias"))}
    model.load_state_dict(values, strict=False); model.tie_weights()
    return model


def judge_nf4(report, exe, name, source, root, double):
    ours, theirs, ids = os.path.join(root, "ours"), os.path.join(root, "theirs"), folders.ids_of(LENGTH)
    what = f"{name}, nf4{' double' if double else ''}"
    reference.lorac(exe, "convert", "--model", source, "--out", ours, "-q", "--q-mode", "nf4", *(["--double-quant"] if double else []))
    c = json.load(open(os.path.join(source, "config.json")))
    cls = getattr(transformers, c["architectures"][0])
    q = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double)
    model = cls.from_pretrained(source, quantization_config=q, device_map="cpu", attn_implementation="eager").eval()
    model.save_pretrained(theirs)
    a, b = (load_file(os.path.join(f, "model.safetensors")) for f in (ours, theirs))
    state = lambda t: json.loads(bytes(t.tolist()))
    near = lambda x, y: x == y or isinstance(x, float) and abs(x - y) <= 1e-6 * abs(y)  # torch's mean is a sum in f32 in an order of its own
    equal = lambda k, x, y: all(near(v, state(y)[f]) for f, v in state(x).items()) if "quant_state" in k else x.dtype == y.dtype and x.shape == y.shape and (
        torch.equal(x, y) or double and "absmax" in k and torch.allclose(x.float(), y.float(), rtol=1e-5, atol=1))
    differ = [k for k in sorted(a.keys() | b.keys()) if k not in a or k not in b or not equal(k, a[k], b[k])]
    report.holds(f"{what}: tensors equal transformers'", not differ, differ[:6])
    mine = cls.from_pretrained(ours, device_map="cpu", attn_implementation="eager").eval()
    with torch.no_grad(): x, y = (m(input_ids=torch.tensor([ids])).logits[0].float().numpy() for m in (mine, model))
    report.check(f"{what}: logits against transformers' own", np.abs(x - y).max() / np.abs(y).max(), 1e-6 if not double else 1e-4)
    judge_opens(report, exe, what, ours, ids, folders.logits(exact(source, ours), ids), LOGITS)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("lorac"); p.add_argument("--family", action="append", choices=list(table.FAMILIES)); p.add_argument("--only", choices=["mlx", "nf4"])
    a, report = p.parse_args(), reference.Report()
    torch.set_num_threads(1); warnings.simplefilter("ignore"); mx.set_default_device(mx.cpu)
    for i, (family, variant) in enumerate(table.names()):
        if a.family and family not in a.family: continue
        v, name = table.FAMILIES[family].variants[variant], f"{family}-{variant}"
        def judge(part, options, *more):
            with tempfile.TemporaryDirectory() as root: part(report, a.lorac, name, save(family, variant, root, options), root, *more)
        if not v.mlx and a.only != "nf4":
            usable = MODES[1:] if family not in NO_DOWN_PROJ else MODES[1:-1]
            for mode in (MODES[0], usable[i % len(usable)]): report.attempt(name, judge, judge_mlx, WIDER if family == "granite" else {}, *mode)
        if a.only != "mlx" and family not in NO_NF4 and "longrope" not in str(v.options): report.attempt(name, judge, judge_nf4, BNB, bool(i % 2))
    report.end()


if __name__ == "__main__": main()
