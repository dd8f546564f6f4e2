"""GGUF files of the Llama architecture, written as llama.cpp's converter writes them and read back into transformers.

Rotary order: GGUF pairs neighbouring rows of q and k (2i, 2i+1) where Hugging Face pairs i and i + head_dim/2, so the rows of both
(and their biases) are permuted within each head. Matrices are stored in the file's type, norms and biases in F32."""
import json, os
import numpy as np, torch
import gguf
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
import k_quants

NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
         "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
OUTER = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}


def gguf_name(hf):
    if hf in OUTER: return OUTER[hf]
    _, _, layer, rest = hf.split(".", 3)
    module, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{NAMES[module]}.{kind}"


def hf_name(name):
    back, outer = {v: k for k, v in NAMES.items()}, {v: k for k, v in OUTER.items()}
    if name in outer: return outer[name]
    _, layer, module, kind = name.split(".")
    return f"model.layers.{layer}.{back[module]}.{kind}"


def permute(x, heads):
    """HF order → GGUF order: row h·d + j·d/2 + i goes to h·d + 2i + j, j in {0, 1}."""
    return x.reshape(heads, 2, x.shape[0] // heads // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def unpermute(x, heads):
    return x.reshape(heads, x.shape[0] // heads // 2, 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def heads_of(name, config):
    return {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(name.split(".")[-2])


def rope_factors(rope, dim):
    """llama3 scaling as the tensor that divides the frequencies (rope_freqs.weight)."""
    frequency = 1.0 / rope["rope_theta"] ** (np.arange(0, dim, 2, dtype=np.float64) / dim)
    length, out = rope["original_max_position_embeddings"], []
    for wave in 2 * np.pi / frequency:
        smooth = (length / wave - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
        smooth = min(max(smooth, 0.0), 1.0)
        out.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(out, dtype=np.float32)


def write_rope(w, config):
    rope = config.rope_parameters
    w.add_rope_freq_base(rope["rope_theta"])
    w.add_rope_dimension_count(config.head_dim)
    if rope["rope_type"] == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR); w.add_rope_scaling_factor(rope["factor"])
    elif rope["rope_type"] == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN); w.add_rope_scaling_factor(rope["factor"])
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    elif rope["rope_type"] == "llama3":
        w.add_tensor("rope_freqs.weight", rope_factors(rope, config.head_dim))


def write_tokenizer(w, folder, vocab):
    t = json.load(open(os.path.join(folder, "tokenizer.json")))
    special = {a["id"]: a["content"] for a in t["added_tokens"]}
    names = {i: s for s, i in t["model"]["vocab"].items()} | special
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm" if "Digits" in json.dumps(t["pre_tokenizer"]) else "gpt-2")
    w.add_token_list([names.get(i, f"[PAD{i}]") for i in range(vocab)])
    w.add_token_types([gguf.TokenType.CONTROL if i in special else gguf.TokenType.NORMAL if i in names else gguf.TokenType.UNUSED for i in range(vocab)])
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in t["model"]["merges"]])
    tok = PreTrainedTokenizerFast.from_pretrained(folder)
    w.add_bos_token_id(tok.bos_token_id); w.add_eos_token_id(tok.eos_token_id); w.add_unk_token_id(tok.unk_token_id); w.add_pad_token_id(tok.pad_token_id)
    w.add_add_bos_token(False); w.add_chat_template(tok.chat_template)


def type_of(name, kind):
    """The type of a matrix in a file of this kind; K_MIX holds all three k-quants."""
    if kind != "K_MIX": return Type[kind]
    return {"token_embd": Type.Q6_K, "attn_v": Type.Q6_K, "ffn_down": Type.Q5_K}.get(name.split(".")[-2], Type.Q4_K)


def encode(x, q):
    return k_quants.quantize(x, q) if q in (Type.Q4_K, Type.Q5_K, Type.Q6_K) else quantize(x, q)


