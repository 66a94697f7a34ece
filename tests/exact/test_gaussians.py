"""The exact score of a Gaussian mixture against torch.distributions, finite differences and closed forms."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from ncsn.errors import DataError
from ncsn.exact import GaussianMixtureScore
from ncsn.score import denoised_from_score

from .common import close, generator, normal, parameters


def truth(weights: Tensor, means: Tensor, covariances: Tensor, sigma: float) -> MixtureSameFamily:
    noise = sigma**2 * torch.eye(means.shape[1], dtype=torch.float64)
    return MixtureSameFamily(Categorical(weights), MultivariateNormal(means, covariances + noise))


def autograd_score(distribution: MixtureSameFamily, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    density = distribution.log_prob(x)
    return density.detach(), torch.autograd.grad(density.sum(), x)[0]


@pytest.mark.parametrize("dim", [1, 2, 7])
@pytest.mark.parametrize("sigma", [0.0, 1e-3, 0.3, 5.0, 100.0])
def test_mixture_equals_torch_distributions(dim: int, sigma: float) -> None:
    weights, means, covariances = parameters(4, dim)
    model = GaussianMixtureScore(weights, means, covariances)
    x = torch.cat([5 * normal(50, dim), torch.full((1, dim), 50.0), torch.full((1, dim), -50.0)])
    density, score = autograd_score(truth(weights, means, covariances, sigma), x)
    assert model.log_density(x, sigma).dtype == torch.float64
    assert torch.allclose(model.log_density(x, sigma), density, rtol=1e-9, atol=1e-9)
    assert torch.allclose(model(x, sigma), score, rtol=1e-9, atol=1e-9 * float(score.abs().max()))
    assert torch.equal(model.denoise(x, sigma), denoised_from_score(x, sigma, model(x, sigma)))


def test_mixture_equals_finite_differences() -> None:
    model = GaussianMixtureScore(*parameters(3, 2))
    x, step = normal(20, 2), 1e-5
    shifts = step * torch.eye(2, dtype=torch.float64)
    differences = [model.log_density(x + s, 0.4) - model.log_density(x - s, 0.4) for s in shifts]
    assert torch.allclose(model(x, 0.4), torch.stack(differences, 1) / (2 * step), atol=1e-7)


def test_single_gaussian_closed_form() -> None:
    mean, variance, sigma = 1.5, 0.7, 0.4
    model = GaussianMixtureScore([2.0], [[mean]], variance)
    x = torch.tensor([[-3.0], [1.5], [50.0]])
    total = variance + sigma**2
    assert torch.allclose(model(x, sigma), (mean - x) / total)
    assert torch.allclose(model.denoise(x, sigma), (variance * x + sigma**2 * mean) / total, atol=1e-5)
    exponent = (x[:, 0] - mean) ** 2 / total + np.log(2 * np.pi * total)
    assert torch.allclose(model.log_density(x, sigma), -exponent / 2)


@pytest.mark.parametrize("kind", ["diagonal", "isotropic", "scalar"])
def test_short_covariances_equal_full_ones(kind: str) -> None:
    weights, means, _ = parameters(3, 2)
    short = {
        "diagonal": torch.tensor([[0.1, 2.0], [0.5, 0.5], [3.0, 0.0]]),
        "isotropic": torch.tensor([0.1, 0.5, 0.0]),
        "scalar": torch.tensor(0.3),
    }[kind].double()
    variances = short[:, None].expand(3, 2) if kind == "isotropic" else short.expand(3, 2)
    full = GaussianMixtureScore(weights, means, variances.diag_embed())
    model = GaussianMixtureScore(weights, means, short)
    x = 3 * normal(20, 2)
    assert close(model(x, 0.2), full(x, 0.2), 1e-12)
    assert close(model.log_density(x, 0.2), full.log_density(x, 0.2), 1e-12)
    assert torch.allclose(model.covariance, full.covariance)
    assert torch.allclose(model.sample(9, generator()).sort(0).values, model.sample(9, generator()).sort(0).values)


def test_zero_weight_component_does_not_count() -> None:
    weights, means, covariances = parameters(3, 2)
    weights = torch.tensor([1.0, 0.0, 2.0])
    model = GaussianMixtureScore(weights, means, covariances)
    rest = GaussianMixtureScore(weights[[0, 2]], means[[0, 2]], covariances[[0, 2]])
    x = torch.cat([means[1:2], normal(5, 2)]).requires_grad_()
    assert close(model(x, 0.1), rest(x, 0.1), 1e-12)
    assert torch.autograd.grad(model.log_density(x, 0.1).sum(), x)[0].isfinite().all()
    assert set(model.sample_with_components(500, generator())[1].tolist()) == {0, 2}


def test_float64_parameters_survive_as_lists() -> None:
    means = np.array([[0.1, 0.2], [1.0, 3.0]])
    lists = GaussianMixtureScore([0.1, 0.7], means, [[0.1, 0.3], [0.7, 0.9]])
    arrays = GaussianMixtureScore(np.array([0.1, 0.7]), means, np.array([[0.1, 0.3], [0.7, 0.9]]))
    assert torch.equal(lists(normal(5, 2), 0.3), arrays(normal(5, 2), 0.3))


MIXTURES = [
    (([-1.0, 2.0], [[0.0], [1.0]], 1.0), "weights must not be negative"),
    (([0.0, 0.0], [[0.0], [1.0]], 1.0), "not all zero"),
    (([1.0], [[0.0], [1.0]], 1.0), "weights must have the shape"),
    (([1.0, float("nan")], [[0.0], [1.0]], 1.0), "weights has a NaN or infinite value in row 1"),
    (([1.0], [0.0], 1.0), "means must have the shape"),
    (([1.0], [[]], 1.0), "means must have the shape"),
    (([1.0], [["a"]], 1.0), "means must be an array of numbers"),
    (([1.0], [[float("inf")]], 1.0), "means has a NaN or infinite value in row 0"),
    (([1.0], [[0.0]], -1.0), "negative variances"),
    (([1.0], [[0.0]], float("nan")), "covariances has a NaN or infinite value;"),
    (([1.0], [[0.0, 1.0]], [[1.0]]), "covariances must have the shape"),
    (([1.0], [[0.0, 1.0]], [[[1.0, 0.5], [0.0, 1.0]]]), "symmetric"),
    (([1.0], [[0.0, 1.0]], [[[1.0, 2.0], [2.0, 1.0]]]), "positive semi-definite"),
]


@pytest.mark.parametrize(("arguments", "message"), MIXTURES)
def test_bad_mixtures_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        GaussianMixtureScore(*arguments)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("condition", [1e4, 1e8, 1e10])
@pytest.mark.parametrize("size", [1.0, 1e4])
@pytest.mark.parametrize("kind", ["float32", "float64", "list"])
def test_narrow_covariances_of_any_type_are_exact(condition: float, size: float, kind: str) -> None:
    random, dim = torch.Generator().manual_seed(0), 4
    turn = torch.linalg.qr(torch.randn(dim, dim, generator=random, dtype=torch.float64))[0]
    # in single precision hardly any is positive beyond that
    condition = min(condition, 1e8) if kind == "float32" else condition
    covariance = (turn * (size * torch.logspace(0, -math.log10(condition), dim, dtype=torch.float64))) @ turn.T
    given = ((covariance + covariance.T) / 2).to(torch.float32 if kind == "float32" else torch.float64)
    sigma, means = 1e-3 * math.sqrt(size), torch.zeros(1, dim, dtype=given.dtype)
    total = given.double() + sigma**2 * torch.eye(dim, dtype=torch.float64)
    x = torch.randn(5, dim, generator=random, dtype=torch.float64) @ torch.linalg.cholesky(total).T
    model = (
        GaussianMixtureScore([1.0], means.tolist(), [given.tolist()])
        if kind == "list"
        else GaussianMixtureScore([1.0], means, given[None])
    )
    truth = torch.distributions.MultivariateNormal(torch.zeros(dim).double(), total)
    torch.testing.assert_close(model.log_density(x, sigma), truth.log_prob(x), rtol=0, atol=1e-6)
    torch.testing.assert_close(model(x, sigma), -torch.linalg.solve(total, x.T).T, rtol=1e-6, atol=0)
