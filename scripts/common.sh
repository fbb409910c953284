# Shared by the scripts of this folder: messages, tool checks, the Python environment. Sourced, never run.
# shellcheck shell=bash
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"

VENV="$ROOT/.venv"
# Scripts and the CDK app look for binaries and zips in target/, wherever a person's cargo builds otherwise.
export CARGO_TARGET_DIR="$ROOT/target"
STARTED=$SECONDS

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' red=$'\e[31m' reset=$'\e[0m'; else bold='' red='' reset=''; fi

# step "3/8" "what it does": a headline with the time since the start.
step() { printf '%s==> [%s] %s%s  (%ds)\n' "$bold" "$1" "$2" "$reset" $((SECONDS - STARTED)); }
say() { printf '    %s\n' "$*"; }
die() { printf '%serror:%s %s\n' "$red" "$reset" "$*" >&2; exit 1; }

# at_least HAVE WANT: whether version HAVE is WANT or newer.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

require_rust() {
    command -v cargo >/dev/null || die "Rust is not installed. Get it from https://rustup.rs, then run this again."
    local have; have=$(rustc --version | cut -d' ' -f2)
    at_least "$have" 1.94.1 || die "Rust $have is too old: 1.94.1 or newer is needed. Run: rustup update stable"
    command -v cc >/dev/null || die "no C compiler (cc), which Rust links with. Debian, Ubuntu: apt-get install gcc libc6-dev"
}

require_node() {
    command -v node >/dev/null && command -v npm >/dev/null ||
        die "Node.js is not installed. Get version 20 or newer from https://nodejs.org, then run this again."
    local have; have=$(node --version); have=${have#v}
    at_least "$have" 20.0.0 || die "Node.js $have is too old: 20 or newer is needed. See https://nodejs.org"
}

# Sets PYTHON to a Python 3.11 or newer.
require_python() {
    local candidate
    for candidate in python3.11 python3 python3.12 python3.13; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            PYTHON=$candidate
            "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
                die "$PYTHON cannot make virtual environments. Debian, Ubuntu: apt-get install python3-venv"
            return
        fi
    done
    die "no Python 3.11 or newer. Get it from https://www.python.org/downloads, then run this again."
}

# stamp FILE INPUT...: 0 when FILE records the present content of the inputs (nothing to do).
stamp_is_fresh() { local stamp=$1; shift; [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(cat "$@" | cksum)" ]; }
stamp_write() { local stamp=$1; shift; cat "$@" | cksum >"$stamp"; }

# The Python environment with the local AWS (ministack) and the test runner.
ensure_venv() {
    if stamp_is_fresh "$VENV/.stamp" tests/requirements.txt; then say "already there: .venv"; return; fi
    say "installing ministack and pytest into .venv"
    "$PYTHON" -m venv "$VENV"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
    stamp_write "$VENV/.stamp" tests/requirements.txt
}

# Node packages of the CDK app and of the state machine's tests.
ensure_npm() {
    if stamp_is_fresh node_modules/.stamp package-lock.json; then say "already there: node_modules"; return; fi
    say "installing the CDK and its tools into node_modules"
    npm ci --no-audit --no-fund --loglevel=error
    stamp_write node_modules/.stamp package-lock.json
}

# The compiled address ranges, from npm packages of fixed versions. Needs the built `tribunal`.
ensure_dataset() {
    local tribunal=$1 out=datasets/ip-ranges.bin packages=datasets/node_modules/@ip-location-db
    if stamp_is_fresh datasets/node_modules/.stamp datasets/package-lock.json "$tribunal" && [ -f "$out" ]; then
        say "already there: $out"; return
    fi
    say "installing address ranges (ASN: CC BY 4.0, country: CC0) and compiling them to $out"
    npm ci --prefix datasets --no-audit --no-fund --loglevel=error
    "$tribunal" dataset compile \
        --asn "$packages/asn/asn-ipv4.csv" --asn "$packages/asn/asn-ipv6.csv" \
        --country "$packages/geo-whois-asn-country/geo-whois-asn-country-ipv4.csv" \
        --country "$packages/geo-whois-asn-country/geo-whois-asn-country-ipv6.csv" \
        --output "$out"
    stamp_write datasets/node_modules/.stamp datasets/package-lock.json "$tribunal"
}
