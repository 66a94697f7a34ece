"""A fitted model held against data that training never saw."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from ncsn.data import Encoding, split
from ncsn.data.column_types import Categories, Dates, Identifiers
from ncsn.data.splitting import picked
from ncsn.errors import DataError
from ncsn.evaluation.classifier import image_features
from ncsn.evaluation.comparison import Comparison, compare
from ncsn.evaluation.distances import some_of
from ncsn.evaluation.measure import Measure
from ncsn.evaluation.usefulness import train_on_synthetic

if TYPE_CHECKING:
    # distances and figures do not wait for what trains
    from ncsn.model import Model

JUDGED_ROWS = 5000
"""Most samples that a run is judged by."""

JUDGED_VALUES = 2**20
"""Most values of the held-out rows whose log-density is taken, but for those of 1,000 rows: it takes time for each value, and the
error of a mean falls with the rows."""

BOUND = "held-out log(density x probability), a lower bound"
"""What the log-likelihood of a table with atoms is called."""

JUDGED_PROBES = 4
"""Hutchinson's probes for the held-out log-likelihood of many dimensions: its mean over the rows averages them further."""


BITS_IMAGES = 64
"""Most held-out images whose bits per dimension are measured unless told."""


@dataclass(frozen=True)
class Bits:
    """Bits a value that held-out images of 8 bits take, by `Model.bits_per_dimension`.

    Attributes:
        mean: Their mean over the images.
        standard_error: That of the mean.
        n_images: How many were measured.
    """

    mean: float
    standard_error: float
    n_images: int

    def __str__(self) -> str:
        return (
            f"{self.mean:.3f} ± {self.standard_error:.3f} (mean and standard error of {self.n_images} held-out images; values "
            "0 to 255, to each a uniform draw from -0.5 to 0.5 is added: an upper bound)"
        )


@dataclass(frozen=True)
class Evaluation:
    """How good a model is, on data that training never saw.

    Attributes:
        comparison: Distances, each beside the training set's own.
        log_likelihood: Mean log-density of the held-out rows that can be, in nats and in the data's own units, a lower bound
            where the table has atoms (`Model.log_density`); None if not asked for.
        standardised_log_likelihood: The same in standardised units; None of tables with atoms, which have none.
        sampler: How the samples were drawn.
        trained_on: How well samples serve to learn a column from (`train_on_synthetic`); None if not asked for.
        is_bound: Whether the log-likelihood is a lower bound.
        n_impossible: Held-out rows that cannot be by the model, such as those of a category that training did not have, or whose
            contexts have such values.
        bits: Bits per dimension of some held-out images of 8 bits; None of other data, and of a model without a score.
    """

    comparison: Comparison
    log_likelihood: float | None
    standardised_log_likelihood: float | None
    sampler: str
    trained_on: Measure | None = None
    n_impossible: int = 0
    is_bound: bool = False
    bits: Bits | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return asdict(self) | {"comparison": self.comparison.to_dict()}

    def __str__(self) -> str:
        lines = [str(self.comparison)]
        if self.log_likelihood is not None:
            bound = BOUND if self.is_bound else "held-out log-likelihood"
            line = f"{bound}: {self.log_likelihood:.4g} nats a row in the data's own units"
            if self.standardised_log_likelihood is not None:
                line += f", {self.standardised_log_likelihood:.4g} in standardised units"
            lines.append(line)
        if self.bits is not None:
            lines.append(f"bits per dimension: {self.bits}")
        if self.n_impossible:
            rows = "1 held-out row" if self.n_impossible == 1 else f"{self.n_impossible:,} held-out rows"
            lines.append(f"{rows} cannot be by the model, for values that training never had, and are left out of it")
        if self.trained_on is not None:
            lines.append(
                f"trained on samples, tested on held-out rows: {self.trained_on.name} {self.trained_on.value:.3f}; "
                f"trained on real rows: {self.trained_on.floor:.3f}"
            )
        return "\n".join([*lines, f"samples: {self.sampler}"])


def comparable(encoding: Encoding, X: Any) -> Any:
    """Return data as they are compared: of a table without identifiers, and without text for dates; other data as they are."""
    if not encoding.table:
        return X
    columns = {}
    for column in encoding.table:
        if isinstance(column.type, Identifiers):
            continue
        cells = X[column.name]
        is_text = isinstance(column.type, Dates) and column.type.format is not None
        columns[column.name] = pd.Series(column.type.numbers(cells), index=X.index) if is_text else cells
    return pd.DataFrame(columns)


