"""Hyperparameters by a bounded, seeded search: the choice in force beside random draws, on two folds.

Every candidate's result is kept in `work/search`, so that an interrupted search goes on where it stopped. Models are
fitted on at most `ROWS` rows of a fold: the order of candidates is what is asked, not their figures. A draw replaces
the choice in force only if it is better by more than what chance moves.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import config, parameters, stacking, validate
from .metrics import measure
from .models import Trainer
from .sample import Sample

FOLDS = 2
ROWS = 60_000
LEAST_GAIN = 0.002


def run(
    trainer: Trainer, kind: str, samples: list[tuple[Sample, Sample]], budget: int, work: Path, say: Callable[[str], None]
) -> None:
    """Measures every candidate and writes the best one to `parameters.json`."""
    work.mkdir(parents=True, exist_ok=True)
    samples = [(fitted.bounded(ROWS), held) for fitted, held in samples]
    results = []
    for i, candidate in enumerate(parameters.candidates(trainer.name, kind, budget)):
        kept = work / f"{trainer.name}-{kind}-{_digest(candidate, samples)}.json"
        if not kept.exists():
            with parameters.trial(trainer.name, kind, candidate):
                metrics = {str(n): _measure(trainer, kind, *pair) for n, pair in enumerate(samples)}
            kept.write_text(json.dumps({"parameters": candidate, "metrics": metrics, "value": stacking.value(metrics)}))
        results.append(json.loads(kept.read_text()))
        say(f"search: {trainer.name} {kind} {i + 1} of {budget}: {results[-1]['value']:.4f} {candidate}")
    best = max(results, key=lambda r: r["value"])
    if best["value"] > results[0]["value"] + LEAST_GAIN:
        parameters.choose(trainer.name, kind, best["parameters"])


def _measure(trainer: Trainer, kind: str, fitted: Sample, held: Sample) -> dict[str, float]:
    return measure(held.labels, validate.score(trainer, fitted, held, kind, config.SEED))


def _digest(candidate: dict[str, Any], samples: list[tuple[Sample, Sample]]) -> str:
    digest = hashlib.sha256(json.dumps(candidate, sort_keys=True).encode())
    for fitted, held in samples:
        for sample in (fitted, held):
            digest.update(np.ascontiguousarray(sample.x[:: max(1, len(sample) // 1000)]).tobytes())
    return digest.hexdigest()[:16]
