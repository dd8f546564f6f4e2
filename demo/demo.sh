#!/bin/sh
# Shows a language model learn something it did not know, in at most three minutes: `make demo` builds and runs this.
# usage: demo/demo.sh [LORAC]        the command to use, build/release/lorac by default
set -eu
cd "$(dirname "$0")/.."
lorac=${1:-build/release/lorac}
[ -x "$lorac" ] || { echo "demo: $lorac is not built: run make first" >&2; exit 1; }
model=$(tools/get_model.sh)
exec python3 demo/demo.py "$lorac" "$model" build/demo
