#!/usr/bin/env python3
"""Writes tests/golden/training: gradients and 50 optimiser steps of PEFT (f32) on the tiny models, from given A and B.

usage: golden_training.py [OUT]     (default tests/golden; the models must lie in OUT/models: golden_logits.py)

NAME/adapter_config.json, adapter_model.safetensors   the start: a PEFT adapter, A uniform in ±1/√in, B not zero
NAME/gradients.safetensors    ∂loss/∂A, ∂loss/∂B of the first batch at the start, under the same names
NAME/final.safetensors        A and B after the last step, under the same names
NAME/case.json                {"model": in OUT/models, "rank", "scale", "num_layers" (the last N),
  "rows": [[ids]…], "targets": [[0 or 1 per id; 1: this id is predicted from those before it]…],
  "weight_decay", "clip_norm" (0: none), "accumulation", "schedule": "constant"|"cosine", "learning_rate", "warmup",
  "gradient_rows": [rows of the first batch], "gradient_loss": its loss, before any step,
  "steps": [{"batches": [[rows of a micro-batch]…], "losses": [mean over the micro-batch's targets, …],
             "loss": mean over all targets of the step, "learning_rate", "gradient_norm" (of that mean, before clipping)}…],
  "noise": {"loss", "final"}: largest difference, here, of the losses (absolute) and of the final tensors (absolute) when only the
             order of the sums changes (f64 products)}
Names are PEFT's: base_model.model.model.layers.N.self_attn.q_proj.lora_A.weight, A (rank, in), B (out, rank), Hugging Face order.

The loss of a step is −log p summed over the targets of all its micro-batches, divided by their number. AdamW: betas 0.9, 0.999,
eps 1e-8, bias corrected. The learning rate of optimiser step s = 0, 1 …, peak L, W warm-up steps, S steps in all:
s ≤ W and W > 0: L·s/W; else cosine: with t = s − (W + 1) (t = s where W = 0) and D = S − W: L/2·(1 + cos(π·min(t, D)/D))."""
import json, math, os, shutil, sys, warnings, zlib
import numpy as np, torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
import reference

PACKAGES = ["torch", "transformers", "peft", "safetensors", "gguf", "numpy"]
STEPS = 50
CASES = {
    "constant":  dict(model="plain", num_layers=1, weight_decay=0.01, clip_norm=0.0, accumulation=1, schedule="constant", learning_rate=1e-2, warmup=0, lengths=[12, 7, 19], batch=3),
    "cosine":    dict(model="llama3", num_layers=2, weight_decay=0.01, clip_norm=0.5, accumulation=2, schedule="cosine", learning_rate=1e-2, warmup=5, lengths=[9, 17, 5, 14, 11, 8], batch=2),
    "bias":      dict(model="bias", num_layers=2, weight_decay=0.0, clip_norm=1.0, accumulation=1, schedule="constant", learning_rate=5e-3, warmup=3, lengths=[10, 6, 15], batch=3),
    "quantised": dict(model="headdim-q4_1.gguf", num_layers=2, weight_decay=0.01, clip_norm=0.0, accumulation=1, schedule="constant", learning_rate=1e-2, warmup=0, lengths=[12, 7, 19], batch=3),
}
RANK, ALPHA = 4, 8


def draw(key):
    return np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))


def with_adapter(path, num_layers, seed):
    """PEFT's model with A and B drawn by name."""
    base = reference.load(path)
    layers = base.config.num_hidden_layers
    c = LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=list(reference.LINEARS), task_type="CAUSAL_LM",
                   layers_to_transform=None if num_layers == layers else list(range(layers - num_layers, layers)), base_model_name_or_path=os.path.basename(path))
    model = get_peft_model(base, c).eval()
    model.peft_config["default"].base_model_name_or_path = os.path.basename(path)
    model.peft_config["default"].target_modules = list(reference.LINEARS)  # a set, else: written in any order
    for name, p in model.named_parameters():
        if "lora_A" in name: p.data = torch.from_numpy(draw(seed + name).uniform(-1, 1, tuple(p.shape)) / math.sqrt(p.shape[1])).float()
        if "lora_B" in name: p.data = torch.from_numpy(0.1 * draw(seed + name).standard_normal(tuple(p.shape))).float()
    return model


def trained(model):
    return {n.replace(".default", ""): p for n, p in model.named_parameters() if p.requires_grad}


def learning_rate(case, s, steps=STEPS):
    peak, warm = case["learning_rate"], case["warmup"]
    if warm and s <= warm: return peak * s / warm
    if case["schedule"] == "constant": return peak
    t, length = s - (warm + 1 if warm else 0), steps - warm
    return peak / 2 * (1 + math.cos(math.pi * min(t, length) / length))


def data(case, seed, vocab):
    """Ragged rows; the first ids of most are a prompt without loss, one row is all targets."""
    g, rows, targets = draw(seed), [], []
    for i, n in enumerate(case["lengths"]):
        ids = g.integers(3, vocab, n).tolist()
        prompt = 1 if i == 0 else int(g.integers(2, n - 1))
        rows.append(ids); targets.append([0] * prompt + [1] * (n - prompt))
    return rows, targets


