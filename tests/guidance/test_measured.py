"""Samples given linear measurements against exact posteriors of mixtures."""

import math
import re
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from ncsn.errors import DataError, SettingError
from ncsn.exact import GaussianMixtureScore
from ncsn.guidance import Diagnosis, LinearMeasurement, impute, sample_posterior
from ncsn.samplers import State

from .common import COVARIANCES, MEANS, WEIGHTS, generator, levels, mixture

PAIR = torch.tensor([[0.8, 0.3, -0.2], [-0.4, 0.6, 0.5]], dtype=torch.float64)


class Posterior:
    """The closed form of the mixture given y = A x + noise: a mixture again."""

    def __init__(self, A: Tensor, y: Tensor, sigma: Tensor) -> None:
        seen = A @ COVARIANCES @ A.T + sigma.square().diag()
        gain = COVARIANCES @ A.T @ torch.linalg.pinv(seen, rcond=1e-10, hermitian=True)
        off = y - MEANS @ A.T
        self.means = MEANS + (gain @ off[:, :, None])[:, :, 0]
        self.covariances = COVARIANCES - gain @ A @ COVARIANCES
        # by the part of the measurement that is no repetition
        size, vectors = torch.linalg.eigh(seen[0])
        told = vectors[:, size > 1e-10 * size[-1]]
        density = MultivariateNormal(torch.zeros(told.shape[1]).double(), told.T @ seen @ told).log_prob(off @ told)
        self.weights = (WEIGHTS.log() + density).softmax(0)
        self.mean = self.weights @ self.means
        second = self.covariances.diagonal(dim1=1, dim2=2) + self.means.square()
        self.deviation = (self.weights @ second - self.mean.square()).sqrt()

    def check(self, draws: Tensor, tolerance: float = 0.1) -> None:
        """Compare mean (in sd), sd (relative) and weights of the modes."""
        wider = self.covariances + 1e-6 * torch.eye(3, dtype=torch.float64)
        joint = self.weights.log() + MultivariateNormal(self.means, wider).log_prob(draws[:, None])
        assert float(((draws.mean(0) - self.mean).abs() / self.deviation).max()) < tolerance
        assert float((draws.std(0) / self.deviation - 1).abs().max()) < tolerance
        assert float((joint.softmax(1).mean(0) - self.weights).abs().max()) < 0.03


CASES: dict[str, tuple[Tensor, list[float], Any]] = {
    "between modes": (PAIR[:1], [0.2], 0.3),
    "two of unlike noise": (PAIR, [0.2, -0.5], torch.tensor([0.5, 0.05])),
    "one of two without noise": (PAIR, [0.2, -0.5], torch.tensor([0.0, 0.4])),
    "repeated": (PAIR[[0, 0, 0]], [0.5, -0.1, 0.2], 0.5),
    "dependent": (torch.stack([PAIR[0], PAIR[1], PAIR[0] - PAIR[1]]), [0.2, -0.5, 0.9], 0.3),
    "far out": (PAIR[:1], [2.0], 0.1),
    "noise beyond the levels": (PAIR[:1], [12.0], 12.0),
}


@pytest.mark.parametrize(("A", "y", "sigma"), CASES.values(), ids=CASES)
def test_samples_are_the_posterior(A: Tensor, y: list[float], sigma: Any) -> None:
    told = torch.tensor(y, dtype=torch.float64)
    measurement = LinearMeasurement(A, told, sigma)
    drawn = sample_posterior(
        mixture(), measurement, levels(100), 1000, n_particles=8, n_sweeps=4, generator=generator(1)
    )
    each = torch.as_tensor(sigma).double().expand(len(A))
    Posterior(A, told, each).check(drawn)
    exact = each == 0
    if bool(exact.any()):
        torch.testing.assert_close(drawn @ A[exact].T, told[exact].expand(len(drawn), -1))


def test_of_little_noise_is_imputation_and_of_much_are_plain_samples() -> None:
    rows = torch.tensor([0.0, math.nan, math.nan], dtype=torch.float64)
    known = ~rows.isnan()
    how: dict[str, Any] = {"n_particles": 8, "n_sweeps": 3}
    filled = impute(mixture(), rows.expand(1500, -1), known, levels(40), generator=generator(2), **how)
    for sigma in (0.0, 1e-4):
        drawn = sample_posterior(
            mixture(), LinearMeasurement(known, rows, sigma), levels(40), 1500, generator=generator(2), **how
        )
        assert torch.equal(drawn[:, 0], filled[:, 0])
        apart = (drawn.mean(0) - filled.mean(0))[1:].abs() / filled.std(0)[1:]
        assert float(apart.max()) < 4 * math.sqrt(2 / 1500)
        assert float((drawn.std(0) / filled.std(0) - 1)[1:].abs().max()) < 0.08
    plain = sample_posterior(
        mixture(), LinearMeasurement(known, rows, 1e6), levels(40), 1500, generator=generator(2), **how
    )
    deviation = mixture().covariance.diagonal().sqrt()
    assert float(((plain.mean(0) - mixture().mean) / deviation).abs().max()) < 4 / math.sqrt(1500)
    assert float((plain.std(0) / deviation - 1).abs().max()) < 0.06


