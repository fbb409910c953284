"""scikit-learn models through training/export_forest.py.

Margins are what the trainer sums (decision_function, predict_proba of forests, the mean path length),
         probabilities its
predict_proba, responses its predict where that is not the margin.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import sklearn
from common import (
    CATEGORICAL,
    MAIN_ROWS,
    N_FEATURES,
    NAMES,
    REPOSITORY,
    VARIANT_ROWS,
    folder_of,
    pool_of,
    rows,
    training_classes,
    training_data,
    training_target,
    write,
)
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

sys.path.insert(0, str(REPOSITORY / "training"))
from export_forest import dumps, export_forest  # noqa: E402

FOREST = {"n_estimators": 20, "max_leaf_nodes": 24, "random_state": 7, "n_jobs": 1}
BOOSTING = {"max_leaf_nodes": 12, "random_state": 7}


def thresholds(document: dict[str, Any]) -> list[list[float]]:
    """Of each feature, those of numeric splits."""
    found: list[list[float]] = [[] for _ in range(N_FEATURES)]
    for tree in document.get("trees", []):
        sets = tree.get("category_set", [-1] * len(tree["feature"]))
        for feature, threshold, set_ in zip(tree["feature"], tree["threshold"], sets):
            if feature >= 0 and set_ == -1 and threshold is not None:
                found[feature].append(threshold)
    return found


def case(
    name: str, seed: int, model: Any, answers: Any, n: int = MAIN_ROWS, infinities: bool = False, dtype: str = "f8",
    **more: Any,
) -> None:
    """`answers` gives a model's answers to rows."""
    document = export_forest(model, NAMES)
    pool = pool_of(thresholds(document))
    test = rows(seed, n, pool, infinities)
    folder = folder_of(name)
    (folder / "model.json").write_text(dumps(document))
    files: dict[str, Any] = {"tribunal-forest-json": "model.json"}
    if name == "extra-trees":
        (folder / "model-v1.json").write_text(dumps(version_1(document)))
        files["tribunal-forest-json"] = ["model.json", "model-v1.json"]
    trainer = f"scikit-learn {sklearn.__version__}"
    write(folder, files, trainer, dtype, pool, answers(model, test), seed=seed, infinities=infinities, **more)


def version_1(document: dict[str, Any]) -> dict[str, Any]:
    """The same forest as files said it before there was version 2."""
    newer = {"objective", "n_outputs", "link"}
    return {key: value for key, value in document.items() if key not in newer} | {"version": 1}


# What models answer


