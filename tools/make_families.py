#!/usr/bin/env python3
"""Writes the tiny models of all families (tools/families/table.py) as Hugging Face folders (OUT/FAMILY-VARIANT).

usage: make_families.py OUT [--family NAME] [--check]
--check: each that llama.cpp knows also as OUT/FAMILY-VARIANT.gguf, its logits in llama.cpp against the folder's in transformers."""
import argparse, os
import reference, torch
from families import folders, table, verify


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("out"); p.add_argument("--family", action="append"); p.add_argument("--check", action="store_true")
    a, report = p.parse_args(), reference.Report()
    torch.set_num_threads(1)
    os.makedirs(a.out, exist_ok=True)
    for family, variant in table.names():
        if a.family and family not in a.family: continue
        folder = folders.save(family, variant, a.out)
        if not a.check or table.FAMILIES[family].variants[variant].gguf: continue
        what = f"{family}-{variant}: llama.cpp on the GGUF against the folder"
        report.attempt(what, lambda: report.check(what, verify.differs(family, variant, folder, folder + ".gguf"), verify.bound(folder)))
    if a.check: report.end()


if __name__ == "__main__": main()
