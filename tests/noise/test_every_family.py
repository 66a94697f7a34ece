"""What every family of levels keeps: its quantile, grid and draws agree, it prints and is saved, and refuses bad values."""

from __future__ import annotations

import inspect
import json
import math
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ncsn import noise
from ncsn.errors import SettingError
from ncsn.noise import (
    DDPM,
    Cosine,
    Discrete,
    Geometric,
    Given,
    Karras,
    Levels,
    Linear,
    LogNormal,
    Softened,
    SubVariancePreserving,
    UniformTime,
    VariancePreserving,
    create_noise_schedule,
)
from ncsn.parts import filled, from_plain, to_plain


@dataclass(frozen=True, repr=False)
class Quadratic(Levels):
    """A family of one's own: even in the root of sigma."""

    power: float = 2.0

    def quantile(self, u: Tensor) -> Tensor:
        low, high = (sigma ** (1 / self.power) for sigma in self.ends)
        return (low + u * (high - low)) ** self.power


ENDS: dict[str, Any] = {"sigma_min": 0.02, "sigma_max": 40.0}

CONTINUA: dict[str, Levels] = {
    "geometric": Geometric(**ENDS),
    "linear": Linear(**ENDS),
    "cosine": Cosine(**ENDS),
    "karras": Karras(**ENDS),
    "karras of 3": Karras(3.0, **ENDS),
    "softened": Softened(**ENDS),
    "softened by half": Softened(0.5, 1.0, **ENDS),
    "log-normal": LogNormal(-0.2, 1.5, **ENDS),
    "even times of vp": UniformTime("vp", **ENDS),
    "even times of sub-vp": UniformTime("sub_vp", **ENDS),
    "even times of another vp": UniformTime(VariancePreserving(0.2, 10.0), **ENDS),
    "one's own": Quadratic(**ENDS),
    "one's own of 3": Quadratic(3.0, **ENDS),
}

TABLES: dict[str, Levels] = {
    "given": Given((0.02, 0.3, 1.0, 7.0, 40.0)),
    "given as a tensor": Given(torch.tensor([2.0, 0.1])),
    "discrete": Discrete(n_sigmas=10, **ENDS),
    "discrete of karras": Discrete(Karras(3.0), 12, **ENDS),
    "at least 20": Discrete(n_sigmas=10, at_least=20, **ENDS),
    "discrete of one's own": Discrete(Quadratic(), 5, **ENDS),
    "ddpm": DDPM(),
    "ddpm up to a level": DDPM(sigma_max=8.0),
    "ddpm's cosine of 50": DDPM("cosine", 50),
}

FAMILIES = CONTINUA | TABLES

every_family = pytest.mark.parametrize("levels", FAMILIES.values(), ids=list(FAMILIES))
every_continuum = pytest.mark.parametrize("levels", CONTINUA.values(), ids=list(CONTINUA))
every_table = pytest.mark.parametrize("levels", TABLES.values(), ids=list(TABLES))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ends_of(levels: Levels) -> tuple[float, float]:
    """Return the smallest and the largest level that is drawn: of a table, of those that it has."""
    return levels.ends if levels.count is None else (min(table_of(levels)), max(table_of(levels)))


def table_of(levels: Any) -> list[float]:
    table: Tensor = levels.table
    return table.tolist()


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def test_every_family_is_tested() -> None:
    kinds = {kind for kind in vars(noise).values() if inspect.isclass(kind) and issubclass(kind, Levels)}
    assert {type(levels) for levels in FAMILIES.values()} == kinds - {Levels} | {Quadratic}


# The quantile


@every_family
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_quantile_ascends_within_the_ends(levels: Levels, dtype: torch.dtype) -> None:
    u = torch.linspace(0, 1, 1001, dtype=dtype)
    values = levels.quantile(u)
    low, high = ends_of(levels)
    rounding = 4 * torch.finfo(dtype).eps
    assert (values.dtype, values.shape, values.device) == (u.dtype, u.shape, u.device)
    assert bool((values.diff() >= 0).all())
    assert low * (1 - rounding) <= float(values[0]) <= float(values[-1]) <= high * (1 + rounding)
    torch.testing.assert_close(values[[0, -1]], torch.tensor([low, high], dtype=dtype), rtol=1e-5, atol=0)
    # of any shape, and a scalar
    assert torch.equal(levels.quantile(u[:1000].reshape(10, 100)), values[:1000].reshape(10, 100))
    assert levels.quantile(u[500]).shape == ()


@every_continuum
def test_a_continuum_has_no_two_quantiles_the_same(levels: Levels) -> None:
    assert levels.count is None
    assert bool((levels.quantile(torch.linspace(0, 1, 1001, dtype=torch.float64)).diff() > 0).all())


@every_table
def test_a_table_has_its_levels_and_no_others(levels: Any) -> None:
    table = levels.table
    assert table.dtype == torch.float64
    assert bool((table.diff() < 0).all())
    assert levels.count == len(table)
    middles = (torch.arange(levels.count, dtype=torch.float64) + 0.5) / levels.count
    assert torch.equal(levels.quantile(middles), table.flip(0))


