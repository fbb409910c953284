"""The member `characters`: a small network over the characters of a host name.

    model = names.fit(hosts, labels, seed)
    names.probability(model, hosts), names.margin(model, hosts), names.save(model, path)

It errs differently from the trees, which see counts, words and rates: that is what it is in the ensemble for.
Embedded characters, convolutions of several widths, each filter's greatest value, the suffix's vector, one hidden
layer. Trained by Adam with decoupled weight decay (JAX, on the processor), with dropout of filters and of the
suffix, so that neither one gram nor one top-level domain carries the judgement. What is returned is the
network in integers as production runs it: probabilities here are production's.

For domains only. It has no opinion of its own about base rates: both labels weigh the same in training.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .charnet import FORMAT, MAX_SYMBOLS, PAD, SYMBOLS, Network, encode, quantise

__all__ = ["FORMAT", "VERSION", "Settings", "fit", "load", "margin", "probability", "save"]

VERSION = "jax 0.10.2"
# Names of like length are trained on together: most are short.
LENGTHS = ((0, 16), (16, 24), (24, MAX_SYMBOLS))


@dataclass(frozen=True)
class Settings:
    """Sizes and regularisation; the defaults are what is published."""

    filters: dict[int, int] = field(default_factory=lambda: {3: 64, 5: 64, 7: 64})
    embedding: int = 16
    suffix: int = 8
    suffix_rows: int = 20
    hidden: int = 64
    epochs: int = 4
    batch: int = 256
    rate: float = 2e-3
    decay: float = 0.05
    drop: float = 0.2
    drop_suffix: float = 0.1
    smooth: float = 0.02


def margin(model: Network, hosts: list[str]) -> np.ndarray:
    """Log odds."""
    return model.margin(list(hosts))


def probability(model: Network, hosts: list[str]) -> np.ndarray:
    """Probability that a host is malicious, where half of all are."""
    return 1.0 / (1.0 + np.exp(-margin(model, hosts)))


def save(model: Network, path: Path) -> None:
    """Writes the file that is published."""
    model.save(path)


def load(path: Path) -> Network:
    """Reads it again."""
    return Network.parse(path.read_bytes())


def fit(hosts: list[str], labels: np.ndarray, seed: int, settings: Settings | None = None) -> Network:
    """Trains on hosts and their labels (1: malicious); the same arguments give the same network."""
    import jax

    settings, labels = settings or Settings(), np.asarray(labels, "float32")
    symbols, suffixes = encode(list(hosts))
    known = sorted(s for s, n in Counter(suffixes).items() if n >= settings.suffix_rows and 0 < len(s.encode()) <= 64)
    row = {suffix: i + 1 for i, suffix in enumerate(known)}
    rows = np.array([row.get(suffix, 0) for suffix in suffixes], np.int32)
    malicious = labels == 1
    weights = np.where(malicious, 0.5 / malicious.mean(), 0.5 / (~malicious).mean()).astype("float32")
    random = np.random.default_rng(seed)
    weights_of = jax.tree.map(np.asarray, _train(_start(settings, len(known), random), symbols, rows, labels, weights, settings, random))
    network = _network(weights_of, known, settings)
    network.settle(list(hosts))
    return network


def _start(s: Settings, suffixes: int, random: np.random.Generator) -> dict:
    """Weights before training."""

    def normal(*shape: int, deviation: float) -> np.ndarray:
        return (random.standard_normal(shape) * deviation).astype("float32")

    inputs = sum(s.filters.values()) + s.suffix
    return {
        "symbols": normal(len(SYMBOLS), s.embedding, deviation=0.5),
        "filters": {
            str(w): normal(w * s.embedding, n, deviation=(2 / (w * s.embedding)) ** 0.5) for w, n in s.filters.items()
        },
        "filter_bias": {str(w): np.zeros(n, "float32") for w, n in s.filters.items()},
        "suffixes": normal(suffixes + 1, s.suffix, deviation=0.01),
        "hidden": normal(inputs, s.hidden, deviation=(2 / inputs) ** 0.5),
        "hidden_bias": np.zeros(s.hidden, "float32"),
        "output": normal(s.hidden, deviation=0.1),
        "output_bias": np.zeros((), "float32"),
    }  # fmt: skip


def _forward(p: dict, x, suffix, s: Settings, key=None):
    """Margins of a batch; with a key, filters and suffixes are dropped at random."""
    import jax
    import jax.numpy as jnp

    there = x != PAD
    embedded = p["symbols"][jnp.minimum(x, PAD - 1)] * there[..., None]
    pools = []
    for w in s.filters:
        padded = jnp.pad(embedded, ((0, 0), (0, w - 1), (0, 0)))
        windows = jnp.concatenate([padded[:, i : x.shape[1] + i] for i in range(w)], axis=-1)
        values = windows @ p["filters"][str(w)] + p["filter_bias"][str(w)]
        pools.append(jax.nn.relu(jnp.where(there[..., None], values, -1e9).max(1)))
    h = jnp.concatenate(pools, axis=-1)
    if key is not None:
        of_filters, of_suffix = jax.random.split(key)
        h = h * jax.random.bernoulli(of_filters, 1 - s.drop, h.shape) / (1 - s.drop)
        suffix = jnp.where(jax.random.bernoulli(of_suffix, s.drop_suffix, suffix.shape), 0, suffix)
    h = jnp.concatenate([h, p["suffixes"][suffix]], axis=-1)
    return jax.nn.relu(h @ p["hidden"] + p["hidden_bias"]) @ p["output"] + p["output_bias"]


def _train(p: dict, symbols, rows, labels, weights, s: Settings, random: np.random.Generator) -> dict:
    """Adam with decoupled weight decay; the rate rises over 200 steps and falls along a cosine."""
    import jax
    import jax.numpy as jnp

    def loss(p, x, suffix, y, w, key):
        z = _forward(p, x, suffix, s, key)
        return (w * (jnp.logaddexp(0, z) - (y * (1 - 2 * s.smooth) + s.smooth) * z)).mean()

    @jax.jit
    def step(p, m, v, t, rate, x, suffix, y, w, key):
        g = jax.grad(loss)(p, x, suffix, y, w, key)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.98 * v + 0.02 * g * g, v, g)
        slow, fast = 1 - 0.98**t, 1 - 0.9**t
        move = lambda p, m, v: p - rate * (m / fast / (jnp.sqrt(v / slow) + 1e-6) + s.decay * p)  # noqa: E731
        return jax.tree.map(move, p, m, v), m, v

    p = jax.tree.map(jnp.asarray, p)
    m = v = jax.tree.map(jnp.zeros_like, p)
    key = jax.random.PRNGKey(int(random.integers(2**31)))
    lengths = (symbols != PAD).sum(1)
    batches = [b for epoch in range(s.epochs) for b in _epoch(lengths, s.batch, random)]
    for t, (length, batch) in enumerate(batches, 1):
        key, now = jax.random.split(key)
        rate = s.rate * min(1.0, t / 200) * max(0.02, 0.5 * (1 + np.cos(np.pi * t / len(batches))))
        x = symbols[batch, :length].astype("int32")
        p, m, v = step(p, m, v, float(t), rate, x, rows[batch], labels[batch], weights[batch], now)
    return p


def _epoch(lengths: np.ndarray, size: int, random: np.random.Generator) -> list[tuple[int, np.ndarray]]:
    """Batches of one size each, in random order; a length's last rows are made up with others of that length."""
    batches = []
    for above, to in LENGTHS:
        rows = random.permutation(np.flatnonzero((lengths > above) & (lengths <= to)))
        if len(rows):
            rows = np.resize(rows, -(-len(rows) // size) * size)
            batches += [(to, batch) for batch in rows.reshape(-1, size)]
    return [batches[i] for i in random.permutation(len(batches))]


def _network(p: dict, suffixes: list[str], s: Settings) -> Network:
    """A filter over embedded characters is a table over characters."""
    tables = []
    for w, n in s.filters.items():
        filters = p["filters"][str(w)].reshape(w, s.embedding, n)
        tables.append(np.einsum("ce,wen->wcn", p["symbols"], filters).astype("float64"))
    return quantise(
        tables, [p["filter_bias"][str(w)] for w in s.filters], p["suffixes"], suffixes,
        p["hidden"].astype("float64"), p["hidden_bias"].astype("float64"), p["output"], float(p["output_bias"]),
    )  # fmt: skip
