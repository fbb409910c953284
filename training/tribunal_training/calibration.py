"""From a raw probability to one that is as often right as it says: Platt or isotonic, whichever validates better.

A calibration is the JSON that `tribunal_core::ensemble::Calibration` reads: `{"method": "platt", "a", "b"}`, p = 1 / (1
+ exp(-(a logit(p) + b))), or `{"method": "isotonic", "x", "y"}`, linear between points and constant beyond them. Rows
are weighed by `mass`, so that every fold counts the same.
"""

from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression

from .metrics import ece, logit

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
    """Slope and intercept on the log odds, by Newton's method with halved steps."""
    margin, share, at = logit(p), mass / mass.sum(), np.array([1.0, 0.0])

    def loss(ab: np.ndarray) -> float:
        z = ab[0] * margin + ab[1]
        return float((share * np.where(labels == 1, np.logaddexp(0, -z), np.logaddexp(0, z))).sum())

    least = loss(at)
    for _ in range(30):
        said = 1.0 / (1.0 + np.exp(-(at[0] * margin + at[1])))
        off, curve = share * (said - labels), share * said * (1 - said)
        slope = np.array([(off * margin).sum(), off.sum()])
        mixed = (curve * margin).sum()
        step = np.linalg.solve([[(curve * margin**2).sum() + 1e-12, mixed], [mixed, curve.sum() + 1e-12]], slope)
        while (now := loss(at - step)) > least and np.abs(step).max() > 1e-9:
            step = step / 2
        at, gained, least = at - step, least - now, now
        if gained < 1e-12:
            break
    return {"method": "platt", "a": round(float(max(at[0], 1e-3)), 6), "b": round(float(at[1]), 6)}


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


def choose(parts: list[Part], most_error: float = 1.0) -> tuple[Calibration, dict[str, float]]:
    """The better method, fitted on all folds, and each method's mean log loss on folds that its fit had not seen.

    Platt's, unless isotonic is better by `LEAST_GAIN` and in all folds but one, or Platt's leaves an expected calibration
    error above `most_error` over all folds together.
    """
    losses: dict[str, list[float]] = {name: [] for name in METHODS}
    for i, (labels, p) in enumerate(parts):
        for name, fit in METHODS.items():
            fitted = fit(*equal_mass(parts[:i] + parts[i + 1 :]))
            losses[name].append(log_loss(labels, apply(fitted, p), np.ones(len(labels))))
    gain = np.array(losses["platt"]) - np.array(losses["isotonic"])
    best = "isotonic" if gain.mean() > LEAST_GAIN and (gain > 0).sum() >= len(parts) - 1 else "platt"
    labels, p, mass = equal_mass(parts)
    fitted = METHODS[best](labels, p, mass)
    if best == "platt" and ece(labels, apply(fitted, p), mass) > most_error:
        fitted = isotonic(labels, p, mass)
    return fitted, {name: round(float(np.mean(of)), 5) for name, of in losses.items()}
