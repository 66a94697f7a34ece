"""The conversions against Bayes' rule: closed forms of Gaussians, and quadrature for a mixture."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor, nn

from ncsn.errors import SettingError
from ncsn.exact import GaussianMixtureScore
from ncsn.score import (
    condition_rows,
    denoised_from_score,
    evaluate,
    evaluation_mode,
    expand_sigma,
    noise_from_score,
    score_from_denoised,
    score_from_noise,
    weight_dtype,
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
    with pytest.raises(SettingError, match=r"sigma must be a scalar or one per row, \(3,\), not of shape"):
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
    with pytest.raises(SettingError, match=r"condition 'label' must have one entry a row, 4, not 3"):
        condition_rows({"label": torch.zeros(3)}, 4, slice(0, 2))


# Calls in the type of the weights


class Recording(nn.Linear):
    """A score model that notes the types that it is asked in."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__(2, 2, dtype=dtype)
        self.seen: list[tuple[torch.dtype, torch.dtype]] = []

    def forward(self, x: Tensor, sigma: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        assert sigma is not None
        self.seen.append((x.dtype, sigma.dtype))
        return super().forward(x) + (0 if label is None else label[:, None])


@pytest.mark.parametrize("weights", [torch.float32, torch.float64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_model_is_asked_in_the_type_of_its_weights(weights: torch.dtype, dtype: torch.dtype) -> None:
    model, x = Recording(weights), points().to(dtype)
    score = evaluate(model, x, torch.tensor(2.0))
    assert model.seen == [(weights, weights)]
    assert score.dtype == dtype
    # the same model says that it casts by itself
    model.any_dtype = True  # type: ignore[assignment]
    model.to(dtype)
    evaluate(model, x, x.new_tensor(2.0))
    assert model.seen[-1] == (dtype, dtype)


def test_a_model_is_told_its_condition() -> None:
    model, x = Recording(torch.float64), points(3)
    labels = torch.tensor([0, 1, 2])
    plain, told = evaluate(model, x, torch.tensor(1.0)), evaluate(model, x, torch.tensor(1.0), {"label": labels})
    torch.testing.assert_close(told - plain, labels[:, None].double().expand(3, 2))


def test_what_has_no_weights_is_asked_in_the_type_of_the_points() -> None:
    assert weight_dtype(GaussianMixtureScore([1.0], MEAN[None], 1.0), torch.float16) == torch.float16
    assert weight_dtype(lambda x, sigma: x, torch.float64) == torch.float64
    assert weight_dtype(nn.Linear(2, 2, dtype=torch.bfloat16), torch.float32) == torch.bfloat16
    assert (
        weight_dtype(nn.ParameterList([nn.Parameter(torch.tensor(1), requires_grad=False)]), torch.float32)
        == torch.float32
    )


def test_each_part_is_put_back_into_its_mode() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5)), nn.Linear(2, 2)).train()
    model[1].eval()
    modes = [module.training for module in model.modules()]
    with pytest.raises(KeyboardInterrupt), evaluation_mode(model):
        assert not any(module.training for module in model.modules())
        raise KeyboardInterrupt
    assert [module.training for module in model.modules()] == modes
    with evaluation_mode(lambda x, sigma: x):
        pass
