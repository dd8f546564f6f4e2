#!/usr/bin/env python3
"""Adapters across programs: what one makes the others load, with equal logits.

usage: judge_adapters.py LORAC
1. `lorac train` on a GGUF and on a folder: PEFT loads the result with no missing or unexpected key, mlx-lm loads it too.
2. Adapters of PEFT (rsLoRA, rank and alpha patterns, some modules, some layers, regex, bf16) and of mlx-lm (a short training) load in lorac.
3. Several --adapter-path with scales equal the sum s·α·B·A added to the weights.
4. An adapter that does not fit is refused by name.
Bound on every log-probability, precision exact: 1e-3. Exit 1 when one does not hold."""
import argparse, json, os, shutil, subprocess, sys, tempfile, warnings
import numpy as np, torch
from peft import LoraConfig, PeftConfig, PeftModelForCausalLM, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer
import gguf_llama, judge_logits, reference, tiny_llama

BOUND = 1e-3
IDS = np.random.default_rng(5).integers(3, tiny_llama.VOCAB, 60).tolist()
TEXTS = tiny_llama.CORPUS + [" ".join(reversed(line.split())) for line in tiny_llama.CORPUS]


class Place:
    """A tiny model in every form: its folder, a GGUF of it, and an f32 folder with the GGUF's weights for mlx-lm."""
    def __init__(self, root, name, kind):
        self.folder = tiny_llama.save(name, root)
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder)
        self.gguf = os.path.join(root, f"{name}-{kind.lower()}.gguf")
        gguf_llama.write(self.folder, self.gguf, kind)

    def f32(self, path, root):
        out = tempfile.mkdtemp(dir=root)
        reference.load(path).save_pretrained(out)
        self.tokenizer.save_pretrained(out)
        tiny_llama.older_spelling(out)  # mlx-lm does not read rope_parameters of a llama
        return out


def log_softmax(logits):
    return torch.log_softmax(torch.from_numpy(np.array(logits)).double(), -1).numpy()


def in_peft(path, adapter):
    """(log-probabilities, missing keys, unexpected keys)"""
    base = reference.load(path)
    model = PeftModelForCausalLM(base, PeftConfig.from_pretrained(adapter)).eval()
    result = model.load_adapter(adapter, "default")
    with torch.no_grad(): return log_softmax(model(torch.tensor([IDS])).logits[0]), result.missing_keys, result.unexpected_keys


def in_mlx(folder, adapter):
    import mlx.core as mx, mlx_lm
    mx.set_default_device(mx.cpu)
    model, _ = mlx_lm.load(folder, adapter_path=adapter)
    return log_softmax(model(mx.array([IDS]))[0])


def compare(report, exe, what, path, adapters, logp):
    report.attempt(what, compared, report, exe, what, path, adapters, logp)


def compared(report, exe, what, path, adapters, logp):
    """lorac with these --adapter-path values against log-probabilities; the adapters must change the model at all."""
    flags = [f for a in adapters for f in ("--adapter-path", a)]
    with torch.no_grad(): base = log_softmax(reference.load(path)(torch.tensor([IDS])).logits[0])
    report.holds(f"{what}: moves the log-probabilities", np.abs(base - logp).max() > 0.05, np.abs(base - logp).max())
    ten, own = judge_logits.differences(judge_logits.answered(exe, path, IDS, "exact", 20, *flags), logp)
    report.check(what, max(ten.max(), np.abs(own).max()), BOUND)


def data(root):
    d = tempfile.mkdtemp(dir=root)
    for split in ("train", "valid"):
        with open(os.path.join(d, f"{split}.jsonl"), "w") as f: f.writelines(json.dumps({"text": t}) + "\n" for t in TEXTS)
    return d


