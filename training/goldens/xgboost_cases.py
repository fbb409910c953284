"""XGBoost models: every booster, objective, leaf and file format of the version that is installed.

`main` makes the cases of that version (`SERIES`): all kinds of models by the newest, and the file formats
that older versions wrote by those. Margins of models without categories come from `inplace_predict`, which
takes infinities; `DMatrix` refuses them, so that leaves and contributions are asked with the greatest finite
values in their place, which stand on the same side of every finite threshold.
"""

from __future__ import annotations

import json
import pickle
import tempfile
from pathlib import Path

import joblib
import numpy as np
import xgboost as xgb
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
    splitmix64,
    training_classes,
    training_data,
    training_target,
    write,
)

TRAINER = f"xgboost {xgb.__version__}"
TYPES = ["c" if i in CATEGORICAL else "q" for i in range(N_FEATURES)]
BASE = {"nthread": 1, "seed": 7, "tree_method": "hist"}
LOGISTIC = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.3}
PROBABILITIES = ("binary:logistic", "reg:logistic", "multi:softprob")


def train(params: dict, rounds: int, data: tuple, types=None, names=NAMES, **more) -> xgb.Booster:
    """`data` is values and target, and optionally what else DMatrix takes."""
    x, y, extra = (*data, {})[:3]
    categorical = {} if types is None else {"feature_types": types, "enable_categorical": True}
    matrix = xgb.DMatrix(x, y, feature_names=names, **categorical, **extra)
    if more.get("early_stopping_rounds"):
        more["evals"] = [(xgb.DMatrix(x, 1 - y, feature_names=names), "reversed")]
    base = {k: v for k, v in BASE.items() if k != "tree_method" or params.get("booster") != "gblinear"}
    return xgb.train({**base, **params}, matrix, rounds, **more)


def document(model: xgb.Booster) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.json")
        model.save_model(path)
        return json.loads(Path(path).read_text())["learner"]


def thresholds_of(model: xgb.Booster, n_features: int) -> list[list[float]]:
    thresholds: list[list[float]] = [[] for _ in range(n_features)]
    booster = document(model)["gradient_booster"]
    for tree in booster.get("gbtree", booster)["model"].get("trees", []):
        for node, left in enumerate(tree["left_children"]):
            if left != -1:
                thresholds[tree["split_indices"][node]].append(tree["split_conditions"][node])
    return thresholds


def matrix_of(x: np.ndarray, types, names) -> xgb.DMatrix:
    categorical = {} if types is None else {"feature_types": types, "enable_categorical": True}
    return xgb.DMatrix(x, feature_names=names, **categorical)


def answers_of(model: xgb.Booster, x: np.ndarray, objective: str, types, infinities, without, names) -> dict:
    n = len(x)
    if infinities:
        margins = model.inplace_predict(x, predict_type="margin", validate_features=False)
        responses = model.inplace_predict(x, validate_features=False)
        x = np.where(np.isinf(x), np.copysign(np.finfo(np.float32).max, x), x)
    else:
        matrix = matrix_of(x, types, names)
        margins, responses = model.predict(matrix, output_margin=True), model.predict(matrix)
    kind = "probabilities" if objective in PROBABILITIES else "responses"
    answers = {"margins": margins.reshape(n, -1), kind: responses.reshape(n, -1)}
    if "leaves" not in without:
        leaves = model.predict(matrix_of(x[:LEAF_ROWS], types, names), pred_leaf=True)
        answers["leaves"] = leaves.reshape(LEAF_ROWS, -1).astype(np.int64)
    if "contributions" not in without:
        first = matrix_of(x[:CONTRIBUTION_ROWS], types, names)
        answers["contributions"] = model.predict(first, pred_contribs=True)
    return answers


def write_case(folder, files, model, seed, n, objective, types=None, infinities=None, without=(), names=NAMES,
               n_features=N_FEATURES, tolerance=2e-5, **more) -> None:
    """Answers of `model` on its hash rows, beside the `files` already in `folder`."""
    if infinities is None:
        infinities = types is None and SERIES not in ("1.2",)
    pool = pool_of(thresholds_of(model, n_features))
    test = rows(seed, n, pool, infinities, n_features)
    answers = answers_of(model, test, objective, types, infinities, without, names)
    if "contributions" in answers:
        more["tolerance"] = tolerance
    write(folder, files, TRAINER, "f4", pool, answers, seed=seed, infinities=infinities, **more)


SUFFIXES = {"ubj": "xgboost-ubj", "json": "xgboost-json", "deprecated": "xgboost-binary"}


