"""What is measured and written is what a reader of the registry folder finds."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from tribunal_training import calibration, ensemble, metrics, models, publish, splits, validate
from tribunal_training.sample import Sample

RNG = np.random.default_rng(5)
X = RNG.normal(size=(600, 4)).astype("float32")
X[RNG.random(X.shape) < 0.1] = np.nan
Y = (np.nan_to_num(X[:, 0]) + 0.3 * RNG.normal(size=600) > 0).astype("int8")
SAMPLE = Sample(X, pd.DataFrame({"entity": [f"10.0.{i // 250}.{i % 250}" for i in range(600)], "label": Y}), ["a", "b", "c", "d"])


def test_recall_at_a_false_positive_rate():
    labels = np.array([0] * 1000 + [1] * 4)
    scores = np.concatenate([np.arange(1000) / 1000, [0.9905, 0.9985, 2.0, 0.1]])
    assert metrics.recall_at(labels, scores, 0.01) == 0.75
    assert metrics.recall_at(labels, scores, 0.001) == 0.25


def folds_of(members: int, seed: int = 1) -> list[validate.Scored]:
    """Three folds whose members err independently and are overconfident."""
    rng, made = np.random.default_rng(seed), []
    for i in range(3):
        labels = np.repeat([0, 1], [20_000, 10_000])
        rows = pd.DataFrame({"label": labels, "source": "s", "family": "f"})
        odds = [2.0 * (3.0 * labels - 1.5 + 1.5 * rng.normal(size=len(labels))) for _ in range(members)]
        p = {f"m{j}": 1 / (1 + np.exp(-z)) for j, z in enumerate(odds)}
        made.append(validate.Scored(splits.Fold(str(i), "domain", "", labels, labels), rows, p))
    return made


def test_the_ensemble_is_calibrated_beats_its_members_and_holds_its_rates():
    scored = folds_of(3)
    fitted = ensemble.fit(scored, ["m0", "m1", "m2"])
    errors = fitted.tables["calibration_error"]
    assert errors["ensemble"]["all"] <= 0.03 and fitted.base_rate == pytest.approx(1 / 3, abs=1e-4)
    for i, s in enumerate(scored):
        alone = max(metrics.measure(s.labels, p)["recall_at_fpr_1_percent"] for p in s.probabilities.values())
        assert fitted.tables["folds"][str(i)]["recall_at_fpr_1_percent"] > alone + 0.05
    benign = np.concatenate([fitted.risk(s)[s.labels == 0] for s in scored])
    assert 0.0085 < (benign >= fitted.thresholds["suspicious"]).mean() < 0.0101
    assert 0.0005 < (benign >= fitted.thresholds["malicious"]).mean() < 0.0011
    assert fitted.profiles["strict"]["suspicious"] == fitted.thresholds["malicious"] > fitted.profiles["sensitive"]["suspicious"]


def test_the_definition_names_what_was_fitted():
    fitted = ensemble.fit(folds_of(2), ["m0", "m1"])
    document = ensemble.definition("2", "2026-01-01T00:00:00Z", {"domain": fitted, "ip": fitted}, ["m0", "m1", "m2"])
    assert [m["model"] for m in document["members"]] == ["m0", "m1", "m2"]
    assert document["members"][2]["weight"] == {"domain": 0.0, "ip": 0.0}
    assert document["quorum"] == {"domain": 1, "ip": 1} and document["method"]["ip"] == fitted.stack.method
    assert json.loads(json.dumps(document, allow_nan=False)) == document


@pytest.mark.parametrize("trainer", [t for t in models.TRAINERS if t.reads_vector and not t.compiled], ids=lambda t: t.name)
def test_manifest_and_golden_describe_the_files(tmp_path, trainer):
    model = trainer.fit(SAMPLE, "ip", 1)
    folder = tmp_path / "models" / trainer.name / "versions" / "1"
    file = publish.save(trainer, model, "ip", SAMPLE.names, folder, tmp_path / "own", None)
    platt = calibration.platt(Y, np.asarray(trainer.probability(model, SAMPLE), dtype="float64"), np.ones(len(Y)))
    part = publish.part(trainer, model, "ip", SAMPLE.names, file, platt, 0.0)
    golden = publish.golden(trainer, model, "ip", SAMPLE)
    publish.write_golden(folder, [golden])
    of_manifest = publish.write_manifest(tmp_path, trainer.name, "1", {"name": trainer.name, "parts": [part]}, "# card\n")

    content = (folder / part["file"]).read_bytes()
    assert part["sha256"] == "sha256:" + hashlib.sha256(content).hexdigest() and part["bytes"] == len(content)
    assert part["calibration"] == platt
    pointer = json.loads((tmp_path / "models" / trainer.name / "current.json").read_text())
    manifest = (folder / "manifest.json").read_bytes()
    assert pointer == {"version": "1", "digest": of_manifest}
    assert of_manifest == "sha256:" + hashlib.sha256(manifest).hexdigest()

    read = json.loads((folder / "golden.json").read_text())["parts"][0]
    rows = np.array([[np.nan if v is None else v for v in row] for row in read["rows"]], dtype="float32")
    again = np.asarray(trainer.margin(model, Sample(rows, SAMPLE.rows[: len(rows)], SAMPLE.names)))
    assert [f"{int(b):0{again.dtype.itemsize * 2}x}" for b in again.view(f"u{again.dtype.itemsize}")] == read["margin_bits"]
    assert np.isnan(rows[-1]).all() and read["margin_type"] == str(again.dtype)


@pytest.mark.parametrize("trainer", [t for t in models.TRAINERS if t.compiled], ids=lambda t: t.name)
def test_a_compiled_member_keeps_its_trainers_file(tmp_path, trainer):
    class Recorded:
        def run(self, *arguments):
            self.arguments = arguments
            arguments[-1].write_bytes(b"compiled")

    tribunal = Recorded()
    model = trainer.fit(SAMPLE, "ip", 1)
    file = publish.save(trainer, model, "ip", SAMPLE.names, tmp_path / "folder", tmp_path / "own", tribunal)
    assert file.read_bytes() == b"compiled" and file.parent == tmp_path / "folder"
    assert tribunal.arguments[:2] == ("model", "compile") and tribunal.arguments[2].parent == tmp_path / "own"
    assert publish.part(trainer, model, "ip", SAMPLE.names, file, None, 0.0)["format"] == "tribunal-compiled"
