#!/usr/bin/env python3
"""Training by the command against PEFT in f32, from the same A and B on the same batches.

usage: judge_training.py LORAC [--skip-default] [--model FILE.gguf]...
With --model these files alone are judged, as the default model is.
Every step sees the whole data set (its order inside the step is lorac's own), so that both programs take the same steps: three text
rows as one batch; three one-row micro-batches accumulated; completions with a masked prompt, clipping, a cosine with warm-up.
Tiny models 50 steps, the default model 4, precision exact: losses within 1e-4 (CLI.md's bound on a mean loss), learning rates
equal, the change of A and B within 1 % in norm, on the tiny models but the wide one also in every element. (Adam's first steps move an element by its
gradient's sign, so where one of the many gradients of a wider model is near the rounding, single elements differ: PEFT against itself, rows in
another order and one thread fewer, differs by 1 % in the worst of 1.3 million elements and by 1e-5 in norm.) Exit 1 when out of bounds."""
import argparse, json, math, os, tempfile, warnings
import numpy as np, torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoTokenizer
import golden_training, gguf_llama, reference, tiny_llama

TEXTS = ["the cat and the hen sat on the mat", "there is an old tin", "she reads the letter that her sister sent on the last train"]
PAIRS = [("the cat", "sat on the mat in the rain"), ("there is an old", "tin"), ("she reads the letter and then", "it rains on the hills")]
CASES = {  # name: (rows, extra flags of lorac)
    "one batch of three":       (TEXTS, dict(steps=50, batch=3)),
    "accumulation of three":    (TEXTS, dict(steps=50, batch=1, accumulation=3, weight_decay=0.01)),
    "masked, clipped, cosine":  (PAIRS, dict(steps=50, batch=3, weight_decay=0.01, clip_norm=0.5, schedule="cosine", warmup=5)),
}


def tokens(tokenizer, row):
    """ids and targets of a row, as CLI.md has them."""
    if isinstance(row, str):
        ids = tokenizer.encode(row)
        if ids[-1:] != [tokenizer.eos_token_id]: ids.append(tokenizer.eos_token_id)
        return ids, [0] + [1] * (len(ids) - 1)
    user = [{"role": "user", "content": row[0]}]
    render = lambda messages, add: tokenizer.encode(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add), add_special_tokens=False)
    ids, prompt = render(user + [{"role": "assistant", "content": row[1]}], False), len(render(user, True))
    return ids, [0] * prompt + [1] * (len(ids) - prompt)


def write_rows(folder, rows):
    for split in ("train", "valid"):
        with open(os.path.join(folder, f"{split}.jsonl"), "w") as f:
            f.writelines(json.dumps({"text": r} if isinstance(r, str) else dict(zip(("prompt", "completion"), r))) + "\n" for r in rows)


def peft_model(path, rank, scale, num_layers, seed):
    """PEFT with A and B drawn by name; B not zero."""
    base = reference.load(path)
    layers = base.config.num_hidden_layers
    model = get_peft_model(base, LoraConfig(r=rank, lora_alpha=scale * rank, target_modules=list(reference.LINEARS), task_type="CAUSAL_LM",
                                            layers_to_transform=None if num_layers == layers else list(range(layers - num_layers, layers))))
    for name, p in golden_training.trained(model).items():
        g = golden_training.draw(seed + name)
        p.data = torch.from_numpy(g.uniform(-1, 1, tuple(p.shape)) / math.sqrt(p.shape[1]) if "lora_A" in name else 0.02 * g.standard_normal(tuple(p.shape))).float()
    return model.eval()


def peft_steps(model, rows, targets, o, lr):
    """The steps by torch: [(loss, learning rate)]."""
    weights = golden_training.trained(model)
    optimiser = torch.optim.AdamW(weights.values(), lr=1.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=o.get("weight_decay", 0.0))
    case = dict(learning_rate=lr, warmup=o.get("warmup", 0), schedule=o.get("schedule", "constant"))
    out = []
    for s in range(o["steps"]):
        _, loss = golden_training.accumulate(model, rows, targets, [list(range(len(rows)))])
        if "clip_norm" in o: torch.nn.utils.clip_grad_norm_(weights.values(), o["clip_norm"])
        for group in optimiser.param_groups: group["lr"] = golden_training.learning_rate(case, s, o["steps"])
        optimiser.step(); optimiser.zero_grad()
        out.append((loss, optimiser.param_groups[0]["lr"]))
    return out


