"""`python -m tribunal_training`: the whole way, step by step; finished steps are skipped.

lexicon   address ranges, word list, hosting shares; the lexicon of all rows, to `crates/features/data/lexicon.bin`
search    hyperparameters, within a budget (only when asked for: `search`, `--budget N`), to `training/parameters.json`
validate  every member on every fold; calibration, stacking, report
publish   the final models, cards and ensemble definition, to `models/`
"""

import argparse
from pathlib import Path

from . import config
from .run import Run


def main() -> None:
    """Parses the arguments and runs the steps up to the one named."""
    parser = argparse.ArgumentParser(prog="python -m tribunal_training", description=__doc__.split("\n")[0])
    parser.add_argument("step", nargs="?", default="publish", choices=["lexicon", "search", "validate", "publish"])
    parser.add_argument(
        "--data", type=Path,
        help="labelled CSV (entity,label[,first_seen,family,source]) or folder with train.csv.zst "
             "(default: $TRIBUNAL_DATA, ../shared/data)",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=1, help="seeds per fold in validation (default 1)")
    parser.add_argument("--budget", type=int, default=6, help="candidates per trainer and kind of `search` (default 6)")
    parser.add_argument("--version", default="2", help="version to write (default 2)")
    arguments = parser.parse_args()
    paths = config.Paths.default()
    if arguments.data:
        paths = config.Paths(arguments.data, paths.work, paths.models, paths.lexicon, paths.binary)
    run = Run(paths, arguments.seeds, arguments.version)
    compiled = run.lexicon()
    if arguments.step == "search":
        run.search(arguments.budget)
    elif arguments.step != "lexicon":
        measured = run.measure()
        if arguments.step == "publish":
            run.publish(compiled, measured)


if __name__ == "__main__":
    main()
