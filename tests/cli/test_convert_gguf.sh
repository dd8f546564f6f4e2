#!/usr/bin/env bash
# test_convert_gguf.sh LORAC — `lorac convert --gguf-type` on the tiny folders of tests/golden: the file computes what the folder does,
# cuts texts as it does, and is never torn, in the way, or different twice. What a GGUF cannot say is refused by name.
cd "$(dirname "$0")/../.." || exit 1
source tests/cli/helper.sh
golden=tests/golden

# The log-probabilities of some tokens, and what follows them, on $work/FORM.
ids=$(seq -s, 3 60)
answer() { # MODEL folder|file ARGS…
    run generate --model "$1" --prompt-tokens "$ids" --prompt-logprobs 20 --logprobs 20 --max-tokens 8 --temp 0 --ignore-eos --precision exact --json "${@:3}"
    cp "$work/out" "$work/$2"
}
same() { # NAME BOUND: $work/folder against $work/file; within a close bound the generated tokens, too
    checks=$((checks + 1))
    python3 - "$work/folder" "$work/file" "$2" <<'PYTHON' || fail "$1: the file computes something else"
import json, math, sys
a, b = (json.load(open(f)) for f in sys.argv[1:3])
items = lambda o: [{t["token"]: t["logprob"] for t in i["top"]} for i in o["prompt_logprobs"][1:] + o["logprobs"]]
worst = max((abs(x[t] - y[t]) for x, y in zip(items(a), items(b)) for t in x if t in y), default=math.inf)
close = float(sys.argv[3]) < 0.01
sys.exit(not (worst <= float(sys.argv[3]) and (a["tokens"] == b["tokens"] or not close) and len(items(a)) == len(items(b)) > 50))
PYTHON
}

# ---- every family ----------------------------------------------------------------------------------
refused="cohere2 smollm3" count=0
for folder in "$golden"/models/*/ "$golden"/families/*/; do
    [ -f "$folder/config.json" ] || continue
    name=$(basename "$folder")
    run convert --model "$folder" --out "$work/model.gguf" --force --gguf-type f32 --json
    if [[ " $refused " == *" $name "* ]]; then
        expect 1 "$name: layers that do not rotate" "cannot say this model's layers that do not rotate"
        continue
    fi
    expect 0 "$name as a GGUF"
    count=$((count + 1))
    answer "$folder" folder
    answer "$work/model.gguf" file
    same "$name" 1e-4
    [ -d "${folder%/}.training" ] || continue
    answer "$folder" folder --adapter-path "${folder%/}.training"
    run fuse --model "$folder" --adapter-path "${folder%/}.training" --save-path "$work/model.gguf" --force --gguf-type f32 --json
    expect 0 "$name fused with an adapter"
    json "$name: the whole change" 'last["relative_error"] < 1e-5 and all(m["change"] > 0 for m in last["modules"]) and last["modules"]'
    answer "$work/model.gguf" file
    same "$name fused" 2e-4
done
[ "$count" -ge 25 ] || fail "only $count models"

# ---- sources that are quantised --------------------------------------------------------------------
for name in models/bias families/phi3 families/internlm2; do
    for options in "--q-bits 4 --q-group-size 32" "--q-mode mxfp8" "--q-mode nf4 --double-quant"; do
        [[ "$name$options" != families*nf4* ]] || continue # groups of 64 cross these fused rows
        # shellcheck disable=SC2086
        run convert --model "$golden/$name" --out "$work/codes" --force -q $options --json
        expect 0 "$name, $options"
        run convert --model "$work/codes" --out "$work/model.gguf" --force --gguf-type f32 --json
        expect 0 "$name, $options, as a GGUF"
        answer "$work/codes" folder
        answer "$work/model.gguf" file
        same "$name, $options" 1e-4
    done
done

