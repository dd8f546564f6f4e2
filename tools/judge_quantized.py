#!/usr/bin/env python3
"""Quantised folders against their makers: a tiny Llama in every scheme, its logits in lorac against transformers' on the values that the
scheme's own program (mlx, bitsandbytes) or its published formula (GPTQ, AWQ, compressed-tensors, FP8; transformers' function for gpt-oss's MXFP4) gives the weights.

usage: judge_quantized.py LORAC [--only TEXT] [--train]
--train: besides, ten steps of LoRA on each against PEFT on those values. Exit 1 when one is out of bounds."""
import argparse, json, math, os, shutil, tempfile
import numpy as np, torch
import mlx.core as mx
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaForCausalLM
import golden_training, judge_training, reference, tiny_llama

IDS = [3 + 7 * k % 280 for k in range(40)]
EXACT, FAST, STEPS = 1e-3, 0.6, 2e-4
ROWS = judge_training.TEXTS
LAYERS, HEAD, ALL = ("layers",), ("layers", "lm_head"), ("layers", "lm_head", "embed_tokens")  # what a scheme quantises


# ---- schemes: (tensors of the module, the values that they stand for) ---------------------------

def to_torch(a):
    """An mlx array as a torch tensor of the same bytes."""
    if a.dtype == mx.bfloat16: return torch.from_numpy(np.array(a.view(mx.uint16)).view(np.int16).copy()).view(torch.bfloat16)
    if a.dtype == mx.uint32: return torch.from_numpy(np.array(a).view(np.int32).copy()).view(torch.uint32)
    return torch.from_numpy(np.array(a).copy())


def mlx(mode, bits, group, dtype):
    def make(name, w):
        q = mx.quantize(mx.array(w.numpy()).astype(getattr(mx, dtype)), group_size=group, bits=bits, mode=mode)
        values = mx.dequantize(*q, group_size=group, bits=bits, mode=mode).astype(mx.float32)
        return dict(zip((f"{name}.weight", f"{name}.scales", f"{name}.biases"), map(to_torch, q))), torch.from_numpy(np.array(values))
    return make, dict(quantization=dict(group_size=group, bits=bits, mode=mode)), ALL


def bnb4(kind, double, block=64):
    import bitsandbytes.functional as F
    def make(name, w):
        packed, state = F.quantize_4bit(w, blocksize=block, quant_type=kind, compress_statistics=double)
        return {f"{name}.weight": packed, **{f"{name}.weight.{k}": v for k, v in state.as_dict(packed=True).items()}}, F.dequantize_4bit(packed, state).float()
    return make, dict(quantization_config=dict(quant_method="bitsandbytes", load_in_4bit=True, bnb_4bit_quant_type=kind, bnb_4bit_use_double_quant=double)), LAYERS


def bnb8():
    def make(name, w):
        top = w.abs().max(1).values
        codes = torch.round(w * 127 / top[:, None]).to(torch.int8)
        return {f"{name}.weight": codes, f"{name}.SCB": top, f"{name}.weight_format": torch.tensor(0, dtype=torch.uint8)}, codes.float() * (top / 127)[:, None]
    return make, dict(quantization_config=dict(quant_method="bitsandbytes", load_in_8bit=True)), LAYERS


def grouped(w, bits, group, symmetric):
    """Codes (out, in), scales f16 and zeros (out, groups)."""
    g, top = w.reshape(w.shape[0], -1, group), 2 ** bits - 1
    low, high = g.min(2).values.clamp(max=0), g.max(2).values.clamp(min=0)
    if symmetric: high = torch.maximum(-low, high); low = -high
    scale = ((high - low) / top).half()
    zero = torch.full_like(low, 2 ** (bits - 1)) if symmetric else torch.round(-low / scale.float()).clamp(1, top)
    codes = (torch.round(g / scale.float()[:, :, None]) + zero[:, :, None]).clamp(0, top)
    return codes.reshape(w.shape).long(), scale, zero.long()


def stream(codes, bits):
    """(n, k) numbers → (n, k · bits / 32) words, a little-endian stream along k."""
    flat = ((codes.numpy()[:, :, None] >> np.arange(bits)) & 1).reshape(codes.shape[0], -1)
    return torch.from_numpy(np.packbits(flat.astype(np.uint8), axis=1, bitorder="little").view(np.int32).copy())


