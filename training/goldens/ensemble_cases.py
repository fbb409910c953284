"""The ensemble's definition, by itself and slowly: crates/core/tests/data/ensemble.json.

Risks by the formulas that crates/core/src/ensemble.rs states; points of members as the mean effect over all orders in which
the members come in, the definition of the Shapley value (the Rust code sums over sets instead). Numbers are made up. Run
with any Python from 3.11 on, no packages:

    python training/goldens/ensemble_cases.py
"""

import json
import math
import random
import struct
from itertools import permutations
from pathlib import Path

OUT = Path(__file__).resolve().parents[2] / "crates/core/tests/data/ensemble.json"


def logit(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def median(votes: list[tuple[float, float]]) -> float:
    """Least and greatest p with at most half of the weight below, and above; the middle of the two."""
    total = sum(w for w, _ in votes)
    fits = [
        p
        for _, p in votes
        if sum(w for w, q in votes if q < p) <= total / 2 + 1e-9 and sum(w for w, q in votes if q > p) <= total / 2 + 1e-9
    ]
    return (min(fits) + max(fits)) / 2


def combine(method: dict, votes: list[tuple[float, float]], all_weights: float) -> float:
    total = sum(w for w, _ in votes)
    match method["method"]:
        case "mean":
            return sum(w * p for w, p in votes) / total
        case "median":
            return median(votes)
        case "maximum":
            return max(p for _, p in votes)
        case "noisy_or":
            return 1 - math.prod((1 - p) ** (w / total) for w, p in votes)
        case "logistic":
            return sigmoid(method["bias"] + all_weights * sum(w * logit(p) for w, p in votes) / total)
    raise ValueError(method)


def risk(case: dict, p: list[float | None]) -> float:
    votes = [(w, q) for w, q in zip(case["weights"], p) if w > 0 and q is not None]
    combined = combine(case["method"], votes, sum(case["weights"]))
    calibration = case["calibration"]
    if calibration is None:
        return 100 * combined
    if combined in (0.0, 1.0):
        return 100 * combined
    return 100 * sigmoid(calibration["a"] * math.log(combined / (1 - combined)) + calibration["b"])


def points(case: dict) -> tuple[float | None, list[float | None]]:
    """The risk at the base, and every explained member's points."""
    p, base, weights = case["p"], case["base"], case["weights"]
    members = [i for i in range(len(p)) if p[i] is not None and base[i] is not None and weights[i] > 0]
    if not members:
        return None, [None] * len(p)
    at_base = [b if i in members else q for i, (q, b) in enumerate(zip(p, base))]
    sums = dict.fromkeys(members, 0.0)
    orders = list(permutations(members))
    for order in orders:
        now, before = list(at_base), risk(case, at_base)
        for member in order:
            now[member] = p[member]
            after = risk(case, now)
            sums[member] += (after - before) / len(orders)
            before = after
    return risk(case, at_base), [sums.get(i) for i in range(len(p))]


def f32(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


def make(rng: random.Random, method: dict) -> dict:
    n = rng.randint(1, 6)
    case = {
        "method": method,
        "weights": [rng.choice([0.0, 0.5, 1.0, 1.0, 2.0, rng.uniform(0.1, 3.0)]) for _ in range(n)],
        "p": [rng.choice([None, 0.0, 1.0] + [f32(rng.random())] * 9) for _ in range(n)],
        "base": [rng.choice([None] + [f32(rng.random())] * 6) for _ in range(n)],
        "calibration": rng.choice([None, {"method": "platt", "a": 1.25, "b": -0.5}]),
    }
    case["weights"][0], case["p"][0] = 1.0, f32(rng.random())
    case["risk"] = risk(case, case["p"])
    case["base_risk"], case["points"] = points(case)
    return case


def main() -> None:
    rng = random.Random(6)
    methods = [{"method": name} for name in ("mean", "median", "maximum", "noisy_or")]
    cases = [make(rng, method) for method in methods for _ in range(14)]
    cases += [make(rng, {"method": "logistic", "bias": f32(rng.uniform(-2, 2))}) for _ in range(14)]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"cases": cases}) + "\n")


if __name__ == "__main__":
    main()
