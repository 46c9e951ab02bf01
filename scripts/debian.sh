#!/usr/bin/env bash
# Installs the Debian packages it is given where that is possible; else names those missing.
#
#   scripts/debian.sh PACKAGE...
set -euo pipefail

missing=()
for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' ||
        missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    printf 'set-up: installing the Debian packages %s\n' "${missing[*]}" >&2
    if { apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
            "${missing[@]}"; } >/dev/null; then
        exit 0
    fi
fi
printf 'set-up: not installed: %s; the tests that render or open a browser are skipped without \
them (Debian, Ubuntu: sudo apt-get install %s)\n' "${missing[*]}" "${missing[*]}" >&2
