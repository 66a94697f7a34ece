"""Fixed sets of levels: how often each is drawn, and which of them are walked."""

import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ncsn.errors import SettingError
from ncsn.noise import DDPM, Discrete, Geometric, Given, Karras, create_noise_schedule, ddpm_levels
from ncsn.parts import filled


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_given_levels_are_drawn_evenly() -> None:
    sigmas = create_noise_schedule(0.01, 50.0, 10)
    values, counts = Given(sigmas).draw(200, generator()).unique(return_counts=True)
    assert torch.equal(values, sigmas.flip(0))
    assert counts.tolist() == [20] * 10


def test_draws_of_fewer_rows_than_levels_are_even_over_time() -> None:
    levels, random = Given(torch.tensor([3.0, 2.0, 1.0])), generator()
    draws = torch.cat([levels.draw(2, random) for _ in range(3000)])
    shares = torch.stack([(draws == level).double().mean() for level in (1.0, 2.0, 3.0)])
    standard_error = math.sqrt(2 / 9 / len(draws))
    np.testing.assert_allclose(shares, 1 / 3, atol=4 * standard_error)


def test_levels_in_any_order() -> None:
    levels = Given(torch.tensor([2.0, 8.0, 4.0], dtype=torch.float64))
    assert levels == Given((2.0, 4.0, 8.0)) == Given([8.0, 4.0, 2.0])
    assert levels.table.tolist() == [8.0, 4.0, 2.0]
    assert levels.quantile(torch.tensor([0.0, 0.3, 0.34, 0.66, 0.67, 1.0])).tolist() == [2.0, 2.0, 4.0, 4.0, 8.0, 8.0]


@pytest.mark.parametrize(
    ("sigmas", "message"),
    [
        ((), "the levels must be positive, finite and distinct"),
        ((0.0, 1.0), "a level must be a positive finite number, not 0.0"),
        ((1.0, 1.0), "the levels must be positive, finite and distinct"),
        ((2.0, 1.0, 2.0), "the levels must be positive, finite and distinct"),
        ((1.0, math.inf), "a level must be a positive finite number, not inf"),
        ((math.nan,), "a level must be a positive finite number, not nan"),
    ],
)
def test_bad_given_levels(sigmas: tuple[float, ...], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Given(sigmas)


def test_one_given_level_needs_no_brackets() -> None:
    assert Given(3) == Given(torch.tensor(3.0)) == Given([3.0])


def test_some_of_the_given_levels_are_picked_evenly() -> None:
    levels = Given(range(1, 12))
    assert levels.grid(11).tolist() == list(range(11, 0, -1))
    assert levels.grid(3).tolist() == [11.0, 6.0, 1.0]
    with pytest.raises(SettingError, match="Given has 11 levels; steps must not be above, but is 12"):
        levels.grid(12)


def test_a_number_of_a_familys_levels() -> None:
    ends: dict[str, Any] = {"sigma_min": 0.1, "sigma_max": 5.0}
    levels = Discrete(Karras(3.0), 7, **ends)
    expected = Karras(3.0, **ends).grid(7)
    assert levels.count == 7
    torch.testing.assert_close(levels.table.float(), expected)
    # as many as one likes are walked, of the family
    torch.testing.assert_close(levels.grid(20), Karras(3.0, **ends).grid(20))
    values, counts = levels.draw(70, generator()).unique(return_counts=True)
    torch.testing.assert_close(values, expected.flip(0))
    assert counts.tolist() == [10] * 7
    assert Discrete(n_sigmas=7, at_least=100, **ends).count == 100
    with pytest.raises(SettingError, match=r"Discrete\(.*\) needs n_sigmas, or a plan"):
        Discrete(**ends).draw(3)


def test_ends_of_its_own_go_before_those_of_a_plan() -> None:
    plan = SimpleNamespace(sigma_min=0.1, sigma_max=40.0, n_sigmas=4)
    own, both, inner = (
        filled(levels, plan)
        for levels in (
            Discrete(Karras(3.0), sigma_max=5.0),
            Discrete(Karras(3.0), sigma_min=0.2, sigma_max=5.0),
            Discrete(Karras(3.0, sigma_max=2.0), sigma_min=0.2, sigma_max=5.0),
        )
    )
    for levels, ends in ((own, (0.1, 5.0)), (both, (0.2, 5.0)), (inner, (0.2, 2.0))):
        expected = Karras(3.0, sigma_min=ends[0], sigma_max=ends[1])
        torch.testing.assert_close(levels.table, expected.grid(4, torch.float64))
        # what is drawn and what is walked agree
        torch.testing.assert_close(levels.grid(9), expected.grid(9))


def test_fixed_numbers_of_levels_say_so() -> None:
    assert all(levels.fixed for levels in (Given([1.0]), Discrete(), DDPM()))
    assert not any(family.fixed for family in (Karras, Karras(), Geometric(sigma_max=5.0)))


@pytest.mark.parametrize("betas", ["linear", "cosine"])
def test_few_steps_are_spent_above_the_largest_level_that_is_needed(betas: str) -> None:
    table = ddpm_levels(kind=betas)
    assert torch.equal(DDPM(betas).grid(1000, torch.float64), table)
    some = DDPM(betas, sigma_max=8.0).grid(50, torch.float64)
    # the last of the levels that reach it
    assert float(some[0]) == float(table[table >= 8.0][-1])
    assert float(some[-1]) == float(table[-1])
    assert bool(torch.isin(some, table).all())
    # where fewer levels lie below than are asked for, the nearest above are walked too
    many = DDPM(betas, sigma_max=8.0).grid(999, torch.float64)
    assert torch.equal(many, table[1:])


def test_ddpm_takes_what_its_levels_take() -> None:
    assert DDPM("cosine", 50).count == 50
    with pytest.raises(SettingError, match="linear betas need more than 20 steps"):
        DDPM(n_times=20)
    with pytest.raises(SettingError, match="the betas must be 'linear' or 'cosine', not 'quadratic'"):
        DDPM("quadratic")


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_ddpm_levels_follow_from_the_product_of_alphas(kind: str) -> None:
    steps = 1000
    if kind == "linear":
        betas = np.linspace(1e-4, 0.02, steps)
    else:
        alpha_bar = [math.cos((t / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(steps + 1)]
        betas = np.array([min(1 - b / a, 0.999) for a, b in pairwise(alpha_bar)])
    products = np.cumprod(1 - betas)
    expected = np.sqrt((1 - products) / products)[::-1]
    np.testing.assert_allclose(ddpm_levels(steps, kind).numpy(), expected, rtol=1e-8)


def test_unknown_betas_are_refused() -> None:
    with pytest.raises(SettingError, match="linear"):
        ddpm_levels(10, "quadratic")


def test_linear_betas_of_too_few_steps_are_refused() -> None:
    assert bool(ddpm_levels(21).isfinite().all())
    with pytest.raises(SettingError, match="linear betas need more than 20 steps"):
        ddpm_levels(20)
