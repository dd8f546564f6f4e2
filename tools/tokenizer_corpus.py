"""Hard texts for tokenizers, the same for the same seed: code, prose in thirty scripts, emoji, marks, white space,
control characters, long runs, special tokens inside text, random bytes and random characters of all planes."""
import glob, os, random

PROSE = """The quick brown fox jumps over the lazy dog; it's what they'd've said, isn't it? I'LL say so.
Straße, façade, œuvre, naïve, déjà vu: ça va? Über Ärger, ñandú, Þórr, łódź, İstanbul, ışık, ǅ, ﬁ, ŉ
Ταχίστη αλώπηξ βαφής ψημένη γη, δρασκελίζει ὑπὲρ νωθροῦ κυνός. ᾳ ΐ Ὀδυσσεύς
Съешь же ещё этих мягких французских булок, да выпей чаю. Їжак, ґанок, љубав
Հայերեն լեզուն հնդեվրոպական է։ Ողջույն
ქართული ენა, გამარჯობა მსოფლიო. Ⴀⴀ ᲐᲑ
שלום עולם, מה שלומך? בְּרֵאשִׁית בָּרָא
مرحبا بالعالم، كيف حالك؟ ٠١٢٣٤ السَّلامُ عَلَيْكُمْ ۱۲۳ پارسی گ چ
ܫܠܡܐ ܥܠܡܐ ܐܒܓܕ
ދިވެހިބަސް ހެޔޮ
ߒߞߏ ߛߓߍ
नमस्ते दुनिया, यह हिन्दी है। किताब २०२४ क्षत्रिय क़
বাংলা ভাষা, কেমন আছেন? ১২৩
ਪੰਜਾਬੀ ਭਾਸ਼ਾ ਸਤਿ ਸ੍ਰੀ ਅਕਾਲ
ગુજરાતી ભાષા નમસ્તે
ଓଡ଼ିଆ ଭାଷା ନମସ୍କାର
தமிழ் மொழி வணக்கம் ௧௨௩
తెలుగు భాష నమస్కారం ౧౨
ಕನ್ನಡ ಭಾಷೆ ನಮಸ್ಕಾರ
മലയാളം ഭാഷ നമസ്കാരം ൧൨
සිංහල භාෂාව ආයුබෝවන්
ภาษาไทยไม่มีช่องว่างระหว่างคำ สวัสดี ๑๒๓
ພາສາລາວ ສະບາຍດີ ໑໒
བོད་སྐད། བཀྲ་ཤིས་བདེ་ལེགས། ༡༢
မြန်မာဘာသာ မင်္ဂလာပါ ၁၂၃
ភាសាខ្មែរ សួស្តី ១២៣
አማርኛ ሰላም ልዑል ፩፪
ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᎣᏏᏲ ꭰꭱ
ᐃᓄᒃᑎᑐᑦ ᐊᐃ
ᠮᠣᠩᠭᠣᠯ ᠬᠡᠯᠡ
中文文本没有空格，你好世界！繁體中文也一樣。１２３ ㍿ 〇 々
日本語の文章です。カタカナ、ひらがな、漢字が混ざっている。ｶﾞｷﾞ ー゛
안녕하세요 세계, 한국어 문장입니다. \u1112\u1161\u11ab ㄱㄴ
Tiếng Việt có nhiều dấu: ẩ ẫ ợ ữ e\u0302\u0301 o\u031b\u0323
ⵜⴰⵎⴰⵣⵉⵖⵜ ⴰⵣⵓⵍ ⲙⲉⲧⲣⲉⲙⲛⲭⲏⲙⲓ 𐌲𐌿𐍄𐌹𐍃𐌺 𐐔𐐯𐑅𐐨𐑉𐐯𐐻 𞤆𞤵𞤤𞤢𞤪 𓀀𓂀 𒀀𒁀 𝔘𝕟𝐢𝟘𝟙""".splitlines()

