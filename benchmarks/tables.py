"""Tables: samples, densities and filled gaps of `NCSN().fit(frame)`, all defaults, beside real rows and other libraries.

Each part splits its table at random for every seed and prints medians and ranges over the seeds:

- ``credit``, ``adult``: rows of both kinds; shape and trend errors of SDMetrics (in %), a classifier's area between samples
  and held-out rows (C2ST), the area of a classifier of the last column that was trained on samples (TSTR), fit seconds.
- ``randhie``: counts, zeros and heavy tails. ``magic``: ten numbers, with the held-out log-density.
- ``forest``: the protocol of ForestDiffusion (``forest_protocol.py``).
- ``imputation``, ``conditional``: Auto's gaps filled, and rows drawn given two columns.

"real" are the training rows in place of samples. Run: ``python benchmarks/tables.py --folder FOLDER [PART ...]
[--peers PYTHON] [--seeds 3]``. ``PYTHON benchmarks/peers.py tables FOLDER`` writes the folder; SDV's rows need that
PYTHON, an interpreter with SDV. Compare seconds of the processor, with OMP_NUM_THREADS=1: all rows of a seed are fitted in turn.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import common
import forest_protocol
import numpy as np
import pandas as pd
from common import Figures, Rows
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from ncsn import NCSN
from ncsn.evaluation import Kinds, column_shapes, pair_trends, train_on_synthetic

RANDHIE = ["mdvis", "logc", "idp", "lpi", "fmde", "physlm", "disea", "hlthg", "hlthf", "hlthp"]
"""The columns of Deb & Trivedi 2002 (The structure of demand for health care)."""

SHARE_MISSING = 0.3
DRAWS = 10


@dataclass(frozen=True)
class Asked:
    """What is run, and by what.

    Args:
        folder: Where the tables lie.
        peers: An interpreter with SDV; without one its rows are left out.
        settings: Of `NCSN`, all defaults where empty.
        slow: Whether the slowest of SDV's synthesizers is run too.
        epochs: Of SDV's networks.
        sets: Of the part ``forest``.
    """

    folder: Path
    peers: str | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    slow: bool = False
    epochs: int = 200
    sets: tuple[str, ...] = tuple(forest_protocol.SETS)

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of the folder, without the numbers of its rows."""
        path = self.folder / f"{name}.csv"
        if not path.is_file():
            sys.exit(f"there is no {path}: `PYTHON benchmarks/peers.py tables {self.folder}` writes what packages hold")
        return pd.read_csv(path).drop(columns="rownames", errors="ignore")

    def fitted(self, frame: pd.DataFrame, seed: int) -> tuple[NCSN, Figures]:
        """Return the model that is judged, and the seconds that its fit took: of the processor and of the clock."""
        model = NCSN(**self.settings, random_state=seed)
        wall, cpu = perf_counter(), process_time()
        model.fit(frame)
        return model, {"fit s": process_time() - cpu, "wall s": perf_counter() - wall}


