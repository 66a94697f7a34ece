"""Samples led away from a worse model."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_models import GAUSSIAN, clusters, gaussian, table, white
from torch import Tensor, nn

from ncsn import NCSN
from ncsn.errors import DataError, SettingError


class WideGaussian(nn.Module):
    """The score of a Gaussian that is wider than the data."""

    def __init__(self) -> None:
        super().__init__()
        self.variance = nn.Parameter(torch.tensor(1.7))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return -x / (self.variance + sigma.reshape(-1, 1) ** 2)


@pytest.mark.filterwarnings("ignore:score_net=WideGaussian")
def test_samples_are_led_away_from_the_worse_model() -> None:
    x = white(200, 2)
    model, guide = (
        gaussian(x),
        NCSN(WideGaussian(), **{k: v for k, v in GAUSSIAN.items() if k in ("training_steps", "lr")}),
    )
    guide.fit(x)
    plain, none, led = (
        model.sample(20_000, random_state=1, guide=guide, guidance=weight)
        if weight
        else model.sample(20_000, random_state=1)
        for weight in (None, 1.0, 2.0)
    )
    np.testing.assert_allclose(none, plain, rtol=1e-5, atol=1e-6)

    def spread(sigma: float) -> float:
        return (1 + sigma**2) / math.sqrt(1.7 + sigma**2)

    # the flow is linear: from a standard deviation of sqrt(1 + 20^2) at sigma_max
    expected = math.sqrt(1 + 20.0**2) * spread(0.01) / spread(20.0)
    np.testing.assert_allclose(led.std(0), expected, rtol=0.03)
    assert expected < 0.8
    # a model is taken as well
    np.testing.assert_array_equal(model.sample(5, random_state=1, guide=guide.model_, guidance=2.0), led[:5])


def test_a_guide_is_told_the_class() -> None:
    x, side = clusters(60)
    model, guide = gaussian(x, side), gaussian(x, side)
    plain = model.sample(5, label="left", random_state=0)
    led = model.sample(5, label="left", random_state=0, guide=guide, guidance=3.0)
    np.testing.assert_allclose(led, plain, rtol=1e-4)


def test_guides_that_do_not_fit_are_refused() -> None:
    model = gaussian(table())
    with pytest.raises(SettingError, match="a guide needs a strength: give guidance, such as 2"):
        model.sample(2, guide=model)
    with pytest.raises(DataError, match="the guide was fitted on other data: fit both on the same rows"):
        model.sample(2, guide=gaussian(table()[:-1]), guidance=2.0)
    with pytest.raises(DataError, match="the guide has other classes"):
        model.sample(2, guide=gaussian(table(), np.arange(400) % 2), guidance=2.0)
    with pytest.raises(DataError, match="the guide has other contexts: fit both with the same, or both without"):
        model.sample(2, guide=NCSN(**GAUSSIAN).fit(table(), context=np.arange(400.0)), guidance=2.0)
    with pytest.raises(SettingError, match="guide must be a fitted model, not int"):
        model.sample(2, guide=3, guidance=2.0)
    consistency = NCSN(**GAUSSIAN | {"method": "consistency"}).fit(table())
    with pytest.raises(SettingError, match="a consistency model has no score to guide by"):
        model.sample(2, guide=consistency, guidance=2.0)
    with pytest.raises(SettingError, match="a consistency model has no score to guide"):
        consistency.sample(2, guide=model, guidance=2.0)
