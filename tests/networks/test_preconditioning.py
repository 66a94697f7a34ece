"""The rows of coefficients against the design's table, and the score that they make of a network."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor, nn

from ncsn import networks, noise
from ncsn.errors import SettingError
from ncsn.exact import GaussianMixtureScore
from ncsn.networks import (
    EDM,
    PRECONDITIONINGS,
    Coefficients,
    ConsistencyModel,
    NCSNScoreNetwork,
    NoisePrediction,
    PreconditionedScore,
    Preconditioning,
    ResidualMLP,
)
from ncsn.noise import PROCESSES, VariancePreserving
from ncsn.parts import filled, from_plain, to_plain
from ncsn.score import denoised_from_score

Row = Callable[[float, float], tuple[float, float, float, float]]

LOWEST = 0.002


def integral_of_beta(time: float) -> float:
    return 0.1 * time + 19.9 / 2 * time**2


def vp_time(sigma: float) -> float:
    return brentq(lambda t: math.sqrt(math.expm1(integral_of_beta(t))) - sigma, 0.0, 3.0, xtol=1e-15)


def sub_vp_time(sigma: float) -> float:
    # std / mean of the kernel, 1 - e^-B over e^(-B/2) (Song et al. 2021, eq. 29)
    def noise_level(t: float) -> float:
        b = integral_of_beta(t)
        return -math.expm1(-b) / math.exp(-b / 2)

    return brentq(lambda t: noise_level(t) - sigma, 0.0, 3.0, xtol=1e-15)


TABLE: dict[str, Row] = {
    "raw_score": lambda s, d: (1.0, s**2, 1.0, math.log(s)),
    "scaled_score": lambda s, d: (1.0, s, 1.0, math.log(s)),
    "noise_vp": lambda s, d: (1.0, -s, 1 / math.sqrt(1 + s**2), math.log(vp_time(s))),
    "noise_sub_vp": lambda s, d: (1.0, -s, (math.sqrt(s**2 + 4) - s) / 2, math.log(sub_vp_time(s))),
    "edm": lambda s, d: (
        d**2 / (s**2 + d**2),
        s * d / math.sqrt(s**2 + d**2),
        1 / math.sqrt(s**2 + d**2),
        math.log(s) / 4,
    ),
    "consistency": lambda s, d: (
        d**2 / ((s - LOWEST) ** 2 + d**2),
        d * (s - LOWEST) / math.sqrt(s**2 + d**2),
        1 / math.sqrt(s**2 + d**2),
        math.log(s) / 4,
    ),
}
"""c_skip, c_out, c_in and c_noise at sigma and the data's spread, as published (Karras et al. 2022, table 1; Song et al.
2023, appendix C)."""


class Wave(nn.Module):
    """A network whose function is known: sin(x + noise), of each entry."""

    def forward(self, x: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        offset = noise.reshape(-1, *[1] * (x.ndim - 1)) + (0 if label is None else label[:, None])
        return (x + offset).sin()


def points(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def test_every_row_is_tested() -> None:
    assert set(TABLE) == set(PRECONDITIONINGS)


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("sigma", [0.003, 0.7, 40.0])
@pytest.mark.parametrize("spread", [0.5, 1.0, 3.0])
def test_denoised_is_the_rows_formula(name: str, sigma: float, spread: float) -> None:
    x = points(20, 3)
    skip, out, scale, noise = TABLE[name](sigma, spread)
    expected = skip * x + out * (scale * x + noise).sin()
    score = PreconditionedScore(Wave(), name, spread, LOWEST)(x, torch.tensor(sigma))
    # the level reaches the network in the type of x: 0.7 is not the float32 0.7
    torch.testing.assert_close(denoised_from_score(x, torch.tensor(sigma), score), expected, rtol=1e-6, atol=1e-6)
    exact_level = torch.tensor(sigma, dtype=torch.float64)
    score = PreconditionedScore(Wave(), name, spread, LOWEST)(x, exact_level)
    torch.testing.assert_close(denoised_from_score(x, exact_level, score), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("spread", [0.5, 1.0, 4.0])
def test_a_zero_network_is_the_score_of_a_gaussian(spread: float) -> None:
    class Zero(nn.Module):
        def forward(self, x: Tensor, noise: Tensor) -> Tensor:
            return torch.zeros_like(x)

    exact = GaussianMixtureScore([1.0], torch.zeros(1, 3, dtype=torch.float64), spread**2)
    x = 5 * points(20, 3)
    for sigma in torch.logspace(-3, 2, 11, dtype=torch.float64):
        torch.testing.assert_close(PreconditionedScore(Zero(), "edm", spread)(x, sigma), exact(x, sigma))


@pytest.mark.parametrize("name", TABLE)
def test_small_levels_do_not_cancel_in_single_precision(name: str) -> None:
    model, x, sigma = PreconditionedScore(Wave(), name), points(100, 2, dtype=torch.float32), torch.tensor(1e-3)
    single, double = model(x, sigma), model(x.double(), sigma.double())
    # (denoised - x) / sigma^2 would be off by about 1e-7 / 1e-6
    error = (single - double).abs().max() / double.abs().max()
    assert error < 1e-6


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("shape", [(2,), (3, 4, 4)])
def test_a_level_for_each_row_is_the_row_at_its_level(name: str, shape: tuple[int, ...]) -> None:
    model, sigma = PreconditionedScore(Wave(), name, 0.7), torch.tensor([0.02, 1.5], dtype=torch.float64)
    x = points(2, *shape)
    rows = [model(x[i : i + 1], sigma[i]) for i in range(2)]
    torch.testing.assert_close(model(x, sigma), torch.cat(rows), rtol=1e-12, atol=0)
    torch.testing.assert_close(model(x, sigma[0].expand(2)), model(x, sigma[0]), rtol=1e-12, atol=0)
    torch.testing.assert_close(model(x, 0.02), model(x, sigma[0]), rtol=1e-12, atol=0)


def test_conditions_reach_the_network() -> None:
    model, x = PreconditionedScore(Wave(), "scaled_score"), points(2, 3)
    score = model(x, 1.0, label=torch.tensor([0.0, 2.0]))
    torch.testing.assert_close(score, torch.stack([x[0].sin(), (x[1] + 2).sin()]))


def test_unknown_rows_and_bad_spreads() -> None:
    with pytest.raises(SettingError, match="unknown preconditioning 'edn'; did you mean 'edm'\\? known: raw_score, "):
        PreconditionedScore(Wave(), "edn")
    for spread in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(SettingError, match="sigma_data must be a positive finite number"):
            PreconditionedScore(Wave(), sigma_data=spread)


def test_a_level_of_the_wrong_shape() -> None:
    with pytest.raises(SettingError, match=r"sigma must be a scalar or one per row, \(4,\), not of shape \(3,\)"):
        PreconditionedScore(Wave())(points(4, 2), torch.ones(3))


def test_the_repr_names_the_row() -> None:
    representation: Any = repr(PreconditionedScore(Wave(), "scaled_score", 0.5))
    assert "preconditioning=ScaledScore(sigma_data=0.5, sigma_min=0.0)" in representation


def test_a_consistency_model_returns_its_input_where_the_flow_ends() -> None:
    x = points(20, 3)
    model = ConsistencyModel(Wave(), "consistency", 0.5, LOWEST)
    torch.testing.assert_close(model(x, torch.tensor(LOWEST, dtype=x.dtype)), x, rtol=0, atol=0)


@pytest.mark.parametrize("sigma", [0.01, 0.7, 40.0])
def test_a_consistency_model_is_the_rows_formula(sigma: float) -> None:
    x = points(20, 3)
    skip, out, scale, noise = TABLE["consistency"](sigma, 0.5)
    level = torch.tensor(sigma, dtype=x.dtype)
    expected = skip * x + out * (scale * x + noise).sin()
    torch.testing.assert_close(
        ConsistencyModel(Wave(), "consistency", 0.5, LOWEST)(x, level), expected, rtol=1e-9, atol=1e-9
    )


# The rows as parts


@dataclass(frozen=True, repr=False)
class Halved(Preconditioning):
    """A row of one's own."""

    share: float = 0.5

    def coefficients(self, sigma: Tensor) -> Coefficients:
        return Coefficients(-self.share * torch.ones_like(sigma), sigma, torch.ones_like(sigma), sigma.log())


