"""Samplers that estimate the clean data, keep a part of the noise that is left, and add fresh noise.

Each of their steps is x' = D + kept (x - D) + fresh z, from the level sigma to the level sigma', with D the denoised x.
Two numbers say which sampler it is; with r = sigma'/sigma they are

- `ancestral`: kept = r sqrt(1 - eta^2 (1 - r^2)) and fresh = eta sigma' sqrt(1 - r^2); eta = 0 is `ddim`;
- `consistent_annealed`: kept = 1 - step_size / (2 sigma_min^2) and fresh = sqrt(sigma'^2 - kept^2 sigma^2);
- `ncsn.samplers.sde.reverse_sde`: kept = r^2 and fresh = sqrt(sigma^2 - sigma'^2);
- `ncsn.samplers.consistency.consistency`: kept = 0 and fresh = sqrt(sigma'^2 - sigma_min^2), D being the flow's end.

In the first two kept^2 sigma^2 + fresh^2 = sigma'^2: noise around a point takes exactly the variance of the next level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from ncsn.errors import check_count
from ncsn.samplers.base import CountedModel, Noise, State

__all__ = ["ancestral", "consistent_annealed", "ddim", "renoised"]


def ancestral(model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise, *, eta: float = 1.0) -> Iterator[State]:
    """Draw each level from the posterior given the denoised data: DDPM's sampler (Ho, Jain & Abbeel 2020, algorithm 2).

    The posterior q(x' | x, x0) of levels sigma' < sigma has the variance sigma'^2 (sigma^2 - sigma'^2) / sigma^2.
    Samples are DDPM's own divided by alpha, with the smaller of the two variances that its authors tried.

    Args:
        model: The score model.
        x: Start, ``(N, *shape)``.
        sigmas: Levels, descending.
        noise: Source of noise.
        eta: Share of the posterior's standard deviation that is drawn afresh: 1 is DDPM, 0 is DDIM (Song, Meng & Ermon
            2021, eq. 16).

    Yields:
        The state after each step, one evaluation each.

    Raises:
        ValueError: ``eta`` is not in [0, 1].
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie between 0 (DDIM) and 1 (DDPM), not {eta}")

    def coefficients(sigma: float, following: float) -> tuple[float, float]:
        ratio = following / sigma
        lost = 1 - ratio**2
        return ratio * math.sqrt(1 - eta**2 * lost), eta * following * math.sqrt(lost)

    return _descend(model, x, sigmas, noise, coefficients)


def ddim(model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
    """Walk without fresh noise: `ancestral` with eta = 0, Euler's method for the probability-flow ODE in sigma.

    Args:
        model: The score model.
        x: Start, ``(N, *shape)``.
        sigmas: Levels, descending.
        noise: Not used.

    Yields:
        The state after each step, one evaluation each; first order.

    References:
        Song, Meng & Ermon 2021, eq. 12 and 13.
    """
    return ancestral(model, x, sigmas, noise, eta=0.0)


def consistent_annealed(
    model: CountedModel,
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    n_steps_per_sigma: int = 1,
    step_size: float | None = None,
) -> Iterator[State]:
    """Walk as annealed Langevin does, with noise that gives each level exactly its variance.

    A step is x + eta sigma^2 s + sqrt(sigma'^2 - (1 - eta)^2 sigma^2) z with eta = step_size / (2 sigma_min^2): of T
    steps at a level, T - 1 stay there (sigma' = sigma) and one goes down, so T L evaluations walk L levels and denoise.

    The variance is exact around a point, that is where the data are much narrower than sigma. Of a Gaussian of variance
    c each step loses eta^2 sigma^2 c / (c + sigma^2).

    Args:
        model: The score model.
        x: Start, ``(N, *shape)``.
        sigmas: Levels, descending.
        noise: Source of noise.
        n_steps_per_sigma: Steps T at each level.
        step_size: epsilon, the step alpha of `annealed_langevin` at the last level, of x + (alpha/2) s + ...: twice
            that of the paper. When None eta = 1.2 (1 - r) with r the smallest ratio of neighbouring levels, a fifth above
            the least, as every step loses some of the data's own variance. Where T is 1 and the levels are geometric, the
            least is `ddim` and eta = 1 - r^2 `ancestral`.

    Yields:
        The state after each step, one evaluation each.

    Raises:
        ValueError: The count is not positive, or the step size is too small or too large for these levels.

    References:
        Jolicoeur-Martineau et al. 2021, "consistent annealed sampling".
    """
    check_count("n_steps_per_sigma", n_steps_per_sigma)
    levels = sigmas.tolist()
    if step_size is None and len(levels) == 1 and n_steps_per_sigma > 1:
        raise ValueError("a single level has no ratio to choose the step size by: give step_size")
    ratio = min((following / sigma for sigma, following in pairwise(levels)), default=1.0)
    unit = 2 * levels[-1] ** 2
    kept = max(0.0, 1 - 1.2 * (1 - ratio)) if step_size is None else 1 - step_size / unit
    if not -ratio <= kept <= ratio:
        low, high = unit * (1 - ratio), unit * (1 + ratio)
        raise ValueError(f"step_size must lie between {low:.4g} and {high:.4g} for these levels, not {step_size}")

    def coefficients(sigma: float, following: float) -> tuple[float, float]:
        return kept, math.sqrt(max(0.0, following**2 - (kept * sigma) ** 2))

    return _descend(model, x, sigmas.repeat_interleave(n_steps_per_sigma), noise, coefficients)


def _descend(
    model: CountedModel,
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    coefficients: Callable[[float, float], tuple[float, float]],
) -> Iterator[State]:
    """Walk from level to level with the numbers (kept, fresh) of each pair of levels."""
    levels = sigmas.tolist()
    for step, (sigma, following) in enumerate(pairwise(levels), 1):
        denoised = model.denoise(x, sigmas[step - 1])
        x = renoised(x, denoised, *coefficients(sigma, following), noise)
        yield State(step, following, x, denoised, model.evaluations)


def renoised(x: Tensor, denoised: Tensor, kept: float, fresh: float, noise: Noise) -> Tensor:
    """Return denoised + kept (x - denoised) + fresh z; no noise is drawn where ``fresh`` is 0."""
    x = torch.lerp(denoised, x, kept)
    return x.add_(noise.like(x), alpha=fresh) if fresh > 0 else x
