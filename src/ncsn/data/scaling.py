"""Held-out rows, and scaling to mean 0 and standard deviation 1 and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ncsn.data.values import Values, as_float64
from ncsn.errors import DataError

__all__ = [
    "Split",
    "Standardizer",
    "split",
]


class Split(NamedTuple):
    """Training and held-out rows, of the type that was split, with their labels."""

    train: Any
    held_out: Any
    train_labels: Any
    held_out_labels: Any


def split(values: Values, labels: Any = None, holdout: float = 0.2, seed: int = 0) -> Split:
    """Hold rows back at random, in proportion from each class where there are labels.

    Rows are shuffled, put in the order of their labels, and taken at even distances from a random start; so a class of
    any size, even of one row, is held back in proportion, to within one row. Neither side is ever empty.

    Args:
        values: Data frame, array or tensor with the rows first.
        labels: One label per row, array or tensor, or None.
        holdout: The share to hold back, between 0 and 1, or (as an int) the number of rows. A share of 0.2 by default.
        seed: The same seed holds back the same rows.

    Returns:
        Both parts, each in the order of the original rows; data frames keep their index.

    Raises:
        DataError: There are fewer than two rows, or not one label per row.
        ValueError: ``holdout`` leaves one side empty.

    >>> train, held_out, *_ = split(np.arange(10), holdout=0.3)
    >>> len(train), len(held_out)
    (7, 3)
    """
    n = len(values)
    if n < 2:
        raise DataError(f"{n} row{'s' if n != 1 else ''} cannot be split; at least 2 are needed")
    if labels is not None and len(labels) != n:
        raise DataError(f"{len(labels)} labels for {n} rows; one label per row is needed")
    whole = isinstance(holdout, Integral)
    if not 0 < holdout < (n if whole else 1):
        raise ValueError(
            f"holdout must be a share between 0 and 1, or from 1 to {n - 1} of the {n} rows, not {holdout}"
        )
    count = int(holdout) if whole else min(max(round(holdout * n), 1), n - 1)
    generator = Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator).numpy()
    if labels is not None:
        order = order[np.argsort(np.unique(np.asarray(labels), return_inverse=True)[1][order], kind="stable")]
    start = torch.rand((), dtype=torch.float64, generator=generator).item()
    held = np.zeros(n, dtype=bool)
    held[order[((np.arange(count) + start) * (n / count)).astype(int)]] = True

    def rows(of: Any, mask: NDArray[np.bool_]) -> Any:
        return of[torch.from_numpy(mask)] if isinstance(of, Tensor) else None if of is None else of[mask]

    return Split(rows(values, ~held), rows(values, held), rows(labels, ~held), rows(labels, held))


@dataclass(frozen=True, eq=False)
class Standardizer:
    """Scaling to mean 0 and standard deviation 1, and back; all tensors in float64.

    Vectors are scaled per feature. Images (more than two axes) are scaled by one mean and one standard deviation over
    all pixels, which keeps their pixels comparable. A feature that never varies keeps a scale of 1: it standardises to
    exactly 0, and exactly 0 is inverted to exactly its value.

    Args:
        mean: Mean, ``(D,)`` for vectors, a scalar for images.
        scale: Standard deviation (of the population, as in scikit-learn), of the shape of ``mean``; 1 where constant.
        constant: Which features never vary, of the shape of ``mean``.
        shape: Shape of one point, such as ``(D,)`` or ``(C, H, W)``.

    >>> scaling = Standardizer.fit(np.array([[1.0, 7.0], [3.0, 7.0]]))
    >>> scaling.transform(np.array([[5.0, 7.0]]))
    tensor([[3., 0.]], dtype=torch.float64)
    >>> scaling.inverse(torch.tensor([[3.0, 0.0]]))
    tensor([[5., 7.]], dtype=torch.float64)
    """

    mean: Tensor
    scale: Tensor
    constant: Tensor
    shape: tuple[int, ...]

    @classmethod
    def fit(cls, values: Values) -> Standardizer:
        """Learn the scaling from ``(N, *shape)`` values.

        Raises:
            DataError: There are no rows, or values are not finite or too large for float64.
        """
        x = as_float64(values)
        shape = tuple(x.shape[1:])
        if x.numel() == 0 or x.ndim < 2:
            raise DataError(f"scaling needs rows of at least one feature, not values of shape {tuple(x.shape)}")
        rows = x if x.ndim == 2 else x.reshape(-1, 1)
        low, high = rows.amin(0), rows.amax(0)
        span = high - low
        if not span.isfinite().all():
            raise DataError("the values are not finite, or too large; fill missing cells, or use other units")
        constant = span == 0
        # Shares of the span: squares of very large or very small values would leave the range of float64.
        unit = (rows - low) / torch.where(constant, 1.0, span)
        mean = low + span * unit.mean(0)
        scale = torch.where(constant, 1.0, span * unit.std(0, correction=0))
        if x.ndim > 2:
            mean, scale, constant = mean.squeeze(0), scale.squeeze(0), constant.squeeze(0)
        return cls(mean, scale, constant, shape)

    def transform(self, values: Values) -> Tensor:
        """Standardise ``(N, *shape)`` values; missing values stay NaN.

        Raises:
            DataError: The shape of a point is not the one that was fitted.
        """
        x = self._checked(values)
        return (x - self.mean.to(x.device)) / self.scale.to(x.device)

    def inverse(self, standardised: Values) -> Tensor:
        """Return standardised points ``(N, *shape)`` in the data's own units.

        Raises:
            DataError: The shape of a point is not the one that was fitted.
        """
        z = self._checked(standardised)
        return z * self.scale.to(z.device) + self.mean.to(z.device)

    def log_det(self) -> float:
        """Return log |d standardised / d data|, over the features that vary.

        Added to a log-density of standardised points it gives the log-density in the data's own units, in nats.
        """
        per_feature = math.prod(self.shape) // self.mean.numel()
        return -per_feature * float(self.scale.log()[~self.constant].sum())

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists that JSON keeps exactly."""
        return {
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "constant": self.constant.tolist(),
            "shape": list(self.shape),
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Standardizer:
        """Rebuild the scaling from what `to_dict` returned."""
        mean, scale = (torch.tensor(saved[key], dtype=torch.float64) for key in ("mean", "scale"))
        return cls(mean, scale, torch.tensor(saved["constant"], dtype=torch.bool), tuple(saved["shape"]))

    def _checked(self, values: Values) -> Tensor:
        x = as_float64(values)
        if tuple(x.shape[1:]) != self.shape:
            raise DataError(f"points of shape {tuple(x.shape[1:])} given; the data fitted have {self.shape}")
        return x
