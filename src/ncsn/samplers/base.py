"""What samplers are made of: the state that they yield, the model that they call, the noise that they draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ncsn.score import ScoreModel, denoised_from_score

__all__ = ["CountedModel", "Noise", "Sampler", "State"]


@dataclass(frozen=True)
class State:
    """Where a sampler stands after a step.

    Attributes:
        step: Steps taken, from 1; 0 is the start.
        sigma: The noise level that ``x`` is at.
        x: The samples, ``(N, *shape)``.
        denoised: The model's latest estimate of the clean data, or None before the first.
        evaluations: Calls of the score model so far.
    """

    step: int
    sigma: float
    x: Tensor
    denoised: Tensor | None
    evaluations: int


class CountedModel:
    """A score model under a condition that counts its evaluations.

    Args:
        score_model: Called as ``score_model(x, sigma, **condition)``.
        condition: Keyword arguments of every call, such as ``label``.
    """

    def __init__(self, score_model: ScoreModel, condition: dict[str, Any] | None = None) -> None:
        self.score_model = score_model
        self.condition = condition or {}
        self.evaluations = 0

    def score(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the score at ``x`` and a scalar ``sigma``."""
        self.evaluations += 1
        return self.score_model(x, sigma, **self.condition)

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the posterior mean of the clean data."""
        return denoised_from_score(x, sigma, self.score(x, sigma))


class Noise:
    """Standard normal noise in blocks of rows, each with its own stream, so that chunks of whole blocks do not change it.

    Args:
        seeds: One seed for each block.
        block: Rows in a block.
        device: Where the noise is drawn.
    """

    def __init__(self, seeds: Sequence[int], block: int, device: torch.device) -> None:
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self.block = block

    def like(self, x: Tensor) -> Tensor:
        """Draw noise of the shape and type of ``x``, ``(N, *shape)``."""
        # not empty_like: the streams are laid out row by row whatever the layout of x
        out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        for rows, generator in zip(out.split(self.block), self.generators, strict=True):
            rows.normal_(generator=generator)
        return out


Sampler = Callable[..., Iterator[State]]
"""Called as ``sampler(model, x, sigmas, noise, **options)``; yields the state after each step."""
