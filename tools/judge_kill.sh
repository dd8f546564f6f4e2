#!/usr/bin/env bash
# judge_kill.sh — a run that is killed and resumed ends with the weights of one that was left alone, bit for bit; where the output
# cannot be written, the error is clear and the last checkpoint whole.
#
# usage: judge_kill.sh LORAC MODEL [ROUNDS] [SEED]
# Each round kills −9 at random moments during `train --save-every 2`, then resumes until the run is done. Then: a full disk (a
# small tmpfs in a mount namespace of its own; where that is not allowed, a limit on the file size) and a read-only output folder.
set -uo pipefail
[ $# -ge 2 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
exe=$(realpath "$1") model=$(realpath "$2") rounds=${3:-4}
RANDOM=${4:-1}
work=$(mktemp -d)
child=
trap '[ -z "$child" ] || kill -9 "$child" 2>/dev/null; rm -rf "$work"' EXIT
failed=0
say() { printf '%s %s\n' "$1" "$2"; [ "$1" = ok ] || failed=1; }

# Rows of differing lengths, so that batches are ragged and the order of an epoch shows in the weights.
mkdir "$work/data"
for i in $(seq 1 14); do
  words="one two three"
  for _ in $(seq 1 $((RANDOM % 12))); do words="$words word $RANDOM"; done
  printf '{"text": "row %d: %s"}\n' "$i" "$words"
done >"$work/data/train.jsonl"
head -3 "$work/data/train.jsonl" >"$work/data/valid.jsonl"

iterations=30
options=(--model "$model" --data "$work/data" --iters $iterations --batch-size 2 --rank 4 --learning-rate 1e-3 --dropout 0.1
         --grad-accumulation-steps 3 --lr-schedule cosine --warmup 2 --save-every 2 --steps-per-eval 7 --steps-per-report 5 --json)
train() { # OUT [flags]: one run
  local out=$1
  shift
  "$exe" train "${options[@]}" --adapter-path "$out" "$@"
}
milliseconds() { echo $(($(date +%s%N) / 1000000)); }
same() { cmp -s "$work/whole/adapter_model.safetensors" "$1/adapter_model.safetensors"; }
resumable() { [ -d "$1/state" ] && [ -n "$(ls -A "$1/state")" ] && echo --resume; }

length=
for run in whole twice; do # the shorter one says how long to wait for a kill
  start=$(milliseconds)
  train "$work/$run" >"$work/log" 2>&1 || { tail -3 "$work/log"; say FAIL "an uninterrupted run"; exit 1; }
  took=$(($(milliseconds) - start))
  [ -n "$length" ] && [ "$length" -lt $took ] || length=$took
done
if same "$work/twice"; then say ok "two uninterrupted runs ($length ms) are equal"; else say FAIL "two uninterrupted runs differ"; fi

kill_and_resume() { # OUT: trains there to the end, killed at random moments; counts `kills` and `resumes`; 1 where a run failed by itself
  local out=$1 tries=0 wait_ms status resume
  kills=0 resumes=0
  while :; do
    resume=$(resumable "$out")
    [ -z "$resume" ] || resumes=$((resumes + 1))
    # A plain command, so that $! is the program itself.
    "$exe" train "${options[@]}" --adapter-path "$out" ${resume:+"$resume"} >"$work/log" 2>&1 &
    child=$!
    if [ $((tries++)) -lt 12 ]; then
      wait_ms=$((RANDOM * (length + 1) / 32768 / (1 + RANDOM % 3)))
      sleep "$(printf '%d.%03d' $((wait_ms / 1000)) $((wait_ms % 1000)))"
      kill -9 $child 2>/dev/null
    fi
    wait $child 2>/dev/null
    status=$?
    child=
    if [ $status = 137 ]; then kills=$((kills + 1)); continue; fi
    [ $status = 0 ] && grep -q '"done"' "$work/log"
    return
  done
}

resumed=0
for round in $(seq 1 "$rounds"); do
  for again in 1 2 3 4 5; do # a round that no kill hit proves nothing: once more, sooner
    out=$work/round$round.$again
    kill_and_resume "$out"
    ended=$?
    [ $ended = 0 ] && [ $kills = 0 ] || break
    length=$((length / 2))
  done
  resumed=$((resumed + resumes))
  if [ $ended != 0 ]; then tail -3 "$work/log"; say FAIL "round $round: a run failed after $kills kills"
  elif [ $kills = 0 ]; then say FAIL "round $round: every run ended before its kill"
  elif same "$out"; then say ok "round $round: killed $kills times, resumed $resumes, weights bit-equal"
  else say FAIL "round $round: killed $kills times, resumed $resumes, weights differ"; fi
done
[ $resumed -gt 0 ] || say FAIL "no round got as far as a checkpoint before its kills: nothing was resumed"

# ---- where nothing can be written ---------------------------------------------------------------
clear_error() { # LOG STATUS WORDS: exit 1, and a sentence that names a file and a reason
  [ "$2" = 1 ] && grep -q '"error"' "$1" && grep -qiE "$3" "$1"
}
whole() { # DIR: the adapter there opens
  "$exe" generate --model "$model" --adapter-path "$1" --prompt-tokens 5,6,7 --max-tokens 1 --json >"$work/open.log" 2>&1
}
after_full() { # OUT STATUS: judged while the disk is full or the limit holds
  if clear_error "$work/full.log" "$2" 'space|too large|quota'; then say ok "full disk: exit 1 and a clear error"
  else tail -2 "$work/full.log"; say FAIL "full disk: exit $2, no clear error"; fi
  if [ ! -e "$1/adapter_model.safetensors" ] || whole "$1"; then say ok "full disk: what is there opens"
  else tail -2 "$work/open.log"; say FAIL "full disk: the adapter left behind is damaged"; fi
}
resume_after_full() { # OUT
  local resume
  resume=$(resumable "$1")
  train "$1" ${resume:+"$resume"} >"$work/log" 2>&1
  if same "$1"; then say ok "full disk: resumed with space, weights bit-equal"; else tail -2 "$work/log"; say FAIL "full disk: resumed, weights differ"; fi
}

# A tmpfs that holds the first third of what the run wrote.
kilobytes=$(du -sk "$work/whole" | cut -f1)
mkdir "$work/small" "$work/fixed"
export -f train say same whole clear_error after_full resume_after_full resumable
namespace=(unshare --mount)
[ "$(id -u)" = 0 ] || namespace+=(--map-root-user)
if "${namespace[@]}" mount -t tmpfs tmpfs "$work/small" 2>/dev/null; then
  declare -p options exe model work >"$work/variables"
  KILOBYTES=$((kilobytes / 3 + 16)) WORK=$work "${namespace[@]}" bash -c '
    source "$WORK/variables"; failed=0
    mount -t tmpfs -o size=${KILOBYTES}k tmpfs "$work/small" || exit 3
    train "$work/small/out" >"$work/full.log" 2>&1; after_full "$work/small/out" $?
    mount -o remount,size=1g "$work/small"; resume_after_full "$work/small/out"
    mount -t tmpfs -o ro tmpfs "$work/fixed" || exit 3
    train "$work/fixed/out" >"$work/fixed.log" 2>&1; status=$?
    if clear_error "$work/fixed.log" $status "read-only"; then say ok "read-only folder: exit 1 and a clear error"
    else tail -2 "$work/fixed.log"; say FAIL "read-only folder: exit $status, no clear error"; fi
    exit $failed'
  failed=$((failed | $?))
else
  echo "     (no mount namespace here: a limit on the file size instead of a full disk)"
  bytes=$(stat -c %s "$work/whole/adapter_model.safetensors")
  ( trap '' XFSZ; ulimit -f $((bytes / 1024 / 2 + 1)); train "$work/small/out" >"$work/full.log" 2>&1 )
  after_full "$work/small/out" $?
  resume_after_full "$work/small/out"
  chmod 555 "$work/fixed"
  train "$work/fixed/out" >"$work/fixed.log" 2>&1
  status=$?
  if [ "$(id -u)" = 0 ]; then echo "     (root writes everywhere: the read-only folder is left out)"
  elif clear_error "$work/fixed.log" $status 'permission|read-only'; then say ok "read-only folder: exit 1 and a clear error"
  else tail -2 "$work/fixed.log"; say FAIL "read-only folder: exit $status, no clear error"; fi
  chmod 755 "$work/fixed"
fi
exit $failed