def gptq(bits, group, symmetric=True, shuffled=False, v2=False):
    def make(name, w):
        order = torch.randperm(w.shape[1], generator=torch.Generator().manual_seed(1)) if shuffled else torch.arange(w.shape[1])
        codes, scale, zero = grouped(w[:, order], bits, group, symmetric)
        index, back = torch.empty(w.shape[1], dtype=torch.int32), torch.argsort(order)
        index[order] = torch.arange(w.shape[1], dtype=torch.int32) // group
        values = (scale.float().repeat_interleave(group, 1) * (codes - zero.repeat_interleave(group, 1)))[:, back]
        tensors = {f"{name}.qweight": stream(codes[:, back], bits).T.contiguous(), f"{name}.qzeros": stream((zero - (0 if v2 else 1)).T.contiguous(), bits),
                   f"{name}.scales": scale.T.contiguous(), f"{name}.g_idx": index}
        return tensors, values
    return make, dict(quantization_config=dict(quant_method="gptq", bits=bits, group_size=group, desc_act=shuffled, sym=symmetric, checkpoint_format="gptq_v2" if v2 else "gptq")), LAYERS


def awq(group):
    def pack(x):  # (n, out): eight outputs a word, in AWQ's order
        x = x.numpy().reshape(x.shape[0], -1, 8)[:, :, [0, 2, 4, 6, 1, 3, 5, 7]].astype(np.uint64)
        return torch.from_numpy((x << (4 * np.arange(8, dtype=np.uint64))).sum(2).astype(np.uint32).view(np.int32).copy())
    def make(name, w):
        codes, scale, zero = grouped(w, 4, group, False)
        values = scale.float().repeat_interleave(group, 1) * (codes - zero.repeat_interleave(group, 1))
        return {f"{name}.qweight": pack(codes.T.contiguous()), f"{name}.qzeros": pack(zero.T.contiguous()), f"{name}.scales": scale.T.contiguous()}, values
    return make, dict(quantization_config=dict(quant_method="awq", bits=4, group_size=group, version="gemm", zero_point=True)), LAYERS


def compressed(bits, group, symmetric=True):
    def make(name, w):
        codes, scale, zero = grouped(w, bits, group, symmetric)
        tensors = {f"{name}.weight_packed": stream(codes, bits), f"{name}.weight_scale": scale.to(torch.bfloat16), f"{name}.weight_shape": torch.tensor(w.shape)}
        if not symmetric: tensors[f"{name}.weight_zero_point"] = stream(zero.T.contiguous(), bits).T.contiguous()
        return tensors, scale.to(torch.bfloat16).float().repeat_interleave(group, 1) * (codes - zero.repeat_interleave(group, 1))
    return make, dict(quantization_config=dict(quant_method="compressed-tensors", format="pack-quantized")), LAYERS


def e2m1_codes(x):
    table = torch.tensor([0, .5, 1, 1.5, 2, 3, 4, 6])
    return (x.abs()[..., None] - table).abs().argmin(-1) | (x < 0).long() << 3, table


def fp4(kind):
    def make(name, w):
        group = 16 if kind == "nvfp4" else 32
        g, extra = w.reshape(w.shape[0], -1, group), {}
        top = g.abs().max(2).values.clamp(min=2.0 ** -100)  # of zeros as well
        if kind == "nvfp4":
            glob = torch.tensor([448 * 6 / w.abs().max()])
            scale = (top / 6 * glob).to(torch.float8_e4m3fn)
            value, extra = scale.float() / glob, {f"{name}.weight_global_scale": glob}
        else:
            scale = (127 + torch.ceil(torch.log2(top / 6))).to(torch.uint8)
            value = 2.0 ** (scale.float() - 127)
        codes, table = e2m1_codes(g / value[:, :, None])
        numbers = table[codes & 7] * (1 - 2 * (codes >> 3))
        flat = codes.reshape(w.shape)
        return {f"{name}.weight_packed": (flat[:, ::2] | flat[:, 1::2] << 4).to(torch.uint8), f"{name}.weight_scale": scale, **extra}, (numbers * value[:, :, None]).reshape(w.shape)
    return make, dict(quantization_config=dict(quant_method="compressed-tensors", format=f"{kind}-pack-quantized")), LAYERS


