"""Imputation against closed forms: conditional distributions of Gaussian mixtures."""

import json
import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from ncsn.errors import DataError, DivergenceError, SettingError
from ncsn.exact import GaussianMixtureScore
from ncsn.guidance import ClassGuidance, Imputation, impute
from ncsn.parts import from_plain, to_plain
from ncsn.samplers import State, sample

from .common import COVARIANCES, MEANS, WEIGHTS, generator, levels, mixture

NAN = math.nan


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
        generator=generator(2),
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
    for training in (True, False):
        model = Unsure().train(training)
        impute(model, rows, ~rows.isnan(), levels(3), n_sweeps=1)
        assert model.training == training


def test_a_network_in_single_precision_fills_rows_in_double() -> None:
    class Single(nn.Module):
        """The score of a Gaussian with correlation 0.9, by a matrix of single precision."""

        def __init__(self) -> None:
            super().__init__()
            self.turn = nn.Parameter(torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / math.sqrt(2))

        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            return -(x @ self.turn / (torch.tensor([1.9, 0.1]) + sigma**2)) @ self.turn.T

    rows = torch.tensor([[2.0, NAN]], dtype=torch.float64).repeat(2000, 1)
    filled = impute(Single(), rows, ~rows.isnan(), levels(50), n_sweeps=2, generator=generator())
    assert filled.dtype == torch.float64
    assert torch.equal(filled[:, 0], rows[:, 0])
    spread = math.sqrt(1 - 0.9**2)
    assert float(filled[:, 1].mean()) == pytest.approx(1.8, abs=4 * spread / math.sqrt(2000) + 0.01)
    assert float(filled[:, 1].std()) == pytest.approx(spread, rel=4 / math.sqrt(4000) + 0.02)


def test_imputation_is_a_sampler_as_the_others() -> None:
    rows = torch.tensor([[0.3, NAN, NAN], [NAN, 1.0, NAN]], dtype=torch.float64)
    through = impute(
        mixture(), rows, ~rows.isnan(), levels(6), n_particles=4, n_sweeps=3, generator=generator(), denoise_last=False
    )
    particles = rows[:, None].expand(-1, 4, -1)

    def each(x: Tensor, sigma: Tensor) -> Tensor:
        return mixture()(x.flatten(0, 1), sigma).unflatten(0, x.shape[:2])

    drawn = sample(each, levels(6), 2, (4, 3), Imputation(3), particles, False, generator())
    torch.testing.assert_close(drawn[:, 0][rows.isnan()], through[rows.isnan()])
    assert repr(Imputation()) == "Imputation()"
    assert repr(Imputation(3)) == "Imputation(n_sweeps=3)"
    assert from_plain(json.loads(json.dumps(to_plain(Imputation(3))))) == Imputation(3)
    for count in (0, -1, 1.5):
        with pytest.raises(SettingError, match=f"n_sweeps must be a whole number of at least 1, not {count}"):
            Imputation(count)  # type: ignore[arg-type]


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
        ({"mask": torch.zeros(3, dtype=torch.bool), "n_particles": 1}, SettingError, "needs two particles"),
        ({"mask": torch.zeros(3, dtype=torch.bool), "n_sweeps": 0}, SettingError, "n_sweeps must be a whole number"),
        ({"mask": torch.zeros(3, dtype=torch.bool), "sigmas": torch.ones(1)}, SettingError, "two levels"),
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
