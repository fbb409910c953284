"""What every family of goldens shares: rows, training data, and the files of a case.

Rows are not stored. `rows` makes them from an integer hash that crates/forest/tests/golden.rs computes
likewise: about 11 % missing, zeros of both signs, subnormal numbers, infinities where the trainer takes them,
integers from -4, and values at, just above and just below the model's own thresholds (`pool.bin`).

Per case, in tests/golden/<case>:
    case.json          format, files, number of rows, and how to read the rest
    model.*            the model, in each format that the trainer writes
    pool.bin           f32, n_features x POOL: thresholds of each feature
    margins.bin        rows x n_outputs: f32 (XGBoost) or f64 (all others); only the first MARGIN_ROWS
                       where case.json has a digest of all of them
    probabilities.bin  the first rows' probabilities, same type: of class 1, or of each class
    responses.bin      the first rows' predictions in the space of the response, same type
    leaves.bin         u16, the first rows' leaf in each tree, as the trainer numbers leaves
    contributions.bin  f64, the first rows' contributions and expected value of each output,
                       n_outputs x (n_features + 1) a row
All binary files are little-endian.

case.json has `trainer`, `models` (format to file or files), `rows`, `type`, `seed` and `infinities`, and,
where they are not the default, `n_features` (20), `n_outputs` (1), `tolerance` (of contributions), `ulps`
(units in the last place by which margins may differ: 0), `response_ulps` (the same for probabilities and
responses: 1), and `margins_digest` (`digest` of all margins).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
N_FEATURES = 20
POOL = 16
TRAIN_ROWS = 3000
CONTRIBUTION_ROWS = 40
CONTRIBUTION_VALUES = 4_000
PROBABILITY_ROWS = 500
LEAF_ROWS = 100
MAIN_ROWS = 10_000
# Of cases that repeat another's model, or whose margins are not held bit for bit.
VARIANT_ROWS = 2_000
MARGIN_ROWS = 2_000
CATEGORICAL = [3, 11]
NAMES = [f"feature_{i:02}" for i in range(N_FEATURES)]


def splitmix64(seed: int, count: int) -> np.ndarray:
    """The first `count` outputs of SplitMix64 seeded with `seed`."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def rows(
    seed: int, n: int, pool: np.ndarray | None, infinities: bool, n_features: int = N_FEATURES
) -> np.ndarray:
    """`n` rows of `n_features` values. The highest byte of the hash chooses what the others become."""
    h = splitmix64(seed, n * n_features)
    choice, low = h >> np.uint64(56), h >> np.uint64(8)
    x = (low & np.uint64(0xFFFFFF)).astype(np.float32) * np.float32(2.0**-21) - np.float32(4.0)
    integer = (low % np.uint64(64)).astype(np.float32) - np.float32(4.0)
    x = np.where(choice < 112, integer, x)
    if pool is not None:
        feature = np.arange(n * n_features) % n_features
        at = pool[feature, (low % np.uint64(POOL)).astype(np.int64)]
        step = (low >> np.uint64(32)) % np.uint64(4)
        at = np.where(step == 1, np.nextafter(at, np.float32(np.inf)), at)
        at = np.where(step == 2, np.nextafter(at, np.float32(-np.inf)), at)
        x = np.where(choice < 92, at, x)
    if infinities:
        x = np.where(choice < 52, np.where(low % np.uint64(2) == 0, np.inf, -np.inf).astype(np.float32), x)
    subnormal = (low.astype(np.uint32) & np.uint32(0x807FFFFF)).view(np.float32)
    x = np.where(choice < 48, subnormal, x)
    x = np.where(choice < 44, np.float32(-0.0), x)
    x = np.where(choice < 40, np.float32(0.0), x)
    x = np.where(choice < 28, np.float32(np.nan), x)
    return x.reshape(n, n_features).astype(np.float32)


