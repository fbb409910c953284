"""The run report: Markdown with plots, in `work/report`; an excerpt of it is committed as docs/models.md.

ROC with a logarithmic false-positive axis, precision and recall at low false-positive rates, reliability, recall per
source and per family at the ensemble's thresholds, and drift of scores between sources.
"""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from sklearn.metrics import roc_curve  # noqa: E402

from . import calibration  # noqa: E402
from .ensemble import Fitted  # noqa: E402
from .sample import Sample  # noqa: E402
from .validate import Scored  # noqa: E402

LISTED_FAMILIES = 25
LEAST_FAMILY = 50
DRIFT_ROWS = 30_000


def fold_table(metrics: dict[str, dict[str, dict[str, float]]]) -> str:
    """Folds by members: AUC / recall at 1 % / recall at 0.1 %, and the mean and the worst."""
    members = list(metrics)
    columns = ("auc", "recall_at_fpr_1_percent", "recall_at_fpr_0_1_percent")
    folds = list(metrics[members[0]])
    lines = [f"| fold | {' | '.join(members)} |", f"|---|{'---|' * len(members)}"]
    cell = lambda values: " / ".join(f"{v:.3f}" for v in values)  # noqa: E731
    for fold in folds:
        lines.append(f"| `{fold}` | " + " | ".join(cell([metrics[m][fold][c] for c in columns]) for m in members) + " |")
    for name, of in (("mean", np.mean), ("worst", np.min)):
        cells = [cell([of([metrics[m][f][c] for f in folds]) for c in columns]) for m in members]
        lines.append(f"| *{name}* | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def stacking_table(choice: dict[str, Any]) -> str:
    """Methods by mean and worst fold."""
    lines = ["| method | mean AUC / 1 % / 0.1 % | worst | |", "|---|---|---|---|"]
    for method, folds in choice["methods"].items():
        frame = pd.DataFrame(folds).T[["auc", "recall_at_fpr_1_percent", "recall_at_fpr_0_1_percent"]]
        cells = [" / ".join(f"{v:.3f}" for v in row) for row in (frame.mean(), frame.min())]
        lines.append(f"| {method} | {cells[0]} | {cells[1]} | {'chosen' if method == choice['chosen'] else ''} |")
    return "\n".join(lines)


def recall_table(scored: list[Scored], fitted: Fitted, column: str, least: int, most: int) -> str:
    """Share of the rows of each value above the thresholds, held-out rows of every fold."""
    frames = [s.rows.assign(risk=fitted.risk(s)) for s in scored]
    rows = pd.concat(frames)
    if column == "family":
        rows = rows[rows["label"] == 1]
    told = rows.groupby(["label", column])["risk"].agg(
        rows="size",
        suspicious=lambda r: (r >= fitted.thresholds["suspicious"]).mean(),
        malicious=lambda r: (r >= fitted.thresholds["malicious"]).mean(),
        median="median",
    )
    told = told[told["rows"] >= least].sort_values("rows", ascending=False).head(most).reset_index()
    lines = [f"| {column} | label | rows | suspicious or worse | malicious | median risk |", "|---|---|--:|--:|--:|--:|"]
    for r in told.itertuples():
        label = "malicious" if r.label else "benign"
        name = getattr(r, column)
        lines.append(f"| {name} | {label} | {r.rows:,} | {r.suspicious:.3f} | {r.malicious:.3f} | {r.median:.1f} |")
    return "\n".join(lines)


def stability(first: np.ndarray, second: np.ndarray, bins: int = 10) -> float:
    """Population stability index of two samples of a feature; missing is a bin of its own."""
    known = first[~np.isnan(first)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])) if len(known) else np.array([])

    def shares(values: np.ndarray) -> np.ndarray:
        at = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="right"))
        counts = np.bincount(at, minlength=len(edges) + 2)
        return (counts + 0.5) / (counts.sum() + 0.5 * len(counts))

    a, b = shares(first), shares(second)
    return float(((a - b) * np.log(a / b)).sum())