EMOJI = ["👍", "👍🏽", "👩‍👩‍👧‍👦", "🇩🇪", "🇺🇸🇫🇷", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤️", "❤", "1️⃣", "#⃣", "🤷🏿‍♀️", "👨‍💻", "🫨", "😀😃😄", "☃", "✂️", "🏳️‍🌈", "\u200d", "\ufe0f", "🏽", "🇩"]
WHITE = [" ", "  ", "   ", "    ", "\t", "\n", "\r", "\r\n", "\n\n", "\u00a0", "\u2003", "\u3000", "\u2028", "\u2029", "\u0085", "\u180e", "\u200b", "\u202f", "\u205f", "\u1680", "\x0b", "\x0c", "\x1c", "\x1f", "\ufeff", " \n ", "\t\t"]
MARKS = ["\u0301", "\u0300", "\u0308", "\u0323", "\u0307", "\u0345", "\u0334", "\u0489", "\u20dd", "\u064b", "\u05b0", "\u093c", "\u3099", "\u309a", "\u1ab0", "\u0e48", "\u0f71", "\u1dc4", "\u07fd", "\u0315"]
PIECES = ["'s", "'S", "'re", "'VE", "'ll", "'ſ", "’s", "'", "\"", "``", "--", "...", "…", "!?", "(", ")", "[", "]", "{", "}", "<", ">", "</", "/>", "//", "/*", "*/", "#", "@", "$", "%", "^", "&", "*", "_", "__", "+=", "==", "!==", "->", "=>", "::",
          "|", "\\", "\\n", "~", "`", "½", "²", "Ⅷ", "٣", "①", "1", "12", "123", "1234", "1234567", "0x1F", "3.14", "1,000", "x", "X", "camelCase", "HTTPServer", "snake_case", "ſ", "K", "ẞ", "ß", "İ", "ı", "▁", "▁▁", "Ġ", "Ċ", "Â", "Å", "<0x41>", "<unk>", "</s>", "##ing", "\ufffd", "\x00"]


def character(r):
    while True:
        c = r.randrange(r.choice([0x80, 0x180, 0x800, 0x3000, 0x10000, 0x20000, 0x32000, 0x110000]))
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def words(r, line):
    parts = line.split(" ")
    at = r.randrange(len(parts))
    return " ".join(parts[at:at + r.randrange(1, 12)])


def mixture(r, special):
    """A few pieces of every kind, side by side."""
    out = []
    for _ in range(r.randrange(1, 16)):
        kind = r.randrange(10)
        out.append(r.choice(PIECES) if kind < 3 else words(r, r.choice(PROSE)) if kind < 5 else r.choice(WHITE) if kind < 7 else r.choice(EMOJI) if kind == 7
                   else "".join(character(r) for _ in range(r.randrange(1, 5))) if kind == 8 else r.choice(special or PIECES))
    return "".join(out)


class Corpus:
    def __init__(self, seed):
        self.seed, here = seed, os.path.dirname(os.path.abspath(__file__))
        files = sorted(glob.glob(f"{here}/../src/*/*.c") + glob.glob(f"{here}/*.py") + glob.glob(f"{here}/../docs/*.md"))
        self.code = "".join(open(f, encoding="utf-8").read() for f in files)

    def kinds(self, r, special):
        def code():
            at = r.randrange(len(self.code))
            return self.code[at:at + r.randrange(1, 300)]
        def prose(): return r.choice(WHITE[:8]).join(words(r, r.choice(PROSE)) for _ in range(r.randrange(1, 4)))
        def letters(): return (lambda line: "".join(r.choice(line) for _ in range(r.randrange(1, 40))))(r.choice(PROSE))
        def emoji(): return "".join(r.choice(EMOJI + WHITE[:2]) for _ in range(r.randrange(1, 12)))
        def marks(): return "".join(r.choice([character(r), "e", "a", " ", "q", "अ", "ᄒ", "か"]) + "".join(r.choice(MARKS) for _ in range(r.randrange(4))) for _ in range(r.randrange(1, 10)))
        def white(): return "".join(r.choice(WHITE) if r.random() < .7 else r.choice(PIECES) for _ in range(r.randrange(1, 20)))
        def control(): return "".join(chr(r.choice([r.randrange(32), r.randrange(0x7F, 0xA0), r.randrange(0x2000, 0x2070), r.randrange(32, 127), r.randrange(0xFE00, 0xFE10), r.randrange(0xE0000, 0xE0080)])) for _ in range(r.randrange(1, 20)))
        def runs(): return "".join(r.choice([" ", "a", "\n", "=", "-", "1", "中", "é", "\t", "▁", character(r), r.choice(PIECES)]) * r.randrange(1, r.choice([4, 40, 400])) for _ in range(r.randrange(1, 4)))
        def marked(): return "".join((r.choice(special) if special else "") + r.choice(WHITE + ["", "x", "é", "_"]) + words(r, r.choice(PROSE)) for _ in range(r.randrange(1, 4)))
        def raw(): return bytes(r.randrange(256) for _ in range(r.randrange(1, 60))).decode(r.choice(["utf-8", "latin-1"]), "replace")
        def planes(): return "".join(character(r) for _ in range(r.randrange(1, 40)))
        def mixed(): return mixture(r, special)
        return [code, code, prose, prose, letters, emoji, marks, white, control, runs, marked, raw, planes, mixed, mixed, mixed]

    def texts(self, count, special):
        """`count` texts; `special`: the tokenizer's added tokens, written inside some of them."""
        r = random.Random(self.seed)
        kinds = self.kinds(r, special)
        return ["", " ", "\n"] + [kinds[i % len(kinds)]() for i in range(count - 3)]


def every_character():
    """Each scalar value between letters, digits, spaces, quotes and twice in a row."""
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000:
            s = chr(c)
            yield f"a{s}b {s}{s} 1{s}2 '{s} ' {s}s\n{s}\n \u0301{s}"
