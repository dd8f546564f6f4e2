#!/bin/bash
# test_fuse.sh LORAC — `lorac fuse` on the small folders of tests/golden: what is written computes what the base does under the adapters,
# is of the base's kind, and says what rounding made of the change.
cd "$(dirname "$0")/../.." || exit 1
source tests/cli/helper.sh
base=tests/golden/models/bias adapter=tests/golden/training/bias
fuse() { run fuse --adapter-path "$adapter" --json "$@"; }
# same NAME BOUND MODEL ARGS…: log-probabilities of all tokens, of MODEL and of the base with ARGS
same() {
    local name=$1 bound=$2 model=$3
    shift 3
    local ask=(--prompt-tokens 5,17,90,33,8,250,12 --prompt-logprobs 300 --max-tokens 1 --precision exact --json)
    run generate --model "$model" "${ask[@]}"
    expect 0 "$name: it generates"
    cp "$work/out" "$work/first"
    run generate --model "$base" "${ask[@]}" "$@"
    checks=$((checks + 1))
    python3 - "$work/first" "$work/out" "$bound" <<'PYTHON' || fail "$name: other log-probabilities"
import json, sys
read = lambda path: [{t["token"]: t["logprob"] for t in i["top"]} for i in json.loads(open(path).read().splitlines()[-1])["prompt_logprobs"][1:]]
a, b, bound = read(sys.argv[1]), read(sys.argv[2]), float(sys.argv[3])
worst = max(abs(x[k] - y[k]) for x, y in zip(a, b) for k in x)
print(f"log-probabilities: {worst:.3g} (bound {bound:g})")
sys.exit(not worst <= bound)
PYTHON
}

# ---- numbers ---------------------------------------------------------------------------------------
fuse --model "$base" --save-path "$work/f32" --dtype float32
expect 0 "in f32"
json "the whole change" 'last["relative_error"] < 1e-6 and len(last["modules"]) == 14 and all(m["change"] > 0 for m in last["modules"]) and last["loss"] is None'
same "f32" 2e-5 "$work/f32" --adapter-path "$adapter"
run fuse --model "$base" --adapter-path "$adapter:0.5" --adapter-path "$adapter:-2" --save-path "$work/two" --dtype float32 --json
expect 0 "two"
same "two adapters" 2e-5 "$work/two" --adapter-path "$adapter:0.5" --adapter-path "$adapter:-2"
fuse --model "$base" --save-path "$work/own"
expect 0 "in the base's type"
json "bf16 rounds a part away" '1e-4 < last["relative_error"] < 0.3'
fuse --model "$base" --save-path "$work/own2"
diff -r --exclude README.md "$work/own" "$work/own2" || fail "the same input gives other bytes"
run fuse --model "$base" --adapter-path "$adapter:0" --save-path "$work/none" --json
json "factor 0 changes nothing" 'last["modules"] == []'
cmp "$work/none/model.safetensors" "$base/model.safetensors" >/dev/null || PYTHONPATH=tools python3 -c 'import sys; from tensor_digests import digests; a, b = map(digests, sys.argv[1:]); sys.exit(a != b)' "$work/none" "$base" || fail "factor 0: other tensors"

# ---- codes -----------------------------------------------------------------------------------------
run convert --model "$base" --out "$work/codes" -q --q-bits 8 --q-group-size 32 --q-override "embed_tokens=none" --json
fuse --model "$work/codes" --save-path "$work/codes-fused"
expect 0 "into codes"
json "some of it is lost" '1e-3 < last["relative_error"] < 0.5'
python3 -c 'import json, sys; a, b = (json.load(open(f"{d}/config.json")) for d in sys.argv[1:]); sys.exit(a != b)' "$work/codes" "$work/codes-fused" || fail "another config"
PYTHONPATH=tools python3 - "$work/codes" "$work/codes-fused" <<'PYTHON' || fail "other tensors than the adapter's changed"
import sys
from tensor_digests import digests
a, b = map(digests, sys.argv[1:])
changed = {k.rsplit(".", 1)[0] for k in a if a[k] != b.get(k)}
sys.exit(not (a.keys() == b.keys() and len(changed) == 14 and all("_proj" in k for k in changed) and all(a[k].split("]")[0] == b[k].split("]")[0] for k in a)))
PYTHON
run convert --model "$base" --out "$work/two-bits" -q --q-bits 2 --q-group-size 32 --json
fuse --model "$work/two-bits" --save-path "$work/lost"
expect 0 "into 2 bits" "a part of the adapter is lost"
fuse --model "$work/two-bits" --save-path "$work/kept" -d --dtype float32
json "numbers keep it" 'last["relative_error"] < 1e-6'
fuse --model "$work/two-bits" --save-path "$work/anew" -q --q-bits 8 --q-group-size 32
json "so do more bits, nearly" 'last["relative_error"] < 1'
run convert --model "$base" --out "$work/nf4" -q --q-mode nf4 --double-quant --json
fuse --model "$work/nf4" --save-path "$work/nf4-fused"
expect 0 "into nf4"
run generate --model "$work/nf4-fused" --prompt-tokens 1,2,3 --max-tokens 3 --json
expect 0 "it generates"
printf '{"text": "the cat sat"}\n{"text": "on the mat"}\n' >"$work/valid.jsonl"
fuse --model "$base" --save-path "$work/judged" --dtype float32 --data "$work" --precision exact
expect 0 "losses"
json "fused as unfused" 'abs(last["loss"]["fused"] - last["loss"]["adapter"]) < 1e-5 < abs(last["loss"]["base"] - last["loss"]["adapter"])'

