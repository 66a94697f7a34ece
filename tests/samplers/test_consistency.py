"""Sampling of consistency models: with the exact map of the flow the samples are exact."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ncsn.errors import SettingError
from ncsn.samplers import sample, trajectory

from .common import SIGMA_MIN, Impulses, centred, generator, two_decades, walk


@pytest.mark.parametrize("count", [2, 3, 6])
def test_consistency_with_the_exact_flow_map_is_exact(count: int) -> None:
    sigmas, variance = two_decades(count), 0.7

    def end_of_flow(x: Tensor, sigma: Tensor) -> Tensor:
        return x * ((variance + SIGMA_MIN**2) / (variance + sigma**2)).sqrt()

    x = torch.zeros(count, 1, dtype=torch.float64)
    x[0] = (variance + sigmas[0] ** 2).sqrt()
    states = walk("consistency", end_of_flow, x, sigmas, Impulses())
    found = [float(state.x.square().sum()) for state in states]
    np.testing.assert_allclose(found, variance + sigmas[1:].numpy() ** 2, rtol=1e-12)
    assert states[-1].evaluations == count - 1


def test_nothing_is_denoised_after_the_end_of_the_flow() -> None:
    def end_of_flow(x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        return x / 10

    states = list(trajectory(end_of_flow, two_decades(2), 4, 2, "consistency", generator=generator()))
    assert [(state.sigma, state.evaluations) for state in states] == [(10.0, 0), (0.0, 1)]
    torch.testing.assert_close(states[1].x, states[0].x / 10)


def test_one_level_is_too_few() -> None:
    with pytest.raises(SettingError, match="consistency needs two levels or more: where to start, and last where the"):
        sample(centred(1.0), two_decades(3)[:1], 2, 1, "consistency")
