"""scikit-learn models through training/export_forest.py."""

from __future__ import annotations

import sys

import numpy as np
import sklearn
from common import (
    MAIN_ROWS,
    N_FEATURES,
    NAMES,
    REPOSITORY,
    VARIANT_ROWS,
    folder_of,
    pool_of,
    rows,
    training_data,
    write,
)
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

sys.path.insert(0, str(REPOSITORY / "training"))
from export_forest import dumps, export_forest  # noqa: E402


def forest_case(name: str, seed: int, model, n: int) -> None:
    x, y = training_data()
    model.fit(x, y)
    folder = folder_of(name)
    (folder / "model.json").write_text(dumps(export_forest(model, NAMES)))
    thresholds: list[list[float]] = [[] for _ in range(N_FEATURES)]
    for estimator in model.estimators_:
        tree = estimator.tree_
        for node in np.flatnonzero(tree.children_left != -1):
            thresholds[tree.feature[node]].append(float(tree.threshold[node]))
    pool = pool_of(thresholds)
    probabilities = model.predict_proba(rows(seed, n, pool, infinities=False))[:, 1]
    answers = {"margins": probabilities}
    trainer = f"scikit-learn {sklearn.__version__}"
    write(folder, {"tribunal-forest-json": "model.json"}, trainer, "f8", pool, answers, seed=seed,
          infinities=False)


def main() -> None:
    shape = {"n_estimators": 30, "random_state": 7, "n_jobs": 1}
    forest_case("random-forest", 12, RandomForestClassifier(max_leaf_nodes=24, **shape), MAIN_ROWS)
    forest_case("extra-trees", 13, ExtraTreesClassifier(max_depth=5, bootstrap=True, class_weight="balanced",
                **{**shape, "n_estimators": 10}), VARIANT_ROWS)
