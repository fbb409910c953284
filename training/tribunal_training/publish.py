"""Writes the registry folder: models, manifests, goldens, cards, pointers, and the ensemble definition.

Layout (`crates/registry` reads it): `models/<name>/current.json` points to a version by the digest of its manifest;
`models/<name>/versions/<v>/` holds manifest, parts, card and golden; `ensemble/` likewise. Digests are
`sha256:<hex>` of the bytes of the file.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import calibration
from .calibration import Calibration
from .charnet import made_up_hosts
from .features import Tribunal
from .models import Trainer
from .sample import Sample

GOLDEN_ROWS = 20
# Largest file of a part: what is committed, and what a predictor loads at a cold start.
MAX_BYTES = 2_650_000


def digest(content: bytes) -> str:
    """`sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def write_json(path: Path, value: Any) -> str:
    """Writes JSON, one space indented, and returns the digest of its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()
    path.write_bytes(content)
    return digest(content)


def save(trainer: Trainer, model: Any, kind: str, names: list[str], folder: Path, own: Path, tribunal: Tribunal) -> Path:
    """The file that a predictor reads; `own` keeps the trainer's file where that is compiled, for `check_models.py`."""
    folder.mkdir(parents=True, exist_ok=True)
    if not trainer.compiled:
        file = folder / f"{kind}.{trainer.suffix}"
        trainer.save(model, file, names)
        return file
    own.mkdir(parents=True, exist_ok=True)
    trainer.save(model, own / f"{kind}.{trainer.suffix}", names)
    file = folder / f"{kind}.tribunal"
    tribunal.run("model", "compile", own / f"{kind}.{trainer.suffix}", "--format", trainer.format, "-o", file)
    return file


def part(
    trainer: Trainer, model: Any, kind: str, names: list[str], file: Path, fitted: Calibration | None,
    explain_from: float, optional: list[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Describes one kind's model as the manifest does."""
    content = file.read_bytes()
    if len(content) > MAX_BYTES:
        raise SystemExit(f"{file} has {len(content):,} bytes; at most {MAX_BYTES:,} are published")
    described = {
        "kinds": [kind], "file": file.name, "format": trainer.saved_format, "sha256": digest(content),
        "bytes": len(content), "features": names if trainer.reads_vector else [],
        "trees": int(trainer.trees(model)), "explain_from": explain_from,
    }  # fmt: skip
    if optional and trainer.reads_vector:
        described["optional"] = optional
    return described | ({"calibration": fitted} if fitted else {})


def golden(trainer: Trainer, model: Any, kind: str, sample: Sample, of: Calibration | None = None) -> dict[str, Any]:
    """Feature vectors with the trainer's answers: margin as the bits of its own float type, probability as decimal.

    The last row is all missing. A forest has no link function: its margin is the probability. Probabilities are
    calibrated, as predictors answer them. A model that reads the text has made-up hosts beside its empty vectors: rows
    of the data are not published.
    """
    if not trainer.reads_vector:
        sample = made_up(GOLDEN_ROWS)
    positions = np.linspace(0, len(sample) - 1, GOLDEN_ROWS).astype(int)
    rows = sample.take(positions)
    values = rows.x.astype("float32").copy()
    values[-1] = np.nan
    rows = Sample(values, rows.rows, sample.names)
    margin = np.asarray(trainer.margin(model, rows))
    bits = margin.view("uint32" if margin.dtype == np.float32 else "uint64")
    calibrated = calibration.apply(of, np.asarray(trainer.probability(model, rows), dtype="float64"))
    return {
        "kind": kind, "features": sample.names, "hosts": [] if trainer.reads_vector else rows.hosts,
        "rows": [[None if np.isnan(v) else float(v) for v in row] for row in values],
        "margin_type": str(margin.dtype),
        "margin_bits": [f"{int(b):0{margin.dtype.itemsize * 2}x}" for b in bits],
        "probability": [float(p) for p in calibrated],
    }  # fmt: skip


def made_up(count: int) -> Sample:
    """Rows of hosts on no list, without a vector."""
    return Sample(np.empty((count, 0), "float32"), pd.DataFrame({"entity": made_up_hosts(count), "label": 0}), [])


def write_golden(folder: Path, goldens: list[dict[str, Any]]) -> None:
    """`golden.json`: one vector a line, so that a difference can be read."""
    text = json.dumps({"parts": goldens}, allow_nan=False).replace("], [", "],\n [")
    (folder / "golden.json").write_text(text + "\n")


def write_manifest(models: Path, name: str, version: str, manifest: dict[str, Any], card: str) -> str:
    """Manifest, card and pointer of a model; returns the digest of the manifest."""
    base = models / "models" / name
    folder = base / "versions" / version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.md").write_text(card)
    of_manifest = write_json(folder / "manifest.json", manifest)
    write_json(base / "current.json", {"version": version, "digest": of_manifest})
    return of_manifest


def write_ensemble(models: Path, version: str, definition: dict[str, Any]) -> None:
    """Definition and pointer of the ensemble."""
    of_definition = write_json(models / "ensemble" / "versions" / f"{version}.json", definition)
    write_json(models / "ensemble" / "current.json", {"version": version, "digest": of_definition})
