#!/bin/sh
# Trains everything that Tribunal ships, resumably: see README.md. Arguments go to `python -m tribunal_training`.
set -eu
cd "$(dirname "$0")"
venv=work/venv
if ! cmp -s requirements.txt "$venv/requirements.txt"; then
    echo "training: a virtual environment in training/$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
    cp requirements.txt "$venv/requirements.txt"
fi
(cd .. && cargo build --quiet -p tribunal-cli)
exec "$venv/bin/python" -m tribunal_training "$@"
