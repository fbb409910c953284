#!/usr/bin/env bash
# Fuzzes crates/forest, by coverage and for a bounded time, on the stable toolchain (fuzz/src/main.rs says how).
#   scripts/fuzz.sh [--seconds N] [--keep] [TARGET...]    N seconds (4) for each target (all)
#     --keep: afterwards adds inputs that reach new code to fuzz/corpus, to be committed
#   scripts/fuzz.sh --run TARGET FILE...                  runs these inputs only
# It starts from fuzz/corpus, fuzz/regressions, models of tests/golden, and what earlier runs found (target/fuzz/found).
# An input that panics, takes more than a second or more than a gigabyte ends the run; it is left in target/fuzz/faults.
# Once the fault is mended, the input belongs into fuzz/regressions/TARGET, where `cargo test` runs it for ever.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
require_rust
command -v c++ >/dev/null || die "no C++ compiler (c++), which builds libFuzzer. Debian, Ubuntu: apt-get install g++"
ALL=(xgboost-ubj xgboost-json xgboost-binary xgboost-pickle lightgbm-text catboost-json catboost-cbm onnx
    tribunal-forest-json tribunal-compiled engines)
FUZZ="$ROOT/target/fuzz"
MAX_BYTES=20000
MEMORY_MIB=1024
KEEP_BYTES=3000 # of an input that is kept
KEEP_TOTAL=25000 # of all that are kept of a target

seconds=4 keep='' run=''
while [[ "${1:-}" == --* ]]; do
    case $1 in
        --seconds) seconds=$2; shift ;;
        --keep) keep=1 ;;
        --run) run=1 ;;
        *) die "no option $1" ;;
    esac
    shift
done

build() {
    local host; host=$(rustc -vV | sed -n 's/^host: //p')
    # No trace-compares: it takes two thirds of the time, and the seeds hold every magic number already.
    # The coverage pass goes into the crates that are linked, not into what runs while building: hence --target.
    local passes="-Cpasses=sancov-module"
    local option
    for option in level=4 inline-8bit-counters pc-table; do
        passes+=" -Cllvm-args=-sanitizer-coverage-$option"
    done
    RUSTFLAGS="$passes --cfg fuzzing" CARGO_TARGET_DIR="$FUZZ/cargo" \
        cargo build --release --locked --quiet --manifest-path fuzz/Cargo.toml --target "$host"
    FUZZER="$FUZZ/cargo/$host/release/tribunal-fuzz"
}

# fuzzer TARGET ARGUMENT...: with a memory limit, of which libFuzzer's tables are a part.
fuzzer() {
    local target=$1; shift
    (ulimit -v $((MEMORY_MIB * 1024)) && TRIBUNAL_FUZZ_TARGET=$target exec nice -n 10 "$FUZZER" -timeout=20 \
        -rss_limit_mb=$MEMORY_MIB -max_len=$MAX_BYTES "$@")
}

# The folders of a target's inputs, the one for new ones first.
folders() {
    local folder
    mkdir -p "$FUZZ/found/$1" "$FUZZ/faults"
    for folder in "$FUZZ/found/$1" "fuzz/corpus/$1" "fuzz/regressions/$1" "$FUZZ/seeds/$1"; do
        if [ -d "$folder" ]; then printf '%s\n' "$folder"; fi
    done
}

fuzz() {
    local target=$1 inputs
    mapfile -t inputs < <(folders "$target")
    fuzzer "$target" -max_total_time="$seconds" -print_final_stats=1 -reload=0 -len_control=50 \
        -artifact_prefix="$FUZZ/faults/$target-" "${inputs[@]}" >"$FUZZ/logs/$target" 2>&1
}

# Of what was found: inputs that together reach all code that the seeds do not. Compiled files are not kept, since a
# change of the compiled form or of a layout makes them worthless.
keep() {
    local target=$1 inputs total=0 file size merged="$FUZZ/merged"
    if [ "$target" = tribunal-compiled ]; then return; fi
    mapfile -t inputs < <(folders "$target")
    rm -rf "$merged"; mkdir -p "$merged" "fuzz/corpus/$target"
    if [ -d "$FUZZ/seeds/$target" ]; then cp "$FUZZ/seeds/$target/"* "$merged/"; fi
    fuzzer "$target" -set_cover_merge=1 -use_counters=0 "$merged" "${inputs[@]}" >"$FUZZ/logs/$target-merge" 2>&1
    while read -r size file; do
        if [ -e "$FUZZ/seeds/$target/${file##*/}" ]; then continue; fi
        total=$((total + size))
        if [ "$size" -le $KEEP_BYTES ] && [ $total -le $KEEP_TOTAL ]; then cp "$file" "fuzz/corpus/$target/"; fi
    done < <(find "$merged" -type f -printf '%s %p\n' | sort -n)
}

report() {
    local target log executions covered
    printf '    %-22s %12s %10s\n' target executions "code edges"
    for target in "$@"; do
        log="$FUZZ/logs/$target"
        executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
        printf '    %-22s %12s %10s\n' "$target" "${executions:-?}" "${covered:-?}"
    done
}

targets=("$@")
if [ $# -eq 0 ]; then targets=("${ALL[@]}"); fi
say "building the fuzzer"
build
if [ -n "$run" ]; then fuzzer "$1" "${@:2}"; exit; fi
mkdir -p "$FUZZ/logs"
rm -rf "$FUZZ/seeds"
TRIBUNAL_FUZZ_SEEDS="$FUZZ/seeds" "$FUZZER" 2>/dev/null || die "the models of tests/golden are not read: run cargo test"

say "${#targets[@]} targets, $seconds s each, $(nproc) at a time"
failed=()
declare -A running=()
reap() {
    local pid
    wait -n -p pid "${!running[@]}" || failed+=("${running[$pid]}")
    unset "running[$pid]"
}
for target in "${targets[@]}"; do
    while [ ${#running[@]} -ge "$(nproc)" ]; do reap; done
    fuzz "$target" &
    running[$!]=$target
done
while [ ${#running[@]} -gt 0 ]; do reap; done
report "${targets[@]}"
for target in "${failed[@]}"; do
    grep -v '^#' "$FUZZ/logs/$target" | tail -n 40
    say "$target failed; the log is $FUZZ/logs/$target, the input $(ls -t "$FUZZ/faults/$target"-* 2>/dev/null | head -n 1)"
done
[ ${#failed[@]} -eq 0 ] || die "${#failed[@]} of ${#targets[@]} targets failed"
if [ -n "$keep" ]; then
    for target in "${targets[@]}"; do keep "$target"; done
    say "kept in fuzz/corpus: $(find fuzz/corpus -type f | wc -l) inputs, $(cat fuzz/corpus/*/* | wc -c) bytes"
fi