def save(model: xgb.Booster, folder: Path, formats) -> dict:
    files = {}
    for suffix in formats:
        model.save_model(str(folder / f"model.{suffix}"))
        files[SUFFIXES[suffix]] = f"model.{suffix}"
    return files


def case(name: str, seed: int, params: dict, rounds: int, n: int = MAIN_ROWS, formats=("ubj",), data=None,
         types=None, training=None, **more) -> None:
    """Trains, saves in each of `formats`, and writes the answers."""
    names = more.get("names", NAMES)
    model = train(params, rounds, data or training_data(), types, names, **(training or {}))
    if params.get("booster") == "gblinear":
        more = {"without": ("leaves",), "infinities": False, **more}
    folder = folder_of(name)
    write_case(folder, save(model, folder, formats), model, seed, n, params["objective"], types, **more)


def pickles(name: str, seed: int, holder, objective: str, names=None, n: int = MAIN_ROWS, **more) -> None:
    """A Booster or a fitted scikit-learn wrapper, pickled by every protocol, and as joblib does it."""
    folder, files = folder_of(name), []
    for protocol in range(6):
        files.append(f"model-{protocol}.pickle")
        (folder / files[-1]).write_bytes(pickle.dumps(holder, protocol=protocol))
    files.append("model.joblib")
    joblib.dump(holder, folder / files[-1])
    model = holder.get_booster() if hasattr(holder, "get_booster") else holder
    write_case(folder, {"xgboost-pickle": files}, model, seed, n, objective, names=names, **more)


