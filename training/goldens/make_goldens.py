"""Make tests/golden: small models of every format, and what their trainers answer.

    python -m venv .venv-goldens && .venv-goldens/bin/pip install -r training/goldens/requirements.txt
    .venv-goldens/bin/python training/goldens/make_goldens.py [--out FOLDER] [FAMILY...]

Each family is a module beside this one, `<family>_cases.py`, with a function `main`; only those asked for are
imported, all of them by default. `common.py` says what a case is made of. The xgboost module makes the cases
of the version that is installed: requirements-xgboost-*.txt pin the older ones, and `regenerate.sh` makes
every environment and every case.
"""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path


def families() -> list[str]:
    return sorted(path.stem[: -len("_cases")] for path in Path(__file__).parent.glob("*_cases.py"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", help="folder of the cases instead of tests/golden")
    parser.add_argument("family", nargs="*", help=f"all by default: {', '.join(families())}")
    arguments = parser.parse_args()
    unknown = set(arguments.family) - set(families())
    if unknown:
        parser.error(f"no such family: {', '.join(sorted(unknown))}")
    if arguments.out:
        os.environ["GOLDEN_OUT"] = arguments.out
    for family in arguments.family or families():
        importlib.import_module(f"{family}_cases").main()


if __name__ == "__main__":
    main()