ROWS: dict[str, Preconditioning] = PRECONDITIONINGS | {"one's own": Halved(0.25)}

every_row = pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_coefficients_are_those_of_the_paper(name: str, shape: tuple[int, ...]) -> None:
    row = filled(PRECONDITIONINGS[name], SimpleNamespace(sigma_data=0.5, sigma_min=LOWEST))
    sigma = torch.linspace(0.1, 3, 6, dtype=torch.float64)[: math.prod(shape)].reshape(shape)
    found = row.coefficients(sigma)
    parts = torch.stack([found.c_skip, found.c_out, found.c_in, found.c_noise], dim=-1)
    expected = torch.tensor([TABLE[name](level, 0.5) for level in sigma.flatten().tolist()], dtype=torch.float64)
    assert parts.shape == (*shape, 4)
    torch.testing.assert_close(parts, expected.reshape(*shape, 4), rtol=1e-9, atol=1e-12)


@every_row
def test_a_row_prints_and_is_saved_as_it_is(row: Preconditioning) -> None:
    for version in (row, filled(row, SimpleNamespace(sigma_data=0.5, sigma_min=LOWEST))):
        assert eval(repr(version), vars(networks) | vars(noise) | {"Halved": Halved}) == version
        assert from_plain(json.loads(json.dumps(to_plain(version))), allow=[Halved]) == version


