#!/bin/bash
# test_convert.sh LORAC — `lorac convert` on the small folders of tests/golden: tensors equal to the bytes that mlx_lm.convert and
# transformers with bitsandbytes give them (tests/golden/convert), and what a folder must never be: torn, in the way, different twice.
cd "$(dirname "$0")/../.." || exit 1
source tests/cli/helper.sh
golden=tests/golden
export LORAC_GOLDEN=$golden

# ---- the same tensors as the foreign programs' -----------------------------------------------------
python3 - >"$work/cases" <<'PYTHON'
import json, os
for i, case in enumerate(json.load(open(os.path.join(os.environ["LORAC_GOLDEN"], "convert/tensors.json")))): print(i, case["folder"], *case["options"])
PYTHON
count=0
while read -r i folder options; do
    # shellcheck disable=SC2086
    run convert --model "$golden/$folder" --out "$work/made" --force --json $options
    expect 0 "convert $folder $options"
    checks=$((checks + 1)) count=$((count + 1))
    run convert --model "$work/made" --out "$work/numbers" --force --json -d
    expect 0 "dequantise $folder $options"
    PYTHONPATH=tools python3 - "$work" "$i" <<'PYTHON' || fail "convert $folder $options: tensors"
import json, os, sys
from tensor_digests import digests
work, case = sys.argv[1], json.load(open(os.path.join(os.environ["LORAC_GOLDEN"], "convert/tensors.json")))[int(sys.argv[2])]
def differ(folder, tensors, whole):
    made = digests(os.path.join(work, folder))
    return [k for k, v in tensors.items() if made.get(k) != v] + [k for k in made if whole and k not in tensors]
bad = differ("made", case["tensors"], "--double-quant" not in case["options"])
if "dequantized" in case: bad += differ("numbers", case["dequantized"], True)
if bad: print(bad[:5])
sys.exit(bool(bad))
PYTHON
done <"$work/cases"
[ "$count" -ge 20 ] || fail "only $count cases"

# ---- the folder ------------------------------------------------------------------------------------
convert() { run convert --model "$golden/models/plain" --json "$@"; }
convert --out "$work/four" -q --q-group-size 32
expect 0 "4 bits"
json "its figures" 'last["format"] == "affine" and 5 < last["bits_per_weight"] < 7 and last["perplexity"] is None and last["unquantized"] == []'
run inspect "$work/four" --json
json "what it is" 'last["supported"] and last["format"] == "MLX"'
run generate --model "$work/four" --prompt-tokens 1,2,3 --max-tokens 3 --json
expect 0 "it generates"
for file in config.json generation_config.json tokenizer.json tokenizer_config.json chat_template.jinja README.md model.safetensors model.safetensors.index.json; do
    [ -s "$work/four/$file" ] || fail "$file is missing"
done
python3 -c 'import json, sys; c = json.load(open(sys.argv[1])); sys.exit(not (c["quantization"] == c["quantization_config"] == {"group_size": 32, "bits": 4, "mode": "affine"} and list(c) == sorted(c)))' "$work/four/config.json" || fail "config.json"

convert --out "$work/four" -q
expect 1 "a folder that is there" "--force"
convert --out "$work/again" -q --q-group-size 32
expect 0 "once more"
diff -r --exclude README.md "$work/four" "$work/again" || fail "the same input gives other bytes"
convert --out "$work/shards" -q --q-group-size 32 --max-shard-size 8K
expect 0 "shards"
[ "$(ls "$work/shards"/model-*.safetensors | wc -l)" -gt 1 ] || fail "one shard"
for folder in four shards; do
    run generate --model "$work/$folder" --prompt-tokens 1,2,3 --max-tokens 5 --temp 0 --json
    cp "$work/out" "$work/said.$folder"
done
python3 -c 'import json, sys; a, b = (json.load(open(f))["tokens"] for f in sys.argv[1:]); sys.exit(a != b)' "$work/said.four" "$work/said.shards" || fail "shards say something else"

convert --out "$work/chosen" -q --q-group-size 32 --q-override "*=affine:8:32" --q-override "q_proj=none" --q-override "model.layers.1.*=mxfp4"
expect 0 "overrides"
python3 -c 'import json, sys; q = json.load(open(sys.argv[1]))["quantization"]; a, b = "model.layers.0.self_attn.", "model.layers.1.self_attn."; sys.exit(not (a + "q_proj" not in q and q[a + "k_proj"]["bits"] == 8 and q[b + "q_proj"] == q[b + "k_proj"] == {"group_size": 32, "bits": 4, "mode": "mxfp4"} and q["bits"] == 4))' "$work/chosen/config.json" || fail "overrides in config.json"
run generate --model "$work/chosen" --prompt-tokens 1,2,3 --max-tokens 3 --json
expect 0 "it generates"
run convert --model "$work/four" --out "$work/anew" -q --q-bits 8 --q-group-size 32 --json
expect 0 "quantised anew"
printf '{"text": "the cat sat"}\n{"text": "on the mat"}\n' >"$work/valid.jsonl"
convert --out "$work/judged" -q --q-bits 8 --q-group-size 32 --data "$work"
expect 0 "perplexity"
perplexity=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["perplexity"])' "$out")
run eval --model "$work/judged" --data "$work" --json
json "it is what eval says" "abs(last['perplexity'] - $perplexity) < 1e-6 * $perplexity"

convert --out "$work/wide" -q --q-group-size 64
expect 0 "a group that does not divide all rows"
json "what was left out" 'any(n.endswith("q_proj") for n in last["unquantized"])'
run convert --model "$golden/models/plain" --out "$work/wide" -q --q-group-size 64 --force
expect 0 "for people" "not quantised, since the group does not divide its rows: model.layers.0.self_attn.q_proj"
expect 0 "for people" "in all; --json lists them"
convert --out "$work/half" --dtype float16
expect 0 "another type"
json "its figures" 'last["format"] == "float16" and last["bits_per_weight"] == 16'

