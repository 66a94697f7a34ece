"""The ratio, number and step sizes of annealed Langevin dynamics, against the published constants and simulation."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm

from ncsn.errors import SettingError
from ncsn.noise import MAX_LEVEL_RATIO, langevin_step_size, level_ratio, num_levels, variance_ratio

# Ratio and number of levels


@pytest.mark.parametrize("dim", [41, 64, 784, 3072, 196_608])
def test_level_ratio_solves_technique_2(dim: int) -> None:
    root = np.sqrt(2 * dim)

    def uncovered(ratio: float) -> float:
        return norm.cdf(root * (ratio - 1) + 3 * ratio) - norm.cdf(root * (ratio - 1) - 3 * ratio) - 0.5

    assert level_ratio(dim) == pytest.approx(brentq(uncovered, 1.0, 2.0, xtol=1e-14), rel=1e-8)


@pytest.mark.parametrize("dim", range(1, 41))
def test_level_ratio_is_capped_in_few_dimensions(dim: int) -> None:
    assert level_ratio(dim) == MAX_LEVEL_RATIO


def test_cifar_has_219_levels_and_neighbours_keep_the_ratio() -> None:
    assert num_levels(0.01, 50.0, 3072) == 219
    assert (4 / 0.003) ** (1 / (num_levels(0.003, 4.0, 2) - 1)) == pytest.approx(MAX_LEVEL_RATIO, rel=0.02)
    assert num_levels(1.0, 1.001, 2) == 2


# Step size

PUBLISHED = [  # data set, sigma_1, levels, steps per level, epsilon in the paper's convention; sigma_L = 0.01
    ("CIFAR-10", 50, 232, 5, "6.2e-06"),
    ("CelebA", 90, 500, 5, "3.3e-06"),
    ("LSUN bedroom", 190, 1086, 3, "1.8e-06"),
    ("FFHQ", 348, 2311, 3, "8.9e-07"),
]


@pytest.mark.parametrize(("name", "sigma_max", "levels", "steps", "epsilon"), PUBLISHED)
def test_step_size_is_the_published_one_doubled(
    name: str, sigma_max: float, levels: int, steps: int, epsilon: str
) -> None:
    step_size = langevin_step_size(0.01, (sigma_max / 0.01) ** (1 / (levels - 1)), steps)
    assert f"{step_size / 2:.1e}" == epsilon


@pytest.mark.parametrize("ratio", [1.001, 1.04, 1.5, 4.0, 100.0])
@pytest.mark.parametrize("steps", [1, 3, 10, 100, 10_000])
def test_step_size_is_the_global_minimum_of_the_variance_ratio_and_stable(ratio: float, steps: int) -> None:
    step_size = langevin_step_size(0.5, ratio, steps)
    assert 0 < step_size <= 2 * 0.5**2
    best = variance_ratio(step_size, 0.5, ratio, steps)
    grid = np.concatenate([np.geomspace(1e-9, 0.99, 3000), np.linspace(0.99, 1.99, 300)]) * 2 * 0.5**2
    everywhere = np.array([variance_ratio(step, 0.5, ratio, steps) for step in grid])
    assert best > 1.0
    assert best <= everywhere.min() * (1 + 1e-12)


@pytest.mark.parametrize(("a", "ratio", "steps"), [(0.062, 1.0376, 5), (0.25, 1.5, 7), (0.9, 3.0, 2), (1.5, 2.0, 3)])
def test_variance_ratio_is_that_of_simulated_chains(a: float, ratio: float, steps: int) -> None:
    n, sigma = 400_000, 0.3
    generator = torch.Generator().manual_seed(0)
    x = ratio * sigma * torch.randn(n, generator=generator, dtype=torch.float64)
    step_size = 2 * a * sigma**2
    for _ in range(steps):
        noise = torch.randn(n, generator=generator, dtype=torch.float64)
        x = x + step_size / 2 * (-x / sigma**2) + step_size**0.5 * noise
    expected = variance_ratio(step_size, sigma, ratio, steps)
    standard_error = expected * (2 / n) ** 0.5
    assert abs(float(x.square().mean()) / sigma**2 - expected) < 4 * standard_error


def test_variance_ratio_is_the_same_at_every_level() -> None:
    assert variance_ratio(0.1 * 9, 3.0, 1.5, 5) == pytest.approx(variance_ratio(0.1, 1.0, 1.5, 5), rel=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: level_ratio(0),
        lambda: num_levels(1.0, 1.0, 2),
        lambda: num_levels(0.0, 1.0, 2),
        lambda: langevin_step_size(0.0, 1.5, 5),
        lambda: langevin_step_size(0.1, 1.0, 5),
        lambda: langevin_step_size(0.1, 1.5, 0),
        lambda: variance_ratio(0.041, 0.1, 1.5, 5),
        lambda: variance_ratio(0.01, 0.1, 0.9, 5),
    ],
)
def test_rules_refuse_values_out_of_range(call: Callable[[], object]) -> None:
    with pytest.raises(SettingError, match=r"must be|need"):
        call()
