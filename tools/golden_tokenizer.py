#!/usr/bin/env python3
"""Makes tests/golden/tokenizer/: small tokenizer.json files trained with the `tokenizers` package, one for each way
of cutting text, and what the package (for the GGUF: transformers) makes of hard texts.

usage: golden_tokenizer.py [MODEL.gguf]      without a GGUF its expected tokens are left as they are
NAME/tokenizer.json, beside it NAME/expected.jsonl: first {"versions"}, then one
{"text","tokens","special","decoded","skipped"} a line: ids, ids with what the post-processor adds, decoded text
with and without special tokens. gguf.jsonl: the same for the default model's GGUF."""
import json, os, sys
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "..", "tests", "golden", "tokenizer")

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")

CORPUS = ["the quick brown fox jumps over the lazy dog and then it's gone; they'll say we're here, don't they",
          "for (int i = 0; i < n; ++i) {\n    sum += a[i];\n    return x->y;\n}\n", "def f(self, x):\n\treturn 'text' + \"text\"\n",
          "In 1984 there were 365 days, 12 months, 3.14 and 1,000,000 others. 2024-01-31", "Straße déjà vu naïve façade œuvre",
          "東京は日本の首都です。日本語のテキスト。中文文本，你好世界。", "Привет, мир! Как дела?", "שלום עולם", "مرحبا بالعالم", "안녕하세요 세계",
          "हिन्दी में पाठ", "👍👍🏽 👩‍👩‍👧 🇩🇪", "    four spaces        eight spaces\t\ttabs\r\nlines\r\n\r\n", "HELLO World THE END", "[NFC] e\u0301 e\u0301 u\u0308"] * 3

TEXTS = ["", " ", "  ", "a", "Hello world", " one  two   three ", "it's he'll they'd we're I'M YOU'LL 'S ’s 'x '", "0123456789 12 345 6,789.00 ½ ² Ⅷ ٣٤ ૪",
         "for (int i = 0; i < n; ++i) {\n    sum += a[i];\n}\n", "line\r\nbreak\n\n\n\tindent \r\n \n", "\u00a0nbsp\u2003em\u3000wide\u2028sep\u0085nel\u180emvs\u200bzw",
         "東京は日本の首都です。", "中文，你好！", "안녕하세요 👋🏽 Привет", "שלום עולם مرحبا ١٢٣", "हिन्दी किताब ไทย", "👩‍👩‍👧‍👦🇩🇪🏴󠁧󠁢󠁥󠁮󠁧󠁿", "e\u0301 \u0301 \u0301\u0301a \u200d \ufeff",
         "ṩ s\u0323\u0307 s\u0307\u0323 Å A\u030a \u212b ﬁ ﷺ ǅ Ω ℵ \u1100\u1161\u11a8 \u0958 \u2126", "İstanbul ıſ K ß ẞ ŉ 'ſ", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "a<|im_end|>b <|im_end|> c<|im_end",
         "<|im_end|", "<tool><tool>x</tool> <tool >", "word lstrip <left> and <right>  rstrip", "a\n <both> \tb<both><both> c", "one oneword word one, (one) éone one\u0301 one_ one", "Normal normal NORMAL ºnormal",
         "\x00 nul \x01\x7f \x1b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", " " * 70 + "x", "\n" * 9 + "x", "\U0001fae8\U00031350\U0001e4d0 \U0010ffff\ue000 \u1c89",
         "def f(self):\n\treturn self.x != y // 2  # comment\n", "https://example.org/path?q=1&r=%20", "The END.The end…—“quoted”", "camelCaseWord HTTPServer iOS 3x",
         "\u0315\u07fd \u036e\u0899 a\u0315\u1ac1 \U00011935\U00011930", "a\U00011de3\U00016ff41"]


def added(tokens):
    def one(content, **flags):
        return AddedToken(content, **{"special": False, "normalized": False, **flags})
    return [one("<tool>"), one("<tool><tool>"), one("</tool>"), one("<left>", lstrip=True), one("<right>", rstrip=True),
            one("<both>", lstrip=True, rstrip=True), one("one", single_word=True), one("ṩ", normalized=True)] if tokens else []


def train(name, pre, normalizer=None, post=None, merges=300, prefix=False, more=False, edit=None):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pre, decoders.ByteLevel()
    if normalizer: t.normalizer = normalizer
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin|>"]
    trainer = trainers.BpeTrainer(vocab_size=256 + len(specials) + merges, special_tokens=specials, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    t.train_from_iterator(CORPUS, trainer)
    t.add_tokens(added(more))
    t.post_processor = post(t) if post else processors.ByteLevel(trim_offsets=False)
    data = json.loads(t.to_str())
    if edit: edit(data)
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "tokenizer.json"), "w") as f: json.dump(data, f, ensure_ascii=False, separators=(",", ":"))
    write_expected(os.path.join(folder, "expected.jsonl"), Tokenizer.from_str(json.dumps(data)), {"tokenizers": tokenizers.__version__})


def write_expected(path, t, versions):
    with open(path, "w") as f:
        f.write(json.dumps({"versions": versions}) + "\n")
        for text in TEXTS:
            ids = t.encode(text, add_special_tokens=False).ids
            special = t.encode(text).ids
            f.write(json.dumps({"text": text, "tokens": ids, "special": special, "decoded": t.decode(special, skip_special_tokens=False),
                                "skipped": t.decode(special)}) + "\n")


def split(pattern, prefix=False):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False)])


def template(before, after):
    def make(t):
        pieces = ([before] if before else []) + ["$A"] + ([after] if after else [])
        return processors.TemplateProcessing(single=" ".join(pieces), special_tokens=[(s, t.token_to_id(s)) for s in (before, after) if s])
    return make


def strings_for_merges(data):
    data["model"]["merges"] = [" ".join(m) for m in data["model"]["merges"]]


def ignore_merges(data):
    data["model"]["ignore_merges"] = True
    del data["model"]["merges"][40:60]  # words that only the vocabulary has


def two_templates(t):
    return processors.Sequence([processors.ByteLevel(trim_offsets=True), template("<|begin|>", None)(t)])


def main():
    smollm = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    train("smollm", smollm, more=True)
    train("gpt2", pre_tokenizers.ByteLevel(add_prefix_space=True), post=template(None, "<|endoftext|>"), edit=strings_for_merges)
    train("llama3", split(LLAMA3), post=two_templates, edit=ignore_merges)
    train("qwen2", split(QWEN2), normalizer=normalizers.NFC(), more=True)
    train("o200k", split(O200K), post=template("<|begin|>", "<|im_end|>"), merges=200)
    # A space before every word shows where the text was cut, whatever the merges.
    train("visible", split(O200K, prefix=True), merges=0)
    train("digits", pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False),
                                             pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)]), merges=0)
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.Split(" ", "removed", invert=False),
                                      pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    train("removed", digits, normalizer=normalizers.Sequence([normalizers.NFC()]), merges=100)
    if len(sys.argv) > 1:
        import transformers
        path = os.path.abspath(sys.argv[1])
        t = transformers.AutoTokenizer.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path)).backend_tokenizer
        write_expected(os.path.join(OUT, "gguf.jsonl"), t, {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__, "model": os.path.basename(path)})


main()
