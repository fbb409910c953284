#!/usr/bin/env bash
# Everything that CI runs; with an argument, one part of it.
#   scripts/test.sh [lint | rust | sanitize | fuzz | package | node | python | e2e]
# Not in CI, for it takes options of rustc that are not stable:
#   scripts/test.sh asan      the tests of the engines' kernels with AddressSanitizer, AVX-512 included
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
PARTS=(lint rust sanitize fuzz package node python e2e)
CARGO_DENY_VERSION=0.20.2

ensure_cargo_deny() {
    local deny="$ROOT/.tools/bin/cargo-deny"
    if [ -x "$deny" ] && [ "$("$deny" --version)" = "cargo-deny $CARGO_DENY_VERSION" ]; then return; fi
    say "installing cargo-deny $CARGO_DENY_VERSION into .tools (minutes, once)"
    cargo install cargo-deny --version "$CARGO_DENY_VERSION" --locked --debug --quiet --root "$ROOT/.tools"
}

part_lint() {
    cargo fmt --all --check || die "the code is not formatted: run \`make fmt\`"
    cargo clippy --workspace --all-targets --locked -- --deny warnings
    ensure_cargo_deny
    "$ROOT/.tools/bin/cargo-deny" check licenses bans sources
}
part_rust() {
    local server
    # Tests of what talks to AWS start a local one from .venv.
    ensure_venv
    for server in mariadb mongodb; do
        scripts/servers.sh check "$server" || say "left out: the cases of the sources' tests that need it"
    done
    cargo test --workspace --locked
}
# The engines' kernels have the crate's only unchecked reads and writes: their own tests, and models of every layout,
# under valgrind. It shows processors with AVX2 and without AVX-512.
part_sanitize() {
    if ! command -v valgrind >/dev/null; then
        say "left out: valgrind is not installed. Debian, Ubuntu: apt-get install valgrind"
        return
    fi
    local built binaries binary filters failed=''
    built=$(cargo test --workspace --locked --no-run 2>&1) || die "$built"
    mapfile -t binaries < <(sed -nE 's/.*\((.*\/(tribunal_forest|corpus)-[0-9a-f]+)\)$/\1/p' <<<"$built")
    [ ${#binaries[@]} -eq 2 ] || die "not two test binaries: ${binaries[*]}"
    for binary in "${binaries[@]}"; do
        case $binary in */corpus-*) filters=(small_models) ;; *) filters=(engine:: shap::) ;; esac
        # Reads miss by cache lines: valgrind puts a kilobyte around every buffer.
        valgrind --quiet --error-exitcode=9 --redzone-size=1024 \
            "$binary" --test-threads=1 "${filters[@]}" >"$binary.valgrind" 2>&1 &
    done
    for binary in "${binaries[@]}"; do wait -n || failed=1; done
    for binary in "${binaries[@]}"; do
        if [ -n "$failed" ]; then cat "$binary.valgrind"; fi
        grep -E '^test result: ok. [1-9]' "$binary.valgrind" || failed=1
    done
    [ -z "$failed" ] || die "the kernels' tests fail under valgrind"
}
part_asan() {
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR="$ROOT/target/asan" \
        cargo test --locked -p tribunal-forest --lib --test corpus \
        --target "$(rustc -vV | sed -n 's/^host: //p')" -- engine:: shap:: small_models
}
part_fuzz() {
    if command -v c++ >/dev/null; then
        scripts/fuzz.sh
    else
        say "left out: no C++ compiler (c++), which builds libFuzzer. Debian, Ubuntu: apt-get install g++"
    fi
}
part_package() { scripts/build.sh; }
part_node() { ensure_npm; npm test; }
part_python() {
    local environment="$ROOT/.tools/training"
    if ! stamp_is_fresh "$environment/.stamp" training/requirements.txt; then
        say "installing the trainers into .tools/training"
        "$PYTHON" -m venv "$environment"
        "$environment/bin/python" -m pip install --quiet --disable-pip-version-check -r training/requirements.txt
        stamp_write "$environment/.stamp" training/requirements.txt
    fi
    "$environment/bin/python" -m pytest -q training/tests
}
part_e2e() {
    ensure_venv
    ensure_npm
    ensure_dataset target/release/tribunal
    "$VENV/bin/python" -m pytest -q tests/e2e
}

selected=("$@")
if [ $# -eq 0 ]; then selected=("${PARTS[@]}"); fi
require_rust; require_node; require_python
number=0
for part in "${selected[@]}"; do
    declare -F "part_$part" >/dev/null || die "no part '$part': one of ${PARTS[*]}"
    number=$((number + 1))
    step "$number/${#selected[@]}" "$part"
    "part_$part"
done
say "all passed in $((SECONDS - STARTED)) s: ${selected[*]}"
