#!/usr/bin/env python3
"""Writes src/text/html_entities.h: HTML 5's names of characters, as Python's html.unescape knows them.

usage: html_entities.py src/text"""
import html.entities, sys


def main():
    rows = [f'{{"{name}", "{"".join(f"{chr(92)}x{b:02X}" for b in text.encode())}"}},' for name, text in sorted(html.entities.html5.items())]
    with open(f"{sys.argv[1]}/html_entities.h", "w") as f:
        f.write("/* html_entities.h — HTML 5's names of characters, in order: made by tools/html_entities.py. Do not edit; included by\n"
                " * template_html.c alone. */\n/* clang-format off */\nstatic const struct entity entities[] = {\n")
        line = "   "
        for row in rows:
            if len(line) + 1 + len(row) > 119: line = f.write(line + "\n") and "   "
            line += " " + row
        f.write(line + "\n};\n/* clang-format on */\n")


main()
