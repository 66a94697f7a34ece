"""Samplers that keep a part of the noise and add fresh noise: exact variances from level to level."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ncsn.errors import SettingError
from ncsn.samplers import ConsistentAnnealed, Noise, sample, trajectory

from .common import SIGMA_MAX, SIGMA_MIN, centred, generator, refusal, two_decades, two_modes, variances, walk


def test_samplers_that_share_coefficients_are_equal() -> None:
    sigmas, x = two_decades(9), 10 * torch.randn(50, 1, generator=generator(), dtype=torch.float64)
    ratio = float(sigmas[1] / sigmas[0])

    def last(name: str, **options: Any) -> Tensor:
        return walk(name, two_modes(), x, sigmas, Noise(1, 0, 50, x.device), **options)[-1].x

    torch.testing.assert_close(last("ancestral", eta=0.0), last("ddim"))
    least = 2 * SIGMA_MIN**2 * (1 - ratio + 1e-14)
    torch.testing.assert_close(last("consistent_annealed", step_size=least), last("ddim"), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        last("consistent_annealed", step_size=2 * SIGMA_MIN**2 * (1 - ratio**2)), last("ancestral")
    )
    torch.testing.assert_close(last("predictor_corrector", n_corrector_steps=0), last("reverse_sde"))


@pytest.mark.parametrize("kind", ["geometric", "karras"])
@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("step_size", [None, 0.012, 0.02, 0.025])
def test_consistent_annealing_keeps_the_variance_of_every_level_around_a_point(
    kind: str, n_steps: int, step_size: float | None
) -> None:
    sigmas = two_decades(30, kind)
    found = variances("consistent_annealed", 0.0, sigmas, n_steps_per_sigma=n_steps, step_size=step_size)
    expected = sigmas.repeat_interleave(n_steps).square().tolist()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("step_size", [None, 0.01])
def test_consistent_annealing_loses_the_variance_of_wide_data_that_its_docstring_says(step_size: float | None) -> None:
    sigmas, variance = two_decades(12), 0.8
    eta = 1.2 * (1 - float(sigmas[1] / sigmas[0])) if step_size is None else step_size / (2 * SIGMA_MIN**2)
    first, second = sigmas[:2].tolist()
    found = variances("consistent_annealed", variance, sigmas, step_size=step_size)[1]
    lost = eta**2 * first**2 * variance / (variance + first**2)
    assert found == pytest.approx(variance + second**2 - lost, rel=1e-12)


def test_consistent_annealing_takes_as_many_evaluations_as_steps() -> None:
    states = list(trajectory(two_modes(), two_decades(8), 3, 1, "consistent_annealed", n_steps_per_sigma=4))
    assert states[-1].evaluations == states[-1].step == 32
    first, second, third = two_decades(8)[:3].tolist()
    assert [state.sigma for state in states[:9]] == [first] * 4 + [second] * 4 + [third]


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ancestral_follows_the_recursion_of_the_posterior(eta: float) -> None:
    """DDIM's eq. 12 divided by alpha': D + sqrt(sigma'^2 - s^2) (x - D) / sigma + s z."""
    sigmas, variance = two_decades(15, "karras"), 0.5
    expected = [variance + SIGMA_MAX**2]
    for sigma, following in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        shrink = variance / (variance + sigma**2)
        drawn = eta**2 * following**2 * (sigma**2 - following**2) / sigma**2
        slope = shrink + math.sqrt(following**2 - drawn) / sigma * (1 - shrink)
        expected.append(slope**2 * expected[-1] + drawn)
    np.testing.assert_allclose(variances("ancestral", variance, sigmas, eta=eta), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("sampler", "options", "message"),
    [
        ("ancestral", {"eta": 1.5}, "eta must lie between 0 (DDIM) and 1 (DDPM), not 1.5"),
        ("ancestral", {"eta": 2}, "eta must lie between 0 (DDIM) and 1 (DDPM), not 2"),
        ("ancestral", {"eta": -0.1}, "eta must lie between 0 (DDIM) and 1 (DDPM), not -0.1"),
        ("ancestral", {"eta": math.nan}, "eta must be a finite number, not nan"),
        ("ddim", {"eta": "0.5"}, "eta must be a finite number, not '0.5'"),
        ("ddim", {"eta": 1.5}, "eta must lie between 0 (DDIM) and 1 (DDPM), not 1.5"),
        (
            "consistent_annealed",
            {"n_steps_per_sigma": 0},
            "n_steps_per_sigma must be a whole number of at least 1, not 0",
        ),
        ("consistent_annealed", {"step_size": math.nan}, "step_size must be a positive finite number, not nan"),
        ("consistent_annealed", {"step_size": 0.0}, "step_size must be a positive finite number, not 0.0"),
    ],
)
def test_bad_options_are_refused_when_it_is_made(sampler: str, options: dict[str, Any], message: str) -> None:
    assert refusal(sampler, **options) == message


@pytest.mark.parametrize("step_size", [1e-4, 0.03])
def test_a_step_size_that_does_not_go_with_the_levels_is_refused(step_size: float) -> None:
    with pytest.raises(SettingError, match=rf"step_size must lie between 0\.018 and 0\.022 .*, not {step_size}"):
        sample(centred(1.0), two_decades(3), 2, 1, ConsistentAnnealed(step_size=step_size))


def test_one_level_has_no_ratio_to_choose_the_step_size_by() -> None:
    with pytest.raises(SettingError, match="a single level has no ratio to choose the step size by: give step_size"):
        sample(centred(1.0), two_decades(3)[:1], 2, 1, "consistent_annealed", n_steps_per_sigma=2)
