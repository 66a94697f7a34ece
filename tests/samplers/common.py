"""Scores in closed form, levels, noise and measures that the tests of samplers share.

Where the score is linear a sampler is a linear map of its start and its noise. `variances` reads that map off, one draw
of noise a row, so that the variance of its samples is known without sampling.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from ncsn.errors import SettingError
from ncsn.exact import GaussianMixtureScore
from ncsn.noise import create_noise_schedule
from ncsn.samplers import SAMPLERS, CountedModel, Noise, State, sample

SIGMA_MIN, SIGMA_MAX = 0.1, 10.0
"""The ends of `two_decades`."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


# Levels


def levels(low: float, high: float, count: int, kind: str = "geometric") -> Tensor:
    return create_noise_schedule(low, high, count, kind, dtype=torch.float64)


def two_decades(count: int, kind: str = "geometric") -> Tensor:
    return levels(SIGMA_MIN, SIGMA_MAX, count, kind)


def uneven(low: float, high: float, count: int) -> Tensor:
    """Return levels whose steps of log sigma are in turns long and a third as long."""
    steps = torch.tensor([3.0, 1.0], dtype=torch.float64).repeat(count // 2)[: count - 1]
    way = torch.cat([torch.zeros(1, dtype=torch.float64), steps.cumsum(0) / steps.sum()])
    return high * (low / high) ** way


# Models


def gaussian(mean: list[float], variances: list[float]) -> GaussianMixtureScore:
    return GaussianMixtureScore([1.0], np.array([mean]), np.array([variances]))


def at_origin(dim: int) -> GaussianMixtureScore:
    """Return the score of noise around one point, -x / sigma^2."""
    return gaussian([0.0] * dim, [0.0] * dim)


def centred(variance: float) -> Callable[..., Tensor]:
    """Return the score of N(0, variance I) in any shape, and of a point at 0 where the variance is 0."""
    return lambda x, sigma: -x / (variance + sigma**2)


def two_modes() -> GaussianMixtureScore:
    return GaussianMixtureScore([0.7, 0.3], torch.tensor([[-1.5], [1.5]], dtype=torch.float64), 0.16)


def flow(model: Callable[..., Tensor], x: Tensor, sigma: float, following: float, tolerance: float = 1e-11) -> Tensor:
    """Return where SciPy carries points along the probability-flow ODE."""

    def velocity(log_sigma: float, flat: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        level = torch.tensor(math.exp(log_sigma), dtype=torch.float64)
        return (-level.square() * model(torch.from_numpy(flat).reshape(x.shape), level)).flatten().numpy()

    ends = math.log(sigma), math.log(following)
    solved = solve_ivp(velocity, ends, x.flatten().numpy(), method="DOP853", rtol=tolerance, atol=tolerance)
    return torch.from_numpy(solved.y[:, -1]).reshape(x.shape)


# Walks


class Impulses(Noise):
    """Noise whose k-th draw is 1 in row k and 0 elsewhere."""

    def __init__(self) -> None:
        super().__init__(seed=0, first=0, block=1, device=torch.device("cpu"))
        self.draws = 0

    def like(self, x: Tensor) -> Tensor:
        self.draws += 1
        return torch.zeros_like(x).index_fill_(0, torch.tensor(self.draws), 1.0)


def walk(
    name: str, model: Callable[..., Tensor], x: Tensor, sigmas: Tensor, noise: Noise, **options: Any
) -> list[State]:
    return list(SAMPLERS[name](**options).walk(CountedModel(model), x, sigmas, noise))


def variances(name: str, variance: float, sigmas: Tensor, **options: Any) -> list[float]:
    """Return the exact variance of the samples at each level of a Gaussian, the start first."""
    x = torch.zeros(len(sigmas) * options.get("n_steps_per_sigma", 1) + 1, 1, dtype=sigmas.dtype)
    x[0] = (variance + sigmas[0] ** 2).sqrt()
    states = walk(name, centred(variance), x, sigmas, Impulses(), **options)
    return [float(rows.square().sum()) for rows in [x, *(state.x for state in states)]]


def variance_is(x: Tensor, expected: float, share: float = 0.0) -> bool:
    """Whether the variance of all entries is as expected, within 4 standard errors and a share of it."""
    return abs(float(x.square().mean()) / expected - 1) < 4 * math.sqrt(2 / x.numel()) + share


def refusal(name: str, **options: Any) -> str:
    """Return why options are refused: the same when the sampler is made and when it is asked for by name."""
    with pytest.raises(SettingError) as made:
        SAMPLERS[name](**options)
    with pytest.raises(SettingError) as asked:
        sample(at_origin(2), torch.tensor([2.0, 1.0]), 5, 2, name, **options)
    assert str(made.value) == str(asked.value)
    return str(made.value)
