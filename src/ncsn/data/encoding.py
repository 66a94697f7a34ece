"""Encoding: data in their own units and container <-> rows of the model. Nothing else asks how rows relate to data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncsn.data.columns import NOTHING_TO_LEARN, Column, Pixels, WithGaps, column_from, columns_of, pixel_scale
from ncsn.data.container import Container
from ncsn.data.frames import as_pandas, library_of
from ncsn.data.grids import value_range_of
from ncsn.data.labels import encode_labels, label_codes
from ncsn.data.layout import has_channels_last
from ncsn.data.picked import Rows, chunks
from ncsn.data.streams import Stream, as_data
from ncsn.data.tables import TableColumn, describe
from ncsn.data.values import as_float64, check_values
from ncsn.errors import DataError, SettingError


@dataclass(frozen=True, eq=False)
class Encoding:
    """How data become rows, and rows data.

    Args:
        container: What the data come in: their container, types and columns' names.
        columns: How each column becomes a part of a row; of images a single one for all values.
        classes: The labels, sorted, or None.
        rules: What decided each column of a table; empty of other data.
        value_range: The values that are black and white of images: 0 and 255 of 8-bit ones, else the extremes of those
            that were fitted; None of other data, and of runs that do not know them.

    >>> encoding = Encoding.fit(np.array([[1.0, 7.0], [3.0, 7.0]]))
    >>> encoding.encode(np.array([[5.0, 7.0]]))
    tensor([[3.]], dtype=torch.float64)
    >>> encoding.decode(torch.tensor([[3.0]]))
    array([[5., 7.]])
    """

    container: Container
    columns: tuple[Column, ...]
    classes: NDArray[Any] | None = None
    rules: tuple[str, ...] = ()
    value_range: tuple[float, float] | None = None

    @classmethod
    def fit(cls, X: Any, y: Any = None, columns: Mapping[str, Any] | None = None) -> Encoding:
        """Choose the columns for data.

        Args:
            X: Array, tensor or data frame, ``(N, D)``; or images ``(N, H, W)``, ``(N, C, H, W)`` or ``(N, H, W, C)``, as an
                array, a tensor, `Rows`, a data set of torch, or a `Stream`, of which the first rows stand for all. Of images
                a part at a time is looked at.
            y: Class label of each row, or None; of a stream its own.
            columns: What columns of a data frame are said to be, as in `data.tables.describe`.

        Raises:
            DataError: The data cannot be used, none or all are constant, or the labels do not fit them.
            SettingError: ``columns`` do not fit.
        """
        X = as_data(X)
        if isinstance(X, Stream):
            if y is not None:
                raise SettingError("a stream has its labels in its batches: Stream(..., labels=True), not y")
            images, y = X.first()
            X = Rows(images, channels=X.channels)
        classes = None if y is None else encode_labels(y, len(X))[0]
        library, X = library_of(X), as_pandas(X)
        if isinstance(X, pd.DataFrame):
            check_values("X", X, min_rows=1, gaps=True)
            table = describe(X, columns)
            container = Container.of_frame(X, [column.name for column in table], [column.type for column in table])
            container = replace(container, library=library)
            return cls(container, tuple(column.column for column in table), classes, tuple(c.rule for c in table))
        if columns:
            raise SettingError("columns are of a data frame; this is none")
        container, X = Container.of(X), _checked(X)
        if X.ndim == 2:
            return cls(container, columns_of(as_float64(X)), classes)
        shape = tuple(X.shape[1:])
        last = has_channels_last(shape, X.channels if isinstance(X, Rows) else None)
        mean, scale = pixel_scale(lambda: map(_as_numbers, chunks(X)))
        if scale == 0:
            raise DataError(NOTHING_TO_LEARN)
        pixels = Pixels(mean, scale, (shape[2], *shape[:2]) if last else shape, last)
        return cls(container, (pixels,), classes, value_range=value_range_of(X))

    @classmethod
    def identity(cls, shape: tuple[int, ...]) -> Encoding:
        """Return the encoding of tensors that are rows already."""
        return cls(Container("tensor", ("float32",)), (Pixels(0.0, 1.0, shape),))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a row."""
        images = self.images
        return (sum(column.width for column in self.columns),) if images is None else images.shape

    @property
    def data_shape(self) -> tuple[int, ...]:
        """The shape of a point of the data."""
        return (len(self.columns),) if self.images is None else self.images.data_shape

    @property
    def n_columns(self) -> int | None:
        """How many columns of a table the rows come from; None of other data."""
        return sum(column.width > 0 for column in self.columns) if self.table else None

    @property
    def draws(self) -> bool:
        """Whether parts of the rows are drawn, so that log-densities are those of densities times probabilities."""
        return any(column.draws for column in self.columns)

    @property
    def table(self) -> tuple[TableColumn, ...]:
        """The columns of a table, each with what it holds and the rule that decided; empty of other data."""
        container = self.container
        if container.columns is None or not self.rules:
            return ()
        parts = zip(container.columns, container.types, self.columns, self.rules, strict=True)
        return tuple(TableColumn(*part) for part in parts)

    @property
    def images(self) -> Pixels | None:
        """How images become rows; None of other data."""
        return next((column for column in self.columns if isinstance(column, Pixels)), None)

    def values(self, X: Any, *, gaps: bool = False, unseen: bool = False, name: str = "X") -> Tensor:
        """Return data like those that were fitted as float64 values, ``(N, *data_shape)``.

        Args:
            X: The data.
            gaps: Whether values may be missing that never were in training; they are NaN.
            unseen: Whether there may be categories that training never saw.
            name: What the data are called in messages.

        Raises:
            DataError: The data do not fit.
        """
        X = as_data(as_pandas(X))
        self.container.check_columns(X)
        if self.container.columns is None:
            values = as_float64(_checked(X, gaps=gaps, name=name)).cpu()
        else:
            frame = X if isinstance(X, pd.DataFrame) else self._framed(X, name)
            values = torch.from_numpy(self.container.numbers(frame))
            self._check(frame, values, gaps, unseen, name)
        if tuple(values.shape[1:]) != self.data_shape:
            raise DataError(f"rows of shape {tuple(values.shape[1:])} given; the model was fitted on {self.data_shape}")
        return values

    def _framed(self, X: Any, name: str) -> pd.DataFrame:
        """Return an array as a frame of the columns that were fitted."""
        array = X.numpy(force=True) if isinstance(X, Tensor) else np.asarray(X)
        if array.shape[1:] != self.data_shape:
            raise DataError(f"rows of shape {array.shape[1:]} given; the model was fitted on {self.data_shape}")
        frame = pd.DataFrame(array, columns=self.container.columns)
        check_values(name, frame, min_rows=1)
        return frame

    def _check(self, frame: pd.DataFrame, values: Tensor, gaps: bool, unseen: bool, called: str) -> None:
        """Refuse cells of a table that its columns cannot hold."""
        parts = zip(self.container.columns, self.container.types, self.columns, strict=True)  # type: ignore[arg-type]
        for i, (name, type_, column) in enumerate(parts):
            cells = values[:, i].numpy()
            missing = np.isnan(cells)
            if missing.any() and not gaps and not isinstance(column, WithGaps) and column.width:
                row = int(np.argmax(missing))
                raise DataError(
                    f"{called}: a missing cell in row {row + 1}, column {name!r}, where training had none; fill it, or drop "
                    "the row"
                )
            wrong = ~missing & ~(np.isfinite(cells) if unseen else type_.holds(cells))
            if wrong.any():
                row = int(np.argmax(wrong))
                cell = str(frame[name].iloc[row])
                raise DataError(f"{called}: row {row + 1}, column {name!r} holds {cell!r}, none of its {type_.words}")

    def known_rows(self, values: Tensor) -> Tensor:
        """Return which rows of values, ``(N,)``, hold neither a gap nor a category that training never had."""
        known = torch.ones(len(values), dtype=torch.bool)
        for i, (type_, column) in enumerate(zip(self.container.types, self.columns, strict=True)):
            cells = values[:, i].numpy()
            gaps = np.isnan(cells) & (column.width > 0 and not isinstance(column, WithGaps))
            known &= torch.from_numpy(~gaps & (np.isnan(cells) | type_.holds(cells)))
        return known

    def encode(self, X: Any, *, gaps: bool = False, generator: torch.Generator | None = None) -> Tensor:
        """Return data as rows, ``(N, *shape)``, float64; see `rows`.

        Raises:
            DataError: The data do not fit.
        """
        return self.rows(self.values(X, gaps=gaps), generator)

    def rows(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the rows of float64 values, ``(N, *data_shape)``.

        Args:
            values: The values, NaN where one is missing: the rows have NaN there, or where the column knows of gaps, noise.
            generator: Source of what is drawn; the middle of it when None.
        """
        if self.images is not None:
            return self.images.encode(values, values.new_empty(0))
        widths = [column.width for column in self.columns]
        if generator is not None and self.draws:
            noise = torch.randn(len(values), sum(widths), generator=generator, dtype=torch.float64)
        else:
            noise = torch.zeros(len(values), sum(widths), dtype=torch.float64)
        parts = zip(self.columns, noise.split(widths, dim=1), strict=True)
        return torch.cat([column.encode(values[:, i], part) for i, (column, part) in enumerate(parts)], dim=1)

    def image_rows(self, values: Tensor) -> Tensor:
        """Return the rows of a batch of images as they came, in float32 and on their device.

        Args:
            values: Images of any real type, ``(n, *data_shape)``; not checked.

        Raises:
            DataError: The encoding is of other data than images.
        """
        if self.images is None:
            raise DataError("rows of a table are not made a batch at a time; use rows")
        # in single precision, where they have no more
        floats = values.to(torch.promote_types(values.dtype, torch.float32))
        return self.images.encode(floats, floats.new_empty(0)).float()

    def known(self, mask: Tensor, *, complete: bool = False) -> Tensor:
        """Return which values of the rows are known where the mask ``(N, *data_shape)`` says which of the data are.

        Args:
            mask: True where a value is known.
            complete: Whether what is not known is known to be there, in columns that may have missing cells.
        """
        if self.images is not None:
            return self.images.to_rows(mask)
        parts = []
        for i, column in enumerate(self.columns):
            part = mask[:, i : i + 1].repeat(1, column.width)
            if complete and isinstance(column, WithGaps):
                part[:, 0] = True
            parts.append(part)
        return torch.cat(parts, dim=1)

    def data_values(self, rows: Tensor) -> Tensor:
        """Return rows as float64 values of the data, ``(N, *data_shape)``, on the CPU.

        Raises:
            DataError: The rows are of another shape.
        """
        if tuple(rows.shape[1:]) != self.shape:
            raise DataError(f"rows of shape {tuple(rows.shape[1:])} given; those of the model have {self.shape}")
        rows = rows.cpu().double()
        if self.images is not None:
            return self.images.decode(rows)
        parts = rows.split([column.width for column in self.columns], dim=1)
        return torch.stack([column.decode(part) for column, part in zip(self.columns, parts, strict=True)], dim=1)

    def decode(self, rows: Tensor, device: torch.device | str | None = None) -> Any:
        """Return rows as data, in the container that was fitted.

        Args:
            rows: Rows, ``(N, *shape)``.
            device: Where a tensor goes; where the data were when None.
        """
        return self.container.restore(self.data_values(rows), device)

    def log_gain(self, values: Tensor, rows: Tensor) -> Tensor:
        """Return what the log-density of rows gains in the data's own units, ``(N,)``, at float64 values with these rows.

        Of continuous data it is log |d row / d data|; an atom gains -log of the density that its part was drawn from. It is
        minus infinity where the data cannot have a value.
        """
        rows = rows.cpu().double()
        if self.images is not None:
            return self.images.log_gain(values, rows)
        parts = rows.split([column.width for column in self.columns], dim=1)
        gains = [
            column.log_gain(values[:, i], part)
            for i, (column, part) in enumerate(zip(self.columns, parts, strict=True))
        ]
        return torch.stack(gains).sum(0)

    def gradient(self, values: Tensor, scores: Tensor) -> Tensor:
        """Return gradients by rows, ``(N, *shape)``, as gradients by the data's values, ``(N, *data_shape)``."""
        scores = scores.cpu().double()
        if self.images is not None:
            return self.images.to_data(scores * self.images.slope(values))
        parts = scores.split([column.width for column in self.columns], dim=1)
        carried = [
            (part * column.slope(values[:, i])).sum(1)
            for i, (column, part) in enumerate(zip(self.columns, parts, strict=True))
        ]
        return torch.stack(carried, dim=1)

    def codes(self, label: Any, n: int) -> Tensor | None:
        """Return the code of each row's label, ``(n,)``; None for no label.

        Args:
            label: One label, or one for each row; None for none.
            n: Number of rows.

        Raises:
            SettingError: There are no classes, a label is unknown, or there are too many or too few.
        """
        return label_codes(self.classes, label, n)

    def label_of(self, text: str) -> Any:
        """Return the label that is written as a text.

        Raises:
            SettingError: There is none.
        """
        if self.classes is None:
            raise SettingError("the model was trained without --label, so it has no classes to draw")
        matches = [value for value in self.classes if str(value) == text]
        if not matches:
            raise SettingError(f"unknown label {text!r}; known: {', '.join(map(str, self.classes))}")
        return matches[0]

    def fits(self, other: Encoding) -> bool:
        """Return whether both are of the same data, up to the order in which sums were taken, and of the same classes."""
        mine, theirs = ([] if one.classes is None else one.classes.tolist() for one in (self, other))
        return mine == theirs and self.same_data(other)

    def same_data(self, other: Encoding) -> bool:
        """Return whether both are of the same data, up to the order in which sums were taken."""
        # numbers stand for the same only in columns of the same types
        mine, theirs = ([column.to_dict() for column in one.columns] for one in (self, other))
        types, others = ([type_.to_dict() for type_ in one.container.types] for one in (self, other))
        return _alike([mine, types], [theirs, others])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Raises:
            RunError: A column's label has no plain form.
        """
        return {
            "container": self.container.to_dict(),
            "columns": [column.to_dict() for column in self.columns],
            "classes": None if self.classes is None else self.classes.tolist(),
            "rules": list(self.rules),
            "value_range": self.value_range,
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Encoding:
        """Rebuild the encoding from what `to_dict` returned."""
        classes = None if saved["classes"] is None else np.array(saved["classes"])
        columns = tuple(map(column_from, saved["columns"]))
        ends = saved.get("value_range")
        value_range = None if ends is None else (float(ends[0]), float(ends[1]))
        return cls(
            Container.from_dict(saved["container"]), columns, classes, tuple(saved.get("rules", ())), value_range
        )


def _checked(X: Any, *, gaps: bool = False, name: str = "X") -> Any:
    """Return data, a list as an array, checked to be rows of finite numbers, or missing where there may be gaps."""
    values = X if isinstance(X, Tensor | Rows | pd.DataFrame) else np.asarray(X)
    if values.ndim < 2:
        raise DataError(
            f"expected rows, (N, D) or (N, *shape), not {values.ndim} axes. Reshape your data by X.reshape(-1, 1) if it "
            "is one column, or by X.reshape(1, -1) if it is one row"
        )
    if not isinstance(X, pd.DataFrame):
        Container.of(values)
    check_values(name, values, min_rows=1, gaps=gaps)
    return values


def _as_numbers(part: NDArray[Any]) -> NDArray[Any]:
    """Return a part of images in its own type, if that is one of numbers."""
    return part if part.dtype.kind in "biuf" else as_float64(part).numpy()


def _alike(one: Any, other: Any, size: float = 1.0) -> bool:
    """Return whether plain values are the same but for the order in which sums of numbers of a size were taken."""
    if isinstance(one, dict) and isinstance(other, dict):
        size = sum(abs(one.get(name, 0.0)) for name in ("scale", "mean", "value")) or size
        return one.keys() == other.keys() and all(_alike(value, other[name], size) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(_alike(*both, size) for both in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, abs_tol=1e-9 * size) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)
