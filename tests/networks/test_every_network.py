"""Both networks as score models, against closed forms, finite differences and each other."""

import pytest
import torch
from torch import Tensor, nn

from ncsn.exact import GaussianMixtureScore
from ncsn.networks import NCSNScoreNetwork, PreconditionedScore, ResidualMLP

from .common import SIGMAS, Recorder, points, score_networks


@pytest.mark.parametrize("index", [0, 1])
def test_a_scalar_level_equals_a_level_for_each_row(index: int) -> None:
    network, x = score_networks()[index], points(40, 3)
    for sigma in SIGMAS:
        torch.testing.assert_close(network(x, sigma), network(x, sigma.expand(40)), rtol=1e-6, atol=1e-6 / float(sigma))
    mixed = SIGMAS.repeat(14)[:40]
    rows = torch.cat([network(x[i : i + 1], mixed[i]) for i in range(40)])
    torch.testing.assert_close(network(x, mixed), rows, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("index", [0, 1])
def test_a_scalar_level_is_embedded_once(index: int) -> None:
    network, x = score_networks()[index], points(40, 3)
    with torch.no_grad(), Recorder() as recorder:
        network(x, SIGMAS[0])
    assert torch.Size([4]) in recorder.sizes("sin")
    assert torch.Size([40, 4]) not in recorder.sizes("sin")
    with torch.no_grad(), Recorder() as recorder:
        network(x, SIGMAS[0].expand(40))
    # the page's network, trained at few levels, embeds each once, however many rows share it
    assert torch.Size([1 if index == 0 else 40, 4]) in recorder.sizes("sin")


@pytest.mark.parametrize("index", [0, 1])
def test_levels_of_each_row_can_be_differentiated_by(index: int) -> None:
    network, x = score_networks(torch.float64)[index], points(6, 3, dtype=torch.float64)
    sigma = torch.tensor([0.5, 0.5, 2.0, 0.5, 2.0, 7.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda level: network(x, level), sigma)


@pytest.mark.parametrize("index", [0, 1])
def test_double_precision_throughout(index: int) -> None:
    single, double, x = score_networks()[index], score_networks(torch.float64)[index], points(40, 3)
    for sigma in SIGMAS:
        score = double(x.double(), sigma.double())
        assert score.dtype == torch.float64
        assert (single(x, sigma) - score).abs().max() < 1e-5 * score.abs().max()


@pytest.mark.parametrize("index", [0, 1])
def test_derivatives_by_input_and_weights_equal_finite_differences(index: int) -> None:
    network, x = score_networks(torch.float64)[index], points(4, 3, dtype=torch.float64).requires_grad_()
    sigma = torch.tensor([0.2, 0.5, 1.0, 4.0], dtype=torch.float64)

    def of(x: Tensor, *weights: Tensor) -> Tensor:
        named = dict(zip(dict(network.named_parameters()), weights, strict=True))
        score: Tensor = torch.func.functional_call(network, named, (x, sigma))
        return score

    assert torch.autograd.gradcheck(of, (x, *network.parameters()), fast_mode=True)


@pytest.mark.parametrize("index", [0, 1])
def test_without_gradients_the_score_is_the_same(index: int) -> None:
    network, x = score_networks()[index], points(40, 3)
    kept = x.clone()
    with torch.no_grad():
        score = network(x, SIGMAS[1])
    assert torch.equal(score, network(x, SIGMAS[1]))
    assert torch.equal(x, kept)


@pytest.mark.parametrize("network", [NCSNScoreNetwork(3), PreconditionedScore(ResidualMLP((3,), n_fourier=8))])
def test_an_untrained_network_is_the_score_of_the_standard_normal(network: nn.Module) -> None:
    exact = GaussianMixtureScore([1.0], [[0.0, 0.0, 0.0]], 1.0)
    x = 3 * points(40, 3)
    for sigma in SIGMAS:
        torch.testing.assert_close(network(x, sigma), exact(x, sigma))


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_networks_compile(index: int) -> None:
    network, x = score_networks()[index], points(40, 3)
    compiled = torch.compile(network)
    with torch.no_grad():
        for sigma in SIGMAS:
            torch.testing.assert_close(compiled(x, sigma), network(x, sigma), rtol=1e-4, atol=1e-4)
    compiled(x, SIGMAS[1]).square().sum().backward()
    gradients = [weights.grad.clone() for weights in network.parameters() if weights.grad is not None]
    network.zero_grad()
    network(x, SIGMAS[1]).square().sum().backward()
    for compiled_gradient, weights in zip(gradients, network.parameters(), strict=True):
        torch.testing.assert_close(compiled_gradient, weights.grad, rtol=1e-3, atol=1e-3)