def write(folder, path, kind):
    """folder (Hugging Face) → path, matrices in `kind` (F32, F16, BF16, Q4_0, Q4_1, Q8_0, K_MIX)."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    c, w = model.config, gguf.GGUFWriter(path, "llama")
    w.add_name(os.path.basename(folder)); w.add_context_length(c.max_position_embeddings); w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers); w.add_feed_forward_length(c.intermediate_size); w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads); w.add_layer_norm_rms_eps(c.rms_norm_eps); w.add_vocab_size(c.vocab_size)
    if c.head_dim * c.num_attention_heads != c.hidden_size: w.add_key_length(c.head_dim); w.add_value_length(c.head_dim)
    w.add_file_type(gguf.LlamaFileType[{"F32": "ALL_F32", "K_MIX": "MOSTLY_Q4_K_M"}.get(kind, f"MOSTLY_{kind}")])
    write_rope(w, c); write_tokenizer(w, folder, c.vocab_size)
    for key, p in model.state_dict().items():
        if key == "lm_head.weight" and c.tie_word_embeddings: continue
        name, x = gguf_name(key), p.numpy()
        if heads_of(name, c): x = permute(x, heads_of(name, c))
        x = np.ascontiguousarray(x, dtype=np.float32)
        if x.ndim == 1 or kind == "F32": w.add_tensor(name, x)
        elif kind == "F16": w.add_tensor(name, x.astype(np.float16))
        else: w.add_tensor(name, encode(x, type_of(name, kind)), raw_dtype=type_of(name, kind))
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


def read_config(fields):
    get = lambda key, default=None: fields[key].contents() if key in fields else default
    a = lambda key, default=None: get("llama." + key, default)
    dim = a("attention.key_length") or a("embedding_length") // a("attention.head_count")
    rope = dict(rope_theta=float(a("rope.freq_base", 10000.0)), rope_type=a("rope.scaling.type", "default"))
    if rope["rope_type"] == "none": rope["rope_type"] = "default"
    if rope["rope_type"] != "default": rope["factor"] = float(a("rope.scaling.factor"))
    if rope["rope_type"] == "yarn": rope["original_max_position_embeddings"] = a("rope.scaling.original_context_length")
    return LlamaConfig(vocab_size=a("vocab_size") or len(get("tokenizer.ggml.tokens")), hidden_size=a("embedding_length"), intermediate_size=a("feed_forward_length"),
                       num_hidden_layers=a("block_count"), num_attention_heads=a("attention.head_count"), num_key_value_heads=a("attention.head_count_kv"),
                       head_dim=dim, max_position_embeddings=a("context_length"), rms_norm_eps=float(a("attention.layer_norm_rms_epsilon")), rope_parameters=rope,
                       bos_token_id=get("tokenizer.ggml.bos_token_id"), eos_token_id=get("tokenizer.ggml.eos_token_id"))


def read(path):
    """path → LlamaForCausalLM in f32 on the dequantised weights, in Hugging Face order."""
    reader = gguf.GGUFReader(path)
    c, state, factors = read_config(reader.fields), {}, None
    for t in reader.tensors:
        x = dequantize(t.data, t.tensor_type).astype(np.float32).reshape(tuple(reversed(t.shape.tolist())))
        if t.name == "rope_freqs.weight": factors = x; continue
        if heads_of(t.name, c): x = unpermute(x, heads_of(t.name, c))
        state[hf_name(t.name)] = torch.from_numpy(np.ascontiguousarray(x))
    c.tie_word_embeddings = "lm_head.weight" not in state
    c.attention_bias, c.mlp_bias = any("q_proj.bias" in k for k in state), any("up_proj.bias" in k for k in state)
    if c.tie_word_embeddings: state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model = LlamaForCausalLM._from_config(c, dtype=torch.float32, attn_implementation="eager")
    model.load_state_dict(state, strict=True)
    if factors is not None: model.model.rotary_emb.inv_freq /= torch.from_numpy(factors)
    return model.eval()
