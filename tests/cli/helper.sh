# helper.sh — what the command's tests share. Sourced with the command's path as $1.
set -u
lorac=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0 checks=0

# run ARGS…: sets $out, $said (standard error) and $status.
run() {
    "$lorac" "$@" >"$work/out" 2>"$work/said" </dev/null
    status=$?
    out=$(cat "$work/out") said=$(cat "$work/said")
}

fail() {
    failures=$((failures + 1))
    printf 'FAILED: %s\n  status %s\n  out: %.400s\n  said: %.400s\n' "$1" "$status" "$out" "$said"
}

# expect STATUS DESCRIPTION [TEXT that standard error must hold]
expect() {
    checks=$((checks + 1))
    [ "$status" -eq "$1" ] || { fail "$2: exit $status, expected $1"; return; }
    [ $# -lt 3 ] || [[ "$said" == *"$3"* ]] || fail "$2: standard error lacks '$3'"
}

# json DESCRIPTION EXPRESSION: a Python expression over `lines`, the objects on standard output, and `last`.
json() {
    checks=$((checks + 1))
    python3 - "$work/out" "$2" <<'PYTHON' || fail "$1: $2"
import json, math, os, sys
lines = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
last = lines[-1] if lines else None
sys.exit(not eval(sys.argv[2]))
PYTHON
}

finish() {
    printf '%d checks, %d failed\n' "$checks" "$failures"
    [ "$failures" -eq 0 ]
    exit $?
}
