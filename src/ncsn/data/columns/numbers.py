"""Numbers: standardised, or constant."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ncsn.data.columns.base import Column
from ncsn.errors import DataError


@dataclass(frozen=True)
class Number(Column):
    """A number, scaled to mean 0 and standard deviation 1.

    >>> Number(mean=5.0, scale=2.0).encode(torch.tensor([9.0]), torch.zeros(1, 1))
    tensor([[2.]])
    """

    kind: ClassVar[str] = "number"

    mean: float
    scale: float

    @property
    def width(self) -> int:
        """One."""
        return 1

    def encode(self, values: Tensor, noise: Tensor) -> Tensor:
        """Return (value - mean) / scale."""
        return ((values - self.mean) / self.scale).unsqueeze(1)

    def decode(self, part: Tensor) -> Tensor:
        """Return mean + scale x."""
        return part[:, 0] * self.scale + self.mean

    def log_gain(self, values: Tensor, part: Tensor) -> Tensor:
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

    def encode(self, values: Tensor, noise: Tensor) -> Tensor:
        """Return nothing."""
        return values.new_empty(len(values), 0)

    def decode(self, part: Tensor) -> Tensor:
        """Return the value."""
        return part.new_full((len(part),), self.value)

    def log_gain(self, values: Tensor, part: Tensor) -> Tensor:
        """Return 0 where the value is the constant, in single precision, which the network has; of an empty column, NaN."""
        same = (values.float() == torch.tensor(self.value).float()) | (values.isnan() & math.isnan(self.value))
        return torch.zeros_like(values).masked_fill(~same, -torch.inf)

    def slope(self, values: Tensor) -> Tensor:
        """Return nothing."""
        return values.new_empty(len(values), 0)


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
