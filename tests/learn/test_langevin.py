"""Lesson 3: right answers written in other ways pass, and its formulas hold where they are walked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ncsn.exact import GaussianMixtureScore
from ncsn.learn.checking import examine
from ncsn.learn.lessons import exercise_numbered
from ncsn.learn.lessons.langevin.exercises_from_1 import langevin_step, ratio_reference
from ncsn.learn.lessons.langevin.exercises_from_3 import sampler_reference
from ncsn.learn.lessons.langevin.exercises_from_5 import adaptive_reference


def step_by_loop(x: Tensor, score: Tensor, alpha: float, noise: Tensor) -> Tensor:
    return torch.stack([a + 0.5 * alpha * s + alpha**0.5 * z for a, s, z in zip(x, score, noise, strict=True)])


def step_in_double(x: Tensor, score: Tensor, alpha: float, noise: Tensor) -> Tensor:
    size = torch.tensor(alpha, dtype=torch.float64)
    return (x.double() + size / 2 * score + size.sqrt() * noise).to(x.dtype)


def ratio_by_walking(a: float) -> float:
    variance = 1.0
    for _ in range(100_000):
        variance = (1 - a / 2) ** 2 * variance + a
        if variance > 1e4:
            return math.inf
    return variance


def ratio_of_tensors(a: float) -> Tensor:
    return torch.tensor(4.0, dtype=torch.float64) / (4 - a) if a < 4 else torch.tensor(math.inf)


def sizes_by_loop(sigmas: Tensor, epsilon: float) -> Tensor:
    return torch.stack([epsilon * sigma**2 / sigmas[-1] ** 2 for sigma in sigmas])


def sizes_by_minimum(sigmas: Tensor, epsilon: float) -> Tensor:
    return epsilon * (sigmas / sigmas.min()).square()


def sampler_walker_by_walker(model: Any, sigmas: Tensor, x: Tensor, epsilon: float, noise: Tensor) -> Tensor:
    x = x.clone()
    for walker in range(len(x)):
        place = x[walker : walker + 1]
        for i, sigma in enumerate(sigmas):
            alpha = epsilon * (sigma / sigmas[-1]) ** 2
            for t in range(noise.shape[1]):
                place = place + alpha / 2 * model(place, sigma) + alpha.sqrt() * noise[i, t, walker]
        x[walker] = place[0]
    return x


def sampler_with_a_level_each(model: Any, sigmas: Tensor, x: Tensor, epsilon: float, noise: Tensor) -> Tensor:
    for sigma, kicks in zip(sigmas, noise, strict=True):
        alpha = epsilon * (sigma / sigmas[-1]) ** 2
        for kick in kicks:
            x = x + alpha / 2 * model(x, sigma.expand(len(x))) + torch.sqrt(alpha) * kick
    return x


def denoise_row_by_row(model: Any, x: Tensor, sigma: Tensor) -> Tensor:
    return torch.cat([row[None] + sigma * sigma * model(row[None], sigma) for row in x])


def denoise_by_blending(model: Any, x: Tensor, sigma: Tensor) -> Tensor:
    level = torch.full((len(x),), float(sigma), dtype=x.dtype)
    return torch.addcmul(x, level[:, None] ** 2, model(x, level))


def variance_closed(a: float, ratio: float, n_steps: int) -> float:
    settled = 4 / (4 - a)
    return settled + (1 - a / 2) ** (2 * n_steps) * (ratio**2 - settled)


def variance_of_arrays(a: float, ratio: float, n_steps: int) -> Any:
    variance = np.float64(ratio) ** 2
    for _ in range(n_steps):
        variance = variance - (a - a**2 / 4) * variance + a
    return variance


def adaptive_over_entries(score: Tensor, a: float) -> Tensor:
    return a / score.square().mean()


def adaptive_by_norm(score: Tensor, a: float) -> float:
    return a * score.size(-1) / (score.norm(dim=-1) ** 2).mean().item()


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("3.1", step_by_loop),
        ("3.1", step_in_double),
        ("3.2", ratio_by_walking),
        ("3.2", ratio_of_tensors),
        ("3.3", sizes_by_loop),
        ("3.3", sizes_by_minimum),
        ("3.4", sampler_walker_by_walker),
        ("3.4", sampler_with_a_level_each),
        ("3.5", denoise_row_by_row),
        ("3.5", denoise_by_blending),
        ("3.6", variance_closed),
        ("3.6", variance_of_arrays),
        ("3.7", adaptive_over_entries),
        ("3.7", adaptive_by_norm),
    ],
)
def test_right_answers_written_differently_pass(number: str, answer: Callable[..., Any]) -> None:
    result = examine(exercise_numbered(number), answer)
    assert result.passed, str(result)


def test_a_sampler_that_writes_into_its_start_is_told_so() -> None:
    def sampler(model: Any, sigmas: Tensor, x: Tensor, epsilon: float, noise: Tensor) -> Tensor:
        x += sampler_reference(model, sigmas, x, epsilon, noise) - x
        return x

    assert "changes its input in place" in str(examine(exercise_numbered("3.4"), sampler))


@pytest.mark.parametrize("a", [0.1, 1.0, 2.0, 3.0])
def test_the_spread_of_walkers_is_the_formula(a: float) -> None:
    sigma, generator = 3.0, torch.Generator().manual_seed(0)
    x = sigma * torch.randn(100_000, generator=generator, dtype=torch.float64)
    for _ in range(100):
        x = langevin_step(
            x, -x / sigma**2, a * sigma**2, torch.randn(x.shape, generator=generator, dtype=torch.float64)
        )
    # four standard errors of a variance of normal draws
    assert float(x.var()) / sigma**2 == pytest.approx(ratio_reference(a), rel=4 * (2 / 100_000) ** 0.5)


def test_an_adaptive_step_is_a_share_of_sigma_squared_around_a_point() -> None:
    sigma, generator = 0.3, torch.Generator().manual_seed(0)
    point = GaussianMixtureScore([1.0], [[1.0, 2.0, 3.0]], 0.0)
    score = point(point.sample(20_000, generator, sigma), sigma)
    assert adaptive_reference(score, 0.1) == pytest.approx(0.1 * sigma**2, rel=4 * (2 / 60_000) ** 0.5)
