"""Calibrations and ensembles are the formulas that production computes, and the choice between them is by what is held out."""

import json
from pathlib import Path

import numpy as np
import pytest

from tribunal_training import calibration, metrics, stacking

RNG = np.random.default_rng(9)
GOLDENS = Path(__file__).resolve().parents[2] / "crates/core/tests/data/ensemble.json"


def part(rows: int = 4000, noise: tuple[float, ...] = (1.0, 1.0, 4.0)):
    labels = RNG.integers(0, 2, rows)
    odds = [2.0 * labels - 1.0 + n * RNG.normal(size=rows) for n in noise]
    return labels, 1 / (1 + np.exp(-np.column_stack(odds)))


def stack(method: str, weights: list[float], **more) -> stacking.Stack:
    return stacking.Stack(method, {"method": method, **more}, np.array(weights))


@pytest.mark.parametrize(
    ("method", "more", "expected"),
    [
        ("mean", {}, (0.2 + 2 * 0.5 + 0.8) / 4),
        ("median", {}, 0.5),
        ("maximum", {}, 0.8),
        ("noisy_or", {}, 1 - (0.8 * 0.5**2 * 0.2) ** 0.25),
        ("logistic", {"bias": 0.5}, 1 / (1 + np.exp(-(0.5 + np.log(0.25) + 2 * 0 + np.log(4))))),
    ],
)
def test_formulas(method, more, expected):
    found = stack(method, [1.0, 2.0, 1.0], **more).combine(np.array([[0.2, 0.5, 0.8]]))
    assert found == pytest.approx([expected])


def test_risks_are_those_that_the_ensemble_is_held_to():
    cases = json.loads(GOLDENS.read_text())["cases"]
    plain = [case for case in cases if case["calibration"] is None]
    assert len(plain) > 20 and {case["method"]["method"] for case in plain} == set(stacking._COMBINE)
    for case in plain:
        p = np.array([[np.nan if q is None else q for q in case["p"]]])
        found = stacking.Stack("", case["method"], np.array(case["weights"])).combine(p)
        assert 100 * found == pytest.approx([case["risk"]], abs=1e-5), case


@pytest.mark.parametrize("method", ["mean", "median", "maximum", "noisy_or"])
def test_who_did_not_answer_has_no_say(method):
    s = stack(method, [1.0, 2.0, 1.0])
    assert s.combine(np.array([[0.3, np.nan, np.nan]])) == pytest.approx([0.3])


def test_a_logistic_method_without_a_member_keeps_its_scale():
    s = stack("logistic", [1.0, 3.0], bias=-1.0)
    whole, without = s.combine(np.array([[0.9, 0.9], [0.9, np.nan]]))
    assert whole == pytest.approx(without)


def test_the_choice_gives_noise_little_weight():
    parts = [part() for _ in range(3)]
    fitted = stacking.FITS["logistic"](parts, 1)
    assert fitted.weights.min() > 0 and fitted.weights[2] < 0.3 * fitted.weights[0]
    chosen, told = stacking.choose(parts, ["a", "b", "c"])
    assert told["chosen"] == chosen.name and set(told["methods"]) == set(stacking.FITS)
    best = max(map(stacking.value, told["methods"].values()))
    assert stacking.value(told["methods"][chosen.name]) >= best - stacking.LEAST_GAIN
    if max(stacking.value(told["methods"][m]) for m in stacking.PLAIN) > best - stacking.LEAST_GAIN:
        assert chosen.name in stacking.PLAIN, "what is no better than a mean is not chosen"


def test_platt_undoes_overconfidence():
    p = RNG.beta(0.5, 0.5, 40_000).clip(1e-4, 1 - 1e-4)
    labels = (RNG.random(len(p)) < 1 / (1 + np.exp(-(0.5 * metrics.logit(p) - 1)))).astype(int)
    found = calibration.platt(labels, p, np.ones(len(p)))
    assert found["a"] == pytest.approx(0.5, abs=0.03) and found["b"] == pytest.approx(-1, abs=0.05)
    assert metrics.ece(labels, calibration.apply(found, p), np.ones(len(p))) < 0.01


def test_isotonic_rises_everywhere_and_follows_any_shape():
    p = RNG.random(60_000)
    labels = (RNG.random(len(p)) < np.where(p < 0.5, 0.1, 0.6)).astype(int)
    found = calibration.isotonic(labels, p, np.ones(len(p)))
    assert (np.diff(found["x"]) > 0).all() and (np.diff(found["y"]) > 0).all()
    assert 0 <= found["y"][0] and found["y"][-1] <= 1 and len(found["x"]) <= calibration.MAX_POINTS
    assert calibration.apply(found, np.array([0.2, 0.8])) == pytest.approx([0.1, 0.6], abs=0.03)
    chosen, losses = calibration.choose([(labels[i::3], p[i::3]) for i in range(3)])
    assert chosen["method"] == "isotonic" and losses["isotonic"] < losses["platt"]


def test_calibration_error():
    assert metrics.ece(np.array([1, 0, 1, 0]), np.array([0.9, 0.9, 0.1, 0.1]), np.ones(4)) == pytest.approx(0.4)
    assert metrics.ece(np.array([1, 0]), np.array([1.0, 0.0]), np.ones(2)) == 0
