"""Write a scikit-learn model in the format of crates/forest/FORMAT.md, version 2.

    python training/export_forest.py model.joblib model.json [--feature-names names.txt]

`export_forest` takes a fitted model and gives a JSON-ready dictionary; `dumps` gives its compact text. Numbers are
written so that reading them back gives the same bits. Models:

- random forests, extra trees and single decision trees, of any number of classes and outputs;
- gradient boosting (whose `init` is the default or "zero") and histogram gradient boosting (whose categories are
  whole numbers from 0);
- isolation forests: the answer is the anomaly score, which is -score_samples;
- logistic regression.

A classifier of two classes has one output, the one of `classes_[1]`; of more classes, one each; of several
labels, the classes of each label one after the other.

The command line reads a joblib file, which is a pickle: give it only files that you made yourself.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

FORMAT = "tribunal-forest"
VERSION = 2
MAX_CATEGORY = 1 << 24

Document = dict[str, Any]


def export_forest(model: Any, feature_names: list[str] | None = None) -> Document:
    """The dictionary that `crates/forest/FORMAT.md` describes.

    Raises ValueError for a model that is of no kind above, or holds what the format cannot say, and for names that
    do not fit.
    """
    n_features = int(model.n_features_in_)
    if feature_names is None and hasattr(model, "feature_names_in_"):
        feature_names = [str(name) for name in model.feature_names_in_]
    if feature_names is not None and len(feature_names) != n_features:
        raise ValueError(f"{len(feature_names)} feature names for {n_features} features")
    head: Document = {
        "format": FORMAT,
        "version": VERSION,
        "source": _source(model),
        "n_features": n_features,
        "feature_names": feature_names,
    }
    return head | _exporter(model)(model)


def dumps(document: Document) -> str:
    """Compact JSON text, one tree a line."""
    head = {key: value for key, value in document.items() if key != "trees"}
    text = json.dumps(head, separators=(",", ":"), allow_nan=False)
    if "trees" not in document:
        return text + "\n"
    lines = ",\n".join(json.dumps(tree, separators=(",", ":"), allow_nan=False) for tree in document["trees"])
    return f'{text[:-1]},"trees":[\n{lines}\n]}}\n'


def _source(model: Any) -> Document:
    source = {"estimator": type(model).__name__, "scikit-learn": _sklearn_version(model)}
    if hasattr(model, "classes_"):
        source["classes"] = [[str(c) for c in label] if hasattr(label, "__len__") and not isinstance(label, str)
                             else str(label) for label in model.classes_]
    return source


def _exporter(model: Any) -> Callable[[Any], Document]:
    """By the names of the classes that the model's class descends from, so that scikit-learn is not imported."""
    kinds = {
        "ForestClassifier": _averaged,
        "ForestRegressor": _averaged,
        "DecisionTreeClassifier": _averaged,
        "DecisionTreeRegressor": _averaged,
        "BaseGradientBoosting": _boosted,
        "BaseHistGradientBoosting": _hist_boosted,
        "IsolationForest": _isolation,
        "LogisticRegression": _logistic,
    }
    for base in type(model).__mro__:
        if base.__name__ in kinds:
            return kinds[base.__name__]
    raise ValueError(f"{type(model).__name__} is not exported; known are {', '.join(kinds)}")


# Averaged trees


def _averaged(model: Any) -> Document:
    trees = [estimator.tree_ for estimator in getattr(model, "estimators_", [model])]
    classes = _classes(model)
    leaf = _regression_leaf if classes is None else _classification_leaf(classes)
    n_outputs = len(leaf(trees[0].value[0]))
    return {
        "objective": f"mean of {getattr(model, 'criterion', 'trees')}",
        "aggregation": "mean",
        "n_outputs": n_outputs,
        "link": {"name": "identity" if classes is None else "probability"},
        "trees": [_mean_tree(tree, leaf, n_outputs) for tree in trees],
    }


def _classes(model: Any) -> list[int] | None:
    """Number of classes of each label; None for a regression."""
    if not hasattr(model, "classes_"):
        return None
    counts = model.n_classes_
    return [int(n) for n in (counts if hasattr(counts, "__len__") else [counts])]


def _regression_leaf(value: Any) -> list[float]:
    return [float(output[0]) for output in value]


def _classification_leaf(classes: list[int]) -> Callable[[Any], list[float]]:
    """From a node's row of `tree_.value` to its probabilities: of class 1, if there is one label of two classes."""

    def leaf(value: Any) -> list[float]:
        probabilities = []
        for counts, n in zip(value, classes):
            total = float(counts[:n].sum())
            # Since 1.3 `value` holds fractions; the division is what older versions do at prediction.
            probabilities += [float(c) if abs(total - 1.0) < 1e-9 else float(c) / total for c in counts[:n]]
        return [probabilities[1]] if classes == [2] else probabilities

    return leaf


