"""Make tests/golden: small models of every format, and what their trainers answer.

    python -m venv .venv-goldens && .venv-goldens/bin/pip install -r training/goldens/requirements.txt
    .venv-goldens/bin/python training/goldens/make_goldens.py

Rows are not stored. `rows` makes them from an integer hash that crates/forest/tests/golden.rs computes
likewise: about 11 % missing, zeros of both signs, subnormal numbers, infinities where the trainer takes them,
integers from -4, and values at, just above and just below the model's own thresholds (`pool.bin`).

Per case, in tests/golden/<case>:
    case.json          format, files, number of rows, and how to read the rest
    model.*            the model, in each format that the trainer writes
    pool.bin           f32, n_features x POOL: thresholds of each feature
    margins.bin        one per row: f32 (XGBoost) or f64 (all others)
    probabilities.bin  the first rows' probabilities of class 1, same type
    contributions.bin  the first rows' contributions and expected value, f64, n_features + 1 a row
All binary files are little-endian.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import lightgbm as lgb
import numpy as np
import sklearn
import xgboost as xgb
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from export_forest import dumps, export_forest  # noqa: E402

ROOT = Path(__file__).resolve().parents[2] / "tests" / "golden"
N_FEATURES = 20
POOL = 16
TRAIN_ROWS = 3000
CONTRIBUTION_ROWS = 40
PROBABILITY_ROWS = 500
MAIN_ROWS = 10_000
VARIANT_ROWS = 2_000
CATEGORICAL = [3, 11]
NAMES = [f"feature_{i:02}" for i in range(N_FEATURES)]


def splitmix64(seed: int, count: int) -> np.ndarray:
    """The first `count` outputs of SplitMix64 seeded with `seed`."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def rows(seed: int, n: int, pool: np.ndarray | None, infinities: bool) -> np.ndarray:
    """`n` rows of N_FEATURES values. The highest byte of the hash chooses what the others become."""
    h = splitmix64(seed, n * N_FEATURES)
    choice, low = h >> np.uint64(56), h >> np.uint64(8)
    x = (low & np.uint64(0xFFFFFF)).astype(np.float32) * np.float32(2.0**-21) - np.float32(4.0)
    integer = (low % np.uint64(64)).astype(np.float32) - np.float32(4.0)
    x = np.where(choice < 112, integer, x)
    if pool is not None:
        feature = np.arange(n * N_FEATURES) % N_FEATURES
        at = pool[feature, (low % np.uint64(POOL)).astype(np.int64)]
        step = (low >> np.uint64(32)) % np.uint64(4)
        at = np.where(step == 1, np.nextafter(at, np.float32(np.inf)), at)
        at = np.where(step == 2, np.nextafter(at, np.float32(-np.inf)), at)
        x = np.where(choice < 92, at, x)
    if infinities:
        x = np.where(choice < 52, np.where(low % np.uint64(2) == 0, np.inf, -np.inf).astype(np.float32), x)
    subnormal = (low.astype(np.uint32) & np.uint32(0x807FFFFF)).view(np.float32)
    x = np.where(choice < 48, subnormal, x)
    x = np.where(choice < 44, np.float32(-0.0), x)
    x = np.where(choice < 40, np.float32(0.0), x)
    x = np.where(choice < 28, np.float32(np.nan), x)
    return x.reshape(n, N_FEATURES).astype(np.float32)


def training_data() -> tuple[np.ndarray, np.ndarray]:
    """Values and classes with interactions, missing values and categories that matter."""
    x = rows(11, TRAIN_ROWS, None, infinities=False)
    for column in CATEGORICAL:
        x[:, column] = (splitmix64(100 + column, TRAIN_ROWS) % np.uint64(60)).astype(np.float32)
        x[::13, column] = np.nan
    filled = np.nan_to_num(x).clip(-8, 64)
    signal = (
        filled[:, 0]
        - 0.5 * filled[:, 1] * (filled[:, 2] > 0)
        + 2.0 * np.isnan(x[:, 4])
        + 1.5 * (filled[:, 5] == 0)
        + (filled[:, 3].astype(int) % 3 - 1)
        + 0.8 * (filled[:, 11].astype(int) % 2)
        + 0.3 * filled[:, 6:12].sum(axis=1) / 8
    )
    noise = splitmix64(12, TRAIN_ROWS).astype(np.float64) / 2.0**64 * 8 - 4
    return x, (signal + noise > np.median(signal)).astype(np.int32)


def pool_of(thresholds: list[list[float]]) -> np.ndarray:
    """POOL thresholds of each feature, evenly taken from those that the model has; 0.5 where it has none."""
    pool = np.full((N_FEATURES, POOL), 0.5, dtype=np.float32)
    for feature, values in enumerate(thresholds):
        finite = np.unique(np.array([v for v in values if abs(v) < 1e38], dtype=np.float32))
        if len(finite):
            pool[feature] = finite[np.linspace(0, len(finite) - 1, POOL).astype(int)]
    return pool


def write(name: str, files: dict, trainer: str, dtype: str, pool: np.ndarray, answers: dict, **more) -> None:
    """The files of a case beside its models."""
    folder = ROOT / name
    pool.astype("<f4").tofile(folder / "pool.bin")
    answers["margins"].astype(f"<{dtype}").tofile(folder / "margins.bin")
    if "probabilities" in answers:
        answers["probabilities"][:PROBABILITY_ROWS].astype(f"<{dtype}").tofile(folder / "probabilities.bin")
    if "contributions" in answers:
        answers["contributions"].astype("<f8").tofile(folder / "contributions.bin")
    case = {
        "trainer": trainer,
        "models": files,
        "rows": len(answers["margins"]),
        "type": dtype,
        **more,
    }
    (folder / "case.json").write_text(json.dumps(case, indent=2) + "\n")
    print(f"{name}: {sum(f.stat().st_size for f in folder.iterdir()) // 1024} KiB")


