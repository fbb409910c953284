"""`python -m tribunal_training`: the whole way, step by step; finished steps are skipped.

prepare   address ranges, word list, hosting shares
lexicon   the lexicon of all training rows, to `crates/features/data/lexicon.bin`
validate  every model on every fold
publish   the final models, cards and ensemble definition, to `models/`
"""

import argparse
import hashlib
import json
import pickle
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from . import card, config, data, prepare, publish, splits, validate
from .augment import add_subdomains
from .features import CrossFit, Tribunal, training_matrix
from .models import TRAINERS

SPLIT = (
    "Split by provider, family and time, never at random; whatever shares a registrable domain (or /16 network) with "
    "a held-out row leaves the training rows."
)
# The forest is the weakest member on domains in most folds, and half a voice of it costs the mean the least.
WEIGHTS = {
    "domain": {"xgboost": 1.0, "lightgbm": 1.0, "forest": 0.5},
    "ip": {"xgboost": 1.0, "lightgbm": 1.0, "forest": 1.0},
}
_START = time.monotonic()


def say(text: str) -> None:
    """Progress, with the time since the start."""
    print(f"[{time.monotonic() - _START:6.0f} s] {text}", flush=True)


class Run:
    """One run's inputs and steps."""

    def __init__(self, paths: config.Paths, seeds: int, version: str):
        self.paths, self.seeds, self.version = paths, seeds, version
        say("prepare: address ranges, word list, rows")
        self.table = prepare.address_table(paths.work)
        self.constant = prepare.constant_sources(paths, self.table)
        self.rows = self.table.annotate(data.load(paths.data))
        self.tribunal = Tribunal(paths.binary, paths.work, self.dataset())
        self.cross = CrossFit(self.tribunal, self.constant, paths.work)

    def dataset(self) -> Path:
        """The compiled address data set, as production has it (without hosting ranges: those are its own option)."""
        out = self.paths.work / "ranges.bin"
        if not out.exists():
            asn, country = prepare.packages(self.paths.work)
            inputs = ["--asn", asn / "asn-ipv4.csv", "--asn", asn / "asn-ipv6.csv"]
            for version in ("ipv4", "ipv6"):
                inputs += ["--country", country / f"geo-whois-asn-country-{version}.csv"]
            Tribunal(self.paths.binary, self.paths.work, None).run("dataset", "compile", *inputs, "-o", out)
        return out

    def lexicon(self) -> Path:
        """The lexicon that ships."""
        compiled = self.cross.whole(self.rows, "all")
        self.paths.lexicon.write_bytes(compiled.read_bytes())
        say(f"lexicon: {compiled.stat().st_size:,} bytes to {self.paths.lexicon}")
        return compiled

    def scored(self, seed: int) -> list[validate.Scored]:
        """Every fold, scored; kept on disk per fold, seed and everything that a score depends on."""
        out, key = [], self.key()
        for fold in splits.folds(self.rows):
            kept = self.paths.work / "scored" / f"{fold.kind}-{fold.name}-{seed}-{key}.pickle"
            if not kept.exists():
                say(f"validate: {fold.kind} {fold.name}: {len(fold.train):,} rows to train, {len(fold.valid):,} held out")
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(pickle.dumps(validate.score_fold(self.rows, fold, self.cross, seed)))
            out.append(pickle.loads(kept.read_bytes()))
        return out

    def key(self) -> str:
        """Changes with the binary, the address ranges, the data and this package's code."""
        digest = hashlib.sha256(self.tribunal.digest.encode())
        code = sorted(Path(__file__).parent.glob("*.py"))
        for file in (self.tribunal.dataset, self.paths.data / "train.csv.zst", *code):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()[:16]

    def measure(self) -> tuple[dict, list[validate.Scored]]:
        """Metrics, mean over the seeds, and the first seed's scores."""
        runs = [self.scored(config.SEED + i) for i in range(self.seeds)]
        metrics = mean_of([validate.report(r, WEIGHTS) for r in runs])
        (self.paths.work / "metrics.json").write_text(json.dumps(metrics, indent=1))
        for kind, models in metrics.items():
            for model, per_fold in models.items():
                for fold, m in per_fold.items():
                    values = list(m.values())
                    say(f"{kind:6} {fold:18} {model:9} AUC {values[0]:.3f}  1 % {values[1]:.3f}  0.1 % {values[2]:.3f}")
        return metrics, runs[0]

    def publish(self, compiled: Path, metrics: dict, scored: list[validate.Scored]) -> None:
        """Fits on all rows and writes the registry folder."""
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        rows = add_subdomains(self.rows)
        features = self.cross.crossed(rows, "all")
        schema = self.tribunal.schema(compiled)
        sources = card.sources(pd.read_csv(self.paths.data / "SOURCES.csv", keep_default_na=False))
        held_out = {k: {s.fold.name: s.fold.held_out for s in scored if s.fold.kind == k} for k in ("domain", "ip")}
        for trainer in TRAINERS:
            folder = self.paths.models / "models" / trainer.name / "versions" / self.version
            parts, goldens, counts = [], [], {}
            for kind in ("domain", "ip"):
                names = schema.names[kind]
                x, y = training_matrix(features, rows[rows["kind"] == kind], names, kind)
                say(f"publish: {trainer.name} {kind}, {len(x):,} rows, {len(names)} features")
                model = trainer.fit(x, y, names, kind, config.SEED)
                parts.append(publish.part(trainer, model, kind, names, folder))
                goldens.append(publish.golden(trainer, model, kind, names, x))
                counts[kind] = len(x)
            publish.write_golden(folder, goldens)
            manifest = {
                "name": trainer.name, "version": self.version, "created": created, "trainer": trainer.version,
                "schema": schema.digest, "parts": parts,
                "metrics": {kind: metrics[kind][trainer.name] for kind in metrics},
                "training": {"rows": counts, "split": SPLIT, "sources": sources}, "card": "card.md",
            }  # fmt: skip
            text = card.card(manifest, held_out, self.seeds)
            publish.write_manifest(self.paths.models, trainer, self.version, manifest, text)
        self.publish_ensemble(created, metrics, scored)

    def publish_ensemble(self, created: str, metrics: dict, scored: list[validate.Scored]) -> None:
        """Weights, quorum, calibration and thresholds."""
        calibration, thresholds = {}, {}
        for kind in ("domain", "ip"):
            of_kind = [s for s in scored if s.fold.kind == kind]
            calibration[kind] = validate.calibrate(of_kind, WEIGHTS[kind])
            thresholds[kind] = validate.thresholds(of_kind, WEIGHTS[kind], calibration[kind])
        members = [{"model": t.name, "weight": {k: WEIGHTS[k][t.name] for k in WEIGHTS}} for t in TRAINERS]
        definition = {
            "version": self.version, "members": members, "quorum": {"domain": 2, "ip": 2}, "thresholds": thresholds,
            "calibration": calibration, "created": created,
            "metrics": {kind: metrics[kind]["ensemble"] for kind in metrics},
        }  # fmt: skip
        publish.write_ensemble(self.paths.models, self.version, definition)
        say(f"ensemble: thresholds {thresholds}, calibration {calibration}")