def _mean_tree(tree: Any, leaf: Callable[[Any], list[float]], n_outputs: int) -> Document:
    document = _splits(tree)
    leaves = [leaf(value) if left == -1 else None for value, left in zip(tree.value, tree.children_left)]
    if n_outputs == 1:
        document["value"] = [0 if value is None else value[0] for value in leaves]
    else:
        document["values"] = [number for value in leaves if value is not None for number in value]
    return document


def _splits(tree: Any, features: Iterable[int] | None = None, missing: bool = True) -> Document:
    """What every tree of `sklearn.tree` has. `features` are the model's numbers of the tree's features."""
    left = [int(child) for child in tree.children_left]
    is_leaf = [child == -1 for child in left]
    names = None if features is None else [int(f) for f in features]
    go_left = getattr(tree, "missing_go_to_left", None) if missing else None
    return {
        "children_left": left,
        "children_right": [int(child) for child in tree.children_right],
        "feature": [-1 if end else int(f if names is None else names[f]) for end, f in zip(is_leaf, tree.feature)],
        "threshold": [0 if end else _finite(float(t)) for end, t in zip(is_leaf, tree.threshold)],
        # scikit-learn before 1.3 does not know missing values.
        "missing_go_to_left": [int(go_left is not None and not end and bool(go_left[i]))
                               for i, end in enumerate(is_leaf)],
        "cover": [_integer(float(weight)) for weight in tree.weighted_n_node_samples],
    }


# Gradient boosting


def _boosted(model: Any) -> Document:
    import numpy as np

    if model.init_ != "zero" and type(model.init_).__name__ not in ("DummyClassifier", "DummyRegressor"):
        raise ValueError(f"init is a {type(model.init_).__name__}, which is not exported")
    n_outputs = model.estimators_.shape[1]
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_), dtype=np.float32))[0]
    trees = []
    for stage in model.estimators_:
        for output, estimator in enumerate(stage):
            # Its predictor knows no missing values: NaN <= threshold is false.
            tree = _splits(estimator.tree_, missing=False)
            values = estimator.tree_.value[:, 0, 0] * model.learning_rate
            tree["value"] = [float(v) if left == -1 else 0 for v, left in zip(values, tree["children_left"])]
            trees.append(_of_output(tree, output, n_outputs))
    links = {"exponential": {"name": "logistic", "slope": 2.0}}
    link = _class_link(n_outputs) if hasattr(model, "classes_") else {"name": "identity"}
    return _sum(model.loss, n_outputs, links.get(model.loss, link), start, trees)


def _sum(loss: str, n_outputs: int, link: Document, start: Iterable[float], trees: list[Document]) -> Document:
    return {
        "objective": loss,
        "aggregation": "sum",
        "n_outputs": n_outputs,
        "link": link,
        "start": [float(value) for value in start],
        "trees": trees,
    }


def _of_output(tree: Document, output: int, n_outputs: int) -> Document:
    return tree if n_outputs == 1 else tree | {"output": output}


def _class_link(n_outputs: int) -> Document:
    return {"name": "logistic" if n_outputs == 1 else "softmax"}


# Histogram gradient boosting


def _hist_boosted(model: Any) -> Document:
    n_outputs = int(model.n_trees_per_iteration_)
    features, categories = _columns(model)
    trees = [
        _of_output(_hist_tree(predictor, features, categories), output, n_outputs)
        for iteration in model._predictors
        for output, predictor in enumerate(iteration)
    ]
    if hasattr(model, "classes_"):
        link = _class_link(n_outputs)
    else:
        link = {"name": "exp" if model.loss in ("poisson", "gamma") else "identity"}
    return _sum(model.loss, n_outputs, link, model._baseline_prediction.ravel(), trees)


def _columns(model: Any) -> tuple[list[int], dict[int, list[int]]]:
    """The model's feature at each column that the trees see, and what the codes of each categorical one stand for.

    scikit-learn puts categorical columns first, each encoded as positions among its sorted categories."""
    n_features = int(model.n_features_in_)
    flags = model.is_categorical_
    if flags is None or not any(flags):
        return list(range(n_features)), {}
    if getattr(model, "_preprocessor", None) is None:
        raise ValueError("categorical features are exported from scikit-learn 1.4 and later")
    categorical = [i for i in range(n_features) if flags[i]]
    columns = categorical + [i for i in range(n_features) if not flags[i]]
    encoder = model._preprocessor.named_transformers_["encoder"]
    return columns, {i: _whole(i, values) for i, values in zip(categorical, encoder.categories_)}


def _whole(feature: int, categories: Iterable[Any]) -> list[int]:
    """Categories without the missing one, which is the last."""
    whole = []
    for category in categories:
        if isinstance(category, str):
            raise ValueError(f"feature {feature} has the category {category!r}, only numbers are exported")
        if category is None or math.isnan(category):
            continue
        if int(category) != category or not 0 <= category < MAX_CATEGORY:
            limit = f"must be whole and in [0, {MAX_CATEGORY})"
            raise ValueError(f"feature {feature} has the category {category}, {limit}")
        whole.append(int(category))
    return whole


