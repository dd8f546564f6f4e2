#!/usr/bin/env python3
"""Log-probabilities of the command against transformers in f32 on the same (dequantised) weights.

usage: judge_logits.py LORAC [--data WIKISQL] [--only exact|fast] [--model FILE.gguf]...
With --model these files alone are judged, else the tiny models and the default model.
Bounds: exact, every log-probability 1e-3 and every mean loss 1e-4; fast, over at least 1,000 positions of a text, the ten likeliest
tokens 0.12 on average and 0.6 at 98 % of the positions, the mean loss 0.01 (int8), or 0.03, 0.2 and 0.002 where only bf16 is used
(here: the default model's weights as a bf16 folder). Exit 1 when one is out of bounds."""
import argparse, json, os, tempfile
import numpy as np, torch
from transformers import AutoTokenizer
import gguf_llama, reference, tiny_llama

INT8, BF16 = (0.12, 0.6, 0.01), (0.03, 0.2, 0.002)
ROWS = ["the cat sat on the mat", "one two three 4 5 6 and then nothing, nothing at all", "Ærø"]


def expected(model, ids):
    with torch.no_grad(): return torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1).numpy()


def answered(exe, path, ids, precision, top, *more):
    """[(token, logprob, {token: logprob})] for the prompt's ids from the second on, then for the generated token."""
    o = reference.lorac(exe, "generate", "--model", path, "--prompt-tokens", ",".join(map(str, ids)), "--prompt-logprobs", top, "--logprobs", top,
                        "--max-tokens", 1, "--temp", 0, "--ignore-eos", "--precision", precision, *more)[-1]
    items = o["prompt_logprobs"][1:] + o["logprobs"][:1]
    assert o["prompt_logprobs"][0] is None and len(items) == len(ids), f"{len(items)} log-probabilities for {len(ids)} ids"
    return [(i["token"], i["logprob"], {t["token"]: t["logprob"] for t in i["top"]}) for i in items]


def differences(answer, logp):
    """Per position the differences at the ten likeliest tokens of the reference; the differences at the ids themselves."""
    ten, own = [], []
    for (token, of, top), row in zip(answer, logp):
        lowest = min(top.values())
        ten.append([abs(top[t] - row[t]) if t in top else max(row[t] - lowest, 0) for t in np.argsort(-row, kind="stable")[:10]])
        own.append(of - row[token])
    return np.array(ten), np.array(own)


def exact(report, exe, name, path, model, ids, *more):
    answer = answered(exe, path, ids, "exact", 20, *more)
    ten, own = differences(answer, expected(model, ids))
    report.holds(f"exact {name}: the ids' own tokens", [a[0] for a in answer[:-1]] == ids[1:])
    report.check(f"exact {name}: log-probabilities, largest of {ten.size + own.size} differences", max(ten.max(), np.abs(own).max()), 1e-3)
    report.check(f"exact {name}: mean loss", abs(own[:-1].mean()), 1e-4)


def fast(report, exe, name, path, model, ids, bounds):
    ten, own = differences(answered(exe, path, ids, "fast", 64), expected(model, ids))
    assert len(ids) >= 1000
    report.check(f"fast {name}: ten likeliest on average over {len(ids)} positions", ten.mean(), bounds[0])
    report.check(f"fast {name}: ten likeliest at 98 % of the positions (largest {ten.max():.3f})", np.quantile(ten.max(1), 0.98), bounds[1])
    report.check(f"fast {name}: mean loss", abs(own[:-1].mean()), bounds[2])


def eval_loss(report, exe, name, path, model, tokenizer, rows):
    """`eval` over text rows, EOS appended."""
    ids = [i if i[-1:] == [tokenizer.eos_token_id] else i + [tokenizer.eos_token_id] for i in map(tokenizer.encode, rows)]
    with tempfile.TemporaryDirectory() as d, torch.no_grad():
        with open(os.path.join(d, "valid.jsonl"), "w") as f: f.writelines(json.dumps({"text": r}) + "\n" for r in rows)
        total, count = reference.ragged_loss(model, ids, [[0] + [1] * (len(i) - 1) for i in ids])
        o = reference.lorac(exe, "eval", "--model", path, "--data", d, "--split", "valid", "--precision", "exact")[-1]
    report.holds(f"eval {name}: {count} targets", o["tokens"] == count, o["tokens"])
    report.check(f"eval {name}: mean loss", abs(o["loss"] - total.item() / count), 1e-4)


def tiny(report, exe):
    with tempfile.TemporaryDirectory() as out:
        for name, (_, _, _, kinds) in tiny_llama.MODELS.items():
            folder = tiny_llama.save(name, out)
            ids = np.random.default_rng(3).integers(3, tiny_llama.config(name).vocab_size, 100).tolist()
            for kind in [None, *kinds]:
                path = os.path.join(out, f"{name}-{kind.lower()}.gguf") if kind else folder
                if kind: gguf_llama.write(folder, path, kind)
                model, item = reference.load(path), os.path.basename(path)
                report.attempt(f"exact {item}", exact, report, exe, item, path, model, ids)
                report.attempt(f"eval {item}", eval_loss, report, exe, item, path, model, AutoTokenizer.from_pretrained(folder), ROWS)


def trained(report, exe, texts, which, name, path):
    model, tokenizer = reference.load(path), AutoTokenizer.from_pretrained(*os.path.split(path)[:1], gguf_file=os.path.basename(path))
    ids = tokenizer.encode("\n\n".join(texts), add_special_tokens=False)[:1200]
    if which != "fast":
        report.attempt(f"exact {name}", exact, report, exe, name, path, model, ids[:300])
        report.attempt(f"eval {name}", eval_loss, report, exe, name, path, model, tokenizer, texts[:8])
    if which != "exact":
        report.attempt(f"fast {name}", fast, report, exe, name, path, model, ids, INT8)
    return model, tokenizer, ids


def default(report, exe, texts, which):
    model, tokenizer, ids = trained(report, exe, texts, which, "default model", reference.default_model())
    if which != "exact":
        with tempfile.TemporaryDirectory() as d:
            model.to(torch.bfloat16).save_pretrained(d); tokenizer.save_pretrained(d)
            name = "default model as a bf16 folder"
            report.attempt(f"fast {name}", fast, report, exe, name, d, reference.load(d), ids, BF16)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("lorac"); p.add_argument("--data", default=reference.wikisql()); p.add_argument("--only", choices=["exact", "fast"])
    p.add_argument("--model", action="append", default=[])
    a, report = p.parse_args(), reference.Report()
    texts = [json.loads(line)["text"] for line in open(os.path.join(a.data, "valid.jsonl"))]
    for path in a.model: trained(report, a.lorac, texts, a.only, os.path.basename(path), path)
    if not a.model and a.only != "fast": tiny(report, a.lorac)
    if not a.model: default(report, a.lorac, texts, a.only)
    report.end()


if __name__ == "__main__": main()
