"""What samplers are made of: the sampler itself, the state that it yields, the model that it calls, the noise it draws."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from ncsn.errors import SettingError
from ncsn.noise import Levels
from ncsn.parts import Part
from ncsn.score import ScoreModel, denoised_from_score, evaluate

GROUP = 64
"""Samples over which a sampler's step size may average; a walk of such a sampler holds whole groups."""


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

    def score(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Return the score at ``x`` and a scalar ``sigma``."""
        self.evaluations += 1
        return evaluate(self.score_model, x, _scalar(sigma, x), self.condition)

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Return the posterior mean of the clean data."""
        return denoised_from_score(x, _scalar(sigma, x), self.score(x, sigma))


def _scalar(sigma: Tensor | float, x: Tensor) -> Tensor:
    return sigma if isinstance(sigma, Tensor) else x.new_full((), sigma)


class Noise:
    """Standard normal noise in blocks of rows, each with its own stream.

    So the noise of a row depends neither on how many rows are walked nor on which are walked together.

    Args:
        seed: The seed of all streams.
        first: The number of the first block.
        block: Rows in a block.
        device: Where the noise is drawn.
    """

    def __init__(self, seed: int, first: int, block: int, device: torch.device) -> None:
        self.seed = seed
        self.first = first
        self.block = block
        self.device = device
        self._generators: list[torch.Generator] = []

    def like(self, x: Tensor) -> Tensor:
        """Draw noise of the shape and type of ``x``, ``(N, *shape)``."""
        blocks = -(-len(x) // self.block)
        for k in range(len(self._generators), blocks):
            self._generators.append(torch.Generator(self.device).manual_seed(_mixed(self.seed + self.first + k)))
        # whole blocks: what is drawn for the first rows of a block depends on how many are drawn
        out = torch.empty((blocks * self.block, *x.shape[1:]), dtype=x.dtype, device=x.device)
        for rows, generator in zip(out.split(self.block), self._generators, strict=True):
            rows.normal_(generator=generator)
        return out[: len(x)]

    def group_means(self, values: Tensor) -> Tensor:
        """Return the mean over each row's group of values ``(N,)``, for each row again."""
        place = torch.arange(len(values), device=values.device)
        # groups begin anew in each block
        group = place // self.block * -(-self.block // GROUP) + place % self.block // GROUP
        sums = values.new_zeros(int(group[-1]) + 1).index_add(0, group, values)
        return (sums / group.bincount().to(values))[group]


def _mixed(number: int) -> int:
    """Return a seed whose bits are all of the number's making (the finaliser of SplitMix64; Steele et al. 2014)."""
    mask = 2**64 - 1
    z = number * 0x9E3779B97F4A7C15 & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return z ^ z >> 31


Steps = Callable[..., Iterator[State]]
"""A sampler as a function: called as ``steps(model, x, sigmas, noise, **options)``, it yields the state after each step."""


@dataclass(frozen=True, repr=False)
class Sampler(Part):
    """A sampler: its options as fields, and one step. One of your own is a frozen dataclass with `step`.

    A step goes from the level ``sigma`` to the level ``following`` below it and returns the samples there, and the model's
    estimate of the clean data. What remembers earlier steps, or takes several at a level, has `walk` instead. Noise comes
    from ``noise.like(x)`` only: then samples depend neither on their number nor on which are walked together.

    >>> @dataclass(frozen=True, repr=False)
    ... class Euler(Sampler):
    ...     def step(self, model, x, sigma, following, noise):
    ...         denoised = model.denoise(x, sigma)
    ...         return torch.lerp(denoised, x, following / sigma), denoised
    >>> from ncsn.samplers import sample
    >>> origin = lambda x, sigma: -x / sigma**2
    >>> sample(origin, torch.tensor([10.0, 1.0]), 2, 1, sampler=Euler())
    tensor([[0.],
            [0.]])
    """

    levels: ClassVar[Levels | None] = None
    """The levels that it is meant to walk where a model's method has another sampler; the method's own when None."""

    steps: ClassVar[int | str | None] = "sampling_steps"
    """How many of them, or the plan's setting that says so; None for all that there are."""

    extra_levels: ClassVar[int] = 0
    """How many levels more than steps it needs."""

    steps_fit_levels: ClassVar[bool] = False
    """Whether a step size has to fit the ratio of the levels, so that the sampler had better choose it."""

    takes_score: ClassVar[bool] = True
    """Whether it takes a score model; else a model of the end of the flow."""

    @property
    def fitted_up_to(self) -> int:
        """Most steps at which a model whose method has this sampler walks one fitted to it (`fit_multistep`) instead."""
        return 0

    @property
    def groups(self) -> bool:
        """Whether steps average over groups of samples (`Noise.group_means`), so that a walk holds whole ones."""
        return False

    def step(
        self, model: CountedModel, x: Tensor, sigma: float, following: float, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        """Take one step.

        Args:
            model: The score model: ``model.score(x, sigma)`` and ``model.denoise(x, sigma)`` count an evaluation each.
            x: The samples at the level ``sigma``, ``(N, *shape)``; not to be written into.
            sigma: The level.
            following: The level below.
            noise: The source of noise.

        Returns:
            The samples at the level ``following``, and the denoised.
        """
        raise SettingError(f"{type(self).__name__} is no sampler yet: give it a method step, or walk")

    def walk(self, model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
        """Walk down all levels.

        Args:
            model: The score model.
            x: Start, ``(N, *shape)``.
            sigmas: Levels, descending, ``(L,)``.
            noise: The source of noise.

        Yields:
            The state after each step.
        """
        for count, (sigma, following) in enumerate(pairwise(sigmas.tolist()), 1):
            x, denoised = self.step(model, x, sigma, following, noise)
            yield State(count, following, x, denoised, model.evaluations)
