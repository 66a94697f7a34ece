"""Exercises 4.1 and 4.2: noise and score, and DDPM's betas.

The truth of each is another road to the same place: autograd of a log-density, or the moments of DDPM's chain step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from ncsn.learn.declarations import Case, Exercise, Mistake
from ncsn.learn.lessons.truths import gradient_of_log_density
from ncsn.score import score_from_noise as library_score_from_noise

__all__ = ["ALPHA_BARS", "SCORE_FROM_NOISE", "betas_of", "chain_moments", "ddpm_betas"]


# 4.1


def score_from_noise_truth(noise: Tensor, sigma: Tensor) -> Tensor:
    """Return the score of N(0, sigma^2 I) where its noise is ``noise``, by autograd."""
    level = sigma[:, None]
    return gradient_of_log_density(Independent(Normal(torch.zeros_like(noise), level), 1), level * noise)


def score_from_noise_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make noise at levels from 0.01 to 50, one for each row."""
    for name, n, dim in (
        ("a batch of one", 1, 3),
        ("2 points in the plane, where a wrong axis does not show in the shape", 2, 2),
        ("7 points on a line", 7, 1),
        ("1,000 points in 10 dimensions", 1000, 10),
    ):
        sigma = 10 ** (3.7 * torch.rand(n, generator=generator) - 2)
        yield Case(name, (torch.randn(n, dim, generator=generator), sigma))
    wide = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    yield Case("double precision", (wide, torch.tensor([0.01, 0.1, 1.0, 2.0, 50.0], dtype=torch.float64)), 1e-12)


def score_from_noise_reference(noise: Tensor, sigma: Tensor) -> Tensor:
    """Return -noise / sigma."""
    return library_score_from_noise(sigma, noise)


def score_from_noise_written(noise: Tensor, sigma: Tensor, *, sign: float = -1, power: float = -1) -> Tensor:
    """Return -noise / sigma, with switches for the sign and the power of sigma."""
    return sign * noise * sigma[:, None] ** power


SCORE_FROM_NOISE = Exercise(
    number="4.1",
    title="read predicted noise as a score",
    name="score_from_noise",
    cases=score_from_noise_cases,
    truth=score_from_noise_truth,
    reference=score_from_noise_reference,
    against="autograd of the noise's log-density",
    written=score_from_noise_written,
    mistakes=(
        Mistake(
            "a turned sign: noise points from the datum to the noisy point, and the score points back.", {"sign": 1}
        ),
        Mistake(
            "sigma squared where sigma belongs: that is the formula for x̃ − x, which is sigma times the noise.",
            {"power": -2},
        ),
        Mistake("the way back, from score to noise: you multiply by sigma.", {"power": 1}),
        Mistake("a missing sigma: unit noise is as long at every level, and the score is not.", {"power": 0}),
    ),
)


# 4.2


def ddpm_betas(n_steps: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return DDPM's betas, from 1e-4 to 0.02 in 1,000 steps (Ho et al. 2020), steeper in fewer."""
    return (torch.linspace(1e-4, 0.02, n_steps, dtype=torch.float64) * min(10.0, 1000 / n_steps)).to(dtype)


def chain_moments(betas: Tensor) -> tuple[Tensor, Tensor]:
    """Return what is left of the data and how much variance has come in after each step, taken one step at a time."""
    left, variance = betas.new_ones(()), betas.new_zeros(())
    signal, noise = [], []
    for beta in betas:
        left = (1 - beta).sqrt() * left
        variance = (1 - beta) * variance + beta
        signal.append(left)
        noise.append(variance)
    return torch.stack(signal), torch.stack(noise)


def betas_of(alpha_bar: Tensor) -> Tensor:
    """Return the betas that lead to these alpha-bars."""
    before = torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])
    return 1 - alpha_bar / before


def alpha_bars_truth(betas: Tensor) -> Tensor:
    """Return the share of the data's variance that is left after each step, by taking the steps."""
    return chain_moments(betas)[0].square()


def alpha_bars_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make betas of 1 to 1,000 steps."""
    yield Case("a single step", (torch.tensor([0.3]),))
    yield Case("DDPM's own 1,000 betas", (ddpm_betas(1000),))
    yield Case("7 random betas", (0.5 * torch.rand(7, generator=generator),))
    yield Case("double precision", (ddpm_betas(100, torch.float64),), tolerance=1e-12)


def alpha_bars_reference(
    betas: Tensor,
    *,
    left: Callable[[Tensor], Tensor] = lambda betas: 1 - betas,
    gather: Callable[[Tensor], Tensor] = lambda left: left.cumprod(0),
    behind: bool = False,
    noise: bool = False,
    root: float = 1,
) -> Tensor:
    """Return the product of 1 - beta up to each step; the switches gather otherwise, shift, or return another share."""
    shares = gather(left(betas))
    shares = torch.cat([betas.new_ones(1), shares[:-1]]) if behind else shares
    return (1 - shares if noise else shares) ** root


ALPHA_BARS = Exercise(
    number="4.2",
    title="what DDPM's steps leave of the data",
    name="alpha_bars",
    cases=alpha_bars_cases,
    truth=alpha_bars_truth,
    reference=alpha_bars_reference,
    against="the chain taken step by step",
    mistakes=(
        Mistake(
            "alpha where alpha-bar belongs: what one step leaves. The bar says that all steps so far are multiplied up.",
            {"gather": torch.clone},
        ),
        Mistake(
            "the product of the betas: multiply up what each step leaves, 1 − beta, and not what it takes.",
            {"left": torch.clone},
        ),
        Mistake(
            "losses added up instead of multiplied: each step takes a share of what is still left.",
            {"gather": lambda left: 1 - (1 - left).cumsum(0)},
        ),
        Mistake("shares added up instead of multiplied.", {"gather": lambda left: left.cumsum(0)}),
        Mistake(
            "the square root of alpha-bar, the factor of the data. Alpha-bar itself is the factor of their variance.",
            {"root": 0.5},
        ),
        Mistake("one step behind: after the first step, its own beta has already acted.", {"behind": True}),
        Mistake(
            "exp(−sum of the betas): the limit of ever smaller steps, which the Score SDE takes. DDPM's steps are finite.",
            {"gather": lambda left: (left - 1).cumsum(0).exp()},
        ),
        Mistake("the share of noise, 1 − alpha-bar.", {"noise": True}),
        Mistake(
            "a product from the last step on: the first step's share is that of one step, the last one's that of all.",
            {"gather": lambda left: left.flip(0).cumprod(0).flip(0)},
        ),
        Mistake("shares that grow: each step leaves 1 − beta, not 1 + beta.", {"left": lambda betas: 1 + betas}),
    ),
)