@every_row
def test_a_row_says_whether_it_carries_the_linear_part(row: Preconditioning) -> None:
    small = filled(row, SimpleNamespace(sigma_data=1.0, sigma_min=0.0)).coefficients(torch.tensor(2.0))
    # of one's own, what nothing is said of counts as left to the network
    assert row.skips == (float(small.c_skip) < 1 and not isinstance(row, Halved))


@every_row
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sigma_data": 0.0}, "sigma_data must be a positive finite number, not 0.0"),
        ({"sigma_data": math.inf}, "sigma_data must be a positive finite number, not inf"),
        ({"sigma_min": -0.1}, "sigma_min must be a finite number of at least 0, not -0.1"),
        ({"sigma_min": math.nan}, "sigma_min must be a finite number of at least 0, not nan"),
    ],
)
def test_bad_values_are_refused_when_a_row_is_made(row: Preconditioning, values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        replace(row, **values)


def test_processes_of_a_row() -> None:
    assert NoisePrediction("vp") == NoisePrediction(PROCESSES["vp"])
    with pytest.raises(SettingError, match="unknown process 'pv'; did you mean 'vp'"):
        NoisePrediction("pv")
    for wrong in (3, None, VariancePreserving):
        with pytest.raises(SettingError, match="process must be a name or a Process, not"):
            NoisePrediction(wrong)  # type: ignore[arg-type]


def test_a_row_of_ones_own_makes_a_score() -> None:
    x, sigma = points(5, 3), torch.tensor(0.7, dtype=torch.float64)
    expected = 0.75 * x + sigma * (x + sigma.log()).sin()
    score = PreconditionedScore(Wave(), Halved(0.25))(x, sigma)
    torch.testing.assert_close(denoised_from_score(x, sigma, score), expected)


@pytest.mark.parametrize("wrong", [3, EDM, Wave()])
def test_what_is_no_row_is_refused(wrong: Any) -> None:
    with pytest.raises(SettingError, match="preconditioning must be a name or a Preconditioning, not"):
        PreconditionedScore(Wave(), wrong)


def test_a_network_says_by_its_class_whether_it_draws() -> None:
    assert ResidualMLP((2,), 8, 1, dropout=0.1).draws is True
    assert ResidualMLP((2,), 8, 1).draws is False
    perceptron: Any = NCSNScoreNetwork(2, [8]).network
    assert perceptron.draws is False
    # what says nothing may draw from anywhere
    assert not hasattr(PreconditionedScore(Wave()), "draws")
    assert not hasattr(PreconditionedScore(Wave()).network, "draws")


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("row", networks.PRECONDITIONINGS)
def test_levels_at_which_a_network_knows_no_score(row: str, sigma: float) -> None:
    model, x = networks.preconditioning.preconditioned(nn.Identity(), row, 1.0, 0.1), torch.zeros(2, 1)
    for level in (torch.tensor(sigma), torch.tensor([1.0, sigma])):
        with pytest.raises(SettingError, match="sigma must be positive and finite: without noise a network knows no"):
            model(x, level)
