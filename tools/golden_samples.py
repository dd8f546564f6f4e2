#!/usr/bin/env python3
"""Makes tests/golden/samples/: a few hundred hard texts, and for each real tokenizer what the `tokenizers` package makes of
them. The tokenizers themselves are too large to keep; the test skips those that are not on the machine.

usage: golden_samples.py tests/golden [NAME ...]      the tokenizers of get_tokenizers.py; those built here are left out
texts.jsonl: one JSON string a line. tokenizers.jsonl: {"name","bytes","tokens":[...],"decoded":[...]} a line; bytes: the
hash of tokenizer.json; then one hash for every BLOCK texts, of the ids (32 bits each, -1 after each text), and of the decoded
text (a NUL after each). Hashes are 64-bit FNV-1a."""
import json, os, struct, sys
from tokenizers import Tokenizer
import reference, tokenizer_corpus

BLOCK, COUNT = 16, 320
ROOT = os.environ.get("LORAC_TOKENIZERS") or os.path.expanduser("~/.cache/lorac-tokenizers")


def fnv(data):
    h = 0xCBF29CE484222325
    for byte in data: h = (h ^ byte) * 0x100000001B3 % 2**64
    return f"{h:016x}"


def main():
    out = os.path.join(sys.argv[1], "samples")
    names = sys.argv[2:] or sorted(n for n in os.listdir(ROOT) if not n.startswith("built_") and os.path.exists(f"{ROOT}/{n}/tokenizer.json"))
    os.makedirs(out, exist_ok=True)
    special = ["<|endoftext|>", "<|im_start|>", "<|begin_of_text|>", "<s>", "</s>", "<bos>", "<start_of_turn>", "[INST]", "<|eot_id|>", "<｜end▁of▁sentence｜>", "<unused7>"]
    texts = [t[:200] for t in tokenizer_corpus.Corpus(7).texts(COUNT, special)]
    with open(f"{out}/texts.jsonl", "w", encoding="utf-8") as f:
        for t in texts: f.write(json.dumps(t, ensure_ascii=False) + "\n")
    blocks = [range(i, min(i + BLOCK, COUNT)) for i in range(0, COUNT, BLOCK)]
    with open(f"{out}/tokenizers.jsonl", "w") as f:
        for name in names:
            path = f"{ROOT}/{name}/tokenizer.json"
            t = Tokenizer.from_file(path)
            ids = [e.ids for e in t.encode_batch(texts, add_special_tokens=False)]
            decoded = t.decode_batch(ids, skip_special_tokens=False)
            f.write(json.dumps({"name": name, "bytes": fnv(open(path, "rb").read(1 << 20)),
                                "tokens": [fnv(b"".join(struct.pack(f"<{len(ids[i]) + 1}i", *ids[i], -1) for i in b)) for b in blocks],
                                "decoded": [fnv(b"".join(decoded[i].encode() + b"\0" for i in b)) for b in blocks]}) + "\n")
    reference.manifest(out, "tools/golden_samples.py", ["tokenizers"])


main()
