#!/usr/bin/env bash
# `lorac adapter` on adapters that PEFT made (tests/golden): what is shown, round trips, differences, refusals.
. "$(dirname "$0")/helper.sh"
golden=tests/golden
made=$golden/training/bias
work_is_clean() { [ -z "$(ls -d "$work"/no* "$work"/*.tmp 2>/dev/null)" ] || fail "something was left behind: $(ls "$work")"; }
same() { # same DESCRIPTION FILE FILE
    checks=$((checks + 1))
    cmp -s "$2" "$3" || fail "$1: $2 and $3 differ"
}

# ---- show ------------------------------------------------------------------------------------------
run adapter show $made --json
expect 0 "show"
json "what it holds" 'last["format"] == "peft" and last["rank"] == 4 and last["scale"] == 2 and last["layers"] == [0, 1] and last["parameters"] == 4096'
json "its modules" 'len(last["modules"]) == 14 and last["modules"][0] == {**last["modules"][0], "name": "model.layers.0.mlp.down_proj", "in": 64, "out": 32, "rank": 4}'
json "norms" 'abs(math.sqrt(sum(m["norm"] ** 2 for m in last["modules"])) / last["norm"] - 1) < 1e-8'
hash=$(sed 's/.*"hash":"\([0-9a-f]*\)".*/\1/' <<<"$out")

# ---- there and back --------------------------------------------------------------------------------
run adapter export $made --format mlx --out "$work/mlx" --json
expect 0 "to mlx-lm"
json "what was written" 'last["formats"] == ["mlx"] and last["modules"] == 14 and last["left_out"] is None'
run adapter show "$work/mlx" --json
json "mlx-lm's has the same content" "last['hash'] == '$hash' and last['format'] == 'mlx'"
run adapter export "$work/mlx" --format peft --out "$work/peft"
expect 0 "and back"
same "the tensors" $made/adapter_model.safetensors "$work/peft/adapter_model.safetensors"
run adapter diff $made "$work/peft"
expect 0 "no difference"
run adapter import "$work/mlx" --out "$work/own" --json
expect 0 "import"
json "both forms" 'last["formats"] == ["peft", "mlx"]'
same "mlx-lm's form" "$work/mlx/adapters.safetensors" "$work/own/adapters.safetensors"
same "PEFT's form" $made/adapter_model.safetensors "$work/own/adapter_model.safetensors"
run adapter import "$work/mlx" --out "$work/again"
same "the same bytes" "$work/own/adapter_config.json" "$work/again/adapter_config.json"

# ---- diff ------------------------------------------------------------------------------------------
sed 's/"lora_alpha": 8/"lora_alpha": 12/' "$work/peft/adapter_config.json" >"$work/config"
cp -r "$work/peft" "$work/louder"
cp "$work/config" "$work/louder/adapter_config.json"
run adapter diff $made "$work/louder" --json
expect 1 "another scale"
json "it is half as much again" 'not last["equal"] and len(last["modules"]) == 14 and abs(last["distance"] - 0.5) < 1e-12 and last["modules"][0]["differs"] == ["scale", "values"]'
run adapter diff $made $golden/training/constant --json
expect 1 "another adapter"

# ---- GGUF ------------------------------------------------------------------------------------------
few=$golden/adapters plain=$golden/models/plain
run adapter show $few/peft.gguf --json
expect 0 "a GGUF without its base"
json "its own names" 'last["format"] == "gguf" and [m["name"] for m in last["modules"]] == ["blk.1.attn_k", "blk.1.attn_q", "blk.1.ffn_down"] and last["scale"] == 2'
run adapter diff $few/peft $few/peft.gguf --model $plain
expect 0 "the same as PEFT's, by the base"
run adapter diff $few/peft $few/peft.gguf
expect 1 "the same without the base" "give --model"
run adapter export $few/peft --format gguf --model $plain --out "$work/made.gguf" --json
expect 0 "to GGUF"
run adapter export $few/peft --format gguf --model $golden/models/plain-q8_0.gguf --out "$work/also.gguf"
expect 0 "to GGUF, by a GGUF base"
same "either base" "$work/made.gguf" "$work/also.gguf"
run adapter diff "$work/made.gguf" $few/peft.gguf
expect 0 "as the gguf package wrote it"
run adapter export "$work/made.gguf" --format peft --model $plain --out "$work/from_gguf"
expect 0 "and back"
same "the tensors" $few/peft/adapter_model.safetensors "$work/from_gguf/adapter_model.safetensors"
run adapter show $few/peft.gguf --model $plain --json
hash=$(sed 's/.*"hash":"\([0-9a-f]*\)".*/\1/' <<<"$out")
run adapter show $few/peft --json
json "one hash" "last['hash'] == '$hash'"
for base in $plain $golden/models/plain-q8_0.gguf; do
    for form in $few/peft $few/peft.gguf; do
        run generate --model $base --adapter-path $form --prompt-tokens 5,6,7,8 --max-tokens 8 --logprobs 3 --precision exact --json
        expect 0 "$form on $base"
        sed 's/,"prefill_tokens.*//' "$work/out" >"$work/said.${form##*/}"
    done
    same "what is generated on $base" "$work/said.peft" "$work/said.peft.gguf"
