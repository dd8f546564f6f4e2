#!/usr/bin/env python3
"""Makes tests/golden/regex/: what the `tokenizers` package's regular expressions and pre-tokenizers do.

usage: golden_regex.py tests/golden
classes.jsonl: {"pattern","count","hash"} a line: which of all code points the pattern takes, each standing alone; hash is
FNV-1a over the ranges as first,last pairs of 32 bits. splits.jsonl: {"pre_tokenizer","splits":[[text, [piece, ...]], ...]} a
line, for each kind of pre-tokenizer and hard expression; pieces as the reference gives them, spelled after a ByteLevel.
scripts.jsonl: {"pre_tokenizer","count","hash"}: the pieces of all code points in a mixed order (MIXER), and FNV-1a over their ends."""
import json, os, random, struct, sys
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers as pre
import reference, tokenizer_corpus, tokenizer_families as families, unicode_table

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
MIXER = 0x9E375  # odd and no multiple of 17: its multiples go through all numbers below 0x110000
CLASSES = ([f"\\{c}" for c in "sdwhSDWH"] + [f"[\\{c}]" for c in "sdwhSDWH"] + [f"[^\\{c}]" for c in "sdwh"] + [f"[[:{n}:]]" for n in unicode_table.POSIX] +
           [f"\\p{{{n}}}" for n in unicode_table.SCRIPTS + unicode_table.OTHERS + list(unicode_table.GROUPS) + [c for c in unicode_table.CATEGORIES if c != "Cs"]] +
           [r"\P{Lu}", r"\p{^Han}", r"[^\s\p{L}\p{N}]", r"[^\r\n\p{L}\p{N}]", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]", r"[a-z&&[^aeiou]]", r"[^a-c&&b-z]", r"[[:^alpha:]\d]", r"[^\W\d_]", ".",
            "(?m:.)", "(?i:s)", "(?i:K)", "(?i:[k-s])", r"(?i:[^k-s])", "(?i:ж)", "(?i:[α-ω])", "(?i:å)", "[À-ſ]", r"\x41|\x{1F600}|\u00e9", "[!-/:-~！-／：-～‘-‟　-。]", r"[\-\]\\^\[]", "[a-c-e]", "[+--/]"])
PATTERNS = [families.CL100K, families.QWEN2, families.O200K, families.QWEN35, families.HAN_FIRST, *families.DEEPSEEK_LLM, *families.DEEPSEEK_CODER,
            families.CL100K.replace(r"\s+(?!\S)|\s+", r"\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"), r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))",
            r" ?[^(\s|[.,!?…。，、।۔،])]+", "[0-9][0-9][0-9]", r"\p{Lu}*", "x*|a", r"^\s+|\s+$", "^", "$", r"\b\w+\b|\B\W", r"\A\w|\w\z|\w\Z", "(?<=[a-z])(?=[A-Z])", r"(?<!\d)\d{2,3}(?!\d)", r"\d{,2}", "a{b", "{", "[{}]+?", "a++|b*+c",
            r"\s++$|\s*[\r\n]|\s+(?!\S)|\s",
            r"(?i)the|ſ|k", r"(?>\s+)\S", r"(?>\w+|\w\d)x", r"(?>\S+?|.b)\Z", r"\p{N}{1,2}+ |[a-z]{2}?[A-Z]|((?:\w)){2}+\)", r"[A-S]*(?>1?2?)(?>2?1?)?S", r"([A-S]*(?:-)?+[A-S])++\w", r"(?:(?i:a)|b)+", r"(?-i:a)", r"[^\p{^L}]+", r"\.|\(|\)|\#|\-|\é"]


def fnv(numbers):
    h = 0xCBF29CE484222325
    for byte in b"".join(struct.pack("<I", n) for n in numbers):
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return f"{h:016x}"


def takes(pattern):
    remove, found = normalizers.Replace(Regex(pattern), ""), set()
    for i in range(0, len(CODES), 4096):
        block = CODES[i:i + 4096]
        found |= set(block) - set(map(ord, remove.normalize_str("".join(map(chr, block)))))
    return sorted(found)


def pre_tokenizers():
    for name, make in families.KINDS.items():
        yield make([], 0).pre_tokenizer
    for p in PATTERNS:
        yield pre.Split(Regex(p), "isolated")
    for behavior in ("removed", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            yield pre.Split(Regex(r"\p{Lu}*"), behavior, invert)
            yield pre.Split("a", behavior, invert)
    yield pre.Sequence([pre.Punctuation("contiguous"), pre.ByteLevel(add_prefix_space=False), pre.Digits(), pre.Split(Regex("[0-9][0-9][0-9]"), "isolated")])


def mixed():
    codes = (i * MIXER % 0x110000 for i in range(0x110000))
    return "".join(chr(c) for c in codes if not 0xD800 <= c < 0xE000)


def as_json(pretokenizer):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pretokenizer
    return json.loads(t.to_str())["pre_tokenizer"]


def main():
    out = os.path.join(sys.argv[1], "regex")
    os.makedirs(out, exist_ok=True)
    with open(f"{out}/classes.jsonl", "w") as f:
        for pattern in CLASSES:
            codes = takes(pattern)
            f.write(json.dumps({"pattern": pattern, "count": len(codes), "hash": fnv(n for r in unicode_table.ranges(codes) for n in r)}) + "\n")
    random_texts = [tokenizer_corpus.mixture(random.Random(i), []) for i in range(60)]
    texts = ["", "aAbBcc  XYz a", "a \n b  \n\n", "camelCaseHTTPServer2", "Mr. Ab'c, d-e (f) 12345 1 22 333", "aaabaa{b}{c", "\n", " x ", "THE the \u017f K\u212a", "³æök Ö½x2", *[t[:60] for t in random_texts]]
    with open(f"{out}/splits.jsonl", "w", encoding="utf-8") as f:
        for i, p in enumerate(pre_tokenizers()):
            chosen = texts[:10] + texts[10 + i % 8::8]
            f.write(json.dumps({"pre_tokenizer": as_json(p), "splits": [[t, [piece for piece, _ in p.pre_tokenize_str(t)]] for t in chosen]}, ensure_ascii=False, separators=(",", ":")) + "\n")
    with open(f"{out}/scripts.jsonl", "w") as f:
        p, ends = pre.UnicodeScripts(), [0]
        for piece, _ in p.pre_tokenize_str(mixed()): ends.append(ends[-1] + len(piece.encode()))
        f.write(json.dumps({"pre_tokenizer": as_json(p), "count": len(ends) - 1, "hash": fnv(ends[1:])}) + "\n")
    reference.manifest(out, "tools/golden_regex.py", ["tokenizers"])


main()
