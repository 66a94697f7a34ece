"""Preconditioning: how a network's input and output are scaled, and the module that makes a score model of a network.

Every method of the lineage is one row: denoised(x, sigma) = c_skip x + c_out F(c_in x, c_noise). The rows state
c_skip - 1 instead of c_skip, because the score needs (denoised - x) / sigma^2 without cancellation at small sigma.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ncsn.errors import unknown_name
from ncsn.score import expand_sigma

__all__ = ["PRECONDITIONINGS", "Coefficients", "PreconditionedScore"]


class Coefficients(NamedTuple):
    """One row at given sigma: ``denoised = x + shift x + out F(scale x, noise)``, so ``shift`` is c_skip - 1."""

    shift: Tensor
    out: Tensor
    scale: Tensor
    noise: Tensor


def _raw_score(sigma: Tensor, spread: float) -> Coefficients:
    return Coefficients(torch.zeros_like(sigma), sigma.square(), torch.ones_like(sigma), sigma.log())


def _scaled_score(sigma: Tensor, spread: float) -> Coefficients:
    return Coefficients(torch.zeros_like(sigma), sigma, torch.ones_like(sigma), sigma.log())


def _edm(sigma: Tensor, spread: float) -> Coefficients:
    total = sigma.square() + spread**2
    return Coefficients(-sigma.square() / total, sigma * spread * total.rsqrt(), total.rsqrt(), sigma.log() / 4)


PRECONDITIONINGS: dict[str, Callable[[Tensor, float], Coefficients]] = {
    "raw_score": _raw_score,
    "scaled_score": _scaled_score,
    "edm": _edm,
}
"""The rows: the page's raw score, NCSNv2's score / sigma, and EDM's (Karras et al. 2022, table 1)."""


class PreconditionedScore(nn.Module):
    """A score model made of a network F and a row of coefficients (Karras et al. 2022, table 1).

    Args:
        network: Called as ``network(x, noise, **condition)`` with ``x`` of shape ``(N, *shape)`` and ``noise`` of shape
            ``()`` or ``(N,)``; returns the shape of ``x``.
        preconditioning: A name of `PRECONDITIONINGS`.
        spread: Standard deviation of the data, whose mean is 0; a network that returns zero is then the score of the
            Gaussian of that spread (in the row ``edm``).

    Raises:
        ValueError: The preconditioning is unknown, or the spread is not positive and finite.
    """

    def __init__(self, network: nn.Module, preconditioning: str = "edm", spread: float = 1.0) -> None:
        super().__init__()
        if preconditioning not in PRECONDITIONINGS:
            raise unknown_name("preconditioning", preconditioning, PRECONDITIONINGS)
        if not 0 < spread < math.inf:
            raise ValueError(f"spread must be positive and finite, not {spread}")
        self.network = network
        self.preconditioning = preconditioning
        self.spread = spread

    def forward(self, x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        """Return the score at ``x`` of shape ``(N, *shape)``; ``sigma`` is a scalar or ``(N,)``."""
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        level = expand_sigma(sigma, x)
        row = PRECONDITIONINGS[self.preconditioning](level, self.spread)
        output = self.network(row.scale * x, row.noise.reshape(sigma.shape), **condition)
        return (row.shift * x + row.out * output) / level.square()

    def extra_repr(self) -> str:
        """Name the row of coefficients."""
        return f"preconditioning={self.preconditioning!r}, spread={self.spread:g}"
