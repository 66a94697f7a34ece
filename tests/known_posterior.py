"""A posterior that is known, with its exact score in the network's place."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from ncsn.inference import Posterior

PRIOR = MultivariateNormal(torch.zeros(2), torch.eye(2))
NOISE = 0.5
"""x = theta + 0.5 e; given m observations theta is N(4 sum x / (1 + 4 m), 1 / (1 + 4 m))."""

SETTINGS: dict[str, Any] = {"sigma_min": 2e-3, "sigma_max": 20.0, "random_state": 0}


class ExactGivenObservation(nn.Module):
    """The exact score of theta given x, and of the prior where x is NaN; x and theta in their own units."""

    def __init__(self, spread: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.spread = spread

    def forward(self, x: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        noise = sigma.square().reshape(-1, 1)
        given = (context.nan_to_num() / (1 + NOISE**2) - x) / (self.spread**2 * NOISE**2 / (1 + NOISE**2) + noise)
        return torch.where(context.isnan(), -x / (1 + noise), given) + 0 * self.weight


def exact_mean(x: Tensor) -> Tensor:
    return x.sum(0) / NOISE**2 / (1 + len(x) / NOISE**2)


def exact_spread(m: int) -> float:
    return float((1 + m / NOISE**2) ** -0.5)


def whitened(n: int, width: int, seed: int) -> Tensor:
    """Return rows of mean 0 and unit covariance, to rounding."""
    rows = torch.randn(n, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    rows = rows - rows.mean(0)
    return rows @ torch.linalg.inv(torch.linalg.cholesky(rows.T.cov(correction=0))).T


class InOwnUnits(ExactGivenObservation):
    """The same, of theta and x over their standard deviations, as they are encoded."""

    def forward(self, x: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        return super().forward(x, sigma, context * float(1 + NOISE**2) ** 0.5)


def simulate(theta: Tensor) -> Tensor:
    return theta + NOISE * torch.randn(theta.shape)


def exact_posterior(spread: float = 1.0, **how: Any) -> Posterior:
    """Return the exact posterior, or one whose draws have so many times its standard deviation."""
    both = whitened(1000, 4, 0)
    theta = both[:, :2]
    score = InOwnUnits(spread)
    posterior = Posterior(
        how.pop("simulate", None), PRIOR, score_net=score, training_steps=1, lr=1e-12, **SETTINGS, **how
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "score_net=.* is trained as the score")
        return posterior.fit((theta, theta + NOISE * both[:, 2:]))
