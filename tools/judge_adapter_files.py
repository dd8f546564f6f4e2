#!/usr/bin/env python3
"""`lorac adapter`: an adapter in another program's form computes what it computed in its own.

usage: judge_adapter_files.py LORAC [--family NAME]... [--only variants|mlx|families]
variants: adapters that PEFT made with every option, exported to peft, mlx and gguf: PEFT, mlx-lm and llama.cpp load them with the logits of the
original in PEFT; what a format cannot hold is refused by the word that the table gives; there and back gives the same tensors.
mlx: LoRA and DoRA adapters of mlx-lm, the same way. families: every family of tools/families, by names and order of rows.
Bounds on log-probabilities are printed; exit 1 when one does not hold."""
import argparse, json, os, shutil, subprocess, tempfile, warnings
import numpy as np, torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
import gguf_llama, judge_adapters, judge_logits, reference, tiny_llama
from families import folders, mlx_folder, proofs, table, verify
from judge_adapters import IDS, log_softmax

SAME, MLX, LLAMA_CPP, OWN = 1e-6, 1e-4, 1e-3, 1e-3
ALL = dict(target_modules=reference.LINEARS)

# what: (LoraConfig's options, why mlx-lm's form refuses it or None, why GGUF's)
VARIANTS = {
    "plain": ({}, None, None), "rsLoRA": (dict(use_rslora=True), None, None), "regex": (dict(target_modules=r".*\.0\.(self_attn\.[qk]_proj|mlp\.up_proj)"), None, None),
    "layer list": (dict(layers_to_transform=[1], layers_pattern="layers"), None, None), "bf16": (dict(dtype=torch.bfloat16), None, None), "f16": (dict(dtype=torch.float16), None, None),
    "ranks": (dict(rank_pattern={"q_proj": 2, r"layers\.1\.mlp\.down_proj": 6}, alpha_pattern={"q_proj": 4, r"layers\.1\.mlp\.down_proj": 12}), None, "numbers do not take"),
    "ranks of one alpha": (dict(rank_pattern={"q_proj": 2, "up_proj": 8}), None, None),
    "alphas, powers of two": (dict(alpha_pattern={"q_proj": 16, "up_proj": 2}), None, None),
    "alphas, others, bf16": (dict(alpha_pattern={"q_proj": 10}, dtype=torch.bfloat16), "numbers do not take", None),
    "alphas, others": (dict(rank_pattern={"q_proj": 3}, alpha_pattern={"q_proj": 10}), "numbers do not take", "numbers do not take"),
    "rsLoRA with patterns": (dict(use_rslora=True, rank_pattern={"v_proj": 7}), "numbers do not take", "numbers do not take"),
    "DoRA": (dict(use_dora=True), None, "DoRA"), "DoRA, rsLoRA, some modules": (dict(use_dora=True, use_rslora=True, target_modules=["q_proj", "down_proj"]), None, "DoRA"),
    "lora_bias": (dict(lora_bias=True), "lora_bias", "lora_bias"), "bias of LoRA's modules": (dict(bias="lora_only"), "pairs alone", "pairs alone"), "all biases": (dict(bias="all"), "pairs alone", "pairs alone"),
    "modules_to_save": (dict(modules_to_save=["lm_head"]), "pairs alone", "pairs alone"), "a norm saved": (dict(modules_to_save=["norm"]), "pairs alone", "pairs alone"),
    "trained tokens": (dict(trainable_token_indices={"embed_tokens": [5, 9]}), "pairs alone", "pairs alone"),
    "head": (dict(target_modules=["q_proj", "lm_head"], save_embedding_layers=False), None, None),
    "head and its weight": (dict(target_modules=["q_proj", "lm_head"]), "pairs alone", "pairs alone"),
    "embedding": (dict(target_modules=["v_proj", "embed_tokens"], save_embedding_layers=False), None, None),
    "tied embedding": (dict(target_modules=["v_proj", "embed_tokens"], save_embedding_layers=False), "tied to the head", "tied to the head"),
}


