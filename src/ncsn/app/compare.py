"""Methods trained on the same data with the same network and number of steps, and held beside each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import torch

from ncsn.app.console import say
from ncsn.app.page import Report
from ncsn.app.planning import without_given
from ncsn.app.report import environment
from ncsn.app.runs import has_quick_density, method_at
from ncsn.data import Dataset, Split, load, split
from ncsn.errors import DataError, RunError, SettingError
from ncsn.estimator import NCSN
from ncsn.evaluation import ImageFeatures, frechet_distance, sliced_wasserstein2, stray_fraction
from ncsn.evaluation.classifier import image_features
from ncsn.evaluation.distances import some_of
from ncsn.evaluation.features import as_images, limits_of
from ncsn.evaluation.judging import mean_log_density, of_known_contexts
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
    given: Sequence[str] = (),
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
        given: Columns of a table that are contexts: the others are learned given them, and samples, drawn given those of one half
            of the held-out rows, are with these held against the other half.
        progress: ``progress(method, seed)`` returns the callback of that training.

    Returns:
        One row for each method, seed and number of steps, with the columns ``method``, ``seed``, ``share`` (of the method's
        own number of steps), ``steps``, ``evaluations``, ``distance`` (sliced W2, in standardised units; of images the Fréchet
        distance in features), ``floor`` (the training set's own), ``ratio`` (NaN where the floor is 0),
        ``strays`` (share of samples far from every training row), ``training_seconds``, ``sampling_seconds`` and
        ``log_likelihood`` (mean of held-out rows in nats, in standardised units; of a table with atoms a lower bound in the
        data's own, over the rows that can be; NaN where there is none, and of a UNet, which would take longer than training).

    Raises:
        SettingError: A method or a column that is given is unknown, there is no method or seed, or features are given of what
            are no images.
        DataError: The data cannot be used.
    """
    if not methods or not seeds:
        raise SettingError("name at least one method and one seed")
    if not isinstance(methods, Mapping):
        methods = {name_of(method_named(method)): method for method in methods}
    rows = []
    for seed in seeds:
        data = _Data.of(dataset, given, seed)
        judge = _features(features, data.parts, seed)
        for name, method in methods.items():
            estimator = NCSN(method=method, training_steps=training_steps, random_state=seed)
            start = perf_counter()
            how = {"context": data.context, "callback": None if progress is None else progress(name, seed)}
            estimator.fit(data.parts.train, **how)
            facts = {"method": name, "seed": seed, "training_seconds": perf_counter() - start}
            rows += [facts | reached for reached in _judged(estimator.model_, data, samples, seed, judge)]
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Data:
    """A seed's training and held-out rows, with their labels and contexts; None of what there is not."""

    parts: Split
    context: Any = None
    held_out_context: Any = None

    @classmethod
    def of(cls, dataset: Dataset, given: Sequence[str], seed: int) -> _Data:
        """Split a data set, whose columns that are given are contexts."""
        values, context = without_given(dataset, given)
        if dataset.draw is not None:
            generator = torch.Generator().manual_seed(seed)
            return cls(
                Split(dataset.draw(len(values), generator), dataset.draw(HELD_OUT_POINTS, generator), None, None)
            )
        parts = split(values, dataset.labels, seed=seed)
        least = 12 if given else 6
        if min(len(parts.train), len(parts.held_out)) < least:
            raise DataError(
                f"{dataset.name}: {len(values)} rows are too few to compare methods on; give {5 * least} or more"
            )
        if context is None:
            return cls(parts)
        return cls(parts, *split(context, dataset.labels, seed=seed)[:2])


def _features(given: Any, parts: Split, seed: int) -> ImageFeatures | None:
    """Return what the images of a seed are judged in; None of other data."""
    if isinstance(parts.train, pd.DataFrame) or parts.train.ndim < 3:
        if given is not None:
            raise SettingError("features are for images, and these data are none")
        return None
    return image_features(given, parts.train, parts.held_out, parts.train_labels, parts.held_out_labels, seed)


