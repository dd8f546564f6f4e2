#!/usr/bin/env bash
# test.sh — every test of a built folder. The last line is "N passed, N failed" and, where tests were skipped, ", N skipped".
#
# usage: test.sh [BUILD [CTEST-OPTION…]]     BUILD: default build/release. Exit 1 when a test fails or none is there.
set -uo pipefail

root=$(dirname "$(cd "$(dirname "$0")" && pwd)")
build=${1:-$root/build/release}
[ $# = 0 ] || shift
junit=$(mktemp)
trap 'rm -f "$junit"' EXIT
jobs=$(getconf _NPROCESSORS_ONLN)
ctest --test-dir "$build" --output-on-failure --no-tests=error -j "$jobs" --output-junit "$junit" "$@"
status=$?
python3 - "$junit" $status <<'PYTHON'
import sys, xml.etree.ElementTree as tree
path, status = sys.argv[1], int(sys.argv[2])
passed = failed = skipped = 0
try: cases = list(tree.parse(path).iter("testcase"))
except tree.ParseError: cases = []  # ctest stopped before it wrote its results
for case in cases:
    # A test that could not be started has <skipped> as well: only a test's own word counts as one.
    words = " ".join(s.get("message", "") for s in case.iter("skipped"))
    if case.get("status") == "run": passed += 1
    elif case.get("status") == "disabled" or words.startswith("SKIP_"): skipped += 1
    else: failed += 1
bad = failed or status or not passed
if bad and not failed: print(f"ctest ended with {status} and {len(cases)} results; what it said stands above")
print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
sys.exit(1 if bad else 0)
PYTHON