def mean_of(reports: list[dict]) -> dict:
    """Leaf by leaf, over the seeds."""
    if isinstance(reports[0], dict):
        return {key: mean_of([r[key] for r in reports]) for key in reports[0]}
    return type(reports[0])(np.round(np.mean(reports), 4))


def main() -> None:
    """Parses the arguments and runs the steps up to the one named."""
    parser = argparse.ArgumentParser(prog="python -m tribunal_training", description=__doc__.split("\n")[0])
    parser.add_argument("step", nargs="?", default="publish", choices=["lexicon", "validate", "publish"])
    parser.add_argument("--data", type=Path, help="folder with train.csv.zst (default: $TRIBUNAL_DATA, ../shared/data)")
    parser.add_argument("--seeds", type=int, default=3, help="seeds per fold in validation (default 3)")
    parser.add_argument("--version", default="1", help="version to write (default 1)")
    arguments = parser.parse_args()
    paths = config.Paths.default()
    if arguments.data:
        paths = config.Paths(arguments.data, paths.work, paths.models, paths.lexicon, paths.binary)
    run = Run(paths, arguments.seeds, arguments.version)
    compiled = run.lexicon()
    if arguments.step != "lexicon":
        metrics, scored = run.measure()
        if arguments.step == "publish":
            run.publish(compiled, metrics, scored)


if __name__ == "__main__":
    main()
