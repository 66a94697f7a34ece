"""The exact score of a data set against the mixture of its points."""

import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest
import torch

from ncsn.errors import DataError
from ncsn.exact import EmpiricalScore, GaussianMixtureScore

from .common import close, generator, normal


@pytest.mark.parametrize("shape", [(), (2,), (5,), (3, 2, 2)])
@pytest.mark.parametrize("sigma", [0.01, 0.3, 10.0])
def test_data_set_is_mixture_of_point_masses(shape: tuple[int, ...], sigma: float) -> None:
    data = normal(200, *shape)
    model = EmpiricalScore(data)
    points = data.reshape(200, -1)
    mixture = GaussianMixtureScore(torch.ones(200), points, 0.0)
    x = torch.cat([data[:20] + sigma * normal(20, *shape, seed=3), 3 * normal(10, *shape, seed=4)])
    flat = x.reshape(30, -1)
    assert model(x, sigma).shape == x.shape
    assert close(model(x, sigma).reshape(30, -1), mixture(flat, sigma))
    assert close(model.log_density(x, sigma), mixture.log_density(flat, sigma))
    assert torch.allclose(model.denoise(x, sigma).reshape(30, -1), mixture.denoise(flat, sigma), atol=1e-9)
    assert torch.allclose(model.mean.reshape(-1), mixture.mean)
    assert torch.allclose(model.covariance, mixture.covariance)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_data_set_in_float32_at_small_sigma(offset: float) -> None:
    sigma = 0.01
    data = (torch.rand(20_000, 2, generator=generator()) + offset).float()
    x = data[:500] + sigma * torch.randn(500, 2, generator=generator(1))
    exact = EmpiricalScore(data.double())
    error = (EmpiricalScore(data)(x, sigma) - exact(x.double(), sigma)) * sigma
    # What is left is the rounding of a mean of points of size one, 6e-8 / sigma.
    assert error.abs().max() < 2e-5
    density = EmpiricalScore(data).log_density(x, sigma)
    assert torch.allclose(density.double(), exact.log_density(x.double(), sigma), atol=1e-5)
    assert exact(x, sigma).dtype == torch.float32


def test_samples_of_a_data_set_without_noise_are_its_rows() -> None:
    data = torch.rand(30, 3, 4, generator=generator())
    samples, rows = EmpiricalScore(data).sample_with_components(100, generator())
    assert torch.equal(samples, data[rows])
    assert len(set(rows.tolist())) > 20


def test_half_precision_is_computed_in_more() -> None:
    model = EmpiricalScore(normal(50, 2).float())
    x = normal(5, 2).bfloat16()
    assert torch.equal(model(x, 0.25), model(x.float(), 0.25).bfloat16())


@pytest.mark.parametrize(
    ("data", "labels", "message"),
    [
        (np.zeros((0, 2)), None, "at least one point"),
        (np.zeros((3, 0)), None, "at least one point"),
        (1.0, None, "at least one point"),
        ([[0.0, 1.0], [2.0]], None, "array of numbers"),
        (np.array([[0.0], [np.inf]]), None, "row 1, counted from 0"),
        ([0.0, 1.0], [0], "labels must be 2 integers"),
        ([0.0, 1.0], [0.0, 1.0], "labels must be 2 integers"),
        ([0.0, 1.0], ["cat", "dog"], "labels must be an array of numbers"),
        ([0.0, 1.0], [0, -1], "labels must not be negative"),
    ],
)
def test_bad_data_are_refused(data: Any, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        EmpiricalScore(data, labels)


@pytest.mark.slow
def test_a_million_points_fit_in_memory() -> None:
    program = textwrap.dedent("""
        import resource, torch
        from ncsn.exact import EmpiricalScore
        model = EmpiricalScore(torch.randn(1_000_000, 2, generator=torch.Generator().manual_seed(0)))
        x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(1))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        score = model(x, 0.5)
        # The data are so many that their score is that of N(0, I) within sampling error.
        assert (score + x / 1.25).abs().median() < 0.01
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)
    grown = int(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout)
    kilobyte = 1 if sys.platform == "darwin" else 1024
    assert grown * kilobyte < 200e6
