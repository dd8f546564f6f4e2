"""The one table of families: transformers' class, tiny configs, and what adapters target.

A variant's options go over the family's, and those over BASE. `length` is the text that the proofs run (longer than any window and than
the original context where the variant has one); `gguf` and `mlx` say why a form is left out, where it is."""
from dataclasses import dataclass, field
import transformers
from families import remote

VOCAB = 288
BASE = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=256, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=2)
LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
NO_WINDOW = "llama.cpp computes no window for this architecture"
NO_OLMO = "mlx-lm reads OLMo in another layout, with a package of its own"
NO_DYNAMIC = "neither llama.cpp nor GGUF has dynamic NTK scaling"


@dataclass
class Variant:
    options: dict = field(default_factory=dict)
    dtype: str = "float32"
    length: int = 100
    gguf: str = ""
    mlx: str = ""
    newer: bool = False  # config.json as transformers 5 spells it; else as checkpoints on the hub do


@dataclass
class Family:
    title: str
    model: object        # a class of transformers, or a function of remote.py
    variants: dict
    targets: list = field(default_factory=lambda: LLAMA)
    options: dict = field(default_factory=dict)
    arch: str = ""       # of the GGUF
    text: object = None  # of a model that also sees: transformers' class of its language model alone
    norm: float = 1.0    # what norm weights lie around
    spread: float = 0.2
    without: tuple = () # keys of BASE that its config has not

    def peft_targets(self):
        """A list, or an expression where what sees has modules of the same names."""
        return rf".*language_model.*\.({'|'.join(self.targets)})" if self.text else self.targets


def rope(kind="default", theta=10000.0, **more):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **more))


def longrope(pairs, original=64, **more):
    return rope("longrope", original_max_position_embeddings=original, short_factor=[1 + 0.05 * i for i in range(pairs)],
                long_factor=[1.5 + 0.6 * i for i in range(pairs)], **more)


LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
YARN = dict(factor=4.0, original_max_position_embeddings=64)
V, F = Variant, Family
N = lambda *a, **k: Variant(*a, newer=True, **k)
WINDOWS = lambda *kinds: dict(layer_types=[{"w": "sliding_attention", "f": "full_attention"}[k] for k in kinds], num_hidden_layers=len(kinds))

VISION = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)


def wrapped(**text):
    return dict(text_config=BASE | dict(head_dim=16, query_pre_attn_scalar=16, tie_word_embeddings=True) | text, vision_config=VISION, mm_tokens_per_image=4,
                vocab_size=VOCAB, boi_token_index=285, eoi_token_index=286, image_token_index=287)


def seeing_mistral(**text):
    text = BASE | dict(model_type="mistral", head_dim=16, sliding_window=None) | text
    return dict(text_config=text, tie_word_embeddings=text["tie_word_embeddings"], vision_config=VISION | dict(model_type="pixtral", head_dim=8), image_token_index=287)


def dense_hybrid(**more):
    """Granite 4 without experts and Mamba layers; the Mamba keys must make sense all the same."""
    o = dict(num_local_experts=0, num_experts_per_tok=0, shared_intermediate_size=64, mamba_n_heads=8, position_embedding_type="rope", num_hidden_layers=2,
             embedding_multiplier=3.0, logits_scaling=2.0, residual_multiplier=0.5, attention_multiplier=0.2) | more
    return o | dict(layer_types=["attention"] * o["num_hidden_layers"])


