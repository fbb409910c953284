"""Out-of-fold probabilities of every member on every fold, with features whose lexicon saw the fold's training rows only.

A fold's models are fitted on at most about `config.FOLD_ROWS` of its training rows and measured on `config.HELD_ROWS`,
drawn by registrable domain (or /16), so that a run's time is bounded; the models that ship are fitted on all rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from . import config
from .augment import add_subdomains
from .features import CrossFit, sample, training_sample
from .metrics import measure
from .models import TRAINERS, Trainer
from .sample import Sample
from .splits import Fold


@dataclass
class Scored:
    """Out-of-fold probabilities of a fold's rows, by member; `rows` says what they are."""

    fold: Fold
    rows: pd.DataFrame
    probabilities: dict[str, np.ndarray]

    @property
    def labels(self) -> np.ndarray:
        """1 malicious, 0 benign."""
        return self.rows["label"].to_numpy()

    def matrix(self, members: list[str]) -> np.ndarray:
        """One column per member."""
        return np.column_stack([self.probabilities[m] for m in members])


def fold_samples(rows: pd.DataFrame, fold: Fold, cross: CrossFit) -> tuple[Sample, Sample]:
    """Training rows with cross-fitted features, and held-out rows as they stand on their lists."""
    name = f"{fold.kind}-{fold.name}"
    train, valid = add_subdomains(rows.iloc[fold.train]), rows.iloc[fold.valid]
    whole = cross.whole(train, name)
    names = cross.tribunal.schema(whole).names[fold.kind]
    fitted = cross.trained_on(training_sample(cross.crossed(train, name), train, names, fold.kind), fold.kind)
    held = sample(cross.tribunal.features(valid, whole, f"{name}-valid"), valid, names)
    return fitted.bounded(config.FOLD_ROWS), cross.held_out(held, fold.kind).bounded(config.HELD_ROWS)


def score(trainer: Trainer, fitted: Sample, held: Sample, kind: str, seed: int) -> np.ndarray:
    """One member's probabilities of the held-out rows."""
    model = trainer.fit(fitted, kind, seed)
    return np.asarray(trainer.probability(model, held), dtype="float64")


KEPT = ["entity", "label", "category", "family", "source", "group"]


def score_fold(
    fold: Fold, samples: Callable[[], tuple[Sample, Sample]], kept: Callable[[str], np.ndarray | None],
    keep: Callable[[str, np.ndarray], None], seed: int,
) -> Scored:  # fmt: skip
    """Every member of the fold's kind; `kept` and `keep` make a run resumable member by member."""
    trainers = [t for t in TRAINERS if fold.kind in t.kinds]
    fitted, held = samples()
    probabilities = {}
    for trainer in trainers:
        p = kept(trainer.name)
        if p is None or len(p) != len(held):
            p = score(trainer, fitted, held, fold.kind, seed)
            keep(trainer.name, p)
        probabilities[trainer.name] = p
    return Scored(fold, held.rows[KEPT].reset_index(drop=True), probabilities)


def report(scored: list[Scored]) -> dict[str, dict[str, dict[str, dict]]]:
    """kind -> member -> fold -> metrics."""
    out: dict[str, dict[str, dict[str, dict]]] = {}
    for s in scored:
        for model, p in s.probabilities.items():
            out.setdefault(s.fold.kind, {}).setdefault(model, {})[s.fold.name] = measure(s.labels, p)
    return out
