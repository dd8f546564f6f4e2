#!/usr/bin/env python3
"""Writes src/quant/codebook_grids.h: the codebooks of ggml's IQ1, IQ2 and IQ3 formats, read from the gguf package, a few bits an element.

usage: iq_grids.py [--check]"""
import os, sys
import numpy as np
from gguf import quants
import reference

GRIDS = {"iq2_xxs": (quants.IQ2_XXS, 2), "iq2_xs": (quants.IQ2_XS, 2), "iq2_s": (quants.IQ2_S, 2),
         "iq3_xxs": (quants.IQ3_XXS, 3), "iq3_s": (quants.IQ3_S, 3), "iq1": (quants.IQ1_S, 2)}
HEAD = """/* codebook_grids.h — the vectors that an index of ggml's IQ1, IQ2 and IQ3 formats stands for, written by
 * tools/iq_grids.py.
 *
 * A word is one vector, element j in its bits b·j .. b·j + b: an index into the few values that the format's elements
 * have (codebook_quants.c). */
#ifndef QUANT_CODEBOOK_GRIDS_H
#define QUANT_CODEBOOK_GRIDS_H

#include <stdint.h>

/* clang-format off */
"""


def words(kind, bits):
    kind.init_grid()
    grid, values = kind.grid.reshape(kind.grid_shape), list(kind.grid_map)
    return [sum(values.index(int(v)) << bits * j for j, v in enumerate(row)) for row in grid]


def main():
    text = HEAD
    for name, (kind, bits) in GRIDS.items():
        w = [f"0x{x:04x}" for x in words(kind, bits)]
        text += f"static const uint16_t grid_{name}[{len(w)}] = {{\n"
        text += "".join("    " + ", ".join(w[i:i + 14]) + ",\n" for i in range(0, len(w), 14)) + "};\n"
    text += "/* clang-format on */\n\n#endif\n"
    path = os.path.join(reference.ROOT, "src", "quant", "codebook_grids.h")
    if "--check" in sys.argv: sys.exit(open(path).read() != text and f"{path} is not what this script writes")
    open(path, "w").write(text)


if __name__ == "__main__": main()