def targets(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Several real targets."""
    x, y = training_target()
    filled = np.nan_to_num(x).clip(-8, 64)
    return x, np.stack([y * (1 + 0.5 * k) + 0.1 * k * filled[:, k] for k in range(n)], axis=1)


def labels(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Several labels, each 0 or 1."""
    x, y = targets(n)
    return x, (y > np.median(y, axis=0)).astype(np.int32)


def counts() -> tuple[np.ndarray, np.ndarray]:
    x, y = training_target()
    return x, np.floor(y)


def shape_of(x: np.ndarray, n_features: int) -> np.ndarray:
    """The values of `x`, and further ones of the same make, as rows of another width."""
    more = rows(14, len(x) * n_features // N_FEATURES + len(x), None, infinities=False)
    return np.concatenate([x, more]).ravel()[: len(x) * n_features].reshape(len(x), n_features)


def shapes() -> None:
    """Forests whose form asks something of an engine."""
    x, y = training_data()
    deep = {"objective": "binary:logistic", "max_depth": 16, "min_child_weight": 0, "eta": 0.3}
    case("xgboost-deep", 112, deep, 3)
    case("xgboost-stumps", 113, {**LOGISTIC, "max_depth": 1}, 40)
    narrow = x[:, [0, 1]]
    case("xgboost-many-thresholds", 114, {**LOGISTIC, "max_depth": 7, "max_bin": 2048}, 9,
         data=(narrow, y), names=None, n_features=2)
    wide = shape_of(x, 300)
    parity = np.isnan(wide).sum(axis=1) % 2
    case("xgboost-wide", 115, {**LOGISTIC, "max_depth": 3, "colsample_bynode": 0.05}, 60, data=(wide, parity),
         names=None, n_features=300)
    edge_thresholds()
    case("xgboost-root-only", 116, {**LOGISTIC, "gamma": 1e6}, 3)


def edge_thresholds() -> None:
    """A model whose thresholds are moved to where comparisons go wrong, answered by the trainer itself."""
    edges = [-0.0, 0.0, 1e-45, -1e-45, 1.1754942e-38, 3.4028235e38, -3.4028235e38, np.inf, -np.inf]
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.json"
        model = train({**LOGISTIC, "max_depth": 5}, 9, training_data())
        model.save_model(str(path))
        whole = json.loads(path.read_text())
        split = 0
        for tree in whole["learner"]["gradient_booster"]["model"]["trees"]:
            for node, left in enumerate(tree["left_children"]):
                if left != -1:
                    split += 1
                    if split % 3 == 0:
                        tree["split_conditions"][node] = edges[split // 3 % len(edges)]
        path.write_text(json.dumps(whole))
        model = xgb.Booster(model_file=str(path))
    folder = folder_of("xgboost-edge-thresholds")
    files = save(model, folder, ["ubj", "json"])
    without = ("contributions", "leaves")
    write_case(folder, files, model, 119, MAIN_ROWS, LOGISTIC["objective"], without=without)


def classes_and_outputs() -> None:
    multi = {"max_depth": 4, "eta": 0.3}
    softprob = {**multi, "objective": "multi:softprob", "num_class": 3}
    case("xgboost-softprob", 101, softprob, 8, formats=["ubj", "json"], data=training_classes(3))
    case("xgboost-softmax", 102, {**multi, "max_depth": 3, "objective": "multi:softmax", "num_class": 5,
         "num_parallel_tree": 2, "subsample": 0.6}, 4, data=training_classes(5))
    vector = {"multi_strategy": "multi_output_tree"}
    case("xgboost-multi-output-tree", 106, {**multi, **vector, "objective": "reg:squarederror"}, 8,
         formats=["ubj", "json"], data=targets(3), without=("contributions",))
    case("xgboost-multi-output-softprob", 107, {**softprob, **vector}, 6, data=training_classes(3),
         without=("contributions",))
    case("xgboost-multi-target", 108, {**multi, "objective": "reg:squarederror"}, 6, data=targets(2))
    case("xgboost-multi-label", 109, {**multi, "objective": "binary:logistic"}, 5, data=labels(3))
    linear = {"booster": "gblinear", "objective": "binary:logistic", "updater": "coord_descent"}
    case("xgboost-linear", 110, linear, 6, formats=["ubj", "json"])
    case("xgboost-linear-classes", 111, {**linear, "objective": "multi:softprob", "num_class": 4}, 6,
         data=training_classes(4))


def boosters() -> None:
    case("xgboost-logistic", 1, {**LOGISTIC, "base_score": 0.3141593}, 30, formats=["ubj", "json"])
    case("xgboost-regression", 2, {"objective": "reg:squarederror", "max_leaves": 12, "max_depth": 0,
         "grow_policy": "lossguide", "num_parallel_tree": 2, "subsample": 0.7}, 8)
    case("xgboost-pruned", 5, {**LOGISTIC, "tree_method": "exact", "gamma": 6,
         "updater": "grow_colmaker,prune"}, 8)
    case("xgboost-random-forest", 103, {**LOGISTIC, "eta": 1.0, "num_parallel_tree": 20, "subsample": 0.7,
         "colsample_bynode": 0.5}, 1)
    dart = {"booster": "dart", "rate_drop": 0.4, "max_depth": 3}
    case("xgboost-dart", 3, {**LOGISTIC, **dart}, 12, formats=["ubj", "json"])
    case("xgboost-dart-classes", 104, {"eta": 0.5, **dart, "objective": "multi:softprob", "num_class": 3,
         "normalize_type": "forest", "one_drop": 1, "num_parallel_tree": 2}, 4, data=training_classes(3))
    case("xgboost-early-stopped", 117, LOGISTIC, 20, training={"early_stopping_rounds": 6,
         "verbose_eval": False})


def categories() -> None:
    case("xgboost-categorical", 4, {**LOGISTIC, "max_cat_to_onehot": 4}, 10,
         formats=["ubj", "json"], types=TYPES)
    import pandas as pd

    x, y = training_data()
    frame = pd.DataFrame(x, columns=NAMES)
    for column, of_code in zip(CATEGORICAL, [lambda c: f"category {c:02}", lambda c: 100 + 7 * c]):
        values = [None if np.isnan(v) else of_code(int(v)) for v in x[:, column]]
        frame[NAMES[column]] = pd.Categorical(values, [of_code(c) for c in range(60)])
    for name, seed, params in [
        ("xgboost-pandas-categories", 105, {**LOGISTIC, "max_cat_to_onehot": 4}),
        ("xgboost-pandas-one-hot", 118, {**LOGISTIC, "max_cat_to_onehot": 100}),
    ]:
        model = train(params, 8, (frame, y), names=None, types=None)
        folder = folder_of(name)
        codes = xgb.DMatrix(x, feature_names=NAMES, feature_types=TYPES, enable_categorical=True)
        values = xgb.DMatrix(frame, enable_categorical=True)
        if not np.array_equal(model.predict(codes), model.predict(values)):
            raise ValueError("a code does not stand for its category")
        files = save(model, folder, ["ubj", "json"])
        write_case(folder, files, model, seed, MAIN_ROWS, params["objective"], TYPES)


def objectives() -> None:
    """The link function of every objective that has not had its case yet."""
    x, y = training_target()
    _, classes = training_data()
    groups = {"qid": np.arange(TRAIN_ROWS) // 30}
    relevance = training_classes(4)[1]
    censored = {"label_lower_bound": y, "label_upper_bound": np.where(classes == 1, np.inf, y * 1.5)}
    survival = np.where(classes == 1, y, -y)
    quantiles = {"quantile_alpha": [0.1, 0.5, 0.9]}
    kinds = [
        ("reg:logistic", (x, np.tanh(y / 5)), {}),
        ("reg:squaredlogerror", (x, y), {}),
        ("reg:pseudohubererror", (x, y), {}),
        ("reg:absoluteerror", (x, y), {}),
        ("reg:gamma", (x, y), {}),
        ("reg:tweedie", (x, y), {"tweedie_variance_power": 1.3}),
        ("reg:quantileerror", (x, y), quantiles),
        ("count:poisson", counts(), {}),
        ("survival:cox", (x, survival), {}),
        ("survival:aft", (x, None, censored), {"aft_loss_distribution": "logistic"}),
        ("binary:hinge", (x, classes), {}),
        ("binary:logitraw", (x, classes), {"scale_pos_weight": 2}),
        ("rank:ndcg", (x, relevance, groups), {}),
        ("rank:pairwise", (x, relevance, groups), {}),
        ("rank:map", (x, classes, groups), {}),
    ]
    for index, (objective, data, params) in enumerate(kinds):
        case(f"xgboost-{objective.replace(':', '-')}", 130 + index,
             {"objective": objective, "max_depth": 3, "eta": 0.3, **params}, 5, data=data)


def wrappers() -> None:
    shape = {"n_estimators": 3, "max_depth": 2, "n_jobs": 1, "random_state": 7, "tree_method": "hist"}
    x, y = training_data()
    model = train({**LOGISTIC, "max_depth": 3}, 3, (x, y))
    version = "" if SERIES == NEWEST else f"-{SERIES}"
    seed = SEEDS[SERIES] + 10
    pickles(f"xgboost{version}-pickle-booster", seed, model, "binary:logistic", names=NAMES)
    classifier = xgb.XGBClassifier(**shape).fit(*training_classes(3))
    pickles(f"xgboost{version}-pickle-classifier", seed + 1, classifier, "multi:softprob")
    regressor = xgb.XGBRegressor(**shape).fit(*training_target())
    pickles(f"xgboost{version}-pickle-regressor", seed + 2, regressor, "reg:squarederror")
    forest = xgb.XGBRFClassifier(**{**shape, "n_estimators": 6}).fit(x, y)
    pickles(f"xgboost{version}-pickle-forest", seed + 3, forest, "binary:logistic")


def newest() -> None:
    boosters()
    categories()
    classes_and_outputs()
    shapes()
    objectives()
    wrappers()


def older(formats: list[str]) -> None:
    """What an older version wrote into its formats, for each kind of model."""
    seed = SEEDS[SERIES]
    small = {**LOGISTIC, "max_depth": 3}
    softprob = {**small, "objective": "multi:softprob", "num_class": 3, "num_parallel_tree": 2}
    name = f"xgboost-{SERIES}"
    case(f"{name}-logistic", seed, {**small, "base_score": 0.3141593}, 12, formats=formats)
    case(f"{name}-regression", seed + 1, {"objective": "reg:squarederror", "max_depth": 3}, 5,
         formats=formats, data=training_target())
    case(f"{name}-poisson", seed + 2, {"objective": "count:poisson", "max_depth": 3}, 4, formats=formats,
         data=counts())
    case(f"{name}-softprob", seed + 3, softprob, 3, formats=formats, data=training_classes(3))
    # `inplace_predict` of 2.1 and 3.2 rounds the weighted leaves of DART elsewhere than `predict` does.
    case(f"{name}-dart", seed + 4, {**small, "booster": "dart", "rate_drop": 0.4}, 8, formats=formats,
         infinities=False)
    case(f"{name}-linear", seed + 5, {"booster": "gblinear", "objective": "multi:softprob", "num_class": 3},
         4, formats=formats, data=training_classes(3))
    if SERIES != "1.2":
        case(f"{name}-categorical", seed + 6, {**small, "max_cat_to_onehot": 4}, 6,
             formats=[f for f in formats if f != "deprecated"], types=TYPES)
    if SERIES in ("2.1", "3.2"):
        case(f"{name}-multi-output-tree", seed + 7, {**small, "objective": "reg:squarederror",
             "multi_strategy": "multi_output_tree"}, 4, formats=["ubj", "json"], data=targets(3),
             without=("contributions", "leaves"))
    if SERIES != "3.2":
        wrappers()


SEEDS = {"3.4": 150, "1.2": 200, "1.7": 220, "2.1": 240, "3.2": 260}
NEWEST = "3.4"
SERIES = ".".join(xgb.__version__.split(".")[:2])


def main() -> None:
    if SERIES == NEWEST:
        newest()
    elif SERIES in SEEDS:
        formats = {"1.2": ["json", "deprecated"], "3.2": ["ubj", "json"]}
        older(formats.get(SERIES, ["ubj", "json", "deprecated"]))
    else:
        raise SystemExit(f"no cases for xgboost {xgb.__version__}")