class Place:
    """A tiny Llama as a folder, as a GGUF and for mlx-lm, all in f32."""
    def __init__(self, root, name):
        self.root, self.folder = root, tiny_llama.save(name, root)
        self.gguf = os.path.join(root, f"{name}.gguf")
        gguf_llama.write(self.folder, self.gguf, "F32")
        self.mlx = self.new()
        reference.load(self.folder).save_pretrained(self.mlx)
        tiny_llama.tokenizer(False).save_pretrained(self.mlx)
        tiny_llama.older_spelling(self.mlx)

    def new(self): return tempfile.mkdtemp(dir=self.root)
    def name(self, end=""): return os.path.join(self.new(), "adapter" + end)


def made_by_peft(place, save_embedding_layers="auto", dtype=torch.float32, **options):
    """A PEFT adapter whose every trained tensor is random, saved by PEFT; its folder."""
    model = get_peft_model(reference.load(place.folder), LoraConfig(**{**dict(r=4, lora_alpha=8, task_type="CAUSAL_LM"), **ALL, **options}))
    g = np.random.default_rng(3)
    for n, p in model.named_parameters():
        draw = torch.from_numpy(g.standard_normal(tuple(p.shape))).float()
        if "lora_A" in n or "lora_B" in n or "lora_embedding" in n: p.data = 0.15 * draw
        elif "magnitude" in n: p.data = p.data * (1 + 0.2 * draw)
        elif p.requires_grad or "bias" in n: p.data = p.data + 0.1 * draw
    out = place.new()
    model.save_pretrained(out, save_embedding_layers=save_embedding_layers)
    if dtype != torch.float32:
        f = os.path.join(out, "adapter_model.safetensors")
        judge_adapters.save_file({k: v.to(dtype) for k, v in load_file(f).items()}, f)
    return out


def in_llama_cpp(gguf, adapter, ids):
    import llama_cpp
    yarn = dict(yarn_ext_factor=-1.0, yarn_attn_factor=-1.0, yarn_beta_fast=-1.0, yarn_beta_slow=-1.0)  # what the file says
    m = llama_cpp.Llama(gguf, lora_path=adapter, n_ctx=128, n_batch=128, logits_all=True, verbose=False, flash_attn=False, type_k=0, type_v=0, n_threads=1, **yarn)
    m.eval(list(ids))
    return np.array(m.scores[:len(ids)])


def export(exe, adapter, form, out, *flags):
    return reference.lorac(exe, "adapter", "export", adapter, "--format", form, "--out", out, *flags)[-1]


def refused(report, exe, what, adapter, form, word, place):
    out = place.name()
    p = subprocess.run([exe, "adapter", "export", adapter, "--format", form, "--out", out, "--model", place.folder], capture_output=True, text=True)
    report.holds(f"{what} → {form}: refused (\"{word}\")", p.returncode == 1 and word in p.stderr and not os.path.exists(out), p.stderr[-300:])


def same_tensors(a, b):
    x, y = (load_file(os.path.join(f, "adapter_model.safetensors")) for f in (a, b))
    return x.keys() == y.keys() and all(x[k].dtype == y[k].dtype and torch.equal(x[k], y[k]) for k in x)


def equal(exe, a, b, *flags):
    return subprocess.run([exe, "adapter", "diff", a, b, *flags], capture_output=True).returncode == 0


def far(a, b): return np.abs(np.asarray(a) - np.asarray(b)).max()


def to_peft(report, exe, what, adapter, place, logits):
    out = place.name()
    export(exe, adapter, "peft", out)
    there, missing, unexpected = judge_adapters.in_peft(place.folder, out)
    report.holds(f"{what} → peft: no key is missing or unexpected", not missing and not unexpected, (missing, unexpected))
    report.check(f"{what} → peft: in PEFT", far(there, logits), SAME)
    return out


def back(report, exe, what, adapter, out, place, ranks):
    """From another form: a folder that PEFT loads, with the same tensors where the form keeps ranks and scales."""
    again, dtype = place.name(), {"bf1": ["--dtype", "bfloat16"], "f16": ["--dtype", "float16"]}.get(what[:3], [])
    export(exe, out, "peft", again, "--model", place.folder, *dtype)
    report.check(f"{what}, and back: in PEFT", far(judge_adapters.in_peft(place.folder, again)[0], judge_adapters.in_peft(place.folder, adapter)[0]), SAME if ranks else MLX)
    if ranks: report.holds(f"{what}, and back: the same tensors", same_tensors(adapter, again) and equal(exe, adapter, again))


