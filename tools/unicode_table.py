#!/usr/bin/env python3
"""Writes src/text/unicode_classes.h and src/text/unicode_words.h: character classes as the reference (the `tokenizers` package) sees them.

Each class is what PCRE2 calls it plus the code points that only the reference's newer Unicode knows; a class
from which PCRE2 would have to lose code points is written out in full. The word characters are those that
keep a `single_word` added token from matching. usage: unicode_table.py src/text"""
import ctypes
import sys
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


def write_words(out):
    out.write("static const struct {\n    uint32_t first, last;\n} word_ranges[] = {\n")
    items = [f"{{0x{a:X}, 0x{b:X}}}" for a, b in ranges(words())]
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
        write_words(out)


main()
