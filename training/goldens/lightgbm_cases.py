"""LightGBM models in its text format.

`main` makes the cases of the newest version, which also reads what LightGBM 2.1 writes (format v2): with that version,
`main` makes the model of that case and asks it itself.
"""

from __future__ import annotations

import re
from pathlib import Path

import lightgbm as lgb
import numpy as np
from common import (
    CATEGORICAL,
    CONTRIBUTION_ROWS,
    LEAF_ROWS,
    MAIN_ROWS,
    N_FEATURES,
    NAMES,
    TRAIN_ROWS,
    folder_of,
    pool_of,
    rows,
    training_classes,
    training_data,
    training_target,
    write,
)

BASE = {"verbose": -1, "num_threads": 1, "seed": 7, "force_row_wise": True, "deterministic": True}
LEAVES = {"objective": "binary", "num_leaves": 15, "min_data_in_leaf": 10}
FOREST = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}
PROBABILITIES = ("binary", "multiclass", "multiclassova", "cross_entropy")


def thresholds_of(path: Path) -> list[list[float]]:
    """From the model's text: `trees_to_dataframe` is not there in old versions."""
    thresholds: list[list[float]] = [[] for _ in range(N_FEATURES)]
    for block in path.read_text().split("\nTree=")[1:]:
        lines = dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        if int(lines["num_leaves"]) > 1:
            arrays = [lines[key].split() for key in ("split_feature", "threshold", "decision_type")]
            for feature, threshold, decision in zip(*arrays):
                if int(decision) % 2 == 0:
                    thresholds[int(feature)].append(float(threshold))
    return thresholds


def lightgbm_case(name: str, seed: int, params: dict, rounds: int, n: int = MAIN_ROWS, categorical=(),
                  data=None, response_ulps: int = 1, group=None, custom: int = 0) -> None:
    """`data` is values and target; `custom`: classes of a model whose objective is a function of the user."""
    x, y = data or training_data()
    dataset = lgb.Dataset(x, y, feature_name=NAMES, categorical_feature=list(categorical), group=group)
    params = {**BASE, **LEAVES, **params}
    if custom:
        params["objective"] = lambda scores, data: softmax_gradient(scores, data.get_label(), custom)
    model = lgb.train(params, dataset, rounds)
    folder = folder_of(name)
    model.save_model(str(folder / "model.txt"))
    if custom:
        model = lgb.Booster(model_file=str(folder / "model.txt"))
    objective = None if custom else params["objective"]
    pool = pool_of(thresholds_of(folder / "model.txt"))
    test = rows(seed, n, pool, infinities=True)
    answers = {
        "margins": model.predict(test, raw_score=True),
        "leaves": model.predict(test[:LEAF_ROWS], pred_leaf=True),
        "contributions": model.predict(test[:CONTRIBUTION_ROWS], pred_contrib=True),
    }
    kind = "probabilities" if objective in PROBABILITIES else "responses"
    answers[kind] = model.predict(test)
    more = {} if response_ulps == 1 else {"response_ulps": response_ulps}
    write(folder, {"lightgbm-text": "model.txt"}, f"lightgbm {lgb.__version__}", "f8", pool, answers,
          seed=seed, infinities=True, tolerance=1e-10, **more)


def softmax_gradient(scores: np.ndarray, labels: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Of the margins, as a function of the user would be."""
    scores = scores.reshape(len(labels), n)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares - np.eye(n)[labels.astype(int)], 2.0 * shares * (1.0 - shares)


def objectives() -> None:
    """A case for each link function and each way to write an objective."""
    target, classes = training_target(), training_classes(4)
    shares = (target[0], target[1] / 5.0)
    for seed, (name, params, data) in enumerate([
        ("poisson", {"objective": "poisson"}, target),
        ("gamma", {"objective": "gamma"}, target),
        ("tweedie", {"objective": "tweedie"}, target),
        ("regression-sqrt", {"objective": "regression", "reg_sqrt": True}, target),
        ("quantile", {"objective": "quantile", "alpha": 0.8}, target),
        ("cross-entropy", {"objective": "cross_entropy"}, shares),
        ("cross-entropy-lambda", {"objective": "cross_entropy_lambda"}, shares),
    ], start=60):
        lightgbm_case(f"lightgbm-{name}", seed, {"num_leaves": 7, **params}, 6, data=data)
    for seed, name in enumerate(["lambdarank", "rank_xendcg"], start=70):
        lightgbm_case(f"lightgbm-{name.replace('_', '-')}", seed, {"num_leaves": 7, "objective": name}, 6,
                      data=classes, group=[20] * (TRAIN_ROWS // 20))


def several_classes() -> None:
    classes = {"objective": "multiclass", "num_class": 4, "num_leaves": 8}
    data = training_classes(4)
    lightgbm_case("lightgbm-multiclass", 80, classes, 10, MAIN_ROWS, data=data)
    lightgbm_case("lightgbm-multiclass-categorical", 81, {**classes, "min_data_per_group": 5, "cat_smooth": 1},
                  4, categorical=CATEGORICAL, data=data)
    one_vs_all = {**classes, "objective": "multiclassova", "sigmoid": 0.7}
    lightgbm_case("lightgbm-multiclassova", 82, one_vs_all, 5, data=data)
    lightgbm_case("lightgbm-multiclass-random-forest", 83, {**classes, **FOREST}, 4, data=data)
    lightgbm_case("lightgbm-multiclass-custom", 84, classes, 4, data=data, custom=4)


def main() -> None:
    if re.match(r"2\.", lgb.__version__):
        lightgbm_case("lightgbm-v2", 90, {"cat_smooth": 1}, 8, categorical=CATEGORICAL)
        return
    lightgbm_case("lightgbm-binary", 6, {"sigmoid": 0.7}, 30, MAIN_ROWS)
    lightgbm_case("lightgbm-zero-as-missing", 7, {"zero_as_missing": True}, 30, MAIN_ROWS)
    categories = {"min_data_per_group": 5, "cat_smooth": 1}
    lightgbm_case("lightgbm-categorical", 8, categories, 30, MAIN_ROWS, CATEGORICAL)
    lightgbm_case("lightgbm-no-missing", 9, {"use_missing": False}, 8)
    lightgbm_case("lightgbm-random-forest", 10, FOREST, 8)
    lightgbm_case("lightgbm-regression", 11, {"objective": "regression"}, 8)
    lightgbm_case("lightgbm-dart", 12, {"boosting": "dart"}, 12)
    lightgbm_case("lightgbm-one-leaf", 13, {"min_data_in_leaf": TRAIN_ROWS}, 3)
    several_classes()
    objectives()
