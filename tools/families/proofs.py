"""The eight proofs of one variant, through the command as users would.

What stands against what: log-probabilities of all tokens against the reference's (transformers' class, or ours of remote.py) in f32,
relative to the spread of the logits; gradients and steps against PEFT on the reference."""
import json, math, os, tempfile, warnings
import numpy as np, torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast
import golden_training, judge_training, reference
from families import folders, gguf_file, mlx_folder, table
from tiny_llama import CORPUS

LOGITS, PIECES, GRADIENTS, STEPS = 1e-4, 1e-4, 1e-4, 1e-4
ORIGINAL = 64  # every variant's original context, and more than every window
RANK, SCALE = 3, 2.0
ROWS = [CORPUS[0], " ".join(CORPUS[1:4]), " ".join(CORPUS)]  # within the original context, about there, beyond it


class Place:
    """A variant's folder, its reference and what the proofs share."""
    def __init__(self, family, variant, root):
        self.family, self.variant, self.root = table.FAMILIES[family], table.FAMILIES[family].variants[variant], root
        self.name, self.folder = f"{family}-{variant}", folders.save(family, variant, root)
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(self.folder)
        self.ids = folders.ids_of(self.variant.length)
        self.targets = self.family.targets

    @property
    def dynamic(self): return self.variant.gguf == table.NO_DYNAMIC

    def model(self): return folders.load(self.folder)
    def language_model(self):
        """Of a model that also sees, its language model alone, which is what a GGUF holds."""
        whole = self.model()
        if not self.family.text: return whole
        text = self.family.text(whole.config.text_config).eval()
        text.model, text.lm_head = whole.model.language_model, whole.lm_head
        return text

    def new(self): return tempfile.mkdtemp(dir=self.root)

    def forms(self):
        """{form: path}; made once."""
        if not hasattr(self, "made"):
            self.made = {"folder": self.folder}
            if not self.variant.gguf: self.made["GGUF"] = self.folder + ".gguf"; gguf_file.write(self.folder, self.made["GGUF"])
            if not self.variant.mlx: self.made["MLX"] = mlx_folder.write(self.folder, self.folder + ".mlx", self.variant.dtype)
        return self.made

    def rows(self):
        ids = [self.tokenizer.encode(r) + [self.tokenizer.eos_token_id] for r in ROWS]
        return ids, [[0] + [1] * (len(i) - 1) for i in ids]


# ---- log-probabilities --------------------------------------------------------------------------

def log_softmax(logits):
    return torch.log_softmax(torch.from_numpy(np.asarray(logits)).double(), -1).numpy()


def rows_of(items):
    return np.array([[t["logprob"] for t in sorted(i["top"], key=lambda t: t["token"])] for i in items])


def answered(exe, path, ids, generate, *more):
    """(log-probabilities after each id but the last, after the last and each generated token, generated tokens): all tokens each."""
    o = reference.lorac(exe, "generate", "--model", path, "--prompt-tokens", ",".join(map(str, ids)), "--prompt-logprobs", table.VOCAB, "--logprobs", table.VOCAB,
                        "--max-tokens", generate, "--temp", 0, "--ignore-eos", "--precision", "exact", *more)[-1]
    prompt = rows_of(o["prompt_logprobs"][1:]).reshape(-1, table.VOCAB)
    return prompt, rows_of(o["logprobs"]), [i["token"] for i in o["logprobs"]]


def one_pass(exe, path, ids, *more):
    prompt, generated, _ = answered(exe, path, ids, 1, *more)
    return np.concatenate([prompt, generated[:1]])


def relative(found, logits):
    return np.abs(found - log_softmax(logits)).max() / logits.std()


# ---- adapters -----------------------------------------------------------------------------------

