"""The ensemble definition out of out-of-fold probabilities: calibrations, method, weights, thresholds, profiles.

Everything is fitted and measured with every fold counting the same, whatever its size.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import calibration, config, stacking
from .calibration import Calibration
from .metrics import ece, measure
from .validate import Scored


@dataclass
class Fitted:
    """What was fitted for one kind; `tables` is what was measured, for people."""

    members: list[str]
    calibrations: dict[str, Calibration]
    stack: stacking.Stack
    calibration: Calibration
    base_rate: float
    thresholds: dict[str, float]
    profiles: dict[str, dict[str, float]]
    tables: dict[str, Any]

    def risk(self, scored: Scored) -> np.ndarray:
        """0 to 100, as production computes it (but for rounding)."""
        return 100.0 * calibration.apply(self.calibration, self.stack.combine(self._calibrated(scored)))

    def _calibrated(self, scored: Scored) -> np.ndarray:
        return np.column_stack([calibration.apply(self.calibrations[m], scored.probabilities[m]) for m in self.members])


def weighted_quantile(values: np.ndarray, mass: np.ndarray, q: float) -> float:
    """The least value with at least `q` of the mass at or below it."""
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(mass[order]) / mass.sum()
    return float(values[order][min(np.searchsorted(cumulative, q), len(values) - 1)])


def threshold(benign: list[np.ndarray], rate: float) -> float:
    """The risk above which `rate` of the benign rows lie, every fold counting the same."""
    mass = np.concatenate([np.full(len(b), 1.0 / len(b)) for b in benign])
    return min(round(weighted_quantile(np.concatenate(benign), mass, 1 - rate) + 0.005, 2), 100.0)


def _thresholds(benign: list[np.ndarray], rates: tuple[float, float]) -> dict[str, float]:
    suspicious, malicious = (threshold(benign, rate) for rate in rates)
    return {"suspicious": suspicious, "malicious": max(suspicious, malicious)}


def fit(scored: list[Scored], members: list[str]) -> Fitted:
    """All of one kind, from its folds."""
    calibrations, losses = {}, {}
    for m in members:
        calibrations[m], losses[m] = calibration.choose([(s.labels, s.probabilities[m]) for s in scored])
    held = [np.column_stack([calibration.apply(calibrations[m], s.probabilities[m]) for m in members]) for s in scored]
    names = [s.fold.name for s in scored]
    stack, choice = stacking.choose([(s.labels, p) for s, p in zip(scored, held)], names)
    combined = [(s.labels, stack.combine(p)) for s, p in zip(scored, held)]
    of_ensemble, losses["ensemble"] = calibration.choose(combined, config.MOST_ERROR)
    risks = [100.0 * calibration.apply(of_ensemble, p) for _, p in combined]
    benign = [r[labels == 0] for r, (labels, _) in zip(risks, combined)]
    tables = {
        "folds": {n: measure(labels, r) for n, r, (labels, _) in zip(names, risks, combined)},
        "stacking": choice, "calibration_log_loss": losses,
        "calibration_error": _errors(scored, held, members, risks, names),
        "false_positive_rates": {name: list(rates) for name, rates in config.PROFILES.items()},
    }  # fmt: skip
    return Fitted(
        members, calibrations, stack, of_ensemble, round(float(np.mean([s.labels.mean() for s in scored])), 4),
        _thresholds(benign, config.PROFILES["balanced"]),
        {name: _thresholds(benign, rates) for name, rates in config.PROFILES.items()}, tables,
    )  # fmt: skip


def _errors(
    scored: list[Scored], held: list[np.ndarray], members: list[str], risks: list[np.ndarray], names: list[str]
) -> dict[str, dict[str, float]]:
    """Expected calibration error: of all folds together, each with a mass of 1, and of each fold by itself."""
    out = {}
    columns = {m: [p[:, i] for p in held] for i, m in enumerate(members)} | {"ensemble": [r / 100.0 for r in risks]}
    for name, parts in columns.items():
        pairs = [(s.labels, p) for s, p in zip(scored, parts)]
        together = ece(*calibration.equal_mass(pairs))
        alone = {n: ece(labels, p, np.ones(len(p))) for n, (labels, p) in zip(names, pairs)}
        out[name] = {"all": round(together, 4)} | {n: round(v, 4) for n, v in alone.items()}
    return out


def definition(version: str, created: str, by_kind: dict[str, Fitted], trainers: list[str]) -> dict[str, Any]:
    """The document that `tribunal_core::ensemble::EnsembleDefinition` reads; a kind that was not trained has no say
    in it, which is refused: both kinds are needed."""
    return {
        "version": version,
        "members": [{"model": t, "weight": {k: _weight(f, t) for k, f in by_kind.items()}} for t in trainers],
        "method": {k: f.stack.method for k, f in by_kind.items()},
        "quorum": {k: quorum(len(f.members)) for k, f in by_kind.items()},
        "thresholds": {k: f.thresholds for k, f in by_kind.items()},
        "profiles": {name: {k: f.profiles[name] for k, f in by_kind.items()} for name in config.PROFILES},
        "calibration": {k: f.calibration for k, f in by_kind.items()},
        "base_rate": {k: f.base_rate for k, f in by_kind.items()},
        "half_life_hours": config.HALF_LIFE_HOURS,
        "valid_hours": config.VALID_HOURS,
        "created": created,
        "metrics": {k: f.tables for k, f in by_kind.items()},
    }


def quorum(members: int) -> int:
    """More than a third of the members: one slow or broken predictor costs no verdict, two of five neither."""
    return members // 3 + 1


def _weight(fitted: Fitted, trainer: str) -> float:
    return float(fitted.stack.weights[fitted.members.index(trainer)]) if trainer in fitted.members else 0.0
