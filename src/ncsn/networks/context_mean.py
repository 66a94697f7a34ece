"""What contexts tell of rows by a linear regression, which a network then need not learn."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ncsn.score import is_no_context


class ContextMean(nn.Module):
    """The mean of rows that a linear function of their contexts tells; 0, the mean over all rows, without a context.

    A model that is asked at what lies beside this mean learns the rest alone. Noise leaves it where it is: the score of
    p_sigma(x | c) at x is that of the rest at x - mean(c).

    Args:
        context_dim: Numbers in a context.
        shape: Shape of one row.
    """

    slope: Tensor
    intercept: Tensor

    def __init__(self, context_dim: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.register_buffer("slope", torch.zeros(context_dim, math.prod(shape)))
        self.register_buffer("intercept", torch.zeros(math.prod(shape)))

    def set_to(self, slope: Tensor, intercept: Tensor) -> None:
        """Take the regression's slopes, ``(context_dim, D)``, and intercepts, ``(D,)``."""
        self.slope.copy_(slope)
        self.intercept.copy_(intercept)

    def forward(self, context: Tensor) -> Tensor:
        """Return the means, ``(N, *shape)``, given contexts ``(N, context_dim)``; a row of NaN stands for no context."""
        known = ~is_no_context(context)[:, None]
        clean = context.masked_fill(~known, 0).to(self.slope)
        return (known * torch.addmm(self.intercept, clean, self.slope)).reshape(-1, *self.shape)
