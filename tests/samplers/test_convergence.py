"""Orders of convergence, of flows and of distributions, over all samplers that have one."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ncsn.exact import GaussianMixtureScore
from ncsn.samplers import sample

from .common import (
    SIGMA_MAX,
    SIGMA_MIN,
    Impulses,
    flow,
    gaussian,
    generator,
    levels,
    points,
    two_decades,
    two_modes,
    uneven,
    variance_is,
    variances,
    walk,
)

GRIDS: dict[str, Callable[[int], Tensor]] = {
    "geometric": lambda count: levels(0.05, 10.0, count),
    "karras": lambda count: levels(0.05, 10.0, count, "karras"),
    "uneven": lambda count: uneven(0.05, 10.0, count),
}


def observed_order(
    sampler: str, options: dict[str, Any], model: Callable[..., Tensor], x: Tensor, end: Tensor, grid: str
) -> float:
    """Return the order at which the error falls between 80 and 160 steps."""
    errors = [
        float((sample(model, GRIDS[grid](count), len(x), 2, sampler, x, False, **options) - end).norm())
        for count in (81, 161)
    ]
    return math.log2(errors[0] / errors[1])


ORDERS: list[tuple[str, dict[str, Any], int]] = [
    ("ddim", {}, 1),
    ("heun", {}, 2),
    ("dpmpp_2m", {}, 2),
    ("dpmpp_2m", {"sigma_data": 1.2}, 2),
    ("ipndm", {"order": 1}, 1),
    ("ipndm", {"order": 2}, 2),
    ("ipndm", {"order": 2, "sigma_data": 1.2}, 2),
]


@pytest.mark.parametrize(("sampler", "options", "order"), ORDERS)
@pytest.mark.parametrize("grid", GRIDS)
def test_order_on_a_gaussian(sampler: str, options: dict[str, Any], order: int, grid: str) -> None:
    mean, variances = torch.tensor([1.0, -2.0], dtype=torch.float64), torch.tensor([0.5, 2.0], dtype=torch.float64)
    x = 10 * points(20, 2)
    # the flow scales each axis by the standard deviations at its ends
    end = mean + (x - mean) * ((variances + 0.05**2) / (variances + 10**2)).sqrt()
    model = gaussian(mean.tolist(), variances.tolist())
    assert observed_order(sampler, options, model, x, end, grid) == pytest.approx(order, abs=0.15)


@pytest.fixture(scope="module")
def mixture_flow() -> tuple[GaussianMixtureScore, Tensor, Tensor]:
    """Return a mixture, starts at sigma 10, and where scipy's solver carries them at 0.05."""
    model = GaussianMixtureScore(
        [1.0, 2.0], np.array([[-1.0, 0.5], [1.5, 0.0]]), np.array([[[0.4, 0.2], [0.2, 0.3]]] * 2)
    )
    x = 10 * points(8, 2)
    return model, x, flow(model, x, 10.0, 0.05)


@pytest.mark.parametrize(("sampler", "options", "order"), ORDERS)
def test_order_on_a_mixture(
    sampler: str, options: dict[str, Any], order: int, mixture_flow: tuple[GaussianMixtureScore, Tensor, Tensor]
) -> None:
    assert observed_order(sampler, options, *mixture_flow, "karras") == pytest.approx(order, abs=0.25)


def test_the_spread_of_the_data_lessens_the_error(mixture_flow: tuple[GaussianMixtureScore, Tensor, Tensor]) -> None:
    model, x, end = mixture_flow
    spread = float(model.covariance.diagonal().mean().sqrt())

    def error(count: int, spread: float) -> float:
        sigmas = levels(0.05, 10.0, count, "karras")
        return float((sample(model, sigmas, 8, 2, "dpmpp_2m", x, False, sigma_data=spread) - end).norm())

    for count in (6, 11, 21, 41):
        assert error(count, spread) < 0.8 * error(count, 0.0)


@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("heun", 2), ("dpmpp_2m", 2)])
def test_order_on_a_mixture_of_narrow_modes(name: str, order: int) -> None:
    """The median, because where the modes part errors grow until the steps are very small."""
    model, x = two_modes(), two_modes().sample(64, generator(), SIGMA_MAX)
    exact = flow(model, x, SIGMA_MAX, SIGMA_MIN)
    errors = []
    for steps in (80, 160, 320):
        found = walk(name, model, x, two_decades(steps + 1), Impulses())[-1].x
        errors.append(float((found - exact).abs().median()))
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), order, atol=0.05)


@pytest.mark.parametrize("name", ["ancestral", "consistent_annealed", "ddim", "reverse_sde"])
@pytest.mark.parametrize("variance", [0.3, 2.0])
def test_variance_of_a_gaussian_converges_with_order_one(name: str, variance: float) -> None:
    errors = [
        abs(variances(name, variance, two_decades(steps + 1))[-1] - variance - SIGMA_MIN**2)
        for steps in (200, 400, 800)
    ]
    assert errors[-1] < 0.03 * variance
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 1.0, atol=0.06)


@pytest.mark.parametrize("name", ["ancestral", "reverse_sde"])
def test_a_mixture_converges_in_distribution_with_order_one(name: str) -> None:
    """Half the step halves the errors of mean and variance, to a quarter and four standard errors."""
    truth, n = two_modes(), 200_000
    start, end = truth.sample(n, generator(1), SIGMA_MAX), truth.sample(n, generator(2), SIGMA_MIN) - truth.mean
    moments = np.array([float(truth.mean), float(truth.covariance) + SIGMA_MIN**2])
    standard_errors = np.array([float(end.std()), float(end.square().std())]) / math.sqrt(n)
    errors = []
    for steps in (10, 20, 40):
        options: dict[str, Any] = {"denoise_last": False, "generator": generator(steps)}
        x = sample(truth, two_decades(steps + 1), n, 1, name, start, **options)
        errors.append(np.array([float(x.mean()), float(x.var())]) - moments)
    assert (np.abs(errors[-1]) > 5 * standard_errors).all()
    for coarse, fine in itertools.pairwise(errors):
        assert (np.abs(coarse - 2 * fine) < 0.25 * np.abs(coarse) + 4 * math.sqrt(5) * standard_errors).all()


@pytest.mark.parametrize(
    ("sampler", "options"),
    [
        ("ddim", {}),
        ("heun", {}),
        ("heun", {"churn": 10}),
        ("dpmpp_2m", {}),
        ("dpmpp_2m", {"sigma_data": 1.2, "churn": 10}),
        ("ipndm", {}),
        ("ipndm", {"sigma_data": 1.2, "order": 4}),
    ],
)
def test_a_gaussian_is_sampled_in_mean_and_variance(sampler: str, options: dict[str, Any]) -> None:
    n, mean, variances = 8000, [1.0, -2.0], [0.3, 2.0]
    sigmas = levels(0.05, 30.0, 150)
    x = sample(gaussian(mean, variances), sigmas, n, 2, sampler, None, False, generator(), **options)
    for axis in range(2):
        variance = variances[axis] + 0.05**2
        # the start lacks the data's own mean, of which the flow leaves this share
        missing = 0 if "churn" in options else math.sqrt(variance / (variances[axis] + 30**2))
        assert abs(x[:, axis].mean() - mean[axis] * (1 - missing)) < 4 * math.sqrt(variance / n)
        assert variance_is(x[:, axis] - x[:, axis].mean(), variance, 0.02)
