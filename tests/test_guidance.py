"""Guidance against closed forms: exact class scores, and conditional distributions of Gaussian mixtures."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from ncsn.errors import DataError, DivergenceError
from ncsn.exact import GaussianMixtureScore
from ncsn.guidance import ClassGuidance, impute
from ncsn.samplers import State, sample
from ncsn.noise import create_noise_schedule

NAN = float("nan")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def levels(count: int, sigma_max: float = 10.0) -> Tensor:
    return create_noise_schedule(0.01, sigma_max, count, "karras", dtype=torch.float64)


def covariance(deviations: list[float], correlations: tuple[float, float, float]) -> Tensor:
    """Return a covariance of three columns from the correlations of columns 0 and 1, 0 and 2, 1 and 2."""
    scale = torch.tensor(deviations, dtype=torch.float64)
    a, b, c = correlations
    return scale[:, None] * torch.tensor([[1, a, b], [a, 1, c], [b, c, 1]], dtype=torch.float64) * scale


WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
MEANS = torch.tensor([[-1.5, -1.0, 0.5], [0.5, 1.5, -1.0], [1.5, -1.5, -0.5]], dtype=torch.float64)
COVARIANCES = torch.stack(
    [
        covariance([1.0, 0.6, 0.8], (0.9, -0.5, -0.5)),
        covariance([0.7, 1.0, 0.5], (-0.8, -0.6, 0.7)),
        covariance([0.8, 0.5, 1.0], (0.3, 0.9, 0.3)),
    ]
)


def mixture(labels: list[int] | None = None) -> GaussianMixtureScore:
    return GaussianMixtureScore(WEIGHTS, MEANS, COVARIANCES, labels=labels)


class Conditional:
    """The closed form of the missing columns given the known ones: a mixture again."""

    def __init__(self, row: Tensor, weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        known, missing = ~row.isnan(), row.isnan()
        within = covariances[:, known][:, :, known]
        gain = torch.linalg.solve(within, covariances[:, known][:, :, missing]).mT
        self.means = means[:, missing] + (gain @ (row[known] - means[:, known])[:, :, None])[:, :, 0]
        self.covariances = covariances[:, missing][:, :, missing] - gain @ covariances[:, known][:, :, missing]
        density = MultivariateNormal(means[:, known], within).log_prob(row[known])
        self.weights = (weights.log() + density).softmax(0)
        self.mean = self.weights @ self.means
        second = self.covariances.diagonal(dim1=1, dim2=2) + self.means.square()
        self.deviation = (self.weights @ second - self.mean.square()).sqrt()

    def errors(self, draws: Tensor) -> tuple[float, float, float]:
        """Return the worst errors of the mean (in sd), the sd (relative) and the weights of the modes."""
        joint = self.weights.log() + MultivariateNormal(self.means, self.covariances).log_prob(draws[:, None])
        mean = (draws.mean(0) - self.mean).abs() / self.deviation
        deviation = (draws.std(0) / self.deviation - 1).abs()
        weights = (joint.softmax(1).mean(0) - self.weights).abs()
        return float(mean.max()), float(deviation.max()), float(weights.max())


# Class guidance


def test_guidance_of_weight_one_and_zero_is_exact() -> None:
    model = mixture(labels=[0, 1, 1])
    x = torch.randn(50, 3, generator=generator())
    label = torch.tensor([0, 1]).repeat(25)
    for sigma in (torch.tensor(0.3), torch.linspace(0.1, 5, 50)):
        assert torch.equal(ClassGuidance(model, 1.0)(x, sigma, label=label), model(x, sigma, label=label))
        assert torch.equal(ClassGuidance(model, 0.0)(x, sigma, label=label), model(x, sigma))


def test_guidance_is_the_papers_formula() -> None:
    model = mixture(labels=[0, 1, 1])
    x, sigma = torch.randn(50, 3, generator=generator(), dtype=torch.float64), torch.tensor(0.7)
    w = 1.5
    expected = (1 + w) * model(x, sigma, label=1) - w * model(x, sigma)
    assert torch.allclose(ClassGuidance(model, 1 + w)(x, sigma, label=1), expected, rtol=1e-12)


def test_guidance_leaves_rows_without_label_alone() -> None:
    model = mixture(labels=[0, 1, 1])
    x, sigma = torch.randn(4, 3, generator=generator()), torch.tensor(0.7)
    label = torch.tensor([-1, 0, -1, 1])
    guided, plain = ClassGuidance(model, 4.0)(x, sigma, label=label), model(x, sigma)
    assert torch.equal(guided[label < 0], plain[label < 0])
    assert not torch.isclose(guided[label >= 0], plain[label >= 0]).any()


def test_guided_samples_keep_away_from_the_other_class() -> None:
    model = GaussianMixtureScore([0.5, 0.5], [[-1.0], [1.0]], 1.0, labels=[0, 1])
    label = torch.ones(2000, dtype=torch.long)
    drawn = {
        weight: sample(
            ClassGuidance(model, weight), levels(20, 80.0), 2000, 1, generator=generator(), condition={"label": label}
        )
        for weight in (1.0, 3.0)
    }
    assert abs(float(drawn[1.0].mean()) - 1) < 0.08 > abs(float(drawn[1.0].std()) - 1)
    assert float((drawn[3.0] < 0).double().mean()) < 0.2 * float((drawn[1.0] < 0).double().mean())


def test_guidance_refuses_a_weight_that_is_no_number() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        ClassGuidance(mixture(), NAN)


# Imputation


@pytest.mark.parametrize(
    "row",
    [
        pytest.param([0.0, NAN, NAN], id="between three modes"),
        pytest.param([NAN, 0.3, NAN], id="between two modes"),
        pytest.param([-3.5, NAN, -1.5], id="4.5 sd from the nearest mode"),
    ],
)
def test_imputation_is_the_conditional_distribution(row: list[float]) -> None:
    check_conditional(row, n_rows=1500, n_levels=100, n_particles=8, n_sweeps=5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "row",
    [
        [0.0, NAN, NAN],
        [NAN, 0.3, NAN],
        [-3.5, NAN, -1.5],
        [NAN, NAN, 2.2],
        [1.0, -0.4, NAN],
        [NAN, 3.8, NAN],
        [-4.5, NAN, NAN],
    ],
)
def test_imputation_is_the_conditional_distribution_everywhere(row: list[float]) -> None:
    check_conditional(row, n_rows=4000, n_levels=200, n_particles=8, n_sweeps=8)


def check_conditional(row: list[float], n_rows: int, n_levels: int, n_particles: int, n_sweeps: int) -> None:
    given = torch.tensor(row, dtype=torch.float64)
    rows = given.expand(n_rows, -1)
    filled = impute(
        mixture(),
        rows,
        ~rows.isnan(),
        levels(n_levels),
        n_particles=n_particles,
        n_sweeps=n_sweeps,
        generator=generator(),
    )
    assert torch.equal(filled[~rows.isnan()], rows[~rows.isnan()])
    mean, deviation, weights = Conditional(given, WEIGHTS, MEANS, COVARIANCES).errors(filled[:, given.isnan()])
    assert mean < 0.05
    assert deviation < 0.05
    assert weights < 0.03


def test_rows_without_known_values_are_plain_samples() -> None:
    rows = torch.full((1500, 3), NAN, dtype=torch.float64)
    filled = impute(mixture(), rows, ~rows.isnan(), levels(60), n_particles=2, n_sweeps=1, generator=generator())
    deviation = mixture().covariance.diagonal().sqrt()
    assert float(((filled.mean(0) - mixture().mean) / deviation).abs().max()) < 0.06
    assert float((filled.std(0) / deviation - 1).abs().max()) < 0.05


def test_images_of_which_half_is_missing() -> None:
    side = torch.arange(8.0, dtype=torch.float64)
    pixels = torch.cartesian_prod(side, side)
    smooth = 0.5 * torch.exp(-torch.cdist(pixels, pixels).square() / 8) + 0.02 * torch.eye(64, dtype=torch.float64)
    truth = MultivariateNormal(torch.zeros(64, dtype=torch.float64), smooth)
    flat_score = GaussianMixtureScore([1.0], truth.loc[None], smooth[None])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        image = truth.sample().reshape(1, 8, 8)

    def score(x: Tensor, sigma: Tensor) -> Tensor:
        return flat_score(x.flatten(1), sigma).reshape(x.shape)

    upper = torch.zeros(1, 8, 8, dtype=torch.bool)
    upper[:, :4] = True
    evaluations: list[int] = []
    filled = impute(
        score,
        image.expand(60, 1, 8, 8),
        upper,
        levels(50),
        n_sweeps=4,
        generator=generator(),
        callback=lambda state: evaluations.append(state.evaluations),
    )
    assert filled.shape == (60, 1, 8, 8)
    assert torch.equal(filled[:, upper], image[upper].expand(60, -1))
    assert evaluations[-1] == 4 * 50 + 1
    row = torch.where(upper, image, NAN).reshape(64)
    expected = Conditional(row, torch.ones(1, dtype=torch.float64), truth.loc[None], smooth[None])
    off = filled[:, ~upper] - expected.mean
    distance = (torch.linalg.solve(expected.covariances[0], off.T).T * off).sum(1)
    assert float((off.mean(0) / expected.deviation).square().mean().sqrt()) < 0.3
    assert float(distance.mean()) == pytest.approx(32, rel=0.1)


def test_complete_rows_return_as_they_are() -> None:
    def no_score(x: Tensor, sigma: Tensor) -> Tensor:
        raise AssertionError("nothing is missing, so nothing is to be asked")

    rows = torch.randn(5, 3, generator=generator())
    filled = impute(no_score, rows, torch.ones(3, dtype=torch.bool), levels(5))
    assert torch.equal(filled, rows)
    assert filled.data_ptr() != rows.data_ptr()


def test_each_row_has_its_own_mask_and_condition() -> None:
    means = [[-5.0, 0.0], [5.0, 0.0]]
    model = GaussianMixtureScore([0.5, 0.5], means, 0.01, labels=[0, 1])
    rows = torch.tensor([[NAN, 0.1], [5.0, NAN], [-5.0, 0.2], [NAN, NAN], [NAN, 0.0]], dtype=torch.float64)
    label = torch.tensor([1, 1, 0, 0, -1])
    filled = impute(
        model, rows, ~rows.isnan(), levels(30), n_sweeps=2, generator=generator(), condition={"label": label}
    )
    assert torch.equal(filled[~rows.isnan()], rows[~rows.isnan()])
    assert torch.equal(filled[2], rows[2])
    assert torch.allclose(filled[:4, 0], torch.tensor([5.0, 5.0, -5.0, -5.0], dtype=torch.float64), atol=0.6)
    assert torch.allclose(filled[:, 1], torch.zeros(5, dtype=torch.float64), atol=0.6)
    guided = impute(ClassGuidance(model, 2.0), rows, ~rows.isnan(), levels(10), n_sweeps=1, condition={"label": label})
    assert bool(guided.isfinite().all())


def test_draws_depend_on_the_seed_and_not_on_chunks() -> None:
    rows = torch.tensor([0.3, NAN, NAN]).repeat(500, 1)
    options: dict[str, Any] = {"n_particles": 8, "n_sweeps": 2}
    state = torch.random.get_rng_state()
    drawn = [
        impute(mixture(), rows, ~rows.isnan(), levels(6), generator=generator(seed), chunk_size=chunk, **options)
        for seed, chunk in ((0, None), (0, 1), (1, None))
    ]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert drawn[0].dtype == torch.float32
    assert torch.allclose(drawn[0], drawn[1], atol=1e-4)
    assert not torch.isclose(drawn[0], drawn[2])[:, 1:].any()


def test_states_are_those_of_the_driver() -> None:
    states: list[State] = []
    rows = torch.tensor([[0.0, NAN, NAN], [NAN, NAN, 1.0]])
    impute(mixture(), rows, ~rows.isnan(), levels(4), n_particles=5, n_sweeps=2, callback=states.append)
    assert [state.step for state in states] == list(range(8))
    assert [round(state.sigma, 2) for state in states[1:4]] == [round(state.sigma, 2) for state in states[4:7]]
    assert [tuple(state.x.shape) for state in states[4:]] == [(2, 5, 3), (2, 5, 3), (2, 1, 3), (2, 1, 3)]
    assert all(bool((state.x[0, :, 0] == 0).all()) for state in (states[3], states[6]))
    assert [state.evaluations for state in states] == [0, 2, 3, 4, 6, 7, 8, 9]


def test_the_model_is_put_into_evaluation_mode() -> None:
    class Unsure(nn.Module):
        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            assert not self.training
            return -x / (1 + sigma**2)

    rows = torch.tensor([[0.0, NAN]])
    impute(Unsure().train(), rows, ~rows.isnan(), levels(3), n_sweeps=1)


@pytest.mark.parametrize("column", [0, 1], ids=["known", "missing"])
def test_divergence_is_an_error(column: int) -> None:
    def broken(x: Tensor, sigma: Tensor) -> Tensor:
        score = -x / (1 + sigma**2)
        score[:, column] = NAN
        return score

    rows = torch.tensor([[0.0, NAN]]).repeat(10, 1)
    with pytest.raises(DivergenceError, match="10 of 10 samples are not finite"):
        impute(broken, rows, ~rows.isnan(), levels(3))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"known": torch.zeros(2, 3, dtype=torch.long)}, DataError, "must be floating-point rows"),
        ({"known": torch.zeros(3)}, DataError, "must be floating-point rows"),
        ({"known": torch.tensor([[1.0, NAN, 2.0]])}, DataError, "1 of the values that the mask calls known are not"),
        ({"mask": torch.ones(2, 3)}, DataError, "mask must be booleans"),
        ({"mask": torch.ones(4, dtype=torch.bool)}, DataError, "mask must be booleans of shape (2, 3) or (3,)"),
        (
            {"mask": torch.zeros(3, dtype=torch.bool), "n_particles": 0},
            ValueError,
            "n_particles must be a whole number",
        ),
        ({"mask": torch.zeros(3, dtype=torch.bool), "n_particles": 1}, ValueError, "needs two particles"),
        ({"mask": torch.zeros(3, dtype=torch.bool), "n_sweeps": 0}, ValueError, "n_sweeps must be a whole number"),
        ({"mask": torch.zeros(3, dtype=torch.bool), "sigmas": torch.ones(1)}, ValueError, "two levels"),
        (
            {"mask": torch.zeros(3, dtype=torch.bool), "condition": {"label": torch.zeros(4)}},
            ValueError,
            "one entry a row, 2",
        ),
    ],
)
def test_what_does_not_fit_is_an_error(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {
        "known": torch.zeros(2, 3),
        "mask": torch.ones(3, dtype=torch.bool),
        "sigmas": levels(3),
    }
    with pytest.raises(error, match=re.escape(message)):
        impute(mixture(), **arguments | change)
