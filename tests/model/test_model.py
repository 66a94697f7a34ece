"""Densities and scores of a fitted model, in the data's own units, against closed forms of Gaussians and exact scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from small_models import Array, clusters, gaussian, log_normal, trained, white

from ncsn import NCSN
from ncsn.errors import DataError, DivergenceError, SettingError
from ncsn.exact import EmpiricalScore


@pytest.mark.parametrize("dim", [1, 2, 40], ids=["one column", "exact trace", "random probes"])
def test_log_density_of_a_gaussian(dim: int) -> None:
    z = white(100, dim)
    scale, shift = np.geomspace(1e-8, 1e8, dim), np.linspace(-1e9, 1e-9, dim)
    # a shift far beyond the scale would take the digits of the data themselves
    shift = np.clip(shift, -10 * scale, 10 * scale)
    model = gaussian(z * scale + shift)
    expected = log_normal(z) - np.log(scale).sum()
    np.testing.assert_allclose(model.score_samples(z * scale + shift), expected, atol=2e-4 * dim + 2e-3)
    assert model.score(z * scale + shift) == pytest.approx(expected.mean(), abs=1e-3 + 1e-4 * dim)


@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 3)], ids=["grey", "channels"])
def test_log_density_of_images(shape: tuple[int, ...]) -> None:
    z = white(100, int(np.prod(shape))).reshape(100, *shape)
    expected = log_normal(z) - z[0].size * np.log(30.0)
    np.testing.assert_allclose(gaussian(128 + 30 * z).score_samples(128 + 30 * z), expected, atol=0.01)


def test_constant_columns_are_reproduced_and_no_row_differs_there() -> None:
    z = white(50, 2)
    x = np.column_stack([z[:, 0] * 5, np.full(50, 0.1), z[:, 1], np.zeros(50)])
    model = gaussian(x)
    samples = model.sample(20)
    np.testing.assert_array_equal(samples[:, [1, 3]], np.tile([0.1, 0.0], (20, 1)))
    assert (samples[:, [0, 2]].std(0) > 0).all()
    expected = log_normal(z) - np.log(5)
    np.testing.assert_allclose(model.score_samples(x), expected, atol=2e-3)
    np.testing.assert_allclose(model.score_samples(x.astype(np.float32)), expected, atol=2e-3)
    other = x[:3].copy()
    other[0, 1], other[1, 3] = 0.1001, 1e-30
    assert np.isneginf(model.score_samples(other)).tolist() == [True, True, False]
    assert np.isneginf(model.score(other))
    np.testing.assert_array_equal(model.score_function(x, 0.5)[:, [1, 3]], 0)


def test_more_columns_than_rows() -> None:
    x = np.random.default_rng(0).normal(7.0, 2.0, size=(5, 30))
    model = gaussian(x)
    z = (x - x.mean(0)) / x.std(0)
    # the flow stretches a row to unit variance plus 20^2, where it meets the Gaussian of the data, which has rank 4
    stretch = (1 + 20.0**2) / (1 + 0.01**2)
    last = multivariate_normal(np.zeros(30), np.cov(z.T) + 20.0**2 * np.eye(30))
    expected = last.logpdf(z * np.sqrt(stretch)) + 15 * np.log(stretch) - np.log(x.std(0)).sum()
    np.testing.assert_allclose(model.score_samples(x), expected, atol=0.02)
    assert np.isfinite(model.sample(10)).all()


@pytest.mark.parametrize("images", [False, True], ids=["rows", "images"])
def test_score_function_is_the_slope_of_the_log_density(images: bool) -> None:
    z = white(30, 4)
    x = z.reshape(-1, 2, 2) * 50 + 9 if images else np.column_stack([z * [1e-3, 1, 50, 1e4] + 9, np.full(30, 7.0)])
    model = gaussian(x)
    at = x[:3]
    scores = model.score_function(at, 0.01)
    assert scores.shape == at.shape
    for position in np.ndindex(2, 2) if images else np.ndindex(4):
        scale = float(x[(slice(None), *position)].std())
        step = np.zeros(at.shape[1:])
        step[position] = 0.05 * scale
        slope: Array = (model.score_samples(at + step) - model.score_samples(at - step)) / (0.1 * scale)
        np.testing.assert_allclose(scores[(slice(None), *position)] * scale, slope * scale, atol=0.02)


def test_score_function_of_a_gaussian_at_any_level() -> None:
    z = white(30, 2)
    x = z * [100.0, 0.01] - 5
    for sigma in (0.01, 1.0, 30.0):
        expected = -z / (1 + sigma**2) / [100.0, 0.01]
        np.testing.assert_allclose(gaussian(x).score_function(x, sigma), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("label", [None, "left", "right"])
def test_trained_score_function_is_near_the_exact_one(conditional: NCSN, label: str | None) -> None:
    x, side = clusters()
    mean, scale = x.mean(0), x.std(0)
    z = torch.tensor((x - mean) / scale)
    z = z if label is None else z[torch.tensor(side == label)]
    for sigma in (0.5, 1.0):
        noisy = z + sigma * torch.randn(z.shape, generator=torch.Generator().manual_seed(0), dtype=z.dtype)
        truth = EmpiricalScore(z)(noisy, torch.tensor(sigma)).numpy()
        error = conditional.score_function(noisy.numpy() * scale + mean, sigma, label=label) * scale - truth
        assert (error**2).mean() < 0.03 * (truth**2).mean()


def test_densities_know_the_labels(conditional: NCSN) -> None:
    x, side = clusters()
    x, side = x[:40], side[:40]
    own = conditional.score_samples(x, label=side)
    other = conditional.score_samples(x, label=np.where(side == "left", "right", "left"))
    both = conditional.score_samples(x)
    assert np.median(own - other) > 3
    # half of the rows are of each class
    assert np.median(own - both) == pytest.approx(np.log(2), abs=0.25)


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf")])
def test_levels_that_are_not_positive_are_refused(sigma: float) -> None:
    with pytest.raises(SettingError, match="sigma must be positive and finite, not"):
        trained(0).score_function(white(3, 2), sigma)


def test_far_out_is_finite_or_said() -> None:
    """The score of the standard normal is -x / (1 + sigma^2), wherever single precision reaches."""
    model = gaussian(white(200, 2))
    far = np.array([[0.5, -0.25], [1e30, -1e30]])
    np.testing.assert_allclose(model.score_function(far, 0.5), -far / 1.25, rtol=1e-5)
    beyond = np.array([[0.0, 0.0], [1e39, 0.0]])
    with pytest.raises(DataError, match="row 2 lies further out than float32, the network's type, reaches"):
        model.score_samples(beyond)
    with pytest.raises(DataError, match="row 2 lies further out than float32, the network's type, reaches"):
        model.score_function(beyond, 0.5)
    with pytest.raises(DataError, match="row 1 lies further out than float32"):
        model.impute(np.array([[1e39, np.nan]]))
    with pytest.raises(DivergenceError, match="the score of row 2 is not finite: it lies too far out, or sigma is too"):
        model.score_function(np.array([[0.0, 0.0], [1e38, 0.0]]), 1e-6)