def _hist_tree(predictor: Any, features: list[int], categories: dict[int, list[int]]) -> Document:
    nodes = predictor.nodes
    ends = [bool(node["is_leaf"]) for node in nodes]
    tree: Document = {
        "children_left": [-1 if end else int(node["left"]) for end, node in zip(ends, nodes)],
        "children_right": [-1 if end else int(node["right"]) for end, node in zip(ends, nodes)],
        "feature": [-1 if end else features[int(node["feature_idx"])] for end, node in zip(ends, nodes)],
        "threshold": [0 if end or node["is_categorical"] else _finite(float(node["num_threshold"]))
                      for end, node in zip(ends, nodes)],
        "missing_go_to_left": [int(not end and bool(node["missing_go_to_left"])) for end, node in zip(ends, nodes)],
        "value": [float(node["value"]) if end else 0 for end, node in zip(ends, nodes)],
        "cover": [int(node["count"]) for node in nodes],
    }
    sets: list[list[int]] = []
    numbers = [-1] * len(nodes)
    for i, node in enumerate(nodes):
        if not ends[i] and node["is_categorical"]:
            numbers[i] = len(sets)
            words = predictor.raw_left_cat_bitsets[int(node["bitset_idx"])]
            known = categories[tree["feature"][i]]
            left = [bool(int(words[code // 32]) >> code % 32 & 1) for code in range(len(known))]
            # What is missing or unknown goes by missing_go_to_left, so the set is of those that go the other way.
            sets.append([category for category, l in zip(known, left) if l != bool(node["missing_go_to_left"])])
    return tree | {"category_sets": sets, "category_set": numbers} if sets else tree


# Isolation forests


def _isolation(model: Any) -> Document:
    normal = _average_path_length(int(model.max_samples_))
    if normal <= 0.0:
        raise ValueError("an isolation forest of one sample a tree has no scores")
    trees = [_isolation_tree(estimator.tree_, features)
             for estimator, features in zip(model.estimators_, model.estimators_features_)]
    return {
        "objective": "isolation",
        "aggregation": "mean",
        "n_outputs": 1,
        "link": {"name": "path_length", "normal": normal},
        "trees": trees,
    }


def _isolation_tree(tree: Any, features: Iterable[int]) -> Document:
    document = _splits(tree, features)
    nodes_on_path = [1] * tree.node_count
    for parent in range(tree.node_count):
        for child in (tree.children_left[parent], tree.children_right[parent]):
            if child != -1:
                nodes_on_path[child] = nodes_on_path[parent] + 1
    document["value"] = [
        nodes_on_path[i] + _average_path_length(int(tree.n_node_samples[i])) - 1.0 if left == -1 else 0
        for i, left in enumerate(document["children_left"])
    ]
    return document


def _average_path_length(n: int) -> float:
    """Mean path length of an unsuccessful search among n samples, as `sklearn.ensemble._iforest` computes it."""
    import numpy as np

    if n <= 2:
        return float(max(n - 1, 0))
    return float(2.0 * (np.log(np.float64(n) - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n)


# Logistic regression


def _logistic(model: Any) -> Document:
    n_classes, n_outputs = len(model.classes_), model.coef_.shape[0]
    how = getattr(model, "multi_class", "auto")
    if n_classes == 2 and how == "multinomial":
        raise ValueError("two classes with multi_class='multinomial' are not exported")
    link = _class_link(n_outputs)
    if n_outputs > 1 and (how == "ovr" or model.solver == "liblinear"):
        link = {"name": "one_versus_rest"}
    intercept = [0.0] * n_outputs if not model.fit_intercept else [float(v) for v in model.intercept_]
    return {
        "objective": "logistic regression",
        "n_outputs": n_outputs,
        "link": link,
        "linear": {
            "weights": [float(w) for feature in model.coef_.T for w in feature],
            "start": intercept,
            # A model that was fitted on f32 answers f32.
            "single": model.coef_.dtype.itemsize == 4,
        },
    }


def _finite(threshold: float) -> float | None:
    """A split between missing and present values has the threshold infinity, which JSON cannot say."""
    return None if threshold == math.inf else threshold


def _integer(weight: float) -> float | int:
    return int(weight) if weight.is_integer() else weight


def _sklearn_version(model: Any) -> str:
    return str(model.__getstate__().get("_sklearn_version", "unknown"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write a scikit-learn model as tribunal-forest-json.")
    parser.add_argument("model", type=Path, help="joblib file with the fitted model (a pickle: trust it)")
    parser.add_argument("output", type=Path, help="file to write")
    parser.add_argument("--feature-names", type=Path, help="text file, one name a line, in the model's order")
    options = parser.parse_args(arguments)
    import joblib

    names = options.feature_names.read_text().split() if options.feature_names else None
    options.output.write_text(dumps(export_forest(joblib.load(options.model), names)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