# ---- by a text -------------------------------------------------------------------------------------
cp "$work/valid.jsonl" "$work/train.jsonl"
for name in one two-again; do
    run convert --model "$base" --out "$work/gptq-$name" -q --q-group-size 32 --q-method gptq --data "$work" --json
    expect 0 "GPTQ" "GPTQ: "
done
diff -r --exclude README.md "$work/gptq-one" "$work/gptq-two-again" || fail "GPTQ: the same input gives other bytes"
run convert --model "$base" --out "$work/rounded" -q --q-group-size 32 --json
PYTHONPATH=tools python3 - "$work/gptq-one" "$work/rounded" <<'PYTHON' || fail "GPTQ: the layers' linears alone differ from rounding"
import sys
from tensor_digests import digests
a, b = map(digests, sys.argv[1:])
changed = {k.rsplit(".", 1)[0] for k in a if a[k] != b.get(k)}
sys.exit(not (a.keys() == b.keys() and len(changed) == 14 and all("_proj" in k for k in changed)))
PYTHON
run convert --model "$base" --out "$work/six" -q --q-group-size 32 --target-bpw 6 --data "$work" --json
expect 0 "6 bits a weight"
json "as many" '5.3 < last["bits_per_weight"] <= 6'
python3 -c 'import json, sys; q = json.load(open(sys.argv[1]))["quantization"]; sys.exit(len({v["bits"] for v in q.values() if isinstance(v, dict)}) < 2)' "$work/six/config.json" || fail "every module has the same bits"
run generate --model "$work/six" --prompt-tokens 1,2,3 --max-tokens 3 --json
expect 0 "it generates"
run convert --model "$base" --out "$work/no" -q --q-group-size 32 --target-bpw 2 --data "$work" --json
expect 2 "2 bits a weight" "cannot be reached"
run convert --model "$base" --out "$work/no" -q --q-mode mxfp4 --target-bpw 6 --data "$work" --json
expect 2 "another mode" "affine"
fuse --model "$work/rounded" --save-path "$work/feedback" --error-feedback --data "$work"
expect 0 "error feedback"
json "its modules" 'len(last["modules"]) == 14 and last["loss"]["fused"] > 0'
run convert --model "$base" --out "$work/no" -q --q-method gptq --json
expect 2 "GPTQ without a text" "--data"

# ---- a GGUF ----------------------------------------------------------------------------------------
fuse --model "$base" --export-gguf="$work/fused.gguf"
expect 0 "a GGUF"
json "of f16" 'last["format"] == "f16" and last["out"].endswith("fused.gguf")'
fuse --model "$base" --export-gguf="$work/fused32.gguf" --gguf-type f32
same "a GGUF of f32" 2e-5 "$work/fused32.gguf" --adapter-path "$adapter"
fuse --model "$base" --export-gguf="$work/no.gguf" --save-path "$work/no"
expect 2 "a folder and a GGUF" "give one"

# ---- what is refused, and leaves nothing -----------------------------------------------------------
fuse --model "$base" --save-path "$work/own"
expect 1 "a folder that is there" "--force"
run fuse --model "$base" --save-path "$work/no" --json
expect 2 "no adapter" "--adapter-path"
run fuse --model "$base" --adapter-path "$work/nothing" --save-path "$work/no" --json
expect 1 "an adapter that is not there" "nothing"
fuse --model tests/golden/families/phi3 --save-path "$work/no"
expect 1 "another model's adapter"
fuse --model tests/golden/models/plain-q4_0.gguf --save-path "$work/no"
expect 1 "a GGUF"
[ -z "$(ls -d "$work"/no* "$work"/*.tmp 2>/dev/null | grep -v none)" ] || fail "something was left behind: $(ls "$work")"
finish
