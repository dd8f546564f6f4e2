#!/usr/bin/env bash
# check_symbols.sh — what the shared library exports: only lorac_*, and exactly the names in tools/exported_symbols.txt.
#
# usage: check_symbols.sh [--update] [LIBRARY]     --update writes the list anew; LIBRARY: default build/release/liblorac.so
set -euo pipefail

root=$(dirname "$(cd "$(dirname "$0")" && pwd)")
list=$root/tools/exported_symbols.txt
update=no
if [ "${1:-}" = --update ]; then update=yes; shift; fi
library=${1:-$root/build/release/liblorac.so}
[ -f "$library" ] || { echo "check_symbols: no $library; run make first" >&2; exit 1; }

exported=$(nm -D --defined-only "$library" | awk '{print $NF}' | sed 's/@.*//' | LC_ALL=C sort -u)
if foreign=$(grep -v '^lorac_' <<<"$exported"); then
  printf 'exported without the prefix lorac_:\n%s\n' "$foreign" >&2
  exit 1
fi
if [ $update = yes ]; then printf '%s\n' "$exported" >"$list"; fi
diff -u --label exported_symbols.txt --label "$(basename "$library")" "$list" - <<<"$exported" ||
  { echo "the exported symbols changed; if that is meant: tools/check_symbols.sh --update" >&2; exit 1; }
echo "$(wc -l <<<"$exported") symbols, all lorac_* and on the list"
