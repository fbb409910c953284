"""The labelled entities, and what may not stand on both sides of a split.

A row: `entity`, `kind` (domain, ip), `label` (1 malicious), `category`, `family`, `source`, `first_seen`; added
here: `group` (registrable domain, or the /16 of an address), `name` (its first label, without the suffix), `tld`,
`private_suffix` (hosting that anyone can register below), `day` (first day seen, or NaT when the source has none).
"""

import hashlib
import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from publicsuffixlist import PublicSuffixList

from . import config

if TYPE_CHECKING:
    from .features import Tribunal

LABELS = {"1": 1, "0": 0, "malicious": 1, "benign": 0, "true": 1, "false": 0}

_PSL = PublicSuffixList(only_icann=False)
_ICANN = PublicSuffixList(only_icann=True)


def stable_unit(text: str, salt: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.blake2b(f"{salt}\0{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def stable_fold(text: str, salt: str, folds: int) -> int:
    """The fold of a group: equal groups, equal folds."""
    return int(stable_unit(text, salt) * folds)


def domain_group(name: str) -> tuple[str, str, str, bool]:
    """Registrable domain, its own label, the TLD, and whether its suffix is a private one."""
    registrable = _PSL.privatesuffix(name) or name
    suffix = _PSL.publicsuffix(name) or name
    own = registrable[: -len(suffix) - 1] if registrable != suffix else registrable.split(".")[0]
    return registrable, own, name.rsplit(".", 1)[-1], suffix != (_ICANN.publicsuffix(name) or suffix)


def address_group(address: str) -> str:
    """The /16 of an IPv4 address, the /32 of an IPv6 address."""
    parsed = ipaddress.ip_address(address)
    return str(ipaddress.ip_network(f"{parsed}/{16 if parsed.version == 4 else 32}", strict=False))


OPTIONAL = {"kind": "", "category": "", "family": "", "source": "", "first_seen": ""}


def file_of(data: Path) -> Path:
    """The labelled file: the path itself, or `train.csv.zst` in that folder."""
    return data / "train.csv.zst" if data.is_dir() else data


def load(data: Path, tribunal: "Tribunal | None" = None) -> pd.DataFrame:
    """Reads labelled entities and adds the groups; noisy sources are left out.

    Needs `entity` and `label`; the kind is `tribunal`'s to say where the file does not, and entities that it refuses
    are left out. Missing columns have defaults: see `completed`.
    """
    if not file_of(data).is_file():
        raise SystemExit(f"{file_of(data)} is missing: labelled entities (--data, or TRIBUNAL_DATA)")
    rows = pd.read_csv(file_of(data), dtype=str, keep_default_na=False)
    missing = {"entity", "label"} - set(rows.columns)
    if missing:
        raise SystemExit(f"{file_of(data)}: no column {', '.join(sorted(missing))}")
    if "kind" not in rows.columns:
        if tribunal is None:
            raise SystemExit(f"{file_of(data)}: no column kind, and no tribunal to ask")
        rows = tribunal.kinds(rows)
    rows = completed(rows)
    rows = rows[~rows["source"].isin(config.NOISY_SOURCES)].reset_index(drop=True)
    return with_groups(rows)


def completed(rows: pd.DataFrame) -> pd.DataFrame:
    """Labels as 0 and 1, every optional column, a category for every row, one row per entity.

    A family is `benign` for benign rows and else as given, `unknown` when it is not; a category (`benign`, `phishing`,
    `dga`, `malware`) is read from the family's or source's name.
    """
    rows = rows.assign(**{c: v for c, v in OPTIONAL.items() if c not in rows.columns}).drop_duplicates("entity")
    labels = rows["label"].str.strip().str.lower().map(LABELS)
    if labels.isna().any():
        raise SystemExit(f"label {rows.loc[labels.isna(), 'label'].iloc[0]!r} is none of {', '.join(LABELS)}")
    rows["label"] = labels.astype(int).astype(str)
    benign = rows["label"] == "0"
    rows["family"] = rows["family"].where(~benign, "benign").replace("", "unknown")
    hint = (rows["family"] + " " + rows["source"]).str.lower()
    guess = np.select(
        [benign, hint.str.contains("phish"), hint.str.contains("dga|generated")], ["benign", "phishing", "dga"], "malware"
    )
    rows["category"] = rows["category"].where(rows["category"] != "", guess)
    rows["source"] = rows["source"].replace("", "unknown")
    return rows


def with_groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Adds `group`, `name`, `tld`, `private_suffix`, `day` and the row number `row`."""
    rows = rows.copy()
    rows["label"] = rows["label"].astype("int8")
    domain = rows["kind"] == "domain"
    parts = [domain_group(e) if d else (address_group(e), "", "", False) for e, d in zip(rows["entity"], domain)]
    for i, column in enumerate(["group", "name", "tld", "private_suffix"]):
        rows[column] = [p[i] for p in parts]
    exact = rows["first_seen"].where(rows["first_seen"].str.match(r"\d{4}-\d\d-\d\d$"))
    rows["day"] = pd.to_datetime(exact)
    rows["row"] = range(len(rows))
    return rows


def cross_fit_folds(rows: pd.DataFrame, folds: int) -> pd.DataFrame:
    """Two fold numbers per row: `fold_group` for rates, `fold_family` for n-gram counts.

    Rates are cross-fitted at random by registrable domain (or /16); n-grams by family, since one generator's names
    resemble each other. Classes with a single family (benign, phishing) fall back to the group.
    """
    by_group = [stable_fold(g, "cross-fit", folds) for g in rows["group"]]
    single = rows["family"].isin(["benign", "phishing"]) | (rows["kind"] == "ip")
    by_family = [
        g if s else stable_fold(f, "cross-fit family", folds)
        for g, s, f in zip(by_group, single, rows["family"])
    ]
    return pd.DataFrame({"fold_group": by_group, "fold_family": by_family}, index=rows.index)
