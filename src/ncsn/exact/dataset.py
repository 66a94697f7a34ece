"""The exact score of a data set."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.errors import DataError
from ncsn.exact.mixture import LOG2_E, MixtureScore, checked_sigma, floats
from ncsn.randomness import standard_normal


class EmpiricalScore(MixtureScore):
    """The exact score of a data set convolved with N(0, sigma^2 I): what a network trained on it would learn at best.

    score = (sum_j r_j y_j - x) / sigma^2 with r = softmax_j(-|x - y_j|^2 / (2 sigma^2)) (Karras et al. 2022, appendix
    B.3). Distances are computed from centred points in float64 whatever the dtype of ``x``, because the terms of
    |x|^2 - 2 x.y + |y|^2 cancel. MPS has float32 only: there the answer is accurate where sigma is more than about a
    hundredth of the spread of the data.

    Args:
        data: Points of any shape ``(M, *shape)``; integers become torch's default dtype. They are copied.
        labels: ``(M,)`` class of each point, integers from 0, for ``label=`` in the calls.
        chunk_size: Most entries of one block of rows times points, which bounds the memory of a call; by default 2**18
            on a CPU, whose cache that fits, and 2**24 elsewhere.

    Raises:
        DataError: The data are empty or not finite, or the labels do not fit them.

    >>> data_set = EmpiricalScore(torch.tensor([[0.0, 0.0], [4.0, 0.0]]))
    >>> data_set
    EmpiricalScore(2 points, shape=(2,))
    >>> data_set(torch.tensor([[3.0, 1.0]]), sigma=0.5)
    tensor([[ 4.0000, -4.0000]])
    """

    _component = "point"
    data: Tensor
    centre: Tensor

    def __init__(self, data: Any, labels: Any = None, *, chunk_size: int | None = None) -> None:
        data = floats("data", data)
        if not data.ndim or not data.numel():
            raise DataError(f"data must hold at least one point, (M, *shape), but has the shape {tuple(data.shape)}")
        super().__init__(len(data), data.shape[1:], labels, 1, data.device, chunk_size)
        self.register_buffer("data", data.contiguous())
        self.register_buffer("centre", data.mean(0).reshape(-1))

    @property
    def mean(self) -> Tensor:
        """The mean of the data, of their shape."""
        return self.centre.reshape(self.shape)

    @property
    def covariance(self) -> Tensor:
        """The covariance of the flattened data without noise, ``(D, D)``, divided by M as of the whole population."""
        return self.data.reshape(-1, self.dim).T.cov(correction=0).reshape(self.dim, self.dim)

    def _terms(self, x: Tensor, sigma: Tensor, index: slice | Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        centre = self.centre.to(x)
        points = self.data.reshape(-1, self.dim)[index].to(x) - centre
        queries = x - centre
        precision = sigma.square().reciprocal()
        scale = (LOG2_E * precision).expand(len(x), 1)
        constant = (self.dim / 2) * (2 * math.pi * sigma.square()).log2()
        rest = -scale * queries.square().sum(1, keepdim=True) / 2 - constant
        half_squares = points.square().sum(1, keepdim=True) / 2
        terms = (
            torch.cat([scale * queries, -scale, rest], 1)
            @ torch.cat([points, half_squares, torch.ones_like(half_squares)], 1).T
        )

        def scores_of(weights: Tensor) -> Tensor:
            pulled = nn.functional.linear(weights, points.T.to(weights.dtype).contiguous())
            return ((pulled - weights.sum(1, keepdim=True) * queries) * precision).to(weights.dtype)

        return terms, scores_of

    def _log_mass(self, members: Tensor | None) -> Tensor | float:
        return math.log(self.components if members is None else len(members))

    def _draw(self, n: int, members: Tensor | None, generator: torch.Generator | None) -> Tensor:
        high = self.components if members is None else len(members)
        device = self.data.device if generator is None else generator.device
        return torch.randint(high, (n,), generator=generator, device=device).to(self.data.device)

    def _place(self, components: Tensor, sigma: Tensor | float, generator: torch.Generator | None) -> Tensor:
        points = self.data[components]
        level = checked_sigma(sigma, points.reshape(len(points), self.dim), allow_zero=True)
        return points + level.reshape(-1, *[1] * len(self.shape)) * standard_normal(points, generator)
