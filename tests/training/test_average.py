"""The power-function average of the weights, against the integral of its profile and published figures."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import nn

from ncsn.training import MovingAverage
from ncsn.training.average import power_of


def linear(value: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def weight_of(average: MovingAverage) -> float:
    return float(average.model.get_parameter("weight"))


def shares(steps: int, length: float) -> np.ndarray:
    """Return how much the weights of each step count in the average: that of vectors which are 1 at their own step alone."""
    layer = nn.Linear(steps, 1, bias=False, dtype=torch.float64)
    average = MovingAverage(layer, length)
    for unit in torch.eye(steps, dtype=torch.float64):
        with torch.no_grad():
            layer.weight.copy_(unit)
        average.update()
    return average.model.get_parameter("weight")[0].numpy()


def test_moving_average_forgets_the_first_weights_at_once() -> None:
    model = linear(1e6)
    average = MovingAverage(model)
    nn.init.constant_(model.weight, 3.0)
    average.update()
    assert weight_of(average) == 3.0


@pytest.mark.parametrize("length", [0.05, 0.1, 0.25])
def test_each_step_counts_as_its_part_of_the_power_function(length: float) -> None:
    steps, gamma = 40, power_of(length)
    whole = quad(lambda t: t**gamma, 0, 1)[0]
    expected = [quad(lambda t: t**gamma, i / steps, (i + 1) / steps)[0] / whole for i in range(steps)]
    np.testing.assert_allclose(shares(steps, length), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("length", [0.05, 0.1, 0.25])
def test_the_average_spans_its_length_however_long_the_training(length: float) -> None:
    for steps in (400, 800):
        weight, time = shares(steps, length), (np.arange(steps) + 0.5) / steps
        mean = weight @ time
        assert np.sqrt(weight @ (time - mean) ** 2) == pytest.approx(length, rel=2e-3)


def test_powers_are_those_published() -> None:
    # Karras et al. 2024, section 3.1
    assert power_of(0.05) == pytest.approx(16.97, abs=0.005)
    assert power_of(0.1) == pytest.approx(6.94, abs=0.005)
    # all weights alike: the spread of a uniform distribution
    assert power_of(12**-0.5) == pytest.approx(0.0, abs=1e-9)


def test_moving_average_leaves_the_model_alone_and_takes_its_buffers() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = MovingAverage(model)
    model(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    average.update()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(average.model.get_buffer("1.running_mean"), before["1.running_mean"])
    assert int(average.model.get_buffer("1.num_batches_tracked")) == 1
    assert not any(weight.requires_grad for weight in average.model.parameters())
