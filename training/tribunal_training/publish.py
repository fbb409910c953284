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

from .models import Trainer

GOLDEN_ROWS = 20
# Predictions are explained from this probability on; below it nobody asks.
EXPLAIN_FROM = 0.3


def digest(content: bytes) -> str:
    """`sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def write_json(path: Path, value: Any) -> str:
    """Writes JSON, one space indented, and returns the digest of its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()
    path.write_bytes(content)
    return digest(content)


def part(trainer: Trainer, model: Any, kind: str, names: list[str], folder: Path) -> dict[str, Any]:
    """Saves one kind's model and describes it as the manifest does."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{kind}.{trainer.suffix}"
    trainer.save(model, file, names)
    content = file.read_bytes()
    return {
        "kinds": [kind], "file": file.name, "format": trainer.format, "sha256": digest(content),
        "bytes": len(content), "features": names, "trees": int(trainer.trees(model)), "explain_from": EXPLAIN_FROM,
    }  # fmt: skip


def golden(trainer: Trainer, model: Any, kind: str, names: list[str], x: np.ndarray) -> dict[str, Any]:
    """Feature vectors with the trainer's answers: margin as the bits of its own float type, probability as decimal.

    The last row is all missing. A forest has no link function: its margin is the probability.
    """
    rows = x[np.linspace(0, len(x) - 1, GOLDEN_ROWS - 1).astype(int)].copy()
    rows = np.vstack([rows, np.full((1, rows.shape[1]), np.nan, dtype="float32")]).astype("float32")
    margin = np.asarray(trainer.margin(model, rows))
    bits = margin.view("uint32" if margin.dtype == np.float32 else "uint64")
    return {
        "kind": kind, "features": names,
        "rows": [[None if np.isnan(v) else float(v) for v in row] for row in rows],
        "margin_type": str(margin.dtype),
        "margin_bits": [f"{int(b):0{margin.dtype.itemsize * 2}x}" for b in bits],
        "probability": [float(p) for p in trainer.probability(model, rows)],
    }  # fmt: skip


def write_golden(folder: Path, goldens: list[dict[str, Any]]) -> None:
    """`golden.json`: one vector a line, so that a difference can be read."""
    text = json.dumps({"parts": goldens}, allow_nan=False).replace("], [", "],\n [")
    (folder / "golden.json").write_text(text + "\n")


def write_manifest(models: Path, trainer: Trainer, version: str, manifest: dict[str, Any], card: str) -> str:
    """Manifest, card and pointer of a model; returns the digest of the manifest."""
    base = models / "models" / trainer.name
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
