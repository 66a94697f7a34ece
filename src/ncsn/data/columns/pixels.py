"""All pixels of images, by one mean and one standard deviation."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncsn.data.columns.base import Column
from ncsn.errors import DataError


@dataclass(frozen=True)
class Pixels(Column):
    """All values of an image, by one mean and one standard deviation, which keeps pixels comparable.

    Their part of a row is all of it. With mean 0 and scale 1 it is what passes rows through as they are.

    Attributes:
        shape: The shape of a row.
        channels_last: Whether the images' values are ``(N, H, W, C)``, where rows are ``(N, C, H, W)``.
    """

    kind: ClassVar[str] = "pixels"

    mean: float
    scale: float
    shape: tuple[int, ...]
    channels_last: bool = False

    @property
    def width(self) -> int:
        """How many values an image has."""
        return math.prod(self.shape)

    @property
    def data_shape(self) -> tuple[int, ...]:
        """The shape of an image as it came."""
        return (*self.shape[1:], self.shape[0]) if self.channels_last else self.shape

    def to_rows(self, values: Tensor) -> Tensor:
        """Return what has the axes of the data in those of rows."""
        return values.movedim(-1, 1) if self.channels_last else values

    def to_data(self, rows: Tensor) -> Tensor:
        """Return what has the axes of rows in those of the data."""
        return rows.movedim(1, -1) if self.channels_last else rows

    def encode(self, values: Tensor, noise: Tensor) -> Tensor:
        """Return (value - mean) / scale, in the shape of rows."""
        return (self.to_rows(values) - self.mean) / self.scale

    def decode(self, part: Tensor) -> Tensor:
        """Return mean + scale x, in the shape of the images."""
        return self.to_data(part * self.scale + self.mean)

    def log_gain(self, values: Tensor, part: Tensor) -> Tensor:
        """Return -log scale of all values of an image, ``(N,)``."""
        return values.new_full((len(values),), -self.width * math.log(self.scale))

    def slope(self, values: Tensor) -> Tensor:
        """Return 1 / scale, in the shape of rows."""
        return torch.full_like(self.to_rows(values), 1 / self.scale)


def pixel_scale(parts: Callable[[], Iterable[NDArray[Any]]]) -> tuple[float, float]:
    """Return the mean and the standard deviation of all values of parts, in two passes; 0 where they never vary.

    Of integers of 16 bits at most the sums are whole numbers, and exact; of others each part's mean and sum of squares in
    float64 are merged (Chan, Golub & LeVeque 1983).

    Args:
        parts: Called for each pass over the parts, one of which is in memory at a time.

    Raises:
        DataError: Values are not finite, or too large for float64.

    >>> pixel_scale(lambda: [np.array([0, 255], dtype=np.uint8), np.array([0, 255], dtype=np.uint8)])
    (127.5, 127.5)
    """
    bounds = [(float(part.min()), float(part.max()), part.dtype.kind in "biu") for part in parts()]
    low, high = min(least for least, *_ in bounds), max(most for _, most, _ in bounds)
    span = high - low
    if not math.isfinite(span):
        raise DataError("the values are not finite, or too large; fill missing cells, or use other units")
    if span == 0:
        return low, 0.0
    if all(whole for *_, whole in bounds) and span < 2**16:
        return _exact(parts(), int(low))
    # shares of the span: squares of very large or very small values would leave the range of float64
    count, mean, squares = 0, 0.0, 0.0
    for part in parts():
        unit = (part.astype(np.float64) - low) / span
        apart, count = float(unit.mean()) - mean, count + unit.size
        mean += apart * (unit.size / count)
        squares += float(np.square(unit - unit.mean()).sum()) + apart**2 * unit.size * (1 - unit.size / count)
    return low + span * mean, span * math.sqrt(squares / count)


def _exact(parts: Iterable[NDArray[Any]], low: int) -> tuple[float, float]:
    """Return the mean and the standard deviation of integers that are less than 2^16 above the lowest, by whole sums."""
    count, total, squares = 0, 0, 0
    for part in parts:
        above = part.astype(np.int64) - low
        count, total = count + above.size, total + int(above.sum())
        squares += int(np.square(above, out=above).sum())
    return low + total / count, math.sqrt(count * squares - total**2) / count
