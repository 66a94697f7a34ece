"""Exercises 3.3 and 3.4: a step for each level, and annealed Langevin dynamics."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ncsn.exact import GaussianMixtureScore
from ncsn.learn.declarations import Case, Exercise, Mistake
from ncsn.learn.lessons.langevin.exercises_from_1 import STEP_MISTAKES, langevin_step
from ncsn.samplers import AnnealedLangevin, CountedModel, Noise
from ncsn.score import ScoreModel, denoised_from_score

__all__ = ["SAMPLER", "SIZES"]


# 3.3


def sizes_truth(sigmas: Tensor, epsilon: float) -> Tensor:
    """Return the steps, number by number."""
    levels = sigmas.tolist()
    return torch.tensor([epsilon * level * level / (levels[-1] * levels[-1]) for level in levels], dtype=sigmas.dtype)


def sizes_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make descending levels."""
    yield Case("a single level", (torch.tensor([0.3]), 0.01))
    yield Case("levels 4, 2 and 1", (torch.tensor([4.0, 2.0, 1.0]), 0.1))
    yield Case("16 levels from 15 to 0.1", (torch.logspace(math.log10(15), -1, 16), 0.001))
    yield Case("double precision", (torch.tensor([3.0, 0.7, 0.02], dtype=torch.float64), 2e-5), 1e-12)


def step_sizes(
    sigmas: Tensor,
    epsilon: float,
    *,
    power: float = 2,
    by: int | None = -1,
    by_power: float | None = None,
    epsilon_power: float = 1,
    flipped: bool = False,
) -> Tensor:
    """Return alpha_i = epsilon (sigma_i / sigma_min)^2; the switches change the powers and what is divided by."""
    above, below = sigmas**power, 1.0 if by is None else sigmas[by] ** (power if by_power is None else by_power)
    return epsilon**epsilon_power * (above.flip(0) if flipped else above) / below


SIZES_MISTAKES = (
    Mistake(
        "steps that go with sigma instead of its square, a ratio that is not squared: lengths go with sigma, but a step is a "
        "variance.",
        {"power": 1},
    ),
    Mistake(
        "a ratio upside down: in thick fog the score is short and the way is long, so the steps are large there.",
        {"power": -2},
    ),
    Mistake("steps measured by the largest level: epsilon is the step at the smallest, the last one.", {"by": 0}),
    Mistake("the same step at all levels: each level has its own.", {"power": 0}),
    Mistake(
        "epsilon times sigma squared: epsilon is the step itself at the smallest level, so divide by that level's square.",
        {"by": None},
    ),
    Mistake("a ratio with squares above alone: the smallest level is squared, too.", {"by_power": 1}),
    Mistake("epsilon inside the square: it is a step already, epsilon times the ratio's square.", {"epsilon_power": 2}),
    Mistake("the steps of the levels the other way round: the largest level has the largest step.", {"flipped": True}),
)
"""What goes wrong in `step_sizes`."""


SIZES = Exercise(
    number="3.3",
    title="a step size for each noise level",
    name="step_sizes",
    cases=sizes_cases,
    truth=sizes_truth,
    reference=step_sizes,
    against="quotients of plain numbers",
    mistakes=SIZES_MISTAKES,
)


# 3.4


def sampler_truth(score_model: ScoreModel, sigmas: Tensor, x: Tensor, epsilon: float, noise: Tensor) -> Tensor:
    """Return the samples, each walker walked alone."""
    smallest = float(sigmas[-1])
    ends = []
    for i in range(len(x)):
        place = x[i : i + 1]
        for sigma, kicks in zip(sigmas, noise, strict=True):
            alpha = epsilon * float(sigma) ** 2 / smallest**2
            for kick in kicks:
                place = place + 0.5 * alpha * score_model(place, sigma) + alpha**0.5 * kick[i]
        ends.append(place)
    return torch.cat(ends)


def sampler_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make mixtures, levels and noise."""
    for name, n, dim, levels, steps, dtype in (
        ("a batch of one and one step a level", 1, 2, [2.0, 1.0], 1, torch.float32),
        ("7 walkers, 4 levels of 5 steps", 7, 2, [3.0, 1.2, 0.5, 0.2], 5, torch.float32),
        ("50 walkers in 3 dimensions, a single level", 50, 3, [0.7], 8, torch.float32),
        ("double precision", 5, 2, [5.0, 1.0, 0.3], 4, torch.float64),
    ):
        means = 3 * torch.randn(2, dim, generator=generator, dtype=dtype)
        model = GaussianMixtureScore(torch.tensor([0.3, 0.7], dtype=dtype), means, 0.25)
        sigmas = torch.tensor(levels, dtype=dtype)
        x = levels[0] * torch.randn(n, dim, generator=generator, dtype=dtype)
        noise = torch.randn(len(levels), steps, n, dim, generator=generator, dtype=dtype)
        yield Case(name, (model, sigmas, x, 0.3 * levels[-1] ** 2, noise), 1e-10 if dtype == torch.float64 else None)


class _Given(Noise):
    """Noise that was drawn before, handed to one of the library's samplers step by step.

    Args:
        noise: ``(levels, steps, N, D)``.
    """

    def __init__(self, noise: Tensor) -> None:
        super().__init__(seed=0, first=0, block=max(1, noise.shape[2]), device=noise.device)
        self._kicks = iter(noise.flatten(0, 1))

    def like(self, x: Tensor) -> Tensor:
        """Return the next step's noise."""
        return next(self._kicks)


