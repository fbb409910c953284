"""What is reported: AUC, recall where few benign entities are disturbed, and calibration error."""

import numpy as np
from sklearn.metrics import roc_auc_score


def threshold_at(benign: np.ndarray, rate: float) -> float:
    """The least score that at most `rate` of the benign ones exceed; the verdict is for scores above it."""
    return float(np.quantile(benign, 1.0 - rate, method="higher"))


def recall_at(labels: np.ndarray, scores: np.ndarray, rate: float) -> float:
    """Share of malicious rows above the threshold at that false-positive rate."""
    return float((scores[labels == 1] > threshold_at(scores[labels == 0], rate)).mean())


def measure(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """AUC, recall at 1 % and at 0.1 % false positives, and the numbers of rows."""
    return {
        "auc": round(float(roc_auc_score(labels, scores)), 4),
        "recall_at_fpr_1_percent": round(recall_at(labels, scores, 0.01), 4),
        "recall_at_fpr_0_1_percent": round(recall_at(labels, scores, 0.001), 4),
        "malicious": int((labels == 1).sum()),
        "benign": int((labels == 0).sum()),
    }


def ece(labels: np.ndarray, p: np.ndarray, mass: np.ndarray, bins: int = 15) -> float:
    """Mean difference of what was said and what was, over bins of equal width, weighted by their mass."""
    at = np.minimum((p * bins).astype(int), bins - 1)
    gap = np.bincount(at, mass * (p - labels), minlength=bins)
    return float(np.abs(gap).sum() / mass.sum())


def logit(p: np.ndarray) -> np.ndarray:
    """Log odds, of probabilities kept off 0 and 1 as production keeps them."""
    p = np.clip(p, 1e-6, 1.0 - 1e-6)
    return np.log(p / (1.0 - p))
