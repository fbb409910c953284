"""The network over characters: its text, its integers, its file."""

import random

import numpy as np
import pytest

from tribunal_training import charnet
from tribunal_training.charnet import made_up_hosts


def made_up_network(seed: int = 1) -> charnet.Network:
    """A small network of random weights."""
    rng = np.random.default_rng(seed)
    widths = {2: 3, 4: 5, 7: 2}
    tables = [rng.normal(0, 0.6, (w, len(charnet.SYMBOLS), n)) for w, n in widths.items()]
    biases = [rng.normal(0, 0.2, n) for n in widths.values()]
    inputs, units = sum(widths.values()) + 2, 6
    suffixes = sorted(["com", "co.uk", "net", "zz"])
    network = charnet.quantise(
        tables, biases, rng.normal(0, 0.5, (len(suffixes) + 1, 2)), suffixes,
        rng.normal(0, 0.4, (inputs, units)), rng.normal(0, 0.1, units), rng.normal(0, 0.5, units), -0.3,
    )  # fmt: skip
    network.settle(made_up_hosts(200))
    return network


def slow_margin(network: charnet.Network, host: str) -> float:
    """The same, number by number, in integers without a limit."""
    body, suffix = charnet.text(host)
    symbols = [charnet.SYMBOLS.index(c) if c in charnet.SYMBOLS[2:] else len(charnet.SYMBOLS) - 1 for c in body]
    symbols = [0, *symbols, 1][-charnet.MAX_SYMBOLS :]
    inputs = []
    for bias, table in network.convolutions:
        for f in range(len(bias)):
            values = [
                int(bias[f]) + sum(int(table[k, s, f]) for k, s in enumerate(symbols[i : i + len(table)]))
                for i in range(len(symbols))
            ]
            assert max(map(abs, values)) <= 32_767
            inputs.append(max(0, *values))
    row = network.suffixes.index(suffix) + 1 if suffix in network.suffixes else 0
    inputs += map(int, network.vectors[row])
    output = network.output_bias
    for unit, bias in enumerate(network.hidden_bias):
        total = int(bias) + sum(int(w) * x for w, x in zip(network.hidden[unit], inputs, strict=True))
        assert abs(total) < 2**31
        output += max(0, total) * int(network.output[unit])
    return output * 2.0**-network.shift


def test_integers_give_the_same_margin_in_any_order():
    network, hosts = made_up_network(), made_up_hosts(300)
    fast = network.margin(hosts)
    assert fast.tolist() == [slow_margin(network, host) for host in hosts]
    assert len(set(fast.tolist())) > 250


def test_a_file_is_read_back_as_it_was():
    network, hosts = made_up_network(), made_up_hosts(50)
    again = charnet.Network.parse(network.to_bytes())
    assert again.to_bytes() == network.to_bytes()
    assert again.margin(hosts).tolist() == network.margin(hosts).tolist()


@pytest.mark.parametrize(
    ("host", "body", "suffix"),
    [
        ("example.com", "example", "com"), ("www.example.co.uk", "example", "co.uk"), ("co.uk", "co", "uk"),
        ("a.b.com.br", "a.b", "com.br"), ("a.co.com", "a.co", "com"), ("com", "", "com"),
    ],
)  # fmt: skip
def test_text(host, body, suffix):
    assert charnet.text(host) == (body, suffix)


def test_a_sum_that_could_overflow_is_scaled_down():
    large = [np.full((4, len(charnet.SYMBOLS), 1), 30.0)]
    args = (np.ones((1, 1)), [], np.full((2, 1), 50.0), np.zeros(1), np.ones(1), 0.0)
    network = charnet.quantise(large, [np.full(1, 5.0)], *args)
    (bias, table), *_ = network.convolutions
    assert 16_000 < 4 * int(table.max()) + int(bias[0]) <= 32_767
    assert network.margin(["aaaa.com"])[0] == pytest.approx(50 * 125 + 50, rel=1e-3)


def test_weights_that_diverged_are_refused():
    with pytest.raises(ValueError, match="diverged"):
        one = np.ones((1, 1))
        charnet.quantise([np.full((2, 42, 1), 1e5)], [np.zeros(1)], one, [], np.ones((2, 1)), np.zeros(1), np.ones(1), 0.0)


def test_training_learns_what_it_is_shown_and_repeats_itself():
    pytest.importorskip("jax")
    from tribunal_training import names

    rng = random.Random(3)
    word = lambda letters: "".join(rng.choice(letters) for _ in range(8))  # noqa: E731
    hosts = [f"{word('aeiorstnl')}.com" for _ in range(300)] + [f"{word('qxzjkv0123')}.com" for _ in range(300)]
    labels = np.repeat([0, 1], 300)
    settings = names.Settings(filters={2: 4, 3: 4}, hidden=8, epochs=40, batch=64, rate=0.01, suffix_rows=1)
    model = names.fit(hosts, labels, 1, settings)
    p = names.probability(model, hosts)
    assert p[labels == 1].min() > 0.5 > p[labels == 0].max()
    assert model.to_bytes() == names.fit(hosts, labels, 1, settings).to_bytes()
