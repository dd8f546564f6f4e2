#!/usr/bin/env python3
"""Eight proofs of every model family that lorac has, on tiny random checkpoints (tools/families/table.py).

usage: judge_families.py LORAC [--family NAME]... [--variant NAME] [--only PROOF] [--write-docs]
Proofs: logits, single-tokens, packed, beyond, gradients, steps, forms, adapters (tools/families/proofs.py).
--write-docs: docs/models.md from what held. Exit 1 when one is out of bounds."""
import argparse, os, tempfile, warnings
import reference, torch
from families import docs, proofs, table


class FamilyReport(reference.Report):
    """A Report that also keeps, per (family, proof), its worst value by its bound, or that it failed."""
    def __init__(self): super().__init__(); self.results, self.at = {}, None

    def note(self, ok, share):
        was_ok, was = self.results.get(self.at, (True, 0.0))
        self.results[self.at] = (was_ok and ok, max(was, share))

    def check(self, what, value, bound):
        ok = super().check(what, value, bound)
        self.note(ok, value / bound)
        return ok

    def holds(self, what, ok, why=""):
        self.note(ok, 0.0)
        return super().holds(what, ok, why)


def judge(report, exe, family, variant, only):
    with tempfile.TemporaryDirectory() as root:
        place = proofs.Place(family, variant, root)
        for name, proof in proofs.PROOFS.items():
            if only and name not in only: continue
            report.at = (family, name)
            report.attempt(f"{place.name}, {name}", proof, report, exe, place)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("lorac"); p.add_argument("--family", action="append", choices=list(table.FAMILIES)); p.add_argument("--variant")
    p.add_argument("--only", action="append", choices=list(proofs.PROOFS)); p.add_argument("--write-docs", action="store_true")
    a, report = p.parse_args(), FamilyReport()
    torch.set_num_threads(1); warnings.simplefilter("ignore")
    for family, variant in table.names():
        if (a.family and family not in a.family) or (a.variant and variant != a.variant): continue
        judge(report, a.lorac, family, variant, a.only)
    if a.write_docs: docs.write(os.path.join(reference.ROOT, "docs", "models.md"), report.results)
    report.end()


if __name__ == "__main__": main()