def split(table: pd.DataFrame, n: int, seed: int, m: int | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return ``n`` training and ``m`` (as many when None) other rows, at random."""
    order = np.random.default_rng(seed).permutation(len(table))
    parts = (order[:n], order[n : n + (m or n)])
    return table.iloc[parts[0]].reset_index(drop=True), table.iloc[parts[1]].reset_index(drop=True)


# What is measured


def told_apart(made: pd.DataFrame, held_out: pd.DataFrame) -> float:
    """Return the area of boosted trees that tell samples from held-out rows, all out of their folds."""
    both = pd.concat([made[list(held_out)], held_out], ignore_index=True)
    kinds = Kinds.of(held_out, leave_out=())
    for name in kinds.categories:
        both[name] = pd.Categorical(both[name].astype(object)).codes
    origin = np.repeat([0, 1], [len(made), len(held_out)])
    trees = HistGradientBoostingClassifier(
        categorical_features=[name in kinds.categories for name in both], random_state=0
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    odds = cross_val_predict(trees, both.astype(float), origin, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(origin, odds))


def mixed_figures(made: pd.DataFrame, training: pd.DataFrame, held_out: pd.DataFrame, target: str) -> Figures:
    """Return the four figures of a table of both kinds."""
    made, training, held_out = (_without_gaps(table, training) for table in (made, training, held_out))
    kinds = Kinds.of(training, leave_out=())
    return {
        "shape %": 100 * float(np.mean([fit.value for fit in column_shapes(made, held_out, training, kinds)])),
        "trend %": 100 * float(np.mean([fit.value for fit in pair_trends(made, held_out, training, kinds)])),
        "C2ST": told_apart(made, held_out),
        "TSTR": train_on_synthetic(made, training, held_out, target, leave_out=()).value,
    }


def _without_gaps(table: pd.DataFrame, training: pd.DataFrame) -> pd.DataFrame:
    """Return a table in the columns of the training rows, missing text as a category of its own."""
    table = table[list(training)].copy()
    for name in table:
        if not pd.api.types.is_numeric_dtype(training[name]):
            table[name] = table[name].astype(object).where(table[name].notna(), "?").astype(str)
    return table


def number_figures(made: pd.DataFrame, training: pd.DataFrame, held_out: pd.DataFrame) -> Figures:
    """Return the figures of a table of numbers."""
    low, high = training.min(), training.max()
    return {
        "C2ST": told_apart(made, held_out),
        "KS": float(np.mean([ks_2samp(made[name], held_out[name]).statistic for name in held_out])),
        "outside %": 100 * float(((made < low) | (made > high)).to_numpy().mean()),
        "seen %": 100 * float(np.mean([made[name].isin(training[name]).mean() for name in held_out])),
    }


# Whose samples


def of_peer(asked: Asked, name: str, training: pd.DataFrame, n: int, seed: int) -> tuple[pd.DataFrame, Figures]:
    """Return samples of one of SDV's synthesizers, and the seconds that its fit took."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "training.csv"), Path(folder, "samples.csv")
        _without_gaps(training, training).to_csv(given, index=False)
        command = [str(asked.peers), str(Path(__file__).with_name("peers.py")), "sample", name, str(given), str(made)]
        done = subprocess.run([*command, str(n), str(seed), str(asked.epochs)], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{name}: {done.stderr}")
        seconds = json.loads(done.stdout.splitlines()[-1])
        samples = pd.read_csv(made, keep_default_na=False, na_values=[""])
    return samples, {"fit s": seconds["cpu"], "wall s": seconds["wall"]}


def with_peers(
    asked: Asked, training: pd.DataFrame, seed: int, judge: Callable[[pd.DataFrame], Figures], n: int
) -> Rows:
    """Return the rows of a table: real, ours, and those of SDV that are asked for."""
    none = {"fit s": float("nan"), "wall s": float("nan")}
    rows = {"real": judge(training) | none}
    model, seconds = asked.fitted(training, seed)
    rows["ncsn"] = judge(model.sample(n)) | seconds
    for name in ("GaussianCopula", "TVAE", *(("CTGAN",) if asked.slow else ())):
        if asked.peers:
            samples, seconds = of_peer(asked, name, training, n, seed)
            rows[name] = judge(samples) | seconds
    if "TVAE" in rows:
        for each in rows.values():
            each["fit / TVAE"] = each["fit s"] / rows["TVAE"]["fit s"]
    return rows


# The parts


def credit(asked: Asked, seed: int) -> Rows:
    """Judge modeldata's credit_data: the complete rows, 2,000 for training and 2,000 held out."""
    training, held_out = split(asked.table("credit").dropna().reset_index(drop=True), 2000, seed)
    return with_peers(
        asked, training, seed, lambda made: mixed_figures(made, training, held_out, "Status"), len(held_out)
    )


def adult(asked: Asked, seed: int) -> Rows:
    """Judge Adult, 5,000 rows for training and 5,000 held out; its gaps are a category where gaps cannot be."""
    training, held_out = split(asked.table("adult"), 5000, seed)
    return with_peers(
        asked, training, seed, lambda made: mixed_figures(made, training, held_out, "income"), len(held_out)
    )


def randhie(asked: Asked, seed: int) -> Rows:
    """Judge ten columns of the RAND Health Insurance Experiment, 1,000 rows and 1,000."""
    training, held_out = split(asked.table("randhie")[RANDHIE].dropna().reset_index(drop=True), 1000, seed)
    return with_peers(asked, training, seed, lambda made: number_figures(made, training, held_out), len(held_out))


def magic(asked: Asked, seed: int) -> Rows:
    """Judge the ten numbers of MAGIC, 1,000 rows and 1,000, standardised by the training rows."""
    training, held_out = split(asked.table("magic").drop(columns="class"), 1000, seed)
    mean, spread = training.mean(), training.std(ddof=0)
    training, held_out = (training - mean) / spread, (held_out - mean) / spread
    model, seconds = asked.fitted(training, seed)
    wall = perf_counter()
    # where the model takes some values for atoms these are bounds, and other values cannot be
    bound = model.model_.is_bound
    log_p = model.score_samples(held_out, **({"draws": 1} if bound else {}))
    possible = np.isfinite(log_p)
    scored = perf_counter() - wall
    mixtures = (
        GaussianMixture(k, reg_covar=floor, random_state=0).fit(training)
        for k in (1, 2, 4, 8, 16, 32)
        for floor in (1e-6, 1e-3, 1e-2)
    )
    mixture = max(mixtures, key=lambda each: each.score(held_out))
    drawn = pd.DataFrame(mixture.sample(len(held_out))[0], columns=training.columns)
    none = dict.fromkeys(("log-density", "impossible %", "bound", "fit s", "wall s", "score s"), float("nan"))
    density = {"log-density": float(log_p[possible].mean()), "impossible %": 100 * float(1 - possible.mean())}
    ours = density | {"bound": float(bound)} | seconds | {"score s": scored}
    return {
        "real": number_figures(training, training, held_out) | none,
        "ncsn": number_figures(model.sample(len(held_out)), training, held_out) | ours,
        "mixture": number_figures(drawn, training, held_out) | none | {"log-density": float(mixture.score(held_out))},
    }


def imputation(asked: Asked, seed: int) -> Rows:
    """Judge the gaps of Auto's numbers, 30% of the cells of 79 rows, filled ten times."""
    table = asked.table("Auto").drop(columns="name").astype(float)
    training, truth = split(table, 313, seed, len(table) - 313)
    # the last is for the model that is trained with gaps
    missing, missing_too = (
        np.random.default_rng(1000 + seed + k).random(part.shape) < SHARE_MISSING
        for k, part in enumerate((truth, training))
    )
    with_gaps = truth.mask(missing)
    mean, spread = training.mean(), training.std(ddof=0)

    def scaled(values: Any) -> NDArray[np.float64]:
        return ((values - mean) / spread).to_numpy()

    def ours(rows: pd.DataFrame) -> tuple[NDArray[np.float64], Figures]:
        model, seconds = asked.fitted(rows, seed)
        wall = perf_counter()
        filled = model.impute(pd.concat([with_gaps] * DRAWS, ignore_index=True))
        seconds["fill s"] = perf_counter() - wall
        return scaled(filled).reshape(DRAWS, *truth.shape), seconds

    def chained(rows: pd.DataFrame) -> NDArray[np.float64]:
        return np.stack(
            [
                IterativeImputer(sample_posterior=True, random_state=draw)
                .fit(scaled(rows))
                .transform(scaled(with_gaps))
                for draw in range(DRAWS)
            ]
        )

    def nearest(rows: pd.DataFrame) -> NDArray[np.float64]:
        return KNNImputer(n_neighbors=5).fit(scaled(rows)).transform(scaled(with_gaps))[None]

    def figures(draws: NDArray[np.float64], seconds: Mapping[str, float] | None = None) -> Figures:
        none = dict.fromkeys(("fit s", "wall s", "fill s"), float("nan"))
        return gap_figures(draws[:, missing], scaled(truth)[missing]) | none | dict(seconds or {})

    rows = {"mean": figures(np.zeros((1, *truth.shape)))}
    for said, known in (("", training), (", gaps in training", training.mask(missing_too))):
        rows[f"ncsn{said}"] = figures(*ours(known))
        rows[f"KNN{said}"] = figures(nearest(known))
        rows[f"chained{said}"] = figures(chained(known))
    return rows


def gap_figures(draws: NDArray[np.float64], truth: NDArray[np.float64]) -> Figures:
    """Return how good draws ``(K, N)`` of ``N`` cells are: that of one draw, a point, is its absolute error."""
    apart = np.abs(draws[:, None] - draws[None]).mean(axis=(0, 1))
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    return {
        "CRPS": float((np.abs(draws - truth).mean(axis=0) - apart / 2).mean()),
        "MAE of median": float(np.abs(np.median(draws, axis=0) - truth).mean()),
        "cover90": float(((low <= truth) & (truth <= high)).mean()) if len(draws) > 1 else float("nan"),
    }


def conditional(asked: Asked, seed: int) -> Rows:
    """Draw cars of six cylinders and 20 miles a gallon, beside the real ones of six and 18 to 22."""
    table = asked.table("Auto").drop(columns="name")
    model, _ = asked.fitted(table, seed)
    wall = perf_counter()
    drawn = model.sample(500, given={"mpg": 20, "cylinders": 6})
    seconds = perf_counter() - wall
    near = table[(table["cylinders"] == 6) & table["mpg"].between(18, 22)]

    def figures(rows: pd.DataFrame) -> Figures:
        columns = ("weight", "horsepower", "displacement")
        means = {name: float(rows[name].mean()) for name in columns}
        return means | {f"sd {name}": float(rows[name].std()) for name in columns} | {"rows": float(len(rows))}

    return {"real": figures(near) | {"draw s": float("nan")}, "ncsn": figures(drawn) | {"draw s": seconds}}


PARTS: dict[str, Callable[[Asked, int], Rows]] = {
    "credit": credit,
    "randhie": randhie,
    "adult": adult,
    "magic": magic,
    "imputation": imputation,
    "conditional": conditional,
}


def forest(asked: Asked, seeds: range) -> None:
    """Print ForestDiffusion's protocol, each set beside what was published."""
    means: list[Rows] = []
    for name in asked.sets:
        whole = forest_protocol.read(name, asked.table)

        runs = [forest_protocol.judge(partial(asked.fitted, seed=seed), name, whole, seed) for seed in seeds]
        said = f"forest: {name} ({len(whole):,} rows, {whole.shape[1] - 1} features)"
        common.spread(said, runs, forest_protocol.PUBLISHED[name])
        means.append(common.medians(runs, np.mean) | forest_protocol.PUBLISHED[name])
    for said, chosen in (
        ("all", means),
        ("of the same rows", [m for m, n in zip(means, asked.sets, strict=True) if n != "congress"]),
    ):
        common.spread(f"forest: mean of the sets, {said}", [forest_protocol.mean_of(chosen)])


def main() -> None:
    """Run the parts and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS, "forest"], default=[*PARTS, "forest"])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--peers", help="an interpreter with SDV")
    parser.add_argument("--slow", action="store_true", help="CTGAN too")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--sets", nargs="*", default=list(forest_protocol.SETS), help="those of the part forest")
    parser.add_argument("--settings", type=json.loads, default={}, help="of NCSN, as JSON")
    arguments = parser.parse_args()
    asked = Asked(arguments.folder, arguments.peers, arguments.settings, arguments.slow, sets=tuple(arguments.sets))
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    # the first fit of a process imports much
    some = np.random.default_rng(0).standard_normal((50, 4))
    NCSN(training_steps=2, random_state=0).fit(pd.DataFrame(some, columns=list("abcd"))).sample(2)
    for name in arguments.parts:
        if name == "forest":
            forest(asked, seeds)
        else:
            common.spread(name, [PARTS[name](asked, seed) for seed in seeds])


if __name__ == "__main__":
    main()
