"""The method of Adams and Bashforth: what it is exact on, and the coefficients in print."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ncsn.samplers import sample
from ncsn.samplers.multistep import adams_bashforth

from .common import gaussian, levels, points, refusal, uneven

PRINTED = {
    1: [1.0],
    2: [3 / 2, -1 / 2],
    3: [23 / 12, -16 / 12, 5 / 12],
    4: [55 / 24, -59 / 24, 37 / 24, -9 / 24],
}
"""The coefficients of even steps (Hairer, Norsett & Wanner 1993, section III.1)."""


@pytest.mark.parametrize("order", PRINTED)
def test_the_coefficients_of_even_steps_are_those_in_print(order: int) -> None:
    step = 0.3
    places = [2.0 + step * k for k in range(order)]
    np.testing.assert_allclose(adams_bashforth(places, 2.0 - step), np.multiply(step, PRINTED[order]), rtol=1e-12)


def test_the_coefficients_of_two_uneven_steps() -> None:
    # the line through two values, at the middle of the step to come
    assert adams_bashforth([1.0, 1.5], 0.6) == pytest.approx([0.4 * (1 + 0.4), -0.4 * 0.4])


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_a_polynomial_slope_is_integrated_exactly_once_there_are_enough(order: int) -> None:
    # dx/dsigma is a polynomial of degree order - 1 in sigma, whatever x is; the first steps of lower order err
    coefficients = points(order, 5, 2)

    def slope(sigma: Tensor) -> Tensor:
        return sum((c * sigma**k for k, c in enumerate(coefficients)), torch.zeros(5, 2).double())

    def integral(sigma: float) -> Tensor:
        return sum((c * sigma ** (k + 1) / (k + 1) for k, c in enumerate(coefficients)), torch.zeros(5, 2).double())

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return -slope(sigma) / sigma

    sigmas, x = uneven(0.05, 3.0, 9), points(5, 2, seed=2)
    # walks that stop at different levels share their first steps
    ends = [sample(model, sigmas[:count], 5, 2, "ipndm", x, False, order=order) for count in (order, 9)]
    first, last = float(sigmas[order - 1]), float(sigmas[-1])
    torch.testing.assert_close(ends[1] - ends[0], integral(last) - integral(first), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("grid", [levels, uneven])
@pytest.mark.parametrize("order", [2, 3, 4])
def test_the_error_falls_with_the_order_asked_for(order: int, grid: Callable[..., Tensor]) -> None:
    """On a flow that is quiet where it starts, as the first steps are of lower orders; exactly known, dx/dsigma = p x."""
    start, end, x = 3.0, 0.5, points(5, 2)

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return -((start - sigma) ** 5) / 10 * x / sigma

    exact = x * math.exp(-((start - end) ** 6) / 6 / 10)
    errors = []
    for count in (401, 801):
        sigmas = grid(end, start, count)
        found = sample(model, sigmas, 5, 2, "ipndm", x, False, order=order)
        errors.append(float((found - exact).norm()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


def test_order_one_is_eulers_method() -> None:
    model, x = gaussian([1.0, -2.0], [0.5, 2.0]), 10 * points(5, 2)
    asked: list[tuple[str, dict[str, Any]]] = [("ipndm", {"order": 1}), ("ddim", {})]
    first, euler = (sample(model, levels(0.1, 10.0, 6), 5, 2, name, x, False, **options) for name, options in asked)
    torch.testing.assert_close(first, euler, rtol=1e-12, atol=1e-12)


def test_with_a_spread_it_follows_a_gaussian_of_it_exactly() -> None:
    x = 10 * points(5, 2)
    end = sample(gaussian([0.0, 0.0], [1.44] * 2), levels(0.1, 10.0, 3), 5, 2, "ipndm", x, False, sigma_data=1.2)
    torch.testing.assert_close(end, x * math.sqrt((1.44 + 0.01) / (1.44 + 100)), rtol=1e-12, atol=1e-12)


def test_the_published_method_is_the_limit_of_a_wide_spread() -> None:
    model, x = gaussian([1.0, -2.0], [0.5, 2.0]), 10 * points(5, 2)
    published, without, nearly = (
        sample(model, levels(0.1, 10.0, 9), 5, 2, "ipndm", x, False, sigma_data=spread)
        for spread in (math.inf, None, 1e5)
    )
    assert torch.equal(published, without)
    torch.testing.assert_close(nearly, published, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 0}, "order must be a whole number of at least 1, not 0"),
        ({"order": 5}, "order must be at most 4, not 5"),
        ({"sigma_data": 0.0}, "sigma_data must be a positive finite number, not 0.0"),
        ({"sigma_data": math.nan}, "sigma_data must be a positive finite number, not nan"),
    ],
)
def test_bad_options_are_refused_when_it_is_made(options: dict[str, Any], message: str) -> None:
    assert refusal("ipndm", **options) == message