# ---- types, tokenizer, the same twice --------------------------------------------------------------
model=$golden/models/plain
convert() { run convert --model "$model" --json "$@"; }
answer "$model" folder
for type in f16 bf16 q8_0; do
    convert --out "$work/$type.gguf" --gguf-type $type
    expect 0 "$type"
    json "its figures" "last['format'] == '$type' and last['perplexity'] is None and 8 < last['bits_per_weight'] <= 32"
    run inspect "$work/$type.gguf" --json
    json "what it is" "last['supported'] and last['format'] == 'GGUF'"
    answer "$work/$type.gguf" file
    same "$type" "$([ $type = f16 ] && echo 0.1 || echo 2)"
done
convert --out "$work/again.gguf" --gguf-type f16
cmp "$work/f16.gguf" "$work/again.gguf" || fail "the same input gives other bytes"
python3 -c '
import json, random
r = random.Random(1)
words = ["the", " cat", "  ", "\n", "123", "Don\u0027t", "\u00e9t\u00e9", "\u4f60\u597d", "\U0001f600", "<|im_start|>", "_x", "=", ";", "\t"]
for _ in range(300): print(json.dumps("".join(r.choice(words) for _ in range(r.randrange(12)))))' >"$work/lines"
run tokenize --tokenizer "$model" --lines "$work/lines" --json
cp "$work/out" "$work/tokens"
run tokenize --tokenizer "$work/f16.gguf" --lines "$work/lines" --json
diff -q "$work/tokens" "$work/out" >/dev/null || fail "the file cuts texts otherwise"
[ "$(wc -l <"$work/out")" -eq 300 ] || fail "not all texts"
run tokenize --tokenizer "$model" --chat <(echo '[{"role": "user", "content": "Hi"}]') --json
cp "$work/out" "$work/tokens"
run tokenize --tokenizer "$work/f16.gguf" --chat <(echo '[{"role": "user", "content": "Hi"}]') --json
diff -q "$work/tokens" "$work/out" >/dev/null || fail "another chat template"

# ---- the place -------------------------------------------------------------------------------------
convert --out "$work/f16.gguf" --gguf-type f32
expect 1 "a file that is there" "--force"
echo precious >"$work/mine.gguf"
convert --out "$work/mine.gguf" --gguf-type f32 --force
expect 1 "a file that is no GGUF" "is no GGUF file; it is not replaced"
[ "$(cat "$work/mine.gguf")" = precious ] || fail "a file was replaced"
convert --gguf-type f16
expect 2 "no place" "--out"
convert --out "$work/no.gguf"
expect 2 "no type" "--gguf-type"
convert --out "$work/no.gguf" --gguf-type q9
expect 2 "an unknown type"
convert --out "$work/no.gguf" --gguf-type f16 -q
expect 2 "two types" "neither mode nor dtype"
run convert --model "$work/f16.gguf" --out "$work/no.gguf" --gguf-type f16
expect 1 "a GGUF as the source" "is no folder"
(trap '' XFSZ; ulimit -f 8; "$lorac" convert --model "$model" --out "$work/full.gguf" --gguf-type f32 >"$work/out" 2>"$work/said")
status=$? out='' said=$(cat "$work/said")
expect 1 "a full disk" "cannot write"