def forest(model: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """Mean probabilities, which are the margins: of class 1, or of all classes of all labels."""
    if not hasattr(model, "predict_proba"):
        return {"margins": model.predict(x), "leaves": model.apply(x)}
    p = model.predict_proba(x)
    p = np.hstack(p) if isinstance(p, list) else p
    p = p[:, 1] if p.shape[1] == 2 else p
    return {"margins": p, "probabilities": np.minimum(p, 1.0), "leaves": model.apply(x).reshape(len(x), -1)}


def boosting(model: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    if not hasattr(model, "predict_proba"):
        return {"margins": model._raw_predict(x)[:, 0], "responses": model.predict(x)}
    p = model.predict_proba(x)
    return {"margins": model.decision_function(x), "probabilities": p[:, 1] if p.shape[1] == 2 else p}


def present(model: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """Gradient boosting refuses missing values; here they go right,
         as what is greater than every threshold does."""
    return boosting(model, np.nan_to_num(x, nan=np.finfo(np.float32).max))


def isolation(model: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    depths = np.zeros(len(x))
    for i, (tree, features) in enumerate(zip(model.estimators_, model.estimators_features_)):
        leaf = tree.apply(np.ascontiguousarray(x[:, features]))
        depths += model._decision_path_lengths[i][leaf] + model._average_path_length_per_tree[i][leaf] - 1.0
    return {"margins": depths / len(model.estimators_), "probabilities": -model.score_samples(x)}


def logistic(model: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """scikit-learn refuses missing values; here they count as zero."""
    return boosting(model, np.nan_to_num(x, nan=0.0))


def main() -> None:
    binary, classes, target = training_data(), training_classes(3), training_target()
    two_labels = (binary[0], np.stack([binary[1], classes[1]], axis=1))
    two_targets = (target[0], np.stack([target[1], -target[1] ** 2], axis=1))
    filled = {id(data): (np.nan_to_num(data[0]), data[1]) for data in (binary, classes, target)}

    case("random-forest", 12, RandomForestClassifier(**FOREST | {"n_estimators": 30}).fit(*binary), forest)
    case("extra-trees", 13, ExtraTreesClassifier(n_estimators=10, max_depth=5, bootstrap=True, random_state=7,
         class_weight="balanced").fit(*binary), forest)
    case("random-forest-classes", 60, RandomForestClassifier(**FOREST).fit(*classes), forest)
    case("random-forest-regression", 61, RandomForestRegressor(**FOREST).fit(*target), forest)
    case("random-forest-labels", 62, RandomForestClassifier(**FOREST | {"n_estimators": 8}).fit(*two_labels),
         forest)
    case("extra-trees-targets", 63, ExtraTreesRegressor(**FOREST | {"n_estimators": 8}).fit(*two_targets), forest)
    case("decision-tree", 64, DecisionTreeClassifier(max_depth=7, random_state=7).fit(*binary), forest)

    boost = {"n_estimators": 30, **BOOSTING}
    case("gradient-boosting", 65, GradientBoostingClassifier(**boost).fit(*filled[id(binary)]), present)
    boost["n_estimators"] = 10
    case("gradient-boosting-classes", 66, GradientBoostingClassifier(**boost).fit(*filled[id(classes)]),
         present, response_ulps=2)
    case("gradient-boosting-exponential", 67, GradientBoostingClassifier(loss="exponential", init="zero",
         **boost).fit(
         *filled[id(binary)]), present)
    case("gradient-boosting-huber", 68, GradientBoostingRegressor(loss="huber",
         **boost).fit(*filled[id(target)]), present)

    hist = {"max_iter": 30, "early_stopping": False, **BOOSTING}
    case("hist-boosting", 69, HistGradientBoostingClassifier(**hist).fit(*binary), boosting, infinities=True)
    hist["max_iter"] = 10
    categorical = hist | {"categorical_features": CATEGORICAL, "min_samples_leaf": 5}
    case("hist-boosting-categorical", 70,
         HistGradientBoostingClassifier(**categorical | {"max_iter": 30}).fit(*binary), boosting)
    case("hist-boosting-classes", 71, HistGradientBoostingClassifier(**categorical).fit(*classes), boosting,
         response_ulps=2)
    case("hist-boosting-poisson", 72, HistGradientBoostingRegressor(loss="poisson", **hist).fit(*target),
         boosting, infinities=True)
    case("hist-boosting-quantile", 73, HistGradientBoostingRegressor(loss="quantile", quantile=0.9,
         **hist).fit(*target), boosting, infinities=True)

    case("isolation-forest", 74, IsolationForest(n_estimators=20, max_samples=64,
         random_state=7).fit(binary[0]), isolation, response_ulps=2)
    case("isolation-forest-columns", 75, IsolationForest(n_estimators=10, max_samples=100, max_features=0.4,
         bootstrap=True, random_state=7).fit(binary[0]), isolation, response_ulps=2)

    steps = {"C": 0.5, "max_iter": 2000}
    wide = {name: (data[0].astype(np.float64), data[1]) for name, data in filled.items()}
    # The order in which a matrix product is summed is its library's.
    order = {"n": VARIANT_ROWS, "ulps": 2000}
    case("logistic-regression", 76, LogisticRegression(**steps).fit(*wide[id(binary)]), logistic, **order)
    case("logistic-regression-classes", 77, LogisticRegression(**steps).fit(*wide[id(classes)]), logistic, **order)
    case("logistic-regression-single", 78, LogisticRegression(**steps).fit(*filled[id(binary)]), logistic,
         dtype="f4",
         **order)
