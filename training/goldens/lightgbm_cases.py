"""LightGBM models in its text format."""

from __future__ import annotations

import lightgbm as lgb
from common import (
    CATEGORICAL,
    CONTRIBUTION_ROWS,
    MAIN_ROWS,
    N_FEATURES,
    NAMES,
    VARIANT_ROWS,
    folder_of,
    pool_of,
    rows,
    training_data,
    write,
)


def lightgbm_case(name: str, seed: int, params: dict, rounds: int, n: int, categorical=()) -> None:
    x, y = training_data()
    data = lgb.Dataset(x, y, feature_name=NAMES, categorical_feature=list(categorical))
    model = lgb.train(
        {"objective": "binary", "verbose": -1, "num_threads": 1, "deterministic": True, "seed": 7,
         "force_row_wise": True, **params}, data, rounds)
    folder = folder_of(name)
    model.save_model(folder / "model.txt")
    thresholds: list[list[float]] = [[] for _ in range(N_FEATURES)]
    for line in model.trees_to_dataframe().itertuples():
        if line.decision_type == "<=":
            thresholds[NAMES.index(line.split_feature)].append(float(line.threshold))
    pool = pool_of(thresholds)
    test = rows(seed, n, pool, infinities=True)
    answers = {
        "margins": model.predict(test, raw_score=True),
        "probabilities": model.predict(test),
        "contributions": model.predict(test[:CONTRIBUTION_ROWS], pred_contrib=True),
    }
    if params["objective"] != "binary":
        del answers["probabilities"]
    trainer = f"lightgbm {lgb.__version__}"
    write(folder, {"lightgbm-text": "model.txt"}, trainer, "f8", pool, answers, seed=seed, infinities=True,
          tolerance=1e-10)


def main() -> None:
    leaves = {"objective": "binary", "num_leaves": 15, "min_data_in_leaf": 10}
    lightgbm_case("lightgbm-binary", 6, {**leaves, "sigmoid": 0.7}, 30, MAIN_ROWS)
    lightgbm_case("lightgbm-zero-as-missing", 7, {**leaves, "zero_as_missing": True}, 30, MAIN_ROWS)
    lightgbm_case("lightgbm-categorical", 8, {**leaves, "min_data_per_group": 5, "cat_smooth": 1}, 30,
                  MAIN_ROWS, CATEGORICAL)
    lightgbm_case("lightgbm-no-missing", 9, {**leaves, "use_missing": False}, 8, VARIANT_ROWS)
    lightgbm_case("lightgbm-random-forest", 10, {**leaves, "boosting": "rf", "bagging_freq": 1,
                  "bagging_fraction": 0.6}, 8, VARIANT_ROWS)
    lightgbm_case("lightgbm-regression", 11, {**leaves, "objective": "regression"}, 8, VARIANT_ROWS)
