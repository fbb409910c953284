"""Splits keep groups together; smoothing, n-gram counts and range arithmetic are right."""

import numpy as np
import pandas as pd
import pytest

from tribunal_training import augment, data, lexicon, ranges, words


def rows(entities, label=1, family="f", source="s", category="malware"):
    return pd.DataFrame(
        {
            "entity": entities,
            "kind": ["ip" if e[0].isdigit() and e.count(".") == 3 and e[-1].isdigit() else "domain" for e in entities],
            "label": str(label), "category": category, "family": family, "source": source, "first_seen": "",
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.b.example.co.uk", ("example.co.uk", "example", "uk", False)),
        ("x.evil.ddns.net", ("evil.ddns.net", "evil", "net", True)),
        ("example.com", ("example.com", "example", "com", False)),
        ("github.io", ("github.io", "github", "io", True)),
    ],
)
def test_domain_groups(name, expected):
    assert data.domain_group(name) == expected


def test_address_groups():
    assert data.address_group("10.20.30.40") == "10.20.0.0/16"
    assert data.address_group("2001:db8:1::1") == "2001:db8::/32"


def test_a_group_has_one_fold():
    names = [f"{sub}n{i}.com" for i in range(300) for sub in ("", "a.", "b.c.")]
    frame = data.with_groups(rows(names + [f"10.{i}.0.{j}" for i in range(50) for j in range(4)]))
    folds = data.cross_fit_folds(frame, 4)
    assert folds["fold_group"].groupby(frame["group"]).nunique().max() == 1
    assert set(folds["fold_group"]) == {0, 1, 2, 3}


def test_families_are_whole_in_ngram_folds():
    frame = data.with_groups(pd.concat([rows([f"{f}x{i}.com" for i in range(20)], family=f) for f in "abcdefgh"]))
    folds = data.cross_fit_folds(frame, 4)
    assert folds["fold_family"].groupby(frame["family"]).nunique().max() == 1
    assert folds["fold_group"].groupby(frame["family"]).nunique().max() > 1


def test_rates_shrink_towards_the_prior():
    keys = pd.Series(["com"] * 8 + ["top"] * 2)
    labels = pd.Series([0] * 6 + [1] * 2 + [1, 1])
    table = lexicon.smoothed_rates(keys, labels, strength=10.0)
    assert table.loc["*", "rate"] == pytest.approx(0.4)
    assert table.loc["top", "rate"] == pytest.approx((2 + 10 * 0.4) / 12)
    assert table.loc["com", "support"] == 8


def test_ngram_counts():
    counts = lexicon.ngram_counts(["ab", "ab", "xn--abc", ""])
    assert counts == {"a": 1, "b": 1, "$": 1, "^a": 1, "ab": 1, "b$": 1, "^ab": 1, "ab$": 1, "^ab$": 1}


def test_hosting_share():
    table = ranges.AddressTable.__new__(ranges.AddressTable)
    frame = pd.DataFrame({0: ["10.0.0.0", "10.0.1.0", "10.0.4.0"], 1: ["10.0.0.255", "10.0.1.255", "10.0.4.255"]})
    table.asn_start, table.asn_end = ranges._starts_ends(frame)
    table.asn = pd.Series([1, 2, 1]).to_numpy()
    shares = table.share_inside(["10.0.0.128/25", "10.0.1.0/24", "10.0.0.192/26", "2001:db8::/32"])
    assert shares == {1: 0.25, 2: 1.0}


def test_subdomains_keep_the_group_and_do_not_change_between_runs():
    frame = data.with_groups(rows([f"name{i}.org" for i in range(2000)], label=0, category="benign"))
    longer = augment.add_subdomains(frame)
    changed = longer["entity"] != frame["entity"]
    assert 0.25 < changed.mean() < 0.35
    assert longer["entity"].equals(augment.add_subdomains(frame)["entity"])
    assert all(data.domain_group(e)[0] == g for e, g in zip(longer["entity"], longer["group"]))


def test_words_are_folded():
    assert [words.fold(w) for w in ("Größe", "łódź", "привет", "señal")] == ["grosse", "lodz", "privet", "senal"]


def test_masked_rows_lose_the_data_set_and_nothing_else():
    x = np.ones((5000, 3), dtype="float32")
    masked = augment.mask_networks(x, ["ip_version", "asn_rate", "country_known"])
    lost = np.isnan(masked)
    assert 0.08 < lost[:, 1].mean() < 0.12
    assert (lost[:, 1] == lost[:, 2]).all() and not lost[:, 0].any() and not np.isnan(x).any()


class Binary:
    """Says what `tribunal` would: dots and digits are an address, what has a space is refused."""

    def kinds(self, frame):
        kept = frame[~frame["entity"].str.contains(" ")].reset_index(drop=True)
        numbers = kept["entity"].str.replace(".", "").str.isdigit()
        return kept.assign(kind=np.where(numbers, "ip", "domain"))


def test_any_labelled_csv_is_read(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("entity,label,family\nevil.com,malicious,phishing_kit\n10.1.2.3,1,\na b,0,\ngood.org,0,x\ngood.org,0,x\n")
    frame = data.load(file, Binary())
    assert frame["entity"].tolist() == ["evil.com", "10.1.2.3", "good.org"]
    assert frame["kind"].tolist() == ["domain", "ip", "domain"] and frame["label"].tolist() == [1, 1, 0]
    assert frame["category"].tolist() == ["phishing", "malware", "benign"]
    assert frame["family"].tolist() == ["phishing_kit", "unknown", "benign"] and set(frame["source"]) == {"unknown"}


@pytest.mark.parametrize(("text", "message"), [("entity\na.com\n", "no column label"), ("entity,label\na.com,perhaps\n", "'perhaps'")])
def test_what_is_no_label_is_refused(tmp_path, text, message):
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(SystemExit, match=message):
        data.load(tmp_path / "l.csv", Binary())
