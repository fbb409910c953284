#!/bin/sh
# Trains everything that Tribunal ships, resumably: see README.md. Arguments go to `python -m tribunal_training`;
# `run.sh test` runs the tests of this folder instead.
set -eu
cd "$(dirname "$0")"
venv=work/venv
if ! cmp -s requirements.txt "$venv/requirements.txt"; then
    echo "training: installing the trainers into training/$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
    cp requirements.txt "$venv/requirements.txt"
fi
if [ "${1:-}" = test ]; then
    exec "$venv/bin/python" -m pytest -q tests
fi
if [ -z "${TRIBUNAL_BIN:-}" ]; then
    echo "training: building tribunal"
    (cd .. && cargo build --quiet --release --locked --bins)
fi
exec "$venv/bin/python" -m tribunal_training "$@"