def batches(case):
    """Per step `accumulation` micro-batches of row numbers, walking round the rows; the second one of a step is a row longer."""
    n, at, out = len(case["lengths"]), 0, []
    for _ in range(STEPS):
        step = []
        for k in range(case["accumulation"]):
            size = case["batch"] + k
            step.append([(at + i) % n for i in range(size)]); at = (at + size) % n
        out.append(step)
    return out


def accumulate(model, rows, targets, micro):
    """Leaves the gradient of the step's loss in the parameters; returns the micro-batches' losses and the step's."""
    total = sum(sum(targets[r]) for b in micro for r in b)
    losses, summed = [], 0.0
    for b in micro:
        s, count = reference.ragged_loss(model, [rows[r] for r in b], [targets[r] for r in b])
        (s / total).backward()
        losses.append(s.item() / count); summed += s.item()
    return losses, summed / total


def train(model, case, rows, targets):
    weights = trained(model)
    optimiser = torch.optim.AdamW(weights.values(), lr=1.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=case["weight_decay"])
    steps, gradients = [], None
    for s, micro in enumerate(batches(case)):
        losses, loss = accumulate(model, rows, targets, micro)
        norm = torch.nn.utils.clip_grad_norm_(weights.values(), case["clip_norm"] or math.inf).item()
        for group in optimiser.param_groups: group["lr"] = learning_rate(case, s)
        optimiser.step(); optimiser.zero_grad()
        steps.append({"batches": micro, "losses": losses, "loss": loss, "learning_rate": learning_rate(case, s), "gradient_norm": norm})
    return steps


def by_hand(path, model, rows, targets):
    """Largest relative difference between PEFT's gradients and those of the merged weights W + s·B·A: ∂A = s·Bᵀ·∂W, ∂B = s·∂W·Aᵀ."""
    base, lora, worst, s = reference.load(path), trained(model), 0.0, ALPHA / RANK
    pairs = {n.removeprefix("base_model.model.").removesuffix(".lora_A.weight"): (p, lora[n.replace("lora_A", "lora_B")]) for n, p in lora.items() if "lora_A" in n}
    for name, (A, B) in pairs.items(): base.get_submodule(name).weight.data += s * (B @ A).detach()
    total, count = reference.ragged_loss(base, rows, targets)
    (total / count).backward()
    for name, (A, B) in pairs.items():
        g = base.get_submodule(name).weight.grad
        for found, hand in ((A.grad, s * B.T @ g), (B.grad, s * g @ A.T)): worst = max(worst, ((found - hand).abs().max() / hand.abs().max()).item())
    return worst


def make(name, case, out):
    path, folder = os.path.join(out, "models", case["model"]), os.path.join(out, "training", name)
    model = with_adapter(path, case["num_layers"], name)
    rows, targets = data(case, name, model.config.vocab_size)
    model.save_pretrained(folder, save_embedding_layers=False)
    os.remove(os.path.join(folder, "README.md"))
    first = list(range(3))
    _, loss = accumulate(model, rows, targets, [first])
    save_file({n: p.grad.clone() for n, p in trained(model).items()}, os.path.join(folder, "gradients.safetensors"))
    hand = by_hand(path, model, rows[:3], targets[:3])
    assert hand < 1e-4, f"{name}: PEFT's gradients differ from the formula by {hand}"
    model.zero_grad()
    steps = train(model, case, rows, targets)
    final = {n: p.detach().clone() for n, p in trained(model).items()}
    save_file(final, os.path.join(folder, "final.safetensors"))
    again = with_adapter(path, case["num_layers"], name).double()
    steps64 = train(again, case, rows, targets)
    noise = {"loss": max(abs(a["loss"] - b["loss"]) for a, b in zip(steps, steps64)),
             "final": max((final[n] - p.detach()).abs().max().item() for n, p in trained(again).items())}
    keys = ("model", "num_layers", "weight_decay", "clip_norm", "accumulation", "schedule", "learning_rate", "warmup")
    case = {k: case[k] for k in keys} | {"rank": RANK, "scale": ALPHA / RANK, "rows": rows, "targets": targets,
            "gradient_rows": first, "gradient_loss": loss, "noise": noise, "steps": steps}
    with open(os.path.join(folder, "case.json"), "w") as f: json.dump(case, f); f.write("\n")
    for n in os.listdir(folder): os.chmod(os.path.join(folder, n), 0o644)
    print(f"{name}: loss {steps[0]['loss']:.4f} → {steps[-1]['loss']:.4f}, against f64: losses {noise['loss']:.1e}, final {noise['final']:.1e}; gradients by hand {hand:.1e}")


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else reference.GOLDEN
    torch.set_num_threads(1); warnings.simplefilter("ignore")
    shutil.rmtree(os.path.join(out, "training"), ignore_errors=True)
    for name, case in CASES.items(): make(name, case, out)
    reference.manifest(os.path.join(out, "training"), "tools/golden_training.py", PACKAGES)


if __name__ == "__main__": main()
