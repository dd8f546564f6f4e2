#!/usr/bin/env bash
# check_headers.sh — every public header compiles alone, as C11 and as C++17, without a warning.
#
# usage: check_headers.sh [FOLDER]     FOLDER holds lorac/*.h; default: the repository's include
set -euo pipefail

include=${1:-$(dirname "$(cd "$(dirname "$0")" && pwd)")/include}
strict=(-Wall -Wextra -Werror -pedantic -fsyntax-only -I "$include")
failed=0 count=0
for header in "$include"/lorac/*.h; do
  [ -f "$header" ] || { echo "check_headers: no headers in $include/lorac" >&2; exit 1; }
  count=$((count + 1))
  line="#include <lorac/${header##*/}>"
  # Twice: a header without its guard fails.
  printf '%s\n%s\nint c;\n' "$line" "$line" | "${CC:-cc}" -xc -std=c11 "${strict[@]}" - ||
    { echo "lorac/${header##*/} does not stand alone as C11" >&2; failed=1; }
  printf '%s\n%s\nint c;\n' "$line" "$line" | "${CXX:-c++}" -xc++ -std=c++17 "${strict[@]}" - ||
    { echo "lorac/${header##*/} does not stand alone as C++17" >&2; failed=1; }
done
[ $failed = 1 ] || echo "$count headers stand alone as C11 and as C++17"
exit $failed
