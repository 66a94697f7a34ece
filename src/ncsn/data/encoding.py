"""Encoding: data in their own units and container <-> rows of the model. Nothing else asks how rows relate to data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncsn.data.columns import Column, Pixels, columns_from, columns_of
from ncsn.data.container import Container
from ncsn.data.labels import encode_labels, label_codes
from ncsn.data.values import as_float64, check_values
from ncsn.errors import DataError, SettingError


@dataclass(frozen=True, eq=False)
class Encoding:
    """How data become rows, and rows data.

    Args:
        container: What the data come in: their container, types and columns' names.
        columns: How each column becomes a part of a row; of images a single one for all values.
        classes: The labels, sorted, or None.

    >>> encoding = Encoding.fit(np.array([[1.0, 7.0], [3.0, 7.0]]))
    >>> encoding.encode(np.array([[5.0, 7.0]]))
    tensor([[3.]], dtype=torch.float64)
    >>> encoding.decode(torch.tensor([[3.0]]))
    array([[5., 7.]])
    """

    container: Container
    columns: tuple[Column, ...]
    classes: NDArray[Any] | None = None

    @classmethod
    def fit(cls, X: Any, y: Any = None) -> Encoding:
        """Choose the columns for data.

        Args:
            X: Array, tensor or data frame, ``(N, D)``, or images ``(N, H, W)`` or ``(N, C, H, W)``.
            y: Class label of each row, or None.

        Raises:
            DataError: The data are not numbers, not finite, none or all constant, or the labels do not fit them.
        """
        values = _values(X)
        classes = None if y is None else encode_labels(y, len(values))[0]
        return cls(Container.of(X), columns_of(values), classes)

    @classmethod
    def identity(cls, shape: tuple[int, ...]) -> Encoding:
        """Return the encoding of tensors that are rows already."""
        return cls(Container("tensor", ("float32",)), (Pixels(0.0, 1.0, shape),))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a row."""
        images = self._images
        return (sum(column.width for column in self.columns),) if images is None else images.shape

    @property
    def data_shape(self) -> tuple[int, ...]:
        """The shape of a point of the data."""
        return (len(self.columns),) if self._images is None else self._images.shape

    @property
    def _images(self) -> Pixels | None:
        return next((column for column in self.columns if isinstance(column, Pixels)), None)

    def values(self, X: Any, *, gaps: bool = False) -> Tensor:
        """Return data like those that were fitted as float64 values, ``(N, *data_shape)``.

        Args:
            X: The data.
            gaps: Whether values may be missing; they are NaN.

        Raises:
            DataError: The data do not fit.
        """
        self.container.check_columns(X)
        values = _values(X, gaps=gaps)
        if tuple(values.shape[1:]) != self.data_shape:
            raise DataError(f"rows of shape {tuple(values.shape[1:])} given; the model was fitted on {self.data_shape}")
        return values

    def encode(self, X: Any, *, gaps: bool = False) -> Tensor:
        """Return data as rows, ``(N, *shape)``, float64; missing values stay NaN.

        Raises:
            DataError: The data do not fit.
        """
        return self.rows(self.values(X, gaps=gaps))

    def rows(self, values: Tensor) -> Tensor:
        """Return the rows of float64 values, ``(N, *data_shape)``."""
        if self._images is not None:
            return self._images.encode(values)
        return torch.cat([column.encode(values[:, i]) for i, column in enumerate(self.columns)], dim=1)

    def known(self, mask: Tensor) -> Tensor:
        """Return which values of the rows are known where the mask ``(N, *data_shape)`` says which of the data are."""
        if self._images is not None:
            return mask
        widths = torch.tensor([column.width for column in self.columns])
        return mask.repeat_interleave(widths.to(mask.device), dim=1)

    def data_values(self, rows: Tensor) -> Tensor:
        """Return rows as float64 values of the data, ``(N, *data_shape)``, on the CPU.

        Raises:
            DataError: The rows are of another shape.
        """
        if tuple(rows.shape[1:]) != self.shape:
            raise DataError(f"rows of shape {tuple(rows.shape[1:])} given; those of the model have {self.shape}")
        rows = rows.cpu().double()
        if self._images is not None:
            return self._images.decode(rows)
        parts = rows.split([column.width for column in self.columns], dim=1)
        return torch.stack([column.decode(part) for column, part in zip(self.columns, parts, strict=True)], dim=1)

    def decode(self, rows: Tensor, device: torch.device | str | None = None) -> Any:
        """Return rows as data, in the container that was fitted.

        Args:
            rows: Rows, ``(N, *shape)``.
            device: Where a tensor goes; where the data were when None.
        """
        return self.container.restore(self.data_values(rows), device)

    def log_det(self, values: Tensor) -> Tensor:
        """Return log |d row / d data| of float64 values, ``(N,)``: what a log-density of rows gains in the data's own units.

        It is minus infinity where the data cannot have a value.
        """
        if self._images is not None:
            return self._images.log_slope(values)
        return torch.stack([column.log_slope(values[:, i]) for i, column in enumerate(self.columns)]).sum(0)

    def gradient(self, values: Tensor, scores: Tensor) -> Tensor:
        """Return gradients by rows, ``(N, *shape)``, as gradients by the data's values, ``(N, *data_shape)``."""
        scores = scores.cpu().double()
        if self._images is not None:
            return scores * self._images.slope(values)
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
        if [type(column) for column in self.columns] != [type(column) for column in other.columns]:
            return False
        return all(_alike(one, two) for one, two in zip(self.columns, other.columns, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Raises:
            RunError: A column's label has no plain form.
        """
        return {
            "container": self.container.to_dict(),
            "columns": [column.to_dict() for column in self.columns],
            "classes": None if self.classes is None else self.classes.tolist(),
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Encoding:
        """Rebuild the encoding from what `to_dict` returned."""
        classes = None if saved["classes"] is None else np.array(saved["classes"])
        return cls(Container.from_dict(saved["container"]), columns_from(saved["columns"]), classes)


def _values(X: Any, *, gaps: bool = False) -> Tensor:
    """Return data as float64 values on the CPU, checked to be rows of finite numbers, or missing where there may be gaps."""
    Container.of(X)
    values = X.detach().cpu() if isinstance(X, Tensor) else X if isinstance(X, pd.DataFrame) else np.asarray(X)
    if values.ndim < 2:
        raise DataError(
            f"expected rows, (N, D) or (N, *shape), not {values.ndim} axes. Reshape your data by X.reshape(-1, 1) if it "
            "is one column, or by X.reshape(1, -1) if it is one row"
        )
    numbers = as_float64(values)
    check_values("X", X if isinstance(X, pd.DataFrame) else numbers.numpy(), min_rows=1, gaps=gaps)
    return numbers


def _alike(one: Column, other: Column) -> bool:
    mine, theirs = one.to_dict(), other.to_dict()
    if mine == theirs:
        return True
    scale = mine.get("scale", 0.0)
    size = scale + abs(mine.get("mean", mine.get("value", 0.0)))
    return all(
        value == theirs[name] or (isinstance(value, float) and math.isclose(value, theirs[name], abs_tol=1e-9 * size))
        for name, value in mine.items()
    )