done
run adapter import $few/peft.gguf --out "$work/no"
expect 1 "GGUF without its base" "give --model"
run adapter export $few/peft --format gguf --out "$work/no.gguf"
expect 2 "to GGUF without the base" "give --model"
run adapter export $few/peft.gguf --format peft --model $golden/families/qwen2 --out "$work/no"
expect 1 "another architecture" 'the base'"'"'s is "qwen2"'

# ---- what is more than a pair ----------------------------------------------------------------------
for form in dora patterns; do
    run adapter export $few/$form --format mlx --out "$work/$form"
    expect 0 "$form to mlx-lm"
    run adapter diff $few/$form "$work/$form" --json
    json "$form: the change is the same" 'last["distance"] == 0 and all("values" not in m["differs"] for m in last["modules"])'
done
run adapter export "$work/dora" --format peft --out "$work/dora_back"
same "DoRA and back" $few/dora/adapter_model.safetensors "$work/dora_back/adapter_model.safetensors"
run adapter export $few/mlx_dora --format peft --out "$work/mlx_dora"
expect 0 "mlx-lm's DoRA to PEFT"
run adapter export "$work/mlx_dora" --format mlx --out "$work/mlx_back"
run adapter diff $few/mlx_dora "$work/mlx_back"
expect 0 "and back"
run adapter export $few/dora --format gguf --model $plain --out "$work/no.gguf"
expect 1 "DoRA to GGUF" "DoRA"
cp -r $few/patterns "$work/uneven"
sed -i 's/"down_proj": 16/"down_proj": 10/' "$work/uneven/adapter_config.json"
run adapter export "$work/uneven" --format mlx --out "$work/no"
expect 1 "a scale that cannot be folded" 'times the first one'"'"'s, and its numbers do not take that without rounding'
run adapter export $few/trained --format peft --out "$work/trained"
expect 0 "whole tensors to PEFT"
same "they" $few/trained/adapter_model.safetensors "$work/trained/adapter_model.safetensors"
run adapter export $few/trained --format mlx --out "$work/no"
expect 1 "whole tensors to mlx-lm" "token_adapter"
run adapter import $few/trained --out "$work/imported" --json
expect 0 "whole tensors imported"
json "without mlx-lm's form" 'last["formats"] == ["peft"] and "pairs alone" in last["left_out"]'
run adapter export $few/patterns --format mlx --out "$work/halves" --dtype float16
expect 0 "another type"
run adapter show "$work/halves" --json
json "it is" 'last["modules"][0]["dtype"] == "F16"'
run generate --model $plain --adapter-path $few/dora --prompt-tokens 5 --max-tokens 1
expect 1 "running DoRA" "use_dora"

# ---- what is refused, and leaves nothing -----------------------------------------------------------
run adapter export $made --format mlx --out "$work/mlx"
expect 1 "a folder that is there" "is there already"
run adapter export $made --format mlx --out "$work/mlx" --force
expect 0 "with --force"
mkdir "$work/mine"
echo precious >"$work/mine/file"
run adapter export $made --format mlx --out "$work/mine" --force
expect 1 "a folder that is no adapter's" "it is not replaced"
[ -e "$work/mine/file" ] || fail "a folder was replaced"
run adapter export "$work/peft" --format mlx --out "$work/peft/" --force
expect 1 "onto the source" "holds the adapter"
run adapter export $golden/families/gpt2.training --format mlx --out "$work/no"
expect 1 "names that depend on the base" "give --model"
run adapter export $golden/families/gpt2.training --format mlx --model $golden/families/gpt2 --out "$work/gpt2"
expect 0 "with the base"
run adapter show "$work/gpt2" --json
json "mlx-lm's names" 'last["modules"][0]["name"].startswith("model.h.0.")'
run adapter diff "$work/gpt2" $golden/families/gpt2.training --model $golden/families/gpt2
expect 0 "the same, by the base's names"
run adapter export $made --format mlx --model $golden/families/gpt2 --out "$work/no"
expect 1 "another base" "match nothing in the base model"
mkdir "$work/pickle"
touch "$work/pickle/adapter_model.bin"
run adapter show "$work/pickle"
expect 1 "a pickle" "weights_only=True"
run adapter export $made --format gif --out "$work/no"
expect 2 "a format that is none" "none of peft"
run adapter export $made --out "$work/no"
expect 2 "no format" "needs --format"
run adapter show $made $made
expect 2 "two adapters" "needs 1 adapter"
run adapter frobnicate
expect 2 "no such action" "show, diff, export, import"
(trap '' XFSZ; ulimit -f 8; "$lorac" adapter export $made --format mlx --out "$work/no" >"$work/out" 2>"$work/said")
status=$? out='' said=$(cat "$work/said")
expect 1 "a full disk" "cannot write"
work_is_clean
finish
