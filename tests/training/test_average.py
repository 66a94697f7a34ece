"""The moving average of the weights, against its recursion in closed form."""

import pytest
import torch
from torch import nn

from ncsn.training import MovingAverage


def linear(value: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def weight_of(average: MovingAverage) -> float:
    return float(average.model.get_parameter("weight"))


def test_moving_average_forgets_the_first_weights_at_once() -> None:
    model = linear(1e6)
    average = MovingAverage(model, decay=0.999)
    nn.init.constant_(model.weight, 3.0)
    average.update()
    assert weight_of(average) == 3.0


def test_moving_average_of_a_ramp() -> None:
    # while it is young, the average of 1, 2, 3, ... solves its recursion as 0.9 n + 0.1; of decay d it lags by d / (1 - d)
    model = linear(0.0)
    young, old = MovingAverage(model, decay=0.999999), MovingAverage(model, decay=0.75)
    for n in range(1, 401):
        nn.init.constant_(model.weight, float(n))
        young.update()
        old.update()
        assert weight_of(young) == pytest.approx(0.9 * n + 0.1, rel=1e-5)
    assert weight_of(old) == pytest.approx(400 - 3, rel=1e-5)


def test_moving_average_leaves_the_model_alone_and_takes_its_buffers() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = MovingAverage(model, decay=0.9)
    model(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    average.update()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(average.model.get_buffer("1.running_mean"), before["1.running_mean"])
    assert int(average.model.get_buffer("1.num_batches_tracked")) == 1
    assert not any(weight.requires_grad for weight in average.model.parameters())
