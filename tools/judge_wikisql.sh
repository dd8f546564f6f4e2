#!/usr/bin/env bash
# judge_wikisql.sh — 250 iterations on WikiSQL: rank 8, scale 20, all linears of the last 16 layers, learning rate 1e-4, constant, batch 4,
# on the Q4_1 default model, precision fast. The loss on the whole validation set must end at most at 1.46 for every seed
# (PEFT in bf16: 1.433 and 1.444 from 3.177).
#
# usage: judge_wikisql.sh LORAC MODEL.gguf DATA [SEED…]      default seeds 0 1 2; exit 1 when one misses
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2; }
exe=$1 model=$2 data=$3
shift 3
[ $# -gt 0 ] || set -- 0 1 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
loss() { sed -n 's/.*"loss": *\([0-9.]*\).*/\1/p'; }
bad=0
for seed in "$@"; do
  begin=$(date +%s)
  "$exe" train --model "$model" --data "$data" --iters 250 --batch-size 4 --rank 8 --scale 20 --num-layers 16 --learning-rate 1e-4 --seed "$seed" \
    --steps-per-eval 1000 --val-batches 1 --save-every 1000 --steps-per-report 50 --adapter-path "$work/$seed" --json >"$work/$seed.log"
  took=$(($(date +%s) - begin))
  final=$("$exe" eval --model "$model" --data "$data" --split valid --adapter-path "$work/$seed" --json | loss)
  if awk -v l="$final" 'BEGIN { exit !(l != "" && l <= 1.46) }'; then verdict=ok; else verdict=FAIL bad=1; fi
  echo "$verdict seed $seed: validation loss $final (bound 1.46), $took s of training"
done
exit $bad
