"""The network of posteriors keeps the contract of networks, with and without an observation."""

from itertools import permutations

import pytest
import torch

from ncsn.errors import SettingError
from ncsn.inference import ObservationAtInput


def test_rows_of_nan_are_no_observation_and_reach_no_gradient() -> None:
    torch.manual_seed(0)
    network = ObservationAtInput((2,), 3, width=8, n_blocks=1)
    torch.nn.init.normal_(network.perceptron.output.weight)
    x, context = torch.randn(5, 2), torch.randn(5, 3)
    told = network(x, torch.tensor(0.3), context=context)
    assert told.shape == (5, 2)
    context[2:] = torch.nan
    mixed = network(x, torch.tensor(0.3), context=context)
    torch.testing.assert_close(mixed[:2], told[:2])
    torch.testing.assert_close(mixed[2:], network(x, torch.tensor(0.3))[2:])
    assert not torch.allclose(mixed[2:], told[2:])
    mixed.sum().backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in network.parameters())
    # each row by itself
    torch.testing.assert_close(network(x[:1], torch.tensor([0.3]), context=context[:1]), mixed[:1])


def test_training_draws_the_order_of_a_set_and_nothing_else_does() -> None:
    torch.manual_seed(0)
    network = ObservationAtInput((2,), 6, width=8, n_blocks=1, exchangeable=3)
    torch.nn.init.normal_(network.perceptron.output.weight)
    x, level = torch.zeros(600, 2), torch.tensor(0.3)
    parts = torch.tensor([[1.0, -1.0], [0.5, 2.0], [-0.7, 0.1]])
    context = parts.flatten().expand(600, -1)
    network.eval()
    assert torch.equal(network(x, level, context=context), network(x, level, context=context))
    orders = torch.stack([parts[list(order)].flatten() for order in permutations(range(3))])
    each = network(x[:6], level, context=orders)
    network.train()
    drawn = network(x, level, context=context)
    # every answer is that of one of the six orders, each as often
    which = torch.cdist(drawn, each, compute_mode="donot_use_mm_for_euclid_dist").detach()
    assert float(which.min(1).values.max()) < 1e-5
    counts = which.argmin(1).bincount(minlength=6)
    assert counts.min() > 100 - 4 * 9.2
    assert counts.max() < 100 + 4 * 9.2
    # what sums them up stays where it is
    summed = ObservationAtInput((2,), 8, width=8, n_blocks=1, exchangeable=3, n_summaries=2)
    torch.nn.init.normal_(summed.perceptron.output.weight)
    context = torch.cat([torch.tensor([3.0, 4.0]), parts.flatten()]).expand(600, -1)
    orders = torch.cat([torch.tensor([[3.0, 4.0]]).expand(6, -1), orders], dim=1)
    each = summed.eval()(x[:6], level, context=orders)
    which = torch.cdist(
        summed.train()(x, level, context=context), each, compute_mode="donot_use_mm_for_euclid_dist"
    ).detach()
    assert float(which.min(1).values.max()) < 1e-5
    assert len(which.argmin(1).unique()) == 6
    with pytest.raises(SettingError, match="a context of 6 numbers has no 4 equal parts"):
        ObservationAtInput((2,), 6, exchangeable=4)
