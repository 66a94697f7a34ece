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


def error_reference(
    estimate: Tensor,
    exact: Tensor,
    *,
    square: float = 2,
    lengths: bool = False,
    over: str = "all",
    root: float = 1,
    by: str = "exact",
) -> float:
    """Return E|estimate - exact|^2 / E|exact|^2 over the rows given; the switches measure and average otherwise."""
    scale = {"exact": exact, "estimate": estimate, "both": estimate.abs() + exact.abs()}.get(by, torch.ones_like(exact))
    above, below = ((each.norm(dim=-1) if lengths else each.abs()) ** square for each in (estimate - exact, scale))
    if over == "rows":
        above, below = (each if lengths else each.sum(-1) for each in (above, below))
    ratio = above.sum() / below.sum() if over == "all" else (above / below).mean()
    return float(ratio**root)


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
            {"over": "rows"},
        ),
        Mistake(
            "the mean of each entry's own ratio: an entry at which the exact score is near zero then rules the whole figure. "
            "Average above and below first, and divide then.",
            {"over": "entries"},
        ),
        Mistake("the root of it: the squares belong to the definition.", {"root": 0.5}),
        Mistake("lengths that are not squared: the definition has their squares.", {"square": 1, "lengths": True}),
        Mistake("absolute values that are not squared: the definition has squares.", {"square": 1}),
        Mistake("a division by the estimate's own size: measure against what is true.", {"by": "estimate"}),
        Mistake("the error without its scale: a relative error has no units.", {"by": "nothing"}),
        Mistake(
            "the error without its scale: a relative error has no units.",
            lambda a, b: (a - b).square().sum(-1).mean(),
        ),
        Mistake("the error without its scale: a relative error has no units.", lambda a, b: (a - b).square().sum()),
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


def follow_reference(
    score: Callable[[Tensor], Tensor],
    x: Tensor,
    step: float,
    n_steps: int,
    *,
    sign: float = 1,
    factor: float = 1,
    power: float = 1,
    rounds: Callable[[int], int] = int,
    reread: bool = True,
    unit: bool = False,
    returns: str = "end",
) -> Tensor:
    """Return where walkers end that take steps along the score; the switches change the steps and their number."""
    places = [x.clone()]
    with torch.no_grad():
        for _ in range(rounds(n_steps)):
            arrow = score(places[-1] if reread else x)
            arrow = torch.nn.functional.normalize(arrow, dim=-1) if unit else arrow
            places.append(places[-1] + sign * factor * step**power * arrow)
    return torch.stack(places) if returns == "all" else torch.stack(places[1:]) if returns == "later" else places[-1]


FOLLOW = Exercise(
    number="1.6",
    title="follow the compass",
    name="follow",
    cases=follow_cases,
    truth=follow_truth,
    reference=follow_reference,
    against="the closed form of the ascent on a Gaussian",
    mistakes=(
        Mistake("a walk away from the data: the score points uphill, so add it.", {"sign": -1}),
        Mistake("a compass read once, at the start: read it again at each new place.", {"reread": False}),
        Mistake(
            "a single step, whatever n_steps says: is the return inside the loop, or does x stay as it was?",
            {"rounds": lambda n: 1},
        ),
        Mistake("a step too many.", {"rounds": lambda n: n + 1}),
        Mistake("a step too few.", {"rounds": lambda n: n - 1}),
        Mistake("the start: the walkers have not moved.", {"rounds": lambda n: 0}),
        Mistake(
            "steps of equal length: the arrow's length belongs to the compass, and shrinks on arrival.",
            {"unit": True},
        ),
        Mistake("steps of half the size: there is no noise here to share the step with.", {"factor": 0.5}),
        Mistake("steps of twice the size.", {"factor": 2}),
        Mistake("steps with the square of their size.", {"power": 2}),
        Mistake("all places on the way: where the walkers end is asked for, the last of them.", {"returns": "all"}),
        Mistake("all places on the way: where the walkers end is asked for, the last of them.", {"returns": "later"}),
    ),
)
