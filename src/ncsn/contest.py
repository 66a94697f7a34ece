"""Methods trained on the same data with the same network and number of steps, and held beside each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import torch
from rich.console import Console
from rich.markup import escape

from ncsn.data import Dataset, load, split
from ncsn.errors import DataError, RunError
from ncsn.estimator import NCSN
from ncsn.files import write_bytes
from ncsn.methods import method_named
from ncsn.metrics import sliced_wasserstein2, stray_fraction
from ncsn.plots import plot_quality_by_evaluations
from ncsn.report import Report, environment
from ncsn.samplers import State
from ncsn.summaries import standardised
from ncsn.training import Progress

__all__ = ["compare_methods", "run_comparison"]

SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
"""Shares of a method's own number of steps at which its samples are judged."""

HELD_OUT_POINTS = 50_000
"""Fresh points that a toy set's samples are held against."""

DENSITY_ROWS = 2000
"""Most held-out rows whose log-density is computed."""


def compare_methods(
    dataset: Dataset,
    methods: Sequence[str],
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
        methods: Names of `methods.METHODS`.
        training_steps: Optimiser steps of each; the plan's when None.
        seeds: Seeds of data, training and samples.
        samples: Number of samples judged.
        progress: ``progress(method, seed)`` returns the callback of that training.

    Returns:
        One row for each method, seed and number of steps, with the columns ``method``, ``seed``, ``share`` (of the method's
        own number of steps), ``steps``, ``evaluations``, ``distance`` (sliced W2, in standardised units), ``floor`` (the
        training set's own), ``ratio`` (NaN where the floor is 0),
        ``strays`` (share of samples far from every training row), ``training_seconds``, ``sampling_seconds`` and
        ``log_likelihood`` (mean of held-out rows in nats, standardised units; NaN where there is none).

    Raises:
        ValueError: A method is unknown, or there is no method or seed.
        DataError: The data cannot be used.
    """
    if not methods or not seeds:
        raise ValueError("name at least one method and one seed")
    rows = []
    for name in methods:
        method_named(name)
    for seed in seeds:
        training, held_out = _data(dataset, seed)
        for name in methods:
            method = method_named(name)
            model = NCSN(method=name, training_steps=training_steps, random_state=seed)
            start = perf_counter()
            model.fit(training, callback=None if progress is None else progress(name, seed))
            seconds = perf_counter() - start
            unseen = standardised(model, held_out)

            def distance(values: Any, model: NCSN = model, unseen: torch.Tensor = unseen, seed: int = seed) -> float:
                made = standardised(model, values)
                return sliced_wasserstein2(made, unseen, generator=torch.Generator().manual_seed(seed))

            floor = distance(training)
            density = float("nan")
            if method.gives_score:
                density = model.score(held_out[:DENSITY_ROWS]) - model.standardizer_.log_det()
            # of shares that come to the same number of steps, the last
            shares = {max(1, round(share * method.steps(model.plan_))): share for share in SHARES}
            for steps, share in shares.items():
                # numbers only: the states of a thousand steps on images would not fit in memory
                counts: set[int] = set()

                def count(state: State, counts: set[int] = counts) -> None:
                    counts.add(state.evaluations)

                start = perf_counter()
                drawn = model.sample(samples, steps=steps, random_state=seed, callback=count)
                taken = perf_counter() - start
                reached = distance(drawn)
                rows.append(
                    {
                        "method": name,
                        "seed": seed,
                        "share": share,
                        "steps": steps,
                        "evaluations": max(counts),
                        "distance": reached,
                        "floor": floor,
                        "ratio": reached / floor if floor > 0 else float("nan"),
                        "strays": stray_fraction(standardised(model, drawn), standardised(model, training)),
                        "training_seconds": seconds,
                        "sampling_seconds": taken,
                        "log_likelihood": density,
                    }
                )
    return pd.DataFrame(rows)


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
    """Compare methods and write ``report.html``, ``figures/`` and ``comparison.json`` into a folder.

    Args:
        data: Built-in set, file or folder.
        methods: Names of `methods.METHODS`.
        folder: The folder; it must be new or empty.
        budget: Training steps of each method; the plan's when None.
        seeds: Number of seeds.
        points: Number of points of a toy set.
        label: The column of class labels, left out of the data.

    Returns:
        The results, as `compare_methods` returns them.

    Raises:
        DataError: The data cannot be used; nothing is written.
        RunError: The folder holds something, or cannot be written.
        ValueError: A method is unknown.
    """
    if folder.is_file() or (folder.exists() and any(folder.iterdir())):
        raise RunError(f"{folder} is not empty or no folder; name another one for the comparison")
    dataset = load(data, n=points, label=label)
    console = Console(stderr=True)

    def judged(method: str, seed: int) -> Callable[[Progress], None]:
        def advance(progress: Progress) -> None:
            if progress.step == progress.steps:
                console.print(f"{method}, seed {seed}: trained, loss {progress.loss:.4f}", highlight=False)

        return advance

    results = compare_methods(dataset, methods, training_steps=budget, seeds=range(seeds), progress=judged)
    table = _summary(results)
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
    report.facts(
        {"rows": len(dataset.values), "seeds": seeds, "training steps": budget or "by the plan"} | environment()
    )
    page = report.write(folder)
    write_bytes(
        folder / "comparison.json", json.dumps(json.loads(results.to_json(orient="records")), indent=1).encode()
    )
    console.print(
        table.to_string(index=False, float_format=lambda value: f"{value:.3g}"), highlight=False, markup=False
    )
    console.print(f"wrote {escape(str(page))}", highlight=False)
    return results


def _summary(results: pd.DataFrame) -> pd.DataFrame:
    """Return medians over the seeds, and the range of the ratio."""
    by_steps = results.groupby(["method", "share"], sort=False)
    table = by_steps[
        ["evaluations", "ratio", "strays", "log_likelihood", "training_seconds", "sampling_seconds"]
    ].median()
    table.insert(2, "lowest", by_steps["ratio"].min())
    table.insert(3, "highest", by_steps["ratio"].max())
    return table.reset_index().drop(columns="share").rename(columns=lambda name: name.replace("_", " "))
