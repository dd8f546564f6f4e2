#!/usr/bin/env python3
"""Holds lorac's reading of real GGUF vocabularies against the ids that the models' own tokenizers gave some texts, taken down by
llama.cpp (ggml-vocab-NAME.gguf, .gguf.inp, .gguf.out); where transformers' reading of the GGUF gives them all, also against that.

usage: judge_vocabs.py LORAC [FOLDER] [--strings 20000]
FOLDER: default $LORAC_VOCABS, else ~/.cache/lorac-vocabs; llama.cpp's models/ and the source package llama_cpp_python hold
such files. A text counts if lorac gives neither what was taken down nor what transformers reads today. Exit 1 if one does."""
import argparse, glob, json, os, subprocess, sys, tempfile
from transformers.integrations.gguf import convert_gguf_tokenizer, get_gguf_tokenizer
import tokenizer_corpus


def reference(path):
    """transformers' tokenizer of the file; None where it knows no such architecture."""
    try:
        architecture, parts, _ = get_gguf_tokenizer(path)
        return convert_gguf_tokenizer(architecture, parts)[0]
    except (KeyError, NotImplementedError, ValueError) as e:
        print(f"     {os.path.basename(path)}: transformers does not read it ({type(e).__name__})")


def ids(lorac, path, texts):
    """One list a text, an error's message where lorac stops."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.writelines(json.dumps(t) + "\n" for t in texts), f.flush()
        out = subprocess.run([lorac, "tokenize", "--tokenizer", path, "--lines", f.name, "--json"], capture_output=True, text=True).stdout
    found = [json.loads(line) for line in out.splitlines()]
    return [f.get("tokens", f.get("error")) for f in found]


def compare(name, what, texts, expected, actual):
    bad = [(t, e, a) for t, e, a in zip(texts, expected, actual) if e != a] + [(t, None, None) for t in texts[len(actual):]]
    print(f"{'FAIL' if bad else 'ok  '} {name}: {len(texts)} texts of {what}, {len(bad)} differences", flush=True)
    for t, e, a in sorted(bad, key=lambda b: len(b[0]))[:2]: print(f"  {ascii(t)}\n    expected {e}\n    lorac    {a}")
    return len(bad)


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument("lorac"), a.add_argument("folder", nargs="?", default=os.environ.get("LORAC_VOCABS") or os.path.expanduser("~/.cache/lorac-vocabs"))
    a.add_argument("--strings", type=int, default=20000)
    o = a.parse_args()
    bad, corpus = 0, tokenizer_corpus.Corpus(0)
    for path in sorted(glob.glob(f"{o.folder}/ggml-vocab-*.gguf.inp")):
        path = path[:-len(".inp")]
        name, t = os.path.basename(path)[len("ggml-vocab-"):-len(".gguf")], reference(path)
        encode = lambda texts: [e.ids for e in t.encode_batch(texts, add_special_tokens=False)]
        texts = open(path + ".inp", encoding="utf-8", newline="").read().split("\n__ggml_vocab_test__\n")
        expected = [[int(n) for n in line.split()] for line in open(path + ".out").read().split("\n")][:len(texts)]
        today, actual = encode(texts) if t else expected, ids(o.lorac, path, texts)
        as_today = sum(a == n != e for e, n, a in zip(expected, today, actual))
        bad += compare(name, f"llama.cpp's tests ({as_today} as transformers reads them today)", texts, [n if a == n else e for e, n, a in zip(expected, today, actual)], actual)
        if t and today == expected:
            texts = corpus.texts(o.strings, sorted(v.content for v in t.get_added_tokens_decoder().values()))
            bad += compare(name, "the corpus", texts, encode(texts), ids(o.lorac, path, texts))
    sys.exit(bool(bad))


main()
