"""Exercises 2.1 and 2.2: noise levels, and noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ncsn.learn.declarations import Case, Exercise, Mistake
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


def _evenly(first: float, last: float, n: int, begin: int, steps: int) -> Tensor:
    """Return n numbers from the first towards the last, which would be reached after so many steps."""
    return first + (last - first) * torch.arange(begin, begin + n, dtype=torch.float64) / steps


_SPACINGS: dict[str, tuple[Callable[[float], float], Callable[[Tensor], Tensor]]] = {
    "logarithms": (math.log, torch.exp),
    "levels": (float, torch.clone),
    "variances": (lambda level: level**2, torch.sqrt),
    "inverses": (lambda level: 1 / level, torch.reciprocal),
    "logarithms kept": (math.log, torch.clone),
    "logarithms to 10": (math.log, lambda log: 10**log),
    "common logarithms to e": (math.log10, torch.exp),
    "levels exponentiated": (float, torch.exp),
}


def levels_written(
    sigma_min: float,
    sigma_max: float,
    n_levels: int,
    *,
    spacing: str = "logarithms",
    rising: bool = False,
    begin: int = 0,
    steps: int = -1,
    more: int = 0,
) -> Tensor:
    """Return noise levels, with switches for what is evenly spaced, the order, the first and last, and the count."""
    there, back = _SPACINGS[spacing]
    n = n_levels + more
    levels = back(_evenly(there(sigma_max), there(sigma_min), n, begin, max(1, n + steps)))
    return levels.flip(0) if rising else levels


LEVELS = Exercise(
    number="2.1",
    title="geometric noise levels",
    name="noise_levels",
    cases=levels_cases,
    truth=levels_truth,
    reference=levels_reference,
    against="repeated multiplication by one ratio",
    written=levels_written,
    mistakes=(
        Mistake(
            "levels with a constant difference: ask for a constant ratio, or nearly all levels are coarse.",
            {"spacing": "levels"},
        ),
        Mistake(
            "levels from fine to coarse: sampling walks from coarse to fine, so the largest comes first.",
            {"rising": True},
        ),
        Mistake("levels that stop short of sigma_min: between n levels lie n - 1 steps.", {"steps": 0}),
        Mistake("levels that begin a step too late: sigma_max is left out.", {"begin": 1, "steps": 0}),
        Mistake("levels within the ends: both belong to them.", {"begin": 1, "steps": 1}),
        Mistake("one level too many: n levels are asked for, with n - 1 steps between them.", {"more": 1}),
        Mistake("one level too few: n levels are asked for, and n - 1 are the steps between them.", {"more": -1}),
        Mistake(
            "the logarithms of the levels: they are even, as they should be, but they still want to be turned back.",
            {"spacing": "logarithms kept"},
        ),
        Mistake(
            "natural logarithms raised as powers of 10: torch.logspace counts in powers of 10 unless told otherwise.",
            {"spacing": "logarithms to 10"},
        ),
        Mistake(
            "common logarithms raised as powers of e: turn a logarithm back with its own base.",
            {"spacing": "common logarithms to e"},
        ),
        Mistake(
            "an exponential of evenly spaced levels: the logarithms are what is evenly spaced.",
            {"spacing": "levels exponentiated"},
        ),
        Mistake(
            "evenly spaced squares of the levels: the logarithms are what is evenly spaced.",
            {"spacing": "variances"},
        ),
        Mistake(
            "evenly spaced inverses of the levels: the logarithms are what is evenly spaced.",
            {"spacing": "inverses"},
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


def noise_reference(
    x: Tensor,
    sigma: Tensor,
    noise: Tensor,
    *,
    keep: float = 1,
    shrink: float = 0,
    sign: float = 1,
    power: float = 1,
    level_of: Callable[[Tensor], Tensor] = torch.clone,
    own: bool = False,
) -> Tensor:
    """Return x + sigma noise, with one level a row; the switches change what is added to what."""
    level = level_of(sigma).expand(len(x))[:, None]
    noise = torch.randn_like(noise) if own else noise
    return (keep - shrink * level) * x + sign * level**power * noise


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
        Mistake("noise without its level: the fog is as thick as sigma says.", {"power": 0}),
        Mistake(
            "sigma squared for sigma: sigma is the noise's standard deviation, and its square the variance.",
            {"power": 2},
        ),
        Mistake("the root of sigma: sigma already is the standard deviation.", {"power": 0.5}),
        Mistake("noise divided by sigma: the thicker the fog, the more of it.", {"power": -1}),
        Mistake("one level for all rows: every point has its own.", {"level_of": lambda sigma: sigma[0]}),
        Mistake("one level for all rows: every point has its own.", {"level_of": torch.mean}),
        Mistake("one level for all rows: every point has its own.", {"level_of": torch.max}),
        Mistake(
            "noise of its own: take the noise that is given, because the loss will have to know it.",
            {"own": True},
        ),
        Mistake("the noise alone: it is added to the points.", {"keep": 0}),
        Mistake("noise that is subtracted: as likely, but the loss will take it as added.", {"sign": -1}),
        Mistake("points that are shrunk as noise is added: this fog leaves them where they are.", {"shrink": 1}),
    ),
)
