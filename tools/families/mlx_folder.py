"""MLX folders of the variants: what mlx_lm.convert writes (unquantised, its own names and transposes), and mlx-lm's logits on them."""
import contextlib, io, json, os, shutil, tempfile
import numpy as np
from families import folders


def convertible(folder, out):
    """What mlx_lm.convert opens: GPT-2's tensors without "transformer."."""
    if json.load(open(os.path.join(folder, "config.json")))["model_type"] != "gpt2": return folder
    shutil.copytree(folder, out)
    folders.rename_tensors(out, lambda k: k.removeprefix("transformer."))
    return out


def write(folder, out, dtype="float32"):
    import mlx.core as mx, mlx_lm
    mx.set_default_device(mx.cpu)
    with tempfile.TemporaryDirectory() as d, contextlib.redirect_stdout(io.StringIO()):
        mlx_lm.convert(convertible(folder, os.path.join(d, "folder")), out, dtype=dtype)
    return out


def logits(folder, ids):
    import mlx.core as mx, mlx_lm
    mx.set_default_device(mx.cpu)
    model, _ = mlx_lm.load(folder)
    return np.array(model(mx.array([ids]))[0].astype(mx.float32))
