#!/usr/bin/env python3
"""Compares lorac's tokens and decoded text with the `tokenizers` package on hard texts (tokenizer_corpus.py).

usage: judge_tokenizers.py LORAC [PATH] [--strings 50000] [--only NAME[,NAME]] [--seed 0] [--every-character]
PATH: a folder of NAME/tokenizer.json (default $LORAC_TOKENIZERS, else ~/.cache/lorac-tokenizers: see get_tokenizers.py), one tokenizer.json, or a
GGUF file (its reference is transformers'). Every text is encoded with and without what the post-processor adds, and
the ids are decoded. A difference is shown by the smallest text found that still differs. Exit 1 if anything differs."""
import argparse, json, os, subprocess, sys, tempfile, time
import tokenizer_corpus


class Lorac:
    def __init__(self, command, path, folder):
        self.command, self.path, self.folder = command, path, folder

    def ask(self, option, values, field, *more):
        """One result a value; None where lorac stopped with an error."""
        lines = f"{self.folder}/lines.jsonl"
        with open(lines, "w") as f: f.writelines(json.dumps(v) + "\n" for v in values)
        p = subprocess.run([self.command, "tokenize", "--tokenizer", self.path, option, lines, "--json", *more], capture_output=True, text=True)
        found = [json.loads(line) for line in p.stdout.split("\n") if line]
        self.error = next((f["error"]["message"] for f in found if "error" in f), p.stderr[-300:])
        out = [f[field] for f in found if field in f]
        return out + [None] * (len(values) - len(out))


def reference(path):
    with open(path, "rb") as f:
        if f.read(4) == b"GGUF":
            from transformers import AutoTokenizer
            return AutoTokenizer.from_pretrained(os.path.dirname(os.path.abspath(path)), gguf_file=os.path.basename(path)).backend_tokenizer
    from tokenizers import Tokenizer
    return Tokenizer.from_file(path)


def checks(t, lorac):
    """name -> (what the reference says, what lorac says), each of a list of texts."""
    def ids(texts, special=False): return [e.ids for e in t.encode_batch(texts, add_special_tokens=special)]
    return {"tokens": (ids, lambda texts: lorac.ask("--lines", texts, "tokens")),
            "tokens with special ones": (lambda texts: ids(texts, True), lambda texts: lorac.ask("--lines", texts, "tokens", "--special")),
            "decoded text": (lambda texts: t.decode_batch(ids(texts), skip_special_tokens=False), lambda texts: lorac.ask("--token-lines", ids(texts), "text"))}


def shrink(text, differs):
    """Cuts ever smaller pieces out of the text as long as it still differs."""
    size = len(text) // 2
    while size:
        candidates = [text[:i] + text[i + size:] for i in range(0, len(text), size)]
        smaller = next((c for c, bad in zip(candidates, differs(candidates)) if bad), None)
        if smaller is None: size = min(size // 2, len(text))
        else: text = smaller
    return text


def judge(name, path, command, corpus, options):
    with tempfile.TemporaryDirectory() as folder:
        alone = os.path.join(folder, os.path.basename(path))  # the files beside it are not the reference's
        os.symlink(os.path.abspath(path), alone)
        t, lorac, begin, bad = reference(path), Lorac(command, alone, folder), time.time(), 0
        special = sorted(v.content for v in t.get_added_tokens_decoder().values())
        texts = list(tokenizer_corpus.every_character()) if options.every_character else corpus.texts(options.strings, special)
        for what, (theirs, ours) in checks(t, lorac).items():
            expected, actual = theirs(texts), ours(texts)
            failing = [x for x, e, a in zip(texts, expected, actual) if e != a]
            if not failing: continue
            bad += len(failing)
            if actual[0] is None:
                print(f"  {name}: lorac refuses: {lorac.error}")
                break
            shortest = shrink(min(failing, key=len), lambda c: [e != a for e, a in zip(theirs(c), ours(c))])
            print(f"  {name}: {what} of {len(failing)} texts differ, such as {ascii(shortest)}:\n    expected {theirs([shortest])[0]!a}\n    lorac    {ours([shortest])[0]!a} {lorac.error}")
        print(f"{'FAIL' if bad else 'ok  '} {name}: {len(texts)} texts, {bad} differences, {time.time() - begin:.0f} s", flush=True)
    return bad


def tokenizers_at(path, only):
    if os.path.isfile(path): return {os.path.basename(path): path}
    found = {name: f"{path}/{name}/tokenizer.json" for name in sorted(os.listdir(path))}
    return {n: p for n, p in found.items() if os.path.exists(p) and (not only or n in only)}


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument("lorac"), a.add_argument("path", nargs="?", default=os.environ.get("LORAC_TOKENIZERS") or os.path.expanduser("~/.cache/lorac-tokenizers"))
    a.add_argument("--strings", type=int, default=50000), a.add_argument("--seed", type=int, default=0)
    a.add_argument("--only", type=lambda s: s.split(",")), a.add_argument("--every-character", action="store_true")
    options = a.parse_args()
    corpus, found = tokenizer_corpus.Corpus(options.seed), tokenizers_at(options.path, options.only)
    if not found: sys.exit(f"there is no tokenizer in {options.path}: run get_tokenizers.py")
    bad = [n for n, p in found.items() if judge(n, p, options.lorac, corpus, options)]
    print(f"{len(found)} tokenizers, {len(bad)} differ{': ' + ', '.join(bad) if bad else ''}")
    sys.exit(bool(bad))


main()
