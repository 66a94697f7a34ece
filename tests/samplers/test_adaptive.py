"""The ODE solved to a tolerance: against closed forms and SciPy."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ncsn.errors import DivergenceError
from ncsn.networks import PreconditionedScore, ResidualMLP
from ncsn.samplers import Noise, sample

from .common import SIGMA_MAX, SIGMA_MIN, centred, flow, generator, refusal, two_decades, two_modes, walk

SILENT = Noise(seed=0, first=0, block=4096, device=torch.device("cpu"))
"""Noise in one block, of which nothing is drawn."""


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("count", [2, 7])
def test_ode_is_within_its_tolerance(tolerance: float, count: int) -> None:
    variance, x = 0.5, SIGMA_MAX * torch.randn(100, 2, generator=generator(), dtype=torch.float64)
    states = walk("ode", centred(variance), x, two_decades(count), SILENT, tolerance=tolerance)
    assert len(states) == count - 1
    for state in states:
        exact = x * math.sqrt((variance + state.sigma**2) / (variance + SIGMA_MAX**2))
        assert float((state.x - exact).abs().max()) < 20 * tolerance
        assert state.denoised is not None
        torch.testing.assert_close(
            state.denoised, exact * variance / (variance + state.sigma**2), rtol=0, atol=20 * tolerance
        )


def test_ode_on_a_mixture_agrees_with_scipy() -> None:
    model, x = two_modes(), two_modes().sample(64, generator(), SIGMA_MAX)
    found = walk("ode", model, x, two_decades(4), SILENT, tolerance=1e-9)[-1].x
    torch.testing.assert_close(found, flow(model, x, SIGMA_MAX, SIGMA_MIN), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ode_counts_its_evaluations_and_stays_within_the_levels(dtype: torch.dtype) -> None:
    seen: list[float] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append(float(sigma))
        return -x / (0.01 + sigma**2)

    states = walk("ode", model, torch.ones(3, 2, dtype=dtype), two_decades(6).to(dtype), SILENT)
    assert states[-1].evaluations == len(seen)
    assert states[-1].x.dtype == dtype
    assert SIGMA_MIN * (1 - 1e-6) <= min(seen) <= max(seen) <= SIGMA_MAX * (1 + 1e-6)


def test_ode_takes_fewer_evaluations_for_less_accuracy() -> None:
    x = two_modes().sample(64, generator(), SIGMA_MAX)
    counts = [
        walk("ode", two_modes(), x, two_decades(2), SILENT, tolerance=t)[-1].evaluations for t in (1e-2, 1e-5, 1e-8)
    ]
    assert 30 < counts[0] < counts[1] < counts[2] < 400


def test_ode_says_at_which_level_the_score_is_not_finite() -> None:
    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return -x / sigma**2 if sigma > 1.001 else x * math.nan

    with pytest.raises(DivergenceError, match="not finite at noise level 1:"):
        walk("ode", model, torch.ones(2, 1), two_decades(3).float(), SILENT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 0.0}, "tolerance must be a positive finite number, not 0.0"),
        ({"tolerance": 0}, "tolerance must be a positive finite number, not 0"),
        ({"tolerance": -1e-5}, "tolerance must be a positive finite number, not -1e-05"),
        ({"tolerance": math.nan}, "tolerance must be a positive finite number, not nan"),
    ],
)
def test_bad_options_are_refused_when_it_is_made(options: dict[str, Any], message: str) -> None:
    assert refusal("ode", **options) == message


def test_ode_does_not_depend_on_what_is_walked_together() -> None:
    torch.manual_seed(0)
    network = ResidualMLP((2,), width=16, n_blocks=1)
    torch.nn.init.normal_(list(network.parameters())[-2], std=0.3)
    model = PreconditionedScore(network, "edm")

    def drawn(n: int, size: int) -> Tensor:
        return sample(model, two_decades(4).float(), n, 2, "ode", generator=generator(), chunk_size=size)

    # blocks of 2,048 rows
    assert torch.equal(drawn(4500, 1), drawn(4500, 4500))
    assert torch.equal(drawn(4500, 4500)[:2048], drawn(2048, 2048))
