"""Exercises 3.3 and 3.4: a step for each level, and annealed Langevin dynamics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ncsn.exact import GaussianMixtureScore
from ncsn.learn.declarations import Case, Exercise, Function, Mistake
from ncsn.learn.lessons.langevin.exercises_from_1 import langevin_step
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


def step_sizes(sigmas: Tensor, epsilon: float) -> Tensor:
    """Return alpha_i = epsilon (sigma_i / sigma_min)^2."""
    return epsilon * (sigmas / sigmas[-1]) ** 2


SIZES = Exercise(
    number="3.3",
    title="a step size for each noise level",
    name="step_sizes",
    cases=sizes_cases,
    truth=sizes_truth,
    reference=step_sizes,
    against="quotients of plain numbers",
    mistakes=(
        Mistake(
            "a ratio that is not squared: lengths go with sigma, but a step is a variance.",
            lambda sigmas, epsilon: epsilon * sigmas / sigmas[-1],
        ),
        Mistake(
            "a ratio upside down: in thick fog the score is short and the way is long, so the steps are large there.",
            lambda sigmas, epsilon: epsilon * (sigmas[-1] / sigmas) ** 2,
        ),
        Mistake(
            "steps measured by the largest level: epsilon is the step at the smallest, the last one.",
            lambda sigmas, epsilon: epsilon * (sigmas / sigmas[0]) ** 2,
        ),
        Mistake(
            "the same step at all levels.",
            lambda sigmas, epsilon: torch.full_like(sigmas, epsilon),
        ),
        Mistake(
            "epsilon times sigma squared: epsilon is the step itself at the smallest level, so divide by that level's square.",
            lambda sigmas, epsilon: epsilon * sigmas**2,
        ),
    ),
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


def _sampler_with(
    sigmas_of: Callable[[Tensor], Tensor] = lambda sigmas: sigmas,
    sizes: Callable[[Tensor, float], Tensor] = step_sizes,
    heard: Callable[[Tensor, int], Tensor] = lambda sigmas, i: sigmas[i],
    kick_of: Callable[[Tensor, int, int], Tensor] = lambda noise, i, t: noise[i, t],
    step: Callable[[Tensor, Tensor, float, Tensor], Tensor] = langevin_step,
    steps_of: Callable[[int], int] = lambda n: n,
    restart: bool = False,
) -> Function:
    """Return a sampler that differs from the right one in the parts given."""

    def sampler(score_model: ScoreModel, sigmas: Tensor, x: Tensor, epsilon: float, noise: Tensor) -> Tensor:
        levels, place = sigmas_of(sigmas), x
        for i, alpha in enumerate(
            sizes(sigmas, epsilon) if sigmas_of(sigmas) is sigmas else sizes(sigmas, epsilon).flip(0)
        ):
            place = x if restart else place
            for t in range(steps_of(noise.shape[1])):
                place = step(place, score_model(place, heard(levels, i)), float(alpha), kick_of(noise, i, t))
        return place

    return sampler


def _levels_within_steps(score_model: ScoreModel, sigmas: Tensor, x: Tensor, epsilon: float, noise: Tensor) -> Tensor:
    for t in range(noise.shape[1]):
        for i, alpha in enumerate(step_sizes(sigmas, epsilon)):
            x = langevin_step(x, score_model(x, sigmas[i]), float(alpha), noise[i, t])
    return x


def _denoised_at_the_end(score_model: ScoreModel, sigmas: Tensor, x: Tensor, epsilon: float, noise: Tensor) -> Tensor:
    x = sampler_reference(score_model, sigmas, x, epsilon, noise)
    return denoised_from_score(x, sigmas[-1], score_model(x, sigmas[-1]))


def _other_convention(x: Tensor, score: Tensor, alpha: float, noise: Tensor) -> Tensor:
    return x + alpha * score + math.sqrt(2 * alpha) * noise


SAMPLER = Exercise(
    number="3.4",
    title="annealed Langevin dynamics",
    name="annealed_langevin",
    cases=sampler_cases,
    truth=sampler_truth,
    reference=sampler_reference,
    against="walkers walked one by one",
    tolerance=1e-3,
    mistakes=(
        Mistake(
            "a walk from fine to coarse: begin with the largest level, as sigmas does.",
            _sampler_with(sigmas_of=lambda sigmas: sigmas.flip(0)),
        ),
        Mistake(
            "the same step at all levels: each level has its own.",
            _sampler_with(sizes=lambda sigmas, epsilon: torch.full_like(sigmas, epsilon)),
        ),
        Mistake(
            "steps that go with sigma instead of its square.",
            _sampler_with(sizes=lambda sigmas, epsilon: epsilon * sigmas / sigmas[-1]),
        ),
        Mistake(
            "a score that is asked at the smallest level throughout: that is plain Langevin dynamics, with changing steps.",
            _sampler_with(heard=lambda sigmas, i: sigmas[-1]),
        ),
        Mistake(
            "a score that is asked at the largest level throughout.",
            _sampler_with(heard=lambda sigmas, i: sigmas[0]),
        ),
        Mistake(
            "a single step at each level: there are as many as noise holds for it.",
            _sampler_with(steps_of=lambda n: 1),
        ),
        Mistake(
            "the same noise in every step of a level: each step has its own.",
            _sampler_with(kick_of=lambda noise, i, t: noise[i, 0]),
        ),
        Mistake(
            "loops the wrong way round: stay at one level for all its steps, and go on to the next level then.",
            _levels_within_steps,
        ),
        Mistake(
            "a new start at each level: go on where the level before ended.",
            _sampler_with(restart=True),
        ),
        Mistake(
            "a step of the other convention.",
            _sampler_with(step=_other_convention),
        ),
        Mistake(
            "a walk without noise.",
            _sampler_with(kick_of=lambda noise, i, t: torch.zeros_like(noise[i, t])),
        ),
        Mistake(
            "a last denoising at the end: well thought, but it has an exercise of its own.",
            _denoised_at_the_end,
        ),
    ),
)
