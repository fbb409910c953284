"""Holds the Rust engine to the trainers, on many rows: the shipped models, loaded by both, on the same features.

    python check_models.py --tribunal ../target/release/tribunal [--models ../models] [--rows 10000]
        [--dataset work/ranges.bin]

Entities are made here (words, letters, subdomains, addresses), so that no data is needed. Each predictor's
probability in `tribunal score --local --json` must be the trainer's within 1e-6 (it is stored as a 32-bit number; goldens
hold margins to the bit). The forest is evaluated from its file with numpy: its trainer's own object is not shipped.
Probabilities are compared after calibration, which is computed here by `tribunal_training.calibration`.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tribunal_training import calibration

TOLERANCE = 1e-6
_SYLLABLES = "ba be bi bo da de do fa fi ga go ka ke la le li lo ma me mi mo na ne no pa po ra re ri ro sa se si so ta te to".split()
_TLDS = "com net org info xyz top de fr pl co.uk ru online shop github.io ddns.net".split()


def entities(count: int, seed: int = 7) -> list[str]:
    """Names and public-looking addresses of many forms."""
    rng = random.Random(seed)
    made: dict[str, None] = {}
    while len(made) < count:
        kind = rng.random()
        if kind < 0.25:
            name = f"{rng.randint(1, 223)}.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"
        elif kind < 0.5:
            name = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(rng.randint(4, 28)))
        else:
            name = rng.choice(["", "", "secure-", "login-", "my"]) + "".join(rng.choices(_SYLLABLES, k=rng.randint(2, 6)))
        if kind >= 0.25:
            sub = rng.choice(["", "", "", "www.", "api.", "mail.eu-1.", f"{rng.randint(1, 99)}-{rng.randint(1, 99)}."])
            name = f"{sub}{name}.{rng.choice(_TLDS)}"
        made[name] = None
    return list(made)


def forest_probability(path: Path, x: np.ndarray) -> np.ndarray:
    """Mean over the trees, in their order, in f64, as `crates/forest/FORMAT.md` says."""
    total = np.zeros(len(x))
    trees = json.loads(path.read_text())["trees"]
    for tree in trees:
        left, right = np.array(tree["children_left"]), np.array(tree["children_right"])
        threshold = np.array([np.inf if t is None else t for t in tree["threshold"]])
        feature, missing = np.array(tree["feature"]), np.array(tree["missing_go_to_left"], dtype=bool)
        node = np.zeros(len(x), dtype=int)
        while (walking := left[node] >= 0).any():
            at, rows = node[walking], np.flatnonzero(walking)
            value = x[rows, feature[at]].astype("float64")
            goes_left = np.where(np.isnan(value), missing[at], value <= threshold[at])
            node[walking] = np.where(goes_left, left[at], right[at])
        total += np.array(tree["value"])[node]
    return total / len(trees)


def trainer_probability(format_: str, path: Path, x: np.ndarray) -> np.ndarray:
    """What the trainer's own library says."""
    if format_ == "xgboost-ubj":
        import xgboost

        model = xgboost.Booster(model_file=path)
        return model.predict(xgboost.DMatrix(x, feature_names=model.feature_names))
    if format_ == "lightgbm-text":
        import lightgbm

        return lightgbm.Booster(model_file=path).predict(x)
    if format_ == "catboost-cbm":
        import catboost

        return catboost.CatBoost().load_model(str(path)).predict(x, prediction_type="Probability")[:, 1]
    if format_ == "tribunal-forest-json":
        return forest_probability(path, x)
    raise ValueError(f"{format_} is not known here")


# Of a compiled part, the trainer's own file is kept where it was trained.
_OWN = {"catboost": ("catboost-cbm", "cbm")}


