#!/usr/bin/env python3
"""Layers include downwards only, siblings never each other, and nothing but the library sees below include/lorac.

usage: check_includes.py [ROOT]     prints FILE:LINE for each include that breaks a rule; exit 1 when there is one"""
import pathlib, re, sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
LAYERS = ["base", "quant", "file", "text backend", "ops", "adapter", "model", "infer train convert", "store", "learn"]  # low to high; a line holds siblings
RANK = {name: rank for rank, line in enumerate(LAYERS) for name in line.split()}
CLIENTS = ["cli", "server", "bindings"]  # use the library as any program does
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
PUBLIC_STANDARD = {"stddef.h", "stdint.h", "stdbool.h"}


def includes(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if found := INCLUDE.match(line): yield number, found[1], found[2]


def library(path, quoted, name):
    """src/LAYER/…: "LAYER/header.h" of a lower layer or the file's own, <lorac/…>, system and third-party headers."""
    if not quoted: return None
    own, layer = path.relative_to(ROOT / "src").parts[0], name.split("/")[0]
    if own not in RANK: return f"src/{own} has no place among the layers of tools/check_includes.py"
    if not (ROOT / "src" / name).is_file(): return "no such file below src/; write the path from there"
    if layer != own and RANK[layer] == RANK[own]: return f"{own} and {layer} are siblings: neither may include the other"
    if RANK[layer] > RANK[own]: return f"{own} is below {layer}: includes go downwards only"


def client(path, quoted, name):
    """cli/ and its like: <lorac/*.h>, their own folder, system and third-party headers."""
    if not quoted: return None if not (ROOT / "src" / name).is_file() else "only <lorac/*.h> of the library may be used here"
    top = ROOT / path.relative_to(ROOT).parts[0]
    if not any((folder / name).is_file() and (folder / name).resolve().is_relative_to(top.resolve()) for folder in (path.parent, top)):
        return "only <lorac/*.h> and the folder's own headers may be used here"


def example(path, quoted, name):
    """examples/: as a user's program, one file on <lorac/*.h>."""
    return "an example is one file that uses <lorac/*.h>" if quoted else client(path, quoted, name)


def public(path, quoted, name):
    """include/lorac/: <lorac/*.h> and the standard's types."""
    if quoted: return "a public header includes with <…>"
    if name not in PUBLIC_STANDARD and not (name.startswith("lorac/") and (ROOT / "include" / name).is_file()):
        return "a public header needs nothing but <lorac/*.h> and " + ", ".join(f"<{h}>" for h in sorted(PUBLIC_STANDARD))


RULES = {"src": library, "examples": example, "include": public, **dict.fromkeys(CLIENTS, client)}
broken = seen = 0
for folder, rule in RULES.items():
    for path in sorted(p for p in (ROOT / folder).rglob("*") if p.suffix in (".c", ".h", ".cu", ".m")):
        seen += 1
        for number, mark, name in includes(path):
            if problem := rule(path, mark == '"', name):
                broken += 1
                print(f'{path.relative_to(ROOT)}:{number}: includes {name}: {problem}')
if not seen: sys.exit(f"no sources below {ROOT}")
print(f"{seen} files, {broken} includes against the layers" if broken else f"{seen} files: every include goes the right way")
sys.exit(broken > 0)
