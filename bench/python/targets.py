"""What the engines must reach against their peers, and whether a run's results do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """`ours` must be at least `reach` times as fast as the fastest of `peers`; `aim` is to be hoped for."""

    model: str
    peers: tuple[str, ...]
    rows: int
    cache: str
    reach: float
    aim: float
    # "avx2": what a processor without AVX-512 does; "avx512": only where it is; "auto": the crate's own choice.
    ours: str = "avx2"


HESSBOOST = ("hessboost rows", "hessboost batch")
LIGHTGBM = ("lightgbm c SingleRowFast", "lightgbm c batch")
ANY = ("*",)

TARGETS = (
    Target("xgboost", HESSBOOST, 1, "warm", 3, 4),
    Target("xgboost", HESSBOOST, 10_000, "warm", 3, 4),
    Target("xgboost", HESSBOOST, 1, "evicted", 4.5, 6),
    Target("xgboost", ("xgboost c",), 1, "warm", 60, 80),
    Target("xgboost", ("xgboost c",), 10_000, "warm", 20, 28),
    Target("xgboost", ("xgboost c",), 1, "evicted", 30, 40),
    Target("xgboost", ("xgboost python",), 1, "warm", 75, 100),
    Target("xgboost", ("xgboost python",), 10_000, "warm", 20, 28),
    Target("xgboost", ("onnxruntime",), 1, "warm", 35, 45),
    Target("xgboost", ("onnxruntime",), 10_000, "warm", 25, 40),
    Target("lightgbm", HESSBOOST, 1, "warm", 6, 8),
    Target("lightgbm", HESSBOOST, 10_000, "warm", 4.5, 6),
    Target("lightgbm", HESSBOOST, 1, "evicted", 6, 8),
    Target("lightgbm", ("onnxruntime",), 1, "warm", 14, 18),
    Target("lightgbm", ("onnxruntime",), 10_000, "warm", 14, 22),
    Target("lightgbm", LIGHTGBM, 1, "warm", 11, 15),
    Target("lightgbm", LIGHTGBM, 10_000, "warm", 30, 45),
    Target("lightgbm", LIGHTGBM, 1, "evicted", 12, 16),
    Target("catboost", ("catboost python",), 1, "warm", 80, 80),
    Target("catboost", ("catboost python",), 10_000, "warm", 3, 3),
    Target("xgboost", HESSBOOST, 1, "warm", 2.5, 2.5, "avx512"),
    Target("xgboost", HESSBOOST, 10_000, "warm", 1.5, 1.5, "avx512"),
    *(Target("small", ANY, rows, "warm", 1, 1) for rows in (1, 10, 100, 10_000)),
    Target("small", ANY, 1, "evicted", 1, 1),
    *(Target("small", ANY, rows, "warm", 1, 1, "auto") for rows in (1, 10, 100, 10_000)),
    Target("small", ANY, 1, "evicted", 1, 1, "auto"),
)
# Contributions of one row, and loading: (model, ours, peer, at least).
CONTRIBUTIONS = (("xgboost", "tribunal contributions", "xgboost pred_contribs", 5.0),)
LOADS = (("xgboost", "tribunal, compiled, load only", "xgboost c, load only", 10.0),)


@dataclass(frozen=True)
class Outcome:
    """A target beside what was measured; `ratio` is `None` where the run lacks a side."""

    model: str
    peer: str
    size: str
    ours: str
    target: str
    ratio: float | None
    met: str


def size(rows: int, cache: str) -> str:
    """As in the tables."""
    return f"{rows:,} row{'s' if rows > 1 else ''}{', evicted' if cache == 'evicted' else ''}"


def verdict(ratio: float | None, reach: float, aim: float) -> str:
    if ratio is None:
        return "not measured"
    return "both" if aim > reach and ratio >= aim else "yes" if ratio >= reach else "no"


def outcomes(results: dict[str, Any]) -> list[Outcome]:
    """Every target of this processor."""
    times = {(row["model"], row["engine"], row["rows"], row["cache"]): row["cpu_us_per_row"] for row in results["rows"]}
    has_avx512 = any(engine == "tribunal avx512" for _, engine, _, _ in times)
    # Without AVX-512 the crate's own choice is what such a processor does: the first kind of target says it all.
    asked = [target for target in TARGETS if has_avx512 or target.ours == "avx2"]
    found = [_outcome(target, times, has_avx512) for target in asked]
    for key, entries in (("contributions", CONTRIBUTIONS), ("loads", LOADS)):
        table = {(row["model"], row["engine"]): row["cpu_ms"] for row in results[key]}
        for model, ours, peer, reach in entries:
            mine, theirs = table.get((model, ours)), table.get((model, peer))
            ratio = theirs / mine if mine and theirs else None
            what = "SHAP, 1 row" if key == "contributions" else "cold load"
            found.append(Outcome(model, peer, what, ours, f"{reach:g}x", ratio, verdict(ratio, reach, reach)))
    return found


def _outcome(target: Target, times: dict[tuple[str, str, int, str], float], has_avx512: bool) -> Outcome:
    names = {"avx2": "tribunal avx2" if has_avx512 else "tribunal auto", "avx512": "tribunal avx512"}
    ours = names.get(target.ours, "tribunal auto")
    at = (target.rows, target.cache)
    mine = times.get((target.model, ours, *at))
    theirs = {
        engine: time
        for (model, engine, *size_), time in times.items()
        if model == target.model and tuple(size_) == at and not engine.startswith("tribunal")
        and (target.peers == ANY or engine in target.peers)
    }
    peer = min(theirs, key=theirs.__getitem__, default="/".join(target.peers))
    ratio = theirs[peer] / mine if mine and theirs else None
    text = f"{target.reach:g}x" if target.reach == target.aim else f"{target.reach:g}x / {target.aim:g}x"
    met = verdict(ratio, target.reach, target.aim)
    return Outcome(target.model, peer, size(*at), ours, text, ratio, met)