def test_a_sample_does_not_depend_on_the_batch() -> None:
    y = torch.linspace(-2, 2, 300, dtype=torch.float64)[:, None]
    how: dict[str, Any] = {"n_particles": 4, "n_sweeps": 2}

    def drawn(y: Tensor, **more: Any) -> Tensor:
        return sample_posterior(
            mixture(), LinearMeasurement(PAIR[:1], y, 0.4), levels(12), len(y), generator=generator(), **how, **more
        )

    all_of_them = drawn(y)
    torch.testing.assert_close(drawn(y[:7]), all_of_them[:7])
    torch.testing.assert_close(drawn(y, chunk_size=1), all_of_them)
    elsewhere = torch.cat([y[:7], 5 + y[7:]])
    torch.testing.assert_close(drawn(elsewhere)[:7], all_of_them[:7])
    assert not torch.isclose(drawn(elsewhere)[7:], all_of_them[7:]).any()


def test_conditions_go_with_their_rows() -> None:
    model = GaussianMixtureScore([0.5, 0.5], [[-5.0, 0.0], [5.0, 0.0]], 0.01, labels=[0, 1])
    measurement = LinearMeasurement([[0.0, 1.0]], [0.05], 0.1)
    label = torch.tensor([0, 1, 1, 0])
    drawn = sample_posterior(model, measurement, levels(20), 4, condition={"label": label}, generator=generator())
    assert torch.equal(drawn[:, 0] > 0, label == 1)


def diagnosed(y: list[float], sigma: float, n: int = 200, **how: Any) -> Diagnosis:
    said: list[Diagnosis] = []
    measurement = LinearMeasurement(PAIR[: len(y)], y, sigma)
    sample_posterior(mixture(), measurement, levels(30), n, diagnose=said.append, generator=generator(), **how)
    return said[0]


def test_too_few_particles_or_sweeps_are_said() -> None:
    with pytest.warns(UserWarning, match=r"\d+% of where the sweeps began is left in the samples.*take more particles"):
        assert diagnosed([2.0], 0.1, n_particles=2, n_sweeps=2).left > 0.1
    # 4 standard deviations out of every mode, where the particles do not look at first
    with pytest.warns(UserWarning, match=r"the mean of the samples still moved by \d.\d standard errors"):
        assert diagnosed([3.0], 0.1, n=800, n_particles=8, n_sweeps=6).drift > 3.9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = {sweeps: diagnosed([0.2], 0.3, n_sweeps=sweeps) for sweeps in (1, 3, 6)}
    assert found[1].left == 1
    assert found[6].left < found[3].left < 0.1
    assert found[6].drift < found[6].usual
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert diagnosed([0.2], 0.3, n=29, n_sweeps=2).drift == 0


def test_images_of_any_shape_are_measured() -> None:
    """Sums of the rows of images whose pixels are independent: the closed form of each pixel."""

    def score(x: Tensor, sigma: Tensor) -> Tensor:
        return -x / (1 + sigma**2)

    sums = torch.block_diag(torch.ones(1, 3), torch.ones(1, 3)).double()
    measurement = LinearMeasurement(sums, [3.0, -6.0], 1.0, shape=(1, 2, 3))
    evaluations: list[State] = []
    drawn = sample_posterior(
        score,
        measurement,
        levels(40),
        800,
        n_particles=4,
        n_sweeps=2,
        generator=generator(),
        callback=evaluations.append,
    )
    assert drawn.shape == (800, 1, 2, 3)
    assert evaluations[-1].evaluations == 2 * 40 + 1
    expected = torch.tensor([3.0, -6.0])[:, None].expand(2, 3) / (3 + 1)
    assert float((drawn.mean(0)[0] - expected).abs().max()) < 4.5 * math.sqrt(0.75 / 800)
    assert float((drawn.std(0) / math.sqrt(0.75) - 1).abs().max()) < 4.5 / math.sqrt(1600)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_samples": 0}, SettingError, "n_samples must be a whole number"),
        ({"n_particles": 1}, SettingError, "needs two particles and two levels, not 1 and 3"),
        ({"n_sweeps": 0}, SettingError, "n_sweeps must be a whole number of at least 1"),
        ({"sigmas": torch.ones(1)}, SettingError, "needs two particles and two levels"),
        ({"measurement": LinearMeasurement(PAIR, torch.ones(3, 2), 1.0)}, DataError, "of 3 samples, not of 2"),
    ],
)
def test_what_does_not_fit_is_an_error(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {
        "measurement": LinearMeasurement(PAIR, [1.0, 1.0], 1.0),
        "sigmas": levels(3),
        "n_samples": 2,
    }
    with pytest.raises(error, match=re.escape(message)):
        sample_posterior(mixture(), **arguments | change)