def mxfp4():
    """As gpt-oss stores it: E2M1 and powers of two, rounded here, and the values that transformers gives them."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    def make(name, w):
        made, _ = fp4("mxfp4")[0](name, w)
        blocks, scales = made[f"{name}.weight_packed"].reshape(w.shape[0], -1, 16), made[f"{name}.weight_scale"]
        values = convert_moe_packed_tensors(blocks[None], scales[None])[0].T  # one expert, (in, out)
        return {f"{name}_blocks": blocks, f"{name}_scales": scales}, values.float()
    return make, dict(quantization_config=dict(quant_method="mxfp4", modules_to_not_convert=["model.embed_tokens", "lm_head"])), LAYERS


def fp8(shape, integer=False):
    def make(name, w):
        top = 127 if integer else 448
        if shape == "tensor": scale = (w.abs().max() / top).reshape(1)
        elif shape == "row": scale = w.abs().max(1, keepdim=True).values / top
        else: scale = torch.nn.functional.pad(w, (0, 0, 0, -w.shape[0] % 128)).reshape(-(-w.shape[0] // 128), 128, -1, 128).abs().amax((1, 3)) / top
        scale = scale.clamp(min=2.0 ** -100)  # of zeros as well
        spread = scale if shape != "block" else scale.repeat_interleave(128, 0)[:w.shape[0]].repeat_interleave(128, 1)
        codes = torch.round(w / spread).to(torch.int8) if integer else (w / spread).to(torch.float8_e4m3fn)
        return {f"{name}.weight": codes, f"{name}.weight_scale{'_inv' if shape == 'block' else ''}": scale}, codes.float() * spread
    method = dict(quant_method="compressed-tensors", format="int-quantized" if integer else "float-quantized") if shape != "block" else dict(quant_method="fp8", weight_block_size=[128, 128])
    return make, dict(quantization_config=method), LAYERS


SCHEMES = {f"mlx affine {b} x {g} {d}": mlx("affine", b, g, d) for b in (2, 3, 4, 5, 6, 8) for g in (32, 64, 128) for d in (("float16", "bfloat16", "float32") if g == 64 else ("bfloat16",))}
SCHEMES |= {"mlx mxfp4": mlx("mxfp4", 4, 32, "bfloat16"), "mlx mxfp8": mlx("mxfp8", 8, 32, "bfloat16"), "mlx nvfp4": mlx("nvfp4", 4, 16, "bfloat16")}
SCHEMES |= {f"bitsandbytes {k}{' double' if d else ''}": bnb4(k, d) for k in ("nf4", "fp4") for d in (False, True)} | {"bitsandbytes nf4 blocks of 128": bnb4("nf4", True, 128), "bitsandbytes int8": bnb8()}
SCHEMES |= {f"gptq {b}": gptq(b, 64) for b in (2, 3, 4, 8)} | {"gptq 4 asymmetric": gptq(4, 128, False), "gptq 4 desc_act": gptq(4, 64, False, True), "gptq 4 v2": gptq(4, 32, False, False, True)}
SCHEMES |= {"awq": awq(64), "compressed int4": compressed(4, 64), "compressed int4 asymmetric": compressed(4, 32, False), "compressed int8": compressed(8, 128),
            "mxfp4 of gpt-oss": mxfp4(), "compressed nvfp4": fp4("nvfp4"), "compressed mxfp4": fp4("mxfp4"), "compressed int8 rows": fp8("row", True), "fp8 matrix": fp8("tensor"), "fp8 rows": fp8("row"), "fp8 blocks": fp8("block")}

# Besides with a head of its own, quantised too: by each of MLX's modes, and where the makers have an option for it.
UNTIED = {f"{n}, untied": SCHEMES[n][:2] + (parts,) for parts, names in (
    (ALL, ("mlx affine 4 x 64 bfloat16", "mlx affine 8 x 32 bfloat16", "mlx mxfp4", "mlx mxfp8", "mlx nvfp4", "compressed int4", "compressed int8 rows", "fp8 rows")),
    (HEAD, ("gptq 4", "gptq 4 desc_act", "compressed nvfp4", "bitsandbytes nf4"))) for n in names}


# ---- one scheme ---------------------------------------------------------------------------------

def folder(source, out, scheme):
    """The folder in the scheme; the values that its tensors stand for."""
    make, config, parts = scheme
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("*.safetensors"))
    tensors, values = {}, {}
    for key, w in load_file(os.path.join(source, "model.safetensors")).items():
        if w.ndim == 2 and any(p in key for p in parts): made, values[key] = make(key[:-len(".weight")], w.float()); tensors |= made
        else: tensors[key], values[key] = w, w.float()
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(out, "model.safetensors"))
    path = os.path.join(out, "config.json")
    json.dump(json.load(open(path)) | config, open(path, "w"))
    return values


def write(source, out, scheme):
    """The folder in the scheme; the model on its values."""
    values = folder(source, out, scheme)
    model = LlamaForCausalLM.from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()
    model.load_state_dict(values, strict=False); model.tie_weights()
    return model


def untied(source, out):
    """The model with a head that is not its embedding."""
    model = LlamaForCausalLM.from_pretrained(source, dtype=torch.float16)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.model.embed_tokens.weight.flip(0).clone())
    shutil.copytree(source, out)
    model.save_pretrained(out)
    return out


def judge(report, exe, name, source, out, scheme, train):
    model = write(source, out, scheme)
    with torch.no_grad(): logp = torch.log_softmax(model(torch.tensor([IDS])).logits[0].double(), -1).numpy()
    for precision, bound in (("exact", EXACT), ("fast", FAST)):
        o = reference.lorac(exe, "generate", "--model", out, "--prompt-tokens", ",".join(map(str, IDS)), "--prompt-logprobs", 20, "--logprobs", 20,
                            "--max-tokens", 1, "--temp", 0, "--ignore-eos", "--precision", precision)[-1]
        items = o["prompt_logprobs"][1:] + o["logprobs"][:1]
        report.check(f"{name}: log-probabilities, {precision}", max(abs(t["logprob"] - row[t["token"]]) for i, row in zip(items, logp) for t in i["top"]), bound)
    if train: steps(report, exe, name, model, out)


def steps(report, exe, name, model, folder):
    peft = get_peft_model(model, LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj", "down_proj"]))
    for key, p in golden_training.trained(peft).items():
        g = golden_training.draw(name + key)
        p.data = torch.from_numpy(g.uniform(-1, 1, tuple(p.shape)) / math.sqrt(p.shape[1]) if "lora_A" in key else 0.02 * g.standard_normal(tuple(p.shape))).float()
    with tempfile.TemporaryDirectory() as d:
        start, data, out = (os.path.join(d, x) for x in ("start", "data", "out"))
        peft.save_pretrained(start); os.mkdir(data); judge_training.write_rows(data, ROWS)
        ids, targets = zip(*(judge_training.tokens(AutoTokenizer.from_pretrained(folder), r) for r in ROWS))
        o = dict(steps=10, batch=len(ROWS), weight_decay=0.01)
        theirs = judge_training.peft_steps(peft, ids, targets, o, 2e-3)
        ours = judge_training.lorac_steps(exe, folder, data, start, out, o, 2e-3, "exact", 4, 4, -1, "--target-modules", "q_proj,v_proj,down_proj")
        report.check(f"{name}: losses of 10 steps against PEFT's", max(abs(a[0] - b[0]) for a, b in zip(ours, theirs)), STEPS)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("lorac"); p.add_argument("--only", default=""); p.add_argument("--train", action="store_true")
    a, report = p.parse_args(), reference.Report()
    with tempfile.TemporaryDirectory() as root:
        source = tiny_llama.save("wide", root)
        own_head = untied(source, os.path.join(root, "untied"))
        for i, (name, scheme) in enumerate((SCHEMES | UNTIED).items()):
            if a.only in name: report.attempt(name, judge, report, a.lorac, name, own_head if name in UNTIED else source, os.path.join(root, str(i)), scheme, a.train)
    report.end()


if __name__ == "__main__": main()