def one_variant(report, exe, place, what, options, not_mlx, not_gguf):
    adapter = made_by_peft(place, **options)
    logits = judge_adapters.in_peft(place.folder, adapter)[0]
    base = log_softmax(reference.load(place.folder)(torch.tensor([IDS])).logits[0].detach())
    report.holds(f"{what}: moves the log-probabilities", far(base, logits) > 0.05, far(base, logits))
    again = to_peft(report, exe, what, adapter, place, logits)
    report.holds(f"{what} → peft: the same tensors", same_tensors(adapter, again))
    uniform = not any(k.endswith("pattern") and k != "layers_pattern" for k in options)
    if "bf16" in what and not_mlx:
        out = place.name()
        export(exe, adapter, "mlx", out, "--dtype", "float32")
        report.check(f"{what} → mlx in f32: in mlx-lm", far(judge_adapters.in_mlx(place.mlx, out), logits), MLX)
    if not_mlx: refused(report, exe, what, adapter, "mlx", not_mlx, place)
    else:
        out = place.name()
        export(exe, adapter, "mlx", out, *(["--model", place.folder] if "embedding" in what else []))
        report.check(f"{what} → mlx: in mlx-lm", far(judge_adapters.in_mlx(place.mlx, out), logits), MLX)
        back(report, exe, f"{what} → mlx", adapter, out, place, uniform)
    if not_gguf: refused(report, exe, what, adapter, "gguf", not_gguf, place)
    else:
        out = place.name(".gguf")
        export(exe, adapter, "gguf", out, "--model", place.folder)
        report.check(f"{what} → gguf: in llama.cpp", far(log_softmax(in_llama_cpp(place.gguf, out, IDS)), logits), LLAMA_CPP)
        back(report, exe, f"{what} → gguf", adapter, out, place, uniform)
        if "head " in what or "embedding" in what: return  # lorac does not run these
        for base in (place.folder, place.gguf):
            ten, own = judge_logits.differences(judge_logits.answered(exe, base, IDS, "exact", 20, "--adapter-path", out), logits)
            report.check(f"{what} → gguf: in lorac on {os.path.basename(base)}", max(ten.max(), np.abs(own).max()), OWN)


def variants(report, exe, root):
    places = {n: Place(root, n) for n in ("headdim", "bias", "untied")}
    for what, (options, not_mlx, not_gguf) in VARIANTS.items():
        names = ["untied"] if what in ("head", "head and its weight", "embedding", "modules_to_save") else ["headdim"] if what == "tied embedding" else ["bias"] if "bias" in what else ["headdim", "untied"]
        for n in names: report.attempt(what, one_variant, report, exe, places[n], f"{what} on {n}", options, not_mlx, not_gguf)


# ---- mlx-lm's own -------------------------------------------------------------------------------

def made_by_mlx(place, kind, keys, rank=4):
    """As mlx-lm writes it, with every number random."""
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm.tuner.utils import linear_to_lora_layers
    out, g = place.new(), np.random.default_rng(4)
    model, options = mlx_folder.load(place.mlx), dict(rank=rank, scale=3.0, dropout=0.0, **({"keys": keys} if keys else {}))
    model.freeze()
    linear_to_lora_layers(model, 1, options, use_dora=kind == "dora")
    draw = lambda n, p: np.array(p) * (1 + 0.2 * g.standard_normal(p.shape)) if n.endswith(".m") else 0.15 * g.standard_normal(p.shape)
    tensors = {n: mx.array(draw(n, p).astype(np.float32)) for n, p in tree_flatten(model.trainable_parameters())}
    mx.save_safetensors(os.path.join(out, "adapters.safetensors"), tensors)
    json.dump(dict(fine_tune_type=kind, num_layers=1, lora_parameters=options), open(os.path.join(out, "adapter_config.json"), "w"))
    return out


