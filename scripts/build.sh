#!/usr/bin/env bash
# Builds the four functions and the command line (release), and packs the functions: target/lambda/*.zip.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
require_rust
require_python
# A function's process ends where it panics, so nothing ever unwinds: its tables are a tenth of every program.
export RUSTFLAGS="${RUSTFLAGS:-} -C force-unwind-tables=no"
cargo build --release --locked --bins
"$PYTHON" scripts/package.py
