#!/bin/bash
# test_usage.sh LORAC — help, wrong usage, missing files, adapter names, YAML: all that needs no model.
cd "$(dirname "$0")/../.." || exit 1
source tests/cli/helper.sh
export LORAC_CACHE=$work/cache
touch "$work/model.gguf"
mkdir "$work/data"
printf '{"text":"a"}\n' >"$work/data/train.jsonl"

# ---- help ----------------------------------------------------------------------------------------
for command in generate chat train eval data adapter convert tokenize inspect bench completions version help; do
    run $command --help
    expect 0 "help of $command"
    [[ "$out" == *"usage: lorac $command"* && "$out" == *Examples:* ]] || fail "help of $command is incomplete"
    run help $command
    expect 0 "help $command"
done
run train --help
[[ "$out" == *"(default: 1e-5)"* && "$out" == *"--lora-layers"* && "$out" == *"-c, --config"* ]] || fail "defaults and aliases in the help"
run --version
expect 0 "version"
run version --json
json "version" '"version" in last'
run
expect 2 "no command" "usage: lorac COMMAND"
run help --man
expect 0 "manual"
diff <(printf '%s\n' "$out") docs/lorac.1 >/dev/null || fail "docs/lorac.1 is not what 'lorac help --man' prints"
run completions bash
expect 0 "completions"
bash -n "$work/out" || fail "the bash completions are not a script"
complete_words() { bash -c 'source "$1"; COMP_WORDS=(lorac "${@:2}"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _lorac; echo "${COMPREPLY[@]}"' _ "$work/out" "$@"; }
[[ "$(complete_words tr)" == train ]] || fail "bash completes commands"
[[ "$(complete_words train --adapter-f)" == --adapter-format ]] || fail "bash completes options"
[[ "$(complete_words train --adapter-format b)" == both ]] || fail "bash completes values"
for shell in zsh fish; do run completions $shell; expect 0 "completions $shell"; done

# ---- wrong usage ---------------------------------------------------------------------------------
run generate --modle x
expect 2 "a wrong option" "did you mean --model?"
run generate --modle x --json
expect 2 "a wrong option with --json"
json "its object" 'last["error"]["kind"] == "usage" and "--model" in last["error"]["message"] and last["error"]["file"] == ""'
run trian
expect 2 "a wrong command" "did you mean train?"
run train --rank
expect 2 "no value" "--rank needs a value"
run train --rank eight
expect 2 "not a number" "--rank needs a whole number, not 'eight'"
run train --rank 0
expect 2 "out of bounds" "--rank must be at least 1"
run generate --max-tokens=-3
expect 2 "a negative count" "--max-tokens must not be negative"
run generate --temp nan
expect 2 "NaN" "--temp needs a number"
run generate --memory-limit 4Q
expect 2 "a bad size" "--memory-limit needs a size"
run generate --precision half
expect 2 "not a choice" "fast|exact"
run generate --kv-bits 4
expect 2 "a cache of 4 bits" "auto|8"
run generate --kv-group-size 32
expect 2 "a feature of mlx-lm that is not here" "--kv-group-size is not available"
run eval --split best --data "$work/data"
expect 2 "no such split" "train|valid|test"
run eval
expect 2 "no data" "needs --data"
run inspect a b
expect 2 "two files to inspect" "does not take the argument 'b'"
run completions
expect 2 "no shell" "needs bash|zsh|fish"
run tokenize --json
expect 2 "nothing to tokenize"
run tokenize --text a --tokens 1
expect 2 "two inputs"
run generate --prompt a --prompt-tokens 1
expect 2 "two prompts"
run bench --only prefill,nothing
expect 2 "not a phase" "prefill,decode,train,open"

# ---- training options ----------------------------------------------------------------------------
train() { run train --data "$work/data" --model "$work/none.gguf" "$@"; }
train --scale 1 --alpha 2
expect 2 "scale and alpha" "--scale or --alpha"
train --num-layers 0
expect 2 "no layers" "--num-layers"
train --fine-tune-type dora
expect 2 "DoRA" "dora"
train --fine-tune-type full
expect 2 "full" "full"
train --optimizer sgd
expect 2 "SGD" "sgd"
train --optimizer adam --weight-decay 0.1
expect 2 "adam with weight decay" "adam"
train --adapter-path "$work/a" --adapter-path "$work/b"
expect 2 "two output folders" "once"
train --report-to wandb
expect 2 "wandb" "--report-to is not available"
train --resume --resume-adapter-file x
expect 2 "two ways to resume"
train --train --lora-layers 4 --adapter-file "$work/a"
expect 1 "mlx-lm's spellings"

