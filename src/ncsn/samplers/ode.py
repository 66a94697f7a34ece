"""Samplers by the probability-flow ODE dx/dsigma = -sigma s(x, sigma), solved in few evaluations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from ncsn.samplers.base import CountedModel, Noise, State
from ncsn.score import denoised_from_score

__all__ = ["dpmpp_2m", "heun"]


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
        churn: S_churn: noise put back over the whole walk, so that sigma rises by churn / L before each step, at most by
            the factor sqrt(2); 0 is deterministic.
        churn_min: Lowest level that churns.
        churn_max: Highest level that churns.
        churn_noise: Standard deviation of the churned noise, slightly above 1 to make up for lost variance.

    Yields:
        The state after each step.

    Raises:
        ValueError: ``churn`` or ``churn_noise`` is negative.
    """
    if not churn >= 0 or not churn_noise >= 0:
        raise ValueError(f"churn and churn_noise must not be negative, but are {churn} and {churn_noise}")
    levels = sigmas.tolist()
    gamma = min(churn / len(levels), math.sqrt(2) - 1)
    for step, (sigma, following) in enumerate(pairwise(sigmas), 1):
        if gamma > 0 and churn_min <= levels[step - 1] <= churn_max:
            raised = sigma * (1 + gamma)
            x = x + churn_noise * (raised.square() - sigma.square()).sqrt() * noise.like(x)
            sigma = raised
        slope = -sigma * model.score(x, sigma)
        predicted = x + (following - sigma) * slope
        score = model.score(predicted, following)
        x = x + (following - sigma) / 2 * (slope - following * score)
        yield State(step, levels[step], x, denoised_from_score(predicted, following, score), model.evaluations)


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
    levels = sigmas.tolist()
    log_steps = -sigmas.log().diff()
    earlier: Tensor | None = None
    for step, (sigma, following) in enumerate(pairwise(sigmas), 1):
        denoised = model.denoise(x, sigma)
        extrapolated = denoised
        if earlier is not None:
            extrapolated = torch.lerp(earlier, denoised, 1 + log_steps[step - 1] / (2 * log_steps[step - 2]))
        x = torch.lerp(extrapolated, x, following / sigma)
        earlier = denoised
        yield State(step, levels[step], x, denoised, model.evaluations)
