"""Columns: how one column of a table, or all values of an image, become values of the model's rows, and back.

Each kind says how wide its part of a row is. A number is one value of mean 0 and standard deviation 1; a constant is none.
"""

import abc
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ncsn.errors import DataError


@dataclass(frozen=True)
class Column(abc.ABC):
    """A kind of column. All values are float64."""

    kind: ClassVar[str]

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """How many values of a row it takes."""

    @abc.abstractmethod
    def encode(self, values: Tensor) -> Tensor:
        """Return the part of the rows, ``(N, width)``, of values ``(N,)``; missing ones stay NaN."""

    @abc.abstractmethod
    def decode(self, part: Tensor) -> Tensor:
        """Return the values ``(N,)`` of a part of rows, ``(N, width)``."""

    @abc.abstractmethod
    def log_slope(self, values: Tensor) -> Tensor:
        """Return log |d part / d value| at values ``(N,)``, what a log-density gains in the data's own units.

        It is minus infinity where the column cannot hold the value.
        """

    @abc.abstractmethod
    def slope(self, values: Tensor) -> Tensor:
        """Return d part / d value, ``(N, width)``, by which a gradient is carried back."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"kind": self.kind} | asdict(self)


@dataclass(frozen=True)
class Number(Column):
    """A number, scaled to mean 0 and standard deviation 1.

    >>> Number(mean=5.0, scale=2.0).encode(torch.tensor([9.0]))
    tensor([[2.]])
    """

    kind: ClassVar[str] = "number"

    mean: float
    scale: float

    @property
    def width(self) -> int:
        """One."""
        return 1

    def encode(self, values: Tensor) -> Tensor:
        """Return (value - mean) / scale."""
        return ((values - self.mean) / self.scale).unsqueeze(1)

    def decode(self, part: Tensor) -> Tensor:
        """Return mean + scale x."""
        return part[:, 0] * self.scale + self.mean

    def log_slope(self, values: Tensor) -> Tensor:
        """Return -log scale."""
        return torch.full_like(values, -math.log(self.scale))

    def slope(self, values: Tensor) -> Tensor:
        """Return 1 / scale."""
        return torch.full_like(values, 1 / self.scale).unsqueeze(1)


@dataclass(frozen=True)
class Constant(Column):
    """A column that never varied: no part of a row."""

    kind: ClassVar[str] = "constant"

    value: float

    @property
    def width(self) -> int:
        """None at all."""
        return 0

    def encode(self, values: Tensor) -> Tensor:
        """Return nothing."""
        return values.new_empty(len(values), 0)

    def decode(self, part: Tensor) -> Tensor:
        """Return the value."""
        return part.new_full((len(part),), self.value)

    def log_slope(self, values: Tensor) -> Tensor:
        """Return 0 where the value is the constant, in single precision, which the network has."""
        same = values.float() == torch.tensor(self.value).float()
        return torch.zeros_like(values).masked_fill(~same, -torch.inf)

    def slope(self, values: Tensor) -> Tensor:
        """Return nothing."""
        return self.encode(values)


@dataclass(frozen=True)
class Pixels(Column):
    """All values of an image, by one mean and one standard deviation, which keeps pixels comparable.

    Values have the shape ``(N, *shape)``, and so has their part of a row, which is all of it. With mean 0 and scale 1 it is
    what passes rows through as they are.
    """

    kind: ClassVar[str] = "pixels"

    mean: float
    scale: float
    shape: tuple[int, ...]

    @property
    def width(self) -> int:
        """How many values an image has."""
        return math.prod(self.shape)

    def encode(self, values: Tensor) -> Tensor:
        """Return (value - mean) / scale, in the shape of the images."""
        return (values - self.mean) / self.scale

    def decode(self, part: Tensor) -> Tensor:
        """Return mean + scale x, in the shape of the images."""
        return part * self.scale + self.mean

    def log_slope(self, values: Tensor) -> Tensor:
        """Return -log scale of all values of an image, ``(N,)``."""
        return values.new_full((len(values),), -self.width * math.log(self.scale))

    def slope(self, values: Tensor) -> Tensor:
        """Return 1 / scale, in the shape of the images."""
        return torch.full_like(values, 1 / self.scale)


COLUMNS: dict[str, type[Column]] = {kind.kind: kind for kind in (Number, Constant, Pixels)}
"""Every kind of column by its name."""


def scales_of(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation of each column of float64 rows ``(N, D)``; 0 where it never varies.

    Raises:
        DataError: Values are not finite or too large for float64.

    >>> scales_of(torch.tensor([[1.0, 7.0], [3.0, 7.0]]).double())
    (tensor([2., 7.], dtype=torch.float64), tensor([1., 0.], dtype=torch.float64))
    """
    low, high = x.amin(0), x.amax(0)
    span = high - low
    if not span.isfinite().all():
        raise DataError("the values are not finite, or too large; fill missing cells, or use other units")
    # Shares of the span: squares of very large or very small values would leave the range of float64.
    unit = (x - low) / torch.where(span == 0, 1.0, span)
    return low + span * unit.mean(0), span * unit.std(0, correction=0)


def columns_of(values: Tensor) -> tuple[Column, ...]:
    """Choose the columns for float64 values, ``(N, D)`` or images ``(N, *shape)``.

    Raises:
        DataError: There are no values, they are not finite or too large, or none varies.
    """
    if values.numel() == 0 or values.ndim < 2:
        raise DataError(f"scaling needs rows of at least one feature, not values of shape {tuple(values.shape)}")
    images = values.ndim > 2
    means, scales = scales_of(values.reshape(-1, 1) if images else values)
    if not bool((scales > 0).any()):
        raise DataError("every column is constant: there is nothing to learn")
    if images:
        return (Pixels(float(means), float(scales), tuple(values.shape[1:])),)
    pairs = zip(means.tolist(), scales.tolist(), strict=True)
    return tuple(Number(mean, scale) if scale > 0 else Constant(mean) for mean, scale in pairs)


def columns_from(saved: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """Rebuild columns from what their `Column.to_dict` returned."""
    return tuple(
        COLUMNS[entry["kind"]](**{k: tuple(v) if k == "shape" else v for k, v in entry.items() if k != "kind"})
        for entry in saved
    )
