#!/usr/bin/env python3
"""lorac's tokenizers beside Hugging Face's `tokenizers`, one thread each, in turns in one process.

usage: tokenizer_speed.py [--library build/release/liblorac.so] [--lorac build/release/lorac] [--rounds 3] [NAME ...]
NAME: folders below $LORAC_TOKENIZERS, else ~/.cache/lorac-tokenizers (tools/get_tokenizers.py). Prose: the docstrings of
Python's library; code: its source. MB/s of UTF-8, the median of the rounds, the whole text in one call. The hard texts (1 MB
of one letter, of spaces, of Chinese without spaces) are lorac's alone. Opening: a new process that encodes two letters."""
import argparse, ast, ctypes, glob, os, statistics, subprocess, sysconfig, time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
ROOT = os.environ.get("LORAC_TOKENIZERS") or os.path.expanduser("~/.cache/lorac-tokenizers")
LIMIT = 1_000_000


def corpora():
    prose, code = [], []
    for path in sorted(glob.glob(sysconfig.get_paths()["stdlib"] + "/*.py")):
        source = open(path, encoding="utf-8", errors="replace").read()
        code.append(source)
        prose += [d for n in ast.walk(ast.parse(source)) if isinstance(n, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (d := ast.get_docstring(n))]
    han = "".join(chr(0x4E00 + i * 7919 % 20000) for i in range(LIMIT // 3))
    return {"prose": "\n\n".join(prose)[:LIMIT], "code": "".join(code)[:LIMIT]}, {"one letter": "a" * LIMIT, "spaces": " " * LIMIT, "Chinese": han}


class Lorac:
    def __init__(self, library):
        self.lib, self.runtime, self.error = ctypes.CDLL(os.path.abspath(library)), ctypes.c_void_p(), ctypes.create_string_buffer(8192)
        assert self.lib.lorac_runtime_create(None, ctypes.byref(self.runtime), self.error) == 0

    def open(self, path):
        self.tokenizer = ctypes.c_void_p()
        failed = self.lib.lorac_tokenizer_open(self.runtime, path.encode(), ctypes.byref(self.tokenizer), self.error)
        return not failed

    def close(self):
        self.lib.lorac_tokenizer_close(self.tokenizer)

    def encode(self, text):
        ids, count, raw = ctypes.c_void_p(), ctypes.c_size_t(), text.encode()
        begin = time.perf_counter()
        failed = self.lib.lorac_tokenizer_encode(self.tokenizer, raw, ctypes.c_size_t(len(raw)), 0, ctypes.byref(ids), ctypes.byref(count), self.error)
        took = time.perf_counter() - begin
        assert not failed
        self.lib.lorac_free(ids)
        return count.value, len(raw) / took / 1e6


def reference(tokenizer, text):
    begin = time.perf_counter()
    count = len(tokenizer.encode(text, add_special_tokens=False).ids)
    return count, len(text.encode()) / (time.perf_counter() - begin) / 1e6


def compare(name, lorac, rounds, texts, hard):
    from tokenizers import Tokenizer
    path = f"{ROOT}/{name}/tokenizer.json"
    if not lorac.open(path): return print(f"| {name} | lorac does not open it |")
    theirs, cells = Tokenizer.from_file(path), []
    for text in texts.values():
        runs = [(lorac.encode(text), reference(theirs, text)) for _ in range(rounds)]
        assert all(a[0] == b[0] for a, b in runs), "different numbers of tokens"
        ours, other = (statistics.median(r[i][1] for r in runs) for i in (0, 1))
        cells.append(f"{ours:.1f} / {other:.1f} = {ours / other:.1f} ×")
    cells += [f"{statistics.median(lorac.encode(text)[1] for _ in range(rounds)):.1f}" for text in hard.values()]
    lorac.close()
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def opening(command, name):
    begin = time.perf_counter()
    p = subprocess.Popen([command, "tokenize", "--tokenizer", f"{ROOT}/{name}/tokenizer.json", "--text", "hi"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    usage = os.wait4(p.pid, 0)[2]
    return time.perf_counter() - begin, usage.ru_maxrss / 1e3


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument("--library", default="build/release/liblorac.so"), a.add_argument("--lorac", default="build/release/lorac")
    a.add_argument("--rounds", type=int, default=3), a.add_argument("names", nargs="*", default=["llama3", "qwen3", "gpt2", "gemma3"])
    o = a.parse_args()
    # First, while this process is small: a child's peak counts what it was forked from.
    print("| tokenizer | file, MB | open, s | peak, MB |\n| --- | --- | --- | --- |")
    for name in o.names:
        runs = [opening(o.lorac, name) for _ in range(o.rounds)]
        print(f"| {name} | {os.path.getsize(f'{ROOT}/{name}/tokenizer.json') / 1e6:.1f} | {statistics.median(r[0] for r in runs):.3f} | {max(r[1] for r in runs):.0f} |")
    texts, hard = corpora()
    lorac = Lorac(o.library)
    print("\n| tokenizer | " + " | ".join(f"{t}: lorac / tokenizers" for t in texts) + " | " + " | ".join(hard) + " |\n" + "| --- " * (1 + len(texts) + len(hard)) + "|")
    for name in o.names: compare(name, lorac, o.rounds, texts, hard)


main()