def signal_and_noise() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values with missing ones and categories that matter, what they mean, and noise on it."""
    x = rows(11, TRAIN_ROWS, None, infinities=False)
    for column in CATEGORICAL:
        x[:, column] = (splitmix64(100 + column, TRAIN_ROWS) % np.uint64(60)).astype(np.float32)
        x[::13, column] = np.nan
    filled = np.nan_to_num(x).clip(-8, 64)
    signal = (
        filled[:, 0]
        - 0.5 * filled[:, 1] * (filled[:, 2] > 0)
        + 2.0 * np.isnan(x[:, 4])
        + 1.5 * (filled[:, 5] == 0)
        + (filled[:, 3].astype(int) % 3 - 1)
        + 0.8 * (filled[:, 11].astype(int) % 2)
        + 0.3 * filled[:, 6:12].sum(axis=1) / 8
    )
    noise = splitmix64(12, TRAIN_ROWS).astype(np.float64) / 2.0**64 * 8 - 4
    return x, signal, noise


def training_data() -> tuple[np.ndarray, np.ndarray]:
    """Values and two classes."""
    x, signal, noise = signal_and_noise()
    return x, (signal + noise > np.median(signal)).astype(np.int32)


def training_classes(n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and `n_classes` classes of about equal size."""
    x, signal, noise = signal_and_noise()
    rank = np.argsort(np.argsort(signal + noise, kind="stable"), kind="stable")
    return x, (rank * n_classes // len(rank)).astype(np.int32)


def training_target() -> tuple[np.ndarray, np.ndarray]:
    """Values and a positive real target, roughly between 0 and 5."""
    x, signal, noise = signal_and_noise()
    return x, np.exp(np.tanh((signal + noise) / 16.0) * 1.5).round(6)


def pool_of(thresholds: list[list[float]]) -> np.ndarray:
    """POOL thresholds of each feature, evenly taken from those that the model has; 0.5 where it has none."""
    pool = np.full((len(thresholds), POOL), 0.5, dtype=np.float32)
    for feature, values in enumerate(thresholds):
        finite = np.unique(np.array([v for v in values if abs(v) < 1e38], dtype=np.float32))
        if len(finite):
            pool[feature] = finite[np.linspace(0, len(finite) - 1, POOL).astype(int)]
    return pool


def digest(values: np.ndarray) -> str:
    """64 bits over the bit patterns of `values`, in order: each word is xor-ed in, then multiplied."""
    word = np.uint32 if values.dtype.itemsize == 4 else np.uint64
    state = 0xCBF29CE484222325
    for bits in np.ascontiguousarray(values).view(word).ravel().tolist():
        state = ((state ^ bits) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{state:016x}"


def folder_of(name: str) -> Path:
    """The empty folder of a case, below tests/golden or where `make_goldens.py --out` says."""
    folder = Path(os.environ.get("GOLDEN_OUT", REPOSITORY / "tests" / "golden")) / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    return folder


def write(
    folder: Path, files: dict, trainer: str, dtype: str, pool: np.ndarray, answers: dict, **more
) -> None:
    """The files of a case beside its models. `answers` has `margins` and any of the other answers."""
    margins = np.ascontiguousarray(answers["margins"], dtype=f"<{dtype}")
    n = len(margins)
    pool.astype("<f4").tofile(folder / "pool.bin")
    if n > MARGIN_ROWS and not more.get("ulps"):
        more["margins_digest"] = digest(margins)
        margins = margins[:MARGIN_ROWS]
    margins.tofile(folder / "margins.bin")
    for answer in ["probabilities", "responses"]:
        if answer in answers:
            answers[answer][:PROBABILITY_ROWS].astype(f"<{dtype}").tofile(folder / f"{answer}.bin")
    if "leaves" in answers:
        leaves = np.asarray(answers["leaves"])[:LEAF_ROWS]
        if leaves.min() < 0 or leaves.max() > 0xFFFF:
            raise ValueError(f"{folder.name}: a leaf's number is not below 65536")
        leaves.astype("<u2").tofile(folder / "leaves.bin")
    if "contributions" in answers:
        contributions = np.asarray(answers["contributions"])
        contributions = contributions[: CONTRIBUTION_VALUES * len(contributions) // contributions.size]
        contributions.astype("<f8").tofile(folder / "contributions.bin")
    if pool.shape[0] != N_FEATURES:
        more["n_features"] = pool.shape[0]
    if margins.ndim > 1 and margins.shape[1] > 1:
        more["n_outputs"] = margins.shape[1]
    case = {"trainer": trainer, "models": files, "rows": n, "type": dtype, **more}
    (folder / "case.json").write_text(json.dumps(case, indent=2) + "\n")
    print(f"{folder.name}: {sum(f.stat().st_size for f in folder.iterdir()) // 1024} KiB")
