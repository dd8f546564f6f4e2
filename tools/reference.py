"""What the golden scripts and the live judges share: reference models, goldens' bookkeeping, and running the command."""
import hashlib, importlib.metadata, json, os, subprocess, sys
import torch
import transformers
from transformers import LlamaForCausalLM
import gguf_llama

os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch.manual_seed(0)
transformers.logging.set_verbosity_error(); transformers.logging.disable_progress_bar()
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOLDEN = os.path.join(ROOT, "tests", "golden")


def load(path):
    """A GGUF file or a Hugging Face folder as transformers' model in f32."""
    if path.endswith(".gguf"): return gguf_llama.read(path)
    return LlamaForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()


def default_model():
    """The default model: $LORAC_MODEL, else where `make demo` cached it."""
    cache = os.environ.get("LORAC_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "lorac")
    names = [os.environ.get("LORAC_MODEL", ""), *(os.path.join(d, "SmolLM2-135M-Instruct.Q4_1.gguf") for d in (cache, os.path.join(cache, "models")))]
    found = next((n for n in names if n and os.path.exists(n)), None)
    if not found: sys.exit("no default model: run `make demo` once or set LORAC_MODEL")
    return found


def wikisql():
    """The WikiSQL rows: $LORAC_WIKISQL, else beside the checkout."""
    return os.environ.get("LORAC_WIKISQL") or os.path.join(os.path.dirname(ROOT), "shared", "data", "wikisql")


def ragged_loss(model, rows, targets):
    """Sum of −log p over the targets, and their number; each row runs alone, so nothing is padded."""
    total, count = 0.0, 0
    for ids, mask in zip(rows, targets):
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
        keep = torch.tensor(mask[1:], dtype=torch.bool)
        logp = torch.log_softmax(logits, -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
        total, count = total - logp[keep].sum(), count + int(keep.sum())
    return total, count


def versions(*packages):
    return {p: importlib.metadata.version(p) for p in packages}


def manifest(folder, script, packages):
    """Enters every file below tests/golden/FOLDER into MANIFEST.json: SHA-256, the script, the versions it ran with."""
    root, path = os.path.dirname(folder.rstrip("/")), os.path.join(os.path.dirname(folder.rstrip("/")), "MANIFEST.json")
    m = json.load(open(path)) if os.path.exists(path) else {}
    files = {}
    for d, _, names in sorted(os.walk(folder)):
        for n in sorted(names):
            f = os.path.join(d, n)
            files[os.path.relpath(f, root)] = hashlib.sha256(open(f, "rb").read()).hexdigest()
    m[os.path.basename(folder.rstrip("/"))] = {"made_by": script, "versions": versions(*packages), "sha256": files}
    json.dump(m, open(path, "w"), indent=1, sort_keys=True)
    open(path, "a").write("\n")


def lorac(exe, *args, check=True):
    """Runs the command with --json; returns its objects (a list). A failure raises with what the command said."""
    p = subprocess.run([exe, *map(str, args), "--json"], capture_output=True, text=True)
    out = [json.loads(line) for line in p.stdout.splitlines() if line.strip()]
    if check and (p.returncode or not out):
        raise RuntimeError(f"lorac {' '.join(str(a)[:60] for a in args[:6])} …: exit {p.returncode}: {p.stdout[-300:]} {p.stderr[-300:]}")
    return out


class Report:
    """Lines of a judge: what, measured, bound; `exit` is 1 when one is out of bounds."""
    def __init__(self): self.bad = self.count = 0

    def check(self, what, value, bound):
        ok = value <= bound
        self.count += 1; self.bad += not ok
        print(f"{'ok  ' if ok else 'FAIL'} {what}: {value:.3g} (bound {bound:.3g})", flush=True)
        return ok

    def holds(self, what, ok, why=""):
        self.count += 1; self.bad += not ok
        print(f"{'ok  ' if ok else 'FAIL'} {what}{': ' + str(why) if why and not ok else ''}", flush=True)
        return ok

    def attempt(self, what, f, *args):
        """f(*args); what the command refused or answered wrongly is a failure of this line, and the judge goes on."""
        try: f(*args)
        except (RuntimeError, AssertionError, KeyError, ValueError, OSError) as e: self.holds(what, False, f"{type(e).__name__}: {e}")

    def end(self):
        print(f"{self.count - self.bad} of {self.count} hold"); sys.exit(bool(self.bad))
