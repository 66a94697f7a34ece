"""Samples of a fitted model given measurements in the data's own units, by exact scores, against closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from ncsn import NCSN, DataError, GaussianMixtureScore, SettingError
from ncsn.data import Encoding
from ncsn.guidance import Blur, Downsampling, LinearMeasurement
from ncsn.methods import METHODS
from ncsn.model import Model
from ncsn.model.moments import Moments
from ncsn.plan import make_plan

MEAN = np.array([10.0, -3.0, 500.0])
COVARIANCE = np.array([[4.0, 1.5, 60.0], [1.5, 1.0, 10.0], [60.0, 10.0, 2500.0]])


class Gaussian(nn.Module):
    """The exact score of rows that are Gaussian, with a weight, which says where it is."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        flat = rows.flatten(1).float()
        self.score = GaussianMixtureScore([1.0], flat.mean(0)[None], flat.T.cov(correction=0)[None])
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.score(x.flatten(1), sigma).reshape(x.shape)


def model_of(X: Any) -> Model:
    """Return a model whose score is that of the Gaussian with the moments of the data."""
    encoding = Encoding.fit(X)
    rows = encoding.encode(X)
    plan = make_plan(rows.float(), sigma_min=0.01, sigma_max=20.0)
    return Model(encoding, plan, METHODS["edm"], Gaussian(rows), Moments.of(rows))


def given(mean: np.ndarray, covariance: np.ndarray, A: np.ndarray, y: np.ndarray, sigma: float) -> tuple[Any, Any]:
    """Return mean and covariance of a Gaussian given y = A x + noise."""
    gain = covariance @ A.T @ np.linalg.inv(A @ covariance @ A.T + sigma**2 * np.eye(len(A)))
    return mean + gain @ (y - A @ mean), covariance - gain @ A @ covariance


def normal(n: int = 2000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).multivariate_normal(MEAN, COVARIANCE, n)


def check(samples: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> None:
    deviation = np.sqrt(covariance.diagonal())
    assert np.abs((samples.mean(0) - mean) / deviation).max() < 4.5 / math.sqrt(len(samples)) + 0.02
    assert np.abs(samples.std(0) / deviation - 1).max() < 4.5 / math.sqrt(2 * len(samples)) + 0.02


def test_a_measurement_is_in_the_datas_own_units() -> None:
    X = np.insert(normal(), 1, 7.0, axis=1)
    model, A = model_of(X), np.array([[1.0, 2.0, -1.0, 0.02], [0.0, 1.0, 0.0, 0.0]])
    y, sigma = np.array([40.0, 7.0]), 1.5
    samples = model.sample(
        900,
        measurement=LinearMeasurement(A, y, sigma),
        n_sweeps=3,
        steps=40,
        generator=torch.Generator().manual_seed(0),
    )
    varying = np.delete(X, 1, axis=1)
    mean, covariance = given(varying.mean(0), np.cov(varying.T), np.delete(A, 1, axis=1)[:1], y[:1] - 2 * 7, sigma)
    assert (samples[:, 1] == 7).all()
    check(np.delete(samples, 1, axis=1), mean, covariance)


def test_a_mask_has_the_noise_of_each_value() -> None:
    X = normal()
    measurement = LinearMeasurement(
        torch.tensor([True, False, True]), [12.0, math.nan, 480.0], torch.tensor([1.0, 1.0, 20.0])
    )
    samples = model_of(X).sample(
        900, measurement=measurement, n_sweeps=3, steps=40, generator=torch.Generator().manual_seed(0)
    )
    white = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1 / 20]])
    check(samples, *given(X.mean(0), np.cov(X.T), white, np.array([12.0, 480 / 20]), 1.0))


def pictures(channels_last: bool) -> np.ndarray:
    """Return smooth images of three channels, of 6 x 6 pixels."""
    rng = np.random.default_rng(0)
    base = rng.normal(100, 20, (4000, 2, 1, 1)) + rng.normal(0, 10, (4000, 1, 6, 1)) + rng.normal(0, 5, (4000, 2, 6, 6))
    images = np.concatenate([base, base[:, :1]], axis=1) + rng.normal(0, 3, (4000, 3, 6, 6))
    return images.transpose(0, 2, 3, 1) if channels_last else images


@pytest.mark.parametrize(("kind", "channels_last"), [("matrix", False), ("matrix", True), ("mask", True)])
def test_images_are_measured_as_they_came(kind: str, channels_last: bool) -> None:
    X = pictures(channels_last)
    model, shape = model_of(X), X.shape[1:]
    rng = np.random.default_rng(1)
    mask = rng.random(shape) < 0.5
    A = np.eye(108)[mask.ravel()] if kind == "mask" else rng.normal(size=(4, 108)) / 10
    y = A @ X[0].ravel() + 2.0
    measurement = (
        LinearMeasurement(torch.from_numpy(mask), np.where(mask, X[0] + 2.0, np.nan), 6.0)
        if kind == "mask"
        else LinearMeasurement(A, y, 6.0, shape=shape)
    )
    samples = model.sample(
        300, measurement=measurement, n_particles=8, n_sweeps=4, steps=30, generator=torch.Generator().manual_seed(0)
    )
    assert samples.shape == (300, *shape)
    flat = X.reshape(len(X), -1)
    check(samples.reshape(300, -1), *given(flat.mean(0), np.cov(flat.T), A, y, 6.0))


def test_image_operators_act_on_images() -> None:
    X = pictures(False)
    operator = Downsampling(2, X.shape[1:])
    small = operator.apply(torch.from_numpy(X[:5])).float()
    samples = model_of(X).sample(5, measurement=LinearMeasurement(operator, small, 0.0), n_sweeps=2, steps=20)
    again = operator.apply(torch.from_numpy(np.asarray(samples, dtype=np.float64)))
    torch.testing.assert_close(again.float(), small, atol=1e-2, rtol=1e-4)
    with pytest.raises(SettingError, match="Separable acts on images with channels first"):
        last = pictures(True)
        model_of(last).sample(1, measurement=LinearMeasurement(Blur(1.0, last.shape[1:]), last[0], 1.0))


def test_what_does_not_fit_is_an_error() -> None:
    model = model_of(normal())
    measurement = LinearMeasurement(np.ones((1, 3)), [500.0], 1.0)
    for asked in ({"sampler": "heun"}, {"given": {"a": 1}}, {"guidance": 2.0}):
        with pytest.raises(SettingError, match=f"{next(iter(asked))} has no part in samples given a measurement"):
            model.sample(2, measurement=measurement, **asked)
    with pytest.raises(TypeError, match=r"^sampler 'particle_gibbs' has no option 'n_particle'; it has: [a-z_, ]*$"):
        model.sample(2, measurement=measurement, steps=2, n_particle=4)
    with pytest.raises(SettingError, match=r"must be a guidance.LinearMeasurement, not tuple"):
        model.sample(2, measurement=(np.ones((1, 3)), [500.0]))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"of points of shape \(4,\); the model's data have \(3,\)"):
        model.sample(2, measurement=LinearMeasurement(np.ones((1, 4)), [500.0], 1.0))
    table = pd.DataFrame({"length": normal(300)[:, 0], "kind": ["a", "b", "c"] * 100})
    fitted = NCSN(training_steps=2, width=8, n_blocks=1, random_state=0).fit(table)
    with pytest.raises(
        SettingError, match="column 'kind' is encoded as category: fit on an array of the numbers alone"
    ):
        fitted.sample(2, measurement=LinearMeasurement(np.ones((1, 2)), [1.0], 1.0))
