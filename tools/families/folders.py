"""Hugging Face folders of the variants, deterministic by name, and their references in f32."""
import json, math, os, zlib
import numpy as np, torch
import transformers
from safetensors.torch import load_file, save_file
import tiny_llama
from families import remote
from families.table import FAMILIES, settings


def is_norm(key):
    return "norm" in key or ".ln_" in key


def draw(name, model, family):
    """Every parameter by name: norms around the family's centre, biases small, matrices so that sums stay of one size."""
    for key, p in model.named_parameters():
        value = np.random.Generator(np.random.PCG64(zlib.crc32(f"{name}/{key}".encode()))).standard_normal(tuple(p.shape))
        if key.endswith("bias"): value = 0.1 * value
        elif is_norm(key): value = family.norm + 0.2 * value
        elif "embed" in key or "wte" in key or "wpe" in key: value = 0.35 * value
        else: value = family.spread * math.sqrt(32 / min(p.shape[0], 64)) * value
        p.data = torch.from_numpy(value.astype(np.float32))
    model.tie_weights()
    return model.eval()


def build(family, options):
    make = FAMILIES[family].model
    return make(options) if family in remote.BUILDERS else make(make.config_class(**options))


def rename_tensors(folder, rename):
    path = os.path.join(folder, "model.safetensors")
    save_file({rename(k): v for k, v in load_file(path).items()}, path, {"format": "pt"})


def older_spelling(folder):
    """The keys that checkpoints on the hub have, most of which transformers 4 wrote."""
    path = os.path.join(folder, "config.json")
    c = json.load(open(path))
    c["torch_dtype"] = c.pop("dtype")
    rope = c.pop("rope_parameters", {})
    local, rope = rope.get("sliding_attention"), dict(rope.get("full_attention", rope))
    if "rope_theta" in rope: c["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope: c["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    if rope: c["rope_scaling"] = rope = rope if rope["rope_type"] != "default" else None
    if c["model_type"] == "gpt_neox": c["rotary_emb_base"], c["rotary_pct"] = c.pop("rope_theta"), c.pop("partial_rotary_factor", 1.0)
    if c["model_type"] == "granitemoehybrid": c["layer_types"] = ["attention"] * c["num_hidden_layers"]
    if c["model_type"] == "gpt2": rename_tensors(folder, lambda k: k.removeprefix("transformer."))
    if c["model_type"] == "phi3" and rope: rope["type"] = rope.pop("rope_type"); rope.pop("original_max_position_embeddings", None)
    if c["model_type"] == "gemma3_text": c["rope_local_base_freq"], c["sliding_window_pattern"] = local["rope_theta"], 6
    if c["model_type"] == "cohere2": c["sliding_window_pattern"] = 4
    if c["model_type"] in ("gemma3_text", "cohere2", "gemma2"): c.pop("layer_types")
    json.dump(c, open(path, "w"), indent=2, sort_keys=True)


def save_remote(family, options, model, folder, dtype):
    """As the hub has it: config.json with the family's own keys, one safetensors file."""
    os.makedirs(folder, exist_ok=True)
    c = dict(options, model_type=family, architectures=[remote.CLASSES[family]], rms_norm_eps=1e-5, hidden_act="silu", torch_dtype=dtype)
    json.dump(c, open(os.path.join(folder, "config.json"), "w"), indent=2, sort_keys=True)
    tied = {"lm_head.weight"} if options["tie_word_embeddings"] else set()
    save_file({k: v.contiguous() for k, v in model.state_dict().items() if k not in tied and "inv_freq" not in k}, os.path.join(folder, "model.safetensors"), {"format": "pt"})


def save_model(family, variant, options, folder, dtype):
    """The folder without a tokenizer; its weights go by the folder's name."""
    model = draw(os.path.basename(folder), build(family, options), FAMILIES[family]).to(getattr(torch, dtype))
    if family in remote.BUILDERS: return save_remote(family, options, model, folder, dtype)
    model.save_pretrained(folder)
    if not variant.newer: older_spelling(folder)


def save(family, variant, out):
    """OUT/FAMILY-VARIANT; returns the folder."""
    v, folder = FAMILIES[family].variants[variant], os.path.join(out, f"{family}-{variant}")
    save_model(family, v, settings(family, variant), folder, v.dtype)
    tiny_llama.tokenizer(False).save_pretrained(folder)
    return folder


def load(folder):
    """The reference: transformers' or ours, f32, on the folder's weights."""
    c = json.load(open(os.path.join(folder, "config.json")))
    if c["model_type"] not in remote.BUILDERS:
        return getattr(transformers, c["architectures"][0]).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    model = remote.BUILDERS[c["model_type"]](c)
    missing, unexpected = model.load_state_dict({k: v.float() for k, v in load_file(os.path.join(folder, "model.safetensors")).items()}, strict=False)
    assert not unexpected and all("inv_freq" in m or m == "lm_head.weight" for m in missing), (missing, unexpected)
    model.tie_weights()
    return model.eval()


def logits(model, ids):
    with torch.no_grad(): return model(input_ids=torch.tensor([ids])).logits[0].numpy()


def ids_of(length, seed=7):
    return np.random.default_rng(seed).integers(3, 280, length).tolist()
