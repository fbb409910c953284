#!/usr/bin/env bash
# Builds the four functions and the command line (release), and packs the functions: target/lambda/*.zip.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
require_rust
require_python
cargo build --release --locked --bins
ensure_venv
"$VENV/bin/python" scripts/package.py
