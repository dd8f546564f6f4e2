"""MLX folders of the variants: what mlx_lm.convert writes (unquantised, its own names and transposes), and mlx-lm's logits on them."""
import contextlib, io
import numpy as np


def write(folder, out, dtype="float32"):
    import mlx.core as mx, mlx_lm
    mx.set_default_device(mx.cpu)
    with contextlib.redirect_stdout(io.StringIO()): mlx_lm.convert(folder, out, dtype=dtype)
    return out


def logits(folder, ids):
    import mlx.core as mx, mlx_lm
    mx.set_default_device(mx.cpu)
    model, _ = mlx_lm.load(folder)
    return np.array(model(mx.array([ids]))[0].astype(mx.float32))
