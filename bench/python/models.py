"""Train the models of the benchmark, and write what the harness reads.

    python bench/python/models.py target/bench/models [xgboost lightgbm catboost random-forest small]

Every model gets a folder:

    case.json     {"n_features", "rows", "answer": "f32"|"f64", "link", "nodes", "trees", "files": {...}}
    rows.f32      10,000 rows, row-major, little endian; NaN is a missing value
    margins.f64   the trainer's own answer for each row, widened where the trainer answers in f32
    model files   as case.json names them

A folder with a case.json of this script's version is left alone. Seeds are fixed; the data are made here, so nothing
is downloaded. Missing values: each feature misses its own share of values, 11 % on average.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import onnx_trees

VERSION = 3
SEED = 20251124
BENCH_ROWS = 10_000


def make_data(n_rows: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of mixed kinds (continuous, skewed, counts, ratios) and a noisy label that depends on a quarter of them."""
    rng = np.random.default_rng([SEED, n_features])
    columns = []
    for feature in range(n_features):
        kind = feature % 5
        if kind == 0:
            column = rng.normal(size=n_rows)
        elif kind == 1:
            column = rng.lognormal(0.0, 1.5, n_rows)
        elif kind == 2:
            column = rng.poisson(3 + feature, n_rows).astype(np.float64)
        elif kind == 3:
            column = rng.beta(0.7, 2.0, n_rows)
        else:
            column = rng.gamma(2.0, 50.0, n_rows)
        columns.append(column)
    x = np.stack(columns, axis=1).astype(np.float32)
    ranks = x.argsort(axis=0).argsort(axis=0) / n_rows - 0.5
    used = rng.permutation(n_features)[: max(4, n_features // 4)]
    score = np.zeros(n_rows)
    for position, feature in enumerate(used):
        other = used[(position * 7 + 3) % len(used)]
        score += rng.normal() * ranks[:, feature] + 3 * rng.normal() * ranks[:, feature] * ranks[:, other]
    label = (score + rng.normal(0.0, score.std(), n_rows) > 0).astype(np.int32)
    share = rng.uniform(0.0, 0.22, n_features)
    x[rng.random(x.shape) < share] = np.nan
    return x, label


def write_case(folder: Path, x: np.ndarray, margins: np.ndarray, case: dict[str, Any]) -> None:
    """Write the rows, the answers and, last, case.json: a folder that has one is whole."""
    x.astype("<f4").tofile(folder / "rows.f32")
    np.asarray(margins, dtype="<f8").tofile(folder / "margins.f64")
    case = {"version": VERSION, "n_features": x.shape[1], "rows": x.shape[0], **case}
    (folder / "case.json").write_text(json.dumps(case, indent=2) + "\n")


def xgboost_model(folder: Path, n_train: int, n_features: int, trees: int, depth: int) -> None:
    import xgboost

    x, y = make_data(n_train + BENCH_ROWS, n_features)
    parameters = {
        "objective": "binary:logistic",
        "max_depth": depth,
        "eta": 0.05,
        "min_child_weight": 0.1,
        "seed": SEED,
        "tree_method": "hist",
    }
    booster = xgboost.train(parameters, xgboost.DMatrix(x[:n_train], label=y[:n_train]), trees)
    rows = np.ascontiguousarray(x[n_train:])
    margins = booster.inplace_predict(rows, predict_type="margin", missing=np.nan)
    booster.save_model(folder / "model.ubj")
    booster.save_model(folder / "model.json")
    onnx_trees.save_xgboost(folder / "model.json", folder / "model.onnx")
    nodes = sum(
        int(tree["tree_param"]["num_nodes"])
        for tree in json.loads((folder / "model.json").read_text())["learner"]["gradient_booster"]["model"]["trees"]
    )
    files = {"xgboost": "model.ubj", "tribunal": "model.ubj", "onnx": "model.onnx"}
    write_case(folder, rows, margins, {
        "answer": "f32", "link": "logistic", "nodes": nodes, "trees": trees, "files": files,
        "trainer": f"xgboost {xgboost.__version__}",
    })


def lightgbm_model(folder: Path) -> None:
    import lightgbm

    n_train = 60_000
    x, y = make_data(n_train + BENCH_ROWS, 100)
    parameters = {
        "objective": "binary",
        "num_leaves": 63,
        "learning_rate": 0.05,
        "min_data_in_leaf": 20,
        "seed": SEED,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    booster = lightgbm.train(parameters, lightgbm.Dataset(x[:n_train], label=y[:n_train]), 1000)
    rows = np.ascontiguousarray(x[n_train:])
    booster.save_model(folder / "model.txt")
    booster = lightgbm.Booster(model_file=folder / "model.txt")
    margins = booster.predict(rows, raw_score=True)
    dump = booster.dump_model()
    onnx_trees.save_lightgbm(dump, folder / "model.onnx")
    nodes = sum(2 * tree["num_leaves"] - 1 for tree in dump["tree_info"])
    files = {"lightgbm": "model.txt", "tribunal": "model.txt", "onnx": "model.onnx"}
    write_case(folder, rows, margins, {
        "answer": "f64", "link": "logistic", "nodes": nodes, "trees": 1000, "files": files,
        "trainer": f"lightgbm {lightgbm.__version__}",
    })


def catboost_model(folder: Path) -> None:
    import catboost

    n_train = 40_000
    x, y = make_data(n_train + BENCH_ROWS, 100)
    model = catboost.CatBoostClassifier(
        iterations=1000, depth=6, learning_rate=0.05, random_seed=SEED, verbose=False, allow_writing_files=False,
        boosting_type="Plain",
    )
    model.fit(x[:n_train], y[:n_train])
    rows = np.ascontiguousarray(x[n_train:])
    margins = model.predict(rows, prediction_type="RawFormulaVal")
    model.save_model(str(folder / "model.cbm"))
    model.save_model(str(folder / "model.json"), format="json")
    onnx_trees.save_catboost(folder / "model.json", folder / "model.onnx")
    files = {"catboost": "model.cbm", "tribunal": "model.json", "onnx": "model.onnx"}
    write_case(folder, rows, margins, {
        "answer": "f64", "link": "logistic", "nodes": 1000 * 127, "trees": 1000, "files": files,
        "trainer": f"catboost {catboost.__version__}",
    })


def random_forest(folder: Path) -> None:
    import sklearn
    from sklearn.ensemble import RandomForestClassifier

    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "training"))
    import export_forest

    n_train = 19_000
    x, y = make_data(n_train + BENCH_ROWS, 100)
    model = RandomForestClassifier(n_estimators=500, random_state=SEED, n_jobs=2)
    model.fit(x[:n_train], y[:n_train])
    model.n_jobs = 1
    rows = np.ascontiguousarray(x[n_train:])
    margins = model.predict_proba(rows)[:, 1]
    (folder / "model.json").write_text(export_forest.dumps(export_forest.export_forest(model)))
    onnx_trees.save_sklearn(model, folder / "model.onnx")
    nodes = sum(estimator.tree_.node_count for estimator in model.estimators_)
    files = {"tribunal": "model.json", "onnx": "model.onnx"}
    write_case(folder, rows, margins, {
        "answer": "f64", "link": "identity", "nodes": nodes, "trees": 500, "files": files,
        "trainer": f"scikit-learn {sklearn.__version__}",
    })


MODELS = {
    "xgboost": lambda folder: xgboost_model(folder, 80_000, 100, 1000, 8),
    "lightgbm": lightgbm_model,
    "catboost": catboost_model,
    "random-forest": random_forest,
    "small": lambda folder: xgboost_model(folder, 20_000, 40, 100, 6),
}


def main(arguments: list[str]) -> None:
    root = Path(arguments[0])
    for name in arguments[1:] or MODELS:
        folder = root / name
        case = folder / "case.json"
        if case.exists() and json.loads(case.read_text())["version"] == VERSION:
            print(f"    already there: {folder}")
            continue
        folder.mkdir(parents=True, exist_ok=True)
        case.unlink(missing_ok=True)
        started = time.monotonic()
        MODELS[name](folder)
        made = json.loads(case.read_text())
        print(f"    trained {name}: {made['trees']} trees, {made['nodes']} nodes ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main(sys.argv[1:])
