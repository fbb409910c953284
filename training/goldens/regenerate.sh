#!/usr/bin/env bash
# Makes every golden of tests/golden by its trainer's pinned version, in virtual environments below $1
# (default: a temporary folder). Wants Python 3.7, 3.8, 3.10, 3.11 and 3.12: as python3.7, ... on the path, or
# below pyenv's versions.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
environments=${1:-$(mktemp -d)}

python() {
    local found
    found=$(compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1.*/bin/python" | head -n 1 || true)
    echo "${found:-python$1}"
}

# requirements, Python, families
make() {
    local environment=$environments/${1%.txt}
    if [ ! -x "$environment/bin/python" ]; then
        "$(python "$2")" -m venv "$environment"
    fi
    "$environment/bin/pip" install --quiet --requirement "$here/$1"
    "$environment/bin/python" "$here/make_goldens.py" "${@:3}"
}

make requirements-catboost-0.15.txt 3.7 catboost
make requirements-lightgbm-2.1.txt 3.8 lightgbm
make requirements-xgboost-1.2.txt 3.8 xgboost
make requirements-xgboost-1.7.txt 3.10 xgboost
make requirements-xgboost-2.1.txt 3.10 xgboost
make requirements-xgboost-3.2.txt 3.11 xgboost
make requirements.txt 3.12
"$environments/requirements/bin/python" "$here/calibration_cases.py"
