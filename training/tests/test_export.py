"""What export_forest writes answers, read as FORMAT.md says, as the model does; and what it refuses."""

import json
import math

import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeRegressor

from export_forest import dumps, export_forest

RNG = np.random.default_rng(3)
X = RNG.normal(size=(400, 5)).astype("float32")
X[:, 3] = RNG.integers(2, 12, 400)
BINARY = (X[:, 0] + (X[:, 3] % 3) + 0.5 * RNG.normal(size=400) > 1).astype(int)
CLASSES = BINARY + (X[:, 1] > 0)
TARGET = np.exp(X[:, 0])
ROWS = np.vstack([X[:40], X[:4] + 100])


def walk(tree: dict, row: np.ndarray) -> int:
    """Position of the leaf, by the words of FORMAT.md."""
    node = 0
    while tree["children_left"][node] != -1:
        x, set_ = float(row[tree["feature"][node]]), tree.get("category_set", [-1] * (node + 1))[node]
        missing, threshold = tree["missing_go_to_left"][node] == 1, tree["threshold"][node]
        if set_ != -1:
            left = (x in tree["category_sets"][set_]) != missing
        elif math.isnan(x):
            left = missing
        else:
            left = threshold is None or x <= threshold
        node = tree["children_left" if left else "children_right"][node]
    return node


def margins(document: dict, rows: np.ndarray) -> np.ndarray:
    n = document["n_outputs"]
    if "linear" in document:
        weights = np.array(document["linear"]["weights"]).reshape(-1, n)
        return rows.astype(float) @ weights + document["linear"]["start"]
    sums = np.tile(np.array(document.get("start", [0.0] * n)), (len(rows), 1))
    for i, row in enumerate(rows):
        for tree in document["trees"]:
            leaf = walk(tree, row)
            if "values" in tree:
                number = sum(left == -1 for left in tree["children_left"][:leaf])
                sums[i] += tree["values"][number * n :][:n]
            else:
                sums[i, tree.get("output", 0)] += tree["value"][leaf]
    return sums / len(document["trees"]) if document["aggregation"] == "mean" else sums


def written(model: object) -> dict:
    """As it is read again."""
    return json.loads(dumps(export_forest(model)))


FOREST = {"n_estimators": 5, "max_depth": 4, "random_state": 1}
HIST = {"max_iter": 5, "random_state": 1, "min_samples_leaf": 5}


@pytest.mark.parametrize(
    ("model", "y", "expected", "link"),
    [
        (RandomForestClassifier(**FOREST), BINARY, lambda m, x: m.predict_proba(x)[:, 1], "probability"),
        (RandomForestClassifier(**FOREST), CLASSES, lambda m, x: m.predict_proba(x), "probability"),
        (RandomForestClassifier(**FOREST), np.stack([BINARY, CLASSES], 1),
         lambda m, x: np.hstack(m.predict_proba(x)), "probability"),
        (ExtraTreesRegressor(**FOREST), np.stack([TARGET, -TARGET], 1), lambda m, x: m.predict(x), "identity"),
        (DecisionTreeRegressor(max_depth=5), TARGET, lambda m, x: m.predict(x), "identity"),
        (GradientBoostingClassifier(**FOREST), BINARY, lambda m, x: m.decision_function(x), "logistic"),
        (GradientBoostingClassifier(**FOREST, init="zero"), CLASSES, lambda m, x: m.decision_function(x), "softmax"),
        (GradientBoostingRegressor(**FOREST, loss="huber"), TARGET, lambda m, x: m.predict(x), "identity"),
        (HistGradientBoostingClassifier(**HIST, categorical_features=[3]), CLASSES,
         lambda m, x: m.decision_function(x), "softmax"),
        (HistGradientBoostingRegressor(**HIST, loss="gamma"), TARGET, lambda m, x: np.log(m.predict(x)), "exp"),
        (LogisticRegression(max_iter=1000), CLASSES, lambda m, x: m.decision_function(x), "softmax"),
    ],
    ids=lambda v: type(v).__name__ if hasattr(v, "fit") else "",
)
def test_what_is_written_answers_as_the_model(model, y, expected, link):
    model.fit(X, y)
    document = written(model)
    found = margins(document, ROWS)
    answers = expected(model, ROWS).reshape(len(ROWS), -1)
    assert found.shape == answers.shape
    np.testing.assert_allclose(found, answers, rtol=1e-5 if link in ("exp", "softmax") else 1e-12, atol=1e-6)
    assert document["link"]["name"] == link


def test_categories_and_missing_values_go_as_in_training():
    x = X.copy()
    x[::7, 3] = np.nan
    x[::5, 0] = np.nan
    model = HistGradientBoostingClassifier(**HIST, categorical_features=[3]).fit(x, BINARY)
    document = written(model)
    sets = [categories for tree in document["trees"] for categories in tree.get("category_sets", [])]
    assert sets and all(3 == tree["feature"][i] for tree in document["trees"]
                        for i, n in enumerate(tree.get("category_set", [])) if n != -1)
    # Known, missing, never seen, negative, and between two categories.
    rows = np.tile(x[:10], (5, 1))
    rows[10:20, 3], rows[20:30, 3], rows[30:40, 3], rows[40:, 3] = np.nan, 500.0, -3.0, 4.5
    np.testing.assert_array_equal(margins(document, rows)[:, 0], model.decision_function(rows))


def test_an_isolation_forest_answers_its_score():
    model = IsolationForest(n_estimators=8, max_samples=50, max_features=0.6, random_state=1).fit(X)
    document = written(model)
    score = 2.0 ** (-margins(document, ROWS)[:, 0] / document["link"]["normal"])
    np.testing.assert_allclose(score, -model.score_samples(ROWS), rtol=1e-14)


def test_names_and_covers_are_kept():
    document = export_forest(RandomForestClassifier(**FOREST).fit(X, BINARY), list("abcde"))
    assert document["feature_names"] == list("abcde") and document["version"] == 2
    assert all(tree["cover"][0] >= max(tree["cover"][1:], default=0) for tree in document["trees"])


@pytest.mark.parametrize(
    ("model", "x", "y", "message"),
    [
        (Ridge(), X, TARGET, "Ridge is not exported"),
        (GradientBoostingRegressor(init=Ridge(), n_estimators=2), X, TARGET, "init is a Ridge"),
        (HistGradientBoostingClassifier(categorical_features=[3]), X - 5, BINARY, "feature 3 has the category -3.0"),
        (HistGradientBoostingClassifier(categorical_features=[3]), X / 2, BINARY, "feature 3 has the category 1.5"),
        (IsolationForest(max_samples=1, n_estimators=2), X, None, "one sample a tree"),
    ],
)
def test_what_the_format_cannot_say_is_refused(model, x, y, message):
    model.fit(x, y)
    with pytest.raises(ValueError, match=message):
        export_forest(model)


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="3 feature names for 5 features"):
        export_forest(DecisionTreeRegressor(max_depth=2).fit(X, TARGET), ["a", "b", "c"])
