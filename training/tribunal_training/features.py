"""Runs `tribunal`: compiles lexicons and data sets, computes features. No feature is computed in Python.

Cross-fitting: a row's features come from a lexicon that was fitted without the row's registrable domain (rates) and
without its family (n-grams), so that training sees the statistics as an unknown entity would.
"""

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.csv
import pyarrow.parquet

from . import config, lexicon
from .addresses import Intel
from .augment import mask_networks
from .data import cross_fit_folds
from .sample import Sample


# Exit code of `tribunal features` when some entities were refused; they have no row.
REFUSED_SOME = 3


@dataclass(frozen=True)
class Schema:
    """Names of the features by kind, and the digest, of `tribunal features --schema --json` with a lexicon."""

    digest: str
    names: dict[str, list[str]]


class Tribunal:
    """The binary, copied at the start of a run: a build meanwhile does not change half of the features."""

    def __init__(self, binary: Path, work: Path, dataset: Path | None):
        if not binary.exists():
            raise SystemExit(f"{binary} is missing: `make package` makes it (or set TRIBUNAL_BIN)")
        self.work, self.dataset = work, dataset
        self.binary = work / "bin" / "tribunal"
        self.binary.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(binary, self.binary)
        self.binary.chmod(0o755)
        self.digest = hashlib.sha256(self.binary.read_bytes()).hexdigest()
        self.dataset_digest = hashlib.sha256(dataset.read_bytes()).hexdigest() if dataset else ""

    def run(self, *arguments: str | Path) -> str:
        """Runs a command; its standard output. A failure ends the run with the command's own message."""
        done = subprocess.run([self.binary, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode not in (0, REFUSED_SOME):
            raise SystemExit(f"tribunal {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def compile_lexicon(self, sources: Path, out: Path) -> Path:
        """TSVs to the binary form."""
        self.run("lexicon", "compile", "--from", sources, "--out", out)
        return out

    def schema(self, compiled: Path) -> Schema:
        """The schema that vectors of this lexicon have."""
        told = json.loads(self.run("features", "--schema", "--json", "--lexicon", compiled))
        features = [f for f in told["schema"]["features"] if f["name"] not in config.UNUSED_FEATURES]
        names = {kind: [f["name"] for f in features if kind in f["kinds"]] for kind in ("domain", "ip")}
        return Schema(told["digest"], names)

    def kinds(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Adds `kind`, and gives `entity` its normal form; entities that are refused are left out."""
        rows = rows.reset_index(drop=True).assign(row=range(len(rows)))
        told = self.features(rows, None, "kinds")
        kept = rows.set_index("row").loc[told.index]
        return kept.assign(kind=told["kind"], entity=told["entity"]).reset_index(drop=True)

    def features(self, rows: pd.DataFrame, compiled: Path | None, label: str) -> pd.DataFrame:
        """One row of features per row that is not refused, indexed by `row`; kept on disk by content."""
        text = rows[["entity", "row"]].to_csv(index=False)
        key = hashlib.sha256()
        lexicon_bytes = compiled.read_bytes() if compiled else b""
        for part in (self.digest.encode(), lexicon_bytes, text.encode(), self.dataset_digest.encode()):
            key.update(hashlib.sha256(part).digest())
        kept = self.work / "features" / f"{label}-{key.hexdigest()[:20]}.parquet"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            source, out = kept.with_suffix(".in.csv"), kept.with_suffix(".out.csv")
            source.write_text(text)
            extra = ["--dataset", self.dataset] if self.dataset else []
            extra += ["--lexicon", compiled] if compiled else []
            self.run("features", *extra, "--format", "csv", "-o", out, "--file", source)
            table = pyarrow.csv.read_csv(out, convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True))
            pyarrow.parquet.write_table(table, kept)
            source.unlink(), out.unlink()
        return pyarrow.parquet.read_table(kept).to_pandas().set_index("row")


def sample(features: pd.DataFrame, rows: pd.DataFrame, names: list[str]) -> Sample:
    """Float32 values in the order of `names`, and their rows: those that were not refused."""
    by_row = rows.set_index("row", drop=False)
    kept = by_row.index.intersection(features.index)
    return Sample(features.loc[kept, names].astype("float32").to_numpy(), by_row.loc[kept], names)


def training_sample(features: pd.DataFrame, rows: pd.DataFrame, names: list[str], kind: str) -> Sample:
    """The same for rows that are trained on: addresses lose their network now and then."""
    made = sample(features, rows, names)
    return Sample(mask_networks(made.x, names), made.rows, names) if kind == "ip" else made


class CrossFit:
    """Fits lexicons and computes features for a set of training rows."""

    # Features of addresses from data sets, if there are any.
    intel: Intel | None = None

    def __init__(self, tribunal: Tribunal, constant: Path, work: Path, folds: int = config.CROSS_FIT):
        self.tribunal, self.constant, self.work, self.folds = tribunal, constant, work, folds

    def _base(self, rows: pd.DataFrame, name: str) -> Path:
        """A folder of its own for every content of rows, constant sources, code that fits, and compiler."""
        key = hashlib.sha256(self.tribunal.digest.encode())
        columns = ["group", "name", "tld", "private_suffix", "label", "category", "family", "kind", "asn", "country"]
        key.update(pd.util.hash_pandas_object(rows[columns].astype(str), index=False).to_numpy().tobytes())
        for file in (*sorted(self.constant.glob("*.tsv")), Path(lexicon.__file__)):
            key.update(file.read_bytes())
        return self.work / "lexicons" / f"{name}-{key.hexdigest()[:16]}"

    def whole(self, rows: pd.DataFrame, name: str) -> Path:
        """The lexicon of all these rows: for entities that are not among them."""
        base = self._base(rows, name)
        compiled = base / "whole.bin"
        if not compiled.exists():
            lexicon.write_rates(base / "rates", rows)
            lexicon.write_ngrams(base / "ngrams", rows)
            lexicon.assemble(base / "sources", self.constant, base / "ngrams", base / "rates")
            self.tribunal.compile_lexicon(base / "sources", compiled)
        return compiled

    def trained_on(self, made: Sample, kind: str) -> Sample:
        """A training sample with the features that data sets give its kind."""
        return self.intel.training(made) if kind == "ip" and self.intel else made

    def held_out(self, made: Sample, kind: str) -> Sample:
        """A held-out sample with them."""
        return self.intel.held_out(made) if kind == "ip" and self.intel else made

    def optional(self, kind: str) -> list[str]:
        """Features that a user may lack."""
        return self.intel.names if kind == "ip" and self.intel else []

    def crossed(self, rows: pd.DataFrame, name: str) -> pd.DataFrame:
        """Features of these rows, each from a lexicon that has not seen it."""
        base = self._base(rows, name)
        folds = cross_fit_folds(rows, self.folds)
        for i in range(self.folds):
            if not (base / f"ngrams{i}").exists():
                seen = rows[folds["fold_group"] != i]
                lexicon.write_rates(base / f"rates{i}", seen, share=1 - 1 / self.folds)
                lexicon.write_ngrams(base / f"ngrams{i}", rows[folds["fold_family"] != i])
        parts = []
        for (group, family), cell in rows.groupby([folds["fold_group"], folds["fold_family"]]):
            compiled = base / f"{group}-{family}.bin"
            if not compiled.exists():
                sources = base / f"sources-{group}-{family}"
                lexicon.assemble(sources, self.constant, base / f"ngrams{family}", base / f"rates{group}")
                self.tribunal.compile_lexicon(sources, compiled)
            parts.append(self.tribunal.features(cell, compiled, f"{name}-{group}-{family}"))
        return pd.concat(parts)
