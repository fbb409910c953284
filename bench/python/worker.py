"""The Python side of `src/engines/python.rs`: times a library's calls as a Python program makes them.

    python bench/python/worker.py xgboost|catboost MODEL ROWS.f32 N_FEATURES

The rows of every call are cut out of the matrix before the clock starts; CPU time is the process's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np


def load(library: str, model: str) -> Callable[[np.ndarray], np.ndarray]:
    """The library's fastest call for margins."""
    if library == "xgboost":
        import xgboost

        booster = xgboost.Booster({"nthread": 1}, model_file=model)
        return lambda rows: booster.inplace_predict(rows, predict_type="margin", missing=np.nan)
    import catboost

    boosted = catboost.CatBoost().load_model(model)
    return lambda rows: boosted.predict(rows, prediction_type="RawFormulaVal", thread_count=1)


def main() -> None:
    library, model, path, n_features = sys.argv[1:]
    rows = np.fromfile(path, dtype="<f4").reshape(-1, int(n_features))
    predict = load(library, model)
    predict(rows[:1])
    answers = sys.stdout.buffer
    answers.write(b"ready\n")
    answers.flush()
    for line in sys.stdin:
        first_call, per_call, warmup, calls = map(int, line.split())
        distinct = len(rows) // per_call
        starts = [(first_call + call) % distinct * per_call for call in range(warmup + calls)]
        spans = [rows[start : start + per_call] for start in starts]
        for span in spans[:warmup]:
            predict(span)
        timed = spans[warmup:]
        begin = time.process_time_ns()
        margins = [predict(span) for span in timed]
        spent = time.process_time_ns() - begin
        answers.write(b"%d\n" % spent)
        answers.write(np.concatenate([np.atleast_1d(margin) for margin in margins]).astype("<f8").tobytes())
        answers.flush()


if __name__ == "__main__":
    main()
