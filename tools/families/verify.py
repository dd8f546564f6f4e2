"""The GGUF writer proven without lorac: llama.cpp's logits on the file against the reference's on the folder.

llama.cpp looks GELU up in a table of halves, and computes tanh's form of it for GPT-NeoX too; the reference does the same here, so that
what is compared is the file."""
import os
import numpy as np, torch
from families import folders, gguf_file
from families.table import FAMILIES


class TableGelu(torch.nn.Module):
    def forward(self, x):
        y = torch.nn.functional.gelu(x.half().float(), approximate="tanh").half().float()
        return torch.where(x <= -10, torch.zeros_like(x), torch.where(x >= 10, x, y))


def with_table(model):
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if "GELU" in type(child).__name__: setattr(module, name, TableGelu())
    return model


def llama_cpp_logits(path, ids):
    import llama_cpp
    # −1: what the file says. llama_cpp's defaults for YaRN would overrule it.
    yarn = dict(yarn_ext_factor=-1.0, yarn_attn_factor=-1.0, yarn_beta_fast=-1.0, yarn_beta_slow=-1.0)
    m = llama_cpp.Llama(path, n_ctx=128, n_batch=128, logits_all=True, verbose=False, flash_attn=False, type_k=0, type_v=0, n_threads=1, **yarn)
    m.eval(ids)
    return np.array(m.scores[:len(ids)])


def bound(folder):
    """Rows whose input lies between two halves round either way, so that GELU leaves more."""
    return 1e-3 if any("GELU" in type(m).__name__ for m in folders.load(folder).modules()) else 1e-4


def differs(family, variant, folder, path):
    """Largest difference of the logits, relative to their spread."""
    gguf_file.write(folder, path)
    ids = folders.ids_of(FAMILIES[family].variants[variant].length)
    ours = folders.logits(with_table(folders.load(folder)), ids)
    return np.abs(ours - llama_cpp_logits(path, ids)).max() / ours.std()