# The grid


@every_family
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_grid_descends_from_end_to_end(levels: Levels, dtype: torch.dtype) -> None:
    n = levels.count or 50
    grid = levels.grid(n, dtype)
    low, high = ends_of(levels)
    if isinstance(levels, DDPM):
        # of its levels those that are needed, which are all where as many are asked for
        assert torch.equal(grid, levels.table.to(dtype))
    assert (grid.dtype, grid.shape) == (dtype, (n,))
    assert bool((grid.diff() < 0).all())
    # exactly, not but for rounding
    assert grid[[-1, 0]].tolist() == torch.tensor([low, high], dtype=torch.float64).to(dtype).tolist()
    assert levels.grid(2, dtype)[-1] == grid[-1]


@every_continuum
def test_the_grid_is_even_in_the_quantile(levels: Levels) -> None:
    expected = levels.quantile(torch.linspace(1, 0, 33, dtype=torch.float64))
    torch.testing.assert_close(levels.grid(33, torch.float64), expected, rtol=1e-12, atol=0)
    assert levels.grid(1).tolist() == [levels.sigma_max]


@every_family
def test_counts_that_do_not_count_are_refused(levels: Levels) -> None:
    for count in (0, -1, 2.5, True):
        with pytest.raises(SettingError, match="the number of levels must be a whole number of at least 1, not"):
            levels.grid(count)  # type: ignore[arg-type]
    if levels.count is None:
        with pytest.raises(
            SettingError, match=r"3000 levels from .* or are not distinct in torch.bfloat16; take fewer"
        ):
            levels.grid(3000, torch.bfloat16)


@every_continuum
def test_a_family_is_a_kind_of_schedule(levels: Levels) -> None:
    other = replace(levels, sigma_min=0.1, sigma_max=5.0)
    assert torch.equal(
        create_noise_schedule(0.1, 5.0, 7, replace(levels, sigma_min=None, sigma_max=None)), other.grid(7)
    )
    # ends of its own go before the arguments
    assert torch.equal(create_noise_schedule(0.1, 5.0, 7, levels), levels.grid(7))
    assert torch.equal(
        create_noise_schedule(0.1, 5.0, 7, replace(levels, sigma_min=None)), replace(levels, sigma_min=0.1).grid(7)
    )
    assert create_noise_schedule(0.1, 5.0, 7, levels, dtype=torch.float64).dtype == torch.float64


# The draws


@every_continuum
def test_draws_follow_the_quantile(levels: Levels) -> None:
    n = 1000
    u = torch.linspace(0, 1, 2**17, dtype=torch.float64)
    # the share below a level, which is the quantile's inverse
    shares = np.interp(levels.draw(n, generator()).double().numpy(), levels.quantile(u).numpy(), u.numpy())
    within = shares * n - np.arange(n)
    # one draw a stratum, and uniform within it
    assert within.min() > -0.02
    assert within.max() < 1.02
    assert stats.kstest(within, "uniform").pvalue > 0.01


@every_table
def test_each_level_of_a_table_is_drawn_as_often(levels: Any) -> None:
    values, counts = levels.draw(20 * levels.count, generator()).unique(return_counts=True)
    assert torch.equal(values, levels.table.flip(0).float())
    assert int(counts.min()) >= 19
    assert int(counts.max()) <= 21


@every_family
def test_draws_follow_the_generator_alone(levels: Levels) -> None:
    state = torch.get_rng_state()
    first, second = levels.draw(64, generator(3)), levels.draw(64, generator(3))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.dtype == torch.get_default_dtype()
    assert all(a <= b for a, b in pairwise(first.tolist()))
    with default_dtype(torch.float64):
        # in single precision whatever the default is: a training draws the same levels
        assert torch.equal(levels.draw(64, generator(3)), first)
    torch.manual_seed(3)
    assert torch.equal(levels.draw(64), first)


# As parts


@every_family
def test_the_repr_evaluates_back(levels: Levels) -> None:
    assert eval(repr(levels), vars(noise) | {"Quadratic": Quadratic}) == levels


@every_family
def test_saved_as_json_and_read_it_is_the_same(levels: Levels) -> None:
    read = from_plain(json.loads(json.dumps(to_plain(levels))), allow=[Quadratic])
    assert read == levels
    assert type(read) is type(levels)
    assert torch.equal(read.draw(5, generator()), levels.draw(5, generator()))


@every_family
def test_families_are_values(levels: Levels) -> None:
    levels.draw(3)
    assert pickle.loads(pickle.dumps(levels)) == levels == replace(levels)
    assert hash(replace(levels)) == hash(levels)


