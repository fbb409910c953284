"""One run of the training: inputs, what is kept of it on disk, and its steps."""

import hashlib
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import addresses, card, config, data, ensemble, parameters, prepare, publish, report, search, splits, validate
from .augment import add_subdomains
from .features import CrossFit, Tribunal, training_sample
from .models import TRAINERS, Trainer
from .sample import Sample

_START = time.monotonic()


def say(text: str) -> None:
    """Progress, with the time since the start."""
    print(f"[{time.monotonic() - _START:6.0f} s] {text}", flush=True)


@dataclass
class Measured:
    """Out-of-fold scores of the first seed, figures as the mean over the seeds, ensemble and all rows per kind."""

    scored: list[validate.Scored]
    metrics: dict[str, Any]
    fitted: dict[str, ensemble.Fitted]
    samples: dict[str, Sample]


class Run:
    """One run's inputs and steps."""

    def __init__(self, paths: config.Paths, seeds: int, version: str):
        self.paths, self.seeds, self.version = paths, seeds, version
        say("prepare: address ranges, word list, rows")
        self.table = prepare.address_table(paths.work)
        self.constant = prepare.constant_sources(paths, self.table)
        self.tribunal = Tribunal(paths.binary, paths.work, self.dataset())
        self.rows = self.table.annotate(data.load(paths.data, self.tribunal))
        self.cross = CrossFit(self.tribunal, self.constant, paths.work)
        self.cross.intel = addresses.intel(paths, self.rows, self.tribunal.dataset)

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

    def search(self, budget: int) -> None:
        """Candidates of every trainer on the folds of `search.FOLDS`; the best become `parameters.json`."""
        for kind in splits.kinds(self.rows):
            folds = [f for f in splits.folds(self.rows) if f.kind == kind][-search.FOLDS :]
            samples = [validate.fold_samples(self.rows, fold, self.cross) for fold in folds]
            for trainer in [t for t in TRAINERS if kind in t.kinds and t.name in parameters.SPACE]:
                search.run(trainer, kind, samples, budget, self.paths.work / "search", say)

    def key(self, trainer: Trainer) -> str:
        """Changes with the binary, the address ranges, the data, a member's parameters and this package's code."""
        digest = hashlib.sha256(self.tribunal.digest.encode())
        digest.update(json.dumps(parameters.described(trainer.name), sort_keys=True).encode())
        digest.update(trainer.version.encode())
        digest.update(self.cross.intel.digest.encode() if self.cross.intel else b"")
        code = [
            "addresses", "augment", "boosting", "charnet", "config", "data", "features",
            "lexicon", "names", "parameters", "sample", "splits", "trees",
        ]  # fmt: skip
        for file in (self.tribunal.dataset, data.file_of(self.paths.data), *(Path(__file__).with_name(f"{c}.py") for c in code)):
            if file.exists():
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()[:16]

    def _kept(self, fold: splits.Fold, seed: int, name: str) -> Path:
        trainer = next(t for t in TRAINERS if t.name == name)
        return self.paths.work / "scored" / f"{fold.kind}-{fold.name}-{seed}-{name}-{self.key(trainer)}.npy"

    def scored(self, seed: int) -> list[validate.Scored]:
        """Every fold, scored; kept on disk per fold, member, seed and everything that a score depends on."""

        def kept(fold: splits.Fold, name: str) -> np.ndarray | None:
            path = self._kept(fold, seed, name)
            return np.load(path) if path.exists() else None

        def keep(fold: splits.Fold, name: str, p: np.ndarray) -> None:
            path = self._kept(fold, seed, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path.with_suffix(".partial.npy"), p)
            path.with_suffix(".partial.npy").rename(path)
            say(f"validate: {fold.kind} {fold.name}: {name}")

        out = []
        for fold in splits.folds(self.rows):
            say(f"validate: {fold.kind} {fold.name}: {len(fold.train):,} rows to train, {len(fold.valid):,} held out")
            samples = partial(validate.fold_samples, self.rows, fold, self.cross)
            out.append(validate.score_fold(fold, samples, partial(kept, fold), partial(keep, fold), seed))
        return out

    def measure(self) -> Measured:
        """Scores all folds, fits the ensemble, writes the report."""
        runs = [self.scored(config.SEED + i) for i in range(self.seeds)]
        metrics, scored, fitted = mean_of([validate.report(r) for r in runs]), runs[0], {}
        for kind in splits.kinds(self.rows):
            of_kind = [s for s in scored if s.fold.kind == kind]
            fitted[kind] = ensemble.fit(of_kind, list(of_kind[0].probabilities))
            metrics[kind]["ensemble"] = fitted[kind].tables["folds"]
            say(f"ensemble: {kind}: {fitted[kind].stack}, {fitted[kind].thresholds}")
        (self.paths.work / "metrics.json").write_text(json.dumps(metrics, indent=1))
        schema = self.tribunal.schema(self.cross.whole(self.rows, "all"))
        samples = {kind: self.final_sample(kind, schema.names[kind]) for kind in fitted}
        report.write(self.paths.work / "report", scored, metrics, fitted, samples)
        say(f"report: {self.paths.work / 'report' / 'report.md'}")
        return Measured(scored, metrics, fitted, samples)

    def final_sample(self, kind: str, names: list[str]) -> Sample:
        """All rows of a kind, cross-fitted."""
        rows = add_subdomains(self.rows)
        made = training_sample(self.cross.crossed(rows, "all"), rows[rows["kind"] == kind], names, kind)
        return self.cross.trained_on(made, kind)

    def publish(self, compiled: Path, measured: Measured) -> None:
        """Fits on all rows and writes the registry folder."""
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        schema = self.tribunal.schema(compiled)
        for trainer in TRAINERS:
            self._publish_model(trainer, measured, created, schema.digest)
        definition = ensemble.definition(self.version, created, measured.fitted, [t.name for t in TRAINERS])
        publish.write_ensemble(self.paths.models, self.version, definition)

    def _publish_model(self, trainer: Trainer, measured: Measured, created: str, schema: str) -> None:
        folder = self.paths.models / "models" / trainer.name / "versions" / self.version
        own = self.paths.work / "trainers" / trainer.name / self.version
        parts, goldens, counts = [], [], {}
        for kind, sample in measured.samples.items():
            if kind not in trainer.kinds:
                continue
            say(f"publish: {trainer.name} {kind}, {len(sample):,} rows, {len(sample.names)} features")
            model = trainer.fit(sample, kind, config.SEED)
            file = publish.save(trainer, model, kind, sample.names, folder, own, self.tribunal)
            calibration = measured.fitted[kind].calibrations[trainer.name]
            optional = self.cross.optional(kind)
            parts.append(publish.part(trainer, model, kind, sample.names, file, calibration, config.EXPLAIN_FROM, optional))
            goldens.append(publish.golden(trainer, model, kind, sample, calibration))
            counts[kind] = len(sample) if trainer.reads_vector else len(sample.bounded(config.TEXT_ROWS))
        publish.write_golden(folder, goldens)
        manifest = {
            "name": trainer.name, "version": self.version, "created": created, "trainer": trainer.version,
            "schema": schema, "parts": parts,
            "metrics": {kind: measured.metrics[kind][trainer.name] for kind in counts},
            "training": {
                "rows": counts, "split": card.SPLIT, "sources": card.sources(self.paths.data, self.rows),
                "parameters": parameters.described(trainer.name),
            },
            "card": "card.md",
        }  # fmt: skip
        held_out = {k: {s.fold.name: s.fold.held_out for s in measured.scored if s.fold.kind == k} for k in counts}
        text = card.card(manifest, held_out, self.seeds)
        publish.write_manifest(self.paths.models, trainer.name, self.version, manifest, text)


def mean_of(reports: list[Any]) -> Any:
    """Leaf by leaf, over the seeds."""
    if isinstance(reports[0], dict):
        return {key: mean_of([r[key] for r in reports]) for key in reports[0]}
    return type(reports[0])(np.round(np.mean(reports), 4))
