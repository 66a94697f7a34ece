"""Deterministic samplers: the probability-flow ODE dx/dsigma = -sigma s(x, sigma), solved in few evaluations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from ncsn.samplers.driver import CountedModel, Noise, State

__all__ = ["dpmpp_2m", "euler", "heun"]


def euler(model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
    """Euler's method, one evaluation a step, first order: DDIM (Song, Meng & Ermon 2021) read in sigma.

    Args:
        model: The score model.
        x: Start, ``(N, *shape)``.
        sigmas: Levels, descending.
        noise: Not used.

    Yields:
        The state after each step.
    """
    for step, (sigma, following) in enumerate(pairwise(sigmas), 1):
        denoised = model.denoise(x, sigma)
        x = torch.lerp(denoised, x, following / sigma)
        yield State(step, float(following), x, denoised, model.evaluations)


def heun(
    model: CountedModel,
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    churn: float = 0.0,
    churn_min: float = 0.0,
    churn_max: float = math.inf,
    churn_noise: float = 1.0,
) -> Iterator[State]:
    """Heun's method, two evaluations a step, second order (Karras et al. 2022, algorithms 1 and 2).

    Args:
        model: The score model.
        x: Start, ``(N, *shape)``.
        sigmas: Levels, descending.
        noise: Source of the churn's noise.
        churn: S_churn: noise put back over the whole walk, at most a factor of sqrt(2) a step; 0 is deterministic.
        churn_min: Lowest level that churns.
        churn_max: Highest level that churns.
        churn_noise: Standard deviation of the churned noise, slightly above 1 to make up for lost variance.

    Yields:
        The state after each step.
    """
    gamma = min(churn / max(1, len(sigmas) - 1), math.sqrt(2) - 1)
    for step, (sigma, following) in enumerate(pairwise(sigmas), 1):
        if gamma > 0 and churn_min <= float(sigma) <= churn_max:
            raised = sigma * (1 + gamma)
            x = x + churn_noise * (raised.square() - sigma.square()).sqrt() * noise.like(x)
            sigma = raised
        denoised = model.denoise(x, sigma)
        slope = (x - denoised) / sigma
        predicted = x + (following - sigma) * slope
        denoised = model.denoise(predicted, following)
        x = x + (following - sigma) / 2 * (slope + (predicted - denoised) / following)
        yield State(step, float(following), x, denoised, model.evaluations)


def dpmpp_2m(model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
    """DPM-Solver++(2M), one evaluation a step, second order (Lu et al. 2022, algorithm 2).

    Args:
        model: The score model.
        x: Start, ``(N, *shape)``.
        sigmas: Levels, descending.
        noise: Not used.

    Yields:
        The state after each step.
    """
    earlier: Tensor | None = None
    last_step = torch.zeros(())
    for step, (sigma, following) in enumerate(pairwise(sigmas), 1):
        denoised = model.denoise(x, sigma)
        log_step = (sigma / following).log()
        extrapolated = denoised
        if earlier is not None:
            extrapolated = torch.lerp(earlier, denoised, 1 + log_step / (2 * last_step))
        x = torch.lerp(extrapolated, x, following / sigma)
        earlier, last_step = denoised, log_step
        yield State(step, float(following), x, denoised, model.evaluations)