# ---- missing files -------------------------------------------------------------------------------
run generate --prompt x --json
expect 1 "no default model" "make demo"
json "its object" 'set(last["error"]) == {"message", "file", "kind"} and last["error"]["kind"] == "not_found"'
run generate --model "$work/model.gguf.missing" --prompt x --json
expect 1 "a missing model"
json "its object" 'set(last["error"]) == {"message", "file", "kind"} and last["error"]["file"].endswith(".missing")'
run generate --model some-org/some-model --json
expect 1 "a hub name" "hub"
run inspect "$work/nothing" --json
expect 1 "inspect nothing"
json "its object" '"error" in last'
run train -c "$work/none.yaml" --json
expect 1 "a missing config" "none.yaml"

# ---- adapter names: PATH[:SCALE] -------------------------------------------------------------------
adapter() { run generate --model "$work/model.gguf" --adapter-path "$1" --json; }
adapter "$work/none:0.5"
json "a scale is not part of the path" 'last["error"]["file"].endswith("/none")'
adapter "$work/none:-1e-3"
json "a negative scale" 'last["error"]["file"].endswith("/none")'
adapter "$work/none:fast"
json "not a number: all is path" 'last["error"]["file"].endswith("/none:fast")'
adapter "$work/none:inf"
json "not finite: all is path" 'last["error"]["file"].endswith("/none:inf")'
mkdir "$work/b:2"
adapter "$work/b:2"
json "what exists is the path" 'not last["error"]["message"].endswith("no such adapter")'

# ---- YAML ----------------------------------------------------------------------------------------
yaml() { printf '%b' "$1" >"$work/c.yaml"; run train -c "$work/c.yaml" --data "$work/data" --model "$work/none.gguf"; }
yaml 'iters: 5\nbatchsize: 2\n'
expect 2 "an unknown key" "c.yaml:2: unknown key batchsize; did you mean batch_size?"
yaml 'lora_parameters:\n  rank: 4\n  droput: 0\n'
expect 2 "an unknown nested key" "c.yaml:3: unknown key droput; did you mean dropout?"
yaml 'iters: [1, 2\n'
expect 2 "not YAML" "not YAML"
yaml 'rank: many\n'
expect 2 "a bad value" "c.yaml:1: --rank needs a whole number"
yaml 'report_to: wandb\n'
expect 2 "not here" "--report-to is not available"
yaml 'lr_schedule:\n  name: step_decay\n  arguments: [1e-4, 0.5, 10]\n'
expect 2 "a schedule that is not here" "cosine_decay"
yaml 'optimizer_config:\n  adamw:\n    betas: [0.8, 0.9]\n'
expect 2 "other betas" "betas"
yaml 'lora_parameters: {scale: 1, alpha: 2}\n'
expect 2 "scale and alpha" "--scale or --alpha"
yaml 'train: true\nfine_tune_type: lora\noptimizer_config:\n  adamw:\n    weight_decay: 0.1\nreport_to: null\ntest: false\ngrad_checkpoint: no\nclear_cache_threshold: 0\nlora_parameters:\n  keys: [self_attn.q_proj]\n  rank: 4\n  scale: 10.0\nlr_schedule:\n  name: cosine_decay\n  warmup: 100\n  arguments: [1e-5, 500]\n'
expect 1 "a good config gets as far as the model" "none.gguf"
yaml 'fine_tune_type: dora\n'
expect 2 "DoRA" "dora"
run train -c "$work/c.yaml" --fine-tune-type lora --data "$work/data" --model "$work/none.gguf"
expect 1 "the command line wins" "none.gguf"
LORAC_ISA=avx4096 run inspect "$work/none.gguf"
expect 1 "an instruction set that is none" 'no instruction set level "avx4096"'
finish