# ---- tokenizers and tensors that a GGUF cannot hold, or nobody should trust --------------------------
# change EXPRESSION: a copy of the model whose tokenizer.json t, config.json c or tensors' header h was changed.
change() {
    rm -rf "$work/odd"
    cp -r "$model" "$work/odd"
    python3 - "$work/odd" "$1" <<'PYTHON'
import json, struct, sys
folder, change = sys.argv[1:]
t, c = (json.load(open(f"{folder}/{f}.json")) for f in ("tokenizer", "config"))
raw = open(f"{folder}/model.safetensors", "rb").read()
size = struct.unpack("<Q", raw[:8])[0]
h = json.loads(raw[8:8 + size])
exec(change)
for name, value in (("tokenizer", t), ("config", c)): json.dump(value, open(f"{folder}/{name}.json", "w"))
head = json.dumps(h).encode()
open(f"{folder}/model.safetensors", "wb").write(struct.pack("<Q", len(head)) + head + raw[8 + size:])
PYTHON
    run convert --model "$work/odd" --out "$work/no.gguf" --gguf-type f16 --json
}
change 't["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "[aeiou]+"}, "behavior": "Isolated", "invert": False}, {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]}'
expect 1 "an unknown pre-tokenizer" "its pre-tokenizer is none that llama.cpp has a name for"
change 't["normalizer"] = {"type": "Lowercase"}'
expect 1 "a normaliser" "would cut"
change 't["added_tokens"].append(dict(t["added_tokens"][0], id=c["vocab_size"] + 3, content="<far>"))'
expect 1 "a token beyond the model's rows" "rows for"
change 'v = t["model"]["vocab"]; last = max(v, key=v.get); t["model"]["merges"] = [m for m in t["model"]["merges"] if (m if isinstance(m, str) else " ".join(m)).replace(" ", "") != last]; del v[last]'
expect 0 "a hole among the ids"
rm -f "$work/no.gguf"
change 'h["model.norm" + "x" * 300] = h.pop("model.norm.weight")'
expect 1 "a long name"
change 'h["model.layers.0.mlp.extra.weight"] = h.pop("model.norm.weight")'
expect 1 "a tensor that nobody knows" "model.layers.0.mlp.extra.weight"
change 'h["model.layers.99999999999999999999.mlp.up_proj.weight"] = h.pop("model.layers.1.mlp.up_proj.weight")'
expect 1 "a layer beyond all"
change 'c["vocab_size"] = 1 << 60'
expect 1 "a vocabulary beyond all"
change 'c["num_hidden_layers"] = 500'
expect 1 "layers that are not there"
change 'c["num_attention_heads"] = c["num_key_value_heads"] = 1; c["head_dim"] = 512'
expect 1 "rows that are not there" "expected"
change 'c["rope_scaling"] = dict(rope_type="dynamic", factor=2.0)'
expect 1 "dynamic scaling" "cannot say this model's scaling of the rotary embedding"
# ---- importance: the first eight columns of one matrix's rows count a thousand times --------------
imatrix() { # FILE COLUMNS
    python3 -c 'import struct, sys; n, name = int(sys.argv[2]), b"blk.0.ffn_down.weight"; open(sys.argv[1], "wb").write(struct.pack("<ii", 1, len(name)) + name + struct.pack("<ii", 1, n) + struct.pack(f"<{n}f", *[1000.0] * 8, *[1.0] * (n - 8)))' "$1" "$2"
}
imatrix "$work/columns.dat" 64
run convert --model "$model" --out "$work/alike.gguf" --gguf-type q4_0 --json
run convert --model "$model" --out "$work/important.gguf" --gguf-type q4_0 --imatrix "$work/columns.dat" --json
expect 0 "with an imatrix"
cmp -s "$work/alike.gguf" "$work/important.gguf" && fail "an imatrix changes nothing"
[ "$(cmp -l "$work/alike.gguf" "$work/important.gguf" | wc -l)" -lt 1200 ] || fail "an imatrix of one matrix changes others"
imatrix "$work/columns.dat" 32
run convert --model "$model" --out "$work/no.gguf" --gguf-type q4_0 --imatrix "$work/columns.dat" --json
expect 1 "an imatrix of another width" "blk.0.ffn_down.weight"
run convert --model "$model" --out "$work/no" --imatrix "$work/columns.dat" --json
expect 2 "an imatrix for a folder" "imatrix"
rm -f "$work/odd/tokenizer.json"
cp -r "$model" "$work/bare" && rm "$work"/bare/tokenizer*
run convert --model "$work/bare" --out "$work/bare.gguf" --gguf-type f16
expect 0 "no tokenizer"
[ -z "$(ls -d "$work"/no* "$work"/full* "$work"/*.tmp 2>/dev/null)" ] || fail "something was left behind: $(ls "$work")"
finish
