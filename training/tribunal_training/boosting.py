"""XGBoost, LightGBM and CatBoost: fitted on the vector, answered as log odds.

Parameters come from `parameters.py`. Every fit is deterministic for its seed, number of threads and library version.
"""

from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import xgboost

from . import config, parameters
from .sample import Sample


def fit_xgboost(sample: Sample, kind: str, seed: int) -> xgboost.Booster:
    """Histogram trees of bounded depth."""
    chosen = parameters.of("xgboost", kind)
    rounds = chosen.pop("rounds")
    fixed = {
        "objective": "binary:logistic", "tree_method": "hist", "seed": seed, "nthread": config.THREADS,
        "monotone_constraints": tuple(parameters.monotone("xgboost", kind, sample.names)),
    }  # fmt: skip
    data = xgboost.DMatrix(sample.x, sample.labels, feature_names=sample.names)
    return xgboost.train(fixed | chosen, data, num_boost_round=rounds)


def xgboost_answer(model: xgboost.Booster, sample: Sample, margin: bool) -> np.ndarray:
    """Margins or probabilities, float32."""
    return model.predict(xgboost.DMatrix(sample.x, feature_names=sample.names), output_margin=margin)


def fit_lightgbm(sample: Sample, kind: str, seed: int) -> lightgbm.Booster:
    """Leaf-wise trees."""
    chosen = parameters.of("lightgbm", kind)
    rounds = chosen.pop("rounds")
    fixed = {
        "objective": "binary", "bagging_freq": 1, "seed": seed, "num_threads": config.THREADS,
        "deterministic": True, "force_col_wise": True, "verbosity": -1,
        "monotone_constraints": parameters.monotone("lightgbm", kind, sample.names),
    }  # fmt: skip
    data = lightgbm.Dataset(sample.x, sample.labels, feature_name=sample.names, free_raw_data=True)
    return lightgbm.train(fixed | chosen, data, num_boost_round=rounds)


def lightgbm_answer(model: lightgbm.Booster, sample: Sample, margin: bool) -> np.ndarray:
    """Margins or probabilities, float64."""
    return np.asarray(model.predict(sample.x, raw_score=margin))


def fit_catboost(sample: Sample, kind: str, seed: int) -> catboost.CatBoost:
    """Oblivious trees, on numbers alone: without statistics of categories a model can be compiled."""
    chosen = parameters.of("catboost", kind)
    model = catboost.CatBoost(
        {
            "loss_function": "Logloss", "bootstrap_type": "Bernoulli", "random_seed": seed, "verbose": 0,
            "thread_count": config.THREADS, "allow_writing_files": False,
            "monotone_constraints": parameters.monotone("catboost", kind, sample.names),
        } | chosen  # fmt: skip
    )
    return model.fit(catboost.Pool(sample.x, sample.labels, feature_names=sample.names))


def catboost_answer(model: catboost.CatBoost, sample: Sample, margin: bool) -> np.ndarray:
    """Margins or probabilities, float64."""
    if margin:
        return np.asarray(model.predict(sample.x, prediction_type="RawFormulaVal"))
    return np.asarray(model.predict(sample.x, prediction_type="Probability"))[:, 1]


def save(model: Any, path: Path, _names: list[str]) -> None:
    """The trainer's own file; CatBoost's is its binary form."""
    model.save_model(str(path))