def jointly(model: Model, context: Any, X: Any) -> Any:
    """Return data as they are compared, with their contexts before them where there are some.

    Of images, and given images, it is the data alone: distances between some numbers and thousands of pixels see the pixels.
    """
    rows = comparable(model.encoding, X)
    if context is None or model.contexts is None or model.encoding.images or model.contexts.images:
        return rows
    told = comparable(model.contexts, context)
    if isinstance(told, pd.DataFrame) or isinstance(rows, pd.DataFrame):
        # of an array the columns have numbers, which both could have
        told, rows = (
            each if isinstance(each, pd.DataFrame) else pd.DataFrame(np.asarray(each)).add_prefix(name)
            for each, name in ((told, "c"), (rows, "x"))
        )
        return pd.concat([told.reset_index(drop=True), rows.reset_index(drop=True)], axis=1)
    return np.hstack([np.asarray(told).reshape(len(rows), -1), np.asarray(rows)])


def of_known_contexts(model: Model, held_out: Any, contexts: Any, *besides: Any) -> tuple[Any, ...]:
    """Return held-out rows, their contexts and what else is said of them, without those whose contexts training never had.

    Args:
        model: A fitted model.
        held_out: Rows.
        contexts: Their contexts, or None, where all rows stay.
        *besides: What else is said of each, such as labels, or None.

    Raises:
        DataError: No row is left.
    """
    if contexts is None or model.contexts is None or not model.contexts.table:
        return held_out, contexts, *besides
    known = model.contexts.known_rows(model.contexts.values(contexts, gaps=True, unseen=True, name="context"))
    if not bool(known.any()):
        raise DataError("all held-out rows have contexts with values that training never had: hold back others")
    return tuple(None if each is None else picked(each, known.numpy()) for each in (held_out, contexts, *besides))


def categories_of(encoding: Encoding, contexts: Encoding | None = None) -> list[Any] | None:
    """Return the columns of a table that are categories, and those of contexts; None of other data."""
    table = (*(() if contexts is None else contexts.table), *encoding.table)
    named = [column.name for column in table if isinstance(column.type, Categories)]
    return named if table else None


def mean_log_density(model: Model, X: Any, **options: Any) -> tuple[float | None, float | None, int]:
    """Return the mean log-density of the rows that can be, in nats, and how many cannot.

    Args:
        model: A fitted model with a score.
        X: Rows like those that were fitted.
        **options: Options of `Model.log_density`.

    Returns:
        The mean in the data's own units, None where no row can be; the same in standardised units, None where it is a bound;
        and the number of rows that are left out of both.
    """
    # of bounds one draw a row: their mean over the rows averages them further
    log_p = model.log_density(X, draws=1, **options)
    possible = log_p > -torch.inf
    n_impossible = int((~possible).sum())
    if n_impossible == len(log_p):
        return None, None, n_impossible
    density = float(log_p[possible].mean())
    if model.is_bound:
        return density, None, n_impossible
    values = model.encoding.values(X)
    in_rows = log_p - model.encoding.log_gain(values, model.encoding.rows(values))
    return density, float(in_rows[possible].mean()), n_impossible


def bits_of(model: Model, images: Any, n: int, generator: torch.Generator) -> Bits | None:
    """Return the bits per dimension of ``n`` images of 8 bits, at random; None of other data, and of fewer than two."""
    if isinstance(images, pd.DataFrame) or images.ndim < 3 or min(n, len(images)) < 2:
        return None
    if images.dtype not in (np.uint8, torch.uint8):
        return None
    some = images[some_of(len(images), n, generator)]
    # their mean averages over the probes of each
    found = model.bits_per_dimension(some, n_probes=1, tolerance=1e-3, generator=generator)
    return Bits(float(found.mean()), float(found.std()) / math.sqrt(len(found)), len(found))


