#!/usr/bin/env python3
"""Makes tests/golden/tokenizer_models/: small tokenizers of every kind of model, file, normaliser and decoder, and what
`tokenizers` (for tokenizer.model, tekken.json and GGUF: what transformers builds from them) makes of hard texts.

usage: golden_tokenizer_models.py      needs tokenizers, transformers, sentencepiece, gguf
NAME/tokenizer.json, tokenizer.model, tekken.json or tokenizer.gguf; beside it NAME/expected.jsonl as golden_tokenizer.py
writes it. normalizers.jsonl: {"normalizer","text","normalized"} a line; scores.jsonl: {"digits","value"}."""
import base64, hashlib, json, os, random, shutil, sys, tempfile
import sentencepiece, tokenizers, transformers
from gguf import GGUFWriter
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers as pre, processors, trainers
from transformers.tokenization_utils_tokenizers import TokenizersBackend

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "tests", "golden")
OUT = os.path.join(GOLDEN, "tokenizer_models")
VERSIONS = {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__, "sentencepiece": sentencepiece.__version__}

CORPUS = ["the quick brown fox jumps over the lazy dog and then it's gone; they'll say we're here, don't they", "for (int i = 0; i < n; ++i) { sum += a[i]; return x->y; }",
          "In 1984 there were 365 days, 12 months, 3.14 and 1,000,000 others.", "Straße déjà vu naïve façade œuvre", "東京は日本の首都です。日本語のテキスト。中文文本，你好世界。", "Привет, мир! Как дела?",
          "שלום עולם مرحبا بالعالم", "안녕하세요 세계", "हिन्दी में पाठ", "HELLO World THE END", "    four spaces        eight spaces"] * 5
TEXTS = ["", " ", "  ", "a", " a", "a ", "Hello world", " one  two   three ", "it's he'll they'd 's S", "0123456789 12 345 6,789.00 ½ ² Ⅷ ٣٤", "for (int i = 0; i < n; ++i) {\n    sum += a[i];\n}\n",
         "line\r\nbreak\n\n\n\tindent \r\n \n", "\u00a0nbsp\u3000wide\u2028sep\u0085nel\u180emvs\u200bzw", "東京は日本の首都です。", "中文，你好！ 𠀀", "안녕하세요 👋🏽 Привет", "שלום עולם مرحبا ١٢٣", "हिन्दी किताब ไทย",
         "👩‍👩‍👧‍👦🇩🇪", "e\u0301 \u0301 \u0301\u0301a \u200d \ufeff", "ṩ s\u0323\u0307 Å A\u030a \u212b ﬁ ﷺ ǅ \u1100\u1161\u11a8", "İstanbul ıſ K ß ẞ ŉ ΣΑΣ", "<s>a</s> b<unk> <s> c<s", "[CLS] a [SEP]b[MASK] [PAD]", "<tool>x</tool> <tool><tool>",
         "▁", "▁▁ a▁b ▁", "\x00 nul \x01\x7f \x1b", "a" * 70, " " * 40 + "x", "\n" * 9 + "x", "\U0001fae8\U00031350 \U0010ffff\ue000", "<0x41><0xE6>", "the q the  q thequick", "Ａｂｃ　ﾃｽﾄ", "x ​y", "camelCase HTTPServer iOS 3x", "don ' t do not . ? ! , n't 'm 've",
         "un un## ##un", "|x||y|", "word</w>", "éone one one_ ONE", "\r\n \r \n", "\u0600a \u0600A\u030a \u0e33 \u1ad9a\u1ad9", "supercalifragilisticexpialidocious" * 4]


def folder(name):
    path = os.path.join(OUT, name)
    os.makedirs(path, exist_ok=True)
    return path


