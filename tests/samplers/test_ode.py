"""Solvers of the probability-flow ODE in few evaluations: where they are exact, and churn."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ncsn.exact import GaussianMixtureScore
from ncsn.samplers import sample

from .common import gaussian, generator, levels, points, refusal, uneven, variance_is


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m"])
def test_first_order_exponential_steps_are_exact_around_a_point(sampler: str) -> None:
    centre = torch.tensor([3.0, -1.0], dtype=torch.float64)
    x = 10 * points(5, 2)
    end = sample(gaussian(centre.tolist(), [0.0, 0.0]), levels(0.1, 10.0, 3), 5, 2, sampler, x, False)
    torch.testing.assert_close(end, centre + (x - centre) / 100, rtol=1e-12, atol=1e-12)


def test_dpmpp_2m_looks_ahead_to_the_middle_of_each_step() -> None:
    # where the denoised point moves in a line with log sigma, so that two of them tell where it is in between
    start, way = points(5, 2), points(5, 2, seed=1)

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return (start + way * sigma.log() - x) / sigma**2

    sigmas, x = uneven(0.05, 10.0, 7), 10 * points(5, 2, seed=2)
    expected = x
    for i, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        middle = sigma if i == 0 else (sigma * following).sqrt()
        denoised = start + way * middle.log()
        expected = denoised + following / sigma * (expected - denoised)
    torch.testing.assert_close(sample(model, sigmas, 5, 2, "dpmpp_2m", x, False), expected)


def test_dpmpp_2m_with_a_spread_follows_a_gaussian_of_it_exactly() -> None:
    x = 10 * points(5, 2)
    end = sample(gaussian([0.0, 0.0], [1.44] * 2), levels(0.1, 10.0, 3), 5, 2, "dpmpp_2m", x, False, sigma_data=1.2)
    torch.testing.assert_close(end, x * math.sqrt((1.44 + 0.01) / (1.44 + 100)), rtol=1e-12, atol=1e-12)


def test_dpmpp_2m_with_a_spread_turns_by_the_velocity_ahead() -> None:
    # where EDM's network answers F in a line with log sigma: x / hypot(sigma, spread) turns by F a unit of angle
    start, way, spread = points(5, 2), points(5, 2, seed=1), 0.7

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        total = sigma**2 + spread**2
        denoised = spread**2 / total * x + sigma * spread / total.sqrt() * (start + way * sigma.log())
        return (denoised - x) / sigma**2

    sigmas, x = uneven(0.05, 10.0, 7), 10 * points(5, 2, seed=2)
    turned = x / math.hypot(10.0, spread)
    for i, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        middle = sigma if i == 0 else (sigma * following).sqrt()
        angle = (sigma / spread).arctan() - (following / spread).arctan()
        turned = turned + angle * (start + way * middle.log())
    reached = sample(model, sigmas, 5, 2, "dpmpp_2m", x, False, sigma_data=spread)
    torch.testing.assert_close(reached, turned * math.hypot(0.05, spread))


def test_dpmpp_2m_is_the_published_one_in_the_limit_of_no_spread() -> None:
    model, x = GaussianMixtureScore([1.0, 2.0], np.array([[-1.0, 0.5], [1.5, 0.0]]), 0.1), 10 * points(5, 2)
    published, nearly = (
        sample(model, levels(0.1, 10.0, 9), 5, 2, "dpmpp_2m", x, False, sigma_data=spread) for spread in (0.0, 1e-6)
    )
    torch.testing.assert_close(nearly, published, rtol=1e-9, atol=1e-9)


def test_the_weights_and_widths_of_a_mixture() -> None:
    n = 10_000
    model = GaussianMixtureScore(
        [0.2, 0.5, 0.3], np.array([[-3.0, 0.0], [0.0, 3.0], [3.0, -1.0]]), np.array([0.1, 0.2, 0.05])
    )
    sigmas = levels(0.02, 40.0, 40, "karras")
    x = sample(model, sigmas, n, 2, "heun", model.sample(n, generator(), sigmas[0]))
    nearest = torch.cdist(x, model.means).argmin(dim=1)
    for k, (weight, variance) in enumerate(zip([0.2, 0.5, 0.3], [0.1, 0.2, 0.05], strict=True)):
        members = x[nearest == k]
        assert abs(len(members) / n - weight) < 4 * math.sqrt(weight * (1 - weight) / n)
        assert variance_is(members - model.means[k], variance, 0.01)


@pytest.mark.parametrize("sampler", ["heun", "dpmpp_2m"])
def test_churn_makes_good_a_start_without_variance(sampler: str) -> None:
    n, variance = 5000, 0.5
    model, sigmas, x = (
        gaussian([0.0, 0.0], [variance] * 2),
        levels(0.02, 10.0, 100),
        torch.zeros(n, 2, dtype=torch.float64),
    )
    assert sample(model, sigmas, n, 2, sampler, x, False).abs().max() == 0
    churned = sample(model, sigmas, n, 2, sampler, x, False, generator(), churn=40)
    assert variance_is(churned, variance + 0.02**2, 0.02)


@pytest.mark.parametrize(("sampler", "evaluations"), [("heun", 2), ("dpmpp_2m", 1)])
def test_churn_is_bounded_cut_and_scaled(sampler: str, evaluations: int) -> None:
    sigmas, x = levels(0.1, 8.0, 5), points(4, 2)

    def walked(**options: Any) -> tuple[list[float], list[Tensor]]:
        """Return the levels at which the score is asked for first in each step, and the states."""
        asked: list[float] = []
        seen: list[Tensor] = []

        def model(x: Tensor, sigma: Tensor) -> Tensor:
            asked.append(float(sigma))
            seen.append(x)
            return torch.zeros_like(x)

        sample(model, sigmas, 4, 2, sampler, x, False, generator(), **options)
        return asked[::evaluations], seen[::evaluations]

    before = sigmas[:-1].tolist()
    # Karras et al. 2022, algorithm 2: sigma rises by min(S_churn / N, sqrt(2) - 1), N counting all levels above zero
    assert walked(churn=1.0)[0] == pytest.approx([level * 1.2 for level in before])
    assert walked(churn=100.0)[0] == pytest.approx([level * math.sqrt(2) for level in before])
    some = walked(churn=1.0, churn_min=before[2], churn_max=before[1])[0]
    assert some == pytest.approx([before[0], before[1] * 1.2, before[2] * 1.2, before[3]])
    plain, doubled = (walked(churn=1.0, churn_noise=size)[1][0] - x for size in (1.0, 2.0))
    torch.testing.assert_close(doubled, 2 * plain)
    assert abs(plain.square().mean().sqrt() / (8 * math.sqrt(1.2**2 - 1)) - 1) < 0.7


@pytest.mark.parametrize(
    ("sampler", "options", "message"),
    [
        ("heun", {"churn": -1.0}, "churn must be a finite number of at least 0, not -1.0"),
        ("heun", {"churn": math.inf}, "churn must be a finite number of at least 0, not inf"),
        ("heun", {"churn_min": -0.5}, "churn_min must be a finite number of at least 0, not -0.5"),
        ("heun", {"churn_noise": math.nan}, "churn_noise must be a finite number of at least 0, not nan"),
        ("heun", {"churn_noise": "loud"}, "churn_noise must be a finite number of at least 0, not 'loud'"),
        ("dpmpp_2m", {"churn": math.nan}, "churn must be a finite number of at least 0, not nan"),
        ("dpmpp_2m", {"churn_noise": -1}, "churn_noise must be a finite number of at least 0, not -1"),
        ("dpmpp_2m", {"sigma_data": -1.0}, "sigma_data must be a finite number of at least 0, not -1.0"),
        ("dpmpp_2m", {"sigma_data": math.inf}, "sigma_data must be a finite number of at least 0, not inf"),
    ],
)
def test_bad_options_are_refused_when_it_is_made(sampler: str, options: dict[str, Any], message: str) -> None:
    assert refusal(sampler, **options) == message
