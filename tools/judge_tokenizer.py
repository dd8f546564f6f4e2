#!/usr/bin/env python3
"""Compares lorac's tokens and decoded text with transformers' on random texts over all of Unicode.

usage: judge_tokenizer.py LORAC TOKENIZER [--texts 20000] [--seed 0] [--every-character]
TOKENIZER is a GGUF file, a tokenizer.json or a folder. LORAC is the command, used as
`LORAC tokenize --tokenizer TOKENIZER --lines FILE --json`. Exit status 0 when all texts agree."""
import argparse, json, os, random, subprocess, sys, tempfile

WORDS = ["the", "it's", "I'LL", "you're", "'s", "don't", "HELLO", "x", "word", "déjà", "naïve", "Straße", "İ", "ﬁ", "東京", "日本語", "한국어",
         "Привет", "שלום", "مرحبا", "हिन्दी", "ไทย", "👍", "👩‍👩‍👧", "🇩🇪", "e\u0301", "\u0301", "\u200d", "\ufeff", "12", "1234567", "3.14", "½", "²", "Ⅷ", "٣",
         "def f(x):", "{}", "();", "->", "!=", "//", "...", "!!!", "--", "\"", "'", "’s", "<|", "|>", "\u00a0", "\u3000", "\u2028", "\u0085", "\u180e", "ſ", "K"]
SPACES = [" ", " ", " ", "", "  ", "    ", "\n", "\r\n", "\n\n", "\t", " \n ", "\u00a0 ", "\x0b", "\x0c"]


def character(r):
    while True:
        c = r.choice([r.randrange(0x80), r.randrange(0x800), r.randrange(0x3000), r.randrange(0x10000), r.randrange(0x20000), r.randrange(0x110000)])
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def text(r, special):
    pieces = []
    for _ in range(r.randrange(1, 30)):
        kind = r.random()
        if kind < 0.5: pieces.append(r.choice(WORDS))
        elif kind < 0.75: pieces.append("".join(character(r) for _ in range(r.randrange(1, 6))))
        elif kind < 0.8 and special: pieces.append(r.choice(special))
        elif kind < 0.85: pieces.append(r.choice(WORDS[:10]).upper() * r.randrange(1, 12))
        else: pieces.append(str(r.randrange(10 ** r.randrange(1, 9))))
        pieces.append(r.choice(SPACES))
    return "".join(pieces)


def every_character():
    """Each scalar value between letters, digits, spaces, quotes and twice in a row."""
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000:
            s = chr(c)
            yield f"a{s}b {s}{s} 1{s}2 '{s} ' {s}s\n{s}\n \u0301{s}"


def reference(path):
    if os.path.isfile(path) and open(path, "rb").read(4) == b"GGUF":
        from transformers import AutoTokenizer
        return AutoTokenizer.from_pretrained(os.path.dirname(os.path.abspath(path)), gguf_file=os.path.basename(path)).backend_tokenizer
    from tokenizers import Tokenizer
    return Tokenizer.from_file(os.path.join(path, "tokenizer.json") if os.path.isdir(path) else path)


def ask(command, path, texts):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        for t in texts: f.write(json.dumps(t) + "\n")
        f.flush()
        p = subprocess.run([command, "tokenize", "--tokenizer", path, "--lines", f.name, "--json"], capture_output=True, text=True)
    if p.returncode: sys.exit(f"lorac: {p.stdout[-300:]} {p.stderr[-300:]}")
    return [json.loads(line)["tokens"] for line in p.stdout.splitlines()]


def main():
    a = argparse.ArgumentParser()
    a.add_argument("lorac"), a.add_argument("tokenizer")
    a.add_argument("--texts", type=int, default=20000), a.add_argument("--seed", type=int, default=0)
    a.add_argument("--every-character", action="store_true")
    a = a.parse_args()
    t, r = reference(a.tokenizer), random.Random(a.seed)
    special = [v.content for v in t.get_added_tokens_decoder().values()]
    texts = list(every_character()) if a.every_character else [text(r, special) for _ in range(a.texts)]
    expected = [e.ids for e in t.encode_batch(texts, add_special_tokens=False)]
    actual = ask(a.lorac, a.tokenizer, texts)
    bad = [i for i in range(len(texts)) if i >= len(actual) or actual[i] != expected[i]]
    for i in bad[:10]: print(ascii(texts[i])[:300], "\n  expected", expected[i][:60], "\n  got     ", actual[i][:60] if i < len(actual) else None)
    some = r.sample(range(len(texts)), min(200, len(texts)))
    for i in some:
        if not expected[i]: continue
        out = subprocess.run([a.lorac, "tokenize", "--tokenizer", a.tokenizer, "--tokens", ",".join(map(str, expected[i])), "--json"], capture_output=True, text=True)
        if out.returncode or json.loads(out.stdout)["text"] != t.decode(expected[i], skip_special_tokens=False):
            bad.append(i)
            print("decoded", ascii(texts[i])[:200], "differs")
    print(f"{len(texts)} texts, {len(some)} decoded, {len(bad)} differ")
    sys.exit(bool(bad))


main()
