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