def trained_by_lorac(report, exe, what, path, folder, flags, root):
    adapter = tempfile.mkdtemp(dir=root)
    reference.lorac(exe, "train", "--model", path, "--data", data(root), "--iters", 12, "--batch-size", 2, "--learning-rate", "2e-2",
                    "--precision", "exact", "--adapter-format", "both", "--adapter-path", adapter, *flags)
    logp, missing, unexpected = in_peft(path, adapter)
    report.holds(f"{what}: PEFT misses no key and finds none unexpected", not missing and not unexpected, (missing, unexpected))
    compare(report, exe, f"{what}: in PEFT", path, [adapter], logp)
    report.check(f"{what}: in mlx-lm against PEFT", np.abs(in_mlx(folder, adapter) - logp).max(), BOUND)


def made_by_lorac(report, exe, place, root):
    variants = {"all linears, last layer": ["--rank", 4, "--scale", 2, "--num-layers", 1],
                "q and v, all layers, alpha": ["--rank", 3, "--alpha", 6, "--num-layers", -1, "--target-modules", "q_proj,v_proj"],
                "rsLoRA": ["--rank", 4, "--alpha", 6, "--rslora", "--num-layers", -1]}
    for path in (place.folder, place.gguf):
        folder = place.f32(path, root)
        for name, flags in variants.items():
            what = f"lorac's adapter on {os.path.basename(path)}, {name}"
            report.attempt(what, trained_by_lorac, report, exe, what, path, folder, flags, root)


