"""Tiny random Llamas: the configurations, their weights and their tokenizer.

Weights come from numpy's PCG64 by (model, tensor) name, with a spread large enough that a wrong rotation, head order or scale
moves the logits by whole units; norm weights lie around 1. Everything here is deterministic: the same versions give the same bytes."""
import json, os, zlib
import numpy as np, torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCAB = 288  # 256 bytes, 3 special tokens, 29 merges
CHAT = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
CORPUS = ["the cat and the hen sat on the mat in the rain", "there is an old tin in the other inn", "one two three and then nothing",
          "she reads the letter that her sister sent on the last train", "it rains on the plain and on the hills near the sea"]

# name: (options of LlamaConfig, dtype of the folder, config.json in the older spelling, GGUF types)
MODELS = {
    "plain":   (dict(num_hidden_layers=2), "float32", False, ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q8_0"]),
    "untied":  (dict(num_hidden_layers=2, tie_word_embeddings=False, rope_theta=500000.0), "float16", False, ["Q4_1", "Q8_0"]),
    "bias":    (dict(num_hidden_layers=2, attention_bias=True, mlp_bias=True), "bfloat16", False, ["F16", "Q8_0"]),
    "headdim": (dict(num_hidden_layers=2, head_dim=16), "bfloat16", False, ["Q4_1"]),
    "linear":  (dict(num_hidden_layers=2, rope=dict(rope_type="linear", factor=2.5)), "float16", True, ["F32"]),
    "llama3":  (dict(num_hidden_layers=3, rope=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=128)), "bfloat16", True, ["Q8_0"]),
    "yarn":    (dict(num_hidden_layers=2, rope=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64)), "float16", False, ["F16"]),
    "sharded": (dict(num_hidden_layers=3, num_key_value_heads=1, rope_theta=12345.678, vocab_size=VOCAB + 5, rms_norm_eps=1e-3), "float16", True, ["Q4_0"]),
    "wide":    (dict(num_hidden_layers=1, hidden_size=256, intermediate_size=256, num_key_value_heads=1), "float16", False, ["K_MIX"]),
}


def tokenizer(split_digits):
    t = Tokenizer(models.BPE())
    parts = [pre_tokenizers.Digits(individual_digits=True)] if split_digits else []
    t.pre_tokenizer = pre_tokenizers.Sequence(parts + [pre_tokenizers.ByteLevel(add_prefix_space=False)]) if parts else pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder, t.post_processor = decoders.ByteLevel(), processors.ByteLevel(trim_offsets=False)
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
                                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    assert t.get_vocab_size() == VOCAB
    return PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<|im_start|>", eos_token="<|im_end|>", unk_token="<|endoftext|>",
                                   pad_token="<|im_end|>", chat_template=CHAT, model_max_length=256, clean_up_tokenization_spaces=False)


def config(name):
    options = dict(MODELS[name][0])
    rope = dict(options.pop("rope", dict(rope_type="default")), rope_theta=options.pop("rope_theta", 10000.0))
    return LlamaConfig(**{**dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_attention_heads=4, num_key_value_heads=2,
                                 max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
                                 pad_token_id=2, rope_parameters=rope), **options})


def weights(name, model):
    """Draws every parameter of the model; returns it."""
    spread = {"embed_tokens": 0.35, "lm_head": 0.35, "q_proj": 0.3, "k_proj": 0.3, "v_proj": 0.2, "o_proj": 0.2}
    for key, p in model.named_parameters():
        draw = np.random.Generator(np.random.PCG64(zlib.crc32(f"{name}/{key}".encode()))).standard_normal(tuple(p.shape))
        module = key.split(".")[-2]
        narrow = (32 / model.config.hidden_size) ** 0.5  # sums as large as those of the narrow models
        value = 1 + 0.2 * draw if "norm" in module else 0.1 * draw if key.endswith("bias") else spread.get(module, 0.2) * narrow * draw
        p.data = torch.from_numpy(value.astype(np.float32))
    model.tie_weights()
    return model


def older_spelling(folder):
    """rope_theta and rope_scaling beside each other and torch_dtype, as configs were written before `rope_parameters`."""
    path = os.path.join(folder, "config.json")
    c = json.load(open(path))
    rope = c.pop("rope_parameters")
    c["rope_theta"], c["torch_dtype"] = rope.pop("rope_theta"), c.pop("dtype")
    if c["rope_theta"] == int(c["rope_theta"]): c["rope_theta"] = int(c["rope_theta"])
    if rope.get("rope_type") == "linear": rope["type"] = rope.pop("rope_type")  # the oldest spelling of all
    c["rope_scaling"] = rope if rope.get("rope_type") != "default" else None
    json.dump(c, open(path, "w"), indent=2, sort_keys=True)


def save(name, out):
    """OUT/NAME: the Hugging Face folder."""
    folder, (_, dtype, older, _) = os.path.join(out, name), MODELS[name]
    model = weights(name, LlamaForCausalLM(config(name))).to(getattr(torch, dtype))
    model.save_pretrained(folder, max_shard_size="20KB" if name == "sharded" else "5GB")
    t = tokenizer(name in ("plain", "llama3"))
    t.save_pretrained(folder)
    if older: older_spelling(folder)
    return folder
