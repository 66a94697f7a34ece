"""Sampling of consistency models in one or a few evaluations (Song et al. 2023, algorithm 1)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor

from ncsn.samplers.ancestral import renoised
from ncsn.samplers.base import CountedModel, Noise, State

__all__ = ["consistency"]


def consistency(model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
    """Leap to the end of the flow from each level but the last, adding noise up to the next level in between.

    Args:
        model: A consistency model: its call returns the end f(x, sigma) of the flow through x, not a score.
        x: Start, ``(N, *shape)``.
        sigmas: Levels, descending, at least two. The last is the level sigma_min where the model's flow ends: L levels
            take L - 1 evaluations.
        noise: Source of noise.

    Yields:
        The state after each evaluation. The last one is the sample itself, at sigma 0: nothing is left to denoise.

    Raises:
        ValueError: There is but one level.

    References:
        Song et al. 2023, algorithm 1.
    """
    levels = sigmas.tolist()
    if len(levels) < 2:
        raise ValueError("consistency needs two levels or more: where to start, and last where the model's flow ends")
    for step, following in enumerate(levels[1:], 1):
        end = model.score(x, sigmas[step - 1])
        x = renoised(x, end, 0.0, math.sqrt(following**2 - levels[-1] ** 2), noise)
        yield State(step, following if step < len(levels) - 1 else 0.0, x, end, model.evaluations)
