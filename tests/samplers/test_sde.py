"""The reverse SDE with and without corrector: exact variances, and what the corrector adds."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from ncsn.samplers import Noise, sample, trajectory

from .common import SIGMA_MAX, SIGMA_MIN, centred, generator, refusal, two_decades, two_modes, variances, walk


def test_reverse_sde_follows_the_recursion_of_euler_and_maruyama() -> None:
    sigmas, variance = two_decades(15, "karras"), 0.5
    expected = [variance + SIGMA_MAX**2]
    for sigma, following in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        time = sigma**2 - following**2
        expected.append((1 - time / (variance + sigma**2)) ** 2 * expected[-1] + time)
    np.testing.assert_allclose(variances("reverse_sde", variance, sigmas), expected, rtol=1e-12)


def test_the_corrector_improves_on_the_predictor() -> None:
    truth, n = two_modes(), 50_000
    expected = truth.sample(n, generator(5), SIGMA_MIN).sort(dim=0).values
    distances = []
    for corrections in (0, 1, 4):
        options: dict[str, Any] = {"denoise_last": False, "generator": generator(), "n_corrector_steps": corrections}
        found = sample(truth, two_decades(15), n, 1, "predictor_corrector", **options)
        distances.append(float((found.sort(dim=0).values - expected).abs().mean()))
    assert distances[1] < 0.9 * distances[0]
    assert distances[2] < 0.6 * distances[0]


def test_the_corrector_runs_at_every_level() -> None:
    states = list(trajectory(two_modes(), two_decades(3), 2, 1, "predictor_corrector", n_corrector_steps=2))
    assert [round(state.sigma, 6) for state in states] == [10, 10, 10, 1, 1, 1, 0.1, 0.1, 0.1, 0]
    assert [state.evaluations for state in states] == [state.step for state in states] == list(range(10))


def test_the_corrector_keeps_the_noise_of_langevin_dynamics() -> None:
    """Around a point its alpha is 4 snr^2 sigma^2, with which chains end at 4 / (4 - 4 snr^2) times the variance."""
    sigma, snr, rows, dim = torch.tensor([2.0]), 0.3, 400, 100
    x = 2 * torch.randn(rows, dim, generator=generator())
    noise = Noise(0, 0, rows, x.device)
    end = walk("predictor_corrector", centred(0.0), x, sigma, noise, snr=snr, n_corrector_steps=60)[-1].x
    assert float(end.var()) / 4 == pytest.approx(1 / (1 - snr**2), abs=4 * math.sqrt(2 / (rows * dim)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"snr": 0.0}, "snr must be a positive finite number, not 0.0"),
        ({"snr": 0}, "snr must be a positive finite number, not 0"),
        ({"snr": math.inf}, "snr must be a positive finite number, not inf"),
        ({"n_corrector_steps": -1}, "n_corrector_steps must be a whole number of at least 0, not -1"),
        ({"n_corrector_steps": 1.5}, "n_corrector_steps must be a whole number of at least 0, not 1.5"),
    ],
)
def test_bad_options_are_refused_when_it_is_made(options: dict[str, Any], message: str) -> None:
    assert refusal("predictor_corrector", **options) == message