class _Judgement:
    """What samples of a model are held against, and how; distances have one floor for all numbers of steps.

    Args:
        model: The fitted model.
        data: The data. Where there are contexts, samples are drawn given those of one half of the held-out rows, and with
            these held against the other half.
        samples: Number of samples; of images and given contexts at most as many as there are to hold them against.
        seed: Seed of the distances.
        features: What images are judged in; None of other data.
    """

    def __init__(self, model: Model, data: _Data, samples: int, seed: int, features: ImageFeatures | None) -> None:
        self.model, self.seed, self.features = model, seed, features
        training, held_out, context = data.parts.train, data.parts.held_out, data.held_out_context
        held_out, context = of_known_contexts(model, held_out, context)
        self.held_out, self.held_out_context, self.told = held_out, context, None
        if features is not None:
            self.limits = limits_of(as_images(training))
        if context is not None:
            known = split(context, holdout=0.5, seed=seed)
            self.told, context = known.train[:samples], known.held_out
            held_out = split(held_out, holdout=0.5, seed=seed).held_out
        self.seen, self.unseen = self.known(training, data.context), self.known(held_out, context)
        self.n_samples = samples if self.told is None else len(self.told)
        self.n_samples = self.n_samples if features is None else min(samples, len(self.seen))

    def known(self, X: Any, context: Any) -> Any:
        """Return data as they are compared, with their contexts before them; of images their features."""
        if self.features is not None:
            return self.features(X, self.limits)
        return self.model.known_rows(X, context=context)

    def distance(self, rows: Any) -> float:
        """Return the distance of rows to held-out data."""
        generator = torch.Generator().manual_seed(self.seed)
        if self.features is None and self.told is None:
            return sliced_wasserstein2(rows, self.unseen, generator=generator)
        # it depends on the number of rows: as many of the training set as there are samples
        some = rows[some_of(len(rows), self.n_samples, generator)]
        if self.features is None:
            return sliced_wasserstein2(some, self.unseen, generator=generator)
        return frechet_distance(some, self.unseen)

    def log_likelihood(self) -> float:
        """Return the mean log-density of held-out rows; NaN where there is none, or it would take longer than training."""
        if not self.model.method.gives_score or not has_quick_density(self.model):
            return float("nan")
        context = None if self.held_out_context is None else self.held_out_context[:DENSITY_ROWS]
        how = {"generator": torch.Generator().manual_seed(self.seed), "context": context}
        in_units, standardised, _ = mean_log_density(self.model, self.held_out[:DENSITY_ROWS], **how)
        found = in_units if self.model.is_bound else standardised
        return float("nan") if found is None else found


def _judged(
    model: Model, data: _Data, samples: int, seed: int, features: ImageFeatures | None
) -> Iterator[dict[str, Any]]:
    """Yield what a model's samples reach at each share of its own number of steps."""
    judgement = _Judgement(model, data, samples, seed, features)
    floor, density = judgement.distance(judgement.seen), judgement.log_likelihood()
    # of shares that come to the same number of steps, the last
    shares = {max(1, round(share * model.steps)): share for share in SHARES}
    for steps, share in shares.items():
        # numbers only: the states of a thousand steps on images would not fit in memory
        counts: set[int] = set()

        def count(state: State, counts: set[int] = counts) -> None:
            counts.add(state.evaluations)

        how: dict[str, Any] = {"generator": torch.Generator().manual_seed(seed), "callback": count, "steps": steps}
        start = perf_counter()
        drawn = model.sample(judgement.n_samples, context=judgement.told, **how)
        taken, rows = perf_counter() - start, judgement.known(drawn, judgement.told)
        reached = judgement.distance(rows)
        yield {
            "share": share,
            "steps": steps,
            "evaluations": max(counts),
            "distance": reached,
            "floor": floor,
            "ratio": reached / floor if floor > 0 else float("nan"),
            "strays": stray_fraction(rows, judgement.seen),
            "sampling_seconds": taken,
            "log_likelihood": density,
        }


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
    given: Sequence[str] = (),
    **images: Any,
) -> pd.DataFrame:
    """Compare methods and write ``report.html``, ``figures/`` and ``comparison.json`` into a new or empty folder.

    Methods are named, or given by import paths ``package.module:Name``. ``features`` is what images are judged in, ``given`` are
    columns that are contexts, and ``images`` is how images are read, as arguments of `load`. Returned are the medians over the
    seeds.
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
    how: dict[str, Any] = {"training_steps": budget, "seeds": range(seeds), "features": features, "given": given}
    results = compare_methods(dataset, chosen, **how, progress=judged)
    table = _medians(results)
    conditionally = (
        f" Learned is what goes with {', '.join(given)}: samples are drawn given the values of one half of the held-out rows, "
        "and with these held against the other half; log-densities are those given them."
        if given
        else ""
    )
    report = Report(
        f"ncsn: methods on {dataset.name}",
        "Each method trains the same network for the same number of steps on the same data. Distances to held-out data are "
        "sliced W2 in standardised units, of images Fréchet distances in features, as multiples of the training set's own: 1.00 "
        "means as close as the training data are. Figures are medians over the seeds." + conditionally,
    )
    report.section("Quality by number of evaluations")
    caption = "Distance to held-out data by evaluations of the network a sample; bars span the seeds."
    report.figure(plot_quality_by_evaluations(results), "quality_by_evaluations", caption)
    report.table(table, formats={"ratio": ".2f", "lowest": ".2f", "highest": ".2f"})
    report.section("Environment")
    facts: dict[str, Any] = {"rows": len(dataset.values), "seeds": seeds, "training steps": budget or "by the plan"}
    if given:
        facts["given"] = ", ".join(given)
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
