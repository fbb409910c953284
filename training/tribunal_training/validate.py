"""Measures every model and their mean on every fold, with features whose lexicon saw the fold's training rows only."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from . import config
from .augment import add_subdomains
from .features import CrossFit, matrix, training_matrix
from .metrics import logit, measure
from .models import TRAINERS
from .splits import Fold


@dataclass
class Scored:
    """Out-of-fold probabilities of a fold's rows, by model."""

    fold: Fold
    labels: np.ndarray
    probabilities: dict[str, np.ndarray]

    def mean(self, weights: dict[str, float]) -> np.ndarray:
        """The weighted mean, as the ensemble takes it."""
        total = sum(weights.values())
        return sum(weights[m] * p for m, p in self.probabilities.items()) / total


def score_fold(rows: pd.DataFrame, fold: Fold, cross: CrossFit, seed: int) -> Scored:
    """Fits the three models on the fold's training rows and scores its held-out rows as they stand on their lists."""
    train, valid = add_subdomains(rows.iloc[fold.train]), rows.iloc[fold.valid]
    whole = cross.whole(train, fold.kind + "-" + fold.name)
    names = cross.tribunal.schema(whole).names[fold.kind]
    x, y = training_matrix(cross.crossed(train, fold.kind + "-" + fold.name), train, names, fold.kind)
    vx, vy = matrix(cross.tribunal.features(valid, whole, f"{fold.kind}-{fold.name}-valid"), valid, names)
    probabilities = {}
    for trainer in TRAINERS:
        model = trainer.fit(x, y, names, fold.kind, seed)
        probabilities[trainer.name] = np.asarray(trainer.probability(model, vx), dtype="float64")
    return Scored(fold, vy, probabilities)


def report(scored: list[Scored], weights: dict[str, dict[str, float]]) -> dict[str, dict[str, dict[str, dict]]]:
    """kind -> model (and `ensemble`) -> fold -> metrics."""
    out: dict[str, dict[str, dict[str, dict]]] = {}
    for s in scored:
        of_kind = out.setdefault(s.fold.kind, {})
        for model, p in s.probabilities.items():
            of_kind.setdefault(model, {})[s.fold.name] = measure(s.labels, p)
        of_kind.setdefault("ensemble", {})[s.fold.name] = measure(s.labels, s.mean(weights[s.fold.kind]))
    return out


def pooled(scored: list[Scored], weights: dict[str, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, mean probabilities and row weights over the folds of a kind.

    Every fold counts the same; within a fold malicious rows weigh `BASE_RATE` and benign ones the rest.
    """
    labels = np.concatenate([s.labels for s in scored])
    scores = np.concatenate([s.mean(weights) for s in scored])
    mass = []
    for s in scored:
        malicious = s.labels == 1
        mass.append(np.where(malicious, config.BASE_RATE / malicious.sum(), (1 - config.BASE_RATE) / (~malicious).sum()))
    return labels, scores, np.concatenate(mass)


def calibrate(scored: list[Scored], weights: dict[str, float]) -> dict[str, float]:
    """Platt's a and b: probability = 1 / (1 + exp(-(a logit(mean) + b))), at the base rate."""
    from scipy.optimize import minimize

    labels, scores, mass = pooled(scored, weights)
    margin = logit(scores)

    def loss(ab: np.ndarray) -> float:
        z = ab[0] * margin + ab[1]
        return float((mass * np.where(labels == 1, np.logaddexp(0, -z), np.logaddexp(0, z))).sum())

    a, b = minimize(loss, [1.0, -2.0], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-10}).x
    return {"a": round(float(a), 6), "b": round(float(b), 6)}


def risk(mean: np.ndarray, calibration: dict[str, float]) -> np.ndarray:
    """Risk, 0 to 100."""
    return 100.0 / (1.0 + np.exp(-(calibration["a"] * logit(mean) + calibration["b"])))


def weighted_quantile(values: np.ndarray, mass: np.ndarray, q: float) -> float:
    """The least value with at least `q` of the mass at or below it."""
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(mass[order]) / mass.sum()
    return float(values[order][min(np.searchsorted(cumulative, q), len(values) - 1)])


def thresholds(scored: list[Scored], weights: dict[str, float], calibration: dict[str, float]) -> dict[str, float]:
    """Risks above which 1 % and 0.1 % of the benign rows lie, every fold counting the same."""
    labels, scores, mass = pooled(scored, weights)
    benign = labels == 0
    risks, mass = risk(scores[benign], calibration), mass[benign]
    return {
        "suspicious": round(weighted_quantile(risks, mass, 1 - config.SUSPICIOUS_FPR) + 0.005, 2),
        "malicious": round(weighted_quantile(risks, mass, 1 - config.MALICIOUS_FPR) + 0.005, 2),
    }
