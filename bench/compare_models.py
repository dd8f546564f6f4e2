"""compare_models.py — the models and adapters of a comparison: made once, kept in the peers' folder of models."""
import os, subprocess, sys

from compare_run import HERE, Skipped

QUANTIZED = {"q4_0": 2, "q4_1": 3, "q8_0": 7, "q4_k_m": 15}  # llama.cpp's numbers of file types


class Models:
    """Names: smollm2-TYPE (bf16: a Hugging Face folder), smollm2-768-TYPE (padded to a width of 768, for blocks of 256), SHAPE-TYPE (random weights)."""
    def __init__(self, folder, python, peers):
        self.folder, self.python, self.peers = folder, python, peers

    def path(self, name):
        if not name: return ""
        path = os.path.join(self.folder, {"smollm2-bf16": "smollm2-q4_1-bf16"}.get(name, name + ".gguf"))
        if not os.path.exists(path): self.make(name, path)
        return path

    def make(self, name, path):
        shape, kind = name.rsplit("-", 1)
        print(f"making {path}", file=sys.stderr, flush=True)
        if name == "smollm2-bf16": self.call(self.python, "-c", "import sys, hf_model; hf_model.folder(sys.argv[1])", self.path("smollm2-q4_1"))
        elif name == "smollm2-q4_1": raise Skipped(f"{path} is missing: run the peers' setup.sh")
        elif name == "smollm2-768-f32": self.call(self.python, os.path.join(HERE, "../tools/pad_model.py"), self.path("smollm2-q4_1"), path)
        elif shape in ("smollm2", "smollm2-768"):
            source = self.path("smollm2-q4_1" if shape == "smollm2" else "smollm2-768-f32")
            self.call(self.python, os.path.join(self.peers, "llama_quantize.py"), source, path, str(QUANTIZED[kind]))
        else:
            longer = ["--context", "8320"] if shape == "llama-2-7b" else []  # beyond the model's own 4096
            self.call(sys.executable, os.path.join(HERE, "random_gguf.py"), shape, kind, path, *longer)
        if not os.path.exists(path): raise Skipped(f"{path} could not be made")

    def adapters(self, name, count):
        """Folders of `count` different random adapters of rank 16 for a model."""
        if not count: return []
        prefix = os.path.join(self.folder, name + "-r16")
        paths = [f"{prefix}-{i + 1}" for i in range(count)]
        if not all(map(os.path.isdir, paths)):
            self.call(sys.executable, os.path.join(HERE, "random_adapter.py"), self.path(name), prefix, "--count", str(count))
        return paths

    def call(self, *command):
        p = subprocess.run(command, capture_output=True, text=True, cwd=self.peers)
        if p.returncode: raise Skipped(f"{os.path.basename(command[1])}: {(p.stderr or p.stdout).strip().splitlines()[-1:]}")
