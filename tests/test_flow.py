"""Rows carried along the probability-flow ODE, and ways between two, against closed forms and an independent solver."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from mixtures import generator, mixture, points
from scipy.integrate import solve_ivp
from torch import Tensor, nn

from ncsn.errors import DivergenceError, SettingError
from ncsn.exact import EmpiricalScore
from ncsn.flow import carry, slerp
from ncsn.samplers import sample


@pytest.mark.parametrize(("sigma", "following"), [(0.01, 30.0), (30.0, 0.01), (2.0, 2.0)])
def test_a_gaussian_is_stretched_by_the_ratio_of_its_deviations(sigma: float, following: float) -> None:
    variances = torch.tensor([0.25, 1.0, 4.0], dtype=torch.float64)
    x = points(20, 3)
    carried = carry(lambda x, s: -x / (variances + s**2), x, sigma, following, tolerance=1e-9)
    expected = x * ((variances + following**2) / (variances + sigma**2)).sqrt()
    torch.testing.assert_close(carried, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("dim", [2, 5])
def test_a_mixture_up_and_down_again(dim: int) -> None:
    model = mixture(dim)
    x = model.sample(50, generator(), 0.02)
    up = carry(model, x, 0.02, 50.0, tolerance=1e-8)
    # at the largest level it is next to a Gaussian, of which 50 rows have the spread
    assert 0.8 < float(up.std()) / 50 < 1.25
    torch.testing.assert_close(carry(model, up, 50.0, 0.02, tolerance=1e-8), x, rtol=0, atol=1e-5)
    # the sampler of the same flow finds the same ends
    down = sample(model, torch.tensor([50.0, 0.02]).double(), 50, dim, "ode", up, denoise_last=False, tolerance=1e-8)
    torch.testing.assert_close(down, x, rtol=0, atol=1e-4)


def test_the_way_up_against_an_independent_solver() -> None:
    model, x = mixture(2), points(5, 2)

    def slope(sigma: float, state: Any) -> Any:
        return -sigma * model(torch.from_numpy(state)[None], torch.tensor(sigma, dtype=torch.float64))[0].numpy()

    for row, carried in zip(x, carry(model, x, 0.05, 5.0, tolerance=1e-9), strict=True):
        end = solve_ivp(slope, (0.05, 5.0), row.numpy(), rtol=1e-9, atol=1e-9).y[:, -1]
        np.testing.assert_allclose(carried, end, atol=1e-6)


def test_chunks_conditions_and_images() -> None:
    labels = torch.arange(7) % 2
    centres = points(2, 1, 3, 3)
    model = EmpiricalScore(centres, labels=torch.arange(2))
    down = carry(model, 30 * points(7, 1, 3, 3, seed=1), 30.0, 1e-3, condition={"label": labels}, chunk_size=3)
    # of one point the flow shrinks what is left by the ratio of the levels
    expected = centres[labels] + (30 * points(7, 1, 3, 3, seed=1) - centres[labels]) * (1e-3 / 30)
    torch.testing.assert_close(down, expected, rtol=0, atol=1e-4)


class Frozen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones((), dtype=torch.float32))
        self.fails = False

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        assert not self.training
        assert x.dtype == torch.float32
        return -x * self.weight / (math.nan if self.fails else 1 + sigma**2)


def test_a_network_is_asked_in_its_type_and_put_back_after_errors_too() -> None:
    model, x = Frozen(), points(3, 2)
    carried = carry(model, x, 0.1, 10.0)
    assert carried.dtype == torch.float64
    assert not carried.requires_grad
    torch.testing.assert_close(carried, x * math.sqrt(101 / 1.01), rtol=1e-5, atol=1e-5)
    assert model.training
    model.fails = True
    with pytest.raises(DivergenceError, match="the flow is not finite: the score is not, or it is too steep to follow"):
        carry(model, x, 0.1, 10.0)
    assert model.training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sigma": 0.0}, "sigma must be a positive finite number, not 0.0"),
        ({"following": math.inf}, "following must be a positive finite number, not inf"),
        ({"tolerance": -1.0}, "tolerance must be a positive finite number, not -1.0"),
        ({"chunk_size": 0}, "chunk_size must be a whole number of at least 1, not 0"),
        ({"x": torch.ones(3)}, "x must hold rows of shape (N, *shape), not (3,)"),
        ({"x": torch.ones(0, 3)}, "x must hold rows of shape (N, *shape), not (0, 3)"),
        ({"condition": {"label": torch.ones(2)}}, "condition 'label' must have one entry a row, 3, not 2"),
    ],
)
def test_bad_input(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"x": torch.ones(3, 2), "sigma": 0.1, "following": 10.0} | changes
    with pytest.raises(SettingError) as caught:
        carry(lambda x, sigma, **condition: -x / (1 + sigma**2), **arguments)
    assert str(caught.value) == message


# Slerp


def test_the_ends_are_exact_and_the_length_is_kept() -> None:
    a, b = points(5, 3, 4), points(5, 3, 4, seed=1)
    a, b = (3 * rows / rows.flatten(1).norm(dim=1)[:, None, None] for rows in (a, b))
    way = slerp(a, b, torch.linspace(0, 1, 7, dtype=torch.float64))
    assert way.shape == (5, 7, 3, 4)
    assert torch.equal(way[:, 0], a)
    assert torch.equal(way[:, -1], b)
    torch.testing.assert_close(way.flatten(2).norm(dim=2), torch.full((5, 7), 3.0).double(), rtol=1e-12, atol=0)
    # equal steps are equal angles
    unit = way.flatten(2) / 3
    cosines = (unit[:, 1:] * unit[:, :-1]).sum(2)
    torch.testing.assert_close(cosines, cosines[:, :1].expand_as(cosines), rtol=1e-10, atol=1e-10)


def test_lengths_that_differ_meet_in_between() -> None:
    way = slerp(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]]), torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(way[0], torch.tensor([[1.0, 0.0], [0.5**0.5, 3 * 0.5**0.5], [0.0, 3.0]]))


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0])
def test_rows_of_one_line_are_joined_by_it(factor: float) -> None:
    a = points(2, 6)
    torch.testing.assert_close(slerp(a, factor * a, torch.tensor([0.25]))[:, 0], a * (0.75 + 0.25 * factor))


def test_rows_of_other_shapes_are_refused() -> None:
    with pytest.raises(SettingError, match=r"rows of one shape \(N, \*shape\) are needed, not \(3, 2\) and \(2, 2\)"):
        slerp(torch.ones(3, 2), torch.ones(2, 2), torch.tensor([0.5]))
