#!/usr/bin/env bash
# Compares crates/forest with its peers: installs them, trains the models, builds, measures, reports.
#   bench/run.sh [HARNESS ARGUMENT...]     without arguments: the whole run, which writes bench/results/forest.json and
#                                          docs/performance.md; with arguments: only what they ask for, written nowhere
# BENCH_VENV names a virtual environment that holds the wheels of bench/requirements.txt already.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"
require_rust
bench="$ROOT/target/bench"
venv=${BENCH_VENV:-$bench/venv}
export CARGO_TARGET_DIR=${BENCH_TARGET:-$bench/cargo}
mkdir -p "$bench"

# The wheels need Python 3.12 or newer.
find_python() {
    local candidate
    for candidate in python3.12 python3.13 python3 "$HOME"/.pyenv/versions/3.12.*/bin/python3; do
        if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 12))' \
            2>/dev/null; then
            PYTHON=$candidate
            return
        fi
    done
    die "no Python 3.12 or newer, which the peers need. Get it from https://www.python.org/downloads, then run this again."
}

if [ -z "${BENCH_VENV:-}" ]; then
    if stamp_is_fresh "$venv/.stamp" bench/requirements.txt; then
        say "already there: $venv"
    else
        find_python
        step "1/4" "installing the peers into target/bench/venv"
        "$PYTHON" -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement bench/requirements.txt
        stamp_write "$venv/.stamp" bench/requirements.txt
    fi
fi
step "2/4" "training the models that are not in target/bench/models yet"
"$venv/bin/python" bench/python/models.py "$bench/models"
step "3/4" "building the harness"
cargo build --release --manifest-path bench/Cargo.toml
step "4/4" "measuring, one thread on one processor"
BENCH_COMMIT=$(git rev-parse --short HEAD)$(git diff --quiet HEAD -- crates/forest || echo " with changes")
BENCH_RUSTC=$(rustc --version | cut -d' ' -f2)
BENCH_PYTHON=$("$venv/bin/python" -c 'import platform; print(platform.python_version())')
export BENCH_COMMIT BENCH_RUSTC BENCH_PYTHON
harness=("$CARGO_TARGET_DIR/release/tribunal-bench" --venv "$venv")
if [ $# -gt 0 ]; then exec "${harness[@]}" "$@"; fi
"${harness[@]}" --output bench/results/forest.json
"$venv/bin/python" bench/python/report.py
