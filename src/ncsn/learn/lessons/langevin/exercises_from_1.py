"""Exercises 3.1 and 3.2: a Langevin step, and the spread that it leaves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ncsn.learn.declarations import Case, Exercise, Function, Mistake

__all__ = ["RATIO", "STEP", "langevin_step"]


# 3.1


def step_truth(x: Tensor, score: Tensor, alpha: float, noise: Tensor) -> Tensor:
    """Return the places after the step, number by number."""
    walkers = zip(x.flatten().tolist(), score.flatten().tolist(), noise.flatten().tolist(), strict=True)
    moved = [place + alpha / 2 * slope + math.sqrt(alpha) * kick for place, slope, kick in walkers]
    return torch.tensor(moved, dtype=x.dtype).reshape(x.shape)


def step_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make walkers, their scores and noise."""
    for name, shape, alpha, dtype in (
        ("a batch of one", (1, 1), 0.25, torch.float32),
        ("7 walkers in the plane", (7, 2), 0.01, torch.float32),
        ("1,000 walkers in 5 dimensions and a step above 1", (1000, 5), 3.0, torch.float32),
        ("a step of 0", (3, 2), 0.0, torch.float32),
        ("double precision", (6, 3), 0.5, torch.float64),
    ):
        x, score, noise = torch.randn(3, *shape, generator=generator, dtype=dtype)
        yield Case(name, (x, 2 * score, alpha, noise), 1e-12 if dtype == torch.float64 else None)


def langevin_step(x: Tensor, score: Tensor, alpha: float, noise: Tensor) -> Tensor:
    """Return x + (alpha/2) score + sqrt(alpha) noise."""
    return x + alpha / 2 * score + math.sqrt(alpha) * noise


def _step_with(drift: Callable[[float], float], kick: Callable[[float], float]) -> Function:
    return lambda x, score, alpha, noise: x + drift(alpha) * score + kick(alpha) * noise


STEP = Exercise(
    number="3.1",
    title="one step of Langevin dynamics",
    name="langevin_step",
    cases=step_cases,
    truth=step_truth,
    reference=langevin_step,
    against="sums of plain numbers",
    mistakes=(
        Mistake(
            "a turned sign: the score points uphill, to where data are denser, so add it.",
            _step_with(lambda a: -a / 2, math.sqrt),
        ),
        Mistake(
            "the other convention, alpha times the score and the root of 2 alpha times the noise: a sound step, but one twice as "
            "large as is meant here.",
            _step_with(lambda a: a, lambda a: math.sqrt(2 * a)),
        ),
        Mistake(
            "a mixture of the two conventions: with alpha times the score goes the root of 2 alpha. As it is, the walkers "
            "end too close together, with half the variance.",
            _step_with(lambda a: a, math.sqrt),
        ),
        Mistake(
            "a mixture of the two conventions: the root of 2 alpha goes with alpha times the score. As it is, the "
            "walkers end too far apart, with twice the variance.",
            _step_with(lambda a: a / 2, lambda a: math.sqrt(2 * a)),
        ),
        Mistake(
            "a missing square root: variances add up, so noise of variance alpha has the standard deviation root alpha.",
            _step_with(lambda a: a / 2, lambda a: a),
        ),
        Mistake(
            "noise without its scale: it has to shrink with the step, though more slowly.",
            _step_with(lambda a: a / 2, lambda a: 1.0),
        ),
        Mistake(
            "a climb without noise: all walkers would end on the very tops.",
            _step_with(lambda a: a / 2, lambda a: 0.0),
        ),
        Mistake(
            "noise of its own: take the noise that is given.",
            lambda x, score, alpha, noise: langevin_step(x, score, alpha, torch.randn_like(x)),
        ),
        Mistake(
            "the way of the walkers, not the places where they arrive.",
            lambda x, score, alpha, noise: langevin_step(x, score, alpha, noise) - x,
        ),
    ),
)


# 3.2


def ratio_truth(a: float) -> float:
    """Return where the variance settles, by walking: v <- (1 - a/2)^2 v + a; infinite where it does not."""
    variance = 1.0
    for _ in range(200_000):
        before = variance
        variance = (1 - a / 2) ** 2 * variance + a
        if variance == before:
            break
        if variance > 1e4:
            return math.inf
    return variance if abs(1 - a / 2) < 1 else math.inf


def ratio_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make steps from tiny to too large."""
    for a in (0.001, 0.5, 1.0, 2.0, 3.9):
        yield Case(f"a = {a:g}", (a,), 1e-6)
    yield Case("a = 4, where nothing is forgotten any more", (4.0,))
    yield Case("a = 6, where each step overshoots by more than the last", (6.0,))


def ratio_reference(a: float) -> float:
    """Return the stationary variance over sigma^2, 4 / (4 - a), infinite from a = 4 on."""
    return 4 / (4 - a) if a < 4 else math.inf


RATIO = Exercise(
    number="3.2",
    title="the spread that a step size leaves",
    name="stationary_ratio",
    cases=ratio_cases,
    truth=ratio_truth,
    reference=ratio_reference,
    against="the recursion, walked until it stands still",
    mistakes=(
        Mistake(
            "the ratio of the other convention, x + alpha s + root of 2 alpha z: there the same formula holds with twice the a.",
            lambda a: 2 / (2 - a) if a < 2 else math.inf,
        ),
        Mistake(
            "the right formula, used beyond its reach: from a = 4 on the variance grows without end.",
            lambda a: 4 / (4 - a) if a != 4 else math.inf,
        ),
        Mistake(
            "the limit of tiny steps: a step of finite length leaves more than sigma squared.",
            lambda a: 1.0 if a < 4 else math.inf,
        ),
        Mistake(
            "a sign lost on the way: the larger the step, the larger the spread.",
            lambda a: 4 / (4 + a),
        ),
        Mistake(
            "a factor that was not squared: the distance shrinks by 1 - a/2, the variance by its square.",
            lambda a: 2.0 if a < 4 else math.inf,
        ),
        Mistake(
            "the standard deviation: the ratio of the variances is asked.",
            lambda a: math.sqrt(4 / (4 - a)) if a < 4 else math.inf,
        ),
    ),
)
