"""What a training sample of addresses forgets, and what the data sets are made of."""

import importlib.util

import numpy as np
import pandas as pd

from tribunal_training import addresses
from tribunal_training.sample import Sample

NAMES = addresses.declared(addresses.EXAMPLE / "sources.toml")
N = 4_000


def intel() -> addresses.Intel:
    entities = [f"10.0.{i // 250}.{i % 250}" for i in range(N)]
    names = [name for of_source in NAMES.values() for name in of_source]
    values = pd.DataFrame(np.ones((N, len(names)), "float32"), index=entities, columns=names)
    return addresses.Intel(NAMES, values, "", "2026-08-22")


def sample(first_seen: str = "") -> Sample:
    rows = pd.DataFrame({"entity": intel().values.index, "label": 0, "first_seen": first_seen})
    return Sample(np.full((N, 1), 7.0, "float32"), rows, ["ip_version"])


def columns(made: Sample, names: list[str]) -> np.ndarray:
    return made.x[:, [made.names.index(name) for name in names]]


def test_a_training_sample_forgets_at_random_and_a_held_out_one_does_not():
    held, made = intel().held_out(sample()), intel().training(sample())
    assert held.names == made.names == ["ip_version", *intel().names]
    assert (held.x[:, 1:] == 1.0).all() and (made.x[:, 0] == 7.0).all()
    bare = np.isnan(made.x[:, 1:]).all(axis=1)
    assert not bare[:N].any() and bare[N:].all() and abs(bare[N:].sum() / N - addresses.BARE) < 0.03
    own = columns(made, list(addresses.OWN))[:N]
    assert abs((own == 0.0).all(axis=1).mean() - addresses.OWN_MASKED) < 0.04
    assert set(np.unique(own)) == {0.0, 1.0}
    assert (columns(made, ["near_24"])[:N] == 1.0).all()
    again = intel().training(sample())
    assert np.array_equal(made.x, again.x, equal_nan=True)


def test_a_label_that_is_older_than_the_feeds_never_keeps_its_own_sightings():
    for first_seen, kept in [("<=2026-01-02", 0.0), ("2026-04-09", 0.0), ("<=2026-08-22", 1.0), ("", 1.0)]:
        held = intel().held_out(sample(first_seen))
        assert (columns(held, list(addresses.OWN)) == kept).all(), first_seen
        assert (columns(held, ["near_24"]) == 1.0).all()


def test_systems_are_counted_by_address_and_small_ones_are_left_out(tmp_path):
    spec = importlib.util.spec_from_file_location("build", addresses.EXAMPLE / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "ip_asn.csv").write_text("start,end,asn\n10.0.0.0,10.0.0.255,1\n10.0.1.0,10.0.1.255,2\n10.0.3.0,10.0.3.255,1\n")
    listed = [("a", f"10.0.0.{i}") for i in range(4)] + [("c2-tracker/x", "10.0.0.0"), ("a", "10.0.3.9")]
    others = [("a", "10.0.1.1"), ("a", "10.0.2.1"), ("a", "evil.example"), ("a", "9.9.9.9")]
    rows = [f"{feed},{entity},{'domain' if 'evil' in entity else 'ip'}\n" for feed, entity in listed + others]
    (tmp_path / "feed_sightings.csv").write_text("feed,entity,kind\n" + "".join(rows))
    assert module.systems(tmp_path) == "asn,listed,c2,per_million\n1,5,1,9765.625\n"
