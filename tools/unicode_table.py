#!/usr/bin/env python3
"""Writes src/text/unicode_{table,nfc,scripts}.h: characters as the reference (the `tokenizers` package) sees them.

unicode_table.h: the general category and the script of every code point, letters that differ only in case, and the
other classes that regular expressions name or pre-tokenizers use ("!name", from Rust's libraries, whose Unicode is
another one), each as categories and the code points by which it differs from them. "!word" also keeps a `single_word`
added token from matching. usage: unicode_table.py src/text"""
import contextlib
import ctypes
import os
import sys
import textwrap
import unicodedata
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CATEGORIES = "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cs".split()
GROUPS = {"L": "Letter", "M": "Mark Combining_Mark", "N": "Number", "P": "Punctuation", "S": "Symbol", "Z": "Separator", "C": "Other"}
LONG = dict(zip(CATEGORIES, """Unassigned Uppercase_Letter Lowercase_Letter Titlecase_Letter Modifier_Letter Other_Letter Nonspacing_Mark Spacing_Mark
Enclosing_Mark Decimal_Number Letter_Number Other_Number Connector_Punctuation Dash_Punctuation Open_Punctuation Close_Punctuation
Initial_Punctuation Final_Punctuation Other_Punctuation Math_Symbol Currency_Symbol Modifier_Symbol Other_Symbol Space_Separator
Line_Separator Paragraph_Separator Control Format Private_Use Surrogate""".split()))
POSIX = "alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit".split()
OTHERS = "Alphabetic Uppercase Lowercase White_Space Ideographic Emoji Emoji_Presentation Extended_Pictographic Any Assigned Cased_Letter LC".split()
SCRIPTS = """Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki Bopomofo Brahmi Braille
Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common Coptic Cuneiform Cypriot Cypro_Minoan
Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic Garay Georgian Glagolitic Gothic Grantha
Greek Gujarati Gunjala_Gondi Gurmukhi Gurung_Khema Han Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited
Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li Kharoshthi Khitan_Small_Script Khmer Khojki
Khudawadi Kirat_Rai Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen
Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean
Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Ol_Onal Old_Hungarian Old_Italic Old_North_Arabian
Old_Permic Old_Persian Old_Sogdian Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa
Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo
Sundanese Sunuwar Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh
Tirhuta Todhri Toto Tulu_Tigalari Ugaritic Vai Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square""".split()


def reference(pattern):
    """The code points that the reference's regular expressions take for `pattern`: those a replacement removes."""
    remove, found = normalizers.Replace(Regex(pattern), ""), set()
    for i in range(0, len(CODES), 4096):
        block = CODES[i:i + 4096]
        left = set(remove.normalize_str("".join(map(chr, block))))
        found |= {c for c in block if chr(c) not in left}
    return found


def rust():
    """What the pre-tokenizers without a regular expression take for a space, a digit, punctuation and a word character: each
    is shown characters between two letters."""
    def pieces(pretokenizer, c): return [p for p, _ in pretokenizer.pre_tokenize_str(f"a{chr(c)}a")]
    def those(pretokenizer, kept): return {c for c in CODES if pieces(pretokenizer, c) == (["a", chr(c), "a"] if kept else ["a", "a"])}
    words = pre_tokenizers.Whitespace()
    spaces = those(words, False)
    return {"!space": those(pre_tokenizers.WhitespaceSplit(), False), "!digit": those(pre_tokenizers.Digits(individual_digits=True), True),
            "!punctuation": those(pre_tokenizers.Punctuation(), True), "!wordspace": spaces, "!word": set(CODES) - spaces - those(words, True)}


def scripts_of_the_pretokenizer():
    """code point -> number of the script by which UnicodeScripts cuts; those that go with any neighbour are left out."""
    def pieces(text): return [p for p, _ in pre_tokenizers.UnicodeScripts().pre_tokenize_str(text)]
    def joins_any(c): return all(pieces(a + chr(c) + b) == [a + chr(c), b] for a, b in ("a\u0431", "\u0431a"))
    found, first = {}, []
    for run in pieces("".join(chr(c) for c in CODES if not joins_any(c))):
        number = next((i for i, x in enumerate(first) if len(pieces(x + run[0])) == 1), len(first))
        if number == len(first): first.append(run[0])
        found |= {ord(c): number + 1 for c in run}
    return found


