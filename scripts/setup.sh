#!/usr/bin/env bash
# Makes the virtual environment VENV and installs into it. Safe to run again.
#
#   scripts/setup.sh VENV PIP-ARGUMENT...
#
# PYTHON names the interpreter to use; TORCH_INDEX a package index to take PyTorch from.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    printf 'set-up: %s\n' "$1" >&2
    exit 1
}

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' 2>/dev/null
}

find_python() {
    local name candidates=(python3 python3.13 python3.12 python3.11 python3.10)
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for name in "${candidates[@]}"; do
        supported "$name" && printf '%s' "$name" && return
    done
    return 1
}

install_debian() {
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
    printf 'set-up: installing the Debian packages %s\n' "$*" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$@"; } >&2
}

make_venv() {
    local venv=$1 python package
    python=$(find_python) || { [ -z "${PYTHON:-}" ] && install_debian python3 python3-venv &&
        python=$(find_python); } ||
        fail "no Python 3.10 to 3.13 found${PYTHON:+ under PYTHON=$PYTHON}; install one (Debian, \
Ubuntu: sudo apt-get install python3 python3-venv) or name one: make PYTHON=/path/to/python3"
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        install_debian "$package" && "$python" -c 'import ensurepip, venv' ||
            fail "$python cannot make virtual environments; run: sudo apt-get install $package"
    fi
    "$python" -m venv --clear "$venv"
}

[ $# -ge 2 ] || fail "given $# arguments; expected scripts/setup.sh VENV PIP-ARGUMENT..."
venv=$1
shift
if ! { supported "$venv/bin/python" && "$venv/bin/python" -m pip --version; } >/dev/null 2>&1; then
    make_venv "$venv"
fi
"$venv/bin/python" -m pip install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} "$@" ||
    fail "pip could not install $* into $venv; its message stands above"
