"""Samplers by the probability-flow ODE dx/dsigma = -sigma s(x, sigma), solved in few evaluations."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from ncsn.errors import SettingError, check_number
from ncsn.samplers.base import CountedModel, Noise, Sampler, State


@dataclass(frozen=True, repr=False)
class _Churning(Sampler):
    """A solver that may put noise back on the way (Karras et al. 2022, algorithm 2)."""

    churn: float | None = None
    churn_min: float = 0.0
    churn_max: float = math.inf
    churn_noise: float = 1.0

    def __post_init__(self) -> None:
        for name in ("churn", "churn_min", "churn_noise"):
            value = getattr(self, name)
            if value is not None:
                check_number(name, value, least=0)
        if not self.churn_max >= self.churn_min:
            raise SettingError(f"churn_max must not be below churn_min, but is {self.churn_max}")

    def stirred(self, x: Tensor, sigma: float, n_levels: int, noise: Noise) -> tuple[Tensor, float]:
        """Add noise to samples at a level, as it raises the level, and return both."""
        gamma = min((self.churn or 0.0) / n_levels, math.sqrt(2) - 1)
        if gamma == 0 or not self.churn_min <= sigma <= self.churn_max:
            return x, sigma
        raised = sigma * (1 + gamma)
        return x + self.churn_noise * math.sqrt(raised**2 - sigma**2) * noise.like(x), raised


@dataclass(frozen=True, repr=False)
class Heun(_Churning):
    """Heun's method, two evaluations a step, second order (Karras et al. 2022, algorithms 1 and 2).

    Args:
        churn: S_churn: noise put back over the whole walk, so that sigma rises by churn / L before each step, at most by
            the factor sqrt(2); 0 is deterministic.
        churn_min: Lowest level that churns.
        churn_max: Highest level that churns.
        churn_noise: Standard deviation of the churned noise, slightly above 1 to make up for lost variance.

    Raises:
        SettingError: One is negative or not finite, but for ``churn_max``.
    """

    steps: ClassVar[int | str] = 20

    churn: float | None = 0.0

    def walk(self, model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
        """Walk down all levels; yield the state after each step, two evaluations each."""
        for count, (level, following) in enumerate(pairwise(sigmas.tolist()), 1):
            x, sigma = self.stirred(x, level, len(sigmas), noise)
            slope = -sigma * model.score(x, sigma)
            predicted = x + (following - sigma) * slope
            score = model.score(predicted, following)
            x = x + (following - sigma) / 2 * (slope - following * score)
            yield State(count, following, x, predicted + following**2 * score, model.evaluations)


@dataclass(frozen=True, repr=False)
class DPMpp2M(_Churning):
    """DPM-Solver++(2M), one evaluation a step, second order (Lu et al. 2022, algorithm 2).

    A linear part of the flow is followed exactly, and the rest is extrapolated from the model's last two answers. With
    ``sigma_data`` 0 the linear part is that of data at one point, as published. With the data's own it is that of a
    Gaussian of this spread, and the rest is what EDM's networks learn (Karras et al. 2022, eq. 7), a velocity in the angle
    arctan(sigma / sigma_data) (Lu & Song 2024): less is left to extrapolate.

    Args:
        churn: As in `Heun`; from the plan when None, 0 without one.
        churn_min: As in `Heun`.
        churn_max: As in `Heun`.
        churn_noise: As in `Heun`.
        sigma_data: Standard deviation of the data, whose mean is then taken to be 0; from the plan when None, 0 without.

    Raises:
        SettingError: As in `Heun`, or ``sigma_data`` is negative or not finite.
    """

    sigma_data: float | None = None

    @property
    def fitted_up_to(self) -> int:
        """9 where nothing is asked of it: from 10 steps on the two are as good, and this one needs no fit."""
        return 9 if self == DPMpp2M() else 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma_data is not None:
            check_number("sigma_data", self.sigma_data, least=0)

    def walk(self, model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
        """Walk down all levels; yield the state after each step, one evaluation each."""
        levels, spread = sigmas.tolist(), self.sigma_data or 0.0
        earlier: Tensor | None = None
        for count, (level, following) in enumerate(pairwise(levels), 1):
            x, sigma = self.stirred(x, level, len(levels), noise)
            denoised = model.denoise(x, sigma)
            radius, next_radius = math.hypot(sigma, spread), math.hypot(following, spread)
            # the velocity times spread, which is finite where spread is 0
            velocity = (denoised - (spread / radius) ** 2 * x) * (radius / sigma)
            ahead = velocity
            if earlier is not None:
                # the levels before churn: fresh noise moves the velocity however near the level before lies
                ratio = math.log(level / following) / math.log(levels[count - 2] / level)
                ahead = torch.lerp(earlier, velocity, 1 + ratio / 2)
            # the angle that the step turns, over spread
            tangent = (sigma - following) / (spread**2 + sigma * following)
            angle = math.atan(spread * tangent) / spread if spread > 0 else tangent
            x = next_radius * (x / radius + angle * ahead)
            earlier = velocity
            yield State(count, following, x, denoised, model.evaluations)
