"""From the members' calibrated probabilities to one: methods, their fit, and the choice between them.

Formulas are those of `tribunal_core::ensemble` (weights w, over the members that answered):

    mean       Σ w p / Σ w                       (`mean` with all weights 1, and `weighted_mean` with fitted ones)
    median     midpoint of the lower and the upper weighted median
    maximum    greatest
    noisy_or   1 - Π (1 - p)^(w / Σ w)
    logistic   σ(bias + W Σ w logit(p) / Σ w),  W the weights of all members, none negative
    mean_odds  the same with a bias of 0 and weights by rule instead of by fit: the mean of the log odds

`P` is a matrix, one row per entity and one column per member, NaN where a member did not answer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from . import config
from .calibration import equal_mass, log_loss
from .metrics import logit, measure

# Share of answers that the meta-model loses in training, so that it works when members are missing.
DROPPED = 0.2
L2 = 1e-3
# Rows of a fold that weights are fitted on, evenly spread: a handful of numbers needs no more.
FIT_ROWS = 6_000
# A member's voice falls with its area's distance from the best one's, to its least at this distance.
SILENT, SMALL_VOICE = 0.01, 0.1
# What chance moves `value` by.
LEAST_GAIN = 0.01
PLAIN = ("mean", "mean_odds")
# Weights below this part of the greatest are rounded to a small one: a member that is in has a voice.
LEAST_WEIGHT = 0.02


@dataclass(frozen=True)
class Stack:
    """A fitted method: `name` as compared, `method` as published, weight per member."""

    name: str
    method: dict[str, Any]
    weights: np.ndarray

    def combine(self, p: np.ndarray) -> np.ndarray:
        """One probability per row; NaN where nobody answered."""
        answered = ~np.isnan(p)
        w = np.where(answered, self.weights, 0.0)
        total = w.sum(axis=1)
        return _COMBINE[self.method["method"]](self, np.where(answered, p, 0.5), w, total)


def _mean(_stack: Stack, p: np.ndarray, w: np.ndarray, total: np.ndarray) -> np.ndarray:
    return (w * p).sum(axis=1) / total


def _median(_stack: Stack, p: np.ndarray, w: np.ndarray, total: np.ndarray) -> np.ndarray:
    order = np.argsort(p, axis=1)
    cumulative = np.cumsum(np.take_along_axis(w, order, 1), axis=1)
    half, sorted_p, rows = total[:, None] / 2, np.take_along_axis(p, order, 1), np.arange(len(p))
    lower, upper = (cumulative >= half * (1 - 1e-9)).argmax(axis=1), (cumulative > half * (1 + 1e-9)).argmax(axis=1)
    return (sorted_p[rows, lower] + sorted_p[rows, upper]) / 2


def _maximum(_stack: Stack, p: np.ndarray, w: np.ndarray, _total: np.ndarray) -> np.ndarray:
    return np.where(w > 0, p, 0.0).max(axis=1)


def _noisy_or(_stack: Stack, p: np.ndarray, w: np.ndarray, total: np.ndarray) -> np.ndarray:
    return 1.0 - np.exp((w * np.log1p(-np.minimum(p, 1 - 1e-9))).sum(axis=1) / total)


def _logistic(stack: Stack, p: np.ndarray, w: np.ndarray, total: np.ndarray) -> np.ndarray:
    z = stack.method["bias"] + stack.weights.sum() * (w * logit(p)).sum(axis=1) / total
    return 1.0 / (1.0 + np.exp(-z))


_COMBINE = {"mean": _mean, "median": _median, "maximum": _maximum, "noisy_or": _noisy_or, "logistic": _logistic}

Part = tuple[np.ndarray, np.ndarray]


def _stacked(parts: list[Part]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts = [(labels[:: 1 + len(labels) // FIT_ROWS], p[:: 1 + len(labels) // FIT_ROWS]) for labels, p in parts]
    labels, rows, mass = equal_mass([(labels, np.arange(len(labels))) for labels, _ in parts])
    return labels, np.concatenate([p for _, p in parts]), mass


def _dropped(p: np.ndarray, seed: int) -> np.ndarray:
    """Some answers lost; a row keeps at least one."""
    rng = np.random.default_rng(seed)
    lost = rng.random(p.shape) < DROPPED
    lost[np.arange(len(p)), rng.integers(0, p.shape[1], len(p))] = False
    return np.where(lost, np.nan, p)


def _fit_logistic(parts: list[Part], seed: int) -> Stack:
    labels, p, mass = _stacked(parts)
    p = _dropped(p, seed)
    answered, share = ~np.isnan(p), mass / mass.sum()
    odds = np.where(answered, logit(np.where(answered, p, 0.5)), 0.0)

    def loss(v: np.ndarray) -> float:
        w, bias = v[:-1], v[-1]
        total = np.maximum(answered @ w, 1e-9)
        z = bias + w.sum() * (odds @ w) / total
        fit = np.where(labels == 1, np.logaddexp(0, -z), np.logaddexp(0, z))
        return float((share * fit).sum() + L2 * (w**2).sum())

    members = p.shape[1]
    start = np.append(np.full(members, 1.0 / members), 0.0)
    bounds = [(1e-4, 10.0)] * members + [(-20.0, 20.0)]
    v = minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60}).x
    weights = np.maximum(v[:-1], LEAST_WEIGHT * v[:-1].max()).round(4)
    return Stack("logistic", {"method": "logistic", "bias": round(float(v[-1]), 4)}, weights)


def _fit_weighted(parts: list[Part], _seed: int) -> Stack:
    """Weights of the mean by least log loss."""
    labels, p, mass = _stacked(parts)

    def loss(w: np.ndarray) -> float:
        return log_loss(labels, p @ w / w.sum(), mass)

    members = p.shape[1]
    v = minimize(loss, np.ones(members), method="L-BFGS-B", bounds=[(1e-3, 10.0)] * members, options={"maxiter": 40}).x
    return Stack("weighted_mean", {"method": "mean"}, np.maximum(v / v.max(), LEAST_WEIGHT).round(3))


def _fit_odds(parts: list[Part], _seed: int) -> Stack:
    """Mean of the log odds; a member whose area is below the best one's has a smaller voice."""
    area = np.mean([[roc_auc_score(labels, column) for column in p.T] for labels, p in parts], axis=0)
    weights = np.clip(1.0 - (area.max() - area) / SILENT, SMALL_VOICE, 1.0)
    return Stack("mean_odds", {"method": "logistic", "bias": 0.0}, (weights / weights.sum()).round(4))


