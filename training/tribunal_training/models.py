"""The members of the ensemble: what is fitted, how it is saved, and its margin and probability.

A trainer takes a `Sample`, so a member may read the vector, the entity's text, or both. Sizes are held down: the
models are committed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import sklearn
import xgboost

from . import boosting, config, names, trees
from .sample import Sample


@dataclass(frozen=True)
class Trainer:
    """One model of the ensemble.

    fit: sample, kind, seed to a model; probability, margin: model, sample to one number per row; save: model, path
    and names of the features to a file of `format`; trees: how many, for people. `compiled` files are made from the
    saved one by `tribunal model compile`. `reads_vector`: whether its manifest lists features.
    """

    name: str
    kinds: tuple[str, ...]
    format: str
    suffix: str
    version: str
    fit: Callable[[Sample, str, int], Any]
    probability: Callable[[Any, Sample], np.ndarray]
    margin: Callable[[Any, Sample], np.ndarray]
    save: Callable[[Any, Path, list[str]], None]
    trees: Callable[[Any], int]
    compiled: bool = False
    reads_vector: bool = True

    @property
    def saved_format(self) -> str:
        """Of the file that a predictor reads."""
        return "tribunal-compiled" if self.compiled else self.format


BOTH = ("domain", "ip")


def _fit_characters(sample: Sample, _kind: str, seed: int) -> Any:
    part = sample.bounded(config.TEXT_ROWS)
    return names.fit(part.hosts, part.labels, seed)


TRAINERS = [
    Trainer(
        "xgboost", BOTH, "xgboost-ubj", "ubj", f"xgboost {xgboost.__version__}", boosting.fit_xgboost,
        lambda m, s: boosting.xgboost_answer(m, s, False), lambda m, s: boosting.xgboost_answer(m, s, True),
        boosting.save, lambda m: m.num_boosted_rounds(),
    ),
    Trainer(
        "lightgbm", BOTH, "lightgbm-text", "txt", f"lightgbm {lightgbm.__version__}", boosting.fit_lightgbm,
        lambda m, s: boosting.lightgbm_answer(m, s, False), lambda m, s: boosting.lightgbm_answer(m, s, True),
        boosting.save, lambda m: m.num_trees(),
    ),
    Trainer(
        "catboost", BOTH, "catboost-cbm", "cbm", f"catboost {catboost.__version__}", boosting.fit_catboost,
        lambda m, s: boosting.catboost_answer(m, s, False), lambda m, s: boosting.catboost_answer(m, s, True),
        boosting.save, lambda m: m.tree_count_, compiled=True,
    ),
    Trainer(
        "forest", BOTH, "tribunal-forest-json", "json", f"scikit-learn {sklearn.__version__}", trees.fit,
        trees.probability, trees.probability, trees.save, lambda m: len(m.estimators_),
    ),
    Trainer(
        "characters", ("domain",), names.FORMAT, "bin", names.VERSION,
        _fit_characters, lambda m, s: names.probability(m, s.hosts),
        lambda m, s: names.margin(m, s.hosts), lambda m, path, _names: names.save(m, path), lambda _m: 0,
        reads_vector=False,
    ),
]  # fmt: skip
