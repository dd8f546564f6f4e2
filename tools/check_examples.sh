#!/usr/bin/env bash
# check_examples.sh — the examples, built as a user builds them: against the installed library, found through pkg-config.
#
# usage: check_examples.sh [BUILD]     BUILD: an already built folder; default build/release
# Each example has under 100 lines and, called without arguments, says how it is used and exits 2.
set -euo pipefail

root=$(dirname "$(cd "$(dirname "$0")" && pwd)")
build=${1:-$root/build/release}
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
cmake --install "$build" --prefix "$prefix" >/dev/null ||
  { echo "check_examples: $build could not be installed; run make first" >&2; exit 1; }

found=$(find "$prefix" -name lorac.pc)
[ -n "$found" ] || { echo "check_examples: the installation has no lorac.pc" >&2; exit 1; }
export PKG_CONFIG_PATH=${found%/*}${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
read -ra cflags <<<"$(pkg-config --cflags lorac)"
read -ra libs <<<"$(pkg-config --libs lorac)"
LD_LIBRARY_PATH=$(pkg-config --variable=libdir lorac)
export LD_LIBRARY_PATH

failed=0 count=0
complain() { echo "$name: $*" >&2; failed=1; }
for source in "$root"/examples/*.c; do
  [ -f "$source" ] || { echo "check_examples: no examples/*.c" >&2; exit 1; }
  name=examples/${source##*/} program=$prefix/example count=$((count + 1))
  lines=$(wc -l <"$source")
  [ "$lines" -lt 100 ] || complain "$lines lines; an example has under 100"
  "${CC:-cc}" -std=c11 -Wall -Wextra -Werror "${cflags[@]}" "$source" -o "$program" "${libs[@]}" ||
    { complain "does not build against the installed library"; continue; }
  status=0
  said=$("$program" 2>&1 </dev/null) || status=$?
  [ $status = 2 ] || complain "exit $status without arguments, expected 2: $said"
  grep -qi usage <<<"$said" || complain "says no usage without arguments: $said"
done
[ $failed = 1 ] || echo "$count examples build against the installed library and say how they are used"
exit $failed
