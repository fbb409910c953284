"""Write a scikit-learn forest in the format of crates/forest/FORMAT.md.

    python training/export_forest.py forest.joblib forest.json [--feature-names names.txt]

`export_forest` takes a fitted RandomForestClassifier or ExtraTreesClassifier of two classes and gives a
JSON-ready dictionary; `dumps` gives its compact text. The file holds the probability of the class at
`classes_[1]`. Numbers are written so that reading them back gives the same bits.

The command line reads a joblib file, which is a pickle: give it only files that you made yourself.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

FORMAT = "tribunal-forest"
VERSION = 1


def export_forest(model: Any, feature_names: list[str] | None = None) -> dict[str, Any]:
    """The dictionary that `crates/forest/FORMAT.md` describes.

    Raises ValueError for a model that is not a binary classifier of one output, and for names that do
    not fit.
    """
    if getattr(model, "n_outputs_", None) != 1 or len(getattr(model, "classes_", ())) != 2:
        raise ValueError("need a fitted classifier of one output and two classes")
    n_features = int(model.n_features_in_)
    if feature_names is None and hasattr(model, "feature_names_in_"):
        feature_names = [str(name) for name in model.feature_names_in_]
    if feature_names is not None and len(feature_names) != n_features:
        raise ValueError(f"{len(feature_names)} feature names for {n_features} features")
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "source": {"estimator": type(model).__name__, "scikit-learn": _sklearn_version(model)},
        "aggregation": "mean",
        "n_features": n_features,
        "feature_names": feature_names,
        "trees": [_export_tree(estimator.tree_) for estimator in model.estimators_],
    }
    return document


def dumps(document: dict[str, Any]) -> str:
    """Compact JSON text, one tree a line."""
    head = {key: value for key, value in document.items() if key != "trees"}
    lines = ",\n".join(json.dumps(tree, separators=(",", ":"), allow_nan=False) for tree in document["trees"])
    return f'{json.dumps(head, separators=(",", ":"))[:-1]},"trees":[\n{lines}\n]}}\n'


def _export_tree(tree: Any) -> dict[str, Any]:
    left = [int(child) for child in tree.children_left]
    is_leaf = [child == -1 for child in left]
    # Since 1.3 `value` holds fractions; the division is what older versions do at prediction.
    probabilities = []
    for node, counts in enumerate(tree.value[:, 0, :]):
        total = float(counts.sum())
        fraction = float(counts[1])
        if not _is_fraction(total):
            fraction /= total
        probabilities.append(fraction if is_leaf[node] else 0)
    return {
        "children_left": left,
        "children_right": [int(child) for child in tree.children_right],
        "feature": [-1 if leaf else int(f) for leaf, f in zip(is_leaf, tree.feature)],
        "threshold": [0 if leaf else _finite(float(t)) for leaf, t in zip(is_leaf, tree.threshold)],
        "missing_go_to_left": [int(not leaf and bool(m)) for leaf, m in zip(is_leaf, _missing(tree))],
        "value": probabilities,
        "cover": [_integer(float(weight)) for weight in tree.weighted_n_node_samples],
    }


def _is_fraction(total: float) -> bool:
    return abs(total - 1.0) < 1e-9


def _finite(threshold: float) -> float | None:
    """A split between missing and present values has the threshold infinity, which JSON cannot say."""
    return None if threshold == math.inf else threshold


def _integer(weight: float) -> float | int:
    return int(weight) if weight.is_integer() else weight


def _missing(tree: Any) -> Any:
    """Where missing values go; scikit-learn before 1.3 does not know them."""
    return getattr(tree, "missing_go_to_left", [0] * tree.node_count)


def _sklearn_version(model: Any) -> str:
    return str(model.__getstate__().get("_sklearn_version", "unknown"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write a scikit-learn forest as tribunal-forest-json.")
    parser.add_argument("model", type=Path, help="joblib file with the fitted forest (a pickle: trust it)")
    parser.add_argument("output", type=Path, help="file to write")
    parser.add_argument("--feature-names", type=Path, help="text file, one name a line, in the model's order")
    options = parser.parse_args(arguments)
    import joblib

    names = options.feature_names.read_text().split() if options.feature_names else None
    options.output.write_text(dumps(export_forest(joblib.load(options.model), names)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