def other_cases(cased):
    """Pairs of letters that match one another where case does not count, and the letters that match two others in a row."""
    listed, pairs, long = "\n".join(map(chr, cased)), [], set()
    for c in cased:
        left = set(normalizers.Replace(Regex(f"(?i:{chr(c)})"), "").normalize_str(listed))
        pairs += [(c, d) for d in cased if d > c and chr(d) not in left]
        folded = chr(c).casefold()
        if len(folded) > 1 and normalizers.Replace(Regex(f"(?i:{chr(c)})"), "").normalize_str(folded) == "": long.add(c)
    return pairs, long


def words():
    """The code points that are part of a word next to an added token."""
    t = Tokenizer(models.BPE(vocab={"x": 0}, merges=[]))
    t.add_tokens([AddedToken("q@q", single_word=True)])
    token = t.token_to_id("q@q")
    out = set()
    for c in CODES:
        if token not in t.encode(chr(c) + "q@q").ids:
            out.add(c)
    return out


class Utf8proc:
    STABLE, DECOMPOSE, COMPOSE = 2, 16, 8

    def __init__(self):
        self.lib = ctypes.CDLL("libutf8proc.so.2")
        self.lib.utf8proc_map.restype = ctypes.c_ssize_t
        self.lib.utf8proc_map.argtypes = [ctypes.c_char_p, ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_int]
        self.lib.utf8proc_unicode_version.restype = ctypes.c_char_p
        self.free = ctypes.CDLL(None).free
        self.free.argtypes = [ctypes.c_void_p]

    def map(self, text, option):
        out, raw = ctypes.c_void_p(), text.encode()
        size = self.lib.utf8proc_map(raw, len(raw), ctypes.byref(out), self.STABLE | option)
        result = ctypes.string_at(out, size).decode()
        self.free(out)
        return result


def inert():
    """The marks that the reference's normaliser does not know: it neither reorders nor composes them.

    A mark moves before U+0345 (class 240) or behind U+0334 (class 1) if its own class lies between. Marks that
    every Unicode since 14 leaves in class 0 as well need no entry, unless they compose."""
    nfc, nfd, ours = normalizers.NFC(), normalizers.NFD(), Utf8proc()
    def probe(f, c):
        return [f(s) for s in (f"\u0345{chr(c)}", f"{chr(c)}\u0334")]
    known_parts, found = set(), set()
    for c in CODES:
        theirs, mine = nfd.normalize_str(chr(c)), ours.map(chr(c), Utf8proc.DECOMPOSE)
        if theirs != chr(c):
            known_parts |= set(map(ord, theirs))
        if theirs != mine:
            found |= {c} | set(map(ord, mine))
    for c in reference(r"\p{M}"):
        theirs = probe(nfc.normalize_str, c)
        still = theirs == [f"\u0345{chr(c)}", f"{chr(c)}\u0334"]
        settled = unicodedata.category(chr(c)) != "Cn" and theirs == probe(lambda s: ours.map(s, Utf8proc.COMPOSE), c)
        if still and not settled and c not in known_parts:
            found.add(c)
        elif not still and theirs != probe(lambda s: ours.map(s, Utf8proc.COMPOSE), c):
            sys.exit(f"U+{c:04X}: the reference knows it and utf8proc does not")
    return found


def ranges(codes):
    out = []
    for c in sorted(codes):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


@contextlib.contextmanager
def header(folder, name, what, user):
    """A file src/text/`name` that `user` includes: its head, then what the caller writes."""
    text = f"{name} — {what}: made by tools/{os.path.basename(sys.argv[0])} from tokenizers {tokenizers.__version__}. Do not edit; included by {user} alone. */"
    with open(os.path.join(folder, name), "w") as out:
        out.write("\n".join(textwrap.wrap(text, 118, initial_indent="/* ", subsequent_indent=" * ")) + "\n/* clang-format off */\n")
        yield out
        out.write("/* clang-format on */\n")


def starts(value_of):
    """(first code point, value) wherever the value changes."""
    out = []
    for c in CODES:
        if not out or out[-1][1] != value_of.get(c, 0): out.append((c, value_of.get(c, 0)))
    return out


def write_list(out, declaration, items, width=116):
    out.write(f"{declaration} = {{\n")
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > width:
            out.write(line + "\n")
            line = "   "
        line += f" {item},"
    out.write(line + "\n};\n")