run convert --model "$golden/families/cohere" --out "$work/cohere" -q --q-mode nvfp4 --json
json "norms of two dimensions are no modules" 'last["unquantized"] == []'

# ---- a module of several pieces: rows that repeat have codes and scales that repeat -------------------
cat >"$work/repeat.py" <<'PYTHON'
import json, os, random, struct, sys
HIDDEN, PERIOD = 64, 37
def write(folder, intermediate):
    os.makedirs(folder)
    json.dump(dict(model_type="llama", architectures=["LlamaForCausalLM"], hidden_size=HIDDEN, intermediate_size=intermediate, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
                   vocab_size=8, max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=True, torch_dtype="float16"), open(folder + "/config.json", "w"))
    draw, at, header, parts = random.Random(1), 0, {}, []
    block = b"".join(struct.pack("<e", draw.gauss(0, 1)) for _ in range(PERIOD * HIDDEN))
    layer, square = "model.layers.0.", [HIDDEN, HIDDEN]
    shapes = {"model.embed_tokens": [8, HIDDEN], "model.norm": [HIDDEN], layer + "input_layernorm": [HIDDEN], layer + "post_attention_layernorm": [HIDDEN],
              **{layer + f"self_attn.{m}_proj": square for m in "qkvo"}, layer + "mlp.gate_proj": [intermediate, HIDDEN], layer + "mlp.up_proj": [intermediate, HIDDEN], layer + "mlp.down_proj": [HIDDEN, intermediate]}
    for name, shape in shapes.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name + ".weight"] = dict(dtype="F16", shape=shape, data_offsets=[at, at + size]); at += size
        parts.append((block * (size // len(block) + 1))[:size])
    text = json.dumps(header).encode()
    with open(folder + "/model.safetensors", "wb") as f: f.write(struct.pack("<Q", len(text)) + text + b"".join(parts))
def gate(folder):
    raw = open(folder + "/model.safetensors", "rb").read()
    size = int.from_bytes(raw[:8], "little")
    return {n: (t["shape"][0], raw[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]]) for n, t in json.loads(raw[8:8 + size]).items() if "gate_proj" in n and "quant_" not in n}
def check(large, small, rows):
    a, b = gate(large), gate(small)
    for name in a:
        row, part = len(a[name][1]) // rows, b[name][1]
        period = part[:PERIOD * row]
        if a[name][1] != (period * (rows // PERIOD + 1))[:rows * row]: sys.exit(f"{name} does not repeat")
    sys.exit(len(a) < 2)
PYTHON
PYTHONPATH=$work python3 -c 'import sys; from repeat import write; [write(f"{sys.argv[1]}/rows{n}", n) for n in (70016, 64)]' "$work"
for options in "--q-bits 3" "--q-mode mxfp8" "--q-mode nf4" "--q-bits 4 --dtype float32"; do
    for rows in 70016 64; do
        # shellcheck disable=SC2086
        run convert --model "$work/rows$rows" --out "$work/made$rows" --force -q $options
        expect 0 "$rows rows, $options"
    done
    checks=$((checks + 1))
    PYTHONPATH=$work python3 -c 'import sys; from repeat import check; check(f"{sys.argv[1]}/made70016", f"{sys.argv[1]}/made64", 70016)' "$work" || fail "pieces, $options"
done

# ---- what is refused, and leaves nothing -----------------------------------------------------------
convert --out "$work/no" -q --q-bits 7
expect 2 "7 bits" "2, 3, 4, 5, 6 or 8"
convert --out "$work/no" -q --q-mode mxfp4 --q-group-size 64
expect 2 "a group that mxfp4 has not" "groups of 32"
convert --out "$work/no" --q-bits 4
expect 2 "bits of nothing" "--q-bits needs --quantize"
run convert --model "$work/four" --out "$work/no" --json
expect 1 "a quantised source" "quantised already"
convert --out "$work/no" -q -d
expect 2 "both" "not both"
convert --out "$work/no" -q --q-mode mxfp4 --quant-predicate mixed_2_6
expect 2 "a recipe of another mode" "affine"
convert --out "$work/no" -q --q-override "q_proj=affine:9"
expect 2 "an override of 9 bits" "2, 3, 4, 5, 6 or 8"
convert --out "$work/no" -q --q-override "q_prj=affine:8"
expect 2 "an override of nothing" "fits no module"
convert --out "$work/no" -q --q-override "q_proj"
expect 2 "half an override" "PATTERN=MODE"
run convert --model "$golden/models/plain-q4_0.gguf" --out "$work/no" -q --json
expect 1 "a GGUF" "is no folder"
mkdir "$work/mine"
echo precious >"$work/mine/file"
convert --out "$work/mine" -q --force
expect 1 "a folder that is no model's" "it is not replaced"
[ -e "$work/mine/file" ] || fail "a folder was replaced"
cp -r "$golden/models/plain" "$work/plain"
run convert --model "$work/plain" --out "$work/plain/" -q --force
expect 1 "onto the source" "holds the model"
# a full disk, as a limit on the size of a file: nothing stays
(trap '' XFSZ; ulimit -f 8; "$lorac" convert --model "$golden/models/plain" --out "$work/full" >"$work/out" 2>"$work/said")
status=$? out='' said=$(cat "$work/said")
expect 1 "a full disk" "cannot write"
[ -z "$(ls -d "$work"/no* "$work"/full* "$work"/*.tmp 2>/dev/null)" ] || fail "something was left behind: $(ls "$work")"
finish
