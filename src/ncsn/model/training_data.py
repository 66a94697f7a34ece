"""Data ready to train on: encoded, with what a plan and the sampling need to know of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncsn.data import Encoding, split
from ncsn.data.splitting import picked
from ncsn.data.streams import Stream, as_data
from ncsn.errors import SettingError
from ncsn.model.contexts import checked_weights, columns_of_both, context_of, fit_contexts, read_context
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
    """Data ready to train on; what only training needs is made when it is asked for.

    Attributes:
        encoding: How data become rows.
        once: Each row once, or images as they are, which become rows a batch at a time.
        again: Draws the rows anew, where parts of them are drawn; None elsewhere.
        contexts: How contexts become what the network is told; None without.
    """

    encoding: Encoding
    once: Batches
    again: Callable[[], Tensor] | None = None
    contexts: Encoding | None = None

    @classmethod
    def of(
        cls,
        X: Any,
        y: Any = None,
        columns: Mapping[str, Any] | None = None,
        seed: int = 0,
        context: Any = None,
        weights: Any = None,
    ) -> TrainingData:
        """Encode data.

        Args:
            X: Data in their own units: array, tensor or data frame, or images.
            y: Class label of each row, or None; a quantity, of which some are fractions, is a context.
            columns: What columns of a data frame are said to be, those of contexts among them.
            seed: Seed of what is drawn for their atoms.
            context: What is known of each row, as `model.contexts.read_context` takes it, or None.
            weights: How much each row counts, ``(N,)``, or None for all alike. Rows of weight 0 are left out.

        Raises:
            DataError: The data cannot be used, or labels, contexts or weights do not fit them.
            SettingError: ``columns`` do not fit, or a stream has contexts or weights.
        """
        X, y, context = as_data(X), *context_of(y, None if context is None else read_context(context))
        if isinstance(X, Stream):
            if context is not None or weights is not None:
                raise SettingError("a stream has neither contexts nor weights: give the images as an array")
            encoding = Encoding.fit(X, y, columns)
            return cls(encoding, _pool(X, encoding))
        X = X if hasattr(X, "__len__") else np.asarray(X)
        drawn_by = None if weights is None else checked_weights(weights, len(X))
        if drawn_by is not None and not bool(drawn_by.all()):
            kept = drawn_by.numpy().nonzero()[0]
            X, y, context = (None if each is None else picked(each, kept) for each in (X, y, context))
            drawn_by = drawn_by[kept]
        columns, of_contexts = columns_of_both(columns, context)
        encoding = Encoding.fit(X, y, columns)
        contexts, told = (None, None) if context is None else fit_contexts(context, len(X), of_contexts)
        codes = None if y is None else encoding.codes(y, len(X))
        besides: dict[str, Any] = {"contexts": told, "weights": drawn_by}
        if encoding.images is not None:
            data: Any = X.detach().cpu() if isinstance(X, Tensor) else X if hasattr(X, "shape") else np.asarray(X)
            return cls(encoding, Batches(data, codes, encoding.image_rows, **besides), contexts=contexts)
        values, generator = encoding.values(X), torch.Generator().manual_seed(seed_from(seed))

        def drawn() -> Tensor:
            return encoding.rows(values, generator)

        return cls(encoding, Batches(drawn(), codes, **besides), drawn if encoding.draws else None, contexts)

    @property
    def is_stream(self) -> bool:
        """Whether rows pass by in batches."""
        return isinstance(self.once, StreamBatches)

    @property
    def n_classes(self) -> int:
        """Number of classes; 0 without labels."""
        return 0 if self.encoding.classes is None else len(self.encoding.classes)

    @property
    def n_rows(self) -> int:
        """Number of rows of the data."""
        return len(self.once)

    @property
    def codes(self) -> Tensor | None:
        """The code of each row's class, or None."""
        return self.once.labels

    @property
    def told(self) -> Tensor | None:
        """What the network is told of each row's context, ``(N, context_dim)`` or images, or None."""
        return self.once.contexts

    @cached_property
    def some(self) -> Tensor:
        """Rows that a plan is made for, in single precision: all, but of images."""
        if self.encoding.images is None:
            return self.once.rows(slice(None))
        return self.once.some(max(100, PLANNED_VALUES // math.prod(self.encoding.shape)))

    @cached_property
    def batches(self) -> Batches:
        """The rows to train on."""
        if self.again is None:
            return self.once
        # what is drawn for the atoms of a row is drawn often, so that training sees its distribution and not one draw
        repeats = max(1, DRAWN_ROWS // len(self.once))
        first: Any = self.once.data
        rows = torch.cat([first, *(self.again() for _ in range(repeats - 1))])
        codes, weights = (None if each is None else each.repeat(repeats) for each in (self.codes, self.once.weights))
        told = None if self.told is None else self.told.repeat(repeats, *[1] * (self.told.ndim - 1))
        return Batches(rows, codes, contexts=told, weights=weights)

    @cached_property
    def moments(self) -> Moments:
        """Means and covariances of the rows; of a stream, of those that are in its pool."""
        batches: Any = self.batches
        if self.encoding.images is None:
            return Moments.of(batches.data, batches.labels, self.n_classes, batches.weights)
        return Moments.of_chunks(batches.chunks(), self.n_classes, batches.weights)

    def plan(self, device: str | None = None, *, watched: bool = True, **given: Any) -> Plan:
        """Choose the settings; arguments are those of `plan.make_plan`, the device as in `training.device_type`."""
        where: dict[str, Any] = {"n_columns": self.encoding.n_columns, "n_rows": self.n_rows}
        where["contexts"] = self.told
        watched = watched and not self.is_stream
        return make_plan(self.some, **where, device=device_type(device), watched=watched, **given)

    def held_out(self, fraction: float, seed: int) -> tuple[Batches, Batches | None]:
        """Return the rows to train on, and those held out of them, in proportion from each class; None for a fraction of 0.

        Raises:
            SettingError: The data are a stream, whose rows come again.
        """
        if fraction == 0:
            return self.batches, None
        if self.is_stream:
            raise SettingError("rows of a stream cannot be held out: leave validation_fraction out, or 0")
        labels = None if self.codes is None else self.codes.numpy()
        parts = split(np.arange(self.n_rows), labels, fraction, seed)
        # where rows are drawn often, all draws of one are on the same side
        starts = np.arange(0, len(self.batches), self.n_rows)[:, None]
        kept, held = (torch.from_numpy((starts + rows).ravel()) for rows in (parts.train, parts.held_out))
        return self.batches.part(kept), self.batches.part(held)


def _pool(stream: Stream, encoding: Encoding) -> StreamBatches:
    """Return a pool of the first rows, in which training puts others."""

    def ready(images: NDArray[Any], labels: NDArray[Any] | None) -> tuple[Tensor, Tensor | None]:
        kept = images if images.dtype == np.uint8 else images.astype(np.float32)
        codes = None if labels is None else encoding.codes(labels, len(images))
        # of their own, as the pool is written into
        return torch.from_numpy(np.array(kept)), None if codes is None else codes.clone()

    pool, codes = ready(*stream.first())
    return StreamBatches(pool, codes, encoding.image_rows, stream=lambda: (ready(*each) for each in stream.batches()))