def peft_adapter(path, root, dtype=torch.float32, seed=0, **options):
    """A PEFT adapter with random A and B, saved by PEFT; returns its folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(reference.load(path), LoraConfig(**{**dict(r=4, lora_alpha=8, target_modules=reference.LINEARS, task_type="CAUSAL_LM"), **options}))
    g = np.random.default_rng(seed)
    for n, p in model.named_parameters():
        if "lora_" in n: p.data = torch.from_numpy(0.15 * g.standard_normal(tuple(p.shape))).float()
    out = tempfile.mkdtemp(dir=root)
    model.save_pretrained(out)
    if dtype != torch.float32:
        f = os.path.join(out, "adapter_model.safetensors")
        save_file({k: v.to(dtype) for k, v in load_file(f).items()}, f)
    return out


PEFT_VARIANTS = {
    "all linears": {}, "rsLoRA": dict(use_rslora=True), "q, v and down only": dict(target_modules=["q_proj", "v_proj", "down_proj"]),
    "last layer": dict(layers_to_transform=[1]), "all-linear": dict(target_modules="all-linear"), "bf16 tensors": dict(dtype=torch.bfloat16), "f16 tensors": dict(dtype=torch.float16),
    "regex": dict(target_modules=r".*\.0\.(self_attn\.[qk]_proj|mlp\.up_proj)"),
    "rank and alpha patterns": dict(rank_pattern={"q_proj": 2, r"layers\.1\.mlp\.down_proj": 6}, alpha_pattern={"q_proj": 10, "up_proj": 3}),
    "rsLoRA with patterns": dict(use_rslora=True, rank_pattern={"v_proj": 7}, alpha_pattern={"o_proj": 5}),
}


def made_by_peft(report, exe, place, root):
    for path in (place.folder, place.gguf):
        for name, options in PEFT_VARIANTS.items():
            adapter = peft_adapter(path, root, **options)
            compare(report, exe, f"PEFT's adapter on {os.path.basename(path)}, {name}", path, [adapter], in_peft(path, adapter)[0])
        compare(report, exe, "the safetensors file itself as --adapter-path", path, [os.path.join(adapter, "adapter_model.safetensors")], in_peft(path, adapter)[0])


def made_by_mlx(report, exe, place, root):
    for path in (place.folder, place.gguf):
        folder = place.f32(path, root)
        for name, more in {"default keys": {}, "q and v": {"keys": ["self_attn.q_proj", "self_attn.v_proj"]}}.items():
            adapter, config = tempfile.mkdtemp(dir=root), os.path.join(tempfile.mkdtemp(dir=root), "c.yaml")
            json.dump({"lora_parameters": {"rank": 4, "scale": 3.0, "dropout": 0.0, **more}}, open(config, "w"))  # JSON is YAML
            p = subprocess.run([sys.executable, "-m", "mlx_lm", "lora", "--model", folder, "--train", "--data", data(root), "--iters", "10", "--batch-size", "2",
                                "--num-layers", "2", "--learning-rate", "1e-2", "--adapter-path", adapter, "-c", config], capture_output=True, text=True)
            if not report.holds(f"mlx-lm trains ({name})", p.returncode == 0, p.stderr[-300:]): continue
            compare(report, exe, f"mlx-lm's adapter on {os.path.basename(path)}, {name}", path, [adapter], in_mlx(folder, adapter))


def delta(path, adapter):
    """{module: scale·B·A} of a PEFT adapter, from its files by hand."""
    c, t = json.load(open(os.path.join(adapter, "adapter_config.json"))), load_file(os.path.join(adapter, "adapter_model.safetensors"))
    modules = [k.removesuffix(".lora_A.weight") for k in t if k.endswith(".lora_A.weight")]
    scale = c["lora_alpha"] / (c["r"] ** 0.5 if c["use_rslora"] else c["r"])
    return {m.removeprefix("base_model.model."): scale * t[m + ".lora_B.weight"] @ t[m + ".lora_A.weight"] for m in modules}


def stacked(report, exe, place, root):
    for path in (place.folder, place.gguf):
        adapters = [peft_adapter(path, root, seed=1), peft_adapter(path, root, seed=2, r=2, use_rslora=True, target_modules=["q_proj", "k_proj", "down_proj"]),
                    peft_adapter(path, root, seed=3, layers_to_transform=[0])]
        for scales in ([1, 1, 1], [0.5, -1.25, 2], [0, 1, 0]):
            model = reference.load(path)
            for adapter, s in zip(adapters, scales):
                for module, d in delta(path, adapter).items(): model.get_submodule(module).weight.data += s * d
            with torch.no_grad(): logp = log_softmax(model(torch.tensor([IDS])).logits[0])
            compare(report, exe, f"stacked on {os.path.basename(path)} with scales {scales}", path, [f"{a}:{s}" for a, s in zip(adapters, scales)], logp)


def refused(report, exe, place, root):
    good = peft_adapter(place.folder, root)
    tensors = load_file(os.path.join(good, "adapter_model.safetensors"))
    name = next(k for k in tensors if "up_proj.lora_A" in k)
    wrong = {"one unknown module": ({k.replace("layers.1.mlp.up_proj", "layers.1.mlp.sideways"): v for k, v in tensors.items()}, "sideways"),
             "half a pair": ({k: v for k, v in tensors.items() if k != name}, "up_proj"),
             "a layer too many": ({k.replace("layers.1", "layers.9"): v for k, v in tensors.items()}, "layers.9"),
             "a wrong shape": ({k: v[:, :-1].contiguous() if k == name else v for k, v in tensors.items()}, "up_proj")}
    for what, (t, word) in wrong.items():
        bad = shutil.copytree(good, os.path.join(root, what.replace(" ", "-")))
        save_file(t, os.path.join(bad, "adapter_model.safetensors"))
        p = subprocess.run([exe, "generate", "--model", place.folder, "--adapter-path", bad, "--prompt-tokens", "5,6", "--max-tokens", "1", "--json"], capture_output=True, text=True)
        error = json.loads(p.stdout or "{}").get("error", {})
        report.holds(f"refused by name: {what}", p.returncode == 1 and word in error.get("message", ""), (p.returncode, p.stdout[-300:]))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("lorac"); exe, report = p.parse_args().lorac, reference.Report()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as root:
        for place in (Place(root, "plain", "Q8_0"), Place(root, "headdim", "Q4_1")):
            for step in (made_by_peft, stacked, made_by_mlx, made_by_lorac): step(report, exe, place, root)
        refused(report, exe, place, root)
    report.end()


if __name__ == "__main__": main()