@pytest.mark.parametrize(
    "levels",
    [
        Geometric(),
        Linear(),
        Cosine(),
        Karras(3.0),
        Softened(),
        LogNormal(),
        UniformTime("sub_vp"),
        Discrete(),
        Quadratic(),
    ],
    ids=repr,
)
def test_what_is_left_out_is_filled_from_a_plan(levels: Levels) -> None:
    plan = SimpleNamespace(**ENDS, sigma_data=0.5, log_sigma_mean=-0.2, log_sigma_spread=1.5, n_sigmas=10)
    full = filled(levels, plan)
    assert full.ends == (0.02, 40.0)
    assert full.grid(10)[[-1, 0]].tolist() == torch.tensor([0.02, 40.0]).tolist()
    for name in ("sigma_data", "log_sigma_mean", "log_sigma_spread", "n_sigmas"):
        if hasattr(levels, name):
            assert getattr(full, name) == getattr(plan, name)
    # what is said stays
    assert filled(replace(levels, sigma_max=5.0), plan).ends == (0.02, 5.0)
    with pytest.raises(SettingError, match=r"no ends yet: give sigma_min and sigma_max|needs "):
        levels.draw(3)


# Bad values


BAD_ENDS: list[tuple[dict[str, Any], str]] = [
    ({"sigma_min": 0.0}, "sigma_min must be positive and finite, not 0.0"),
    ({"sigma_min": -1.0}, "sigma_min must be positive and finite, not -1.0"),
    ({"sigma_max": math.inf}, "sigma_max must be positive and finite, not inf"),
    ({"sigma_min": math.nan}, "sigma_min must be positive and finite, not nan"),
    ({"sigma_min": 1.0, "sigma_max": 1.0}, "sigma_min must be below sigma_max, but 1 >= 1"),
    ({"sigma_min": 2.0, "sigma_max": 1.0}, "sigma_min must be below sigma_max, but 2 >= 1"),
    ({"sigma_min": "0.1"}, "sigma_min must be positive and finite, not 0.1"),
    ({"sigma_max": [5.0]}, r"sigma_max must be positive and finite, not \[5.0\]"),
    ({"sigma_max": 1j}, "sigma_max must be positive and finite, not 1j"),
]


@every_family
@pytest.mark.parametrize(("ends", "message"), BAD_ENDS)
def test_bad_ends_are_refused_when_it_is_made(levels: Levels, ends: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        replace(replace(levels, sigma_min=None, sigma_max=None), **ends)


BAD_VALUES: list[tuple[Callable[[], Levels], str]] = [
    (lambda: Karras(0.0), "rho must be a positive finite number, not 0.0"),
    (lambda: Karras(math.nan), "rho must be a positive finite number, not nan"),
    (lambda: Softened(0.0), "sigma_data must be a positive finite number, not 0.0"),
    (lambda: Softened(share=-0.1), "share must be a positive finite number, not -0.1"),
    (lambda: LogNormal(math.inf), "log_sigma_mean must be a finite number, not inf"),
    (lambda: LogNormal(0.0, -1.0), "log_sigma_spread must be a positive finite number, not -1.0"),
    (lambda: LogNormal(20.0, 1.0, **ENDS), "hardly ever lie between 0.02 and 40; choose a log mean"),
    (lambda: UniformTime("vpp"), "unknown process 'vpp'; did you mean 'vp'"),
    (lambda: UniformTime(3), "process must be a name or a Process, not 3"),  # type: ignore[arg-type]
    (lambda: UniformTime(SubVariancePreserving(2.0, 1.0)), "beta_min must be below beta_max, but 2 >= 1"),
    (lambda: Given(()), "the levels must be positive, finite and distinct"),
    (lambda: Given((1.0, -2.0)), "a level must be a positive finite number, not -2.0"),
    (lambda: Given((1.0, "0.5")), "a level must be a positive finite number, not '0.5'"),
    (lambda: Given((1.0, True)), "a level must be a positive finite number, not True"),
    (lambda: Given("karras"), "a level must be a positive finite number, not 'karras'"),
    (lambda: Given(None), "a level must be a positive finite number, not None"),
    (lambda: Given(torch.ones(2, 1)), r"a level must be a positive finite number, not \[1.0\]"),
    (lambda: Given((1.0, 1.0)), "the levels must be positive, finite and distinct"),
    (lambda: Discrete(n_sigmas=0), "n_sigmas must be a whole number of at least 1, not 0"),
    (lambda: Discrete(n_sigmas=2.5), "n_sigmas must be a whole number of at least 1, not 2.5"),  # type: ignore[arg-type]
    (lambda: Discrete(at_least=0), "at_least must be a whole number of at least 1, not 0"),
    (lambda: Discrete("geometric"), "of must be a family of noise levels, not 'geometric'"),  # type: ignore[arg-type]
    (lambda: DDPM("quadratic"), "the betas must be 'linear' or 'cosine', not 'quadratic'"),
    (lambda: DDPM(n_times=20), "linear betas need more than 20 steps"),
    (lambda: DDPM(n_times=0), "the number of levels must be a whole number of at least 1, not 0"),
]


@pytest.mark.parametrize(("make", "message"), BAD_VALUES)
def test_bad_values_are_refused_when_it_is_made(make: Callable[[], Levels], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make()
