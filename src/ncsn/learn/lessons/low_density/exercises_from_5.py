"""Exercises 1.5 and 1.6: the error of a learned score, and walks along a score."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ncsn.learn.declarations import Case, Exercise, Mistake

__all__ = ["ERROR", "FOLLOW"]


# 1.5


def error_truth(estimate: Tensor, exact: Tensor) -> float:
    """Return the relative error by plain sums over numbers."""
    wrong = sum((a - b) ** 2 for a, b in zip(estimate.flatten().tolist(), exact.flatten().tolist(), strict=True))
    return float(wrong / sum(b**2 for b in exact.flatten().tolist()))


def error_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make estimates that are wrong by different amounts in different places."""
    for name, n, dim, dtype in (
        ("a batch of one", 1, 1, torch.float32),
        ("7 points in the plane", 7, 2, torch.float32),
        ("1,000 points in 5 dimensions", 1000, 5, torch.float32),
        ("double precision", 9, 3, torch.float64),
    ):
        exact = 3 * torch.randn(n, dim, generator=generator, dtype=dtype)
        yield Case(name, (exact + torch.randn(exact.shape, generator=generator, dtype=dtype), exact))
    exact = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    yield Case("a point where the exact score is zero", (exact + torch.tensor([[0.3, 0.4], [0.0, 0.0]]), exact))


def error_reference(estimate: Tensor, exact: Tensor) -> float:
    """Return E|estimate - exact|^2 / E|exact|^2 over the rows given."""
    return float((estimate - exact).square().sum() / exact.square().sum())


ERROR = Exercise(
    number="1.5",
    title="how wrong a learned score is",
    name="relative_error",
    cases=error_cases,
    truth=error_truth,
    reference=error_reference,
    against="plain sums in double precision",
    mistakes=(
        Mistake(
            "the mean of each point's own ratio: a point at which the exact score is near zero then rules the whole figure. "
            "Average above and below first, and divide then.",
            lambda a, b: ((a - b).square().sum(-1) / b.square().sum(-1)).mean(),
        ),
        Mistake("the root of it: the squares belong to the definition.", lambda a, b: (a - b).norm() / b.norm()),
        Mistake(
            "a division by the estimate's own size: measure against what is true.",
            lambda a, b: (a - b).square().sum() / a.square().sum(),
        ),
        Mistake("the error without its scale: a relative error has no units.", lambda a, b: (a - b).square().mean()),
        Mistake(
            "the error without its scale: a relative error has no units.",
            lambda a, b: (a - b).square().sum(-1).mean(),
        ),
    ),
)


# 1.6


@dataclass(frozen=True)
class GaussianCompass:
    """The score of N(mean, variance), a number each, whose ascent has a closed form."""

    mean: float
    variance: float

    def __call__(self, x: Tensor) -> Tensor:
        """Return the score."""
        return (self.mean - x) / self.variance


def follow_truth(score: GaussianCompass, x: Tensor, step: float, n_steps: int) -> Tensor:
    """Return where ascent ends, in closed form: each step shrinks the distance by the same factor."""
    return score.mean + (1 - step / score.variance) ** n_steps * (x - score.mean)


def follow_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make walkers near and far."""
    for name, n, dim, score, step, n_steps in (
        ("a single walker and a single step", 1, 1, GaussianCompass(1.0, 0.5), 0.1, 1),
        ("7 walkers in the plane", 7, 2, GaussianCompass(-2.0, 2.0), 0.5, 5),
        ("1,000 walkers in 10 dimensions", 1000, 10, GaussianCompass(0.5, 0.3), 0.05, 30),
        ("no step at all", 3, 2, GaussianCompass(1.0, 1.0), 0.1, 0),
    ):
        yield Case(name, (score, 5 * torch.randn(n, dim, generator=generator), step, n_steps))
    wide = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    yield Case("double precision", (GaussianCompass(0.0, 1.0), wide, 0.2, 10), tolerance=1e-12)


def follow_reference(score: Callable[[Tensor], Tensor], x: Tensor, step: float, n_steps: int) -> Tensor:
    """Return where walkers end that take steps along the score."""
    x = x.clone()
    with torch.no_grad():
        for _ in range(n_steps):
            x = x + step * score(x)
    return x


def _along_unit_arrows(score: Callable[[Tensor], Tensor], x: Tensor, step: float, n_steps: int) -> Tensor:
    for _ in range(n_steps):
        x = x + step * torch.nn.functional.normalize(score(x), dim=-1)
    return x


FOLLOW = Exercise(
    number="1.6",
    title="follow the compass",
    name="follow",
    cases=follow_cases,
    truth=follow_truth,
    reference=follow_reference,
    against="the closed form of the ascent on a Gaussian",
    mistakes=(
        Mistake(
            "a walk away from the data: the score points uphill, so add it.",
            lambda score, x, step, n: follow_reference(lambda y: -score(y), x, step, n),
        ),
        Mistake(
            "a compass read once, at the start: read it again at each new place.",
            lambda score, x, step, n: x + n * step * score(x),
        ),
        Mistake(
            "a single step, whatever n_steps says: is the return inside the loop, or does x stay as it was?",
            lambda score, x, step, n: x + step * score(x),
        ),
        Mistake(
            "a step too many.",
            lambda score, x, step, n: follow_reference(score, x, step, n + 1),
        ),
        Mistake(
            "steps of equal length: the arrow's length belongs to the compass, and shrinks on arrival.",
            _along_unit_arrows,
        ),
        Mistake(
            "steps of half the size: there is no noise here to share the step with.",
            lambda score, x, step, n: follow_reference(score, x, step / 2, n),
        ),
    ),
)
