"""ONNX models of skl2onnx and onnxmltools, and some made by hand for what those do not write, by onnxruntime.

A graph gives the answers behind `post_transform`. Margins are what the same graph gives with the transform NONE, and
probabilities or responses what it gives as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import onnx
import onnxmltools
import onnxruntime
import skl2onnx
import xgboost
from common import (
    CATEGORICAL,
    MAIN_ROWS,
    N_FEATURES,
    VARIANT_ROWS,
    folder_of,
    pool_of,
    rows,
    splitmix64,
    training_classes,
    training_data,
    training_target,
    write,
)
from onnx import TensorProto, helper
from onnxmltools.convert.common.data_types import FloatTensorType as OnnxmltoolsFloats
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

TREES = {"TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble"}
Model = onnx.ModelProto


# Converters


def from_sklearn(model: Any) -> Model:
    options = {"options": {"zipmap": False}} if hasattr(model, "classes_") else {}
    with plain_integers():
        return skl2onnx.convert_sklearn(model, initial_types=[("rows", FloatTensorType([None, N_FEATURES]))], **options)


class plain_integers:
    """skl2onnx 1.20 hands over truth values and NumPy's integers, which this onnx does not take."""

    def __enter__(self) -> None:
        self.make = helper.make_attribute

        def make_attribute(name: str, value: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(value, list):
                value = [v.item() if isinstance(v, np.generic) else v for v in value]
                value = [int(v) if isinstance(v, bool) else v for v in value]
            return self.make(name, value, *args, **kwargs)

        helper.make_attribute = make_attribute

    def __exit__(self, *_: Any) -> None:
        helper.make_attribute = self.make


def from_xgboost(model: Any) -> Model:
    return onnxmltools.convert_xgboost(model, initial_types=[("rows", OnnxmltoolsFloats([None, N_FEATURES]))])


def from_lightgbm(model: Any) -> Model:
    types = [("rows", OnnxmltoolsFloats([None, N_FEATURES]))]
    return onnxmltools.convert_lightgbm(model, initial_types=types, zipmap=False)


# The runtime


def run(model: Model, x: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    # With threads, trees are summed in another order.
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def operator(model: Model) -> Any:
    """The one for trees or linear models."""
    return next(n for n in model.graph.node if n.op_type in TREES | {"LinearClassifier", "LinearRegressor"})


def attribute(node: Any, name: str) -> Any:
    found = [a for a in node.attribute if a.name == name]
    return helper.get_attribute_value(found[0]) if found else None


def without_transform(model: Model) -> Model:
    """The scores as they are, as the only output."""
    bare = copy.deepcopy(model)
    node = operator(bare)
    for a in [a for a in node.attribute if a.name == "post_transform"]:
        node.attribute.remove(a)
    while bare.graph.node[-1].op_type != node.op_type:
        bare.graph.node.pop()
    del bare.graph.output[:]
    for name in node.output:
        bare.graph.output.append(helper.make_empty_tensor_value_info(name))
    return bare


def margins_of(model: Model, x: np.ndarray) -> np.ndarray:
    answers = run(without_transform(model), x)
    scores = answers[-1]
    if scores.shape[1:] != (2,) or len(answers) == 1:
        return scores.reshape(len(x), -1)
    # Of two classes the second, unless their scores meet in a softmax.
    node = operator(model)
    return scores if attribute(node, "post_transform") in (b"SOFTMAX", b"SOFTMAX_ZERO") else scores[:, 1]


def thresholds(model: Model) -> list[list[float]]:
    found: list[list[float]] = [[] for _ in range(N_FEATURES)]
    node = operator(model)
    if node.op_type not in TREES:
        return found
    values = next(v for v in (attribute(node, n) for n in ("nodes_values", "nodes_values_as_tensor", "nodes_splits"))
                  if v is not None)
    values = onnx.numpy_helper.to_array(values) if isinstance(values, TensorProto) else values
    for feature, value in zip(attribute(node, "nodes_featureids"), values):
        if not np.isnan(value):
            found[feature].append(float(value))
    return found


def case(
    name: str, seed: int, model: Model, n: int = MAIN_ROWS, infinities: bool = True,
    prepare: Callable[[np.ndarray], np.ndarray] = lambda x: x, dtype: str = "f4", **more: Any,
) -> None:
    """`prepare` makes of rows what the runtime is asked."""
    pool = pool_of(thresholds(model))
    x = prepare(rows(seed, n, pool, infinities))
    answers = {"margins": margins_of(model, x)}
    last = run(model, x)[-1]
    if operator(model).op_type.endswith("Classifier"):
        n_outputs = answers["margins"].size // n
        answers["probabilities"] = np.minimum(last[:, 1] if n_outputs == 1 else last, 1.0)
    else:
        answers["responses"] = last
    if answers["margins"].shape[1:] == (1,):
        answers["margins"] = answers["margins"][:, 0]
    folder = folder_of(name)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    trainer = f"onnxruntime {onnxruntime.__version__} ({model.producer_name or 'by hand'} {model.producer_version})"
    write(folder, {"onnx": "model.onnx"}, trainer.replace(" )", ")"), dtype, pool, answers, seed=seed,
          infinities=infinities, **more)


# By hand


def by_hand(node: Any, opset: int, element: int = TensorProto.FLOAT, before: Any = ()) -> Model:
    graph = helper.make_graph(
        [*before, node], "by hand", [helper.make_tensor_value_info("rows", element, [None, N_FEATURES])],
        [helper.make_empty_tensor_value_info(name) for name in node.output],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


class Draw:
    """Numbers of a hash."""

    def __init__(self, seed: int) -> None:
        self.numbers = iter(splitmix64(seed, 200_000).tolist())

    def below(self, n: int) -> int:
        return next(self.numbers) % n

    def value(self) -> float:
        """Whole numbers and quarters, as features have them, and real numbers."""
        kind = self.below(3)
        return [float(self.below(8)), self.below(64) / 4 - 8, self.below(1 << 24) / (1 << 21) - 4.0][kind]


def random_trees(draw: Draw, modes: list[str], n_trees: int, depth: int) -> list[list[dict[str, Any]]]:
    """Lists of nodes, parents first."""
    trees = []
    for _ in range(n_trees):
        nodes: list[dict[str, Any]] = [{"depth": 0}]
        for node in nodes:
            if node["depth"] == depth or (node["depth"] > 1 and draw.below(6) == 0):
                node["mode"] = "LEAF"
                continue
            mode = modes[draw.below(len(modes))]
            exact = mode in ("BRANCH_EQ", "BRANCH_NEQ")
            node |= {
                "mode": mode,
                "feature": draw.below(N_FEATURES),
                "value": float(draw.below(8)) if exact else draw.value(),
                # Of sets with members above 30, the runtime has 3.5 be a member if 3 is.
                "members": [float(draw.below(31)) for _ in range(1 + draw.below(12))],
                "missing": draw.below(2),
                "true": len(nodes),
                "false": len(nodes) + 1,
            }
            nodes += [{"depth": node["depth"] + 1}, {"depth": node["depth"] + 1}]
        trees.append(nodes)
    return trees


ALL_MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]


def by_node(
    trees: list[list[dict[str, Any]]], n_outputs: int, weight: Callable[[], float], names: str,
    double: bool = False, base: list[float] | None = None, per_leaf: int = 1, **more: Any,
) -> Any:
    """`TreeEnsembleRegressor` or `TreeEnsembleClassifier`; each leaf has `per_leaf` weights."""
    flat = [(t, i, node) for t, nodes in enumerate(trees) for i, node in enumerate(nodes)]
    leaves = [(t, i) for t, i, node in flat if node["mode"] == "LEAF"]
    weights = [(t, i, (t + k) % n_outputs, weight()) for t, i in leaves for k in range(per_leaf)]
    lists: dict[str, Any] = {
        "nodes_treeids": [t for t, _, _ in flat],
        "nodes_nodeids": [i for _, i, _ in flat],
        "nodes_modes": [node["mode"] for _, _, node in flat],
        "nodes_featureids": [node.get("feature", 0) for _, _, node in flat],
        "nodes_truenodeids": [node.get("true", 0) for _, _, node in flat],
        "nodes_falsenodeids": [node.get("false", 0) for _, _, node in flat],
        "nodes_missing_value_tracks_true": [node.get("missing", 0) for _, _, node in flat],
        f"{names}_treeids": [w[0] for w in weights],
        f"{names}_nodeids": [w[1] for w in weights],
        f"{names}_ids": [w[2] for w in weights],
    }
    thresholds = [node.get("value", 0.0) for _, _, node in flat]
    reals = {"nodes_values": thresholds, f"{names}_weights": [w[3] for w in weights]}
    if base:
        reals["base_values"] = base
    for name, values in reals.items():
        if double:
            lists[f"{name}_as_tensor"] = helper.make_tensor(name, TensorProto.DOUBLE, [len(values)], values)
        else:
            lists[name] = values
    kind, outputs = ("Regressor", ["margin"]) if names == "target" else ("Classifier", ["label", "scores"])
    sizes = {"n_targets": n_outputs} if names == "target" else {"classlabels_int64s": list(range(n_outputs))}
    return helper.make_node(f"TreeEnsemble{kind}", ["rows"], outputs, domain="ai.onnx.ml", **lists, **sizes, **more)


def by_split(
    trees: list[list[dict[str, Any]]], n_outputs: int, weight: Callable[[], float], element: int, **more: Any
) -> Any:
    """`TreeEnsemble` of ai.onnx.ml 5."""
    splits, leaves, roots = [], [], []
    for t, nodes in enumerate(trees):
        places = []
        roots.append(len(splits))
        for node in nodes:
            of = leaves if node["mode"] == "LEAF" else splits
            places.append((len(of), int(of is leaves)))
            of.append(node | {"tree": t})
        for node, (place, is_leaf) in zip(nodes, places):
            if not is_leaf:
                splits[place] |= {"true": places[node["true"]], "false": places[node["false"]]}
    modes = [*ALL_MODES, "BRANCH_MEMBER"]
    members = [v for s in splits if s["mode"] == "BRANCH_MEMBER" for v in [*s["members"], float("nan")]]

    def tensor(name: str, values: list[float], kind: int = element) -> Any:
        return helper.make_tensor(name, kind, [len(values)], values)

    if members:
        more["membership_values"] = tensor("members", members)
    return helper.make_node(
        "TreeEnsemble", ["rows"], ["margin"], domain="ai.onnx.ml", n_targets=n_outputs, tree_roots=roots,
        nodes_featureids=[s["feature"] for s in splits],
        nodes_modes=tensor("modes", [modes.index(s["mode"]) for s in splits], TensorProto.UINT8),
        nodes_splits=tensor("splits", [s["value"] for s in splits]),
        nodes_missing_value_tracks_true=[s["missing"] for s in splits],
        nodes_truenodeids=[s["true"][0] for s in splits], nodes_trueleafs=[s["true"][1] for s in splits],
        nodes_falsenodeids=[s["false"][0] for s in splits], nodes_falseleafs=[s["false"][1] for s in splits],
        leaf_targetids=[leaf["tree"] % n_outputs for leaf in leaves],
        leaf_weights=tensor("weights", [weight() for _ in leaves]), **more,
    )  # fmt: skip


def converted() -> None:
    binary, classes, target = training_data(), training_classes(3), training_target()
    filled = {id(data): (np.nan_to_num(data[0]), data[1]) for data in (binary, classes, target)}
    two_targets = (target[0], np.stack([target[1], -target[1] ** 2], axis=1))
    forest = {"n_estimators": 10, "max_leaf_nodes": 24, "random_state": 7, "n_jobs": 1}
    boost = {"n_estimators": 20, "max_leaf_nodes": 10, "random_state": 7}
    hist = {"max_iter": 20, "early_stopping": False, "max_leaf_nodes": 10, "random_state": 7}

    case("onnx-random-forest", 80, from_sklearn(RandomForestClassifier(**forest).fit(*binary)))
    case("onnx-random-forest-classes", 81, from_sklearn(RandomForestClassifier(**forest).fit(*classes)))
    case("onnx-random-forest-regression", 82, from_sklearn(RandomForestRegressor(**forest).fit(*target)))
    case("onnx-extra-trees-targets", 84, from_sklearn(ExtraTreesRegressor(**forest).fit(*two_targets)))
    case("onnx-gradient-boosting", 85, from_sklearn(GradientBoostingClassifier(**boost).fit(*filled[id(binary)])))
    case("onnx-gradient-boosting-classes", 86,
         from_sklearn(GradientBoostingClassifier(**boost | {"n_estimators": 8}).fit(*filled[id(classes)])))
    case("onnx-hist-boosting", 87, from_sklearn(HistGradientBoostingClassifier(**hist).fit(*binary)))
    case("onnx-hist-boosting-regression", 88, from_sklearn(HistGradientBoostingRegressor(**hist).fit(*target)))

    scaled = make_pipeline(MinMaxScaler(), RandomForestClassifier(**forest | {"n_estimators": 5})).fit(*binary)
    case("onnx-min-max", 83, from_sklearn(scaled), infinities=False)

    trees = {"n_estimators": 20, "max_depth": 4, "random_state": 7, "n_jobs": 1}
    case("onnx-xgboost", 89, from_xgboost(xgboost.XGBClassifier(**trees).fit(*binary)))
    case("onnx-xgboost-classes", 90, from_xgboost(xgboost.XGBClassifier(**trees | {"n_estimators": 8}).fit(*classes)))
    case("onnx-xgboost-regression", 91, from_xgboost(xgboost.XGBRegressor(**trees).fit(*target)))
    leaves = {"n_estimators": 20, "num_leaves": 12, "min_child_samples": 10, "verbose": -1, "n_jobs": 1}
    case("onnx-lightgbm", 92, from_lightgbm(lightgbm.LGBMClassifier(**leaves).fit(*binary)))
    case("onnx-lightgbm-classes", 93,
         from_lightgbm(lightgbm.LGBMClassifier(**leaves | {"n_estimators": 8}).fit(*classes)))
    case("onnx-lightgbm-categorical", 94, from_lightgbm(lightgbm.LGBMClassifier(
         **leaves, min_data_per_group=5, cat_smooth=1).fit(*binary, categorical_feature=CATEGORICAL)))

    linear(filled[id(binary)], filled[id(classes)], filled[id(target)])


def linear(binary: Any, classes: Any, target: Any) -> None:
    """The runtime answers NaN to missing values; here they count as zero. It sums a matrix product in its own order."""
    order = {"n": VARIANT_ROWS, "infinities": False}
    zero = np.nan_to_num
    case("onnx-logistic-regression", 95, from_sklearn(LogisticRegression(max_iter=2000).fit(*binary)), prepare=zero,
         ulps=1000, **order)
    case("onnx-logistic-regression-classes", 96, from_sklearn(LogisticRegression(max_iter=2000).fit(*classes)),
         prepare=zero, ulps=1000, **order)
    scaled = from_sklearn(make_pipeline(StandardScaler(), LogisticRegression()).fit(*classes))
    offset = np.array(attribute(scaled.graph.node[0], "offset"), dtype=np.float32)
    case("onnx-scaler", 97, scaled, prepare=lambda x: np.where(np.isnan(x), offset, x), ulps=10_000, **order)
    case("onnx-ridge", 98, from_sklearn(Ridge().fit(*target)), prepare=zero, ulps=1000, **order)


def made() -> None:
    """What the converters do not write."""
    for norm, seed in [("L1", 100), ("L2", 101), ("MAX", 102)]:
        draw = Draw(seed)
        before = helper.make_node("Normalizer", ["x"], ["rows"], domain="ai.onnx.ml", norm=norm)
        scale = helper.make_node("Scaler", ["input"], ["x"], domain="ai.onnx.ml", offset=[0.5], scale=[1.25])
        node = by_node(random_trees(draw, ["BRANCH_LEQ"], 8, 4), 1, draw.value, "target")
        for split in node.attribute:
            if split.name == "nodes_values":
                split.floats[:] = [v / 64 for v in split.floats]
        model = by_hand(node, 3, before=[scale, before])
        model.graph.input[0].name = "input"
        case(f"onnx-normalizer-{norm.lower()}", seed, model, infinities=False)

    draw = Draw(103)
    trees = random_trees(draw, ALL_MODES, 12, 5)
    case("onnx-modes", 103, by_hand(by_node(trees, 1, draw.value, "target", base=[0.375]), 3))
    case("onnx-modes-double", 104, by_hand(by_node(trees, 1, draw.value, "target", double=True, base=[0.1]), 3,
         TensorProto.DOUBLE), prepare=lambda x: x.astype(np.float64))
    average = {"aggregate_function": "AVERAGE"}
    case("onnx-average", 105, by_hand(by_node(trees, 1, draw.value, "target", base=[-0.3], **average), 3))
    case("onnx-average-targets", 106,
         by_hand(by_node(trees, 3, draw.value, "target", base=[0.1, 0.2, 0.3], **average), 3))
    case("onnx-softmax-targets", 107, by_hand(by_node(trees, 3, draw.value, "target", post_transform="SOFTMAX"), 3))
    case("onnx-softmax-zero", 108, by_hand(by_node(trees, 4, draw.value, "class", base=[0.0, -0.1, 0.0, 0.5],
         post_transform="SOFTMAX_ZERO"), 3))
    case("onnx-logistic-classes", 109, by_hand(by_node(trees, 3, draw.value, "class", post_transform="LOGISTIC",
         per_leaf=2), 3))
    case("onnx-two-classes-softmax", 110, by_hand(by_node(trees, 2, draw.value, "class", post_transform="SOFTMAX",
         per_leaf=2, base=[0.7]), 3))

    draw = Draw(111)
    trees = random_trees(draw, [*ALL_MODES, "BRANCH_MEMBER", "BRANCH_MEMBER"], 12, 5)
    single, double = TensorProto.FLOAT, TensorProto.DOUBLE
    case("onnx-5", 111, by_hand(by_split(trees, 1, draw.value, single), 5))
    case("onnx-5-double", 112, by_hand(by_split(trees, 1, draw.value, double, aggregate_function=0), 5, double),
         prepare=lambda x: x.astype(np.float64), dtype="f8")
    case("onnx-5-targets", 113, by_hand(by_split(trees, 3, draw.value, single, aggregate_function=0), 5))
    case("onnx-5-softmax-zero", 114, by_hand(by_split(trees, 3, draw.value, single, post_transform=3), 5))


def main() -> None:
    converted()
    made()
