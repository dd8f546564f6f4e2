#!/bin/bash
# test_model.sh LORAC — tokenize, generate, eval, train, resume, chat on a real model: $LORAC_TEST_MODEL or the
# cached default. Exit 77 (skipped) without one.
cd "$(dirname "$0")/../.." || exit 1
source tests/cli/helper.sh
model=${LORAC_TEST_MODEL:-${LORAC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lorac}/models/SmolLM2-135M-Instruct.Q4_1.gguf}
if [ ! -e "$model" ]; then
    echo "skipped: no model; run 'make demo' or set LORAC_TEST_MODEL"
    exit 77
fi
export LORAC_TEST_WORK=$work

# ---- tokenize --------------------------------------------------------------------------------------
run tokenize --model "$model" --text "Good morning. <|im_end|>" --json
expect 0 "tokenize"
json "ids" 'last["tokens"] and all(isinstance(i, int) for i in last["tokens"])'
ids=$(python3 -c 'import json,sys; print(",".join(map(str, json.load(open(sys.argv[1]))["tokens"])))' "$work/out")
run tokenize --model "$model" --tokens "$ids" --json
json "and back" 'last["text"] == "Good morning. <|im_end|>"'
printf '"one"\n"caf\\u00e9"\n' >"$work/lines"
run tokenize --tokenizer "$model" --lines "$work/lines" --json
json "lines" 'len(lines) == 2 and all(o["tokens"] for o in lines)'
printf '[{"role":"user","content":"Hi"}]' >"$work/chat.json"
run tokenize --model "$model" --chat "$work/chat.json" --json
json "a chat" '"Hi" in last["text"] and last["tokens"]'
run tokenize --model "$model" --tokens 99999999 --json
expect 1 "an id out of range"

# ---- generate --------------------------------------------------------------------------------------
generate() { run generate --model "$model" --json --max-tokens 8 --temp 0 "$@"; }
generate --raw --prompt "The capital of France is" --logprobs 3 --prompt-logprobs 2 --precision exact
expect 0 "generate"
json "keys" '{"prompt_tokens", "tokens", "text", "logprobs", "prompt_logprobs", "finish_reason", "prefill_tokens_per_second", "decode_tokens_per_second"} <= set(last)'
json "greedy is the likeliest" 'all(e["token"] == e["top"][0]["token"] and e["logprob"] == e["top"][0]["logprob"] for e in last["logprobs"])'
json "top falls" 'all(len(e["top"]) == 3 and sorted(e["top"], key=lambda t: (-t["logprob"], t["token"])) == e["top"] for e in last["logprobs"])'
json "log-probabilities of the prompt" 'last["prompt_logprobs"][0] is None and [e["token"] for e in last["prompt_logprobs"][1:]] == last["prompt_tokens"][1:]'
json "as many as tokens" 'len(last["logprobs"]) == len(last["tokens"]) <= 8'
cp "$work/out" "$work/greedy"
prompt=$(python3 -c 'import json,sys; print(",".join(map(str, json.load(open(sys.argv[1]))["prompt_tokens"])))' "$work/out")
generate --prompt-tokens "$prompt" --precision exact
json "from ids the same" 'last["tokens"] == json.load(open(os.environ["LORAC_TEST_WORK"] + "/greedy"))["tokens"]'
generate --raw --prompt "The capital of France is" --precision exact --threads 1
json "threads change nothing" 'last["tokens"] == json.load(open(os.environ["LORAC_TEST_WORK"] + "/greedy"))["tokens"]'
generate --raw --prompt "One, two, three," --temp 0.9 --seed 5
first=$out
generate --raw --prompt "One, two, three," --temp 0.9 --seed 5
json "a seed repeats" "last['tokens'] == json.loads(r'''$first''')['tokens']"
generate --raw --prompt "One, two, three, four, five, six," --stop " eight" --max-tokens 20 --ignore-eos
json "a stop text is no part of the text" '" eight" not in last["text"] and last["finish_reason"] in ("stop", "length")'
run generate --model "$model" --prompt Hi --max-tokens 4
expect 0 "plain text" "tokens/s"
generate --prompt-tokens 99999999
expect 1 "an id out of the vocabulary"

# ---- chat ------------------------------------------------------------------------------------------
printf 'Say hello.\n/reset\nSay hello.\n/quit\n' | "$lorac" chat --model "$model" --precision exact --max-tokens 6 >"$work/out" 2>"$work/said"
status=$? out=$(cat "$work/out") said=$(cat "$work/said")
expect 0 "chat" "anew"
[ "$(sed -n 1p "$work/out")" = "$(sed -n 2p "$work/out")" ] && [ -s "$work/out" ] || fail "after /reset the same answer"

