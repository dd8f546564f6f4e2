#!/usr/bin/env python3
"""Writes src/text/unicode_{characters,compatibility,graphemes}.h: what the `tokenizers` package's normalisers do to single characters.

usage: character_table.py src/text
Lowercase as an arithmetic mapping of ranges; the characters that StripAccents, and BertNormalizer's two filters,
remove. Each is asked for every scalar value."""
import ctypes
import struct
import sys
from tokenizers import normalizers
from unicode_table import CODES, header, write_list, write_ranges


def removed(normalizer):
    return [c for c in CODES if normalizer.normalize_str(chr(c)) == ""]


def lower():
    """(first, last, step, add) of the characters that change to one other, and those that change to several."""
    one, several = [], []
    for c in CODES:
        to = normalizers.Lowercase().normalize_str(chr(c))
        if len(to) > 1: several.append((c, to))
        elif to != chr(c): one.append((c, ord(to) - c))
    out = []
    for c, add in one:
        if out and out[-1][3] == add:
            first, last, step, _ = out[-1]
            if c - last == step or (first == last and c - last <= 2):
                out[-1] = (first, c, c - last, add)
                continue
        out.append((c, c, 1, add))
    assert several == [(0x130, "i\u0307")], several
    return out


def compatibility():
    """The characters that utf8proc decomposes for compatibility (NFKD) otherwise than the reference."""
    lib, free, nfkd = ctypes.CDLL("libutf8proc.so.2"), ctypes.CDLL(None).free, normalizers.NFKD()
    lib.utf8proc_map.restype, free.argtypes = ctypes.c_ssize_t, [ctypes.c_void_p]
    lib.utf8proc_map.argtypes = [ctypes.c_char_p, ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_int]
    found = []
    for c in CODES:
        out, raw = ctypes.c_void_p(), chr(c).encode()
        size = lib.utf8proc_map(raw, len(raw), ctypes.byref(out), 2 | 4 | 16)  # STABLE, COMPAT, DECOMPOSE
        ours, theirs = ctypes.string_at(out, size).decode(), nfkd.normalize_str(chr(c))
        free(out)
        assert ours == theirs or theirs == chr(c), hex(c)
        if ours != theirs: found.append(c)
    return found


def graphemes():
    """The characters that the reference joins to a letter before, to one behind, and utf8proc does not, or the reverse.

    The reference shows its graphemes in Precompiled alone: this charsmap turns "A" and all that is one grapheme with it to "a"."""
    units = [0] * 1024
    units[0], units[0x141] = 0x100 << 10, 0x200 << 10 | 1 << 8 | 0x41
    precompiled = normalizers.Precompiled(struct.pack("<I1024I", 4096, *units) + b"a\0")
    lib = ctypes.CDLL("libutf8proc.so.2")
    after, before = [], []  # the reference joins what utf8proc parts, or the other way round
    for c in CODES:
        if chr(c) in "A\r\n": continue
        joined = precompiled.normalize_str("A" + chr(c)) == "a"
        if joined == bool(lib.utf8proc_grapheme_break(0x41, c) & 1): after.append(c)
        joined = precompiled.normalize_str(chr(c) + "A\u030a") != chr(c) + "a"
        if joined == bool(lib.utf8proc_grapheme_break(c, 0x41) & 1): before.append(c)
    return after, before


def main():
    folder = sys.argv[1]
    accents = removed(normalizers.StripAccents())
    nonspacing = removed(normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False))
    unclean = removed(normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False))
    with header(folder, "unicode_characters.h", "what the reference's normalisers do to single characters", "normalize_characters.c") as out:
        for name, what, codes in (("combining_ranges", "StripAccents removes these", accents),
                                  ("nonspacing_ranges", "BertNormalizer removes these as accents, after decomposition", nonspacing),
                                  ("unclean_ranges", "BertNormalizer removes these as control characters", unclean)):
            out.write(f"/* {what}. */\n")
            write_ranges(out, name, codes)
        out.write("/* Every step-th character from first to last becomes itself plus add; U+0130 alone becomes two. */\n")
        write_list(out, "static const struct {\n    uint32_t first, last, step;\n    int32_t add;\n} lower_ranges[]", [f"{{0x{a:X}, 0x{b:X}, {s}, {d}}}" for a, b, s, d in lower()])
    with header(folder, "unicode_compatibility.h", "characters that decompose for compatibility, but not to the reference", "normalize_forms.c") as out:
        write_ranges(out, "incompatible_ranges", compatibility())
    after, before = graphemes()
    with header(folder, "unicode_graphemes.h", "characters that the reference joins to a letter before or behind and utf8proc does not, or the reverse", "charsmap.c") as out:
        write_ranges(out, "after_letter", after)
        write_ranges(out, "before_letter", before)


main()
