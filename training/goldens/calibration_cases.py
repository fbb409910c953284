"""Calibrations fitted by scikit-learn on made-up rows, and what it answers: crates/core/tests/data/calibration.json.

Platt is a logistic regression without penalty on the log odds; isotonic regression interpolates between its thresholds and
clips beyond them. Run in the environment of requirements.txt:

    python training/goldens/calibration_cases.py
"""

import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

OUT = Path(__file__).resolve().parents[2] / "crates/core/tests/data/calibration.json"


def rows(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that promise too much, and labels."""
    random = np.random.default_rng(seed)
    p = random.beta(0.7, 1.1, n).clip(1e-6, 1 - 1e-6)
    return p, (random.random(n) < 0.05 + 0.7 * p**1.5).astype(int)


def asked(thresholds: np.ndarray) -> np.ndarray:
    """The ends, the thresholds themselves and beside them, and an even grid."""
    beside = np.concatenate([np.nextafter(thresholds, 0), thresholds, np.nextafter(thresholds, 1)])
    return np.unique(np.concatenate([[0.0, 1e-12, 1.0 - 1e-12, 1.0], beside, np.linspace(0.0, 1.0, 41)]).clip(0, 1))


def platt(seed: int) -> dict:
    p, labels = rows(seed, 500)
    model = LogisticRegression(C=np.inf, tol=1e-9, max_iter=1000).fit(np.log(p / (1 - p))[:, None], labels)
    raw = asked(p[:20])
    inside = (raw > 0) & (raw < 1)
    out = np.where(raw == 0, 0.0, 1.0)
    out[inside] = model.predict_proba(np.log(raw[inside] / (1 - raw[inside]))[:, None])[:, 1]
    fitted = {"method": "platt", "a": float(model.coef_[0, 0]), "b": float(model.intercept_[0])}
    return {"calibration": fitted, "raw": raw.tolist(), "calibrated": out.tolist()}


def isotonic(seed: int) -> dict:
    p, labels = rows(seed, 300)
    model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(p, labels)
    raw = asked(model.X_thresholds_)
    fitted = {"method": "isotonic", "x": model.X_thresholds_.tolist(), "y": model.y_thresholds_.tolist()}
    return {"calibration": fitted, "raw": raw.tolist(), "calibrated": model.predict(raw).tolist()}


def main() -> None:
    OUT.parent.mkdir(parents=True, exist_ok=True)
    cases = [platt(1), platt(2), isotonic(3), isotonic(4)]
    OUT.write_text(json.dumps({"scikit-learn": sklearn.__version__, "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
