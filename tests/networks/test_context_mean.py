"""The mean that contexts tell, against the closed form of a Gaussian about a line."""

import pytest
import torch

from ncsn.networks import ConsistencyModel, ContextMean, PreconditionedScore, ResidualMLP


def line() -> ContextMean:
    mean = ContextMean(2, (3,))
    mean.set_to(torch.tensor([[1.0, 0.0, -2.0], [0.5, 3.0, 0.0]]), torch.tensor([0.1, 0.2, 0.3]))
    return mean


def test_a_network_of_zeros_is_the_gaussian_about_the_line() -> None:
    generator = torch.Generator().manual_seed(0)
    network = ResidualMLP((3,), 8, 1, context_dim=2)
    model = PreconditionedScore(network, sigma_data=0.7, context_mean=line())
    x, context = torch.randn(6, 3, generator=generator), torch.randn(6, 2, generator=generator)
    context[4:] = torch.nan
    sigma = torch.rand(6, generator=generator) + 0.1
    centre = torch.stack([context[:, 0] + 0.5 * context[:, 1], 3 * context[:, 1], -2 * context[:, 0]], dim=1)
    centre = (centre + torch.tensor([0.1, 0.2, 0.3])).nan_to_num(0)
    expected = -(x - centre) / (sigma.square() + 0.49)[:, None]
    torch.testing.assert_close(model(x, sigma, context=context), expected)
    # without a context, about the mean over all
    torch.testing.assert_close(model(x, sigma), -x / (sigma.square() + 0.49)[:, None])
    # in double precision too
    torch.testing.assert_close(model(x.double(), sigma.double(), context=context.double()), expected.double())


def test_the_end_of_a_flow_is_moved_with_the_mean() -> None:
    torch.manual_seed(0)
    network = ResidualMLP((3,), 8, 1, context_dim=2)
    torch.nn.init.normal_(network.output.weight)
    plain = ConsistencyModel(network, "consistency", sigma_data=0.5, sigma_min=0.01)
    moved = ConsistencyModel(network, "consistency", sigma_data=0.5, sigma_min=0.01, context_mean=line())
    x, context = torch.randn(4, 3), torch.randn(4, 2)
    centre = line()(context)
    torch.testing.assert_close(
        moved(x + centre, torch.tensor(0.8), context=context), plain(x, torch.tensor(0.8), context=context) + centre
    )
    at_end = moved(x, torch.tensor(0.01), context=context)
    torch.testing.assert_close(at_end, x)


def test_rows_of_any_shape_have_means_of_their_shape() -> None:
    mean = ContextMean(1, (2, 2))
    mean.set_to(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.zeros(4))
    expected = torch.tensor([[[2.0, 4.0], [6.0, 8.0]]])
    assert torch.equal(mean(torch.tensor([[2.0]])), expected)
    assert float(mean(torch.tensor([[float("nan")]])).abs().sum()) == pytest.approx(0)