def drift_table(sample: Sample, least: int = 200, most: int = 20) -> str:
    """The features that differ most between sources of one label: PSI of each source against the others."""
    found, sample = [], sample.take(np.arange(0, len(sample), 1 + len(sample) // DRIFT_ROWS))
    for label in (0, 1):
        of_label = sample.labels == label
        sources = sample.rows["source"].to_numpy()
        counts = pd.Series(sources[of_label]).value_counts()
        for source in counts[counts >= least].index if (counts >= least).sum() > 1 else []:
            one, others = of_label & (sources == source), of_label & (sources != source)
            for i, name in enumerate(sample.names):
                found.append((stability(sample.x[others, i], sample.x[one, i]), name, source, label))
    found.sort(reverse=True)
    lines = ["| feature | source | label | PSI |", "|---|---|---|--:|"]
    lines += [f"| `{n}` | {s} | {'malicious' if y else 'benign'} | {v:.2f} |" for v, n, s, y in found[:most]]
    return "\n".join(lines)


def _curves(folder: Path, kind: str, scored: list[Scored], fitted: Fitted) -> None:
    """ROC and precision-recall of every member and the ensemble, every fold counting the same."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4))
    scores = {m: [s.probabilities[m] for s in scored] for m in fitted.members}
    scores["ensemble"] = [fitted.risk(s) for s in scored]
    for name, parts in scores.items():
        labels, p, mass = calibration.equal_mass([(s.labels, v) for s, v in zip(scored, parts)])
        fpr, tpr, _ = roc_curve(labels, p, sample_weight=mass)
        share = fitted.base_rate
        precision = share * tpr / np.maximum(share * tpr + (1 - share) * fpr, 1e-12)
        style = {"lw": 2.2, "color": "black"} if name == "ensemble" else {"lw": 1.0}
        left.plot(np.maximum(fpr, 1e-5), tpr, label=name, **style)
        right.plot(tpr[tpr > 0], precision[tpr > 0], label=name, **style)
    left.set(xscale="log", xlim=(1e-4, 1), xlabel="false-positive rate", ylabel="recall", title=f"{kind}: ROC")
    right.set(xlabel="recall", ylabel="precision", title=f"{kind}: precision at a base rate of {fitted.base_rate:.2f}")
    left.legend(fontsize=8), left.grid(alpha=0.3), right.grid(alpha=0.3)
    figure.tight_layout(), figure.savefig(folder / f"{kind}-curves.png", dpi=90), plt.close(figure)


def _reliability(folder: Path, kind: str, scored: list[Scored], fitted: Fitted) -> None:
    figure, axes = plt.subplots(figsize=(4.8, 4.4))
    for s in [None, *scored]:
        pairs = [(t.labels, fitted.risk(t) / 100.0) for t in (scored if s is None else [s])]
        labels, p, mass = calibration.equal_mass(pairs)
        at = np.minimum((p * 15).astype(int), 14)
        total = np.bincount(at, mass, minlength=15)
        kept = total > 1e-3 * total.sum()
        x, y = (np.bincount(at, mass * v, minlength=15)[kept] / total[kept] for v in (p, labels))
        style = {"color": "black", "lw": 2} if s is None else {"lw": 0.8, "alpha": 0.8}
        axes.plot(x, y, marker="o", ms=3, label="all folds" if s is None else s.fold.name, **style)
    axes.plot([0, 1], [0, 1], ls=":", color="grey")
    axes.set(xlabel="said", ylabel="was malicious", title=f"{kind}: reliability"), axes.legend(fontsize=7)
    figure.tight_layout(), figure.savefig(folder / f"{kind}-reliability.png", dpi=90), plt.close(figure)


def write(
    folder: Path, scored: list[Scored], metrics: dict[str, Any], fitted: dict[str, Fitted], samples: dict[str, Sample]
) -> Path:
    """Writes `report.md` and its plots."""
    folder.mkdir(parents=True, exist_ok=True)
    text = ["# Report of the training run", "", "AUC / recall at 1 % / recall at 0.1 % false positives; held-out rows only."]
    for kind, f in fitted.items():
        of_kind = [s for s in scored if s.fold.kind == kind]
        _curves(folder, kind, of_kind, f), _reliability(folder, kind, of_kind, f)
        weights = ", ".join(f"{m} {w:g}" for m, w in zip(f.members, f.stack.weights))
        errors = "\n".join(f"| {m} | {e['all']:.4f} | {max(v for k, v in e.items() if k != 'all'):.4f} |"
                           for m, e in f.tables["calibration_error"].items())
        text += [
            f"\n## {kind}\n", fold_table(metrics[kind]), "\n### Stacking\n", stacking_table(f.tables["stacking"]),
            f"\nWeights: {weights}. Base rate {f.base_rate}.\n", f"![curves]({kind}-curves.png)\n",
            "### Calibration\n", "| member | expected calibration error, all folds | worst fold |\n|---|--:|--:|\n" + errors,
            f"\n![reliability]({kind}-reliability.png)\n", "### Per source\n",
            recall_table(of_kind, f, "source", 1, 40), "\n### Per family (largest)\n",
            recall_table(of_kind, f, "family", LEAST_FAMILY, LISTED_FAMILIES),
            "\n### Drift of features between sources (population stability index)\n", drift_table(samples[kind]),
        ]  # fmt: skip
    path = folder / "report.md"
    path.write_text("\n".join(text) + "\n")
    return path