FAMILIES = {
    "llama": F("Llama 2, 3, 3.1–3.3, Falcon 3, SmolLM 2, DeepSeek-R1 distilled", transformers.LlamaForCausalLM, {
        "plain": V(dict(tie_word_embeddings=True)),
        "bias": V(dict(attention_bias=True, mlp_bias=True, head_dim=16), "bfloat16"),
        "llama3": V(rope("llama3", 500000.0, **LLAMA3), "float16"),
        "yarn": V(rope("yarn", **YARN), "float16"),
        "dynamic": N(rope("dynamic", factor=3.0) | dict(max_position_embeddings=64), gguf=NO_DYNAMIC),
    }, arch="llama"),
    "mistral": F("Mistral 7B, Nemo, Small", transformers.MistralForCausalLM, {
        "nemo": V(dict(head_dim=16, sliding_window=None), "bfloat16"),
        "window": N(dict(sliding_window=24), gguf=NO_WINDOW),
        "tied": V(dict(sliding_window=None, num_key_value_heads=1, tie_word_embeddings=True, num_hidden_layers=3), "float16"),
    }, arch="llama"),
    "mistral3": F("Mistral Small 3.1, 3.2 (the text of multimodal checkpoints)", transformers.Mistral3ForConditionalGeneration, {
        "plain": N(seeing_mistral(), "bfloat16"), "tied": N(seeing_mistral(num_key_value_heads=1, num_hidden_layers=3, tie_word_embeddings=True), "float16"),
        "window": N(seeing_mistral(sliding_window=24), gguf=NO_WINDOW),
    }, arch="llama", without=tuple(BASE), text=transformers.MistralForCausalLM),
    "qwen2": F("Qwen 2, 2.5, Coder, QwQ, DeepSeek-R1 distilled", transformers.Qwen2ForCausalLM, {
        "plain": V(rope(theta=1e6), "bfloat16"),
        "tied": V(dict(tie_word_embeddings=True, num_key_value_heads=1, num_hidden_layers=3), "float16"),
        "window": N(dict(use_sliding_window=True, sliding_window=20, max_window_layers=1, num_hidden_layers=3), gguf=NO_WINDOW),
        "yarn": V(rope("yarn", 1e6, **YARN)),
    }, arch="qwen2"),
    "qwen3": F("Qwen 3 (dense)", transformers.Qwen3ForCausalLM, {
        "plain": V(dict(head_dim=16) | rope(theta=1e6), "bfloat16"),
        "tied": V(dict(head_dim=8, tie_word_embeddings=True, num_key_value_heads=1, num_hidden_layers=3), "float16"),
        "bias": V(dict(head_dim=16, attention_bias=True), gguf="llama.cpp's Qwen 3 has no biases", mlx="mlx-lm's Qwen 3 has no biases"),
        "yarn": V(dict(head_dim=16) | rope("yarn", **YARN)),
    }, arch="qwen3"),
    "phi": F("Phi-1, 1.5, 2", transformers.PhiForCausalLM, {
        "plain": V(dict(num_key_value_heads=4) | rope(partial_rotary_factor=0.5), "float16"),
        "groups": V(dict(num_hidden_layers=3, hidden_size=64) | rope(partial_rotary_factor=0.5), "bfloat16"),
        "qknorm": N(dict(qk_layernorm=True) | rope(partial_rotary_factor=0.25, theta=5000.0), gguf="llama.cpp's Phi-2 has no norms of q and k", mlx="mlx-lm's Phi has none"),
    }, ["q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"], arch="phi2"),
    "phi3": F("Phi-3, 3.5, Phi-4, Phi-4-mini", transformers.Phi3ForCausalLM, {
        "plain": V(dict(num_key_value_heads=4), "bfloat16"),
        "mini4": V(dict(tie_word_embeddings=True, hidden_size=64, original_max_position_embeddings=64) | longrope(6, partial_rotary_factor=0.75)),
        "longrope": V(dict(original_max_position_embeddings=64, num_hidden_layers=3) | longrope(4), "float16"),
        "window": N(dict(sliding_window=24), gguf=NO_WINDOW),
    }, ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"], arch="phi3"),
    "gemma": F("Gemma 1", transformers.GemmaForCausalLM, {
        "plain": V(dict(head_dim=16), "bfloat16"), "one": V(dict(head_dim=8, num_key_value_heads=1, num_hidden_layers=3), "float16"),
        "many": N(dict(head_dim=16, num_key_value_heads=4, hidden_size=48)),
    }, arch="gemma", norm=0.0, options=dict(tie_word_embeddings=True)),
    "gemma2": F("Gemma 2", transformers.Gemma2ForCausalLM, {
        "plain": V(dict(head_dim=16, query_pre_attn_scalar=16, sliding_window=24, attn_logit_softcapping=4.0, final_logit_softcapping=6.0), "bfloat16"),
        "scalar": N(dict(head_dim=8, query_pre_attn_scalar=20, sliding_window=17, num_hidden_layers=4, attn_logit_softcapping=3.0, final_logit_softcapping=5.0), gguf="llama.cpp takes the attention scale from the head's size"),
        "one": V(dict(head_dim=16, query_pre_attn_scalar=16, sliding_window=40, num_hidden_layers=3, num_key_value_heads=1, attn_logit_softcapping=8.0, final_logit_softcapping=9.0), "float16"),
    }, arch="gemma2", norm=0.0, options=dict(tie_word_embeddings=True)),
    "gemma3": F("Gemma 3 (text)", transformers.Gemma3ForCausalLM, {
        "plain": V(dict(head_dim=16, query_pre_attn_scalar=16, sliding_window=24, num_hidden_layers=6), "bfloat16"),
        "linear": V(dict(head_dim=8, query_pre_attn_scalar=8, sliding_window=17, num_hidden_layers=7, num_key_value_heads=1, rope_parameters=dict(
            full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6), sliding_attention=dict(rope_type="default", rope_theta=1e4))), "float16"),
        "mixed": N(dict(head_dim=16, query_pre_attn_scalar=20, sliding_window=20) | WINDOWS("w", "f", "w", "f"), gguf="llama.cpp takes the attention scale from the head's size"),
    }, arch="gemma3", norm=0.0, options=dict(tie_word_embeddings=True)),
    "gemma3_multimodal": F("Gemma 3 (the text of multimodal checkpoints)", transformers.Gemma3ForConditionalGeneration, {
        "plain": N(wrapped(sliding_window=24, num_hidden_layers=6), "bfloat16"), "one": N(wrapped(sliding_window=17, num_hidden_layers=7, num_key_value_heads=1), "float16"),
        "mixed": N(wrapped(sliding_window=20, **WINDOWS("w", "f", "w", "f"))),
    }, arch="gemma3", norm=0.0, without=tuple(BASE), text=transformers.Gemma3ForCausalLM),
    "olmo": F("OLMo", transformers.OlmoForCausalLM, {
        "plain": V(dict(num_key_value_heads=4), "float16", mlx=NO_OLMO), "clip": N(dict(clip_qkv=0.8), mlx=NO_OLMO), "tied": V(dict(tie_word_embeddings=True, num_hidden_layers=3), "bfloat16", mlx=NO_OLMO),
    }, arch="olmo", options={}),
    "olmo2": F("OLMo 2", transformers.Olmo2ForCausalLM, {
        "plain": V(dict(num_key_value_heads=4) | rope(theta=5e5), "bfloat16"), "groups": V(dict(num_hidden_layers=3), "float16"),
        "tied": V(dict(tie_word_embeddings=True, num_key_value_heads=1), gguf="llama.cpp wants an untied head"),
    }, arch="olmo2"),
    "olmo3": F("OLMo 3", transformers.Olmo3ForCausalLM, {
        "plain": V(dict(sliding_window=24, num_hidden_layers=4) | rope(theta=5e5), "bfloat16"),
        "yarn": V(dict(sliding_window=17, num_hidden_layers=5, num_key_value_heads=4, rope_parameters=dict(
            full_attention=dict(rope_type="yarn", rope_theta=5e5, attention_factor=1.2, beta_fast=32.0, beta_slow=1.0, **YARN),
            sliding_attention=dict(rope_type="default", rope_theta=5e5))), "float16"),
        "mixed": V(dict(sliding_window=20) | WINDOWS("w", "f", "w")),
    }, arch="olmo2"),
    "smollm3": F("SmolLM 3", transformers.SmolLM3ForCausalLM, {
        "plain": V(dict(num_hidden_layers=4, tie_word_embeddings=True) | rope(theta=2e6), "bfloat16"),
        "untied": V(dict(num_hidden_layers=5, num_key_value_heads=1), "float16"),
        "mixed": N(dict(no_rope_layers=[1, 0, 1], num_hidden_layers=3, attention_bias=True), gguf="llama.cpp knows every fourth layer alone"),
    }, arch="smollm3"),
    "granite": F("Granite 3", transformers.GraniteForCausalLM, {
        "plain": V(dict(embedding_multiplier=3.0, logits_scaling=2.0, residual_multiplier=0.5, attention_multiplier=0.2, tie_word_embeddings=True), "bfloat16"),
        "untied": V(dict(embedding_multiplier=1.5, logits_scaling=1.25, residual_multiplier=0.7, attention_multiplier=0.5, num_hidden_layers=3, num_key_value_heads=4), "float16"),
        "bias": V(dict(attention_bias=True, mlp_bias=True, embedding_multiplier=2.0, logits_scaling=3.0, residual_multiplier=0.22, attention_multiplier=0.35)),
    }, arch="granite"),
    "granitemoehybrid": F("Granite 4 (hybrids without Mamba layers and experts)", transformers.GraniteMoeHybridForCausalLM, {
        "plain": V(dense_hybrid(tie_word_embeddings=True), "bfloat16"),
        "nope": V(dense_hybrid(position_embedding_type="nope", num_hidden_layers=3, num_key_value_heads=1, logits_scaling=1.25), "float16"),
        "bias": N(dense_hybrid(attention_bias=True, num_key_value_heads=4, embedding_multiplier=2.0, attention_multiplier=0.35), mlx="mlx-lm knows no layer type full_attention"),
    }, ["q_proj", "k_proj", "v_proj", "o_proj", "input_linear", "output_linear"], arch="granite"),
    "cohere": F("Command R", transformers.CohereForCausalLM, {
        "plain": V(dict(logit_scale=0.5), "float16"), "qknorm": N(dict(use_qk_norm=True, logit_scale=0.25, num_hidden_layers=3), "bfloat16", gguf="llama.cpp has norms of q and k from 64 layers on"),
        "one": V(dict(num_key_value_heads=1, logit_scale=0.3, num_hidden_layers=3), "bfloat16"),
        "bias": V(dict(attention_bias=True, logit_scale=0.8, num_key_value_heads=1), gguf="llama.cpp has no biases here"),
    }, arch="command-r", options=dict(tie_word_embeddings=True)),
    "cohere2": F("Command R7B, A", transformers.Cohere2ForCausalLM, {
        "plain": V(dict(sliding_window=24, num_hidden_layers=4, logit_scale=0.5), "bfloat16"), "five": V(dict(sliding_window=17, num_hidden_layers=5, num_key_value_heads=1), "float16"),
        "mixed": N(dict(sliding_window=20, logit_scale=0.8) | WINDOWS("w", "f", "w"), gguf="llama.cpp knows every fourth layer alone"),
    }, arch="cohere2", options=dict(tie_word_embeddings=True)),
    "starcoder2": F("StarCoder 2", transformers.Starcoder2ForCausalLM, {
        "plain": V(dict(tie_word_embeddings=True), "bfloat16"), "untied": V(dict(num_key_value_heads=1, num_hidden_layers=3), "float16"),
        "window": N(dict(sliding_window=24), gguf=NO_WINDOW),
    }, ["q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj"], arch="starcoder2"),
    "stablelm": F("StableLM", transformers.StableLmForCausalLM, {
        "plain": V(dict(num_key_value_heads=4) | rope(partial_rotary_factor=0.5), "float16"),
        "bias": V(dict(use_qkv_bias=True) | rope(partial_rotary_factor=0.25), "bfloat16"),
        "parallel": V(dict(use_parallel_residual=True, qk_layernorm=True, num_hidden_layers=3) | rope(partial_rotary_factor=0.5)),
    }, arch="stablelm"),
    "glm": F("GLM-4 9B", transformers.GlmForCausalLM, {
        "plain": V(dict(head_dim=8) | rope(partial_rotary_factor=0.5), "bfloat16"), "one": V(dict(head_dim=16, hidden_size=64, num_key_value_heads=1, num_hidden_layers=3) | rope(partial_rotary_factor=0.5), "float16"),
        "nobias": V(dict(head_dim=16, hidden_size=64, attention_bias=False) | rope(partial_rotary_factor=0.5)),
    }, ["q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj"], arch="chatglm"),
    "glm4": F("GLM-4-0414", transformers.Glm4ForCausalLM, {
        "plain": V(dict(head_dim=8, attention_bias=False) | rope(partial_rotary_factor=0.5), "bfloat16"),
        "bias": V(dict(head_dim=16, num_key_value_heads=1, num_hidden_layers=3, attention_bias=True) | rope(partial_rotary_factor=0.5), "float16"),
        "whole": V(dict(head_dim=16, attention_bias=True) | rope(partial_rotary_factor=1.0)),
    }, ["q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj"], arch="glm4"),
    "gpt_neox": F("GPT-NeoX, Pythia", transformers.GPTNeoXForCausalLM, {
        "plain": V(rope(partial_rotary_factor=0.25), "float16"), "sequential": V(dict(use_parallel_residual=False, num_hidden_layers=3) | rope(partial_rotary_factor=1.0), "bfloat16"),
        "nobias": V(dict(attention_bias=False) | rope(partial_rotary_factor=0.5), gguf="llama.cpp wants the biases", mlx="mlx-lm wants the biases"),
    }, ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"], arch="gptneox", options=dict(intermediate_size=128), without=("num_key_value_heads",)),
    "gpt2": F("GPT-2", transformers.GPT2LMHeadModel, {
        "plain": V({}, "float16"), "inner": V(dict(n_inner=48, n_layer=3), "bfloat16", mlx="mlx-lm knows four times the width alone"), "heads": N(dict(n_head=8, n_embd=64, n_positions=128, n_ctx=128)),
    }, ["c_attn", "c_proj", "c_fc"], arch="gpt2", without=tuple(k for k in BASE if not k.endswith("_id") and k != "vocab_size"),
        options=dict(n_ctx=256, n_embd=32, n_layer=2, n_head=4, n_positions=256, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, tie_word_embeddings=True)),
    "internlm2": F("InternLM 2, 2.5", remote.internlm2, {
        "plain": V({}, "bfloat16"), "bias": V(dict(bias=True, num_key_value_heads=1, num_hidden_layers=3), "float16", gguf="llama.cpp has no bias of wo"),
        "dynamic": N(dict(rope_scaling=dict(type="dynamic", factor=2.0), max_position_embeddings=64), gguf=NO_DYNAMIC),
    }, ["wqkv", "wo", "w1", "w2", "w3"], arch="internlm2", options=dict(rope_theta=10000.0, bias=False)),
    "internlm3": F("InternLM 3", remote.internlm3, {
        "plain": V(dict(head_dim=8), "bfloat16"), "bias": V(dict(head_dim=16, qkv_bias=True, bias=True, num_hidden_layers=3), "float16", mlx="mlx-lm knows no head_dim here"),
        "dynamic": N(dict(head_dim=8, rope_scaling=dict(rope_type="dynamic", factor=6.0), max_position_embeddings=64), gguf=NO_DYNAMIC),
    }, arch="llama", options=dict(rope_theta=50000.0)),
    "minicpm": F("MiniCPM 1, 2", remote.minicpm, {
        "plain": V(dict(scale_emb=4.0, dim_model_base=16, scale_depth=1.4, tie_word_embeddings=True), "bfloat16", mlx="mlx-lm wants an untied head"),
        "untied": V(dict(scale_emb=2.0, dim_model_base=8, scale_depth=1.1, num_hidden_layers=3, num_key_value_heads=4), "float16"),
        "longrope": V(gguf="this llama.cpp opens no MiniCPM with rope factors", options=dict(scale_emb=3.0, dim_model_base=16, scale_depth=1.4, rope_scaling=dict(type="longrope", original_max_position_embeddings=64,
                      short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[1.5, 2.1, 2.7, 3.3])), mlx="transformers opens no tokenizer beside such a config"),
    }, arch="minicpm", options=dict(rope_theta=10000.0)),
}


def settings(family, variant):
    """The options of a variant's config."""
    f = FAMILIES[family]
    return {**{k: v for k, v in BASE.items() if k not in f.without}, **f.options, **f.variants[variant].options}


def names():
    return [(f, v) for f in FAMILIES for v in FAMILIES[f].variants]
