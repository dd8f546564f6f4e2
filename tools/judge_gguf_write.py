#!/usr/bin/env python3
"""Judges the GGUF files that `lorac convert --gguf-type` writes, on tiny random checkpoints of every family (tools/families/table.py).

usage: judge_gguf_write.py LORAC [--family NAME]... [--only models|tokenizers|real] [--tokenizers DIR] [--model FOLDER]
models: lorac's logits on the file against the folder's; llama.cpp's against lorac's, and its greedy tokens; every tensor's bytes, name,
shape and type against a file that the gguf package writes (gguf_file.py). tokenizers: tokens of hard texts, the folder's against the
file's, and llama.cpp's on the file. real: FOLDER (LORAC_HF_MODEL) in every type, its text in llama.cpp against lorac's."""
import argparse, glob, json, os, shutil, subprocess, tempfile, unicodedata, warnings
import numpy as np, torch
import gguf, llama_cpp
from gguf.quants import dequantize
import reference, tokenizer_corpus
from families import folders, gguf_file, proofs, table, verify

KINDS = ["f32", "f16", "bf16", "q8_0"]
NUMBERS = (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.BF16)
EQUAL = 1e-5    # lorac on its file against lorac on the folder, relative to the spread of the logits: rows of q and k stand in another order
THEIRS = 1e-4   # llama.cpp against lorac
GELU = 5e-3     # the same where llama.cpp looks GELU up in a table of halves


def convert(exe, folder, out, kind):
    return reference.lorac(exe, "convert", "--model", folder, "--out", out, "--force", "--gguf-type", kind)[-1]


# ---- models -------------------------------------------------------------------------------------

def greedy(logits_of, ids, count):
    ids, out = list(ids), []
    for _ in range(count):
        out.append(int(np.argmax(logits_of(ids + out)[-1])))
    return out


def tensor_differences(ours, theirs, exact):
    """Names of tensors that are not the other file's: of numbers to the bit (divisors of frequencies nearly), of blocks no farther from `exact`."""
    a, b, e = ({t.name: t for t in gguf.GGUFReader(p).tensors} for p in (ours, theirs, exact))
    error = lambda t: np.square(dequantize(t.data, t.tensor_type).astype(np.float64) - e[t.name].data).sum()
    near = lambda x, y: x.name.startswith("rope_") and np.allclose(x.data, y.data, rtol=1e-5) or x.tensor_type not in NUMBERS and error(x) <= 1.0001 * error(y)
    alike = lambda x, y: x.tensor_type == y.tensor_type and list(x.shape) == list(y.shape) and (x.data.tobytes() == y.data.tobytes() or near(x, y))
    return [n for n in sorted(a.keys() | b.keys()) if n not in a or n not in b or not alike(a[n], b[n])]


def judge_refused(report, exe, name, folder, out):
    """What neither form of GGUF can say is refused by name; otherwise lorac opens what it wrote."""
    p = subprocess.run([exe, "convert", "--model", folder, "--out", out, "--gguf-type", "f32"], capture_output=True, text=True)
    why = p.stderr.strip().split("GGUF of this architecture ")[-1]
    if p.returncode: report.holds(f"{name}: refused: {why}", why.startswith("cannot say this model's") and not os.path.exists(out), why)
    return not p.returncode


