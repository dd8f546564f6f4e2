#!/bin/bash
# test_data.sh LORAC — `lorac data check` on a folder of its own, with the tokenizer of a tiny model.
cd "$(dirname "$0")/../.." || exit 1
source tests/cli/helper.sh
data=$work/data
mkdir "$data"
say() { printf '{"messages":[{"role":"user","content":"%s"},{"role":"assistant","content":"%s"%s}]}\n' "$1" "$2" "${3:-}"; }
{ say Hi Hello; say Hi Hello; say Hi Yo ',"train":false'; say "a long question, longer than the others" "a long answer"; } >"$data/train.jsonl"
printf 'prompt,completion\nHi,Hello\n"What, ""now""?",x\n' >"$data/valid.csv"
check() { run data check "$data" --tokenizer tests/golden/models/plain "$@"; }

check --train-on assistant --max-seq-length 50 --json
expect 0 "data check"
json "rows" '[last["splits"][s]["rows"] for s in ("train", "valid")] == [4, 2] and "test" not in last["splits"]'
json "targets" '0 < last["splits"]["train"]["targets"] < last["splits"]["train"]["tokens"]'
json "rows without a target" 'last["splits"]["train"]["without_target"] == 1'
json "rows that stand twice" 'last["splits"]["train"]["duplicates"] == 1 and last["shared"] == [{"of": "valid", "in": "train", "rows": 1}]'
json "rows that are too long" 'last["splits"]["train"]["overlong"] == 1 and last["splits"]["train"]["longest"] > 50'
json "lengths" 'sum(b["rows"] for b in last["splits"]["train"]["lengths"]) == 4'
json "an example" '"".join(p["text"] for p in last["examples"][0]["pieces"] if p["target"]) == "Hello<|im_end|>\n"'
check --mask-prompt --examples 1
expect 0 "for people" ""
[[ "$out" == *"4 rows"* && "$out" == *"[[Hello<|im_end|>"* && "$out" == *"1 rows of valid are also in train"* ]] || fail "what people see: $out"
[[ "$out" != *$'\033'* ]] || fail "colours outside a terminal"
run data check "$work/nowhere" --tokenizer tests/golden/models/plain --json
expect 1 "no folder"
run data chekc "$data"
expect 2 "a wrong word" "knows \`check\`"
run data check --tokenizer tests/golden/models/plain
expect 2 "no folder given"
printf '{"text":"a"}\n{"txt":1}\n' >"$data/train.jsonl"
check
expect 1 "a bad line" "train.jsonl: line 2"
rm "$data/train.jsonl"
printf 'PAR1....PAR1' >"$data/train.parquet"
check
expect 1 "Parquet" "pandas.read_parquet"
finish