def expected(manifest: dict[str, Any], part: dict[str, Any], folder: Path, own: Path, rows: pd.DataFrame) -> np.ndarray | None:
    """The trainer's calibrated probabilities; None where its file is not here."""
    name, kind = manifest["name"], part["kinds"][0]
    if part["format"] == "tribunal-compiled":
        format_, suffix = _OWN[name]
        path = own / name / manifest["version"] / f"{kind}.{suffix}"
        if not path.exists():
            return None
        p = trainer_probability(format_, path, rows[part["features"]].to_numpy(dtype="float32"))
    elif not part["features"]:
        from tribunal_training import names

        p = names.probability(names.load(folder / part["file"]), rows.index.tolist())
    else:
        p = trainer_probability(part["format"], folder / part["file"], rows[part["features"]].to_numpy(dtype="float32"))
    return calibration.apply(part.get("calibration"), np.asarray(p, dtype="float64"))


def run(binary: Path, *arguments: str | Path) -> str:
    """Standard output of `tribunal`; 3 says that some entities were refused."""
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode not in (0, 3):
        sys.exit(f"tribunal {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def rust_probabilities(binary: Path, models: Path, file: Path, extra: list[Any]) -> dict[str, dict[str, float]]:
    """entity -> model -> probability."""
    lines = run(binary, "score", "--local", "--models", models, "--json", *extra, "--file", file).splitlines()
    # Special-use addresses are not scored.
    scores = [s for line in lines for s in json.loads(line)["scores"] if s["risk"] is not None]
    return {s["entity"]: {p["model"]: p["probability"] for p in s["predictors"]} for s in scores}


def compare(arguments: argparse.Namespace) -> int:
    """Prints the greatest difference per model and kind; the number of those beyond the tolerance."""
    extra = ["--dataset", arguments.dataset] if arguments.dataset else []
    with tempfile.TemporaryDirectory() as scratch:
        file, table = Path(scratch) / "entities.txt", Path(scratch) / "features.csv"
        file.write_text("\n".join(entities(arguments.rows)) + "\n")
        run(arguments.tribunal, "features", *extra, "--format", "csv", "-o", table, "--file", file)
        features = pd.read_csv(table, keep_default_na=False, na_values=[""], low_memory=False).set_index("entity")
        answers = rust_probabilities(arguments.tribunal, arguments.models, file, extra)
    failed = 0
    for pointer in sorted(arguments.models.glob("models/*/current.json")):
        folder = pointer.parent / "versions" / json.loads(pointer.read_text())["version"]
        manifest = json.loads((folder / "manifest.json").read_text())
        for part in manifest["parts"]:
            rows = features[features["kind"].isin(part["kinds"])]
            rows = rows[rows.index.isin(list(answers))]
            if rows.empty:
                sys.exit(f"no {part['kinds']} was scored")
            # Optional features are missing where nothing declares them.
            rows = rows.reindex(columns=list(dict.fromkeys([*rows.columns, *part["features"]])))
            said = expected(manifest, part, folder, arguments.own, rows)
            if said is None:
                print(f"{manifest['name']:10} {part['kinds'][0]:6} not compared: its trainer's file is not in {arguments.own}")
                continue
            found = np.array([answers[e][manifest["name"]] for e in rows.index], dtype="float64")
            worst = float(np.abs(found - said).max())
            failed += not worst <= TOLERANCE
            print(f"{manifest['name']:10} {part['kinds'][0]:6} {len(rows):6,} rows, greatest difference {worst:.3g}")
    return failed


def main() -> int:
    """Exit code 1 when an engine and a trainer disagree, or nothing could be compared."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tribunal", type=Path, required=True, help="the binary")
    parser.add_argument("--models", type=Path, default=Path(__file__).resolve().parents[1] / "models")
    parser.add_argument("--dataset", type=Path, help="address ranges of `tribunal dataset compile`")
    parser.add_argument(
        "--own", type=Path, default=Path(__file__).resolve().parent / "work" / "trainers",
        help="folder with the trainers' own files of compiled members",
    )  # fmt: skip
    parser.add_argument("--rows", type=int, default=10_000)
    return 1 if compare(parser.parse_args()) else 0


if __name__ == "__main__":
    sys.exit(main())
