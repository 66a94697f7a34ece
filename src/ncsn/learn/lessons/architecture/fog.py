"""Exercises 2.1 to 2.3: noise levels, noise, and what the mean of the denoising targets is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from ncsn.learn.declarations import Case, Exercise, Function, Mistake
from ncsn.learn.lessons.shapes import telling_shapes
from ncsn.noise import create_noise_schedule

__all__ = ["LEVELS", "MEAN_TARGET", "NOISE"]


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


# 2.3


def mean_target_truth(x: Tensor, noisy: Tensor, sigma: float, edges: Tensor) -> Tensor:
    """Return each bin's mean of the conditional scores, by plain sums."""
    pairs = list(zip(x.tolist(), noisy.tolist(), strict=True))
    ends = edges.tolist()
    means = []
    for low, high in pairwise(ends):
        targets = [(clean - place) / sigma**2 for clean, place in pairs if low <= place < high]
        means.append(sum(targets) / len(targets))
    return torch.tensor(means, dtype=x.dtype)


def mean_target_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make pairs of clean and noisy points, with some of the noisy ones outside of all bins."""

    def case(name: str, n: int, bins: int, sigma: float, reach: float, dtype: torch.dtype = torch.float32) -> Case:
        x, noise = torch.randn(2, n, generator=generator, dtype=dtype)
        noisy = x + sigma * noise
        # bins of as many points each, so that none is empty
        share = torch.linspace(0.5 - reach, 0.5 + reach, bins + 1, dtype=dtype)
        return Case(name, (x, noisy, sigma, torch.quantile(noisy, share)), 1e-10 if dtype == torch.float64 else 1e-4)

    single = torch.tensor([0.7])
    yield Case("a batch of one", (single, single + 0.4, 0.5, torch.tensor([0.0, 2.0])))
    yield case("100 pairs in a single bin", 100, 1, 0.5, 0.35)
    yield case("1,000 pairs in 7 bins", 1000, 7, 2.0, 0.4)
    yield case("double precision", 501, 5, 0.3, 0.45, torch.float64)


def mean_target_reference(x: Tensor, noisy: Tensor, sigma: float, edges: Tensor) -> Tensor:
    """Return the mean conditional score -(noisy - x) / sigma^2 of the noisy points in each bin."""
    return _mean_in_bins((x - noisy) / sigma**2, noisy, edges)


def _mean_in_bins(values: Tensor, places: Tensor, edges: Tensor) -> Tensor:
    inside = (places >= edges[:-1, None]) & (places < edges[1:, None])
    return torch.stack([values[rows].mean() for rows in inside])


def _share_in_bins(values: Tensor, places: Tensor, edges: Tensor, count: Tensor | int) -> Tensor:
    inside = (places >= edges[:-1, None]) & (places < edges[1:, None])
    return torch.stack([values[rows].sum() / count for rows in inside])


MEAN_TARGET = Exercise(
    number="2.3",
    title="the mean of all arrows at a place",
    name="mean_target",
    cases=mean_target_cases,
    truth=mean_target_truth,
    reference=mean_target_reference,
    against="plain sums",
    tolerance=1e-4,
    mistakes=(
        Mistake(
            "a turned sign: the arrow points from the noisy point back to the clean one.",
            lambda x, noisy, sigma, edges: -mean_target_reference(x, noisy, sigma, edges),
        ),
        Mistake(
            "sigma for sigma squared: you are off by exactly sigma.",
            lambda x, noisy, sigma, edges: sigma * mean_target_reference(x, noisy, sigma, edges),
        ),
        Mistake(
            "an arrow that is not divided by sigma squared.",
            lambda x, noisy, sigma, edges: _mean_in_bins(x - noisy, noisy, edges),
        ),
        Mistake(
            "bins of the clean points: the network sees the noisy one, so that is what to sort by.",
            lambda x, noisy, sigma, edges: _mean_in_bins((x - noisy) / sigma**2, x, edges),
        ),
        Mistake(
            "the sum in each bin: it grows with the number of pairs, and the mean does not.",
            lambda x, noisy, sigma, edges: _share_in_bins((x - noisy) / sigma**2, noisy, edges, 1),
        ),
        Mistake(
            "the sum in each bin, divided by the number of all pairs: divide by those in the bin.",
            lambda x, noisy, sigma, edges: _share_in_bins((x - noisy) / sigma**2, noisy, edges, len(x)),
        ),
        Mistake(
            "arrows that begin at the middle of the bin: each begins at its own noisy point.",
            lambda x, noisy, sigma, edges: (_mean_in_bins(x, noisy, edges) - (edges[1:] + edges[:-1]) / 2) / sigma**2,
        ),
        Mistake(
            "the mean of the clean points: where the arrows lead, not the arrows.",
            lambda x, noisy, sigma, edges: _mean_in_bins(x, noisy, edges),
        ),
    ),
)
