"""DPS, PiGDM and MMPS against their own equations with dense Jacobians; the twisted sampler against an exact posterior."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ncsn.errors import DataError, SettingError
from ncsn.exact import GaussianMixtureScore
from ncsn.guidance import (
    DPS,
    Downsampling,
    LinearMeasurement,
    MomentMatchingGuidance,
    PseudoinverseGuidance,
    sample_twisted,
)
from ncsn.samplers import Ancestral, sample
from ncsn.score import denoised_from_score

from .common import COVARIANCES, MEANS, generator, levels, mixture

A = torch.tensor([[0.8, 0.3, -0.2], [-0.4, 0.6, 0.5], [0.8, 0.3, -0.2]], dtype=torch.float64)
Y = torch.tensor([0.4, -0.7, 0.6], dtype=torch.float64)
SIGMA_Y = 0.3


def points(n: int = 6) -> Tensor:
    return 1.5 * torch.randn(n, 3, generator=generator(), dtype=torch.float64)


def denoised(x: Tensor, sigma: Tensor) -> Tensor:
    return denoised_from_score(x, sigma, mixture()(x, sigma))


def jacobians(x: Tensor, sigma: Tensor) -> Tensor:
    """Return dD/dx of each point, ``(N, 3, 3)``, by autograd through every output."""
    rows = torch.autograd.functional.jacobian(lambda at: denoised(at, sigma), x)
    return torch.stack([rows[k, :, k] for k in range(len(x))])


@pytest.mark.parametrize("sigma_data", [1.0, 2.5])
def test_pseudoinverse_guidance_is_equation_7(sigma_data: float) -> None:
    x, sigma = points(), torch.tensor(0.8, dtype=torch.float64)
    width = sigma**2 * sigma_data**2 / (sigma**2 + sigma_data**2)
    inner = width * A @ A.T + SIGMA_Y**2 * torch.eye(3)
    pull = torch.linalg.solve(inner, (Y - denoised(x, sigma) @ A.T).T).T @ A
    expected = mixture()(x, sigma) + torch.einsum("nij,ni->nj", jacobians(x, sigma), pull)
    guided = PseudoinverseGuidance(mixture(), LinearMeasurement(A, Y, SIGMA_Y), sigma_data)
    torch.testing.assert_close(guided(x, sigma), expected)


def test_moment_matching_is_equation_13() -> None:
    x, sigma = points(), torch.tensor(0.8, dtype=torch.float64)
    J = jacobians(x, sigma)
    inner = SIGMA_Y**2 * torch.eye(3) + sigma**2 * A @ J @ A.T
    pull = torch.linalg.solve(inner, (Y - denoised(x, sigma) @ A.T)[:, :, None])[:, :, 0] @ A
    expected = mixture()(x, sigma) + torch.einsum("nij,ni->nj", J, pull)
    # A has rank 2
    guided = MomentMatchingGuidance(mixture(), LinearMeasurement(A, Y, SIGMA_Y), n_iterations=2)
    torch.testing.assert_close(guided(x, sigma), expected)
    more = MomentMatchingGuidance(mixture(), LinearMeasurement(A, Y, SIGMA_Y), n_iterations=9)
    torch.testing.assert_close(more(x, sigma), expected)


def test_moment_matching_is_exact_for_a_gaussian() -> None:
    """Of a Gaussian the guided score is that of p(x | y), noised: its samples are the posterior."""
    gaussian = GaussianMixtureScore([1.0], MEANS[:1], COVARIANCES[:1])
    gain = COVARIANCES[0] @ A.T @ torch.linalg.inv(A @ COVARIANCES[0] @ A.T + SIGMA_Y**2 * torch.eye(3))
    truth = GaussianMixtureScore(
        [1.0], (MEANS[0] + gain @ (Y - A @ MEANS[0]))[None], (COVARIANCES[0] - gain @ A @ COVARIANCES[0])[None]
    )
    guided = MomentMatchingGuidance(gaussian, LinearMeasurement(A, Y, SIGMA_Y))
    for sigma in (0.05, 0.7, 8.0):
        level = torch.tensor(sigma, dtype=torch.float64)
        torch.testing.assert_close(guided(points(), level), truth(points(), level), rtol=1e-6, atol=1e-6)


def test_a_step_of_dps_goes_down_the_distance_of_each_sample_by_itself() -> None:
    measurement, x = LinearMeasurement(A, Y, SIGMA_Y), points(40)
    sigmas = torch.tensor([0.8, 0.5], dtype=torch.float64)

    def stepped(sampler: Any, x: Tensor) -> Tensor:
        return sample(mixture(), sigmas, len(x), 3, sampler, x, False, generator())

    off = denoised(x, sigmas[0]) @ A.T - Y
    slopes = torch.einsum("nij,ni->nj", jacobians(x, sigmas[0]), off @ A / off.norm(dim=1, keepdim=True))
    guided = stepped(DPS(measurement=measurement, zeta=0.6), x)
    torch.testing.assert_close(guided, stepped(Ancestral(), x) - 0.6 * slopes)
    torch.testing.assert_close(stepped(DPS(measurement=measurement, zeta=0.6), x[:5]), guided[:5])
    mask = LinearMeasurement(torch.tensor([True, False, True]), torch.tensor([0.5, math.nan, 0.1]))
    assert bool(stepped(DPS(measurement=mask), x).isfinite().all())


def test_images_are_guided_as_their_matrices_say() -> None:
    operator = Downsampling(2, (1, 4, 4))
    dense = operator.apply(torch.eye(16, dtype=torch.float64).reshape(16, 1, 4, 4)).flatten(1).T
    y = torch.randn(1, 2, 2, generator=generator(), dtype=torch.float64)
    spread = torch.linspace(0.5, 1.5, 16, dtype=torch.float64).reshape(1, 4, 4)

    def score(x: Tensor, sigma: Tensor) -> Tensor:
        return -x / (spread + sigma**2)

    x, sigma = torch.randn(3, 1, 4, 4, generator=generator(), dtype=torch.float64), torch.tensor(0.7).double()
    flat = LinearMeasurement(dense, y.flatten(), 0.2, shape=(1, 4, 4))
    for kind in (PseudoinverseGuidance, MomentMatchingGuidance):
        by_images = kind(score, LinearMeasurement(operator, y, 0.2))(x, sigma)
        torch.testing.assert_close(by_images, kind(score, flat)(x, sigma))


def test_twisted_samples_are_the_posterior_within_the_error_of_particles() -> None:
    """A quadratic measurement x_0^2 + x_1^2 = 1 with noise .5, whose posterior weights of the exact draws give."""

    def log_likelihood(x: Tensor) -> Tensor:
        return -(x[:, :2].square().sum(1) - 1).square() / (2 * 0.5**2)

    exact = mixture().sample(200_000, generator())
    weights = log_likelihood(exact).softmax(0)
    mean = weights @ exact
    deviation = (weights @ (exact - mean).square()).sqrt()
    radius = weights @ exact[:, :2].norm(dim=1)
    errors = []
    for n_particles in (4, 32):
        drawn = sample_twisted(
            mixture(), log_likelihood, levels(60), 800, (3,), n_particles=n_particles, generator=generator(1)
        )
        off = ((drawn.mean(0) - mean) / deviation).abs().max()
        errors.append(float(off))
        assert float((drawn[:, :2].norm(dim=1).mean() - radius).abs()) < 0.1
    assert errors[1] < 3 / math.sqrt(800)
    assert float((drawn.std(0) / deviation - 1).abs().max()) < 0.06


def test_what_does_not_fit_is_an_error() -> None:
    several = LinearMeasurement(A, Y.expand(4, -1), SIGMA_Y)
    for kind in (PseudoinverseGuidance, MomentMatchingGuidance):
        with pytest.raises(DataError, match="y holds measurements of 4 samples, not of 1"):
            kind(mixture(), several)
    with pytest.raises(DataError, match="y holds measurements of 4 samples, not of 1"):
        sample(mixture(), levels(3), 4, 3, DPS(measurement=several))
    with pytest.raises(SettingError, match="n_places must be even, as places come in opposite pairs, not 3"):
        sample_twisted(mixture(), lambda x: x.sum(1), levels(3), 2, (3,), n_places=3)
    measurement = LinearMeasurement(A, Y, SIGMA_Y)
    with pytest.raises(SettingError, match="sigma_data must be a positive finite number"):
        PseudoinverseGuidance(mixture(), measurement, 0.0)
    with pytest.raises(SettingError, match="n_iterations must be a whole number"):
        MomentMatchingGuidance(mixture(), measurement, 0)
    with pytest.raises(SettingError, match="zeta must be a finite number of at least 0"):
        DPS(measurement=measurement, zeta=-1.0)

    def constant(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.zeros_like(x.detach())

    with pytest.raises(SettingError, match="the score model cannot be differentiated by x"):
        MomentMatchingGuidance(constant, measurement)(points(), torch.tensor(1.0))
    with pytest.raises(SettingError, match="n_particles must be a whole number of at least 2"):
        sample_twisted(mixture(), lambda x: x.sum(1), levels(3), 2, (3,), n_particles=1)
    with pytest.raises(SettingError, match=r"must be one number for each point, \(64,\), not \(64, 3\)"):
        sample_twisted(mixture(), lambda x: x, levels(3), 2, (3,), n_particles=2)
    with pytest.raises(SettingError, match="the log-likelihood cannot be differentiated by x"):
        sample_twisted(mixture(), lambda x: x.detach().sum(1), levels(3), 2, (3,), n_particles=2)
