#!/usr/bin/env bash
# Everything that CI runs; with an argument, one part of it.
#   scripts/test.sh [lint | rust | package | node | python | e2e]
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
PARTS=(lint rust package node python e2e)
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
part_rust() { cargo test --workspace --locked; }
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