# ---- train, eval, resume ---------------------------------------------------------------------------
mkdir "$work/data"
for i in 1 2 3 4 5 6 7 8; do
    printf '{"prompt":"Colour %d?","completion":"It is green, number %d."}\n' $i $i
done | tee "$work/data/train.jsonl" >"$work/data/valid.jsonl"
train() { run train --model "$model" --data "$work/data" --json --num-layers 2 --rank 4 --batch-size 2 --learning-rate 1e-3 --steps-per-report 2 --steps-per-eval 4 --save-every 2 "$@"; }
train --iters 8 --adapter-path "$work/whole" --plot "$work/loss.svg" --adapter-format both
expect 0 "train" "memory:"
json "events" '[e["event"] for e in lines][0] == "start" and lines[-1]["event"] == "done" and {"train", "valid"} <= {e["event"] for e in lines}'
json "start" 'lines[0]["trainable_parameters"] > 0 and lines[0]["memory_bytes"]["total"] > 0'
json "train" 'all({"iteration", "loss", "learning_rate", "target_tokens", "tokens_per_second", "peak_rss_bytes"} <= set(e) for e in lines if e["event"] == "train")'
json "done" 'set(last) == {"event", "iteration", "adapter_path", "best_iteration", "valid_loss"} and last["iteration"] == 8'
json "the log holds the same" '[json.loads(l) for l in open(os.environ["LORAC_TEST_WORK"] + "/whole/train.jsonl")] == lines'
for file in adapter_config.json adapter_model.safetensors adapters.safetensors state best checkpoints train.jsonl; do
    [ -e "$work/whole/$file" ] || fail "train left no $file"
done
python3 -c 'import sys, xml.dom.minidom as x; x.parse(sys.argv[1])' "$work/loss.svg" || fail "the plot is not XML"

run eval --model "$model" --data "$work/data" --json
expect 0 "eval"
json "perplexity" 'abs(last["perplexity"] / math.exp(last["loss"]) - 1) < 1e-6 and last["tokens"] > 0'
cp "$work/out" "$work/base"
run eval --model "$model" --data "$work/data" --json --adapter-path "$work/whole"
json "training lowered the loss" 'last["loss"] < json.load(open(os.environ["LORAC_TEST_WORK"] + "/base"))["loss"]'
run eval --model "$model" --data "$work/data" --json --adapter-path "$work/whole:0"
json "scale 0 is the base" 'last["loss"] == json.load(open(os.environ["LORAC_TEST_WORK"] + "/base"))["loss"]'
run eval --model "$model" --data "$work/data" --split test --json
expect 1 "a missing split" "test.jsonl"

train --iters 4 --adapter-path "$work/parts"
expect 0 "the first half"
train --iters 8 --adapter-path "$work/parts" --resume --adapter-format peft
expect 0 "the second half" "resuming"
cmp -s "$work/parts/adapter_model.safetensors" "$work/whole/adapter_model.safetensors" || fail "a resumed run differs from a whole one"
python3 - "$work" <<'PYTHON' || fail "the resumed log differs from a whole one"
import json, sys
def losses(name):
    events = map(json.loads, open(f"{sys.argv[1]}/{name}/train.jsonl"))
    return [(e["event"], e["iteration"], e["loss"]) for e in events if e["event"] in ("train", "valid")]
sys.exit(losses("parts") != losses("whole"))
PYTHON
train --iters 8 --adapter-path "$work/parts" --resume --rank 8
expect 1 "resuming with another rank"
train --num-layers 1000 --adapter-path "$work/other"
expect 2 "more layers than there are" "--num-layers 1000"

"$lorac" train --model "$model" --data "$work/data" --iters 100000 --adapter-path "$work/stopped" --num-layers 2 \
    >"$work/out" 2>"$work/said" </dev/null &
pid=$!
for _ in $(seq 100); do grep -q '"train"' "$work/stopped/train.jsonl" 2>/dev/null && break; sleep 0.2; done
kill -INT $pid
wait $pid
status=$? out=$(cat "$work/out") said=$(cat "$work/said")
expect 130 "Ctrl-C" "--resume"
[ -e "$work/stopped/adapter_model.safetensors" ] || fail "Ctrl-C did not save"
finish
