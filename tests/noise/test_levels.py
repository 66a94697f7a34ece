"""Families of levels against their definitions, published numbers and scipy's distributions."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from ncsn.errors import SettingError
from ncsn.noise import (
    SCHEDULES,
    Cosine,
    Geometric,
    Karras,
    Levels,
    Linear,
    LogNormal,
    Softened,
    UniformTime,
    VariancePreserving,
    create_noise_schedule,
)
from ncsn.noise.levels import check_levels

EDM_18 = [
    80.0, 57.58598, 40.78557, 28.37458, 19.35245, 12.91008, 8.400935, 5.315195, 3.256822,
    1.92334, 1.088171, 0.5853481, 0.2964423, 0.1395165, 0.05994731, 0.02293452, 0.00752802, 0.002,
]  # fmt: skip
"""The grid of Karras et al. 2022 (eq. 5, rho 7, 18 steps from 80 to 0.002), in 40-digit decimals."""

STABLE_DIFFUSION_10 = [14.6146, 9.1034, 5.4790, 3.1692, 1.7499, 0.9144, 0.4471, 0.2015, 0.0820, 0.0292]
"""The same at the ends of Stable Diffusion's levels, as k-diffusion prints it."""


ENDS: dict[str, Any] = {"sigma_min": 0.01, "sigma_max": 50.0}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("ends", [(0.01, 50.0), (0.002, 80.0), (0.1, 0.11)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ends_are_exact_and_levels_descend(kind: str, ends: tuple[float, float], dtype: torch.dtype) -> None:
    levels = create_noise_schedule(*ends, 101, kind, dtype=dtype)
    assert levels.dtype == dtype
    assert levels.shape == (101,)
    assert levels[[-1, 0]].tolist() == torch.tensor(ends, dtype=dtype).tolist()
    assert bool((levels.diff() < 0).all())


@pytest.mark.parametrize("kind", SCHEDULES)
def test_one_and_two_levels(kind: str) -> None:
    assert create_noise_schedule(0.5, 2.0, 1, kind).tolist() == [2.0]
    assert create_noise_schedule(0.5, 2.0, 2, kind).tolist() == [2.0, 0.5]


def test_geometric_has_a_constant_ratio() -> None:
    levels = create_noise_schedule(0.01, 50.0, 10, dtype=torch.float64)
    ratios = (levels[1:] / levels[:-1]).numpy()
    np.testing.assert_allclose(ratios, (0.01 / 50) ** (1 / 9), rtol=1e-12)


def test_linear_has_a_constant_difference() -> None:
    levels = create_noise_schedule(0.01, 50.0, 10, "linear", dtype=torch.float64)
    np.testing.assert_allclose(levels.diff().numpy(), -(50 - 0.01) / 9, rtol=1e-12)


def test_cosine_has_constant_steps_of_the_angle() -> None:
    levels = create_noise_schedule(0.01, 50.0, 10, "cosine", dtype=torch.float64)
    angles = np.arctan(levels.numpy())
    np.testing.assert_allclose(np.diff(angles), (math.atan(0.01) - math.atan(50)) / 9, rtol=1e-12)


def test_cosine_is_the_squared_cosine_of_nichol_and_dhariwal() -> None:
    levels = create_noise_schedule(0.01, 50.0, 10, "cosine", dtype=torch.float64)
    # alpha_bar is the share of the signal's variance at sigma = sqrt((1 - alpha_bar) / alpha_bar)
    alpha_bar = 1 / (1 + levels.numpy() ** 2)
    angle = np.linspace(math.atan(50), math.atan(0.01), 10)
    np.testing.assert_allclose(alpha_bar, np.cos(angle) ** 2, rtol=1e-9)


def test_karras_equals_published_grids() -> None:
    np.testing.assert_allclose(create_noise_schedule(0.002, 80.0, 18, "karras").numpy(), EDM_18, rtol=5e-7)
    grid = create_noise_schedule(0.0292, 14.6146, 10, "karras")
    np.testing.assert_allclose(grid.numpy(), STABLE_DIFFUSION_10, atol=5e-5)


@pytest.mark.parametrize("rho", [1.0, 3.0, 7.0])
def test_karras_has_constant_steps_of_the_root(rho: float) -> None:
    levels = create_noise_schedule(0.1, 50.0, 10, "karras", rho=rho, dtype=torch.float64)
    np.testing.assert_allclose(
        np.diff(levels.numpy() ** (1 / rho)), (0.1 ** (1 / rho) - 50 ** (1 / rho)) / 9, rtol=1e-9
    )


def test_karras_approaches_geometric_as_rho_grows() -> None:
    karras = create_noise_schedule(0.1, 50.0, 10, "karras", rho=1e6, dtype=torch.float64)
    geometric = create_noise_schedule(0.1, 50.0, 10, dtype=torch.float64)
    np.testing.assert_allclose(karras.numpy(), geometric.numpy(), rtol=1e-4)


def test_softened_has_constant_steps_of_the_logarithm_of_one_more_than_the_root() -> None:
    levels = Softened(0.5, 0.2, sigma_min=0.01, sigma_max=50.0).grid(10, torch.float64)
    steps = np.log1p(np.sqrt(levels.numpy() / 0.1))
    np.testing.assert_allclose(np.diff(steps), (np.log1p(0.1**0.5) - np.log1p(500**0.5)) / 9, rtol=1e-12)
    # without a spread it is that of data of unit spread
    assert torch.equal(create_noise_schedule(0.01, 50.0, 10, "softened"), Softened(1.0, **ENDS).grid(10))


def test_a_family_can_be_the_kind_of_a_schedule() -> None:
    assert torch.equal(
        create_noise_schedule(0.1, 50.0, 10, Karras(3.0)), Karras(3.0, sigma_min=0.1, sigma_max=50.0).grid(10)
    )
    assert torch.equal(create_noise_schedule(0.1, 50.0, 10, Geometric()), create_noise_schedule(0.1, 50.0, 10))
    for kind, family in SCHEDULES.items():
        assert torch.equal(create_noise_schedule(0.01, 50.0, 10, kind), family(**ENDS).grid(10))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1.0, 5), "sigma_min must be positive and finite, not 0.0"),
        ((-1.0, 1.0, 5), "sigma_min must be positive and finite, not -1.0"),
        ((0.1, math.inf, 5), "sigma_max must be positive and finite, not inf"),
        ((math.nan, 1.0, 5), "sigma_min must be positive and finite, not nan"),
        ((1.0, 1.0, 5), "sigma_min must be below sigma_max, but 1 >= 1"),
        ((2.0, 1.0, 5), "sigma_min must be below sigma_max, but 2 >= 1"),
        ((0.1, 1.0, 0), "num_levels must be a whole number of at least 1, not 0"),
        ((0.1, 1.0, 2.5), "num_levels must be a whole number of at least 1, not 2.5"),
        (
            (0.1, 1.0, 5, "cosin"),
            "unknown schedule 'cosin'; did you mean 'cosine'? known: geometric, linear, cosine, karras, softened",
        ),
    ],
)
def test_bad_schedules(arguments: tuple[float, float, int], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        create_noise_schedule(*arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize("rho", [0.0, -1.0, math.inf, math.nan])
def test_bad_rho(rho: float) -> None:
    for refused in (lambda: create_noise_schedule(0.1, 1.0, 5, "karras", rho=rho), lambda: Karras(rho)):
        with pytest.raises(SettingError, match="rho must be a positive finite number"):
            refused()


def test_rho_is_karras_s_alone() -> None:
    own = create_noise_schedule(0.1, 50.0, 10, "karras", rho=3.0)
    assert torch.equal(create_noise_schedule(0.1, 50.0, 10, Karras(), rho=3.0), own)
    # the argument goes before what the family has
    assert torch.equal(create_noise_schedule(0.1, 50.0, 10, Karras(5.0), rho=3.0), own)
    others: list[tuple[str | Levels, str]] = [
        ("geometric", r"Geometric\(\)"),
        ("softened", r"Softened\(\)"),
        (Linear(sigma_max=5.0), r"Linear\(sigma_max=5.0\)"),
    ]
    for kind, printed in others:
        with pytest.raises(SettingError, match=f"rho is the exponent of 'karras'; {printed} has none"):
            create_noise_schedule(0.1, 50.0, 10, kind, rho=3.0)


def test_levels_too_close_for_their_type() -> None:
    with pytest.raises(
        SettingError, match=r"1000 levels from 1 to 0.5 .* are not distinct in torch.bfloat16; take fewer"
    ):
        create_noise_schedule(0.5, 1.0, 1000, dtype=torch.bfloat16)


def test_check_levels_lets_good_ones_pass() -> None:
    check_levels(0.1, 0.2)
    check_levels(np.float32(0.1), np.int64(2))


Cdf = Callable[[NDArray[Any]], NDArray[Any]]

LEVELS: list[tuple[Levels, Cdf]] = [
    (Geometric(sigma_min=0.01, sigma_max=50.0), stats.loguniform(0.01, 50.0).cdf),
    (Linear(sigma_min=0.01, sigma_max=50.0), stats.uniform(0.01, 50.0 - 0.01).cdf),
    (
        Cosine(sigma_min=0.1, sigma_max=5.0),
        lambda s: (np.arctan(s) - np.arctan(0.1)) / (np.arctan(5.0) - np.arctan(0.1)),
    ),
    (Karras(3.0, sigma_min=0.001, sigma_max=8.0), lambda s: (np.cbrt(s) - 0.1) / (2 - 0.1)),
    (
        LogNormal(-1.2, 1.2, sigma_min=0.002, sigma_max=80.0),
        lambda s: stats.truncnorm((math.log(0.002) + 1.2) / 1.2, (math.log(80) + 1.2) / 1.2, -1.2, 1.2).cdf(np.log(s)),
    ),
    (
        LogNormal(0.5, 0.8, sigma_min=0.1, sigma_max=2.0),
        lambda s: stats.truncnorm((math.log(0.1) - 0.5) / 0.8, (math.log(2) - 0.5) / 0.8, 0.5, 0.8).cdf(np.log(s)),
    ),
]


@pytest.mark.parametrize(("levels", "cdf"), LEVELS)
def test_draws_have_the_distribution(levels: Levels, cdf: Cdf) -> None:
    n = 1000
    shares = cdf(levels.draw(n, generator()).double().numpy())
    # one draw a stratum: the empirical distribution is never farther off than one stratum
    assert stats.kstest(shares, "uniform").statistic <= 1 / n + 1e-5
    within = shares * n - np.arange(n)
    assert within.min() > -0.01
    assert within.max() < 1.01
    assert stats.kstest(within, "uniform").pvalue > 0.01


@pytest.mark.parametrize(("levels", "cdf"), LEVELS)
def test_quantiles_ascend_from_end_to_end(levels: Levels, cdf: Cdf) -> None:
    u = torch.linspace(0, 1, 101, dtype=torch.float64)
    values = levels.quantile(u)
    np.testing.assert_allclose(cdf(values.numpy()), u.numpy(), atol=1e-9)
    assert values[0].item() == pytest.approx(levels.sigma_min, rel=1e-9)
    assert values[-1].item() == pytest.approx(levels.sigma_max, rel=1e-9)
    assert bool((values.diff() > 0).all())


def test_log_normal_tails_are_exact_in_single_precision() -> None:
    low, high = ((math.log(s) + 1.2) / 1.2 for s in (0.002, 80.0))
    u = 1 - 2.0 ** -torch.arange(15, 24)
    expected = np.exp(stats.truncnorm(low, high, -1.2, 1.2).ppf(u.double().numpy()))
    np.testing.assert_allclose(
        LogNormal(-1.2, 1.2, sigma_min=0.002, sigma_max=80.0).quantile(u).numpy(), expected, rtol=2e-6
    )


@pytest.mark.parametrize("kind", [Geometric, LogNormal])
def test_bad_ends(kind: type[Levels]) -> None:
    with pytest.raises(SettingError, match="sigma_min must be below sigma_max, but 2 >= 1"):
        kind(sigma_min=2.0, sigma_max=1.0)
    with pytest.raises(SettingError, match="sigma_min must be positive and finite, not 0"):
        kind(sigma_min=0, sigma_max=1.0)


def test_log_normal_levels_that_miss_their_ends() -> None:
    with pytest.raises(SettingError, match="log_sigma_spread must be a positive finite number, not 0"):
        LogNormal(log_sigma_spread=0.0)
    with pytest.raises(
        SettingError, match=r"log mean 20 and log std 1 hardly ever lie between 0.1 and 1; choose a log mean"
    ):
        LogNormal(20.0, 1.0, sigma_min=0.1, sigma_max=1.0)


def test_levels_are_abstract() -> None:
    with pytest.raises(TypeError, match="quantile"):
        Levels()  # type: ignore[abstract]


def test_what_a_family_lacks_is_said_when_it_is_asked() -> None:
    with pytest.raises(SettingError, match=r"Geometric\(sigma_min=0.1\) has no ends yet: give sigma_min and sigma_max"):
        Geometric(sigma_min=0.1).grid(3)
    with pytest.raises(SettingError, match=r"needs log_sigma_mean and log_sigma_spread, or a plan"):
        LogNormal(**ENDS).grid(3)


def test_even_times_of_a_process_by_name_or_as_an_object() -> None:
    assert UniformTime("vp", **ENDS) == UniformTime(VariancePreserving(), **ENDS)
    process = VariancePreserving(beta_min=0.2, beta_max=10.0)
    times = process.time(UniformTime(process, **ENDS).grid(9, torch.float64))
    torch.testing.assert_close(times.diff(), times.diff()[:1].expand(8), rtol=1e-9, atol=0)
    with pytest.raises(SettingError, match="unknown process 'pv'; did you mean 'vp'"):
        UniformTime("pv")
