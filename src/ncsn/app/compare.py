"""Methods trained on the same data with the same network and number of steps, and held beside each other."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import torch

from ncsn.app.console import say
from ncsn.app.page import Report
from ncsn.app.report import environment
from ncsn.app.runs import method_at
from ncsn.data import Dataset, load, split
from ncsn.errors import DataError, RunError, SettingError
from ncsn.estimator import NCSN
from ncsn.evaluation import sliced_wasserstein2, stray_fraction
from ncsn.evaluation.judging import mean_log_density
from ncsn.files import write_bytes
from ncsn.methods import Method, method_named, name_of
from ncsn.model import Model
from ncsn.plots import plot_quality_by_evaluations
from ncsn.samplers import State
from ncsn.training import Progress

SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
"""Shares of a method's own number of steps at which its samples are judged."""

HELD_OUT_POINTS = 50_000
"""Fresh points that a toy set's samples are held against."""

DENSITY_ROWS = 2000
"""Most held-out rows whose log-density is computed."""


def compare_methods(
    dataset: Dataset,
    methods: Sequence[str | Method] | Mapping[str, str | Method],
    *,
    training_steps: int | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    samples: int = 5000,
    progress: Callable[[str, int], Callable[[Progress], None]] | None = None,
) -> pd.DataFrame:
    """Train each method on the same data with the same network and number of steps, and judge its samples.

    Each seed has training data of its own (of a toy set a fresh draw, of others another split) and the methods share them.

    Args:
        dataset: The data.
        methods: Names of `methods.METHODS`, or methods; or each under a name for the table.
        training_steps: Optimiser steps of each; the plan's when None.
        seeds: Seeds of data, training and samples.
        samples: Number of samples judged.
        progress: ``progress(method, seed)`` returns the callback of that training.

    Returns:
        One row for each method, seed and number of steps, with the columns ``method``, ``seed``, ``share`` (of the method's
        own number of steps), ``steps``, ``evaluations``, ``distance`` (sliced W2, in standardised units), ``floor`` (the
        training set's own), ``ratio`` (NaN where the floor is 0),
        ``strays`` (share of samples far from every training row), ``training_seconds``, ``sampling_seconds`` and
        ``log_likelihood`` (mean of held-out rows in nats, in standardised units; of a table with atoms a lower bound in the
        data's own, over the rows that can be; NaN where there is none).

    Raises:
        SettingError: A method is unknown, or there is no method or seed.
        DataError: The data cannot be used.
    """
    if not methods or not seeds:
        raise SettingError("name at least one method and one seed")
    if not isinstance(methods, Mapping):
        methods = {name_of(method_named(method)): method for method in methods}
    rows = []
    for seed in seeds:
        training, held_out = _data(dataset, seed)
        for name, method in methods.items():
            estimator = NCSN(method=method, training_steps=training_steps, random_state=seed)
            start = perf_counter()
            estimator.fit(training, callback=None if progress is None else progress(name, seed))
            facts = {"method": name, "seed": seed, "training_seconds": perf_counter() - start}
            judged = _judged(estimator.model_, training, held_out, samples, seed)
            rows += [facts | reached for reached in judged]
    return pd.DataFrame(rows)


