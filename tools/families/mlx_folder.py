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


def as_transformers(model_type):
    """Replaces what mlx-lm computes otherwise than transformers does in f32, whatever the config says; each alone moves logits by 1e-3."""
    import importlib, types
    import mlx.core as mx, mlx.nn as nn
    tanh, exact, wide = dict(gelu=nn.gelu_approx), dict(gelu_approx=nn.gelu), dict(bfloat16=mx.float32)
    otherwise = {"gpt_neox": ("gpt_neox", "nn", exact),  # always GELU's tanh form; the config says "gelu"
                 "starcoder2": ("starcoder2", "nn", tanh),  # never GELU's tanh form; the config says "gelu_pytorch_tanh"
                 "gemma": ("gemma", "nn", tanh),  # the same
                 "gemma3_text": ("gemma3_text", "mx", wide), "gemma3": ("gemma3_text", "mx", wide)}  # the embeddings' scale rounded to bf16
    if model_type not in otherwise: return
    name, library, changes = otherwise[model_type]
    module = importlib.import_module(f"mlx_lm.models.{name}")
    setattr(module, library, types.SimpleNamespace(**{**vars({"mx": mx, "nn": nn}[library]), **changes}))


def load(folder, adapter=None):
    """mlx-lm's model, computing in f32."""
    import mlx.core as mx, mlx_lm
    mx.set_default_device(mx.cpu)
    as_transformers(json.load(open(os.path.join(folder, "config.json")))["model_type"])
    model, _ = mlx_lm.load(folder, adapter_path=adapter)
    model.set_dtype(mx.float32)
    return model


def adapter(folder, out, rank, scale, draw):
    """As mlx-lm trains all linears of all layers, with A and B of draw(name, shape); returns OUT."""
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm.tuner.utils import linear_to_lora_layers
    model = load(folder)
    layers, options = len(model.layers), dict(rank=rank, scale=scale, dropout=0.0)
    model.freeze()
    linear_to_lora_layers(model, layers, options)
    tensors = {n: mx.array(draw(n, p.shape)) for n, p in tree_flatten(model.trainable_parameters())}
    mx.save_safetensors(os.path.join(out, "adapters.safetensors"), tensors)
    json.dump(dict(fine_tune_type="lora", num_layers=layers, lora_parameters=options), open(os.path.join(out, "adapter_config.json"), "w"))
    return out


def logits(folder, ids, adapter=None):
    import mlx.core as mx
    return np.array(load(folder, adapter)(mx.array([ids]))[0].astype(mx.float32))