def write_table(out):
    category = {c: i for i, name in enumerate(CATEGORIES) if name not in ("Cn", "Cs") for c in reference(f"\\p{{{name}}}")}
    scripts = {name: reference(f"\\p{{{name}}}") for name in SCRIPTS}
    script = {c: i + 1 for i, name in enumerate(SCRIPTS) for c in scripts[name]}
    members = {i: {c for c in CODES if category.get(c, 0) == i} for i in range(len(CATEGORIES))}
    pairs, long = other_cases([c for c in CODES if CATEGORIES[category.get(c, 0)] in ("Lu", "Ll", "Lt", "Nl", "So", "Mn", "Lo", "Lm") and chr(c).casefold() + chr(c).lower() + chr(c).upper() + chr(c).title() != chr(c) * 4])
    classes = {f"!{c}": reference(f"\\{c}") for c in "sdwh"}
    # Outside brackets \\w takes six superscripts and fractions of Latin-1 as well; \\p{word} would have to be two classes.
    classes |= {f"[:{name}:]": reference(f"[[:{name}:]]") for name in POSIX}
    classes |= {name: reference(f"\\p{{{name}}}") for name in OTHERS + POSIX if name != "word"} | rust() | {"!long": long}
    assert classes["!word"] == words()
    out.write("enum { CATEGORY_BITS = 5, SCRIPT_BITS = 8 };\n\n/* code point << CATEGORY_BITS | category: from there on. */\n")
    write_list(out, "static const uint32_t category_starts[]", [f"0x{c << 5 | v:X}" for c, v in starts(category)])
    out.write("\n/* code point << SCRIPT_BITS | script, 0: none. */\n")
    write_list(out, "static const uint32_t script_starts[]", [f"0x{c << 8 | v:X}" for c, v in starts(script)])
    out.write("\n/* From script 1. */\n")
    write_list(out, "static const char *const script_names[]", [f'"{plain(n)}"' for n in SCRIPTS])
    out.write("\n/* Letters that differ only in case, each pair once. */\n")
    write_list(out, "static const uint32_t other_cases[][2]", [f"{{0x{a:X}, 0x{b:X}}}" for a, b in pairs])
    edges, rows = [], []
    for name, codes in classes.items():
        mask = sum(1 << i for i, m in members.items() if m and 2 * len(m & codes) > len(m))
        differing = ranges(codes ^ {c for i, m in members.items() if mask >> i & 1 for c in m})
        items = [f"{{0x{a:X}, 0x{b:X}}}" for a, b in differing]
        at = next((i for i in range(len(edges)) if edges[i:i + len(items)] == items), len(edges)) if items else 0
        if at == len(edges): edges += items
        rows.append(f'{{"{plain(name)}", 0x{mask:X}, {at}, {len(items)}}}')
    names = {n: 1 << i for i, n in enumerate(CATEGORIES)} | {LONG[n]: 1 << i for i, n in enumerate(CATEGORIES)}
    for group, long_names in GROUPS.items():
        for n in [group] + long_names.split(): names[n] = sum(1 << i for i, c in enumerate(CATEGORIES) if c[0] == group)
    rows += [f'{{"{plain(n)}", 0x{m:X}, 0, 0}}' for n, m in names.items() if plain(n) not in map(plain, classes)]
    out.write("\n/* What a class has and its categories lack, or the other way round. */\n")
    write_list(out, "static const struct code_range class_edges[]", edges)
    out.write("\nstatic const struct named_class {\n    const char *name;\n    uint32_t categories; /* bits */\n    uint16_t edge, edges; /* in class_edges */\n")
    write_list(out, "} named_classes[]", rows)


def plain(name):
    """Names are compared without case, spaces, - and _."""
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


def write_ranges(out, name, codes):
    write_list(out, f"static const struct code_range {name}[]", [f"{{0x{a:X}, 0x{b:X}}}" for a, b in ranges(codes)])


def main():
    folder = sys.argv[1]
    with header(folder, "unicode_table.h", "categories, scripts, cases and classes", "code_set.c") as out: write_table(out)
    with header(folder, "unicode_scripts.h", "scripts as UnicodeScripts cuts by them", "scripts.c") as out:
        out.write("enum { SCRIPT_BITS = 8 };\n\n/* code point << SCRIPT_BITS | script, 0: goes with any. */\n")
        write_list(out, "static const uint32_t scripts[]", [f"0x{c << 8 | v:X}" for c, v in starts(scripts_of_the_pretokenizer())])
    with header(folder, "unicode_nfc.h", "characters that the normaliser leaves alone", "normalize_forms.c") as out: write_ranges(out, "inert_ranges", inert())


if __name__ == "__main__":
    main()
