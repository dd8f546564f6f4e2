"""GGUF files of every family that llama.cpp knows, written as its converter writes them (verify.py lets llama.cpp say so).

The gguf package's own map gives the names. What differs from the folder's tensors stands in the tables below: rows of q and k in
interleaved pairs (PERMUTED), norms that hold 1 + w (PLUS_ONE), matrices stored (in, out) by GPT-2, fused rows in another order."""
import json, os
import numpy as np
import gguf
from transformers import AutoConfig
import gguf_llama
from families import folders, remote
from families.table import FAMILIES

PERMUTED = {"llama", "mistral", "olmo", "minicpm", "internlm2", "internlm3", "smollm3", "granite", "granitemoehybrid"}
PLUS_ONE = {"gemma", "gemma2", "gemma3"}
FILE_TYPE = {"F32": "ALL_F32"}


def config_of(folder):
    """config.json in transformers 5's spelling; remote.py's families as they are."""
    c = json.load(open(os.path.join(folder, "config.json")))
    return c if c["model_type"] in remote.BUILDERS else AutoConfig.from_pretrained(folder).to_dict()


def rope_of(c):
    """What the full layers rotate with."""
    if c["model_type"] in remote.BUILDERS: return remote.rope_parameters(c)
    rope = c["rope_parameters"]
    return rope.get("full_attention", rope)


class Config:
    """config.json by the names that most families share."""
    def __init__(self, folder):
        self.json = c = config_of(folder)
        c.update(c.pop("text_config", {}))
        self.family = {"gemma3_text": "gemma3"}.get(c["model_type"], c["model_type"])
        get = lambda *keys: next((c[k] for k in keys if c.get(k) is not None), None)
        self.hidden, self.layers, self.heads = get("hidden_size", "n_embd"), get("num_hidden_layers", "n_layer"), get("num_attention_heads", "n_head")
        self.kv_heads = get("num_key_value_heads") or self.heads
        self.head_dim = get("head_dim") or self.hidden // self.heads
        self.intermediate = get("shared_intermediate_size", "intermediate_size", "n_inner") or 4 * self.hidden
        self.context, self.vocab = get("max_position_embeddings", "n_positions"), c["vocab_size"]
        self.eps = get("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon") or 1e-5
        self.rope = rope_of(c) if self.family != "gpt2" else None
        self.tied = c.get("tie_word_embeddings")

    def get(self, key, default=None): return self.json.get(key, default)

    @property
    def rotated(self): return int(self.head_dim * self.rope.get("partial_rotary_factor", 1.0))


# ---- metadata -----------------------------------------------------------------------------------

def write_rope(w, c):
    rope, kind = c.rope, c.rope["rope_type"]
    w.add_rope_freq_base(rope["rope_theta"])
    w.add_rope_dimension_count(c.rotated)
    if kind == "linear": w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR); w.add_rope_scaling_factor(rope["factor"])
    if kind == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN); w.add_rope_scaling_factor(rope["factor"])
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if "attention_factor" in rope: w.add_rope_scaling_attn_factors(rope["attention_factor"] / (1 + 0.1 * np.log(rope["factor"])))  # llama.cpp multiplies both
    if kind == "llama3": w.add_tensor("rope_freqs.weight", gguf_llama.rope_factors(rope, c.rotated))
    if kind == "longrope":
        original = rope["original_max_position_embeddings"]
        w.add_rope_scaling_orig_ctx_len(original)
        w.add_rope_scaling_attn_factors(np.sqrt(1 + np.log(c.context / original) / np.log(original)))
        for which in ("long", "short"): w.add_tensor(f"rope_factors_{which}.weight", np.array(rope[f"{which}_factor"], dtype=np.float32))


def write_scales(w, c):
    """The keys that one family or a few have."""
    f, get = c.family, c.get
    if f in ("granite", "granitemoehybrid"):
        w.add_embedding_scale(get("embedding_multiplier")); w.add_residual_scale(get("residual_multiplier"))
        w.add_attention_scale(get("attention_multiplier")); w.add_logit_scale(get("logits_scaling"))
    if f == "granitemoehybrid": w.add_rope_scaling_finetuned(get("position_embedding_type") == "rope")  # llama.cpp's switch for positions
    if f == "minicpm":
        w.add_embedding_scale(get("scale_emb")); w.add_residual_scale(get("scale_depth") / c.layers ** 0.5)
        w.add_logit_scale(c.hidden / get("dim_model_base"))
    if f in ("cohere", "cohere2"): w.add_logit_scale(get("logit_scale"))
    if f == "gemma2": w.add_attn_logit_softcapping(get("attn_logit_softcapping")); w.add_final_logit_softcapping(get("final_logit_softcapping"))
    if f == "olmo" and get("clip_qkv"): w.add_clamp_kqv(get("clip_qkv"))
    if f in ("gpt_neox", "stablelm"): w.add_parallel_residual(bool(get("use_parallel_residual", f == "gpt_neox")))
    if f in ("gemma2", "gemma3", "cohere2", "olmo3"): w.add_sliding_window(get("sliding_window"))
    if f in ("gemma3", "olmo3"):
        w.add_sliding_window_pattern([k == "sliding_attention" for k in get("layer_types")])


