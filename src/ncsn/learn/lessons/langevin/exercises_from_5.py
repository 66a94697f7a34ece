"""Exercises 3.5 to 3.7: the last denoising, what a step size makes of the spread, and steps that follow the score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ncsn.exact import GaussianMixtureScore
from ncsn.learn.declarations import Case, Exercise, Mistake
from ncsn.noise import variance_ratio
from ncsn.score import ScoreModel, denoised_from_score

__all__ = ["ADAPTIVE", "DENOISE", "VARIANCE"]


# 3.5


def denoise_truth(score_model: GaussianMixtureScore, x: Tensor, sigma: Tensor) -> Tensor:
    """Return the mean of the clean points that could have led to x, by Bayes' rule over the mixture's points."""
    squares = (x[:, None] - score_model.means).square().sum(-1)
    shares = torch.softmax(score_model.weights.log() - squares / (2 * sigma**2), dim=1)
    return shares @ score_model.means


def denoise_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make mixtures of points, and noisy points."""
    for name, n, dim, level, dtype in (
        ("a batch of one", 1, 2, 0.5, torch.float32),
        ("7 points in the plane", 7, 2, 0.3, torch.float32),
        ("1,000 points in 5 dimensions", 1000, 5, 2.0, torch.float32),
        ("double precision", 6, 3, 0.7, torch.float64),
    ):
        means = torch.randn(20, dim, generator=generator, dtype=dtype)
        model = GaussianMixtureScore(torch.rand(20, generator=generator, dtype=dtype) + 0.1, means, 0.0)
        sigma = torch.tensor(level, dtype=dtype)
        yield Case(name, (model, model.sample(n, generator, sigma), sigma), 1e-10 if dtype == torch.float64 else None)


def denoise(score_model: ScoreModel, x: Tensor, sigma: Tensor) -> Tensor:
    """Return x + sigma^2 s(x, sigma)."""
    return denoised_from_score(x, sigma, score_model(x, sigma))


def denoise_written(
    score_model: ScoreModel,
    x: Tensor,
    sigma: Tensor,
    *,
    keep: float = 1,
    sign: float = 1,
    factor: float = 1,
    power: float = 2,
    kick: float = 0,
) -> Tensor:
    """Return x + sigma^2 s(x, sigma), with switches for a sign, a factor, a power, and noise."""
    kicked = kick * sigma * torch.randn_like(x)
    return keep * x + sign * factor * sigma**power * score_model(x, sigma) + kicked


DENOISE = Exercise(
    number="3.5",
    title="the last denoising",
    name="denoise",
    cases=denoise_cases,
    truth=denoise_truth,
    reference=denoise,
    against="Bayes' rule over the clean points",
    tolerance=1e-4,
    written=denoise_written,
    mistakes=(
        Mistake("sigma for sigma squared: the score is the way back divided by sigma squared.", {"power": 1}),
        Mistake("a turned sign: the score points back to the data, so add it.", {"sign": -1}),
        Mistake(
            "half the way, as in a Langevin step: no noise follows this time, so go all of it.",
            {"factor": 0.5},
        ),
        Mistake("the way back without its start: add it to x.", {"keep": 0}),
        Mistake("one more Langevin step: leave out the noise.", {"kick": 1}),
        Mistake("a score that is not scaled: it is the way back divided by sigma squared.", {"power": 0}),
        Mistake(
            "a score divided by sigma squared: it is the way back divided by it already, so multiply.", {"power": -2}
        ),
        Mistake("the points as they came: the score is left out.", {"factor": 0}),
    ),
)


# 3.6


def variance_truth(a: float, ratio: float, n_steps: int) -> float:
    """Return the variance over sigma^2 after the steps, one by one."""
    return _walk(a, ratio**2, n_steps)


def _walk(a: float, variance: float, n_steps: int, shrink: float = 0.5, kick: float = 1.0, power: int = 2) -> float:
    for _ in range(n_steps):
        variance = (1 - shrink * a) ** power * variance + kick * a
    return variance


def variance_written(
    a: float,
    ratio: float,
    n_steps: int,
    *,
    start: float = 2,
    shrink: float = 0.5,
    kick: float = 1,
    power: int = 2,
    rounds: Callable[[int], int] = int,
    first: bool = False,
    root: float = 1,
) -> float:
    """Return the variance after the steps, with switches for the start, the terms of a step and the count of steps."""
    n = rounds(n_steps)
    if first:
        # the noise comes first, and is shrunk with the rest: a shifted variance takes the usual steps
        return _walk(a, ratio**start + kick * a, n, shrink, kick, power) - kick * a
    variance = _walk(a, ratio**start, n, shrink, kick, power)
    return variance**root if variance > 0 else math.nan


def variance_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make steps, ratios and counts."""
    yield Case("a single step", (0.3, 1.5, 1))
    yield Case("7 steps", (0.1, 2.0, 7))
    yield Case("a start at the level's own spread", (0.5, 1.0, 40))
    yield Case("100 steps, as in the notebook", (0.06, 1.4, 100))
    yield Case("a tiny step, which forgets next to nothing", (0.0001, 1.4, 100))
    yield Case("a large step", (3.5, 1.2, 20))


def variance_reference(a: float, ratio: float, n_steps: int) -> float:
    """Return the library's closed form, at sigma = 1."""
    return variance_ratio(a, 1.0, ratio, n_steps)