def with_adapter(place, seed):
    """PEFT on the reference, A and B drawn by name, B not zero."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(place.model(), LoraConfig(r=RANK, lora_alpha=SCALE * RANK, target_modules=place.family.peft_targets()))
    for name, p in golden_training.trained(model).items():
        g = golden_training.draw(seed + name)
        p.data = torch.from_numpy(g.uniform(-1, 1, tuple(p.shape)) / math.sqrt(p.shape[1]) if "lora_A" in name else 0.05 * g.standard_normal(tuple(p.shape))).float()
    return model.eval()


def saved(place, model):
    out = place.new()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(out)
    return out


def data(place):
    out = place.new()
    judge_training.write_rows(out, ROWS)
    return out


def train(exe, place, start, path, *more, **o):
    """The command from these A and B on all rows as one batch; (its steps, the folder of what it wrote)."""
    out = place.new()
    o = dict(batch=len(ROWS), **o)
    return judge_training.lorac_steps(exe, path, data(place), start, out, o, o.pop("lr"), "exact", RANK, SCALE, -1, "--target-modules", ",".join(place.targets), *more), out


# ---- the proofs ---------------------------------------------------------------------------------

def logits(report, exe, place):
    for ids in (place.ids[:1], place.ids[:ORIGINAL - 4]):
        expected = folders.logits(place.model(), ids)
        report.check(f"{place.name}: logits of {len(ids)} tokens", relative(one_pass(exe, place.folder, ids), expected), LOGITS)


def single_tokens(report, exe, place):
    ids = place.ids[:30]
    _, found, tokens = answered(exe, place.folder, ids, 20, "--prefill-step-size", 8)
    expected = folders.logits(place.model(), ids + tokens[:-1])[len(ids) - 1:]
    report.check(f"{place.name}: 20 single tokens after a prefill in pieces, against one pass", relative(found, expected), PIECES)


def packed(report, exe, place):
    start, (ids, targets) = saved(place, model := with_adapter(place, place.name)), place.rows()
    steps, _ = train(exe, place, start, place.folder, steps=1, lr=1e-9)
    each = []
    for row in ROWS:
        out = place.new()
        judge_training.write_rows(out, [row])
        each.append(reference.lorac(exe, "eval", "--model", place.folder, "--data", out, "--adapter-path", start, "--precision", "exact")[-1])
    alone = sum(e["loss"] * e["tokens"] for e in each) / sum(e["tokens"] for e in each)
    report.check(f"{place.name}: loss of a packed batch of {', '.join(str(len(i)) for i in ids)} tokens against its rows alone", abs(steps[0][0] - alone), 1e-5)
    with torch.no_grad(): total, count = reference.ragged_loss(model, ids, targets)
    report.check(f"{place.name}: the same against PEFT, a row at a time", abs(steps[0][0] - total.item() / count), STEPS)


def generating(place, ids, tokens):
    """Logits before each token as transformers generates: dynamic NTK leaves cached keys as they were, LongRoPE computes them anew."""
    model = place.model()
    if not place.dynamic: return np.stack([folders.logits(model, ids + tokens[:n])[-1] for n in range(len(tokens))])
    rows, cache = [], None
    for step in [ids] + [[t] for t in tokens[:-1]]:
        with torch.no_grad(): o = model(input_ids=torch.tensor([step]), past_key_values=cache, use_cache=True)
        rows.append(o.logits[0, -1].numpy()); cache = o.past_key_values
    return np.stack(rows)


def beyond(report, exe, place):
    expected = folders.logits(place.model(), place.ids)
    what = f"{place.name}: {len(place.ids)} tokens, beyond window and original context"
    report.check(f"{what}, at once", relative(one_pass(exe, place.folder, place.ids), expected), LOGITS)
    report.check(f"{what}, in pieces of 16", relative(one_pass(exe, place.folder, place.ids, "--prefill-step-size", 16), expected), LOGITS)
    ids = place.ids[:ORIGINAL - 6]
    _, found, tokens = answered(exe, place.folder, ids, 16)
    report.check(f"{what}, crossed while generating", relative(found, generating(place, ids, tokens)), LOGITS)


def gradients(report, exe, place):
    """The first step of AdamW on a gradient clipped far below eps is lr · g / (|g| + eps): the gradient up to its norm, which is taken from PEFT."""
    model = with_adapter(place, place.name)
    start = saved(place, model)
    ids, targets = place.rows()
    golden_training.accumulate(model, ids, targets, [list(range(len(ids)))])
    expected = {n: p.grad for n, p in golden_training.trained(model).items()}
    norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in expected.values()))
    lr, clip, eps = 1e6, 1e-11, 1e-8
    _, out = train(exe, place, start, place.folder, steps=1, lr=lr, clip_norm=clip)
    first, found = (load_file(os.path.join(d, "adapter_model.safetensors")) for d in (start, out))
    assert set(found) == set(expected), set(found) ^ set(expected)
    worst = 0.0
    for n, g in expected.items():
        step = (first[n].double() - found[n].double()) / lr
        gradient = step * eps / (1 - step.abs()) * (norm / clip)
        worst = max(worst, ((gradient - g).abs().max() / g.abs().max()).item())
    report.check(f"{place.name}: {len(expected)} gradient tensors against PEFT's, relative to the largest of each", worst, GRADIENTS)


def steps(report, exe, place):
    model = with_adapter(place, place.name)
    start, (ids, targets) = saved(place, model), place.rows()
    first = {n: p.detach().clone() for n, p in golden_training.trained(model).items()}
    o = dict(steps=20, weight_decay=0.01)
    theirs = judge_training.peft_steps(model, ids, targets, o, 5e-3)
    ours, out = train(exe, place, start, place.folder, lr=5e-3, **o)
    found, final = load_file(os.path.join(out, "adapter_model.safetensors")), golden_training.trained(model)
    report.check(f"{place.name}: losses of 20 steps ({theirs[0][0]:.3f} → {theirs[-1][0]:.3f}) against PEFT's", max(abs(a[0] - b[0]) for a, b in zip(ours, theirs)), STEPS)
    flat = lambda f: torch.cat([f(n).detach().flatten() for n in sorted(final)])
    report.check(f"{place.name}: A and B after them, norm of the difference by the norm of the move",
                 (flat(lambda n: found[n] - final[n]).norm() / flat(lambda n: final[n] - first[n]).norm()).item(), 1e-2)


def forms(report, exe, place):
    expected = folders.logits(place.model(), place.ids)
    for form, path in place.forms().items():
        if form != "folder": report.check(f"{place.name}: logits of {len(place.ids)} tokens on the {form}", relative(one_pass(exe, path, place.ids), expected), LOGITS)


def in_peft(place, adapter, form):
    base = place.language_model() if form == "GGUF" else place.model()
    model = PeftModel(base, PeftConfig.from_pretrained(adapter)).eval()
    result = model.load_adapter(adapter, "default")
    return folders.logits(model, place.ids), result.missing_keys, result.unexpected_keys


def adapters(report, exe, place):
    start = saved(place, with_adapter(place, "adapters"))
    for form, path in place.forms().items():
        _, adapter = train(exe, place, start, path, steps=5, lr=2e-2)
        expected, missing, unexpected = in_peft(place, adapter, form)
        report.holds(f"{place.name}: PEFT loads what was trained on the {form}, no key missing or unexpected", not missing and not unexpected, (missing, unexpected))
        for other, where in place.forms().items():
            report.check(f"{place.name}: trained on the {form}, run on the {other}, against PEFT", relative(one_pass(exe, where, place.ids, "--adapter-path", adapter), expected), LOGITS)
    mlx_adapters(report, exe, place)


# mlx-lm reads no "rope_parameters" in Qwen 2, and fails in Gemma 3 with fewer layers than its pattern has.
NOT_IN_MLX = {"qwen2-window", "gemma3-mixed", "gemma3_multimodal-mixed"}
# It has no windows and no dynamic scaling here: compared on as many tokens as all windows hold.
WITHIN, SHORT_IN_MLX = 16, {"llama-dynamic", "mistral-window", "mistral3-window", "phi3-window", "gemma2-plain", "gemma2-scalar", "gemma2-one"}


def mlx_adapters(report, exe, place):
    """Adapters of mlx-lm in lorac, and lorac's in mlx-lm."""
    folder = place.forms().get("MLX")
    if not folder or place.name in NOT_IN_MLX: return
    ids = place.ids[:WITHIN] if place.name in SHORT_IN_MLX else place.ids
    def draw(name, shape):
        g = golden_training.draw("mlx" + name)
        return (g.uniform(-1, 1, shape) / math.sqrt(shape[0]) if "lora_a" in name else 0.05 * g.standard_normal(shape)).astype(np.float32)
    theirs = mlx_folder.adapter(folder, place.new(), RANK, SCALE, draw)
    expected = mlx_folder.logits(folder, ids, theirs)
    base = mlx_folder.logits(folder, ids)
    report.holds(f"{place.name}: mlx-lm's adapter moves its logits", np.abs(expected - base).max() > 0.05 * base.std())
    for form, path in place.forms().items():
        report.check(f"{place.name}: mlx-lm's adapter, run on the {form}, against mlx-lm", relative(one_pass(exe, path, ids, "--adapter-path", theirs), expected), LOGITS)
    _, ours = train(exe, place, saved(place, with_adapter(place, "mlx")), folder, "--adapter-format", "mlx", steps=5, lr=2e-2)
    report.check(f"{place.name}: trained on the MLX, run in mlx-lm, against lorac", relative(one_pass(exe, folder, ids, "--adapter-path", ours), mlx_folder.logits(folder, ids, ours)), LOGITS)


PROOFS = {"logits": logits, "single-tokens": single_tokens, "packed": packed, "beyond": beyond, "gradients": gradients, "steps": steps, "forms": forms, "adapters": adapters}