def folder_of(name: str) -> Path:
    folder = ROOT / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    return folder


def xgboost_case(
    name: str, seed: int, params: dict, rounds: int, n: int, formats: list[str], types=None
) -> None:
    x, y = training_data()
    data = xgb.DMatrix(x, y, feature_names=NAMES, feature_types=types, enable_categorical=types is not None)
    model = xgb.train({"nthread": 1, "seed": 7, "tree_method": "hist", **params}, data, rounds)
    folder, files = folder_of(name), {}
    for suffix in formats:
        model.save_model(folder / f"model.{suffix}")
        files[f"xgboost-{suffix}"] = f"model.{suffix}"
    thresholds: list[list[float]] = [[] for _ in range(N_FEATURES)]
    document = json.loads(model.save_raw("json"))["learner"]["gradient_booster"]
    for tree in document.get("gbtree", document)["model"]["trees"]:
        for node, left in enumerate(tree["left_children"]):
            if left != -1:
                thresholds[tree["split_indices"][node]].append(tree["split_conditions"][node])
    pool = pool_of(thresholds)
    test = rows(seed, n, pool, infinities=False)
    test = xgb.DMatrix(test, feature_names=NAMES, feature_types=types, enable_categorical=types is not None)
    answers = {"margins": model.predict(test, output_margin=True)}
    if "logistic" in params["objective"]:
        answers["probabilities"] = model.predict(test)
    answers["contributions"] = model.predict(test.slice(range(CONTRIBUTION_ROWS)), pred_contribs=True)
    write(name, files, f"xgboost {xgb.__version__}", "f4", pool, answers, seed=seed, infinities=False,
          tolerance=2e-5)


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
    write(name, {"lightgbm-text": "model.txt"}, f"lightgbm {lgb.__version__}", "f8", pool, answers, seed=seed,
          infinities=True, tolerance=1e-10)


def forest_case(name: str, seed: int, model, n: int) -> None:
    x, y = training_data()
    model.fit(x, y)
    (folder_of(name) / "model.json").write_text(dumps(export_forest(model, NAMES)))
    thresholds: list[list[float]] = [[] for _ in range(N_FEATURES)]
    for estimator in model.estimators_:
        tree = estimator.tree_
        for node in np.flatnonzero(tree.children_left != -1):
            thresholds[tree.feature[node]].append(float(tree.threshold[node]))
    pool = pool_of(thresholds)
    probabilities = model.predict_proba(rows(seed, n, pool, infinities=False))[:, 1]
    answers = {"margins": probabilities}
    trainer = f"scikit-learn {sklearn.__version__}"
    write(name, {"tribunal-forest-json": "model.json"}, trainer, "f8", pool, answers, seed=seed,
          infinities=False)


def main() -> None:
    logistic = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.3}
    xgboost_case("xgboost-logistic", 1, {**logistic, "base_score": 0.3141593}, 30, MAIN_ROWS, ["ubj", "json"])
    xgboost_case("xgboost-regression", 2, {"objective": "reg:squarederror", "max_leaves": 12,
                 "max_depth": 0, "grow_policy": "lossguide", "num_parallel_tree": 2, "subsample": 0.7}, 8,
                 VARIANT_ROWS, ["ubj"])
    xgboost_case("xgboost-dart", 3, {**logistic, "booster": "dart", "rate_drop": 0.4, "max_depth": 3}, 12,
                 VARIANT_ROWS, ["ubj"])
    types = ["c" if i in CATEGORICAL else "q" for i in range(N_FEATURES)]
    xgboost_case("xgboost-categorical", 4, {**logistic, "max_cat_to_onehot": 4}, 10, VARIANT_ROWS,
                 ["ubj", "json"], types)
    xgboost_case("xgboost-pruned", 5, {**logistic, "tree_method": "exact", "gamma": 6, "updater":
                 "grow_colmaker,prune"}, 8, VARIANT_ROWS, ["ubj"])
    leaves = {"objective": "binary", "num_leaves": 15, "min_data_in_leaf": 10}
    lightgbm_case("lightgbm-binary", 6, {**leaves, "sigmoid": 0.7}, 30, MAIN_ROWS)
    lightgbm_case("lightgbm-zero-as-missing", 7, {**leaves, "zero_as_missing": True}, 30, MAIN_ROWS)
    lightgbm_case("lightgbm-categorical", 8, {**leaves, "min_data_per_group": 5, "cat_smooth": 1}, 30,
                  MAIN_ROWS, CATEGORICAL)
    lightgbm_case("lightgbm-no-missing", 9, {**leaves, "use_missing": False}, 8, VARIANT_ROWS)
    lightgbm_case("lightgbm-random-forest", 10, {**leaves, "boosting": "rf", "bagging_freq": 1,
                  "bagging_fraction": 0.6}, 8, VARIANT_ROWS)
    lightgbm_case("lightgbm-regression", 11, {**leaves, "objective": "regression"}, 8, VARIANT_ROWS)
    shape = {"n_estimators": 30, "random_state": 7, "n_jobs": 1}
    forest_case("random-forest", 12, RandomForestClassifier(max_leaf_nodes=24, **shape), MAIN_ROWS)
    forest_case("extra-trees", 13, ExtraTreesClassifier(max_depth=5, bootstrap=True, class_weight="balanced",
                **{**shape, "n_estimators": 10}), VARIANT_ROWS)


if __name__ == "__main__":
    main()
