"""Data ready to train on: encoded, with what a plan and the sampling need to know of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncsn.data import Encoding
from ncsn.data.streams import Stream, as_data
from ncsn.model.moments import Moments
from ncsn.plan import Plan, make_plan
from ncsn.randomness import seed_from
from ncsn.training import Batches, StreamBatches, device_type

DRAWN_ROWS = 50_000
"""Rows up to which what is drawn for the atoms of a table is drawn again."""

PLANNED_VALUES = 10_000_000
"""Most values of images that a plan is made for."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Data ready to train on.

    Attributes:
        encoding: How data become rows.
        batches: The rows, or images as they are, which become rows a batch at a time.
        some: Rows that a plan is made for, in single precision.
        moments: Means and covariances of the rows.
        n_rows: Number of rows of the data.
        codes: The code of each row's class, or None.
    """

    encoding: Encoding
    batches: Batches
    some: Tensor
    moments: Moments
    n_rows: int
    codes: Tensor | None = None

    @classmethod
    def of(cls, X: Any, y: Any = None, columns: Mapping[str, Any] | None = None, seed: int = 0) -> TrainingData:
        """Encode data.

        Args:
            X: Data in their own units: array, tensor or data frame, or images.
            y: Class label of each row, or None.
            columns: What columns of a data frame are said to be.
            seed: Seed of what is drawn for their atoms.

        Raises:
            DataError: The data cannot be used, or the labels do not fit them.
            SettingError: ``columns`` do not fit.
        """
        X = as_data(X)
        encoding = Encoding.fit(X, y, columns)
        if isinstance(X, Stream):
            return _streamed(X, encoding)
        codes = None if y is None else encoding.codes(y, len(X))
        parts = _images(encoding, X, codes) if encoding.images is not None else _vectors(encoding, X, codes, seed)
        return cls(encoding, *parts, len(X), codes)

    @property
    def n_classes(self) -> int:
        """Number of classes; 0 without labels."""
        return 0 if self.encoding.classes is None else len(self.encoding.classes)

    def plan(self, device: str | None = None, **given: Any) -> Plan:
        """Choose the settings; arguments are those of `plan.make_plan`, the device as in `training.device_type`."""
        where: dict[str, Any] = {"n_columns": self.encoding.n_columns, "n_rows": self.n_rows}
        return make_plan(self.some, **where, device=device_type(device), **given)


Parts = tuple[Batches, Tensor, Moments]


def _vectors(encoding: Encoding, X: Any, codes: Tensor | None, seed: int) -> Parts:
    values = encoding.values(X)
    generator = torch.Generator().manual_seed(seed_from(seed))
    # what is drawn for the atoms of a row is drawn often, so that training sees its distribution and not one draw
    repeats = max(1, DRAWN_ROWS // len(values)) if encoding.draws else 1
    rows = torch.cat([encoding.rows(values, generator) for _ in range(repeats)])
    codes = None if codes is None else codes.repeat(repeats)
    n_classes = 0 if encoding.classes is None else len(encoding.classes)
    return Batches(rows, codes), rows[: len(values)].float(), Moments.of(rows, codes, n_classes)


def _images(encoding: Encoding, X: Any, codes: Tensor | None) -> Parts:
    """Images stay as they are until a batch of them is drawn."""
    data: Any = X.detach().cpu() if isinstance(X, Tensor) else X if hasattr(X, "shape") else np.asarray(X)
    return _parts_of(Batches(data, codes, encoding.image_rows), encoding)


def _parts_of(batches: Batches, encoding: Encoding) -> Parts:
    n_classes = 0 if encoding.classes is None else len(encoding.classes)
    some = batches.some(max(100, PLANNED_VALUES // math.prod(encoding.shape)))
    return batches, some, Moments.of_chunks(batches.chunks(), n_classes)


def _streamed(stream: Stream, encoding: Encoding) -> TrainingData:
    """A pool of the first rows, in which training puts others, and by which all is measured."""

    def ready(images: NDArray[Any], labels: NDArray[Any] | None) -> tuple[Tensor, Tensor | None]:
        kept = images if images.dtype == np.uint8 else images.astype(np.float32)
        codes = None if labels is None else encoding.codes(labels, len(images))
        # of their own, as the pool is written into
        return torch.from_numpy(np.array(kept)), None if codes is None else codes.clone()

    pool, codes = ready(*stream.first())
    batches = StreamBatches(
        pool, codes, encoding.image_rows, stream=lambda: (ready(*each) for each in stream.batches())
    )
    return TrainingData(encoding, *_parts_of(batches, encoding), len(pool), codes)
