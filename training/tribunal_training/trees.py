"""Extra trees: randomised splits, averaged. They err otherwise than boosted trees do, which is their use here."""

import sys
from pathlib import Path

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from . import config, parameters
from .sample import Sample


def fit(sample: Sample, kind: str, seed: int) -> ExtraTreesClassifier:
    """Trees of bounded leaves, shortened."""
    model = ExtraTreesClassifier(n_jobs=config.THREADS, random_state=seed, **parameters.of("forest", kind))
    return _shortened(model.fit(sample.x, sample.labels))


def _shortened(model: ExtraTreesClassifier) -> ExtraTreesClassifier:
    """Thresholds of 6 digits and leaf values of 4, in the model itself: half the file, and what is written is exact."""
    for estimator in model.estimators_:
        tree = estimator.tree_
        tree.threshold[:] = [float(f"{t:.6g}") for t in tree.threshold]
        tree.value[:, 0, 1] = tree.value[:, 0, 1].round(4)
        tree.value[:, 0, 0] = 1.0 - tree.value[:, 0, 1]
    # With threads the trees are summed in the order in which they happen to be ready.
    model.n_jobs = 1
    return model


def probability(model: ExtraTreesClassifier, sample: Sample) -> np.ndarray:
    """Mean over the trees; the margin too, since there is no link function."""
    return model.predict_proba(sample.x)[:, 1]


def save(model: ExtraTreesClassifier, path: Path, names: list[str]) -> None:
    """As `crates/forest/FORMAT.md` says."""
    sys.path.insert(0, str(config.ROOT / "training"))
    from export_forest import dumps, export_forest

    path.write_text(dumps(export_forest(model, names)))
