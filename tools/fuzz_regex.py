#!/usr/bin/env python3
"""Random regular expressions in Oniguruma's syntax as Split pre-tokenizers over random texts: the `tokenizers` package against
lorac, word by word.

usage: fuzz_regex.py SPLIT_WORDS [--count 5000] [--seed 0] [--show 5]
SPLIT_WORDS is the program of that name in the build folder. An expression that lorac refuses by name, one that the reference
gives up on, and one that only lorac takes are counted apart. Exit status 0 when all others agree."""
import argparse, json, os, random, subprocess, sys

os.environ.setdefault("RUST_BACKTRACE", "0")
from tokenizers import Regex, pre_tokenizers

UNSUPPORTED = 5
ATOMS = (r"a|b|A|é|ß|ſ|K|k|1|٣|日|一| |\n|\r|\t|-|_|\.|'s|.|\s|\S|\d|\D|\w|\W|\h|\x41|\u00e9|\p{L}|\P{L}|\p{N}|\p{^N}|\p{Lu}|\p{M}|\p{Han}|[a-c]|[^a-c]|[k-s]|[^\s]|[一-龥]|"
         r"[\s\p{L}]|[^\r\n\p{L}\p{N}]|[\p{P}\p{S}]|[ab&&[^b]]|[A-Z&&[^\p{Lu}]x]|[[:alpha:]]|[[:^space:]1]").split("|")
PLACES = [r"^", r"$", r"\b", r"\B", r"\A", r"\z", r"\Z", r"(?<=a)", r"(?<!\s)", r"(?<=[a-z])", r"(?<=\p{L})", r"(?<!b)"]
TIMES = ["?", "*", "+", "??", "*?", "+?", "?+", "*+", "++", "{2}", "{1,3}", "{2,}", "{,2}", "{1,3}+", "{2}+", "{2}?", "{1,3}?", "{1,2}++"]
PIECES = ["a", "b", "c", "A", "B", "x", "é", "ß", "ſ", "K", "k", "K", "s", "1", "2", "٣", "²", " ", "  ", "\n", "\r\n", "\t", "日", "本", "一", "-", "_", ".", "'s", "\u0301", "\u00a0", "\u2003", "🦙", "Ж", "İ"]
BEHAVIOURS = ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


class Fuzz:
    def __init__(self, r): self.r = r

    def part(self, depth):
        """An expression, and whether it may be repeated."""
        kind = self.r.randrange(16)
        if kind == 0: return self.r.choice(PLACES), False
        if depth and kind < 3: return self.r.choice(["(?=", "(?!"]) + self.choices(depth - 1) + ")", False
        if depth and kind < 8: return self.r.choice(["(", "(?:", "(?i:", "(?>"]) + self.choices(depth - 1) + ")", True
        atom = self.r.choice(ATOMS)
        return atom if len(atom) == 1 or atom[0] in "[\\" else f"(?:{atom})", True

    def sequence(self, depth):
        parts = (self.part(depth) for _ in range(self.r.randint(1, 3)))
        return "".join(p + self.r.choice(TIMES) if repeats and self.r.random() < 0.4 else p for p, repeats in parts)

    def choices(self, depth): return "|".join(self.sequence(depth) for _ in range(self.r.choice([1, 1, 1, 2, 3])))
    def text(self): return "".join(self.r.choice(PIECES) for _ in range(self.r.randint(1, 13)))


def reference(pattern, behaviour, invert, texts):
    """The words of each text; None: the reference refuses the expression; a string: it gives up on a text."""
    name = "".join("_" + c.lower() if c.isupper() else c for c in behaviour)[1:]
    try:
        split = pre_tokenizers.Split(Regex(pattern), name, invert)
    except Exception:
        return None
    try:
        return [[word for word, _ in split.pre_tokenize_str(t)] for t in texts]
    except BaseException as e:  # its panics are no Exception
        if isinstance(e, KeyboardInterrupt): raise
        return str(e)


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument("program"), a.add_argument("--count", type=int, default=5000), a.add_argument("--seed", type=int, default=0), a.add_argument("--show", type=int, default=5)
    o = a.parse_args()
    lorac = subprocess.Popen([o.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    counts = dict.fromkeys(["equal", "refused by both", "refused by name", "given up on by the reference", "only lorac's", "differ"], 0)
    for number in range(o.count):
        fuzz = Fuzz(random.Random(f"{o.seed} {number}"))
        pattern, behaviour, invert, texts = fuzz.choices(2), fuzz.r.choice(BEHAVIOURS), fuzz.r.random() < 0.3, [fuzz.text() for _ in range(8)]
        part = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behaviour, "invert": invert}
        lorac.stdin.write(json.dumps({"pre_tokenizer": part, "texts": texts}) + "\n"), lorac.stdin.flush()
        found, expected = json.loads(lorac.stdout.readline()), reference(pattern, behaviour, invert, texts)
        words = found.get("words")
        if isinstance(expected, str): kind = "given up on by the reference"
        elif expected is None: kind = "refused by both" if words is None else "only lorac's"
        elif words is None: kind = "refused by name" if found["status"] == UNSUPPORTED else "differ"
        else: kind = "equal" if words == expected else "differ"
        counts[kind] += 1
        if kind == "differ" and counts[kind] <= o.show:
            shown = next(((t, e, w) for t, e, w in zip(texts, expected, words) if e != w), None) if words else found
            print(f"--- {o.seed} {number} {pattern} {behaviour} {invert}\n{shown}")
    lorac.stdin.close()
    print(f"{o.count} expressions on 8 texts each, seed {o.seed}: " + ", ".join(f"{n} {kind}" for kind, n in counts.items()))
    sys.exit(bool(lorac.wait() or counts["differ"]))


main()
