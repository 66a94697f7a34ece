"""Exercises 2.1 and 2.2: noise levels, and noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ncsn.learn.declarations import Case, Exercise, Function, Mistake
from ncsn.learn.lessons.shapes import telling_shapes
from ncsn.noise import create_noise_schedule

__all__ = ["LEVELS", "NOISE"]


# 2.1


def levels_truth(sigma_min: float, sigma_max: float, n_levels: int) -> Tensor:
    """Return geometric levels, each a constant ratio below the one before, by plain numbers."""
    ratio = (sigma_min / sigma_max) ** (1 / (n_levels - 1))
    return torch.tensor([sigma_max * ratio**i for i in range(n_levels)], dtype=torch.float64)


def levels_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make ends and counts of levels."""
    yield Case("three levels from 1 to 0.01", (0.01, 1.0, 3))
    yield Case("two levels, which are the ends", (0.5, 3.0, 2))
    yield Case("ten levels from 20 to 0.05", (0.05, 20.0, 10))
    yield Case("232 levels from 50 to 0.01, as for small photographs", (0.01, 50.0, 232))
    yield Case("levels close together", (1.0, 1.1, 7))


def levels_reference(sigma_min: float, sigma_max: float, n_levels: int) -> Tensor:
    """Return geometric noise levels, descending, both ends included."""
    return create_noise_schedule(sigma_min, sigma_max, n_levels)


def _even(first: float, last: float, n: int) -> Tensor:
    return torch.linspace(first, last, n, dtype=torch.float64)


def _short_of_the_end(sigma_min: float, sigma_max: float, n: int) -> Tensor:
    return sigma_max * (sigma_min / sigma_max) ** (torch.arange(n, dtype=torch.float64) / n)


LEVELS = Exercise(
    number="2.1",
    title="geometric noise levels",
    name="noise_levels",
    cases=levels_cases,
    truth=levels_truth,
    reference=levels_reference,
    against="repeated multiplication by one ratio",
    mistakes=(
        Mistake(
            "levels with a constant difference: ask for a constant ratio, or nearly all levels are coarse.",
            lambda low, high, n: _even(high, low, n),
        ),
        Mistake(
            "levels from fine to coarse: sampling walks from coarse to fine, so the largest comes first.",
            lambda low, high, n: levels_truth(low, high, n).flip(0),
        ),
        Mistake(
            "levels that stop short of sigma_min: between n levels lie n - 1 steps.",
            _short_of_the_end,
        ),
        Mistake(
            "the logarithms of the levels: they are even, as they should be, but they still want to be turned back.",
            lambda low, high, n: _even(math.log(high), math.log(low), n),
        ),
        Mistake(
            "natural logarithms raised as powers of 10: torch.logspace counts in powers of 10 unless told otherwise.",
            lambda low, high, n: 10 ** _even(math.log(high), math.log(low), n),
        ),
        Mistake(
            "an exponential of evenly spaced levels: the logarithms are what is evenly spaced.",
            lambda low, high, n: _even(high, low, n).exp(),
        ),
    ),
)


# 2.2


def noise_truth(x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Return the noisy points, number by number."""
    rows = zip(x.tolist(), sigma.tolist(), noise.tolist(), strict=True)
    return torch.tensor(
        [[a + level * b for a, b in zip(row, other, strict=True)] for row, level, other in rows], dtype=x.dtype
    )


def noise_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make points, one level for each, and noise."""
    for name, n, dim, dtype in (
        ("a batch of one", 1, 2, torch.float32),
        ("7 points in the plane", 7, 2, torch.float32),
        ("3 points in 3 dimensions, where a wrong broadcast goes unnoticed", 3, 3, torch.float32),
        ("1,000 points in 10 dimensions", 1000, 10, torch.float32),
        ("double precision", 5, 4, torch.float64),
    ):
        x, noise = torch.randn(2, n, dim, generator=generator, dtype=dtype)
        sigma = 0.02 + 3 * torch.rand(n, generator=generator, dtype=dtype)
        yield Case(name, (x, sigma, noise), 1e-12 if dtype == torch.float64 else None)


def noise_reference(x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Return x + sigma noise, with one level a row."""
    return x + sigma[:, None] * noise


def _noise_with(scale: Callable[[Tensor], Tensor]) -> Function:
    return lambda x, sigma, noise: x + scale(sigma)[:, None] * noise


NOISE = Exercise(
    number="2.2",
    title="fog: every point at its own noise level",
    name="add_noise",
    cases=noise_cases,
    truth=noise_truth,
    reference=noise_reference,
    against="sums of plain numbers",
    observe=telling_shapes("the levels (N,) go with the rows of (N, D), so they need a second axis of length 1"),
    mistakes=(
        Mistake("noise without its level: the fog is as thick as sigma says.", _noise_with(torch.ones_like)),
        Mistake(
            "sigma squared for sigma: sigma is the noise's standard deviation, and its square the variance.",
            _noise_with(torch.square),
        ),
        Mistake("the root of sigma: sigma already is the standard deviation.", _noise_with(torch.sqrt)),
        Mistake(
            "one level for all rows: every point has its own.",
            lambda x, sigma, noise: x + sigma[0] * noise,
        ),
        Mistake(
            "one level for all rows: every point has its own.",
            lambda x, sigma, noise: x + sigma.mean() * noise,
        ),
        Mistake(
            "noise of its own: take the noise that is given, because the loss will have to know it.",
            lambda x, sigma, noise: x + sigma[:, None] * torch.randn_like(x),
        ),
        Mistake(
            "the noise alone: it is added to the points.",
            lambda x, sigma, noise: sigma[:, None] * noise,
        ),
    ),
)
