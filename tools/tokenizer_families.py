"""How the tokenizers of model families are put together, for those whose files no package carries, and one tokenizer for
each kind of pre-tokenizer: FAMILIES and KINDS, name -> function of a training corpus (a list of texts) and a number of
merges that gives a `tokenizers.Tokenizer`. Used by get_tokenizers.py (for the judge) and golden_tokenizer.py (frozen)."""
import json
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers as pre, processors, trainers

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
CL100K = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = CL100K.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTIONS + "?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTIONS + "?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN35 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
HAN_FIRST = (r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+" + CONTRACTIONS + "?"
             r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*" + CONTRACTIONS + "?"
             r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK_LLM = [r"[\r\n]", "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
                r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", r"[一-龥ࠀ-一가-퟿]+"]
DEEPSEEK_CODER = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}"]

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin|>"]


def split(pattern, behavior="isolated", invert=False):
    return pre.Split(Regex(pattern) if isinstance(pattern, str) else pattern, behavior, invert)


def spell(prefix=False, regex=False):
    return pre.ByteLevel(add_prefix_space=prefix, use_regex=regex)


def steps(*parts):
    return pre.Sequence(list(parts))


def byte_bpe(corpus, merges, pretokenizer, normalizer=None, added=(), post=None, edit=None, specials=SPECIALS):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pretokenizer, decoders.ByteLevel()
    if normalizer: t.normalizer = normalizer
    t.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=256 + len(specials) + merges, special_tokens=list(specials), show_progress=False,
                                                      initial_alphabet=pre.ByteLevel.alphabet()))
    t.add_tokens(list(added))
    t.post_processor = post(t) if post else processors.ByteLevel(trim_offsets=False)
    if not edit: return t
    data = json.loads(t.to_str())
    edit(data)
    return Tokenizer.from_str(json.dumps(data))


def template(before, after=None):
    def make(t):
        pieces = ([before] if before else []) + ["$A"] + ([after] if after else [])
        return processors.TemplateProcessing(single=" ".join(pieces), special_tokens=[(s, t.token_to_id(s)) for s in (before, after) if s])
    return make


def plain(content, **flags):
    return AddedToken(content, **{"special": False, "normalized": False, **flags})


SPACES = [plain(" " * n, normalized=True) for n in range(24, 1, -1)]
TABS = [plain("\t" * n, normalized=True) for n in range(9, 1, -1)]


def ignore_merges(data):
    data["model"]["ignore_merges"] = True
    del data["model"]["merges"][40:60]  # words that only the vocabulary has


def family(pretokenizer, **options):
    return lambda corpus, merges: byte_bpe(corpus, merges, pretokenizer, **options)


def wordpiece(corpus, merges):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizers.BertNormalizer(), pre.BertPreTokenizer(), decoders.WordPiece()
    t.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=600 + merges, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    t.post_processor = processors.BertProcessing(("[SEP]", t.token_to_id("[SEP]")), ("[CLS]", t.token_to_id("[CLS]")))
    return t


def unigram(corpus, merges):
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer, t.decoder = pre.Metaspace(), decoders.Metaspace()
    t.train_from_iterator(corpus, trainers.UnigramTrainer(vocab_size=600 + merges, show_progress=False, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>"))
    t.post_processor = template("<s>", "</s>")(t)
    return t


def sentencepiece_bpe(added=(), prepend=True):
    def make(corpus, merges):
        t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        replace = normalizers.Replace(" ", "\u2581")
        t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), replace] if prepend else [replace])
        t.train_from_iterator([line for text in corpus for line in text.split()], trainers.BpeTrainer(
            vocab_size=700 + merges, show_progress=False, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]))
        t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()] + ([decoders.Strip(" ", 1, 0)] if prepend else []))
        t.add_tokens(list(added))
        t.post_processor = template("<s>")(t)
        return t
    return make


CODE = steps(pre.Digits(individual_digits=True), spell(regex=True))

FAMILIES = {
    "gpt_neox": family(spell(regex=True), normalizer=normalizers.NFC(), added=SPACES),
    "olmo": family(spell(regex=True), normalizer=normalizers.NFC(), added=SPACES, post=template(None, "<|endoftext|>")),
    "olmo2": family(steps(split(CL100K), spell())),
    "phi2": family(spell(regex=True), added=SPACES + TABS),
    "phi3": sentencepiece_bpe([plain("<|user|>", special=True, rstrip=True), plain("<|assistant|>", special=True, rstrip=True), plain("<|end|>", special=True, rstrip=True)]),
    "phi4": family(steps(split(CL100K, "removed", True), spell()), added=[plain("<|im_sep|>", special=True, lstrip=True, rstrip=True)]),
    "starcoder2": family(CODE),
    "granite": family(CODE, added=[plain("<|start_of_role|>", special=True)]),
    "smollm3": family(steps(split(CL100K), spell()), post=template("<|begin|>"), edit=ignore_merges),
    "glm4": family(steps(split(CL100K), spell()), post=template("<|begin|>"), added=[plain("[MASK]", special=True)], edit=ignore_merges),
    "falcon": family(steps(pre.Punctuation("contiguous"), spell(regex=True), pre.Digits(individual_digits=False), split("[0-9][0-9][0-9]"))),
    "falcon3": family(steps(pre.Punctuation("contiguous"), spell(regex=True), pre.Digits(individual_digits=True))),
    "deepseek_v2": family(steps(*map(split, DEEPSEEK_LLM), pre.Digits(individual_digits=True), spell())),
    "deepseek_coder": family(steps(*map(split, DEEPSEEK_CODER), spell())),
    "kimi_k2": family(steps(split(HAN_FIRST), spell())),
    "qwen35": family(steps(split(QWEN35), spell()), normalizer=normalizers.NFC()),
    "bloom": family(steps(split(r" ?[^(\s|[.,!?…。，、।۔،])]+"), spell())),
    "minicpm": sentencepiece_bpe(prepend=False),
    "bert": wordpiece,
    "unigram": unigram,
}


def visible(*parts, **options):
    """A space before every word shows where the text was cut: there are no merges."""
    return lambda corpus, merges: byte_bpe(corpus, 0, steps(*parts, spell(prefix=True)), **options)


KINDS = {
    "whitespace": visible(pre.Whitespace()),
    "whitespace_split": visible(pre.WhitespaceSplit()),
    "delimiter": visible(pre.CharDelimiterSplit("é")),
    "digits": visible(pre.Digits(individual_digits=False)),
    "digit": visible(pre.Digits(individual_digits=True)),
    "fixed_length": visible(pre.FixedLength(3)),
    "scripts": visible(pre.UnicodeScripts()),
    "literal_dot": visible(pre.Split(".", "isolated")),
    "empty_matches": visible(split(r"\p{Lu}*")),
    "line_ends": visible(split(r"^\s+|\s+$")),
    "words": visible(split(r"\b\w+\b|\B\W")),
    "classes": visible(split(r"[\p{Greek}\p{Cyrillic}&&[^\p{Lu}]]+|[[:punct:]]|\h+|[^\W\d_]{4}")),
    "spelled_twice": visible(spell(regex=True)),
    **{f"punctuation_{b}": visible(pre.Punctuation(b)) for b in ("isolated", "contiguous")},
    **{f"split_{b}{'_inverted' * i}": visible(split(r"[\p{P}\s]", b, bool(i))) for i in (0, 1)
       for b in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")},
}
