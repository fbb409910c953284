"""Write docs/performance.md and its plots from bench/results/forest.json, and print the targets.

    python bench/python/report.py [--check | --targets RESULTS.json]

`--check` writes nothing and fails when a file differs from what the results say; `--targets` prints what other results
say of the targets. Needs no package.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import plot
import targets

ROOT = Path(__file__).resolve().parents[2]
SIZES = ((1, "warm"), (10, "warm"), (100, "warm"), (10_000, "warm"), (1, "evicted"))
PLOTTED = ((1, "warm"), (10_000, "warm"), (1, "evicted"))
TITLES = {
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
    "random-forest": "scikit-learn random forest",
    "small": "Small XGBoost model",
}

Times = dict[tuple[int, str], float]


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--targets"]:
        print_targets(json.loads(Path(arguments[1]).read_text()))
        return 0
    results = json.loads((ROOT / "bench/results/forest.json").read_text())
    files = {ROOT / "docs/performance.md": document(results)}
    for model in results["models"]:
        files[image_path(model["name"])] = image(results, model)
    if "--check" in arguments:
        stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
        for path in stale:
            print(f"differs from the results: {path.relative_to(ROOT)}", file=sys.stderr)
        return 1 if stale else 0
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"    wrote {path.relative_to(ROOT)}")
    print_targets(results)
    return 0


def print_targets(results: dict[str, Any]) -> None:
    print()
    for outcome in targets.outcomes(results):
        ratio = "-" if outcome.ratio is None else f"{outcome.ratio:.2f}x"
        print(
            f"  {outcome.model:14} {outcome.size:16} {outcome.ours:30} over {outcome.peer:26} "
            f"{ratio:>9}  target {outcome.target:12} {outcome.met}"
        )


def image_path(model: str) -> Path:
    return ROOT / f"docs/images/forest-{model}.svg"


def describe(model: dict[str, Any]) -> str:
    return f"{model['trees']:,} trees, {model['nodes']:,} nodes, {model['features']} features"


def by_engine(results: dict[str, Any], model: str, key: str = "rows") -> dict[str, Times]:
    """Microseconds per row of each engine, by size; in the order of the results."""
    table: dict[str, Times] = {}
    for row in results[key]:
        if row["model"] == model:
            table.setdefault(row["engine"], {})[row["rows"], row["cache"]] = row["cpu_us_per_row"]
    return table


def image(results: dict[str, Any], model: dict[str, Any]) -> str:
    table = by_engine(results, model["name"])
    shown = [name for name in table if name not in ("tribunal portable", "tribunal reference", "tribunal neon")]
    if "tribunal avx512" not in shown:
        shown = [name for name in shown if name != "tribunal avx2"]
    # The crate's own choice is the best of them already.
    shown = [name for name in shown if name != "tribunal avx512"]
    panels = []
    for at in PLOTTED:
        times = {name: table[name][at] for name in shown if at in table[name]}
        if times:
            panels.append((targets.size(*at), times))
    title = f"{TITLES[model['name']]}, {describe(model)}: CPU microseconds per row"
    labels = {"tribunal avx2": "tribunal, AVX-512 off", "tribunal auto": "tribunal"}
    renamed = [(heading, {labels.get(k, k): v for k, v in times.items()}) for heading, times in panels]
    return plot.bars(title, [labels.get(name, name) for name in shown], renamed)


def document(results: dict[str, Any]) -> str:
    parts = [head(results), target_table(results)]
    parts += [section(results, model) for model in results["models"]]
    parts += [
        tasks(
            results, "contributions", "Contributions",
            "Exact TreeSHAP values of all features for one row, CPU milliseconds, median [minimum].",
        ),
        tasks(
            results, "loads", "Loading",
            "From the file, which is in the kernel's cache, to the answer for the first row (\"load only\": to a model that\n"
            "could answer), CPU milliseconds, median [minimum].",
        ),
    ]
    return "\n".join(parts)


def head(results: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(results["versions"].items()))
    return f"""# Performance of tree inference

Made by `make bench-forest` from `bench/results/forest.json`; do not edit. How it is measured, and how to measure a part
of it: [bench/README.md](../bench/README.md).

- Processor: {results["processor"]}
- Date: {results["date"]}
- Versions: {versions}

One thread on one processor, CPU time, all engines in one run, engine after engine; a figure is the median over the
rounds, microseconds per row. Every timed answer was held against the trainer's own. *Evicted*: {results["swept_mib"]} MiB of
other memory are read before each row, so that the model is in no cache, as in a function that was just called.
"""


def target_table(results: dict[str, Any]) -> str:
    lines = [
        "## Against the peers",
        "",
        "How many times as fast as the peer's fastest call. Target: the figure to reach, and the one to aim at; met:",
        "`yes` is the first, `both` is both. Targets are for processors without AVX-512: where there is one, `tribunal "
        "avx2`",
        "stands in, and lines of `tribunal avx512` and `tribunal auto` come on top. `small` must not lose to any peer.",
        "",
        "| model | size | ours | peer | ratio | target | met |",
        "|---|---|---|---|--:|--:|---|",
    ]
    for o in targets.outcomes(results):
        ratio = "-" if o.ratio is None else f"{o.ratio:.2f}x"
        lines.append(f"| {o.model} | {o.size} | {o.ours} | {o.peer} | {ratio} | {o.target} | {o.met} |")
    return "\n".join([*lines, ""])


def section(results: dict[str, Any], model: dict[str, Any]) -> str:
    name = model["name"]
    medians, minima = by_engine(results, name), by_engine(results, name, "minimum")
    answers: dict[str, list[Any]] = {}
    for row in results["rows"]:
        if row["model"] == name:
            answers.setdefault(row["engine"], []).append(row["answer"])
    lines = [
        f"## {TITLES[name]}",
        "",
        f"{describe(model)}; trained by {model['trainer']}. Median [minimum].",
        "",
        f"![CPU time per row, logarithmic scale](images/{image_path(name).name})",
        "",
        "| engine | " + " | ".join(targets.size(*at) for at in SIZES) + " | same answer |",
        "|---|" + "--:|" * len(SIZES) + "---|",
    ]
    for engine, times in medians.items():
        cells = [
            f"{plot.number_text(times[at])} [{plot.number_text(minima[engine][at])}]" if at in times else "-"
            for at in SIZES
        ]
        worst = max((answer for answer in answers[engine] if answer != "exact"), default=0)
        lines.append(f"| {engine} | " + " | ".join(cells) + f" | {f'{worst:,} ulp' if worst else 'bit for bit'} |")
    return "\n".join([*lines, ""])


def tasks(results: dict[str, Any], key: str, title: str, text: str) -> str:
    lines = [f"## {title}", "", text, "", "| model | engine | ms |", "|---|---|--:|"]
    for row in results[key]:
        figures = f"{plot.number_text(row['cpu_ms'])} [{plot.number_text(row['cpu_ms_minimum'])}]"
        lines.append(f"| {row['model']} | {row['engine']} | {figures} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