def write_expected(name, t):
    """Decoded are the text's ids, and ids in any order, which come from no text."""
    r = random.Random(0)
    with open(os.path.join(folder(name), "expected.jsonl"), "w") as f:
        f.write(json.dumps({"versions": VERSIONS}) + "\n")
        known = sorted(i for i in t.get_vocab().values())
        for text in TEXTS:
            ids, special = t.encode(text, add_special_tokens=False).ids, t.encode(text).ids
            f.write(json.dumps({"text": text, "tokens": ids, "special": special, "decoded": t.decode(special, skip_special_tokens=False), "skipped": t.decode(special)}) + "\n")
        for n in range(1, 40):
            ids = [r.choice(known[:40]) if r.random() < 0.5 else r.choice(known) for _ in range(n)]
            f.write(json.dumps({"special": ids, "decoded": t.decode(ids, skip_special_tokens=False), "skipped": t.decode(ids)}) + "\n")


def write_json(name, t):
    text = t.to_str()
    with open(os.path.join(folder(name), "tokenizer.json"), "w") as f: f.write(text)
    write_expected(name, Tokenizer.from_str(text))


# ---- tokenizer.model ----------------------------------------------------------------------

RULES = {"½": "1/2", "ﬁ": "fi", "e\u0301": "é", "A\u030a": "Å", "Ａ": "A", "ｂ": "b", "ｃ": "c", "\u3000": " ", "\u00a0": " ", "\n": " ", "\t": " ", "²": "2", "İ": "i", "\u200b": ""}


def sentencepiece_model(name, **options):
    with tempfile.TemporaryDirectory() as work:
        with open(f"{work}/corpus", "w") as f: f.write("\n".join(CORPUS))
        with open(f"{work}/rules.tsv", "w") as f:
            for a, b in RULES.items(): f.write(" ".join(f"{ord(c):X}" for c in a) + "\t" + " ".join(f"{ord(c):X}" for c in b) + "\n")
        if options.pop("rules", False): options["normalization_rule_tsv"] = f"{work}/rules.tsv"
        else: options["normalization_rule_name"] = "identity"
        sentencepiece.SentencePieceTrainer.train(input=f"{work}/corpus", model_prefix=os.path.join(folder(name), "tokenizer"), minloglevel=2, character_coverage=0.98, **options)
    os.remove(os.path.join(folder(name), "tokenizer.vocab"))
    m = proto(name)
    for field in ("input", "model_prefix"): m.trainer_spec.ClearField(field)  # paths of this machine
    m.normalizer_spec.ClearField("normalization_rule_tsv")
    with open(os.path.join(folder(name), "tokenizer.model"), "wb") as f: f.write(m.SerializeToString())


def model(name, cls, config, **options):
    sentencepiece_model(name, **options)
    if config:
        with open(os.path.join(folder(name), "tokenizer_config.json"), "w") as f: json.dump(config, f)
    t = cls.from_pretrained(folder(name))
    write_expected(name, t.backend_tokenizer)
    return t.backend_tokenizer


def words_model(name):
    """A model of words: transformers has none, the reference is the sentencepiece library; it knows no token written in the text."""
    sentencepiece_model(name, model_type="word", vocab_size=60, rules=True)
    m = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder(name), "tokenizer.model"))
    t = Tokenizer(models.WordLevel({m.id_to_piece(i): i for i in range(len(m))}, unk_token="<unk>"))
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    with open(os.path.join(folder(name), "expected.jsonl"), "w") as f:
        f.write(json.dumps({"versions": VERSIONS}) + "\n")
        for text in TEXTS * 2:
            if "<" in text: text = text.replace("<", "")
            ids = m.encode(text)
            f.write(json.dumps({"text": text, "tokens": ids, "special": ids, "decoded": t.decode(ids, skip_special_tokens=False), "skipped": t.decode(ids)}) + "\n")


def proto(name):
    from transformers.convert_slow_tokenizer import import_protobuf
    m = import_protobuf().ModelProto()
    with open(os.path.join(folder(name), "tokenizer.model"), "rb") as f: m.ParseFromString(f.read())
    return m


