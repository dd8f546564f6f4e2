"""docs/models.md: which proof held for which family, written by judge_families.py."""
import reference
from families.table import FAMILIES
from families.proofs import PROOFS

PACKAGES = ["transformers", "peft", "torch", "gguf", "llama-cpp-python", "mlx-lm"]
HEAD = """# Model families

Written by `tools/judge_families.py LORAC --write-docs`; what stands here was measured, on tiny random checkpoints in the configurations named
below, with `--precision exact`. A cell is the worst measured value as a share of its bound; **fails** is out of bounds, and an empty cell was not measured.

| proof | what equals what | bound |
| --- | --- | --- |
| logits | log-probabilities of every token against transformers in f32 | 1e-4 of the logits' spread |
| single-tokens | a prefill in pieces, then a token at a time, against one pass | 1e-4 of the spread |
| packed | loss of a ragged packed batch against its rows alone, and PEFT's | 1e-5; 1e-4 |
| beyond | longer than every window and the original context: at once, in pieces, crossed while generating | 1e-4 of the spread |
| gradients | every A and B against PEFT's, up to one factor common to all (a clipped first step of AdamW shows them) | 1e-4 of the tensor's largest |
| steps | 20 steps of AdamW against PEFT: losses, A and B | 1e-4; 1 % of the move |
| forms | the same model as GGUF and as MLX folder | 1e-4 of the spread |
| adapters | trained on one form, run on the others and in PEFT | 1e-4 of the spread |

"""


def cell(result):
    if result is None: return ""
    ok, share = result
    return f"{share:.2f}" if ok else "**fails**"


def left_out(family):
    """Which forms of which variants do not exist, and why."""
    f = FAMILIES[family]
    said = [f"{name} as {form}: {why}" for name, v in f.variants.items() for form, why in (("GGUF", v.gguf), ("MLX folder", v.mlx)) if why]
    return "; ".join(said)


def write(path, results):
    lines = [HEAD, "| family | configurations | " + " | ".join(PROOFS) + " |", "| --- " * (len(PROOFS) + 2) + "|"]
    for family, f in FAMILIES.items():
        lines.append(f"| {f.title} | {', '.join(f.variants)} | " + " | ".join(cell(results.get((family, p))) for p in PROOFS) + " |")
    lines += ["", "Left out of forms and adapters:", ""] + [f"- {FAMILIES[n].title}: {left_out(n)}." for n in FAMILIES if left_out(n)]
    lines += ["", "InternLM 2, InternLM 3 and MiniCPM stand against references of ours (`tools/families/remote.py`), which llama.cpp confirms on the GGUF.",
              "Made with " + ", ".join(f"{p} {v}" for p, v in reference.versions(*PACKAGES).items()) + "."]
    with open(path, "w") as out: out.write("\n".join(lines).replace("\n\n\n", "\n\n") + "\n")
