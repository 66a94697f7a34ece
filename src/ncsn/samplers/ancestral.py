"""Samplers that estimate the clean data, keep a part of the noise that is left, and add fresh noise.

Each of their steps is x' = D + kept (x - D) + fresh z, from the level sigma to the level sigma', with D the denoised x.
Two numbers say which sampler it is; with r = sigma'/sigma they are

- `Ancestral`: kept = r sqrt(1 - eta^2 (1 - r^2)) and fresh = eta sigma' sqrt(1 - r^2); eta = 0 is `DDIM`;
- `ConsistentAnnealed`: kept = 1 - step_size / (2 sigma_min^2) and fresh = sqrt(sigma'^2 - kept^2 sigma^2);
- `ncsn.samplers.ReverseSDE`: kept = r^2 and fresh = sqrt(sigma^2 - sigma'^2);
- `ncsn.samplers.Multistep`: kept = 0 and fresh = sqrt(sigma'^2 - sigma_min^2), D being the flow's end.

In the first two kept^2 sigma^2 + fresh^2 = sigma'^2: noise around a point takes exactly the variance of the next level.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from ncsn.errors import SettingError, check_count, check_number
from ncsn.noise import Geometric, Levels
from ncsn.samplers.base import CountedModel, Noise, Sampler, State


@dataclass(frozen=True, repr=False)
class Ancestral(Sampler):
    """Draw each level from the posterior given the denoised data: DDPM's sampler (Ho, Jain & Abbeel 2020, algorithm 2).

    The posterior q(x' | x, x0) of levels sigma' < sigma has the variance sigma'^2 (sigma^2 - sigma'^2) / sigma^2.
    Samples are DDPM's own divided by alpha, with the smaller of the two variances that its authors tried.

    Args:
        eta: Share of the posterior's standard deviation that is drawn afresh: 1 is DDPM, 0 is DDIM (Song, Meng & Ermon
            2021, eq. 16).

    Raises:
        SettingError: ``eta`` is not in [0, 1].
    """

    steps: ClassVar[int | str] = 250

    eta: float = 1.0

    def __post_init__(self) -> None:
        check_number("eta", self.eta)
        if not 0 <= self.eta <= 1:
            raise SettingError(f"eta must lie between 0 (DDIM) and 1 (DDPM), not {self.eta}")

    def step(
        self, model: CountedModel, x: Tensor, sigma: float, following: float, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        """Take one step, of one evaluation."""
        ratio = following / sigma
        lost = 1 - ratio**2
        kept, fresh = ratio * math.sqrt(1 - self.eta**2 * lost), self.eta * following * math.sqrt(lost)
        denoised = model.denoise(x, sigma)
        return renoised(x, denoised, kept, fresh, noise), denoised


@dataclass(frozen=True, repr=False)
class DDIM(Ancestral):
    """Walk without fresh noise: `Ancestral` with eta = 0, Euler's method for the probability-flow ODE in sigma.

    First order, one evaluation a step (Song, Meng & Ermon 2021, eq. 12 and 13).

    Args:
        eta: As in `Ancestral`.
    """

    steps: ClassVar[int | str] = 50

    eta: float = 0.0


@dataclass(frozen=True, repr=False)
class ConsistentAnnealed(Sampler):
    """Walk as annealed Langevin does, with noise that gives each level exactly its variance.

    A step is x + eta sigma^2 s + sqrt(sigma'^2 - (1 - eta)^2 sigma^2) z with eta = step_size / (2 sigma_min^2): of T
    steps at a level, T - 1 stay there (sigma' = sigma) and one goes down, so T L evaluations walk L levels and denoise.

    The variance is exact around a point, that is where the data are much narrower than sigma. Of a Gaussian of variance
    c each step loses eta^2 sigma^2 c / (c + sigma^2). Jolicoeur-Martineau et al. 2021, "consistent annealed sampling".

    Args:
        n_steps_per_sigma: Steps T at each level.
        step_size: epsilon, the step alpha of `AnnealedLangevin` at the last level: twice that of the paper. When None
            eta = 1.2 (1 - r) with r the smallest ratio of neighbouring levels, a fifth above the least, as every step
            loses some of the data's own variance. Where T is 1 and the levels are geometric, the least is `DDIM` and
            eta = 1 - r^2 `Ancestral`.

    Raises:
        SettingError: The count or the step size is not positive; at the walk, the step is too small or too large for it.
    """

    levels: ClassVar[Levels | None] = Geometric()
    steps: ClassVar[int | str] = 100
    steps_fit_levels: ClassVar[bool] = True

    n_steps_per_sigma: int = 1
    step_size: float | None = None

    def __post_init__(self) -> None:
        check_count("n_steps_per_sigma", self.n_steps_per_sigma)
        if self.step_size is not None:
            check_number("step_size", self.step_size, above=0)

    def _kept(self, levels: list[float]) -> float:
        if self.step_size is None and len(levels) == 1 and self.n_steps_per_sigma > 1:
            raise SettingError("a single level has no ratio to choose the step size by: give step_size")
        ratio = min((following / sigma for sigma, following in pairwise(levels)), default=1.0)
        unit = 2 * levels[-1] ** 2
        kept = max(0.0, 1 - 1.2 * (1 - ratio)) if self.step_size is None else 1 - self.step_size / unit
        if not -ratio <= kept <= ratio:
            low, high = unit * (1 - ratio), unit * (1 + ratio)
            raise SettingError(
                f"step_size must lie between {low:.4g} and {high:.4g} for these levels, not {self.step_size}"
            )
        return kept

    def walk(self, model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
        """Walk down all levels; yield the state after each step, one evaluation each."""
        kept = self._kept(sigmas.tolist())
        levels = sigmas.repeat_interleave(self.n_steps_per_sigma).tolist()
        for count, (sigma, following) in enumerate(pairwise(levels), 1):
            denoised = model.denoise(x, sigma)
            x = renoised(x, denoised, kept, math.sqrt(max(0.0, following**2 - (kept * sigma) ** 2)), noise)
            yield State(count, following, x, denoised, model.evaluations)


def renoised(x: Tensor, denoised: Tensor, kept: float, fresh: float, noise: Noise) -> Tensor:
    """Return denoised + kept (x - denoised) + fresh z; no noise is drawn where ``fresh`` is 0."""
    x = torch.lerp(denoised, x, kept)
    return x.add_(noise.like(x), alpha=fresh) if fresh > 0 else x
