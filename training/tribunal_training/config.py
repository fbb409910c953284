"""Constants and paths. Everything that a run depends on is here, in the data, or in the versions pinned."""

import os
from dataclasses import dataclass
from pathlib import Path

SEED = 20261124
# One: with more, threads wait for each other wherever another process runs, and the order of sums changes.
THREADS = 1

# The address data sets, from npm, by version: production compiles the same ones.
ASN_PACKAGE = "@ip-location-db/asn@2.3.2026061719"
COUNTRY_PACKAGE = "@ip-location-db/geo-whois-asn-country@2.3.2026061719"

# Folds of the cross-fitting along each of its two axes (registrable domain or /16; family).
CROSS_FIT = 4

# Benign lists that hold many malicious names (adult and download mirrors, parked phishing): neither trained on
# nor measured against.
NOISY_SOURCES = ("ut1/download",)

# Features that no model reads. Unlisted addresses in training are drawn at random, malicious ones are real hosts:
# where an address stands in its network tells the two apart here, and nothing anywhere else.
UNUSED_FEATURES = (
    "ip_last_octet", "ip_last_octet_low", "ip_last_octet_edge", "ip_distinct_octets", "network_place",
)  # fmt: skip

# Features of the address data set, by the start of their name, and the share of training rows that lose them.
DATA_SET_FEATURES = ("asn_", "as_name_", "network_", "country_", "ip_hosting_")
MASKED_SHARE = 0.10

# Share of names without a subdomain that get one, as names in real traffic have.
SUBDOMAIN_SHARE = {"benign": 0.30, "malicious": 0.10}

# Most rows that a fold's models are fitted on, and measured on, so that a run takes minutes; the models that ship are
# fitted on all rows.
FOLD_ROWS = 50_000
HELD_ROWS = 40_000

# Most rows that the network over characters is fitted on, also for the model that ships: it costs most, and gains least.
TEXT_ROWS = 100_000

# False-positive rates on benign entities at which the verdicts begin (suspicious, malicious), by consumer profile;
# `balanced` is the definition's own.
PROFILES = {"balanced": (0.01, 0.001), "sensitive": (0.05, 0.01), "strict": (0.001, 0.0001)}

# Greatest expected calibration error of the ensemble, over all folds together.
MOST_ERROR = 0.03

# Predictions are explained from this (calibrated) probability on.
EXPLAIN_FROM = 0.0

# Hours after which half of what a source said is left. What is computed from the entity's name does not age. Address
# ranges change over months; feeds turn over in weeks; what was asked live ages fastest.
HALF_LIFE_HOURS = {"ranges": 2160, "dataset": 336, "mysql": 336, "mongodb": 336, "http": 168, "dns": 72}
VALID_HOURS = {"domain": 168, "ip": 72}

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Paths:
    """Where a run reads and writes.

    data: folder with `train.csv.zst` and `intel/`; work: everything intermediate (not committed);
    models: the registry folder; lexicon: the compiled lexicon that ships; binary: `tribunal`.
    """

    data: Path
    work: Path
    models: Path
    lexicon: Path
    binary: Path

    @staticmethod
    def default() -> "Paths":
        """From the environment, or the checkout's own layout."""
        env = os.environ.get
        target = Path(env("CARGO_TARGET_DIR", ROOT / "target"))
        return Paths(
            data=Path(env("TRIBUNAL_DATA", ROOT.parent / "shared" / "data")),
            work=Path(env("TRIBUNAL_TRAINING_WORK", ROOT / "training" / "work")),
            models=Path(env("TRIBUNAL_MODELS", ROOT / "models")),
            lexicon=ROOT / "crates" / "features" / "data" / "lexicon.bin",
            binary=Path(env("TRIBUNAL_BIN", target / "release" / "tribunal")),
        )