def sampler_reference(score_model: ScoreModel, sigmas: Tensor, x: Tensor, epsilon: float, noise: Tensor) -> Tensor:
    """Return samples of the library's annealed Langevin dynamics, with the noise given."""
    sampler = AnnealedLangevin(n_steps_per_sigma=noise.shape[1], step_size=float(epsilon))
    with torch.no_grad():
        for state in sampler.walk(CountedModel(score_model), x, sigmas, _Given(noise)):
            x = state.x
    return x


def sampler_written(
    score_model: ScoreModel,
    sigmas: Tensor,
    x: Tensor,
    epsilon: float,
    noise: Tensor,
    *,
    walked: slice = slice(None),
    rising: bool = False,
    sized: int = 0,
    heard: Callable[[int, int], int] = lambda i, n: i,
    steps: slice = slice(None),
    same_kick: bool = False,
    restart: bool = False,
    denoised: bool = False,
    **switches: Any,
) -> Tensor:
    """Return samples, with switches for the levels, the steps and the noise, and those of `step_sizes` and `langevin_step`."""
    sizing = {name: value for name, value in switches.items() if name in _SIZING}
    stepping = {name: value for name, value in switches.items() if name not in _SIZING}
    n, place = len(sigmas), x
    alphas = step_sizes(sigmas, epsilon, **sizing)
    for i in list(range(n))[walked]:
        j = n - 1 - i if rising else i
        place = x if restart else place
        for kick in noise[i][steps]:
            score = score_model(place, sigmas[heard(j, n)])
            alpha = float(alphas[min(max(j + sized, 0), n - 1)])
            place = langevin_step(place, score, alpha, noise[i, 0] if same_kick else kick, **stepping)
    return denoised_from_score(place, sigmas[-1], score_model(place, sigmas[-1])) if denoised else place


_SIZING = inspect.signature(step_sizes).parameters.keys()


def _levels_within_steps(score_model: ScoreModel, sigmas: Tensor, x: Tensor, epsilon: float, noise: Tensor) -> Tensor:
    for t in range(noise.shape[1]):
        for i, alpha in enumerate(step_sizes(sigmas, epsilon)):
            x = langevin_step(x, score_model(x, sigmas[i]), float(alpha), noise[i, t])
    return x


SAMPLER = Exercise(
    number="3.4",
    title="annealed Langevin dynamics",
    name="annealed_langevin",
    cases=sampler_cases,
    truth=sampler_truth,
    reference=sampler_reference,
    against="walkers walked one by one",
    tolerance=1e-3,
    written=sampler_written,
    mistakes=(
        Mistake("a walk from fine to coarse: begin with the largest level, as sigmas does.", {"rising": True}),
        Mistake(
            "a score that is asked at the smallest level throughout: that is plain Langevin dynamics, with changing steps.",
            {"heard": lambda i, n: n - 1},
        ),
        Mistake("a score that is asked at the largest level throughout.", {"heard": lambda i, n: 0}),
        Mistake("a score that is asked at the next level already.", {"heard": lambda i, n: min(i + 1, n - 1)}),
        Mistake("a score that is asked at the level before.", {"heard": lambda i, n: max(i - 1, 0)}),
        Mistake("steps of the next level: each level has its own.", {"sized": 1}),
        Mistake("steps of the level before: each level has its own.", {"sized": -1}),
        Mistake("a single step at each level: there are as many as noise holds for it.", {"steps": slice(1)}),
        Mistake("a step too few at each level.", {"steps": slice(-1)}),
        Mistake("a step too few at each level.", {"steps": slice(1, None)}),
        Mistake("a walk whose last level is left out.", {"walked": slice(-1)}),
        Mistake("a walk whose first level is left out.", {"walked": slice(1, None)}),
        Mistake("the same noise in every step of a level: each step has its own.", {"same_kick": True}),
        Mistake(
            "loops the wrong way round: stay at one level for all its steps, and go on to the next level then.",
            _levels_within_steps,
        ),
        Mistake("a new start at each level: go on where the level before ended.", {"restart": True}),
        Mistake("a last denoising at the end: well thought, but it has an exercise of its own.", {"denoised": True}),
        *SIZES_MISTAKES,
        *STEP_MISTAKES,
    ),
)