def configured(name, source, cls):
    """A tokenizer.model beside a tokenizer_config.json whose added_tokens_decoder has more than the pieces."""
    shutil.copy(os.path.join(OUT, source, "tokenizer.model"), folder(name))
    count, pieces = len(proto(name).pieces), [p.piece for p in proto(name).pieces]
    token = lambda content, **flags: {"content": content, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True, **flags}
    added = {0: token("<unk>"), 1: token("<s>", normalized=True), 2: token("</s>", rstrip=True), count - 1: token(pieces[-1], special=False), count + 1: token("one", single_word=True, special=False),
             count: token("<tool>", lstrip=True, rstrip=True), count + 7: token("the q", special=False, normalized=True), count + 30: token("[PAD]", special=False)}
    config = {"tokenizer_class": cls.__name__, "added_tokens_decoder": {str(i): t for i, t in added.items()}, "pad_token": "[PAD]"}
    with open(os.path.join(folder(name), "tokenizer_config.json"), "w") as f: json.dump(config, f)
    write_expected(name, cls.from_pretrained(folder(name)).backend_tokenizer)


# ---- GGUF, tekken --------------------------------------------------------------------------

def gguf(name, kind, architecture, tokens, types, scores, ids, merges=None, pre=None, lowercase=None):
    w = GGUFWriter(os.path.join(folder(name), "tokenizer.gguf"), architecture)
    w.add_tokenizer_model(kind)
    if pre: w.add_tokenizer_pre(pre)
    w.add_token_list(tokens)
    w.add_token_types(types)
    if scores: w.add_token_scores(scores)
    if merges: w.add_token_merges(merges)
    if lowercase is not None: w.add_bool("tokenizer.ggml.normalizer.lowercase", lowercase)
    for role, i in ids.items(): getattr(w, f"add_{role}_token_id")(i)
    if kind == "llama": w.add_add_bos_token(False)
    if kind != "llama": w.add_add_bos_token(False), w.add_add_eos_token(False)
    w.write_header_to_file(), w.write_kv_data_to_file(), w.close()
    return os.path.join(folder(name), "tokenizer.gguf")


def from_gguf(path):
    from transformers.integrations.gguf import convert_gguf_tokenizer, get_gguf_tokenizer
    architecture, parts, _ = get_gguf_tokenizer(path)
    return convert_gguf_tokenizer(architecture, parts)[0]


def gguf_words(name, kind, pre_name, t, special, lowercase=None, **ids):
    """A BPE of characters as llama.cpp's file of that model with that `pre`; `t` is the reference."""
    data = json.loads(t.to_str())
    vocab = sorted(data["model"]["vocab"], key=data["model"]["vocab"].get)
    gguf(name, kind, "llama", vocab, [3 if v in special else 6 if v.startswith("<0x") else 1 for v in vocab], None, ids, [" ".join(m) for m in data["model"]["merges"]], pre_name, lowercase)
    write_expected(name, t)


