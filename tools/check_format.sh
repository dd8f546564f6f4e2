#!/usr/bin/env bash
# check_format.sh — every tracked .c and .h is as clang-format leaves it.
#
# usage: check_format.sh [--fix]     --fix formats the files in place
set -euo pipefail

cd "$(dirname "$0")/.."
command -v clang-format >/dev/null || { echo "check_format: clang-format is missing; run tools/bootstrap.sh --ci" >&2; exit 1; }
mapfile -d '' files < <(git ls-files -z '*.c' '*.h')
[ ${#files[@]} -gt 0 ] || { echo "check_format: no tracked .c or .h files here" >&2; exit 1; }
if [ "${1:-}" = --fix ]; then
  clang-format -i "${files[@]}"
elif ! clang-format --dry-run -Werror --ferror-limit=3 "${files[@]}"; then
  echo "not formatted; run make format" >&2
  exit 1
fi
echo "${#files[@]} files formatted"