def judge_model(report, exe, family, variant, root):
    name, folder = f"{family}-{variant}", f"{root}/tiny"  # llama.cpp goes by the names of some models
    os.symlink(folders.save(family, variant, root), folder)
    v, out, ids = table.FAMILIES[family].variants[variant], f"{root}/out.gguf", folders.ids_of(table.FAMILIES[family].variants[variant].length)
    if v.gguf and not judge_refused(report, exe, name, folder, out): return
    convert(exe, folder, out, "f32")
    ours, own = proofs.one_pass(exe, folder, ids), proofs.one_pass(exe, out, ids)
    report.check(f"{name}: {len(ids)} tokens, the file against the folder{f' (not for llama.cpp: {v.gguf})' if v.gguf else ''}", np.abs(ours - own).max() / ours.std(), EQUAL)
    if v.gguf: return
    theirs = proofs.log_softmax(verify.llama_cpp_logits(out, ids))
    report.check(f"{name}: the same, llama.cpp against lorac", np.abs(own - theirs).max() / ours.std(), GELU if "GELU" in str(folders.load(folder)) else THEIRS)
    _, _, tokens = proofs.answered(exe, out, ids[:70], 16)
    report.holds(f"{name}: 16 greedy tokens, llama.cpp's and lorac's", tokens == greedy(lambda i: verify.llama_cpp_logits(out, i), ids[:70], 16), tokens)
    for kind in KINDS:
        made = convert(exe, folder, out, kind)
        if made["unquantized"]: report.holds(f"{name}: {kind}, rows that no block divides: {len(made['unquantized'])} tensors", proofs.one_pass(exe, out, ids).shape == own.shape); continue
        gguf_file.write(folder, f"{root}/theirs.gguf", kind.upper())
        if kind == "f32": shutil.copy(out, f"{root}/exact.gguf")
        bad = tensor_differences(out, f"{root}/theirs.gguf", f"{root}/exact.gguf")
        report.holds(f"{name}: {kind}, names, types, shapes and numbers of the gguf package's", not bad, bad[:6])


# ---- tokenizers ---------------------------------------------------------------------------------

def tokens_of(exe, path, texts):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.writelines(json.dumps(t) + "\n" for t in texts), f.flush()
        return [o.get("tokens", o.get("error")) for o in reference.lorac(exe, "tokenize", "--tokenizer", path, "--lines", f.name, check=False)]


def architecture_of(name):
    return "gemma" if name.startswith("gem") else "phi3" if "phi3" in name else "llama"


def tiny_model(folder, family, vocab):
    """A model whose embedding has a row for each token."""
    f = table.FAMILIES[family]
    options = table.settings(family, next(iter(f.variants))) | dict(vocab_size=vocab, num_hidden_layers=1, tie_word_embeddings=True, hidden_size=32, torch_dtype="float32")
    folders.save_model(family, table.Variant(newer=True), options, folder, "bfloat16")


def llama_cpp_tokens(path, texts):
    """Added tokens in the text are recognised, nothing is added, as lorac does."""
    m = llama_cpp.Llama(path, vocab_only=True, verbose=False)
    return [m.tokenize(t.encode(), add_bos=False, special=True) for t in texts]


def texts_for(corpus, count):
    """Without what a GGUF cannot say: normal forms, white space that special tokens swallow, spaces written as SentencePiece's marks."""
    texts = [unicodedata.normalize("NFC", t) for t in corpus.texts(count, [])]
    return [t for t in texts if not any(special in t for special in ("\u2581", "<unk>", "</s>", "<s>"))]


def judge_tokenizer(report, exe, source, root, texts):
    name, folder, out = os.path.basename(source), f"{root}/model", f"{root}/out.gguf"
    shown = tokens_of(exe, source, ["a"])
    if not shown or not isinstance(shown[0], list): return print(f"     {name}: lorac does not read it: {shown}")
    info = reference.lorac(exe, "inspect", source)[-1]
    vocab = info.get("vocab_size") or info["tokenizer"]["vocab_size"]
    tiny_model(folder, architecture_of(name), vocab + 5)
    for f in glob.glob(f"{source}/*"):
        if os.path.basename(f) not in ("config.json", "generation_config.json"): shutil.copy(f, folder)
    p = subprocess.run([exe, "convert", "--model", folder, "--out", out, "--gguf-type", "f16"], capture_output=True, text=True)
    if p.returncode: return print(f"     {name}: refused: {p.stderr.strip()[-200:]}")
    expected, found = tokens_of(exe, folder, texts), tokens_of(exe, out, texts)
    bad = [(t, e, f) for t, e, f in zip(texts, expected, found) if e != f]
    report.holds(f"{name}: tokens of {len(texts)} texts, the file against the folder", not bad and len(found) == len(texts), f"{len(bad)}: {bad[:1]}")
    theirs = llama_cpp_tokens(out, texts)
    differ = [(t, e, f) for t, e, f in zip(texts, found, theirs) if e != f]
    print(f"     {name}: llama.cpp cuts {len(differ)} of {len(texts)} texts otherwise{': ' + ascii(min(differ, key=lambda d: len(d[0]))) if differ else ''}", flush=True)
    report.check(f"{name}: share of texts that llama.cpp cuts otherwise", len(differ) / len(texts), LLAMA_CPP.get(name, 0.02))


