#!/usr/bin/env bash
# Measures what sources and extraction must reach: builds, measures, reports.
#   bench/sources/run.sh [HARNESS ARGUMENT...]     without arguments: the whole run, which writes bench/results/sources.json
#                                                  and docs/performance-sources.md; with arguments: only what they ask for
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"
require_rust
export CARGO_TARGET_DIR=${BENCH_TARGET:-$ROOT/target/bench/sources}
step "1/2" "building the harness"
cargo build --release --manifest-path bench/sources/Cargo.toml
step "2/2" "measuring"
BENCH_COMMIT=$(git rev-parse --short HEAD)$(git diff --quiet HEAD -- crates functions || echo " with changes")
BENCH_RUSTC=$(rustc --version | cut -d' ' -f2)
export BENCH_COMMIT BENCH_RUSTC
harness="$CARGO_TARGET_DIR/release/tribunal-bench-sources"
if [ $# -gt 0 ]; then exec "$harness" "$@"; fi
"$harness" --output bench/results/sources.json --page docs/performance-sources.md
