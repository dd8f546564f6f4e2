#!/usr/bin/env python3
"""Writes src/text/unicode_{classes,words,nfc}.h: characters as the reference (the `tokenizers` package) sees them.

Each class is what PCRE2 calls it plus the code points that only the reference's newer Unicode knows; a class
from which PCRE2 would have to lose code points is written out in full. The word characters are those that
keep a `single_word` added token from matching. usage: unicode_table.py src/text"""
import ctypes
import sys
import unicodedata
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CLASSES = ["L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "N", "Nd", "P", "S"]


def reference(pattern):
    """The code points that the reference's regular expressions take for `pattern`: those a replacement removes."""
    remove, found = normalizers.Replace(Regex(pattern), ""), set()
    for i in range(0, len(CODES), 4096):
        block = CODES[i:i + 4096]
        left = set(remove.normalize_str("".join(map(chr, block))))
        found |= {c for c in block if chr(c) not in left}
    return found


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


class Pcre2:
    UTF_UCP = 0x80000 | 0x20000

    def __init__(self):
        self.lib = lib = ctypes.CDLL("libpcre2-8.so.0")
        lib.pcre2_compile_8.restype = lib.pcre2_match_data_create_8.restype = ctypes.c_void_p
        lib.pcre2_compile_8.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint32] + [ctypes.c_void_p] * 3
        lib.pcre2_match_data_create_8.argtypes = [ctypes.c_uint32, ctypes.c_void_p]
        lib.pcre2_match_8.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t,
                                      ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p]
        self.data = lib.pcre2_match_data_create_8(1, None)

    def unicode(self):
        name = ctypes.create_string_buffer(64)
        self.lib.pcre2_config_8(10, name)
        return name.value.decode()

    def matches(self, pattern):
        a, b = ctypes.c_int(), ctypes.c_size_t()
        code = self.lib.pcre2_compile_8(pattern.encode(), len(pattern), self.UTF_UCP, ctypes.byref(a), ctypes.byref(b), None)
        def one(c):
            s = chr(c).encode()
            return self.lib.pcre2_match_8(code, s, len(s), 0, 0, self.data, None) > 0
        return {c for c in CODES if one(c)}


def ranges(codes):
    out = []
    for c in sorted(codes):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def body(codes):
    return "".join(f"\\\\x{{{a:X}}}" + (f"-\\\\x{{{b:X}}}" if b > a else "") for a, b in ranges(codes))


def literal(text, width=100):
    parts, line = [], ""
    for piece in text.replace("\\\\", "\0").split("\0"):
        piece = "\\\\" + piece if parts or line or text.startswith("\\\\") and piece else piece
        if len(line) + len(piece) > width:
            parts.append(line)
            line = ""
        line += piece
    parts.append(line)
    return "\n     ".join(f'"{p}"' for p in parts if p)


HEAD = """/* {name} — {what}: made by tools/unicode_table.py from
 * tokenizers {version} and PCRE2 with Unicode {unicode}. Do not edit; included by {user} alone. */
/* clang-format off */
"""


def write_classes(out, pcre):
    out.write("static const struct {\n    const char *name, *body; /* the inside of a bracketed class */\n} unicode_classes[] = {\n")
    table = [("s", r"\s")] + [("d", r"\d")] + [(c, f"\\p{{{c}}}") for c in CLASSES]
    for name, pattern in table:
        ours = r"\p{Nd}" if name == "d" else pattern
        theirs, mine = reference(pattern), pcre.matches(ours)
        text = body(theirs) if mine - theirs else ours.replace("\\", "\\\\") + body(theirs - mine)
        out.write(f'    {{"{name}",\n     {literal(text)}}},\n')
    out.write("};\n/* clang-format on */\n")


def write_ranges(out, name, codes):
    out.write(f"static const struct {{\n    uint32_t first, last;\n}} {name}[] = {{\n")
    items = [f"{{0x{a:X}, 0x{b:X}}}" for a, b in ranges(codes)]
    for i in range(0, len(items), 6):
        out.write("    " + ", ".join(items[i:i + 6]) + ",\n")
    out.write("};\n/* clang-format on */\n")


def main():
    pcre, folder = Pcre2(), sys.argv[1]
    facts = {"version": tokenizers.__version__, "unicode": pcre.unicode()}
    with open(f"{folder}/unicode_classes.h", "w") as out:
        out.write(HEAD.format(name="unicode_classes.h", what="\\s, \\d and \\p{..} for PCRE2", user="regex.c", **facts))
        write_classes(out, pcre)
    with open(f"{folder}/unicode_words.h", "w") as out:
        out.write(HEAD.format(name="unicode_words.h", what="what counts as part of a word", user="added.c", **facts))
        write_ranges(out, "word_ranges", words())
    with open(f"{folder}/unicode_nfc.h", "w") as out:
        out.write(HEAD.format(name="unicode_nfc.h", what="characters that the normaliser leaves alone", user="normalize.c", **facts))
        write_ranges(out, "inert_ranges", inert())


main()