def write_config(w, c, folder):
    w.add_name("tiny")  # llama.cpp goes by the names of some models
    w.add_context_length(c.context); w.add_embedding_length(c.hidden); w.add_block_count(c.layers)
    w.add_feed_forward_length(c.intermediate); w.add_head_count(c.heads); w.add_head_count_kv(c.kv_heads); w.add_vocab_size(c.vocab)
    rms = c.family not in ("phi", "olmo", "cohere", "cohere2", "starcoder2", "stablelm", "gpt_neox", "gpt2")
    (w.add_layer_norm_rms_eps if rms else w.add_layer_norm_eps)(c.eps)
    if c.head_dim * c.heads != c.hidden or c.get("head_dim"): w.add_key_length(c.head_dim); w.add_value_length(c.head_dim)
    if c.rope: write_rope(w, c)
    write_scales(w, c)


# ---- tensors ------------------------------------------------------------------------------------

def fused_groups(x, heads, groups, dim):
    """InternLM 2's wqkv → q, k, v."""
    each = heads // groups
    x = x.reshape(groups, each + 2, dim, *x.shape[1:])
    flat = lambda y: y.reshape(-1, *x.shape[3:])
    return flat(x[:, :each]), flat(x[:, each]), flat(x[:, each + 1])


def renamed(key, x, c):
    """(name that the gguf package maps, values) of one tensor of the folder."""
    if c.family == "internlm2" and "wqkv" in key:
        for part, y in zip("qkv", fused_groups(x, c.heads, c.kv_heads, c.head_dim)): yield key.replace("attention.wqkv", f"self_attn.{part}_proj"), y
    elif "shared_mlp.input_linear" in key:
        for part, y in zip(("gate", "up"), np.split(x, 2)): yield key.replace("shared_mlp.input_linear", f"mlp.{part}_proj"), y
    elif "shared_mlp.output_linear" in key: yield key.replace("shared_mlp.output_linear", "mlp.down_proj"), x
    elif c.family == "gpt_neox" and "query_key_value" in key:
        yield key, x.reshape(c.heads, 3, c.head_dim, *x.shape[1:]).swapaxes(0, 1).reshape(x.shape)
    elif c.family == "gpt2" and key.endswith("weight") and x.ndim == 2 and ".h." in key: yield key, x.T
    else: yield key.removeprefix("language_model.").replace("model.language_model.", "model."), x


def stacked_norms(state):
    """StableLM's norms of single heads as one matrix."""
    out, stacks = {}, {}
    for key, x in state.items():
        if ".norms." in key: stacks.setdefault(key[:key.index(".norms.")] + ".weight", []).append(x)
        else: out[key] = x
    return out | {k: np.stack(v) for k, v in stacks.items()}


def tensors(folder, c):
    names = gguf.get_tensor_name_map(next(a for a, n in gguf.MODEL_ARCH_NAMES.items() if n == FAMILIES[c.family].arch), c.layers)
    state = stacked_norms({k: v.numpy() for k, v in folders.load(folder).state_dict().items() if "inv_freq" not in k and "vision" not in k and "projector" not in k})
    for key, x in ((k, y) for key, value in state.items() for k, y in renamed(key, value, c)):
        if c.tied and key == "lm_head.weight": continue
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        assert name, f"{folder}: the gguf package knows no name for {key}"
        module = name.split(".")[-2]
        if c.family in PERMUTED and module in ("attn_q", "attn_k"): x = gguf_llama.permute(x, c.heads if module == "attn_q" else c.kv_heads)
        if c.family in PLUS_ONE and "norm" in module: x = x + 1
        yield name, np.ascontiguousarray(x, dtype=np.float32)


def write(folder, path, kind="F32"):
    """folder (Hugging Face) → path; matrices in `kind` (F32, F16, BF16 and the block types of gguf_llama)."""
    c = Config(folder)
    w = gguf.GGUFWriter(path, FAMILIES[c.family].arch)
    write_config(w, c, folder)
    w.add_file_type(gguf.LlamaFileType[FILE_TYPE.get(kind, f"MOSTLY_{kind}")])
    gguf_llama.write_tokenizer(w, folder, c.vocab)
    for name, x in tensors(folder, c):
        q = gguf_llama.type_of(name, kind)
        if x.ndim == 1 or kind == "F32" or "norm" in name or "position" in name: w.add_tensor(name, x)
        elif kind == "F16": w.add_tensor(name, x.astype(np.float16))
        else: w.add_tensor(name, gguf_llama.encode(x, q), raw_dtype=q)
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
