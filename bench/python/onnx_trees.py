"""Tree ensembles as ONNX-ML `TreeEnsembleRegressor`, for onnxruntime.

The usual converters follow new versions of the trainers with a delay, so the few node kinds that the benchmark's
models have are written here: numeric splits with a direction for missing values, and one output, the margin. Thresholds
are `f32`: `x <= t` in `f64` says the same as `x <= floor_f32(t)` for every `f32` x. Categorical splits are not written.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper


class Builder:
    """Collects the parallel lists that the operator takes."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.nodes: dict[str, list[Any]] = {
            key: [] for key in (
                "treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids",
                "missing_value_tracks_true",
            )
        }
        self.targets: dict[str, list[Any]] = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}

    def split(self, tree: int, node: int, feature: int, threshold: float, true: int, false: int, missing: bool) -> None:
        row = (tree, node, feature, self.mode, threshold, true, false, int(missing))
        for values, value in zip(self.nodes.values(), row, strict=True):
            values.append(value)

    def leaf(self, tree: int, node: int, weight: float) -> None:
        for values, value in zip(self.nodes.values(), (tree, node, 0, "LEAF", 0.0, 0, 0, 0), strict=True):
            values.append(value)
        for values, value in zip(self.targets.values(), (tree, node, 0, weight), strict=True):
            values.append(value)

    def save(self, path: Path, n_features: int, base: float, aggregate: str = "SUM") -> None:
        attributes: dict[str, Any] = {f"nodes_{key}": values for key, values in self.nodes.items()}
        attributes |= {f"target_{key}": values for key, values in self.targets.items()}
        if base != 0.0:
            attributes["base_values"] = [base]
        operator = helper.make_node(
            "TreeEnsembleRegressor", ["rows"], ["margin"], domain="ai.onnx.ml", n_targets=1,
            aggregate_function=aggregate, post_transform="NONE", **attributes,
        )
        graph = helper.make_graph(
            [operator], "trees",
            [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, n_features])],
            [helper.make_tensor_value_info("margin", TensorProto.FLOAT, [None, 1])],
        )
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)


def floor_f32(threshold: float) -> float:
    """The largest `f32` that is not above `threshold`."""
    if abs(threshold) > float(np.finfo(np.float32).max):
        return math.copysign(float(np.finfo(np.float32).max), threshold)
    rounded = np.float32(threshold)
    return float(np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > threshold else rounded)


def save_xgboost(source: Path, path: Path) -> None:
    """From XGBoost's JSON. The base margin is the logit of `base_score`."""
    learner = json.loads(source.read_text())["learner"]
    score = float(learner["learner_model_param"]["base_score"].strip("[]"))
    builder = Builder("BRANCH_LT")
    for number, tree in enumerate(learner["gradient_booster"]["model"]["trees"]):
        left, right = tree["left_children"], tree["right_children"]
        for node, child in enumerate(left):
            value = tree["split_conditions"][node]
            if child == -1:
                builder.leaf(number, node, value)
            else:
                missing = bool(tree["default_left"][node])
                builder.split(number, node, tree["split_indices"][node], value, child, right[node], missing)
    n_features = int(learner["learner_model_param"]["num_feature"])
    builder.save(path, n_features, math.log(score / (1.0 - score)))


def save_lightgbm(dump: dict[str, Any], path: Path) -> None:
    """From `Booster.dump_model()`; missing types `NaN` and `None` only."""
    builder = Builder("BRANCH_LEQ")
    for number, tree in enumerate(dump["tree_info"]):
        stack = [(0, tree["tree_structure"])]
        free = 1
        while stack:
            node, structure = stack.pop()
            if "leaf_value" in structure:
                builder.leaf(number, node, structure["leaf_value"])
                continue
            if structure["decision_type"] != "<=" or structure["missing_type"] not in ("NaN", "None"):
                raise ValueError(f"cannot write the split {structure['decision_type']} {structure['missing_type']}")
            left, right, free = free, free + 1, free + 2
            # With missing type None a NaN is zero.
            threshold = floor_f32(structure["threshold"])
            nan = structure["missing_type"] == "NaN"
            missing = structure["default_left"] if nan else 0.0 <= threshold
            builder.split(number, node, structure["split_feature"], threshold, left, right, missing)
            stack += [(right, structure["right_child"]), (left, structure["left_child"])]
    builder.save(path, dump["max_feature_idx"] + 1, 0.0)


def save_catboost(source: Path, path: Path) -> None:
    """From CatBoost's JSON, symmetric trees of float features only: each level's split stands at all its nodes."""
    model = json.loads(source.read_text())
    features = model["features_info"]["float_features"]
    nan_is_true = {f["feature_index"]: f["nan_value_treatment"] == "AsTrue" for f in features}
    scale, (bias,) = model["scale_and_bias"]
    builder = Builder("BRANCH_GT")
    for number, tree in enumerate(model["oblivious_trees"]):
        splits = tree["splits"]
        inner = (1 << len(splits)) - 1
        for node in range(inner):
            # In a heap whose level d asks split d, the leaves' bits come out in reverse order.
            split = splits[(node + 1).bit_length() - 1]
            feature = split["float_feature_index"]
            true, false = 2 * node + 2, 2 * node + 1
            builder.split(number, node, feature, split["border"], true, false, nan_is_true[feature])
        for leaf in range(inner + 1):
            index = int(format(leaf, f"0{len(splits)}b")[::-1], 2) if splits else 0
            builder.leaf(number, inner + leaf, tree["leaf_values"][index] * scale)
    builder.save(path, len(features), bias)


def save_sklearn(model: Any, path: Path) -> None:
    """A random forest of two classes; the margin is the mean probability of `classes_[1]`."""
    builder = Builder("BRANCH_LEQ")
    count = len(model.estimators_)
    for number, estimator in enumerate(model.estimators_):
        tree = estimator.tree_
        left, right = tree.children_left.tolist(), tree.children_right.tolist()
        feature, threshold = tree.feature.tolist(), tree.threshold.tolist()
        missing, value = tree.missing_go_to_left.tolist(), tree.value[:, 0, 1].tolist()
        for node, child in enumerate(left):
            if child == -1:
                builder.leaf(number, node, value[node] / count)
            else:
                at = floor_f32(threshold[node])
                builder.split(number, node, feature[node], at, child, right[node], bool(missing[node]))
    builder.save(path, int(model.n_features_in_), 0.0)
