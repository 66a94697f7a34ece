import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from ncsn.noise import PROCESSES, Process, ddpm_levels

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
    with pytest.raises(ValueError, match="linear"):
        ddpm_levels(10, "quadratic")


def test_linear_betas_of_too_few_steps_are_refused() -> None:
    assert bool(ddpm_levels(21).isfinite().all())
    with pytest.raises(ValueError, match="linear betas need more than 20 steps"):
        ddpm_levels(20)
