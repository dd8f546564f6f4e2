#!/usr/bin/env bash
# bootstrap.sh — the system packages that building and testing need: found fast, installed when they are missing.
#
# usage: bootstrap.sh [--ci]      --ci: also what .ci/run needs: clang, clang-format, the sanitizers, a C++ compiler, git
# Knows apt, dnf and brew. Needs root or a sudo that asks nothing; otherwise it prints the line to run and exits 1.
# Says nothing when all is there.
set -euo pipefail

ci=no
case ${1:-} in
  --ci) ci=yes ;;
  "") ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

manager=none
for tool in apt-get dnf brew; do
  if command -v "$tool" >/dev/null; then manager=$tool; break; fi
done
# Homebrew keeps OpenSSL out of pkg-config's way, beside the system's own TLS.
if [ $manager = brew ]; then
  PKG_CONFIG_PATH=$(brew --prefix)/opt/openssl/lib/pkgconfig:${PKG_CONFIG_PATH:-}
  export PKG_CONFIG_PATH
fi

# ---- what is missing ------------------------------------------------------------------------------------------------
have() { command -v "$1"; }
library() { pkg-config --exists "$1"; }
c_compiler() { have cc && printf '#include <stdlib.h>\n' | cc -E -xc -; } # without the C library's headers it builds nothing
module() { python3 -c 'import importlib.util as u, sys; sys.exit(u.find_spec(sys.argv[1]) is None)' "$1"; }
archive_of_gcc() { case $(gcc -print-file-name="$1.so") in /*) ;; *) return 1 ;; esac; }
fuzzer_of_clang() {
  local folder
  folder=$(clang --print-runtime-dir) || return
  compgen -G "$folder/libclang_rt.fuzzer*" || compgen -G "${folder%/*}/linux/libclang_rt.fuzzer*"
}

missing=()
need() { # APT DNF BREW TEST…: a package's three names ("-": part of another) and the command that succeeds when it is there
  local package=$1
  case $manager in dnf) package=$2 ;; brew) package=$3 ;; esac
  shift 3
  [ "$package" != - ] || return 0
  "$@" >/dev/null 2>&1 || missing+=("$package")
}

find_missing() {
  missing=()
  need make             make               make       have make
  need cmake            cmake              cmake      have cmake
  need gcc              gcc                -          c_compiler
  need libc6-dev        glibc-devel        -          c_compiler
  need pkg-config       pkgconf-pkg-config pkg-config have pkg-config
  need libjansson-dev   jansson-devel      jansson    library jansson
  need libyajl-dev      yajl-devel         yajl       library yajl
  need libpcre2-dev     pcre2-devel        pcre2      library libpcre2-8
  need libutf8proc-dev  utf8proc-devel     utf8proc   library libutf8proc
  need libssl-dev       openssl-devel      openssl    library libcrypto
  need libyaml-dev      libyaml-devel      libyaml    library yaml-0.1
  need libcmocka-dev    libcmocka-devel    cmocka     library cmocka
  need python3          python3            python     have python3
  need python3-pip      python3-pip        -          module pip
  need python3-venv     -                  -          module ensurepip
  [ $ci = yes ] || return 0
  need git              git                git          have git
  need g++              gcc-c++            -            have c++
  need clang            clang              llvm         have clang
  need clang-format     clang-tools-extra  clang-format have clang-format
  need -                libasan            -            archive_of_gcc libasan
  need -                libubsan           -            archive_of_gcc libubsan
  need -                libtsan            -            archive_of_gcc libtsan
  need -                compiler-rt        -            fuzzer_of_clang
}

# ---- installing it --------------------------------------------------------------------------------------------------
become() { # how this user runs the package manager; fails where that would ask for a password
  if [ $manager = brew ] || [ "$(id -u)" = 0 ]; then return; fi
  sudo -n true 2>/dev/null && echo "sudo -n"
}

install() { # PACKAGE…
  local line root
  case $manager in
    apt-get) line="apt-get install -y --no-install-recommends $*" ;;
    dnf) line="dnf install -y $*" ;;
    brew) line="brew install $*" ;;
    none) echo "bootstrap: missing: $* (the names on Debian); no apt-get, dnf or brew here: install them by hand" >&2; exit 1 ;;
  esac
  if ! root=$(become); then
    [ $manager != apt-get ] || line="apt-get update && sudo $line"
    printf 'bootstrap: system packages are missing, and installing them needs root. Run:\n\n  sudo %s\n\n' "$line" >&2
    exit 1
  fi
  echo "bootstrap: installing $*" >&2
  if [ $manager = apt-get ]; then
    line="env DEBIAN_FRONTEND=noninteractive $line"
    # shellcheck disable=SC2086 # $root is a command and its flag, or nothing
    $root apt-get update -qq >&2 ||
      { echo "bootstrap: apt-get update failed: is this machine online, and are its package sources right?" >&2; exit 1; }
  fi
  # shellcheck disable=SC2086
  $root $line >&2 || { echo "bootstrap: failed: $line" >&2; exit 1; }
}

find_missing
[ ${#missing[@]} = 0 ] || install "${missing[@]}"
# Debian keeps libFuzzer's and the sanitizers' archives in a package named after clang's major version, so clang comes first.
if [ $ci = yes ] && [ $manager = apt-get ] && ! fuzzer_of_clang >/dev/null 2>&1; then
  install "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
fi
hash -r
find_missing
[ ${#missing[@]} = 0 ] || { echo "bootstrap: still missing after the installation: ${missing[*]}" >&2; exit 1; }
