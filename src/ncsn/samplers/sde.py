"""Samplers by the reverse stochastic differential equation, with and without Langevin correction (Song et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ncsn.samplers.ancestral import renoised
from ncsn.samplers.base import CountedModel, Noise, State
from ncsn.score import denoised_from_score

__all__ = ["predictor_corrector", "reverse_sde"]


def reverse_sde(model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
    """Solve the reverse SDE by Euler and Maruyama in the time sigma^2: `predictor_corrector` without correction.

    In that time the variance-exploding SDE has the diffusion 1, and its reverse is dx = -s dt + dw, dt < 0. A step is
    x + (sigma^2 - sigma'^2) s + sqrt(sigma^2 - sigma'^2) z: the mean of `ancestral` with eta = 1, with (sigma/sigma')^2
    times its variance. The distribution converges with first order.

    Args:
        model: The score model.
        x: Start, ``(N, *shape)``.
        sigmas: Levels, descending.
        noise: Source of noise.

    Yields:
        The state after each step, one evaluation each.

    References:
        Song et al. 2021, eq. 6 and appendix E ("reverse diffusion").
    """
    return predictor_corrector(model, x, sigmas, noise, n_corrector_steps=0)


def predictor_corrector(
    model: CountedModel,
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    snr: float = 0.16,
    n_corrector_steps: int = 1,
) -> Iterator[State]:
    """Correct at each level by Langevin dynamics, then go down by reverse diffusion.

    The corrector is x + e s + sqrt(2 e) z with e = 2 (snr |z| / |s|)^2, norms averaged over blocks of samples, which
    are single samples where these have more than 2,048 values. Read in sigma it is the corrector of the VP and sub-VP
    SDE too, whose scale of x is the inverse of that of s and cancels, but for the factor alpha_t of the paper's
    algorithm 5: that is 1 - beta_t, next to 1, in the authors' code, and 1 here.

    In few dimensions it wants tens of samples walked together: of one or two the norms vary so much that their
    distribution suffers.

    Args:
        model: The score model.
        x: Start, ``(N, *shape)``.
        sigmas: Levels, descending.
        noise: Source of noise.
        snr: Signal-to-noise ratio r of the corrector's steps.
        n_corrector_steps: Langevin steps at each level, the first and the last included; 0 is `reverse_sde`.

    Yields:
        The state after each step, one evaluation each: L (M + 1) walk L levels with M corrector steps and denoise.

    Raises:
        ValueError: ``snr`` is not positive, or ``n_corrector_steps`` is negative.

    References:
        Song et al. 2021, algorithms 2 and 4, in the order of the authors' code, which corrects at the first level too.
    """
    if not 0 < snr < math.inf:
        raise ValueError(f"snr must be positive and finite, not {snr}")
    if n_corrector_steps < 0:
        raise ValueError(f"n_corrector_steps must not be negative, but is {n_corrector_steps}")
    levels = sigmas.tolist()
    step = 0
    for index, level in enumerate(levels):
        for _ in range(n_corrector_steps):
            step += 1
            score = model.score(x, sigmas[index])
            denoised = denoised_from_score(x, sigmas[index], score)
            z = noise.like(x)
            size = 2 * (snr * _norms(z, noise.block) / _norms(score, noise.block)).square()
            x = torch.addcmul(x, size, score).addcmul_((2 * size).sqrt(), z)
            yield State(step, level, x, denoised, model.evaluations)
        if index + 1 < len(levels):
            step += 1
            following = levels[index + 1]
            denoised = model.denoise(x, sigmas[index])
            fresh = math.sqrt(level**2 - following**2)
            x = renoised(x, denoised, (following / level) ** 2, fresh, noise)
            yield State(step, following, x, denoised, model.evaluations)


def _norms(rows: Tensor, block: int) -> Tensor:
    """Return the mean of the norms in each row's block, broadcastable to the rows."""
    norms = rows.flatten(1).norm(dim=1)
    means = torch.cat([part.mean().expand(len(part)) for part in norms.split(block)])
    return means.reshape(-1, *[1] * (rows.ndim - 1))