def judge(
    model: Model,
    training: Any,
    held_out: Any,
    *,
    seed: int = 0,
    rows: int = JUDGED_ROWS,
    log_likelihood: bool = True,
    bits_images: int | None = None,
    target: Hashable = None,
    labels: Any = None,
    held_out_labels: Any = None,
    features: Any = None,
    contexts: Any = None,
    held_out_contexts: Any = None,
    **sampling: Any,
) -> Evaluation:
    """Draw samples and hold them against data that training never saw.

    Args:
        model: A fitted model.
        training: The rows it was fitted on.
        held_out: Rows that it never saw.
        seed: Seed of the samples and of the measures.
        rows: Most samples, and most held-out rows for the log-likelihood; of more than 209 columns that is of fewer, 1,337 of 784
            and never less than 1,000.
        log_likelihood: Whether to compute the held-out log-density, which takes the most time; a consistency model has none.
        bits_images: Held-out images of 8 bits whose bits per dimension are computed; when None 64, and none without
            ``log_likelihood``.
        target: A column of data frames that trees are to predict after training on the samples; none when None.
        labels: Classes of the training rows, of images. A model with classes is asked for those of some training rows, each as
            often, and what a classifier reads is held against them; with contexts for the classes that go with these.
        held_out_labels: Classes of the held-out rows; with them and ``labels``, and no ``features``, a classifier is trained
            whose features images are compared in (`train_classifier`).
        features: What images are compared in, as in `compare`.
        contexts: Contexts of the training rows, of a model with contexts. Samples are drawn given those of one half of the
            held-out rows, and both together are held against the other half; of and given images the samples alone.
        held_out_contexts: Contexts of the held-out rows.
        **sampling: Passed to `Model.sample`.

    Returns:
        The judgement.
    """

    def seeded() -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    model.encoding.container.check_columns(held_out)
    n_held_out = len(held_out)
    found = of_known_contexts(model, held_out, held_out_contexts, held_out_labels)
    held_out, held_out_contexts, held_out_labels = found
    n_impossible = n_held_out - len(held_out)
    n, asked = min(len(training), rows), None
    images = not model.encoding.table and training.ndim > 2
    if images:
        features = image_features(features, training, held_out, labels, held_out_labels, seed)
    if images and labels is not None and model.encoding.classes is not None and "label" not in sampling:
        asked = np.asarray(labels)[some_of(len(training), n, seeded())]
    told: dict[str, Any] = {} if asked is None else {"label": asked}
    of_samples, other_half, other_contexts = None, held_out, held_out_contexts
    known = None if contexts is None else model.contexts
    if contexts is not None:
        halves = split(held_out, holdout=0.5, seed=seed)
        of_halves = split(held_out_contexts, holdout=0.5, seed=seed)
        of_samples, other_half, other_contexts = of_halves.train[:n], halves.held_out, of_halves.held_out
        n, told["context"] = len(of_samples), of_samples
        if asked is not None:
            # the classes that go with these contexts
            of_classes = None if held_out_labels is None else np.asarray(held_out_labels)
            asked = None if of_classes is None else split(of_classes, holdout=0.5, seed=seed).train[:n]
            told["label"] = asked
    samples = model.sample(n, generator=seeded(), **sampling, **told)
    every = ((of_samples, samples), (other_contexts, other_half), (contexts, training))
    comparison = compare(
        *(jointly(model, each, rows) for each, rows in every),
        categorical=categories_of(model.encoding, known),
        leave_out=() if model.encoding.table or (known is not None and known.table) else None,
        generator=seeded(),
        features=features if images else None,
        asked=asked,
    )
    density, standardised = None, None
    if log_likelihood and model.method.gives_score:
        how: dict[str, Any] = {"n_probes": JUDGED_PROBES, "tolerance": 1e-4, "generator": seeded()}
        likely = min(rows, max(1000, JUDGED_VALUES // math.prod(model.encoding.shape)))
        if held_out_contexts is not None:
            how["context"] = held_out_contexts[:likely]
        density, standardised, n_never = mean_log_density(model, held_out[:likely], **how)
        n_impossible += n_never
    n_bits = (BITS_IMAGES if log_likelihood else 0) if bits_images is None else bits_images
    bits = bits_of(model, held_out, n_bits, seeded()) if model.method.gives_score else None
    trained_on = None
    if target is not None:
        trained_on = train_on_synthetic(samples, training, held_out, target, generator=seeded())
    options = ", ".join(f"{name}={value}" for name, value in sampling.items()) or "the method's own sampler"
    drawn = f"{n:,}, {options}" + ", given the contexts of held-out rows" * (contexts is not None)
    return Evaluation(comparison, density, standardised, drawn, trained_on, n_impossible, model.is_bound, bits)