def lorac_steps(exe, path, data, start, out, o, lr, precision, rank, scale, num_layers, *more):
    """The steps by the command: [(loss of the step, learning rate)]; the adapter lies in `out`."""
    k, flags = o.get("accumulation", 1), []
    for key, flag in (("weight_decay", "--weight-decay"), ("clip_norm", "--clip-norm"), ("schedule", "--lr-schedule"), ("warmup", "--warmup")):
        if key in o: flags += [flag, o[key]]
    events = reference.lorac(exe, "train", "--model", path, "--data", data, "--iters", o["steps"] * k, "--batch-size", o["batch"], "--grad-accumulation-steps", k,
                             "--learning-rate", lr, "--rank", rank, "--scale", scale, "--num-layers", num_layers, "--steps-per-report", 1, "--steps-per-eval", 100000,
                             "--val-batches", 1, "--precision", precision, "--resume-adapter-file", os.path.join(start, "adapter_model.safetensors"),
                             "--adapter-path", out, *more, *flags, *(["--mask-prompt"] if o.get("masked") else []))
    seen = [e for e in events if e["event"] == "train"]
    assert len(seen) == o["steps"] * k, f"{len(seen)} reports of {o['steps'] * k} iterations"
    counts = np.diff([0] + [e["target_tokens"] for e in seen]) if seen[-1]["target_tokens"] > seen[0]["target_tokens"] else np.array([e["target_tokens"] for e in seen])
    groups = [range(i, i + k) for i in range(0, len(seen), k)]
    return [(sum(seen[i]["loss"] * counts[i] for i in g) / sum(counts[i] for i in g), seen[g[-1]]["learning_rate"]) for g in groups]


def judge(report, exe, what, path, tokenizer, texts, o, lr, rank, scale, num_layers, precision="exact", bound=1e-4, every=True):
    rows, targets = zip(*(tokens(tokenizer, t) for t in texts))
    model = peft_model(path, rank, scale, num_layers, what)
    with tempfile.TemporaryDirectory() as root:
        start, out, data = (os.path.join(root, d) for d in ("start", "out", "data"))
        os.makedirs(data); write_rows(data, texts); model.save_pretrained(start, save_embedding_layers=False)
        first = {n: p.detach().clone() for n, p in golden_training.trained(model).items()}
        theirs = peft_steps(model, rows, targets, o, lr)
        ours = lorac_steps(exe, path, data, start, out, dict(o, masked=not isinstance(texts[0], str)), lr, precision, rank, scale, num_layers)
        found = load_file(os.path.join(out, "adapter_model.safetensors"))
    final = golden_training.trained(model)
    report.holds(f"{what}: the tensors' names", set(found) == set(final), set(found) ^ set(final))
    report.check(f"{what}: losses of {o['steps']} steps ({theirs[0][0]:.3f} → {theirs[-1][0]:.3f})", max(abs(a[0] - b[0]) for a, b in zip(ours, theirs)), bound)
    report.check(f"{what}: learning rates", max(abs(a[1] - b[1]) for a, b in zip(ours, theirs)) / lr, 1e-6)
    if precision == "exact":
        flat = lambda f: torch.cat([f(n).detach().flatten() for n in sorted(final)])
        off, moved = flat(lambda n: found[n] - final[n]), flat(lambda n: final[n] - first[n])
        far = (off.abs().max() / moved.abs().max()).item()
        report.check(f"{what}: A and B, norm of the difference by the norm of the move (largest element {far:.2g} of the farthest)", (off.norm() / moved.norm()).item(), 1e-2)
        if every: report.check(f"{what}: A and B, every element, relative to the farthest move", far, 1e-2)


def trained(report, exe, name, path):
    tokenizer = AutoTokenizer.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path))
    texts = [json.loads(line)["text"] for line in open(os.path.join(reference.wikisql(), "train.jsonl"))][:3]
    for precision, bound in (("exact", 1e-4), ("fast", 2e-2)):
        what = f"{name}, {precision}"
        report.attempt(what, judge, report, exe, what, path, tokenizer, texts, dict(steps=4, batch=3), 1e-4, 8, 20.0, 16, precision, bound, False)


def tiny(report, exe):
    with tempfile.TemporaryDirectory() as root:
        for name, kind, layers, lr in (("plain", None, 2, 1e-2), ("llama3", "Q8_0", 2, 1e-2), ("headdim", "Q4_1", 1, 1e-2), ("bias", None, 1, 1e-2), ("wide", "K_MIX", 1, 1e-3)):
            path = tiny_llama.save(name, root)
            tokenizer = AutoTokenizer.from_pretrained(path)
            if kind: gguf_llama.write(path, path := os.path.join(root, f"{name}-{kind.lower()}.gguf"), kind)
            for what, (texts, o) in CASES.items():
                what = f"{os.path.basename(path)}, {what}"
                report.attempt(what, judge, report, exe, what, path, tokenizer, texts, o, lr, 4, 2.0, layers, "exact", 1e-4, name != "wide")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("lorac"); p.add_argument("--skip-default", action="store_true"); p.add_argument("--model", action="append", default=[])
    a, report = p.parse_args(), reference.Report()
    warnings.simplefilter("ignore")
    for path in a.model: trained(report, a.lorac, os.path.basename(path), path)
    if not a.model: tiny(report, a.lorac)
    if not a.model and not a.skip_default: trained(report, a.lorac, "default model", reference.default_model())
    report.end()


if __name__ == "__main__": main()
