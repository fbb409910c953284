"""CatBoost models, as JSON and in its binary format.

The trainer answers a row alone and a block of rows with the same bits: every case asks for both and compares them.
Of trees that are not oblivious, CatBoost counts the leaves of a model that it reads from JSON from left to right, and
of any other in the order in which they were made; and only for the former do its contributions always add up to the
margin. So these two have a case each. Their margins are those of the model that was saved: CatBoost's reader of JSON
rounds some numbers to a neighbour of what the text says.

`main` makes the cases of the newest version; with 0.15, it makes those of the files that were written then.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import catboost
import numpy as np
import pandas as pd
from catboost import CatBoost, Pool, sum_models
from common import (
    CATEGORICAL,
    CONTRIBUTION_ROWS,
    LEAF_ROWS,
    MAIN_ROWS,
    N_FEATURES,
    NAMES,
    folder_of,
    pool_of,
    rows,
    training_classes,
    training_data,
    training_target,
    write,
)

TRAINER = f"catboost {catboost.__version__}"
BASE = {"random_seed": 7, "thread_count": 1, "verbose": False, "allow_writing_files": False, "depth": 4,
        "learning_rate": 0.3, "border_count": 32}
PROBABILITIES = ("Logloss", "CrossEntropy", "Focal", "MultiClass", "MultiClassOneVsAll", "MultiLogloss",
                 "MultiCrossEntropy")
EXPONENTS = ("Poisson", "Tweedie")
# Where CatBoost uses its fast exponential function.
RESPONSE_ULPS = {"MultiClass": 6, "Poisson": 3, "Tweedie": 3}
FORMATS = ("json", "cbm")
SINGLE_ROWS = 200


def predict(model: CatBoost, x, kind: str = "RawFormulaVal") -> np.ndarray:
    return model.predict(x, prediction_type=kind, thread_count=1).reshape(len(x), -1)


def with_codes(x: np.ndarray) -> pd.DataFrame:
    """Codes as text: the whole part of a number, and for what has none a value that training did not see."""
    codes = [["unknown" if not 0 <= v < 2**31 else str(int(v)) for v in x[:, i]] for i in CATEGORICAL]
    columns = {name: x[:, i] for i, name in enumerate(NAMES)}
    return pd.DataFrame({**columns, **{NAMES[i]: c for i, c in zip(CATEGORICAL, codes)}})


def pool_for(x, y=None, **more) -> Pool:
    if isinstance(x, pd.DataFrame):
        return Pool(x, y, cat_features=CATEGORICAL, **more)
    return Pool(x, y, feature_names=NAMES, **more)


def answers_of(model: CatBoost, test, loss: str, contributions: bool, reread: CatBoost) -> dict:
    margins = predict(model, test)
    one_by_one = [predict(model, test[i : i + 1]) for i in range(SINGLE_ROWS)]
    if np.concatenate(one_by_one).tobytes() != margins[:SINGLE_ROWS].tobytes():
        raise ValueError("a row alone has another answer than in a block")
    answers = {"margins": margins}
    loss = loss.split(":")[0]
    if loss in PROBABILITIES:
        # Of two classes when there is one margin.
        answers["probabilities"] = predict(model, test, "Probability")[:, -margins.shape[1] :]
    else:
        answers["responses"] = predict(model, test, "Exponent" if loss in EXPONENTS else "RawFormulaVal")
    if hasattr(reread, "calc_leaf_indexes"):
        answers["leaves"] = reread.calc_leaf_indexes(pool_for(test[:LEAF_ROWS]), thread_count=1).reshape(LEAF_ROWS, -1)
    if contributions:
        first = pool_for(test[:CONTRIBUTION_ROWS])
        answers["contributions"] = reread.get_feature_importance(first, type="ShapValues", thread_count=1)
    return answers


def borders_of(model: CatBoost) -> list[list[float]]:
    """From JSON: `get_borders` is not there in old versions."""
    borders: list[list[float]] = [[] for _ in range(N_FEATURES)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        for feature in json.loads(path.read_text())["features_info"]["float_features"]:
            borders[feature["flat_feature_index"]] = feature["borders"] or []
    return borders


def train(loss: str, iterations: int, data: tuple | None = None, group: int = 0, **params) -> CatBoost:
    """`data` is values and target; `group`: rows of a query."""
    x, y = data or training_data()
    groups = np.arange(len(x)) // group if group else None
    pool = pool_for(x, y, group_id=groups)
    return CatBoost({**BASE, "loss_function": loss, "iterations": iterations, **params}).fit(pool)


def write_case(name: str, seed: int, model: CatBoost, loss: str, n: int = MAIN_ROWS, formats=FORMATS,
               contributions: bool = True, reread: bool = False, codes=()) -> None:
    """`reread`: leaves and contributions are of the model as CatBoost reads it from JSON. `codes`: of each categorical
    feature."""
    folder = folder_of(name)
    # So that the same model is the same file.
    for key in list(model.get_metadata().keys()):
        if key.endswith(("model_guid", "train_finish_time")):
            model.get_metadata()[key] = "none"
    for kind in formats:
        model.save_model(str(folder / f"model.{kind}"), format=kind)
    files = {f"catboost-{kind}": f"model.{kind}" for kind in formats}
    asked = CatBoost().load_model(str(folder / "model.json"), format="json") if reread else model
    thresholds = borders_of(model)
    for feature, values in zip(CATEGORICAL, codes):
        thresholds[feature] = values
    pool = pool_of(thresholds)
    test = rows(seed, n, pool, infinities=True)
    test = with_codes(test) if codes else test
    write(folder, files, TRAINER, "f8", pool, answers_of(model, test, loss, contributions, asked), seed=seed,
          infinities=True, response_ulps=RESPONSE_ULPS.get(loss.split(":")[0], 1), tolerance=1e-10)


def case(name: str, seed: int, loss: str, iterations: int = 6, n: int = MAIN_ROWS, **params) -> None:
    write_case(f"catboost-{name}", seed, train(loss, iterations, **params), loss, n)


def not_oblivious() -> None:
    """Trees whose leaves CatBoost counts in two ways."""
    by_loss = {"grow_policy": "Lossguide", "max_leaves": 12, "depth": 8}
    by_level = {"grow_policy": "Depthwise"}
    classes = {"loss": "MultiClass", "iterations": 3, "data": training_classes(4)}
    for seed, (name, params) in enumerate([
        ("depthwise", {"loss": "Logloss", "iterations": 12, **by_level}),
        ("lossguide", {"loss": "Logloss", "iterations": 12, **by_loss}),
        ("depthwise-multiclass", {**classes, **by_level}),
        ("lossguide-multiclass", {**classes, **by_loss}),
    ]):
        model = train(**params)
        write_case(f"catboost-{name}", 240 + seed, model, params["loss"], formats=("cbm",),
                   contributions="depth" in name)
        write_case(f"catboost-{name}-json", 250 + seed, model, params["loss"], formats=("json",),
                   reread=True)


def several_outputs() -> None:
    x, y = training_target()
    classes = training_classes(4)
    case("multiclass", 210, "MultiClass", 10, data=classes)
    case("multiclass-one-vs-all", 211, "MultiClassOneVsAll", data=classes)
    labels = np.stack([y > 1, y > 2, x[:, 0] > 3], axis=1)
    case("multilabel", 213, "MultiLogloss", data=(x, labels.astype(np.int32)))
    case("multilabel-shares", 214, "MultiCrossEntropy", data=(x, labels * 0.75 + 0.125))
    case("multi-target", 215, "MultiRMSE", data=(x, np.stack([y, y * y, -y], axis=1)))
    case("multi-quantile", 216, "MultiQuantile:alpha=0.1,0.5,0.9", data=(x, y))


def losses() -> None:
    x, y = training_target()
    case("rmse", 220, "RMSE", 8, data=(x, y))
    case("poisson", 221, "Poisson", data=(x, y))
    case("tweedie", 222, "Tweedie:variance_power=1.5", data=(x, y))
    case("quantile", 223, "Quantile:alpha=0.8", data=(x, y))
    case("cross-entropy", 224, "CrossEntropy", data=(x, y / 5.0))
    case("focal", 225, "Focal:focal_alpha=0.5;focal_gamma=2", 6)
    case("ranking", 226, "QueryRMSE", data=training_classes(4), group=20)


def one_hot() -> None:
    """Codes of one to five digits."""
    x, y = training_data()
    codes = [[0, 1, 10, 37, 255, 65535], [3, 8, 58, 1000, 40960, 59999]]
    for column, values in zip(CATEGORICAL, codes):
        x[:, column] = np.array(values)[np.nan_to_num(x[:, column]).astype(int) % len(values)]
    for seed, (name, params) in enumerate([
        ("one-hot", {}),
        ("one-hot-depthwise", {"grow_policy": "Depthwise"}),
    ], start=270):
        model = train("Logloss", 16, (with_codes(x), y), one_hot_max_size=20, **params)
        write_case(f"catboost-{name}", seed, model, "Logloss", codes=codes,
                   formats=("cbm",) if params else FORMATS)


def others() -> None:
    """Treatments of NaN, shapes, and models that were changed after training."""
    x, y = training_target()
    case("nan-greatest", 230, "RMSE", data=(x, y), nan_mode="Max")
    case("nan-as-is", 231, "RMSE", data=(np.nan_to_num(x, nan=-2.5), y))
    case("stumps", 232, "RMSE", 20, data=(x, y), depth=1)
    case("deep", 233, "RMSE", 2, data=(x, y), depth=10)
    model = train("RMSE", 6, (x, y))
    model.set_scale_and_bias(-2.7, 0.3)
    write_case("catboost-scaled", 234, model, "RMSE", contributions=False)
    both = sum_models([train("Logloss", 4), train("Logloss", 4, random_seed=8, depth=3)], weights=[0.25, 0.6])
    write_case("catboost-sum", 235, both, "none")
    model = train("Logloss", 3, grow_policy="Lossguide", min_data_in_leaf=100_000)
    write_case("catboost-one-leaf", 237, model, "Logloss", contributions=False)
    # More borders of one feature than CatBoost's evaluator holds in a byte.
    params = {"border_count": 1000, "depth": 6, "ignored_features": list(range(2, N_FEATURES))}
    model = train("RMSE", 90, (x, y), learning_rate=0.05, random_strength=100, **params)
    write_case("catboost-many-borders", 236, model, "RMSE", formats=("cbm",))


def main() -> None:
    if catboost.__version__.startswith("0.15."):
        # Its contributions are by an algorithm that is not that of today's.
        write_case("catboost-0.15-logloss", 260, train("Logloss", 6), "Logloss", contributions=False)
        model = train("MultiClass", 4, training_classes(4))
        write_case("catboost-0.15-multiclass", 261, model, "MultiClass", contributions=False)
        return
    case("logloss", 200, "Logloss", 14, depth=5, border_count=254)
    not_oblivious()
    several_outputs()
    losses()
    one_hot()
    others()
