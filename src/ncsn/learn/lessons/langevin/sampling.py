"""Exercises 3.4 and 3.5: annealed Langevin dynamics, and the last denoising."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ncsn.exact import GaussianMixtureScore
from ncsn.learn.declarations import Case, Exercise, Function, Mistake
from ncsn.learn.lessons.langevin.walking import langevin_step, step_sizes
from ncsn.samplers import AnnealedLangevin, CountedModel
from ncsn.score import denoised_from_score

__all__ = ["DENOISE", "SAMPLER"]

Model = Callable[[Tensor, Tensor], Tensor]


# 3.4


def sampler_truth(score_model: Model, sigmas: Tensor, x: Tensor, epsilon: float, noise: Tensor) -> Tensor:
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


class _Given:
    """Noise that was drawn before, handed to one of the library's samplers step by step.

    Args:
        noise: ``(levels, steps, N, D)``.
    """

    def __init__(self, noise: Tensor) -> None:
        self.block = max(1, noise.shape[2])
        self._kicks = iter(noise.flatten(0, 1))

    def like(self, x: Tensor) -> Tensor:
        """Return the next step's noise."""
        return next(self._kicks)


def sampler_reference(score_model: Model, sigmas: Tensor, x: Tensor, epsilon: float, noise: Tensor) -> Tensor:
    """Return samples of the library's annealed Langevin dynamics, with the noise given."""
    sampler = AnnealedLangevin(n_steps_per_sigma=noise.shape[1], step_size=epsilon)
    given: Any = _Given(noise)
    with torch.no_grad():
        for state in sampler.walk(CountedModel(score_model), x, sigmas, given):
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

    def sampler(score_model: Model, sigmas: Tensor, x: Tensor, epsilon: float, noise: Tensor) -> Tensor:
        levels, place = sigmas_of(sigmas), x
        for i, alpha in enumerate(
            sizes(sigmas, epsilon) if sigmas_of(sigmas) is sigmas else sizes(sigmas, epsilon).flip(0)
        ):
            place = x if restart else place
            for t in range(steps_of(noise.shape[1])):
                place = step(place, score_model(place, heard(levels, i)), float(alpha), kick_of(noise, i, t))
        return place

    return sampler


def _levels_within_steps(score_model: Model, sigmas: Tensor, x: Tensor, epsilon: float, noise: Tensor) -> Tensor:
    for t in range(noise.shape[1]):
        for i, alpha in enumerate(step_sizes(sigmas, epsilon)):
            x = langevin_step(x, score_model(x, sigmas[i]), float(alpha), noise[i, t])
    return x


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
            lambda model, sigmas, x, epsilon, noise: denoise(
                model, sampler_reference(model, sigmas, x, epsilon, noise), sigmas[-1]
            ),
        ),
    ),
)


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


def denoise(score_model: Model, x: Tensor, sigma: Tensor) -> Tensor:
    """Return x + sigma^2 s(x, sigma)."""
    return denoised_from_score(x, sigma, score_model(x, sigma))


DENOISE = Exercise(
    number="3.5",
    title="the last denoising",
    name="denoise",
    cases=denoise_cases,
    truth=denoise_truth,
    reference=denoise,
    against="Bayes' rule over the clean points",
    tolerance=1e-4,
    mistakes=(
        Mistake(
            "sigma for sigma squared: the score is the way back divided by sigma squared.",
            lambda model, x, sigma: x + sigma * model(x, sigma),
        ),
        Mistake(
            "a turned sign: the score points back to the data, so add it.",
            lambda model, x, sigma: x - sigma**2 * model(x, sigma),
        ),
        Mistake(
            "half the way, as in a Langevin step: no noise follows this time, so go all of it.",
            lambda model, x, sigma: x + sigma**2 / 2 * model(x, sigma),
        ),
        Mistake(
            "the way back without its start: add it to x.",
            lambda model, x, sigma: sigma**2 * model(x, sigma),
        ),
        Mistake(
            "one more Langevin step: leave out the noise.",
            lambda model, x, sigma: x + sigma**2 * model(x, sigma) + sigma * torch.randn_like(x),
        ),
        Mistake(
            "a score that is not scaled: it is the way back divided by sigma squared.",
            lambda model, x, sigma: x + model(x, sigma),
        ),
    ),
)