def one_mlx(report, exe, place, what, kind, keys):
    adapter = made_by_mlx(place, kind, keys)
    logits = judge_adapters.in_mlx(place.mlx, adapter)
    report.holds(f"{what}: moves the log-probabilities", far(judge_adapters.in_mlx(place.mlx, None), logits) > 0.05)
    for flags in ([], ["--model", place.folder]):
        peft, again = place.name(), place.name()
        export(exe, adapter, "peft", peft, *flags)
        there, missing, unexpected = judge_adapters.in_peft(place.folder, peft)
        report.holds(f"{what} → peft {flags[:1]}: no key is missing or unexpected", not missing and not unexpected, (missing, unexpected))
        report.check(f"{what} → peft {flags[:1]}: in PEFT", far(there, logits), MLX)
        export(exe, peft, "mlx", again, *flags)
        report.check(f"{what} → peft {flags[:1]}, and back: in mlx-lm", far(judge_adapters.in_mlx(place.mlx, again), logits), SAME)
        x, y = (load_file(os.path.join(d, "adapters.safetensors")) for d in (adapter, again))
        report.holds(f"{what} → peft {flags[:1]}, and back: the same tensors", x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x))
    if kind == "dora": return refused(report, exe, what, adapter, "gguf", "DoRA", place)
    out = place.name(".gguf")
    export(exe, adapter, "gguf", out, "--model", place.gguf)
    report.check(f"{what} → gguf: in llama.cpp", far(log_softmax(in_llama_cpp(place.gguf, out, IDS)), logits), LLAMA_CPP)


def mlx(report, exe, root):
    for n in ("headdim", "bias"):
        place = Place(root, n + "")
        for kind in ("lora", "dora"):
            for keys in (None, ["self_attn.q_proj", "mlp.down_proj"], ["model.layers.0.self_attn.k_proj"]):
                report.attempt("mlx", one_mlx, report, exe, place, f"mlx-lm's {kind} on {n}, keys {keys}", kind, keys)


# ---- families -----------------------------------------------------------------------------------

def in_peft(place, adapter):
    model = PeftModel(place.model(), PeftConfig.from_pretrained(adapter)).eval()
    model.load_adapter(adapter, "default")
    return model


def one_family(report, exe, name, variant, root):
    place = proofs.Place(name, variant, root)
    adapter = proofs.saved(place, proofs.with_adapter(place, "files"))
    forms = place.forms()
    if "GGUF" in forms:
        out = os.path.join(place.new(), "adapter.gguf")
        try: export(exe, adapter, "gguf", out, "--model", place.folder)
        except RuntimeError as e: return report.holds(f"{place.name} → gguf: refused", "does not know the base's family" in str(e), e)
        logits = folders.logits(verify.with_table(in_peft(place, adapter)), place.ids)
        report.check(f"{place.name} → gguf: in llama.cpp against PEFT, of the spread", np.abs(in_llama_cpp(forms["GGUF"], out, place.ids) - logits).max() / logits.std(), 3 * verify.bound(place.folder))
        again = os.path.join(place.new(), "adapter")
        export(exe, out, "peft", again, "--model", forms["GGUF"])
        report.holds(f"{place.name} → gguf, and back: no difference", equal(exe, adapter, again, "--model", place.folder))
    if "MLX" in forms and place.name not in proofs.NOT_IN_MLX:
        out = os.path.join(place.new(), "adapter")
        export(exe, adapter, "mlx", out, "--model", place.folder)
        logits, base = folders.logits(in_peft(place, adapter), place.ids), folders.logits(place.model(), place.ids)
        if np.abs(mlx_folder.logits(forms["MLX"], place.ids) - base).max() > MLX * base.std(): return print(f"     {place.name} → mlx: not compared, mlx-lm computes the base itself otherwise than transformers")
        report.check(f"{place.name} → mlx: in mlx-lm against PEFT, of the spread", np.abs(mlx_folder.logits(forms["MLX"], place.ids, out) - logits).max() / logits.std(), MLX)


def all_families(report, exe, root, names):
    for name in names or table.FAMILIES:
        variant = next(iter(table.FAMILIES[name].variants))
        with tempfile.TemporaryDirectory(dir=root) as d: report.attempt(f"{name}-{variant}", one_family, report, exe, name, variant, d)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("lorac"); p.add_argument("--family", action="append"); p.add_argument("--only", choices=["variants", "mlx", "families"]); p.add_argument("--variant", action="append")
    o, report = p.parse_args(), reference.Report()
    for name in set(VARIANTS) - set(o.variant or VARIANTS): del VARIANTS[name]
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as root:
        if o.only in (None, "variants"): variants(report, o.lorac, root)
        if o.only in (None, "mlx"): mlx(report, o.lorac, root)
        if o.only in (None, "families"): all_families(report, o.lorac, root, o.family)
    report.end()


if __name__ == "__main__": main()
