"""What is measured and written is what a reader of the registry folder finds."""

import hashlib
import json

import numpy as np
import pytest

from tribunal_training import metrics, models, publish, splits, validate

RNG = np.random.default_rng(5)
X = RNG.normal(size=(600, 4)).astype("float32")
X[RNG.random(X.shape) < 0.1] = np.nan
Y = (np.nan_to_num(X[:, 0]) + 0.3 * RNG.normal(size=600) > 0).astype("int8")
NAMES = ["alpha", "beta", "gamma", "delta"]


def test_recall_at_a_false_positive_rate():
    labels = np.array([0] * 1000 + [1] * 4)
    scores = np.concatenate([np.arange(1000) / 1000, [0.9905, 0.9985, 2.0, 0.1]])
    assert metrics.recall_at(labels, scores, 0.01) == 0.75
    assert metrics.recall_at(labels, scores, 0.001) == 0.25


def test_thresholds_hold_their_rate_when_every_fold_counts_the_same():
    folds = []
    for i in range(3):
        labels = np.repeat([0, 1], [20_000, 1000])
        p = np.concatenate([RNG.beta(1, 8, 20_000), RNG.beta(6, 2, 1000)])
        folds.append(validate.Scored(splits.Fold(str(i), "domain", "", labels, labels), labels, {"m": p}))
    calibration = validate.calibrate(folds, {"m": 1.0})
    found = validate.thresholds(folds, {"m": 1.0}, calibration)
    benign = np.concatenate([validate.risk(s.mean({"m": 1.0})[s.labels == 0], calibration) for s in folds])
    assert 0.0085 < (benign >= found["suspicious"]).mean() < 0.0101
    assert 0.0005 < (benign >= found["malicious"]).mean() < 0.0011
    # Calibrated at the base rate: the mean risk over a population with that share is about that share.
    malicious = np.concatenate([validate.risk(s.mean({"m": 1.0})[s.labels == 1], calibration) for s in folds])
    assert 0.9 * benign.mean() + 0.1 * malicious.mean() == pytest.approx(10.0, abs=0.3)


@pytest.mark.parametrize("trainer", models.TRAINERS, ids=lambda t: t.name)
def test_manifest_and_golden_describe_the_files(tmp_path, trainer):
    model = trainer.fit(X, Y, NAMES, "ip", 1)
    folder = tmp_path / "models" / trainer.name / "versions" / "1"
    part = publish.part(trainer, model, "ip", NAMES, folder)
    golden = publish.golden(trainer, model, "ip", NAMES, X)
    publish.write_golden(folder, [golden])
    of_manifest = publish.write_manifest(tmp_path, trainer, "1", {"name": trainer.name, "parts": [part]}, "# card\n")

    content = (folder / part["file"]).read_bytes()
    assert part["sha256"] == "sha256:" + hashlib.sha256(content).hexdigest() and part["bytes"] == len(content)
    pointer = json.loads((tmp_path / "models" / trainer.name / "current.json").read_text())
    manifest = (folder / "manifest.json").read_bytes()
    assert pointer == {"version": "1", "digest": of_manifest}
    assert of_manifest == "sha256:" + hashlib.sha256(manifest).hexdigest()

    read = json.loads((folder / "golden.json").read_text())["parts"][0]
    rows = np.array([[np.nan if v is None else v for v in row] for row in read["rows"]], dtype="float32")
    again = np.asarray(trainer.margin(model, rows))
    assert [f"{int(b):0{again.dtype.itemsize * 2}x}" for b in again.view(f"u{again.dtype.itemsize}")] == read["margin_bits"]
    assert np.isnan(rows[-1]).all() and read["margin_type"] == str(again.dtype)
