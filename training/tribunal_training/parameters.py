"""Parameters of the trainers: the committed choice, and the space that `search.py` draws from.

`training/parameters.json` holds the choice per trainer and kind, with what the search measured; sizes are held
down, since models are committed. A parameter that is not there has the trainer's own default.
"""

import copy
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from . import config

FILE = config.ROOT / "training" / "parameters.json"

# The sense of a feature, where it is known: the more of it, the more (or the less) risk, all else the same. Lists
# contradict some of it: benign ones hold blogs, phishing ones of this training hardly any, elsewhere it is the reverse.
SENSE = {
    "tld_rate": 1, "asn_rate": 1, "country_rate": 1, "lm_generated_margin": 1, "lm_phishing_margin": 1,
    "idn_mixed_script": 1, "idn_confusable_share": 1, "suffix_private": 1, "provider_free_hosting": 1,
    "provider_dynamic_dns": 1, "provider_blog": 1, "tld_cheap": 1, "tld_restricted": -1,
    "brand_inside": 1, "brand_near": 1, "brand_folded": 1, "brand_folded_near": 1, "brand_script": 1,
    "brand_sub_token": 1, "brand_sub_inside": 1, "brand_sub_domain": 1, "kw_credential": 1, "kw_security": 1,
    "kw_account": 1, "kw_sub": 1,
}  # fmt: skip


@cache
def _chosen() -> dict[str, Any]:
    return json.loads(FILE.read_text())


def of(trainer: str, kind: str) -> dict[str, Any]:
    """A copy of the chosen parameters, without those that are not the library's own."""
    found = copy.deepcopy(_chosen()[trainer][kind])
    found.pop("monotone", None)
    return found


def monotone(trainer: str, kind: str, names: list[str]) -> list[int]:
    """One sense per feature, all zero unless the choice asks for them."""
    asked = _chosen()[trainer][kind].get("monotone", False)
    return [SENSE.get(name, 0) if asked else 0 for name in names]


# Sizes are such that no file exceeds what `publish.py` allows.
SPACE: dict[str, dict[str, list[Any]]] = {
    "xgboost": {
        "max_depth": [5, 6, 7], "eta": [0.05, 0.08], "rounds": [260, 350], "colsample_bytree": [0.2, 0.3, 0.5],
        "min_child_weight": [8.0, 20.0], "lambda": [2.0, 8.0], "subsample": [0.8], "monotone": [False, True],
    },
    "lightgbm": {
        "num_leaves": [31, 40, 63], "learning_rate": [0.05, 0.07], "rounds": [280, 320],
        "feature_fraction": [0.2, 0.3, 0.5], "min_data_in_leaf": [60, 150], "lambda_l2": [2.0, 8.0],
        "bagging_fraction": [0.8], "monotone": [False, True],
    },
    "catboost": {
        "depth": [6, 7], "iterations": [400, 800], "learning_rate": [0.06, 0.1], "rsm": [0.2, 0.3],
        "l2_leaf_reg": [3.0, 8.0], "border_count": [64, 128], "subsample": [0.8], "monotone": [False, True],
    },
    "forest": {
        "n_estimators": [50], "max_leaf_nodes": [600, 1000], "min_samples_leaf": [5, 20],
        "max_features": [0.3, 0.6, 0.9], "criterion": ["gini", "entropy"],
    },
}  # fmt: skip


def candidates(trainer: str, kind: str, budget: int, seed: int = config.SEED) -> list[dict[str, Any]]:
    """The choice in force, and distinct draws from the space, `budget` in all; the same for the same seed."""
    rng = random.Random(f"{seed} {trainer} {kind}")
    drawn = [copy.deepcopy(_chosen()[trainer][kind])]
    space = SPACE[trainer]
    while len(drawn) < budget:
        one = {name: rng.choice(values) for name, values in space.items()}
        if one not in drawn:
            drawn.append(one)
    return drawn[:budget]


def described(trainer: str) -> dict[str, Any]:
    """What was chosen, per kind; empty for a member that has its own."""
    return copy.deepcopy(_chosen().get(trainer, {}))


@contextmanager
def trial(trainer: str, kind: str, candidate: dict[str, Any]) -> Iterator[None]:
    """Puts a candidate in force for a while."""
    before = _chosen()[trainer][kind]
    _chosen()[trainer][kind] = candidate
    try:
        yield
    finally:
        _chosen()[trainer][kind] = before


def choose(trainer: str, kind: str, candidate: dict[str, Any]) -> None:
    """Puts a candidate in force for good."""
    _chosen()[trainer][kind] = candidate
    FILE.write_text(json.dumps(_chosen(), indent=1) + "\n")