def _judged(model: Model, training: Any, held_out: Any, samples: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield what a model's samples reach at each share of its own number of steps."""
    seen, unseen = model.known_rows(training), model.known_rows(held_out)

    def distance(rows: torch.Tensor) -> float:
        return sliced_wasserstein2(rows, unseen, generator=torch.Generator().manual_seed(seed))

    floor, density = distance(seen), float("nan")
    if model.method.gives_score:
        some, generator = held_out[:DENSITY_ROWS], torch.Generator().manual_seed(seed)
        in_units, standardised, _ = mean_log_density(model, some, generator=generator)
        found = in_units if model.is_bound else standardised
        density = float("nan") if found is None else found
    # of shares that come to the same number of steps, the last
    shares = {max(1, round(share * model.steps)): share for share in SHARES}
    for steps, share in shares.items():
        # numbers only: the states of a thousand steps on images would not fit in memory
        counts: set[int] = set()

        def count(state: State, counts: set[int] = counts) -> None:
            counts.add(state.evaluations)

        start = perf_counter()
        drawn = model.sample(samples, steps=steps, generator=torch.Generator().manual_seed(seed), callback=count)
        taken, rows = perf_counter() - start, model.rows(drawn)
        reached = distance(rows)
        yield {
            "share": share,
            "steps": steps,
            "evaluations": max(counts),
            "distance": reached,
            "floor": floor,
            "ratio": reached / floor if floor > 0 else float("nan"),
            "strays": stray_fraction(rows, seen),
            "sampling_seconds": taken,
            "log_likelihood": density,
        }


def _data(dataset: Dataset, seed: int) -> tuple[Any, Any]:
    """Return a seed's training and held-out rows."""
    if dataset.draw is None:
        parts = split(dataset.values, dataset.labels, seed=seed)
        if min(len(parts.train), len(parts.held_out)) < 6:
            raise DataError(
                f"{dataset.name}: {len(dataset.values)} rows are too few to compare methods on; give 30 or more"
            )
        return parts.train, parts.held_out
    generator = torch.Generator().manual_seed(seed)
    return dataset.draw(len(dataset.values), generator), dataset.draw(HELD_OUT_POINTS, generator)


def run_comparison(
    data: str,
    methods: Sequence[str],
    folder: Path,
    *,
    budget: int | None = None,
    seeds: int = 3,
    points: int = 5000,
    label: str | None = None,
) -> pd.DataFrame:
    """Compare methods and write ``report.html``, ``figures/`` and ``comparison.json`` into a new or empty folder.

    Methods are named, or given by import paths ``package.module:Name``. Returned are the medians over the seeds.
    """
    if folder.is_file() or (folder.exists() and any(folder.iterdir())):
        raise RunError(f"{folder} is not empty or no folder; name another one for the comparison")
    dataset = load(data, n=points, label=label)

    def judged(method: str, seed: int) -> Callable[[Progress], None]:
        def advance(progress: Progress) -> None:
            if progress.step == progress.steps:
                say(f"{method}, seed {seed}: trained, loss {progress.loss:.4f}")

        return advance

    chosen = {name: method_at(name) for name in methods}
    results = compare_methods(dataset, chosen, training_steps=budget, seeds=range(seeds), progress=judged)
    table = _medians(results)
    report = Report(
        f"ncsn: methods on {dataset.name}",
        "Each method trains the same network for the same number of steps on the same data. Distances are sliced W2 to "
        "held-out data in standardised units, as multiples of the training set's own: 1.00 means as close as the training "
        "data are. Figures are medians over the seeds.",
    )
    report.section("Quality by number of evaluations")
    caption = "Distance to held-out data by evaluations of the network a sample; bars span the seeds."
    report.figure(plot_quality_by_evaluations(results), "quality_by_evaluations", caption)
    report.table(table, formats={"ratio": ".2f", "lowest": ".2f", "highest": ".2f"})
    report.section("Environment")
    facts = {"rows": len(dataset.values), "seeds": seeds, "training steps": budget or "by the plan"}
    report.facts(facts | environment())
    report.write(folder)
    records = json.loads(results.to_json(orient="records"))
    write_bytes(folder / "comparison.json", json.dumps(records, indent=1).encode())
    return table


def _medians(results: pd.DataFrame) -> pd.DataFrame:
    """Return medians over the seeds, and the range of the ratio."""
    by_steps = results.groupby(["method", "share"], sort=False)
    table = by_steps[
        ["evaluations", "ratio", "strays", "log_likelihood", "training_seconds", "sampling_seconds"]
    ].median()
    table.insert(2, "lowest", by_steps["ratio"].min())
    table.insert(3, "highest", by_steps["ratio"].max())
    return table.reset_index().drop(columns="share").rename(columns=lambda name: name.replace("_", " "))