VARIANCE = Exercise(
    number="3.6",
    title="the spread after T steps",
    name="variance_after",
    cases=variance_cases,
    truth=variance_truth,
    reference=variance_reference,
    against="the recursion, walked step by step",
    tolerance=1e-6,
    written=variance_written,
    mistakes=(
        Mistake("a start at the ratio instead of its square: variances go with the square of sigma.", {"start": 1}),
        Mistake("a start at the level's own variance: the walkers come from the level above.", {"start": 0}),
        Mistake("the other convention, (1 - a) squared and 2a.", {"shrink": 1, "kick": 2}),
        Mistake("the other convention in the factor alone, (1 - a) squared.", {"shrink": 1}),
        Mistake("the other convention in the noise alone, 2a.", {"kick": 2}),
        Mistake("noise of a/2: each step adds a.", {"kick": 0.5}),
        Mistake("a walk without noise: each step adds a.", {"kick": 0}),
        Mistake("a turned sign in the factor: each step shrinks what was there.", {"shrink": -0.5}),
        Mistake(
            "a factor that was not squared: the distance shrinks by 1 - a/2, the variance by its square.",
            {"power": 1},
        ),
        Mistake("noise that is added before the shrinking: each step shrinks first.", {"first": True}),
        Mistake("a single step, whatever n_steps says.", {"rounds": lambda n: 1}),
        Mistake("a step too few.", {"rounds": lambda n: n - 1}),
        Mistake("a step too many.", {"rounds": lambda n: n + 1}),
        Mistake("the standard deviation: the variance is asked for.", {"root": 0.5}),
        Mistake(
            "the end of all time: after T steps something of the start is left.",
            lambda a, ratio, n: 4 / (4 - a),
        ),
        Mistake(
            "a shrinking to the power T where it should be 2T: the factor of each step is a square.",
            lambda a, ratio, n: (1 - a / 2) ** n * (ratio**2 - 4 / (4 - a)) + 4 / (4 - a),
        ),
    ),
)


# 3.7


def adaptive_truth(score: Tensor, a: float) -> float:
    """Return the step, by plain sums."""
    rows = score.tolist()
    return a * len(rows[0]) / (sum(value**2 for row in rows for value in row) / len(rows))


def adaptive_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make scores, long and short."""
    for name, n, dim, length, dtype in (
        ("a batch of one", 1, 3, 2.0, torch.float32),
        ("7 scores in the plane", 7, 2, 10.0, torch.float32),
        ("1,000 scores in 5 dimensions", 1000, 5, 0.1, torch.float32),
        ("double precision", 6, 3, 1.0, torch.float64),
    ):
        score = length * torch.randn(n, dim, generator=generator, dtype=dtype)
        yield Case(name, (score, 0.1), 1e-11 if dtype == torch.float64 else None)
    yield Case("a walker on a hilltop, whose score is zero", (torch.tensor([[0.0, 0.0], [3.0, 4.0]]), 0.5))


def adaptive_reference(
    score: Tensor,
    a: float,
    *,
    dims: float = 1,
    length: float = 2,
    outer: float = 1,
    entries: bool = False,
    average: Callable[[Tensor], Tensor] = torch.mean,
    upside: float = 1,
) -> float:
    """Return a D / mean |s|^2; the switches take another power of D, other lengths and other means."""
    lengths = score.abs() ** length if entries else score.norm(dim=1) ** length
    return float(a * (score.shape[1] ** dims / average(lengths) ** outer) ** upside)


ADAPTIVE = Exercise(
    number="3.7",
    title="a step that follows the score",
    name="adaptive_step",
    cases=adaptive_cases,
    truth=adaptive_truth,
    reference=adaptive_reference,
    against="plain sums",
    tolerance=1e-4,
    mistakes=(
        Mistake(
            "a mean over all entries below D: |s| squared is the sum over a row's D entries. (Or leave out both Ds.)",
            {"entries": True},
        ),
        Mistake(
            "a D that is missing: in D dimensions the squared length is D times that of one entry.",
            {"dims": 0},
        ),
        Mistake("a length that is not squared: the step goes with the square, as sigma squared does.", {"length": 1}),
        Mistake("the square of the mean length: average the squares.", {"length": 1, "outer": 2}),
        Mistake(
            "a mean of each walker's own step: a walker on a hilltop, whose score is next to zero, then rules all.",
            {"average": lambda lengths: 1 / (1 / lengths).mean()},
        ),
        Mistake("a quotient upside down: long scores call for short steps.", {"upside": -1}),
        Mistake(
            "a sum over the walkers: take the mean, so that the step does not depend on how many there are.",
            {"average": torch.sum},
        ),
        Mistake("the longest score of all: take the mean over the walkers.", {"average": torch.max}),
    ),
)