def _plain(method: str):
    return lambda parts, _seed: Stack(method, {"method": method}, np.ones(parts[0][1].shape[1]))


FITS = {name: _plain(name) for name in ("mean", "median", "maximum", "noisy_or")} | {
    "weighted_mean": _fit_weighted, "logistic": _fit_logistic, "mean_odds": _fit_odds,
}  # fmt: skip


def compare(parts: list[Part], names: list[str], seed: int = config.SEED) -> dict[str, dict[str, dict[str, float]]]:
    """method -> fold -> metrics, each fold measured with a method fitted on the others."""
    out: dict[str, dict[str, dict[str, float]]] = {method: {} for method in FITS}
    for i, (labels, p) in enumerate(parts):
        for method, fit in FITS.items():
            stack = fit(parts[:i] + parts[i + 1 :], seed)
            out[method][names[i]] = measure(labels, stack.combine(p))
    return out


def value(per_fold: dict[str, dict[str, float]]) -> float:
    """What the choice is made by: recall at low false-positive rates, then the area; mean and worst fold alike."""
    recall = np.array([(m["recall_at_fpr_1_percent"] + m["recall_at_fpr_0_1_percent"]) / 2 for m in per_fold.values()])
    area = np.array([m["auc"] for m in per_fold.values()])
    return float(0.5 * (recall.mean() + area.mean()) + 0.1 * (recall.min() + area.min()))


def choose(parts: list[Part], names: list[str], seed: int = config.SEED) -> tuple[Stack, dict[str, Any]]:
    """The best method, fitted on all folds, and the table of all; a mean, unless another is better by `LEAST_GAIN`."""
    table = compare(parts, names, seed)
    best = max(table, key=lambda method: value(table[method]) + (LEAST_GAIN if method in PLAIN else 0.0))
    return FITS[best](parts, seed), {"chosen": best, "methods": table}
