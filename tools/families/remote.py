"""References of ours for families whose code lies beside their checkpoints: InternLM 2, InternLM 3 and MiniCPM.

Written from their published descriptions; llama.cpp, which knows all three, is the second witness (verify.py). MiniCPM is a Llama with
multipliers, which transformers' Granite has too; InternLM 3 a Llama whose biases are said otherwise; InternLM 2 has a fused wqkv, in
groups of one KV head: its query heads, its key head, its value head."""
import math
import torch
from torch import nn
from transformers import GraniteConfig, GraniteForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.llama.modeling_llama import LlamaRMSNorm, LlamaRotaryEmbedding, apply_rotary_pos_emb

SHARED = ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
          "max_position_embeddings", "tie_word_embeddings", "bos_token_id", "eos_token_id", "pad_token_id"]


def rope_parameters(c):
    scaling = dict(c.get("rope_scaling") or {})
    return dict(scaling, rope_type=scaling.get("rope_type", scaling.pop("type", "default")), rope_theta=c["rope_theta"])


def shared(c):
    return {k: c[k] for k in SHARED} | dict(rms_norm_eps=c.get("rms_norm_eps", 1e-5), rope_parameters=rope_parameters(c), attn_implementation="eager")


def minicpm(c):
    more = dict(original_max_position_embeddings=c["rope_scaling"]["original_max_position_embeddings"]) if c.get("rope_scaling") else {}
    return GraniteForCausalLM(GraniteConfig(**shared(c), **more, embedding_multiplier=c["scale_emb"], residual_multiplier=c["scale_depth"] / math.sqrt(c["num_hidden_layers"]),
                                            logits_scaling=c["hidden_size"] / c["dim_model_base"], attention_multiplier=(c["hidden_size"] // c["num_attention_heads"]) ** -0.5))


def internlm3(c):
    model = LlamaForCausalLM(LlamaConfig(**shared(c), head_dim=c["head_dim"], attention_bias=c.get("qkv_bias", False), mlp_bias=c.get("bias", False)))
    for layer in model.model.layers:
        o = layer.self_attn.o_proj
        layer.self_attn.o_proj = nn.Linear(o.in_features, o.out_features, bias=c.get("bias", False))
    return model


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.groups, self.dim = c.num_attention_heads, c.num_key_value_heads, c.hidden_size // c.num_attention_heads
        self.wqkv = nn.Linear(c.hidden_size, (self.heads + 2 * self.groups) * self.dim, bias=c.bias)
        self.wo = nn.Linear(self.heads * self.dim, c.hidden_size, bias=c.bias)

    def forward(self, x, rotary, cache):
        b, n, _ = x.shape
        each = self.heads // self.groups
        rows = self.wqkv(x).view(b, n, self.groups, each + 2, self.dim)
        q, k, v = rows[..., :each, :].reshape(b, n, self.heads, self.dim).transpose(1, 2), rows[..., each, :].transpose(1, 2), rows[..., each + 1, :].transpose(1, 2)
        q, k = apply_rotary_pos_emb(q, k, *rotary)
        if cache: k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None: cache.update(k=k, v=v)
        k, v = (t.repeat_interleave(each, 1) for t in (k, v))
        scores = (q @ k.transpose(2, 3)) / math.sqrt(self.dim) + torch.full((n, k.shape[2]), -math.inf).triu(k.shape[2] - n + 1).to(q.dtype)
        return self.wo((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, -1))


class FeedForward(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.w1, self.w3 = (nn.Linear(c.hidden_size, c.intermediate_size, bias=False) for _ in range(2))
        self.w2 = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x):
        return self.w2(nn.functional.silu(self.w1(x)) * self.w3(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attention, self.feed_forward = Attention(c), FeedForward(c)
        self.attention_norm, self.ffn_norm = (LlamaRMSNorm(c.hidden_size, c.rms_norm_eps) for _ in range(2))

    def forward(self, x, rotary, cache):
        x = x + self.attention(self.attention_norm(x), rotary, cache)
        return x + self.feed_forward(self.ffn_norm(x))


class InternLM2Config(PreTrainedConfig):
    model_type = "internlm2"


class InternLM2ForCausalLM(PreTrainedModel):
    config_class = InternLM2Config

    def __init__(self, config):
        super().__init__(config)
        self.model = nn.Module()
        self.model.tok_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.model.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.model.norm = LlamaRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.output = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.rotary = LlamaRotaryEmbedding(LlamaConfig(**config.rotary))

    def get_input_embeddings(self): return self.model.tok_embeddings

    def forward(self, input_ids, past_key_values=None, use_cache=False, **_):
        x, cache = self.model.tok_embeddings(input_ids), past_key_values or ([{} for _ in self.model.layers] if use_cache else [None] * len(self.model.layers))
        start = cache[0]["k"].shape[2] if cache[0] else 0
        rotary = self.rotary(x, torch.arange(start, start + input_ids.shape[1])[None])
        for layer, c in zip(self.model.layers, cache): x = layer(x, rotary, c)
        return CausalLMOutputWithPast(logits=self.output(self.model.norm(x)), past_key_values=cache if use_cache else None)


def internlm2(c):
    options = shared(c)
    options.pop("attn_implementation")
    return InternLM2ForCausalLM(InternLM2Config(**{k: v for k, v in options.items() if k != "rope_parameters"}, bias=c.get("bias", False), rotary=options))


BUILDERS = {"minicpm": minicpm, "internlm2": internlm2, "internlm3": internlm3}
CLASSES = {"minicpm": "MiniCPMForCausalLM", "internlm2": "InternLM2ForCausalLM", "internlm3": "InternLM3ForCausalLM"}
