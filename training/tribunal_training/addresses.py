"""Features of addresses from data sets: feeds that list an address, its neighbours or its system, and hosting ranges.

`examples/intel` declares them and builds the data sets; `tribunal features --sources` computes them, once for all
addresses, since the data sets know no labels. A training sample then forgets some of it, so that a model

- does not take an address for benign only because no feed lists it: `OWN_MASKED` of the rows are not on any feed;
- is as good as it can be without the data sets, which a user may lack: `BARE` of the rows stand there a second time, with
  none of these features.

Dates: feeds tell no more than "not later than the snapshot". A row whose label is older than that therefore never keeps
its own sightings, held out or not: they may be later than the label, or its echo. Neighbours are counted without the address
itself, as of the snapshot, for rows of both labels alike: unlisted rows have no date, so that taking neighbours from
malicious rows alone would be a difference that no address has.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.csv
import pyarrow.parquet

from . import config
from .sample import Sample

EXAMPLE = config.ROOT / "examples" / "intel"
INPUTS = ("feed_sightings.csv.zst", "ip_asn.csv.zst", "bad_asn.csv.zst", "hosting_ranges.csv.zst")
DATA_SETS = ("bad_asn.tds", "hosting.tds", "sightings.tds", "systems.tds")

# What a feed says of the address itself; 0 when it says nothing.
OWN = ("sightings_feeds", "sightings_scanner", "sightings_c2", "sightings_tor")
OWN_MASKED = 0.5
BARE = 0.3

REFUSED_SOME = 3


def declared(declaration: Path) -> dict[str, list[str]]:
    """Names of the features by source, in the order of the vector."""
    sources = tomllib.loads(declaration.read_text())["sources"]
    return {name: [f["name"] for f in source["features"]] for name, source in sorted(sources.items())}


@dataclass(frozen=True)
class Intel:
    """The declared features of every address; `values` is indexed by entity; `snapshot` is the
    latest date of a feed."""

    sources: dict[str, list[str]]
    values: pd.DataFrame
    digest: str
    snapshot: str

    @property
    def names(self) -> list[str]:
        """All features; a model names them as optional."""
        return [name for names in self.sources.values() for name in names]

    def held_out(self, sample: Sample) -> Sample:
        """The sample with these features, as production has them."""
        values = self.values.loc[sample.rows["entity"], self.names].to_numpy("float32", copy=True)
        if "first_seen" in sample.rows:
            day = sample.rows["first_seen"].str.removeprefix("<=")
            forget_own(values, self.names, ((day != "") & (day < self.snapshot)).to_numpy())
        return Sample(np.hstack([sample.x, values]), sample.rows, sample.names + self.names)

    def training(self, sample: Sample, seed: int = config.SEED) -> Sample:
        """The same, with what training rows forget; the same for the same seed."""
        made, first = self.held_out(sample), len(sample.names)
        x, rng = made.x.copy(), np.random.default_rng(seed)
        forget_own(x[:, first:], self.names, rng.random(len(x)) < OWN_MASKED)
        again = np.flatnonzero(rng.random(len(x)) < BARE)
        bare = x[again]
        bare[:, first:] = np.nan
        return Sample(np.vstack([x, bare]), pd.concat([made.rows, made.rows.iloc[again]]), made.names)


def forget_own(values: np.ndarray, names: list[str], rows: np.ndarray) -> None:
    """These rows are on no feed; what is missing stays missing."""
    columns = [names.index(name) for name in OWN if name in names]
    block = values[np.ix_(rows, columns)]
    values[np.ix_(rows, columns)] = np.where(np.isnan(block), np.nan, 0.0)


def binary_of(paths: config.Paths) -> Path:
    """`tribunal`, or another build of it for the data sets alone."""
    return Path(os.environ.get("TRIBUNAL_SOURCES_BIN", paths.binary))


def build(paths: config.Paths) -> Path | None:
    """Builds the data sets beside a copy of the declaration; `None` without the snapshots."""
    snapshots = paths.data / "intel"
    if not all((snapshots / name).exists() for name in INPUTS):
        return None
    folder = paths.work / "intel"
    folder.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256((EXAMPLE / "build.py").read_bytes())
    for name in INPUTS:
        key.update(hashlib.sha256((snapshots / name).read_bytes()).digest())
    stamp = folder / "built"
    if not stamp.exists() or stamp.read_text() != key.hexdigest():
        command = [sys.executable, EXAMPLE / "build.py", snapshots, "--out", folder, "--tribunal", binary_of(paths)]
        if subprocess.run(command).returncode != 0:
            raise SystemExit(f"{EXAMPLE / 'build.py'} failed")
        stamp.write_text(key.hexdigest())
    shutil.copyfile(EXAMPLE / "sources.toml", folder / "sources.toml")
    return folder


def intel(paths: config.Paths, rows: pd.DataFrame, ranges: Path) -> Intel | None:
    """The features of all addresses among the rows, kept on disk by what they are made of."""
    folder = build(paths)
    if folder is None:
        return None
    declaration = folder / "sources.toml"
    sources = declared(declaration)
    entities = pd.Series(sorted(set(rows.loc[rows["kind"] == "ip", "entity"])), name="entity")
    key = hashlib.sha256(declaration.read_bytes())
    for content in (*((folder / name).read_bytes() for name in DATA_SETS), ranges.read_bytes()):
        key.update(hashlib.sha256(content).digest())
    key.update("\n".join(entities).encode())
    digest = key.hexdigest()
    kept = paths.work / "features" / f"intel-{digest[:20]}.parquet"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        _compute(binary_of(paths), declaration, ranges, entities, sources, kept)
    feeds = pd.read_csv(paths.data / "intel" / INPUTS[0], usecols=["kind", "first_seen"], dtype=str, keep_default_na=False)
    snapshot = feeds.loc[feeds["kind"] == "ip", "first_seen"].str.removeprefix("<=").max()
    return Intel(sources, pyarrow.parquet.read_table(kept).to_pandas().set_index("entity"), digest, snapshot)


def _compute(
    binary: Path, declaration: Path, ranges: Path, entities: pd.Series, sources: dict[str, list[str]], kept: Path
) -> None:
    given, out = kept.with_suffix(".in.csv"), kept.with_suffix(".out.csv")
    entities.to_csv(given, index=False)
    command = [binary, "features", "--sources", declaration, "--dataset", ranges, "--file", given, "-o", out]
    done = subprocess.run([*map(str, command), "--format", "csv"], capture_output=True, text=True)
    if done.returncode not in (0, REFUSED_SOME):
        raise SystemExit(f"tribunal features --sources: {done.stderr.strip()}")
    names = [name for of_source in sources.values() for name in of_source]
    options = pyarrow.csv.ConvertOptions(
        include_columns=["entity", *names], strings_can_be_null=True,
        column_types={name: "float32" for name in names} | {"entity": "string"},
    )  # fmt: skip
    table = pyarrow.csv.read_csv(out, convert_options=options)
    pyarrow.parquet.write_table(table, kept)
    given.unlink(), out.unlink()
