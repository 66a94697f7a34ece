"""Samples, held-out and training data made ready to be compared: as rows of numbers on one scale, and as they came."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ncsn.data import Values, as_float64
from ncsn.errors import DataError, SettingError, unknown_name
from ncsn.evaluation.classifier import image_features
from ncsn.evaluation.distances import Points, points, some_of
from ncsn.evaluation.encoded import TableEncoding
from ncsn.evaluation.features import ImageFeatures, as_images, limits_of
from ncsn.evaluation.tables import Kinds

MOST_IMAGES = 20_000
"""Most images of a set that are compared."""


@dataclass(frozen=True)
class ComparedSet:
    """Points to compare.

    Args:
        rows: Them as numbers, ``(N, D)``; of images, their features.
        values: Them as they came: the data frame, or the rows in the shape of points or images.
        labels: The class that each of the samples was asked for, where it was.
    """

    rows: Points
    values: Any
    labels: NDArray[Any] | None = None

    def some(self, n: int, generator: Generator | None) -> ComparedSet:
        """Return at most ``n`` of the points, at random."""
        if len(self.rows) <= n:
            return self
        chosen = some_of(len(self.rows), n, generator)
        values = self.values.iloc[chosen] if isinstance(self.values, pd.DataFrame) else self.values[chosen]
        return ComparedSet(self.rows[chosen], values, None if self.labels is None else self.labels[chosen])


@dataclass(frozen=True)
class Sets:
    """What is compared with what.

    Args:
        made: Samples, the finite ones.
        kept: Held-out points.
        known: Training points.
        n_non_finite: How many samples were not finite.
        scaling: How the rows are scaled: ``standard``, ``range`` or ``none``.
        kinds: What the columns are, of data frames.
        features: What the rows are, of images.
        n_training: How many training points there were, of images, of which some are taken.
    """

    made: ComparedSet
    kept: ComparedSet
    known: ComparedSet
    n_non_finite: int
    scaling: str
    kinds: Kinds | None = None
    features: ImageFeatures | None = None
    n_training: int = 0


def sets_of(
    samples: Values,
    held_out: Values,
    training: Values,
    scaling: str | None = None,
    categorical: Collection[Hashable] | None = None,
    leave_out: Collection[Hashable] | None = None,
    features: Any = None,
    asked: Any = None,
    generator: Generator | None = None,
) -> Sets:
    """Make sets ready to be compared; the arguments are those of `compare`."""
    images = not isinstance(training, pd.DataFrame) and training.ndim > 2
    if not images and (features is not None or asked is not None):
        raise SettingError("features and asked are for images, and training holds none")
    if isinstance(training, pd.DataFrame):
        if scaling not in (None, "standard"):
            raise SettingError(f"a data frame is compared in standard scaling, column by column, not in {scaling!r}")
        kinds = Kinds.of(training, categorical, leave_out)
        return _tables(_frame(samples, training), _frame(held_out, training), training, kinds)
    if categorical is not None or leave_out is not None:
        raise SettingError("categorical and leave_out name columns of a data frame, and training is none")
    if images:
        return _images(samples, held_out, training, scaling, features, asked, generator)
    return _arrays(samples, held_out, training, scaling)


def _images(
    samples: Values,
    held_out: Values,
    training: Values,
    scaling: str | None,
    features: Any,
    asked: Any,
    generator: Generator | None,
) -> Sets:
    if scaling not in (None, "range"):
        raise SettingError(f"images are compared in features of pixels from black to white, not scaled by {scaling!r}")
    labels = None if asked is None else np.asarray(asked).reshape(-1)
    if labels is not None and len(labels) != len(samples):
        raise DataError(f"{len(labels)} classes asked for {len(samples)} samples; one a sample is needed")
    chosen = [some_of(len(images), MOST_IMAGES, generator) for images in (samples, held_out, training)]
    labels = None if labels is None else labels[chosen[0]]
    # in their own type, as features take them a few at a time
    made, kept, known = (
        as_images(images if len(rows) == len(images) else images[rows])
        for images, rows in zip((samples, held_out, training), chosen, strict=True)
    )
    for images in (made, kept):
        if images.shape[1:] != known.shape[1:]:
            raise DataError(
                f"points of shape {tuple(images.shape[1:])} given; those trained on {tuple(known.shape[1:])}"
            )
    finite = [images.isfinite().flatten(1).all(1) for images in (made, kept, known)]
    _check_left(len(made), int(finite[0].sum()))
    for name, images, whole in (("held-out", kept, finite[1]), ("training", known, finite[2])):
        if len(images) < 2 or not whole.all():
            bad = int((~whole).sum())
            raise DataError(f"{name}: {bad} of {len(images)} rows are not finite; two rows at least are to be, and all")
    limits = limits_of(known)
    used = image_features(features, known)
    labels = None if labels is None else labels[finite[0].cpu().numpy()]
    drawn, real, seen = (ComparedSet(used(images, limits), images) for images in (made[finite[0]], kept, known))
    n_bad = int((~finite[0]).sum())
    return Sets(replace(drawn, labels=labels), real, seen, n_bad, "range", features=used, n_training=len(training))


def _frame(values: Values, training: pd.DataFrame) -> pd.DataFrame:
    """Return values in the columns of the training table.

    Raises:
        DataError: They are others, or not as many.
    """
    if not isinstance(values, pd.DataFrame):
        array = as_float64(values).cpu().numpy()
        if array.shape[1:] != (len(training.columns),):
            raise DataError(
                f"points of shape {array.shape[1:]} given; the training table has {len(training.columns)} columns"
            )
        return pd.DataFrame(array, columns=training.columns)
    missing = [name for name in training if name not in values]
    extra = [name for name in values if name not in training]
    if missing or extra:
        raise DataError(f"the columns lack {missing} and have besides {extra}; training has {list(training.columns)}")
    return values[list(training.columns)]


def _tables(samples: pd.DataFrame, held_out: pd.DataFrame, training: pd.DataFrame, kinds: Kinds) -> Sets:
    made = samples[_finite(samples, kinds)]
    _check_left(len(samples), len(made))
    for table, name in ((held_out, "held-out"), (training, "training")):
        n_bad = int((~_finite(table, kinds)).sum())
        if n_bad:
            raise DataError(f"{name}: {n_bad} of {len(table)} rows are not finite; leave them out, and report how many")
    encoding = TableEncoding.fit(kinds, training, held_out, made)
    made_rows, kept, known = (
        ComparedSet(points(encoding.rows(table), name), table)
        for table, name in ((made, "samples"), (held_out, "held-out"), (training, "training"))
    )
    return Sets(made_rows, kept, known, len(samples) - len(made), "standard", kinds)


def _finite(table: pd.DataFrame, kinds: Kinds) -> NDArray[np.bool_]:
    return ~np.isinf(kinds.plain(table)[list(kinds.numbers)].to_numpy(np.float64)).any(axis=1)


def _arrays(samples: Values, held_out: Values, training: Values, scaling: str | None) -> Sets:
    made, kept, known = (x.reshape(-1, 1) if x.ndim < 2 else x for x in map(as_float64, (samples, held_out, training)))
    scaling = scaling or "standard"
    finite = made.flatten(1).isfinite().all(1)
    _check_left(len(made), int(finite.sum()))
    points(known, "training")
    scale = _scale(known, scaling)

    def scaled(values: Tensor, name: str) -> ComparedSet:
        rows = points(scale(values), name)
        return ComparedSet(rows, rows.reshape(len(rows), *values.shape[1:]))

    sets = scaled(made[finite], "samples"), scaled(kept, "held-out"), scaled(known, "training")
    return Sets(*sets, int((~finite).sum()), scaling)


def _check_left(n: int, n_finite: int) -> None:
    if n_finite < 2:
        raise DataError(f"samples: {n - n_finite} of {n} are not finite, too few are left; did sampling diverge?")


def _scale(training: Tensor, scaling: str) -> Callable[[Tensor], Tensor]:
    if scaling == "standard":
        flat = training if training.ndim == 2 else training.reshape(-1, 1)
        means, scales = flat.mean(0), flat.std(0, correction=0)
        scales = torch.where(flat.amax(0) == flat.amin(0), 1.0, scales)

        def standardised(x: Tensor) -> Tensor:
            # before one column is broadcast to many
            if x.shape[1:] != training.shape[1:]:
                raise DataError(
                    f"points of shape {tuple(x.shape[1:])} given; those trained on {tuple(training.shape[1:])}"
                )
            return (x - means.to(x.device)) / scales.to(x.device)

        return standardised
    if scaling == "none":
        return lambda x: x
    if scaling != "range":
        raise unknown_name("scaling", scaling, ["standard", "range", "none"])
    low, high = training.min(), training.max()
    if not low < high:
        raise DataError("training: the values are all equal or not finite, and have no range")
    return lambda x: 2 * (x - low) / (high - low) - 1
