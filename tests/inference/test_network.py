"""The network of posteriors keeps the contract of networks, with and without an observation."""

import torch

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
