"""Exercises 3.1 and 3.2: a Langevin step, and the spread that it leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ncsn.learn.declarations import Case, Exercise, Mistake

__all__ = ["RATIO", "STEP", "STEP_MISTAKES", "langevin_step"]


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


def langevin_step(
    x: Tensor,
    score: Tensor,
    alpha: float,
    noise: Tensor,
    *,
    keep: float = 1,
    sign: float = 1,
    drift: float = 0.5,
    drift_power: float = 1,
    kick: float = 1,
    kick_power: float = 0.5,
    own: bool = False,
) -> Tensor:
    """Return x + (alpha/2) score + sqrt(alpha) noise; the switches change signs, factors and powers of alpha."""
    noise = torch.randn_like(noise) if own else noise
    return keep * x + sign * drift * alpha**drift_power * score + kick * alpha**kick_power * noise


STEP_MISTAKES = (
    Mistake("a turned sign: the score points uphill, to where data are denser, so add it.", {"sign": -1}),
    Mistake(
        "the other convention, alpha times the score and the root of 2 alpha times the noise: a sound step, but one twice as "
        "large as is meant here.",
        {"drift": 1, "kick": math.sqrt(2)},
    ),
    Mistake(
        "a mixture of the two conventions, the whole alpha before the score: with it goes the root of 2 alpha. As it is, the "
        "walkers end too close together, with half the variance.",
        {"drift": 1},
    ),
    Mistake(
        "a mixture of the two conventions: the root of 2 alpha goes with alpha times the score. As it is, the "
        "walkers end too far apart, with twice the variance.",
        {"kick": math.sqrt(2)},
    ),
    Mistake(
        "noise of half the variance: its variance is alpha, although the score has alpha/2.",
        {"kick": math.sqrt(0.5)},
    ),
    Mistake(
        "a missing square root: variances add up, so noise of variance alpha has the standard deviation root alpha.",
        {"kick_power": 1},
    ),
    Mistake(
        "a missing square root, over 2 alpha: the noise's standard deviation is a root.", {"kick_power": 1, "kick": 2}
    ),
    Mistake("noise without its scale: it has to shrink with the step, though more slowly.", {"kick_power": 0}),
    Mistake("a climb without noise: all walkers would end on the very tops.", {"kick": 0}),
    Mistake("noise that is subtracted: as likely, but the noise that is handed in is to be added.", {"kick": -1}),
    Mistake("noise without the score: the walkers are jostled, and not led.", {"drift": 0}),
    Mistake("a root of alpha before the score: the root belongs to the noise alone.", {"drift_power": 0.5}),
    Mistake("a score without its step size.", {"drift_power": 0}),
    Mistake("a score without its step size.", {"drift_power": 0, "drift": 1}),
    Mistake("noise of its own: take the noise that is given.", {"own": True}),
)
"""What goes wrong in `langevin_step`, wherever it is taken."""


STEP = Exercise(
    number="3.1",
    title="one step of Langevin dynamics",
    name="langevin_step",
    cases=step_cases,
    truth=step_truth,
    reference=langevin_step,
    against="sums of plain numbers",
    mistakes=(
        *STEP_MISTAKES,
        Mistake("the way of the walkers, not the places where they arrive.", {"keep": 0}),
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


def ratio_written(
    a: float,
    *,
    convention: float = 1,
    square: float = 2,
    sign: float = 1,
    kick_power: float = 1,
    root: float = 1,
    reach: float = 4,
    limit: bool = False,
) -> float:
    """Return where v <- (1 - a/2)^2 v + a stands still, with switches for its terms; infinite from ``reach`` on."""
    step = convention * a
    if step >= reach:
        return math.inf
    if limit:
        return 1.0
    # of the square of 1 - a/2, without its 1
    rest = step - sign * step**2 / 4 if square == 2 else step / 2
    value = math.inf if rest == 0 else step**kick_power / rest
    return math.nan if value < 0 and root == 0.5 else value**root


RATIO = Exercise(
    number="3.2",
    title="the spread that a step size leaves",
    name="stationary_ratio",
    cases=ratio_cases,
    truth=ratio_truth,
    reference=ratio_reference,
    against="the recursion, walked until it stands still",
    written=ratio_written,
    mistakes=(
        Mistake(
            "the ratio of the other convention, x + alpha s + root of 2 alpha z: there the same formula holds with twice the a.",
            {"convention": 2},
        ),
        Mistake(
            "the right formula, used beyond its reach: from a = 4 on the variance grows without end.",
            {"reach": math.inf},
        ),
        Mistake(
            "a spread without end from a = 2 on: that is so in the other convention, and here from 4 on.", {"reach": 2}
        ),
        Mistake("the limit of tiny steps: a step of finite length leaves more than sigma squared.", {"limit": True}),
        Mistake(
            "a sign lost on the way: the larger the step, the larger the spread.",
            {"sign": -1, "reach": math.inf},
        ),
        Mistake("a sign lost on the way: the larger the step, the larger the spread.", {"sign": -1}),
        Mistake(
            "a factor that was not squared: the distance shrinks by 1 - a/2, the variance by its square.",
            {"square": 1},
        ),
        Mistake("the standard deviation: the ratio of the variances is asked.", {"root": 0.5}),
        Mistake("a quotient upside down: large steps leave much.", {"root": -1, "reach": math.inf}),
        Mistake("a quotient upside down: large steps leave much.", {"root": -1}),
        Mistake("the sum of what is left of each step, without the a that each step adds.", {"kick_power": 0}),
    ),
)