def tekken(name, merges):
    from transformers.integrations.mistral.tokenizer import MistralConverter
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre.ByteLevel(add_prefix_space=False)
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=256 + merges, initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False))
    back = {c: b for b, c in __import__("transformers").convert_slow_tokenizer.bytes_to_unicode().items()}
    vocab = [bytes(back[c] for c in token) for token, _ in sorted(t.get_vocab().items(), key=lambda x: x[1])]
    vocab = sorted((v for v in vocab if len(v) == 1)) + [v for v in vocab if len(v) > 1]
    pattern = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    specials = [{"rank": i, "token_str": s, "is_control": True} for i, s in enumerate(["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])]
    data = {"config": {"pattern": pattern, "num_vocab_tokens": len(vocab), "default_vocab_size": len(vocab) + 10 - 3, "default_num_special_tokens": 10, "version": "v7"},
            "special_tokens": specials, "vocab": [{"rank": i, "token_bytes": base64.b64encode(v).decode(), "token_str": None} for i, v in enumerate(vocab)]}
    path = os.path.join(folder(name), "tekken.json")
    with open(path, "w") as f: json.dump(data, f, separators=(",", ":"))
    write_expected(name, MistralConverter(path).converted())


# ---- tokenizer.json ------------------------------------------------------------------------

def llama(spm, name, normalizer, pre_tokenizer, decoder, post=None, **settings):
    """The BPE of a tokenizer.model in the shapes that tokenizer.json files give it."""
    data = json.loads(spm.to_str())
    t = Tokenizer(models.BPE(vocab=data["model"]["vocab"], merges=[tuple(m) for m in data["model"]["merges"]], **{"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, **settings}))
    t.add_special_tokens([AddedToken(s, normalized=False) for s in ("<unk>", "<s>", "</s>")])
    t.add_tokens([AddedToken("<tool>", normalized=True), AddedToken("</tool>", lstrip=True, rstrip=True)])
    if normalizer: t.normalizer = normalizer
    if pre_tokenizer: t.pre_tokenizer = pre_tokenizer
    if decoder: t.decoder = decoder
    if post: t.post_processor = post
    write_json(name, t)


def word_pieces(name):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre.BertPreTokenizer()
    t.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=400, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    t.decoder = decoders.WordPiece()
    write_json(name, t)
    return t


def suffixed(name):
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Nmt(), normalizers.Strip()])
    t.pre_tokenizer = pre.BertPreTokenizer()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"], end_of_word_suffix="</w>", show_progress=False))
    t.post_processor, t.decoder = processors.RobertaProcessing(("</s>", 2), ("<s>", 1)), decoders.BPEDecoder()
    write_json(name, t)


def prefixed(name):
    t = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##", fuse_unk=False))
    t.pre_tokenizer = pre.Metaspace(prepend_scheme="never")
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"], continuing_subword_prefix="##", show_progress=False))
    t.decoder = decoders.Sequence([decoders.WordPiece(cleanup=False), decoders.Fuse(), decoders.Strip(" ", 2, 0), decoders.Metaspace(prepend_scheme="never")])
    write_json(name, t)


def unigram(name, spm):
    m = proto(spm)
    t = Tokenizer(models.Unigram([(p.piece, p.score) for p in m.pieces], unk_id=0, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(m.normalizer_spec.precompiled_charsmap), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre.Metaspace(prepend_scheme="always")
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    t.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    t.decoder = decoders.Metaspace(prepend_scheme="always")
    write_json(name, t)


def ties(name):
    """Every way to cut a text scores the same."""
    pieces = [("<unk>", -9.0)] + [(w, -float(len(w))) for w in list("▁abcdefghijklmnopqrstuvwxyz") + "on ne one tw wo th hr re ee aa aaa lo or ▁o ▁w wor ld".split()]
    t = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    t.pre_tokenizer, t.decoder = pre.Metaspace(prepend_scheme="always", split=False), decoders.Metaspace(prepend_scheme="always")
    write_json(name, t)


def words(name):
    t = Tokenizer(models.WordLevel({w: i for i, w in enumerate(["<unk>", "<pad>", "|", "a", "x", "one", "two", "three", "word", "Hello", "world", "d</w>"])}, unk_token="<unk>"))
    t.pre_tokenizer = pre.BertPreTokenizer()
    t.decoder = decoders.CTC()
    write_json(name, t)


def byte_spelled(name):
    """ByteLevel as a normaliser, and no decoder: tokens stand with spaces between."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.ByteLevel()])
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False))
    write_json(name, t)


def spelled(name, model, trainer=None):
    """ByteLevel before a model that knows no bytes but sees their spelling, as CLIP's has."""
    t = Tokenizer(model)
    t.pre_tokenizer, t.decoder = pre.Sequence([pre.Split(Regex(r"\s+|\d"), "isolated"), pre.ByteLevel(add_prefix_space=True)]), decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainer)
    write_json(name, t)


# ---- normalisers ----------------------------------------------------------------------------

def normalizer_samples():
    r = random.Random(1)
    kinds = [normalizers.NFC(), normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Nmt(), normalizers.Strip(), normalizers.Strip(left=False),
             normalizers.BertNormalizer(), normalizers.BertNormalizer(clean_text=False, lowercase=False), normalizers.BertNormalizer(strip_accents=True, lowercase=False, handle_chinese_chars=False), normalizers.Prepend("▁"),
             normalizers.Replace("a", "xy"), normalizers.Replace(Regex("\\s+"), "_"), normalizers.ByteLevel(), normalizers.Precompiled(proto("general").normalizer_spec.precompiled_charsmap)]
    pool = [c for s in TEXTS + CORPUS for c in s] + [chr(r.choice([r.randrange(0x300), r.randrange(0x300, 0x370), r.randrange(0x3100), r.randrange(0xD800), r.randrange(0xE000, 0x20000)])) for _ in range(3000)]
    with open(os.path.join(OUT, "normalizers.jsonl"), "w") as f:
        for n in kinds:
            config = json.loads(json.loads(json.dumps({"n": n.__getstate__().decode()}))["n"])
            for text in ["", "  a b  "] + ["".join(r.choice(pool) for _ in range(24)) for _ in range(10)]:
                f.write(json.dumps({"normalizer": config, "text": text, "normalized": n.normalize_str(text)}) + "\n")


def score_samples():
    """Numbers, and the double that the reference's JSON reader makes of them."""
    r = random.Random(3)
    digits = [repr(-r.random() * 10 ** r.randrange(-3, 3)) for _ in range(120)] + [f"-{r.randrange(10 ** r.randrange(1, 25))}.{r.randrange(10 ** r.randrange(1, 25))}e{r.randrange(-60, 40)}" for _ in range(80)]
    digits += ["-0.0", "-1", "0", "-12345678901234567890123", "-1e-320", "-18446744073709551615", "-18446744073709551616.5", "-1.8446744073709551616"]
    data = json.loads(Tokenizer(models.Unigram([("a", 0.0)], unk_id=0, byte_fallback=False)).to_str())
    data["model"]["vocab"] = "@"
    raw = json.dumps(data).replace('"@"', "[" + ",".join(f'["t{i}",{n}]' for i, n in enumerate(digits)) + "]")
    values = [score for _, score in json.loads(Tokenizer.from_str(raw).to_str())["model"]["vocab"]]
    with open(os.path.join(OUT, "scores.jsonl"), "w") as f:
        for d, v in zip(digits, values): f.write(json.dumps({"digits": d, "value": v}) + "\n")


def manifest():
    path = os.path.join(GOLDEN, "MANIFEST.json")
    with open(path) as f: all_of_them = json.load(f)
    names = sorted(os.path.relpath(os.path.join(d, n), GOLDEN) for d, _, files in os.walk(OUT) for n in files)
    all_of_them["tokenizer_models"] = {"made_by": "tools/golden_tokenizer_models.py", "sha256": {n: hashlib.sha256(open(os.path.join(GOLDEN, n), "rb").read()).hexdigest() for n in names}, "versions": VERSIONS}
    with open(path, "w") as f: f.write(json.dumps(all_of_them, indent=1, sort_keys=True) + "\n")


def main():
    user = ["<tool>", "  ", "the q", "▁▁▁"]
    bpe = model("llama", transformers.LlamaTokenizer, {"tokenizer_class": "LlamaTokenizer"}, model_type="bpe", byte_fallback=True, remove_extra_whitespaces=False, vocab_size=560)
    model("general", TokenizersBackend, None, model_type="bpe", byte_fallback=True, rules=True, user_defined_symbols=user, vocab_size=560)
    model("plain", TokenizersBackend, {"legacy": False}, model_type="bpe", add_dummy_prefix=False, vocab_size=300)
    model("unigram", TokenizersBackend, None, model_type="unigram", hard_vocab_limit=False, rules=True, vocab_size=300)
    model("t5", transformers.T5Tokenizer, {"tokenizer_class": "T5Tokenizer"}, model_type="unigram", hard_vocab_limit=False, rules=True, vocab_size=300, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    model("characters", TokenizersBackend, None, model_type="char", user_defined_symbols=user, rules=True, vocab_size=120)
    words_model("words")
    configured("configured_llama", "llama", transformers.LlamaTokenizer), configured("configured_general", "general", TokenizersBackend)
    mark, bytes_ = "▁", [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    llama(bpe, "llama2", normalizers.Sequence([normalizers.Prepend(mark), normalizers.Replace(" ", mark)]), None, decoders.Sequence([*bytes_, decoders.Strip(" ", 1, 0)]), processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)]))
    llama(bpe, "gemma", normalizers.Replace(" ", mark), None, decoders.Sequence(bytes_))
    llama(bpe, "first", None, pre.Metaspace(prepend_scheme="first", split=True), decoders.Metaspace(prepend_scheme="first"), byte_fallback=False, ignore_merges=True)
    unigram("unigram_json", "unigram"), ties("ties")
    bert = word_pieces("wordpiece")
    suffixed("suffix"), prefixed("prefix"), words("wordlevel"), byte_spelled("byte_spelled")
    spelled("spelled_suffix", models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"), trainers.BpeTrainer(vocab_size=600, special_tokens=["<unk>"], end_of_word_suffix="</w>", initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False))
    spelled("spelled_unigram", models.Unigram(), trainers.UnigramTrainer(vocab_size=300, special_tokens=["<unk>"], unk_token="<unk>", initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False))
    tekken("tekken", 300)
    p = proto("llama").pieces
    ids = {"bos": 1, "eos": 2, "unk": 0}
    for architecture in ("llama", "phi3", "gemma2"):
        names = {"<s>": "<bos>", "</s>": "<eos>", p[-1].piece: "<pad>", p[-2].piece: "<mask>"} if architecture == "gemma2" else {}
        path = gguf(f"gguf_{architecture}", "llama", architecture, [names.get(x.piece, x.piece) for x in p], [x.type for x in p], [x.score for x in p], ids)
        write_expected(f"gguf_{architecture}", from_gguf(path))
    m = proto("t5").pieces
    path = gguf("gguf_t5", "t5", "t5", [x.piece for x in m] + [f"[PAD{len(m) + i}]" for i in range(100)], [x.type for x in m] + [5] * 100, [x.score for x in m] + [0.0] * 100, {"eos": 1, "unk": 2, "pad": 0})
    t = from_gguf(path)
    t.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    write_expected("gguf_t5", t)
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizers.Lowercase(), pre.Split(Regex(r"\S+"), "removed", invert=True), decoders.Fuse()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>", "<s>"], limit_alphabet=80, show_progress=False))
    gguf_words("gguf_whitespace", "whitespace", "whitespace", t, ["<unk>", "<s>"], lowercase=True, unk=0)
    data = json.loads(bpe.to_str())["model"]
    t = Tokenizer(models.BPE(data["vocab"], [tuple(m) for m in data["merges"]], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer, t.decoder = normalizers.Replace(" ", mark), decoders.Sequence(bytes_)
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    gguf_words("gguf_sarvam", "gpt2", "sarvam-moe", t, ["<unk>", "<s>", "</s>"], **ids)
    v = sorted(bert.get_vocab().items(), key=lambda x: x[1])
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    spelling = [w if w in special else w[2:] if w.startswith("##") else mark + w for w, _ in v]
    bert.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    for name, lowercase in ("gguf_bert", None), ("gguf_bert_cased", False):
        gguf(name, "bert", "bert", spelling, [3 if w in special else 1 for w, _ in v], None, {"unk": 1, "sep": 3, "pad": 0}, lowercase=lowercase)
        if lowercase is False: bert.normalizer = normalizers.BertNormalizer(lowercase=False)
        write_expected(name, bert)
    normalizer_samples(), score_samples()
    manifest()


main()
