#!/usr/bin/env bash
# Makes the trainers' reference outputs of tests/golden anew, with the trainers' pinned versions. The result is the
# same byte for byte unless a version or the script changed.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
require_python
environment="$ROOT/.tools/goldens"
say "installing the trainers into .tools/goldens"
"$PYTHON" -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check -r training/goldens/requirements.txt
"$environment/bin/python" training/goldens/make_goldens.py
git status --short tests/golden
