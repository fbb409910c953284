"""The three trainers: what is fitted, how it is saved, and its margin and probability.

All take a float32 matrix with NaN for missing. Sizes are held down: the models are committed.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import sklearn
import xgboost
from sklearn.ensemble import RandomForestClassifier

from . import config

THREADS = 2


@dataclass(frozen=True)
class Trainer:
    """One model of the ensemble: name, format, file suffix, versions, and its functions."""

    name: str
    format: str
    suffix: str
    version: str
    fit: Any
    probability: Any
    margin: Any
    save: Any
    trees: Any


def _fit_xgboost(x: np.ndarray, y: np.ndarray, names: list[str], kind: str, seed: int) -> xgboost.Booster:
    rounds, depth = {"domain": (260, 6), "ip": (150, 5)}[kind]
    parameters = {
        "objective": "binary:logistic", "tree_method": "hist", "max_depth": depth, "eta": 0.08,
        "colsample_bytree": 0.3, "subsample": 0.8, "lambda": 2.0, "min_child_weight": 8.0,
        "max_bin": 256, "seed": seed, "nthread": THREADS,
    }  # fmt: skip
    return xgboost.train(parameters, xgboost.DMatrix(x, y, feature_names=names), num_boost_round=rounds)


def _xgboost_predict(model: xgboost.Booster, x: np.ndarray, margin: bool) -> np.ndarray:
    return model.predict(xgboost.DMatrix(x, feature_names=model.feature_names), output_margin=margin)


def _fit_lightgbm(x: np.ndarray, y: np.ndarray, names: list[str], kind: str, seed: int) -> lightgbm.Booster:
    rounds, leaves = {"domain": (280, 40), "ip": (150, 31)}[kind]
    parameters = {
        "objective": "binary", "num_leaves": leaves, "learning_rate": 0.07, "feature_fraction": 0.3,
        "bagging_fraction": 0.8, "bagging_freq": 1, "min_data_in_leaf": 60, "lambda_l2": 2.0, "max_bin": 255,
        "seed": seed, "num_threads": THREADS, "deterministic": True, "force_col_wise": True, "verbosity": -1,
    }  # fmt: skip
    data = lightgbm.Dataset(x, y, feature_name=names, free_raw_data=True)
    return lightgbm.train(parameters, data, num_boost_round=rounds)


def _fit_forest(x: np.ndarray, y: np.ndarray, names: list[str], kind: str, seed: int) -> RandomForestClassifier:
    trees, leaves = {"domain": (70, 256), "ip": (60, 128)}[kind]
    model = RandomForestClassifier(
        n_estimators=trees, max_leaf_nodes=leaves, min_samples_leaf=20, max_features=0.3, max_samples=0.5,
        n_jobs=THREADS, random_state=seed,
    )  # fmt: skip
    return _shortened(model.fit(x, y))


def _shortened(model: RandomForestClassifier) -> RandomForestClassifier:
    """Thresholds of 6 digits and leaf values of 4, in the model itself: half the file, and what is written is exact."""
    for estimator in model.estimators_:
        tree = estimator.tree_
        tree.threshold[:] = [float(f"{t:.6g}") for t in tree.threshold]
        tree.value[:, 0, 1] = tree.value[:, 0, 1].round(4)
        tree.value[:, 0, 0] = 1.0 - tree.value[:, 0, 1]
    # With threads the trees are summed in the order in which they happen to be ready.
    model.n_jobs = 1
    return model


def _save_forest(model: RandomForestClassifier, path: Path, names: list[str]) -> None:
    sys.path.insert(0, str(config.ROOT / "training"))
    from export_forest import dumps, export_forest

    path.write_text(dumps(export_forest(model, names)))


def _forest_probability(model: RandomForestClassifier, x: np.ndarray) -> np.ndarray:
    return model.predict_proba(x)[:, 1]


TRAINERS = [
    Trainer(
        "xgboost", "xgboost-ubj", "ubj", f"xgboost {xgboost.__version__}", _fit_xgboost,
        lambda m, x: _xgboost_predict(m, x, False), lambda m, x: _xgboost_predict(m, x, True),
        lambda m, path, names: m.save_model(path), lambda m: m.num_boosted_rounds(),
    ),
    Trainer(
        "lightgbm", "lightgbm-text", "txt", f"lightgbm {lightgbm.__version__}", _fit_lightgbm,
        lambda m, x: m.predict(x), lambda m, x: m.predict(x, raw_score=True),
        lambda m, path, names: m.save_model(path), lambda m: m.num_trees(),
    ),
    Trainer(
        "forest", "tribunal-forest-json", "json", f"scikit-learn {sklearn.__version__}", _fit_forest,
        _forest_probability, _forest_probability, _save_forest, lambda m: len(m.estimators_),
    ),
]  # fmt: skip
