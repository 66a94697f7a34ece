"""Preconditioning: how a network's input and output are scaled, and the modules that make a model of a network.

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
from ncsn.processes import PROCESSES, Process
from ncsn.score import expand_sigma

__all__ = ["PRECONDITIONINGS", "Coefficients", "ConsistencyModel", "PreconditionedScore"]


class Coefficients(NamedTuple):
    """One row at given sigma: ``denoised = x + shift x + out F(scale x, noise)``, so ``shift`` is c_skip - 1."""

    shift: Tensor
    out: Tensor
    scale: Tensor
    noise: Tensor


def _raw_score(sigma: Tensor, spread: float, sigma_min: float) -> Coefficients:
    return Coefficients(torch.zeros_like(sigma), sigma.square(), torch.ones_like(sigma), sigma.log())


def _scaled_score(sigma: Tensor, spread: float, sigma_min: float) -> Coefficients:
    return Coefficients(torch.zeros_like(sigma), sigma, torch.ones_like(sigma), sigma.log())


def _noise_of(process: Process) -> Callable[[Tensor, float, float], Coefficients]:
    """Return the row of a network that predicts the noise from the process's own scale of x."""

    def row(sigma: Tensor, spread: float, sigma_min: float) -> Coefficients:
        # the logarithm of the time: the embedding has room for octaves, and half of them lie below time 0.03
        return Coefficients(torch.zeros_like(sigma), -sigma, process.alpha(sigma), process.time(sigma).log())

    return row


def _edm(sigma: Tensor, spread: float, sigma_min: float) -> Coefficients:
    total = sigma.square() + spread**2
    return Coefficients(-sigma.square() / total, sigma * spread * total.rsqrt(), total.rsqrt(), sigma.log() / 4)


def _consistency(sigma: Tensor, spread: float, sigma_min: float) -> Coefficients:
    total, above = sigma.square() + spread**2, sigma - sigma_min
    return Coefficients(
        -above.square() / (above.square() + spread**2), above * spread * total.rsqrt(), total.rsqrt(), sigma.log() / 4
    )


PRECONDITIONINGS: dict[str, Callable[[Tensor, float, float], Coefficients]] = {
    "raw_score": _raw_score,
    "scaled_score": _scaled_score,
    "noise_vp": _noise_of(PROCESSES["vp"]),
    "noise_sub_vp": _noise_of(PROCESSES["sub_vp"]),
    "edm": _edm,
    "consistency": _consistency,
}
"""The rows, as functions of sigma, the data's spread and sigma_min: the page's raw score, NCSNv2's score / sigma, the noise
as DDPM and the VP and sub-VP SDE predict it, EDM's (Karras et al. 2022, table 1) and the consistency models' (Song et al.
2023, appendix C)."""


class PreconditionedScore(nn.Module):
    """A score model made of a network F and a row of coefficients (Karras et al. 2022, table 1).

    Args:
        network: Called as ``network(x, noise, **condition)`` with ``x`` of shape ``(N, *shape)`` and ``noise`` of shape
            ``()`` or ``(N,)``; returns the shape of ``x``.
        preconditioning: A name of `PRECONDITIONINGS`.
        spread: Standard deviation of the data, whose mean is 0; a network that returns zero is then the score of the
            Gaussian of that spread (in the row ``edm``).
        sigma_min: The level at which a consistency model returns its input; the other rows do not use it.

    Raises:
        ValueError: The preconditioning is unknown, or the spread is not positive and finite.
    """

    def __init__(
        self, network: nn.Module, preconditioning: str = "edm", spread: float = 1.0, sigma_min: float = 0.0
    ) -> None:
        super().__init__()
        if preconditioning not in PRECONDITIONINGS:
            raise unknown_name("preconditioning", preconditioning, PRECONDITIONINGS)
        if not 0 < spread < math.inf:
            raise ValueError(f"spread must be positive and finite, not {spread}")
        self.network = network
        self.preconditioning = preconditioning
        self.spread = spread
        self.sigma_min = sigma_min

    def forward(self, x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        """Return the score at ``x`` of shape ``(N, *shape)``; ``sigma`` is a scalar or ``(N,)``."""
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        return self._change(x, sigma, condition) / expand_sigma(sigma, x).square()

    def _change(self, x: Tensor, sigma: Tensor, condition: dict[str, Any]) -> Tensor:
        """Return denoised - x."""
        row = PRECONDITIONINGS[self.preconditioning](expand_sigma(sigma, x), self.spread, self.sigma_min)
        output = self.network(row.scale * x, row.noise.reshape(sigma.shape), **condition)
        return row.shift * x + row.out * output

    def extra_repr(self) -> str:
        """Name the row of coefficients."""
        return f"preconditioning={self.preconditioning!r}, spread={self.spread:g}"


class ConsistencyModel(PreconditionedScore):
    """A model of the end of the probability-flow ODE through x, called as a score model is (Song et al. 2023, eq. 5).

    It is no score: only the sampler ``consistency`` takes it. At ``sigma_min`` it returns x itself.

    Args:
        network: As in `PreconditionedScore`.
        preconditioning: A name of `PRECONDITIONINGS`; ``consistency`` has the boundary condition.
        spread: Standard deviation of the data, whose mean is 0.
        sigma_min: Where the flow ends.

    Raises:
        ValueError: As in `PreconditionedScore`.
    """

    def forward(self, x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        """Return the end of the flow through ``x`` of shape ``(N, *shape)``; ``sigma`` is a scalar or ``(N,)``."""
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        return x + self._change(x, sigma, condition)
