"""tensor_digests.py — what the safetensors files of a folder hold, for comparing without keeping it. Needs nothing but Python."""
import hashlib, json, os


def digests(folder):
    """{name: "TYPE [shape] SHA-256's first digits"}, sorted."""
    out = {}
    for file in sorted(n for n in os.listdir(folder) if n.endswith(".safetensors")):
        raw = open(os.path.join(folder, file), "rb").read()
        size = int.from_bytes(raw[:8], "little")
        for name, t in json.loads(raw[8:8 + size]).items():
            begin, end = (8 + size + o for o in t.get("data_offsets", (0, 0)))
            if name != "__metadata__": out[name] = f"{t['dtype']} {t['shape']} {hashlib.sha256(raw[begin:end]).hexdigest()[:16]}"
    return dict(sorted(out.items()))
