"""Samplers by the probability-flow ODE dx/dsigma = -sigma s(x, sigma), solved in few evaluations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
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
    stir = _churning(churn, len(sigmas), churn_min, churn_max, churn_noise, noise)
    for step, (level, following) in enumerate(pairwise(sigmas.tolist()), 1):
        x, sigma = stir(x, level)
        slope = -sigma * model.score(x, x.new_tensor(sigma))
        predicted = x + (following - sigma) * slope
        score = model.score(predicted, sigmas[step])
        x = x + (following - sigma) / 2 * (slope - following * score)
        yield State(step, following, x, denoised_from_score(predicted, sigmas[step], score), model.evaluations)


def dpmpp_2m(
    model: CountedModel,
    x: Tensor,
    sigmas: Tensor,
    noise: Noise,
    *,
    spread: float = 0.0,
    churn: float = 0.0,
    churn_min: float = 0.0,
    churn_max: float = math.inf,
    churn_noise: float = 1.0,
) -> Iterator[State]:
    """DPM-Solver++(2M), one evaluation a step, second order (Lu et al. 2022, algorithm 2).

    A linear part of the flow is followed exactly, and the rest is extrapolated from the model's last two answers. With
    ``spread`` 0 the linear part is that of data at one point, as published. With the data's own it is that of a Gaussian of
    this spread, and the rest is what EDM's networks learn (Karras et al. 2022, eq. 7), a velocity in the angle
    arctan(sigma / spread) (Lu & Song 2024): less is left to extrapolate.

    Args:
        model: The score model.
        x: Start, ``(N, *shape)``.
        sigmas: Levels, descending.
        noise: Source of the churn's noise.
        spread: Standard deviation of the data, whose mean is then taken to be 0.
        churn: As in `heun`, as are the other three.
        churn_min: Lowest level that churns.
        churn_max: Highest level that churns.
        churn_noise: Standard deviation of the churned noise.

    Yields:
        The state after each step.

    Raises:
        ValueError: ``spread``, ``churn`` or ``churn_noise`` is negative, or ``spread`` is not finite.
    """
    if not 0 <= spread < math.inf:
        raise ValueError(f"spread must be a finite number of at least 0, not {spread}")
    stir = _churning(churn, len(sigmas), churn_min, churn_max, churn_noise, noise)
    levels = sigmas.tolist()
    earlier: Tensor | None = None
    for step, (level, following) in enumerate(pairwise(levels), 1):
        x, sigma = stir(x, level)
        denoised = model.denoise(x, x.new_tensor(sigma))
        radius, next_radius = math.hypot(sigma, spread), math.hypot(following, spread)
        # the velocity times spread, which is finite where spread is 0
        velocity = (denoised - (spread / radius) ** 2 * x) * (radius / sigma)
        ahead = velocity
        if earlier is not None:
            # the levels before churn: fresh noise moves the velocity however near the level before lies
            ratio = math.log(level / following) / math.log(levels[step - 2] / level)
            ahead = torch.lerp(earlier, velocity, 1 + ratio / 2)
        # the angle that the step turns, over spread
        tangent = (sigma - following) / (spread**2 + sigma * following)
        angle = math.atan(spread * tangent) / spread if spread > 0 else tangent
        x = next_radius * (x / radius + angle * ahead)
        earlier = velocity
        yield State(step, following, x, denoised, model.evaluations)


def _churning(
    churn: float, n_levels: int, churn_min: float, churn_max: float, churn_noise: float, noise: Noise
) -> Callable[[Tensor, float], tuple[Tensor, float]]:
    """Return what adds noise to samples at a level, as it raises the level, and returns both."""
    if not churn >= 0 or not churn_noise >= 0:
        raise ValueError(f"churn and churn_noise must not be negative, but are {churn} and {churn_noise}")
    gamma = min(churn / n_levels, math.sqrt(2) - 1)

    def stir(x: Tensor, level: float) -> tuple[Tensor, float]:
        if gamma == 0 or not churn_min <= level <= churn_max:
            return x, level
        raised = level * (1 + gamma)
        return x + churn_noise * math.sqrt(raised**2 - level**2) * noise.like(x), raised

    return stir
