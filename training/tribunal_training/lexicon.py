"""Fits the sources of the lexicon: what `tribunal lexicon compile` takes, and the binary ships as data.

Files written, tab-separated, without header:
- `words.tsv`: word, zipf value.
- `ngrams.<model>.tsv`: gram, count. Orders 1 to 4 over `[a-z0-9-]`, `^` before and `$` after a name; the name is the
  registrable domain's own label. Models: `benign`, `generated` (domain-generation algorithms), `phishing`.
- `rates.<tld|asn|country>.tsv`: key, smoothed malicious share, number of entities; key `*` is the prior.
- `asn_hosting.tsv`: ASN, share of its IPv4 space in hosting ranges, where that is at least 5 %.

Smoothing of rates is done here; smoothing of n-grams by the compiler.
"""

import shutil
from collections import Counter
from pathlib import Path

import pandas as pd

from .ranges import AddressTable

ORDERS = range(1, 5)
# Pseudo-observations of the prior: a TLD seen this often counts half.
RATE_PRIOR_STRENGTH = 20.0
HOSTING_LEAST_SHARE = 0.05
MODELS = {"benign": "benign", "generated": "dga", "phishing": "phishing"}


def ngram_counts(names: "pd.Series | list[str]") -> Counter[str]:
    """Counts of all grams of the orders; a name occurs once however many rows have it."""
    counts: Counter[str] = Counter()
    for name in sorted(set(names)):
        if not name or name.startswith("xn--"):
            continue
        padded = f"^{name}$"
        for order in ORDERS:
            # A lone boundary says nothing: the unigrams are of characters and the end.
            start = 1 if order == 1 else 0
            counts.update(padded[i : i + order] for i in range(start, len(padded) - order + 1))
    return counts


def smoothed_rates(
    keys: pd.Series, labels: pd.Series, strength: float = RATE_PRIOR_STRENGTH, share: float = 1.0
) -> pd.DataFrame:
    """`rate` and `support` by key, shrunk towards the mean of all; `*` holds that mean.

    `share`: which part of the rows these are; support is scaled up to the whole, so that a cross-fitted table says
    what the shipped one will.
    """
    prior = float(labels.mean()) if len(labels) else 0.5
    table = labels.groupby(keys).agg(["sum", "count"])
    rate = (table["sum"] + strength * prior) / (table["count"] + strength)
    out = pd.DataFrame({"rate": rate, "support": (table["count"] / share).round()}).sort_index()
    out.loc["*"] = [prior, 0]
    return out


def _write_rates(path: Path, rates: pd.DataFrame) -> None:
    lines = (f"{k}\t{r:.5f}\t{int(s)}\n" for k, r, s in zip(rates.index, rates["rate"], rates["support"]))
    path.write_text("".join(lines))


def _write_ngrams(folder: Path, rows: pd.DataFrame) -> None:
    for model, category in MODELS.items():
        counts = ngram_counts(rows.loc[rows["category"] == category, "name"])
        if counts:
            text = "".join(f"{gram}\t{count}\n" for gram, count in sorted(counts.items()))
            (folder / f"ngrams.{model}.tsv").write_text(text)


def _write_domain_rates(folder: Path, rows: pd.DataFrame, share: float) -> None:
    # Names below private suffixes (github.io, ddns.net) say nothing about the TLD; one vote per registrable domain.
    own = rows[~rows["private_suffix"]].drop_duplicates("group")
    if len(own):
        _write_rates(folder / "rates.tld.tsv", smoothed_rates(own["tld"], own["label"], share=share))


def _write_address_rates(folder: Path, rows: pd.DataFrame, share: float) -> None:
    if not len(rows):
        return
    asn = rows[rows["asn"] > 0]
    _write_rates(folder / "rates.asn.tsv", smoothed_rates(asn["asn"].astype(str), asn["label"], share=share))
    country = rows[rows["country"] != ""]
    _write_rates(folder / "rates.country.tsv", smoothed_rates(country["country"], country["label"], share=share))


def write_hosting(path: Path, table: AddressTable, hosting: Path) -> None:
    """Share of each AS's IPv4 space that lies inside hosting ranges."""
    shares = table.share_inside(pd.read_csv(hosting)["cidr"].tolist())
    kept = sorted((asn, share) for asn, share in shares.items() if share >= HOSTING_LEAST_SHARE)
    path.write_text("".join(f"{asn}\t{share:.3f}\n" for asn, share in kept))


def write_rates(folder: Path, rows: pd.DataFrame, share: float = 1.0) -> None:
    """Smoothed rates of both kinds, from these rows, which are `share` of all."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_domain_rates(folder, rows[rows["kind"] == "domain"], share)
    _write_address_rates(folder, rows[rows["kind"] == "ip"], share)


def write_ngrams(folder: Path, rows: pd.DataFrame) -> None:
    """N-gram counts of every model, from these rows."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_ngrams(folder, rows[rows["kind"] == "domain"])


def assemble(folder: Path, *parts: Path) -> None:
    """One source folder out of several: the constant one (words, hosting), n-grams, rates."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for part in parts:
        for file in sorted(part.glob("*.tsv")):
            shutil.copyfile(file, folder / file.name)
