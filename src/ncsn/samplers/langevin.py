"""Langevin dynamics: plain, and annealed down the noise levels (Song & Ermon 2019, algorithm 1).

A step is x + (alpha/2) s + sqrt(alpha) z: alpha is twice that of Song & Ermon 2020.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ncsn.errors import check_count, check_number, unknown_name
from ncsn.noise import Geometric, Levels, langevin_step_size
from ncsn.samplers.base import GROUP, CountedModel, Noise, Sampler, State
from ncsn.score import denoised_from_score

STEP_RULES = ("sigma", "score")
"""What annealed Langevin's step follows: the noise level, or the magnitude of the score."""

_SINGLE_LEVEL_STEP = 0.1
"""alpha / sigma^2 of the default step at a single level: chains end with 4/(4 - 0.1), so 1.03 times, their variance."""


@dataclass(frozen=True, repr=False)
class Langevin(Sampler):
    """Walk at the last level alone: the sampler that misplaces the modes' weights.

    Args:
        n_steps: Number of steps.
        step_size: alpha, the same at every step; a tenth of sigma^2 when None.

    Raises:
        SettingError: The count or the step size is not positive.
    """

    levels: ClassVar[Levels | None] = Geometric()
    steps: ClassVar[int | str] = "n_sigmas"

    n_steps: int = 1000
    step_size: float | None = None

    def __post_init__(self) -> None:
        check_count("n_steps", self.n_steps)
        if self.step_size is not None:
            check_number("step_size", self.step_size, above=0)

    def walk(self, model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
        """Walk at the last of the levels; yield the state after each step, one evaluation each."""
        level = float(sigmas[-1])
        alpha = _SINGLE_LEVEL_STEP * level**2 if self.step_size is None else self.step_size
        for count in range(1, self.n_steps + 1):
            score = model.score(x, sigmas[-1])
            denoised = denoised_from_score(x, sigmas[-1], score)
            x = _move(x, score, alpha, noise)
            yield State(count, level, x, denoised, model.evaluations)


@dataclass(frozen=True, repr=False)
class AnnealedLangevin(Sampler):
    """Walk at each level in turn, with steps alpha_i = step_size (sigma_i / sigma_min)^2.

    Args:
        n_steps_per_sigma: Steps T at each level; from the plan when None, 100 without one.
        step_size: epsilon, the step alpha at the last level. When None by technique 4 from the last two levels
            (`noise.langevin_step_size`), or a tenth of sigma^2 where there is but one.
        step_rule: ``sigma`` (the formula above) or ``score``: alpha = step_size / sigma_min^2 * D / mean |s|^2, with the
            mean over groups of samples (the rule by signal-to-noise ratio r of Song et al. 2021, algorithm 4, with 4 r^2 =
            step_size / sigma_min^2). In equilibrium around points both take nearly the same steps; ``score`` takes
            larger ones where the data are wider than the noise, and smaller ones where scores are larger, as far out.

    Raises:
        SettingError: A count or a step size is not positive, or the rule is unknown.
    """

    levels: ClassVar[Levels | None] = Geometric()
    steps: ClassVar[int | str] = "n_sigmas"
    n_steps_per_sigma: int | None = None
    step_size: float | None = None
    step_rule: str = "sigma"

    def __post_init__(self) -> None:
        if self.step_rule not in STEP_RULES:
            raise unknown_name("step rule", self.step_rule, STEP_RULES)
        if self.n_steps_per_sigma is not None:
            check_count("n_steps_per_sigma", self.n_steps_per_sigma)
        if self.step_size is not None:
            check_number("step_size", self.step_size, above=0)

    @property
    def groups(self) -> bool:
        """Whether steps average over groups of samples."""
        return self.step_rule == "score"

    def walk(self, model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
        """Walk at each of the levels; yield the state after each step, one evaluation each."""
        levels, n_steps = sigmas.tolist(), self.n_steps_per_sigma or 100
        step_size = self.step_size
        if step_size is None:
            step_size = (
                langevin_step_size(levels[-1], levels[-2] / levels[-1], n_steps)
                if len(levels) > 1
                else _SINGLE_LEVEL_STEP * levels[-1] ** 2
            )
        relative = step_size / levels[-1] ** 2
        count = 0
        for sigma, level in zip(sigmas, levels, strict=True):
            for _ in range(n_steps):
                count += 1
                score = model.score(x, sigma)
                denoised = denoised_from_score(x, sigma, score)
                by_level = self.step_rule == "sigma"
                alpha = relative * level**2 if by_level else relative * _inverse_square(score, level, noise)
                x = _move(x, score, alpha, noise)
                yield State(count, level, x, denoised, model.evaluations)


def _inverse_square(score: Tensor, level: float, noise: Noise) -> Tensor:
    """Return D / mean |s|^2 of each row's group, broadcastable to the rows.

    One more row is counted, with the score of noise around a point, so that few chains with next to no score do not leap.
    """
    dim, n = score[0].numel(), min(GROUP, noise.block)
    mean = (n * noise.group_means(score.flatten(1).square().sum(1)) + dim / level**2) / (n + 1)
    return (dim / mean).reshape(-1, *[1] * (score.ndim - 1))


def _move(x: Tensor, score: Tensor, alpha: float | Tensor, noise: Noise) -> Tensor:
    """Return x + (alpha/2) score + sqrt(alpha) z."""
    if isinstance(alpha, Tensor):
        return torch.addcmul(x, alpha / 2, score).addcmul_(alpha.sqrt(), noise.like(x))
    return torch.add(x, score, alpha=alpha / 2).add_(noise.like(x), alpha=alpha**0.5)
