"""The forward processes against the kernels of their papers."""

import math

import pytest
import torch
from scipy.integrate import quad

from ncsn.errors import SettingError
from ncsn.noise import PROCESSES, Process, VariancePreserving

TIMES = [1e-5, 1e-3, 0.1, 0.5, 1.0]


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("time", TIMES)
def test_sigma_is_the_kernels_noise_over_its_factor(name: str, time: float) -> None:
    process = PROCESSES[name]
    integral, _ = quad(lambda t: process.beta_min + t * (process.beta_max - process.beta_min), 0, time)
    alpha = math.exp(-integral / 2)
    # Song et al. 2021, eq. 29: variance 1 - e^-B (VP) and (1 - e^-B)^2 (sub-VP)
    variance = -math.expm1(-integral) if name == "vp" else math.expm1(-integral) ** 2
    expected = math.sqrt(variance) / alpha
    sigma = process.sigma(torch.tensor(time, dtype=torch.float64))
    assert float(sigma) == pytest.approx(expected, rel=1e-10)
    assert float(process.alpha(sigma)) == pytest.approx(alpha, rel=1e-10)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=list(PROCESSES))
def test_time_inverts_sigma_in_both_precisions(process: Process) -> None:
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        times = torch.tensor(TIMES, dtype=dtype)
        torch.testing.assert_close(process.time(process.sigma(times)), times, rtol=tolerance, atol=0)


def test_beta_may_be_another() -> None:
    process = VariancePreserving(beta_min=0.3, beta_max=5.0)
    integral, _ = quad(lambda t: 0.3 + t * 4.7, 0, 0.7)
    sigma = process.sigma(torch.tensor(0.7, dtype=torch.float64))
    assert float(sigma) == pytest.approx(math.sqrt(math.expm1(integral)), rel=1e-10)
    assert float(process.time(sigma)) == pytest.approx(0.7, rel=1e-10)


@pytest.mark.parametrize(
    ("betas", "message"),
    [
        ((0.0, 1.0), "beta_min must be a positive finite number, not 0.0"),
        ((0.1, math.inf), "beta_max must be a positive finite number, not inf"),
        ((2.0, 1.0), "beta_min must be below beta_max, but 2 >= 1"),
    ],
)
def test_betas_out_of_range_are_refused(betas: tuple[float, float], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        VariancePreserving(*betas)
