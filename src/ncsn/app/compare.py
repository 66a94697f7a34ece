"""Methods trained on the same data with the same network and number of steps, and held beside each other."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import torch

from ncsn.app.console import say
from ncsn.app.page import Report
from ncsn.app.report import environment
from ncsn.app.runs import has_quick_density, method_at
from ncsn.data import Dataset, Split, load, split
from ncsn.errors import DataError, RunError, SettingError
from ncsn.estimator import NCSN
from ncsn.evaluation import (
    ImageFeatures,
    frechet_distance,
    pixels,
    sliced_wasserstein2,
    stray_fraction,
    train_classifier,
)
from ncsn.evaluation.distances import some_of
from ncsn.evaluation.features import as_images, features_of, limits_of
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
    features: Any = None,
    progress: Callable[[str, int], Callable[[Progress], None]] | None = None,
) -> pd.DataFrame:
    """Train each method on the same data with the same network and number of steps, and judge its samples.

    Each seed has training data of its own (of a toy set a fresh draw, of others another split) and the methods share them.

    Args:
        dataset: The data.
        methods: Names of `methods.METHODS`, or methods; or each under a name for the table.
        training_steps: Optimiser steps of each; the plan's when None.
        seeds: Seeds of data, training and samples.
        samples: Number of samples judged; of images at most as many as are trained on.
        features: What images are judged in, as in `evaluation.compare`; when None a classifier that is trained on the labels of
            each seed's training images, where there are some, otherwise the pixels.
        progress: ``progress(method, seed)`` returns the callback of that training.

    Returns:
        One row for each method, seed and number of steps, with the columns ``method``, ``seed``, ``share`` (of the method's
        own number of steps), ``steps``, ``evaluations``, ``distance`` (sliced W2, in standardised units; of images the Fréchet
        distance in features), ``floor`` (the training set's own), ``ratio`` (NaN where the floor is 0),
        ``strays`` (share of samples far from every training row), ``training_seconds``, ``sampling_seconds`` and
        ``log_likelihood`` (mean of held-out rows in nats, in standardised units; of a table with atoms a lower bound in the
        data's own, over the rows that can be; NaN where there is none, and of a UNet, which would take longer than training).

    Raises:
        SettingError: A method is unknown, there is no method or seed, or features are given of what are no images.
        DataError: The data cannot be used.
    """
    if not methods or not seeds:
        raise SettingError("name at least one method and one seed")
    if not isinstance(methods, Mapping):
        methods = {name_of(method_named(method)): method for method in methods}
    rows = []
    for seed in seeds:
        parts = _data(dataset, seed)
        training, held_out = parts.train, parts.held_out
        judge = _features(features, parts, seed)
        for name, method in methods.items():
            estimator = NCSN(method=method, training_steps=training_steps, random_state=seed)
            start = perf_counter()
            estimator.fit(training, callback=None if progress is None else progress(name, seed))
            facts = {"method": name, "seed": seed, "training_seconds": perf_counter() - start}
            judged = _judged(estimator.model_, training, held_out, samples, seed, judge)
            rows += [facts | reached for reached in judged]
    return pd.DataFrame(rows)


def _features(given: Any, parts: Split, seed: int) -> ImageFeatures | None:
    """Return what the images of a seed are judged in; None of other data."""
    if isinstance(parts.train, pd.DataFrame) or parts.train.ndim < 3:
        if given is not None:
            raise SettingError("features are for images, and these data are none")
        return None
    if given is not None:
        return features_of(given)
    if parts.train_labels is None:
        return pixels(parts.train)
    return train_classifier(parts.train, parts.train_labels, parts.held_out, parts.held_out_labels, seed=seed)


def _judged(
    model: Model, training: Any, held_out: Any, samples: int, seed: int, features: ImageFeatures | None
) -> Iterator[dict[str, Any]]:
    """Yield what a model's samples reach at each share of its own number of steps."""
    rows_of: Callable[[Any], Any]
    seen: Any
    unseen: Any
    if features is None:
        rows_of, seen, unseen = model.rows, model.known_rows(training), model.known_rows(held_out)
    else:
        limits = limits_of(as_images(training))
        rows_of = partial(features, limits=limits)
        seen, unseen = rows_of(training), rows_of(held_out)
        samples = min(samples, len(seen))

    def distance(rows: Any) -> float:
        generator = torch.Generator().manual_seed(seed)
        if features is None:
            return sliced_wasserstein2(rows, unseen, generator=generator)
        # it depends on the number of rows: as many of the training set as there are samples
        return frechet_distance(rows[some_of(len(rows), samples, generator)], unseen)

    floor, density = distance(seen), float("nan")
    if model.method.gives_score and has_quick_density(model):
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
        taken, rows = perf_counter() - start, rows_of(drawn)
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


def _data(dataset: Dataset, seed: int) -> Split:
    """Return a seed's training and held-out rows, with their labels."""
    if dataset.draw is None:
        parts = split(dataset.values, dataset.labels, seed=seed)
        if min(len(parts.train), len(parts.held_out)) < 6:
            raise DataError(
                f"{dataset.name}: {len(dataset.values)} rows are too few to compare methods on; give 30 or more"
            )
        return parts
    generator = torch.Generator().manual_seed(seed)
    return Split(dataset.draw(len(dataset.values), generator), dataset.draw(HELD_OUT_POINTS, generator), None, None)


def run_comparison(
    data: str,
    methods: Sequence[str],
    folder: Path,
    *,
    budget: int | None = None,
    seeds: int = 3,
    points: int = 5000,
    label: str | None = None,
    features: Any = None,
    **images: Any,
) -> pd.DataFrame:
    """Compare methods and write ``report.html``, ``figures/`` and ``comparison.json`` into a new or empty folder.

    Methods are named, or given by import paths ``package.module:Name``. ``features`` is what images are judged in, and
    ``images`` how they are read, as arguments of `load`. Returned are the medians over the seeds.
    """
    if folder.is_file() or (folder.exists() and any(folder.iterdir())):
        raise RunError(f"{folder} is not empty or no folder; name another one for the comparison")
    dataset = load(data, n=points, label=label, **images)

    def judged(method: str, seed: int) -> Callable[[Progress], None]:
        def advance(progress: Progress) -> None:
            if progress.step == progress.steps:
                say(f"{method}, seed {seed}: trained, loss {progress.loss:.4f}")

        return advance

    chosen = {name: method_at(name) for name in methods}
    how: dict[str, Any] = {"training_steps": budget, "seeds": range(seeds), "features": features, "progress": judged}
    results = compare_methods(dataset, chosen, **how)
    table = _medians(results)
    report = Report(
        f"ncsn: methods on {dataset.name}",
        "Each method trains the same network for the same number of steps on the same data. Distances to held-out data are "
        "sliced W2 in standardised units, of images Fréchet distances in features, as multiples of the training set's own: 1.00 "
        "means as close as the training data are. Figures are medians over the seeds.",
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
