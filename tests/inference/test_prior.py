"""Priors without bounds: nothing comes back outside, and densities keep their integral."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Beta,
    Dirichlet,
    Distribution,
    Exponential,
    Gamma,
    Independent,
    LogNormal,
    MultivariateNormal,
    Normal,
    Poisson,
    Uniform,
)

from ncsn.errors import DataError, SettingError
from ncsn.inference import Prior

PRIORS: dict[str, Any] = {
    "box": Independent(Uniform(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 100.0])), 1),
    "box of numbers": Uniform(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 100.0])),
    "normal": MultivariateNormal(torch.tensor([1.0, 2.0]), torch.tensor([[2.0, 0.5], [0.5, 1.0]])),
    "positive": LogNormal(torch.zeros(2), torch.ones(2)),
    "each its own": [Uniform(2.0, 3.0), Gamma(2.0, 1.0), Normal(0.0, 1.0), Beta(0.5, 0.5)],
    "simplex": Dirichlet(torch.tensor([1.0, 2.0, 3.0])),
}


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_there_and_back_and_never_outside(prior: Any) -> None:
    chosen, generator = Prior(prior), torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    theta = chosen.sample(500)
    free = chosen.to_free(theta)
    torch.testing.assert_close(chosen.from_free(free), theta, rtol=1e-3, atol=1e-4)
    far = 30 * torch.randn(500, free.shape[1], generator=generator, dtype=torch.float64)
    back = chosen.from_free(far)
    assert back.dtype == torch.float32
    # a stick that is broken at its very end has no rest, which single precision cannot avoid
    if not isinstance(prior, Dirichlet | LogNormal | list):
        assert chosen.log_prob(back).isfinite().all()
    assert chosen.inside(back).all()


@pytest.mark.parametrize("prior", [p for name, p in PRIORS.items() if name != "simplex"])
def test_the_slope_is_that_of_autograd(prior: Any) -> None:
    chosen = Prior(prior)
    torch.manual_seed(0)
    free = chosen.to_free(chosen.sample(20))
    # the way of an interval bends near its ends alone
    free[:5] -= 0.02 * (free[:5] - free.mean(0)).sign()
    for row in free:
        jacobian = torch.autograd.functional.jacobian(lambda z: chosen.from_free(z[None], torch.float64)[0], row)
        assert isinstance(jacobian, Tensor)
        torch.testing.assert_close(chosen.log_slope(row[None])[0], jacobian.det().abs().log(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("ends", "end"), [(None, 3.0), (torch.tensor([0.5], dtype=torch.float64), 0.5)])
def test_an_interval_stays_as_it_is_but_near_its_ends(ends: torch.Tensor | None, end: float) -> None:
    chosen = Prior(Uniform(torch.tensor([-10.0]), torch.tensor([10.0])), ends)
    theta = torch.linspace(-1, 1, 19, dtype=torch.float64)[:, None]
    # at 9 from an end by about end e^(-9/end), and by the slope of that, of both ends
    bent = math.exp(-9 / end)
    torch.testing.assert_close(chosen.to_free(theta), theta, rtol=0, atol=1.1 * end * bent)
    assert float(chosen.log_slope(chosen.to_free(theta)).abs().max()) < 2 * bent
    # beyond an end the density falls off as an exponential function of 15% of the interval, or of what was asked for
    free = torch.tensor([[-25.0], [-35.0], [25.0], [35.0]], dtype=torch.float64).clamp(-10 - 12 * end, 10 + 12 * end)
    density = chosen.log_prob(chosen.from_free(free, torch.float64)) + chosen.log_slope(free)
    expected = -(free[1::2] - free[::2]).abs()[:, 0] / end
    torch.testing.assert_close(density[1::2] - density[::2], expected, rtol=0.01, atol=0)
    # it is a density still
    line = torch.linspace(-70, 70, 70001, dtype=torch.float64)[:, None]
    mass = torch.trapezoid((chosen.log_slope(line) - math.log(20)).exp(), line[:, 0])
    assert float(mass) == pytest.approx(1, abs=1e-6)


def test_ends_are_as_wide_as_what_a_line_leaves_of_what_it_tells() -> None:
    torch.manual_seed(0)
    box = Prior([Uniform(0.0, 1.0), Uniform(-10.0, 10.0), Normal(0.0, 1.0)])
    theta = box.sample(20_000).double()
    fitted = box.fitted(theta, theta[:, 1:2] + 0.5 * torch.randn(len(theta), 1))
    # the median of half a normal distribution's spread, of a parameter of which the line tells all but 1%
    assert fitted.ends[1] == pytest.approx(1.5 * 0.6745 * 0.5, rel=0.03)
    # nothing is told of the first: the least of an interval, however little is asked for
    one = Prior(Uniform(torch.zeros(1), torch.ones(1)), torch.full((1,), 0.01, dtype=torch.float64))
    torch.testing.assert_close(fitted.to_free(theta)[:, 0], one.to_free(theta[:, :1])[:, 0])
    torch.testing.assert_close(fitted.from_free(fitted.to_free(theta), torch.float64), theta, rtol=0, atol=1e-6)


def test_densities_are_those_of_the_parts_and_nothing_outside() -> None:
    chosen = Prior(PRIORS["each its own"])
    inside = torch.tensor([[2.5, 1.0, 0.3, 0.5]])
    parts = [2.5, 1.0, 0.3, 0.5]
    expected = sum(part.log_prob(torch.tensor(at)) for part, at in zip(PRIORS["each its own"], parts, strict=True))
    torch.testing.assert_close(chosen.log_prob(inside)[0], torch.as_tensor(expected).double())
    outside = torch.tensor([[1.9, 1.0, 0.3, 0.5], [2.5, -1.0, 0.3, 0.5]])
    assert (chosen.log_prob(outside) == -torch.inf).all()
    with pytest.raises(
        DataError, match=r"2 of 2 rows lie outside the prior's support, first row 0 \(1.9, 1, 0.3, 0.5\)"
    ):
        chosen.to_free(outside)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (3, "must be a torch Distribution"),
        ([], "holds no distribution"),
        (Normal(torch.zeros(2, 2), torch.ones(2, 2)), "take its to_event"),
        (Poisson(torch.ones(2)), "take a continuous prior"),
    ],
)
def test_what_is_no_prior_is_refused(prior: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Prior(prior)


def test_one_parameter_is_enough() -> None:
    one: Distribution = Exponential(2.0)
    assert Prior(one).sample(7).shape == (7, 1)
    with pytest.raises(DataError, match=r"rows of 1 parameters, \(N, 1\), not \(3, 2\)"):
        Prior(one).checked(torch.zeros(3, 2))
