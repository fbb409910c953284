"""Measures the network over characters alone, per fold: for deciding about its settings, without anything of Rust.

    python measure_names.py [--fold later ...] [--set epochs=8 drop=0.4 filters={2:32,4:64}] [--seeds 3]

Prints AUC and recall at 1 % and 0.1 % false positives. What the ensemble gains from it is measured by `run.sh validate`.
"""

import argparse
import ast
import time
from dataclasses import replace

import numpy as np

from tribunal_training import config, data, names, splits
from tribunal_training.augment import add_subdomains
from tribunal_training.metrics import measure


def settings(changes: list[str]) -> names.Settings:
    """The published settings with changes (`name=value`)."""
    pairs = (change.split("=", 1) for change in changes)
    return replace(names.Settings(), **{name: ast.literal_eval(value) for name, value in pairs})


def main() -> None:
    """Fits and measures fold by fold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fold", nargs="*", help="names of folds (default: all of domains)")
    parser.add_argument("--set", nargs="*", default=[], help="settings to change, name=value", dest="changes")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    chosen, rows = settings(arguments.changes), data.load(config.Paths.default().data)
    for fold in splits.domain_folds(rows):
        if arguments.fold and fold.name not in arguments.fold:
            continue
        train, held = add_subdomains(rows.iloc[fold.train]), rows.iloc[fold.valid]
        for seed in range(config.SEED, config.SEED + arguments.seeds):
            start = time.monotonic()
            model = names.fit(train["entity"].tolist(), train["label"].to_numpy(), seed, chosen)
            found = measure(held["label"].to_numpy(), np.asarray(names.margin(model, held["entity"].tolist())))
            auc, one, tenth, *_ = found.values()
            took = time.monotonic() - start
            print(f"{fold.name:18} seed {seed}  AUC {auc:.3f}  1 % {one:.3f}  0.1 % {tenth:.3f}  {took:.0f} s", flush=True)


if __name__ == "__main__":
    main()