LLAMA_CPP = {"internlm2": 0.05, "gpt4o": 0.25, "mistral_nemo": 0.2, "tekken_240718": 0.2, "tekken_240911": 0.2}  # its own classes of combining marks differ


# ---- a real model -------------------------------------------------------------------------------

NEAR_TIE = 0.25  # llama.cpp multiplies q8_0 with activations in 8 bits
PROMPTS = ["The capital of France is", "def fibonacci(n):\n", "Once upon a time, in a village by the sea,"]


def llama_cpp_text(path, prompt, count):
    m = llama_cpp.Llama(path, n_ctx=256, verbose=False, flash_attn=False, type_k=0, type_v=0, n_threads=2)
    ids = m.tokenize(prompt.encode(), special=True)
    return [t for t, _ in zip(m.generate(ids, temp=0), range(count))]


def gap(ours, token):
    return ours["logprob"] - next((t["logprob"] for t in ours["top"] if t["token"] == token), -np.inf)


def judge_real(report, exe, folder, root):
    for kind in KINDS:
        out = f"{root}/real.gguf"
        made = convert(exe, folder, out, kind)
        report.holds(f"{os.path.basename(folder)}: {kind}, {made['bits_per_weight']:.2f} bits a weight", made["bytes"] > 0)
        for prompt in PROMPTS:
            ours = reference.lorac(exe, "generate", "--model", out, "--raw", "--prompt", prompt, "--max-tokens", 24, "--temp", 0, "--ignore-eos", "--precision", "exact", "--logprobs", 20)[-1]["logprobs"]
            theirs = llama_cpp_text(out, prompt, 24)
            same = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a["token"] != b), len(ours))
            report.check(f"{kind}: {same} of {len(ours)} greedy tokens after {prompt!r} are llama.cpp's; how far apart lorac has the two that differ first",
                         gap(ours[same], theirs[same]) if same < len(ours) else 0.0, NEAR_TIE if kind == "q8_0" else 0.0)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("lorac"); p.add_argument("--family", action="append", choices=list(table.FAMILIES)); p.add_argument("--only", choices=["models", "tokenizers", "real"])
    p.add_argument("--tokenizers", default=os.environ.get("LORAC_TOKENIZERS") or os.path.expanduser("~/.cache/lorac-tokenizers")); p.add_argument("--texts", type=int, default=400)
    p.add_argument("--model", default=os.environ.get("LORAC_HF_MODEL"), help="a real folder, such as SmolLM2's")
    a, report = p.parse_args(), reference.Report()
    torch.set_num_threads(1); warnings.simplefilter("ignore")
    def in_place(what, f, *args):
        with tempfile.TemporaryDirectory() as root: report.attempt(what, lambda: f(report, a.lorac, *(x if x is not Ellipsis else root for x in args)))
    if a.only in (None, "models"):
        for family, variant in table.names():
            if not a.family or family in a.family: in_place(f"{family}-{variant}", judge_model, family, variant, ...)
    if a.only in (None, "tokenizers") and os.path.isdir(a.tokenizers):
        corpus = tokenizer_corpus.Corpus(0)
        for source in sorted(glob.glob(f"{a.tokenizers}/*")): in_place(os.path.basename(source), judge_tokenizer, source, ..., texts_for(corpus, a.texts))
    if a.only in (None, "real") and a.model: in_place(os.path.basename(a.model), judge_real, a.model, ...)
    report.end()


if __name__ == "__main__": main()
