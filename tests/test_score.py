"""The conversions against Bayes' rule: closed forms of Gaussians, and quadrature for a mixture."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor

from ncsn.exact import GaussianMixtureScore
from ncsn.score import (
    condition_rows,
    denoised_from_score,
    expand_sigma,
    noise_from_score,
    score_from_denoised,
    score_from_noise,
)

COVARIANCE = torch.tensor([[1.0, 0.8], [0.8, 2.0]], dtype=torch.float64)
MEAN = torch.tensor([1.0, -2.0], dtype=torch.float64)


def points(n: int = 50, *shape: int, seed: int = 0) -> Tensor:
    return 3 * torch.randn(n, *(shape or (2,)), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("sigma", [0.01, 1.0, 30.0])
def test_denoised_is_the_posterior_mean_of_a_gaussian(sigma: float) -> None:
    x, identity = points(), torch.eye(2, dtype=torch.float64)
    score = GaussianMixtureScore([1.0], MEAN[None], COVARIANCE[None])(x, sigma)
    gain = COVARIANCE @ torch.linalg.inv(COVARIANCE + sigma**2 * identity)
    expected = MEAN + (x - MEAN) @ gain.T
    torch.testing.assert_close(denoised_from_score(x, sigma, score), expected, rtol=1e-9, atol=1e-9)


def test_denoised_and_noise_are_posterior_means_of_a_mixture() -> None:
    weights, means, spreads, sigma = [0.3, 0.7], [-1.0, 2.0], [0.4, 0.9], 0.8
    model = GaussianMixtureScore(weights, np.array(means)[:, None], np.square(spreads))
    for x in (-3.0, 0.4, 2.5):

        def joint(clean: float, x: float = x) -> float:
            prior = sum(w * norm.pdf(clean, m, s) for w, m, s in zip(weights, means, spreads, strict=True))
            return float(prior * norm.pdf(x, clean, sigma))

        mass = quad(joint, -10, 10)[0]
        posterior_mean = quad(lambda clean: clean * joint(clean), -10, 10)[0] / mass
        at = torch.tensor([[x]], dtype=torch.float64)
        score = model(at, sigma)
        assert denoised_from_score(at, sigma, score).item() == pytest.approx(posterior_mean, rel=1e-7)
        # x = clean + sigma noise
        assert noise_from_score(sigma, score).item() == pytest.approx((x - posterior_mean) / sigma, rel=1e-6)


@pytest.mark.parametrize("shape", [(2,), (3, 4, 4)])
def test_conversions_are_inverse_with_one_level_a_row(shape: tuple[int, ...]) -> None:
    x, score = points(6, *shape), points(6, *shape, seed=1)
    sigma = torch.logspace(-3, 2, 6, dtype=torch.float64)
    torch.testing.assert_close(
        score_from_denoised(x, sigma, denoised_from_score(x, sigma, score)), score, rtol=1e-8, atol=1e-8
    )
    torch.testing.assert_close(score_from_noise(sigma, noise_from_score(sigma, score)), score)


def test_a_level_for_each_row_is_the_row_at_its_level() -> None:
    x, score = points(3), points(3, seed=1)
    # as many rows as columns would hide a level that went to the columns
    x, score, sigma = x[:2], score[:2], torch.tensor([0.1, 5.0])
    together = (
        denoised_from_score(x, sigma, score),
        score_from_denoised(x, sigma, score),
        noise_from_score(sigma, score),
    )
    for i, level in enumerate(sigma.double()):
        row, row_score = x[i : i + 1], score[i : i + 1]
        alone = (
            denoised_from_score(row, level, row_score),
            score_from_denoised(row, level, row_score),
            noise_from_score(level, row_score),
        )
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[i : i + 1], b, rtol=0, atol=0)


def test_expanded_levels_take_the_type_of_the_batch() -> None:
    for sigma in (2, 2.0, torch.tensor(2), torch.tensor(2.0), torch.tensor([2, 2, 2])):
        expanded = expand_sigma(sigma, torch.zeros(3, 4, 4, dtype=torch.float64))
        assert expanded.dtype == torch.float64
        assert torch.equal(expanded.expand(3, 4, 4), torch.full((3, 4, 4), 2.0, dtype=torch.float64))


@pytest.mark.parametrize("sigma", [torch.ones(2), torch.ones(1), torch.ones(3, 1), torch.ones(0)])
def test_levels_that_do_not_fit_the_rows(sigma: Tensor) -> None:
    with pytest.raises(ValueError, match=r"sigma must be a scalar or one per row, \(3,\), not of shape"):
        expand_sigma(sigma, torch.zeros(3, 2))


def test_conditions_are_cut_with_the_rows() -> None:
    labels, maps, scale = torch.arange(4), torch.arange(8).reshape(4, 2), torch.tensor(3.0)
    condition = {"label": labels, "map": maps, "scale": scale, "weight": 2.0}
    cut = condition_rows(condition, 4, slice(1, 3))
    assert cut["label"].tolist() == [1, 2]
    assert cut["map"].tolist() == [[2, 3], [4, 5]]
    assert cut["scale"] is scale
    assert cut["weight"] == 2.0
    assert condition_rows(condition, 4, torch.tensor([3, 0]))["label"].tolist() == [3, 0]
    assert condition["label"] is labels
    assert condition_rows(None, 4, slice(0, 2)) == {}


def test_a_condition_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"condition 'label' must have one entry a row, 4, not 3"):
        condition_rows({"label": torch.zeros(3)}, 4, slice(0, 2))
