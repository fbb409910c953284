"""From a raw probability to one that is as often right as it says: Platt or isotonic, whichever validates better.

A calibration is the JSON that `tribunal_core::ensemble::Calibration` reads: `{"method": "platt", "a", "b"}`, p = 1 / (1
+ exp(-(a logit(p) + b))), or `{"method": "isotonic", "x", "y"}`, linear between points and constant beyond them. Rows
are weighed by `mass`, so that every fold counts the same.
"""

from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from .metrics import logit

Calibration = dict[str, Any]

MAX_POINTS = 60
# Isotonic flattens parts of the order; it has to be better by this much (mean log loss of the folds left out).
LEAST_GAIN = 0.002


def apply(calibration: Calibration | None, p: np.ndarray) -> np.ndarray:
    """Calibrated probabilities; None leaves them."""
    if calibration is None:
        return p
    if calibration["method"] == "platt":
        # Of 0 and 1 as production has it: infinite odds stay what they are.
        with np.errstate(divide="ignore", over="ignore"):
            odds = np.log(p / (1.0 - p))
            return 1.0 / (1.0 + np.exp(-(calibration["a"] * odds + calibration["b"])))
    return np.interp(p, calibration["x"], calibration["y"])


def log_loss(labels: np.ndarray, p: np.ndarray, mass: np.ndarray) -> float:
    """Weighted mean of -log of what was said of the label."""
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-(mass * np.where(labels == 1, np.log(p), np.log(1 - p))).sum() / mass.sum())


def platt(labels: np.ndarray, p: np.ndarray, mass: np.ndarray) -> Calibration:
    """Slope and intercept on the log odds."""
    margin, share = logit(p), mass / mass.sum()

    def loss(ab: np.ndarray) -> float:
        z = ab[0] * margin + ab[1]
        return float((share * np.where(labels == 1, np.logaddexp(0, -z), np.logaddexp(0, z))).sum())

    a, b = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-9}).x
    return {"method": "platt", "a": round(float(max(a, 1e-3)), 6), "b": round(float(b), 6)}


def isotonic(labels: np.ndarray, p: np.ndarray, mass: np.ndarray) -> Calibration:
    """Points at quantiles of p, with the values of an isotonic regression; ends off 0 and 1, and never flat.

    Equal calibrated probabilities of unequal raw ones would lose the order that a threshold needs, so the values are
    tilted by one in a thousand.
    """
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(p, labels, sample_weight=mass)
    x = np.unique(np.quantile(p, np.linspace(0, 1, MAX_POINTS)).round(6))
    width = np.diff(np.concatenate([[x[0]], (x[1:] + x[:-1]) / 2, [x[-1]]]))
    y = np.array([fitted.predict(np.linspace(v - w / 2, v + w / 2, 21).clip(0, 1)).mean() for v, w in zip(x, width)])
    y = 0.999 * np.maximum.accumulate(y) + 0.001 * x
    return {"method": "isotonic", "x": [float(v) for v in x], "y": [float(v) for v in y.round(6)]}


METHODS = {"platt": platt, "isotonic": isotonic}

Part = tuple[np.ndarray, np.ndarray]


def equal_mass(parts: list[Part]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities and mass of several folds; each has a mass of 1."""
    labels = np.concatenate([labels for labels, _ in parts])
    p = np.concatenate([p for _, p in parts])
    return labels, p, np.concatenate([np.full(len(labels), 1.0 / len(labels)) for labels, _ in parts])


def choose(parts: list[Part]) -> tuple[Calibration, dict[str, float]]:
    """The better method, fitted on all folds, and each method's mean log loss on folds that its fit had not seen."""
    losses = {}
    for name, fit in METHODS.items():
        held = []
        for i, (labels, p) in enumerate(parts):
            fitted = fit(*equal_mass(parts[:i] + parts[i + 1 :]))
            held.append(log_loss(labels, apply(fitted, p), np.ones(len(labels))))
        losses[name] = round(float(np.mean(held)), 5)
    best = "isotonic" if losses["isotonic"] < losses["platt"] - LEAST_GAIN else "platt"
    return METHODS[best](*equal_mass(parts)), losses
