"""Networks against closed forms, finite differences and each other."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ncsn.exact import GaussianMixtureScore
from ncsn.networks import FourierFeatures, NCSNScoreNetwork, ResidualMLP, SinusoidalPositionEmbeddings
from ncsn.networks import PreconditionedScore

SIGMAS = torch.tensor([0.01, 0.3, 20.0])

N = TypeVar("N", bound=nn.Module)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=dtype)


def shaken(network: N) -> N:
    """Give every weight a random value, so that no part of the network is silent as it is at the start."""
    with torch.no_grad():
        for weights in network.parameters():
            fan_in = weights.shape[-1] if weights.ndim > 1 else 4
            weights.copy_(points(*weights.shape, seed=weights.numel()) / math.sqrt(fan_in))
    return network


class Recorder(TorchDispatchMode):
    """Records the names of the operations and the sizes of what they return."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[str, torch.Size]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.calls.append((func.overloadpacket.__name__, result.shape))
        return result

    def sizes(self, name: str) -> list[torch.Size]:
        return [shape for called, shape in self.calls if called == name]


# Embeddings


@pytest.mark.parametrize("dim", [4, 32, 64])
def test_the_embedding_depends_on_the_ratio_of_levels_alone(dim: int) -> None:
    embedding = SinusoidalPositionEmbeddings(dim).double()
    ratios = torch.tensor([1.05, 2.0, 10.0], dtype=torch.float64)
    for low in (0.01, 0.5, 10.0):
        level = torch.tensor(low, dtype=torch.float64)
        distances = (embedding(level * ratios) - embedding(level)).norm(dim=-1)
        reference = (embedding(ratios) - embedding(torch.ones((), dtype=torch.float64))).norm(dim=-1)
        torch.testing.assert_close(distances, reference)
        assert distances[1] > 0.3 * math.sqrt(dim)


def test_raw_levels_would_not_tell_small_ones_apart() -> None:
    raw = SinusoidalPositionEmbeddings(64, log_input=False)
    small, large = ((raw(torch.tensor(a)) - raw(torch.tensor(2 * a))).norm() for a in (0.01, 10.0))
    assert small < 0.05 * large


def test_the_embedding_is_cosines_and_sines_at_geometric_frequencies() -> None:
    embedding = SinusoidalPositionEmbeddings(64, max_frequency=5.0).double()
    values = embedding(torch.logspace(-2, 2, 20, dtype=torch.float64))
    torch.testing.assert_close(values.square().sum(-1), torch.full((20,), 32.0, dtype=torch.float64))
    # at sigma = 1 + small, sin(f log sigma) / log sigma is the frequency itself
    small = torch.tensor(1e-6, dtype=torch.float64)
    frequencies = embedding(small.exp())[:32] / small
    ratios = frequencies[1:] / frequencies[:-1]
    torch.testing.assert_close(ratios, ratios[:1].expand(31), rtol=1e-5, atol=0)
    assert frequencies[-1].item() == pytest.approx(5.0, rel=1e-6)
    # the slowest frequency tells all levels from 1e-4 to 1e4 apart without coming round
    assert frequencies[0] * math.log(1e8) < math.pi
    log_levels = torch.tensor([-1.0, 0.5], dtype=torch.float64)
    unlogged = SinusoidalPositionEmbeddings(64, max_frequency=5.0, log_input=False).double()
    torch.testing.assert_close(unlogged(log_levels), embedding(log_levels.exp()))


@pytest.mark.parametrize("dim", [3, 2, 0, -4, 33])
def test_bad_embedding_lengths(dim: int) -> None:
    with pytest.raises(ValueError, match=f"the embedding's dim must be even and at least 4, not {dim}"):
        SinusoidalPositionEmbeddings(dim)


def test_fourier_features_approximate_a_gaussian_kernel() -> None:
    n, scale = 20_000, 1.7
    torch.manual_seed(0)
    features = FourierFeatures(3, n, scale)
    x = points(12, 3) / 2
    kernel = features(x) @ features(x).T / n
    expected = torch.exp(-(scale**2) * torch.cdist(x, x).square() / 2)
    # the mean of n cosines, each of variance at most 1/2
    assert (kernel - expected).abs().max() < 5 * math.sqrt(0.5 / n)


def test_random_features_are_saved_and_fixed_frequencies_are_not() -> None:
    names = set(ResidualMLP((2,), 8, 1, n_fourier=4).state_dict())
    assert "fourier.projection" in names
    assert not any("frequencies" in name for name in names)


# Both networks as score models


def score_networks(dtype: torch.dtype = torch.float32) -> list[nn.Module]:
    torch.manual_seed(0)
    return [
        shaken(NCSNScoreNetwork(3, (32, 16), 8)).to(dtype),
        shaken(PreconditionedScore(ResidualMLP((3,), 16, 2, n_fourier=5, dropout=0.5, embedding_dim=8)))
        .to(dtype)
        .eval(),
    ]


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
    assert torch.Size([40, 4]) in recorder.sizes("sin")


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


def test_activations_are_overwritten_only_without_gradients() -> None:
    network, x = score_networks()[0], points(40, 3)
    with Recorder() as recorder:
        network(x, SIGMAS[1])
    assert len(recorder.sizes("silu_")) == 0
    with torch.no_grad(), Recorder() as recorder:
        network(x, SIGMAS[1])
    assert recorder.sizes("silu_") == [torch.Size([40, 32]), torch.Size([40, 16])]


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


# The page's network


def test_the_first_layer_works_on_input_and_embedding_joined() -> None:
    network = score_networks(torch.float64)[0]
    x, noise = points(5, 3, dtype=torch.float64), torch.tensor(-0.7, dtype=torch.float64)
    body: Any = network.network
    h = torch.cat([x, body.embedding(noise).expand(5, -1)], dim=1)
    for layer in (body.first, *body.hidden):
        h = nn.functional.silu(layer(h))
    torch.testing.assert_close(body(x, noise), body.output(h))


def test_the_page_s_network_names_its_dimension_and_needs_a_hidden_layer() -> None:
    assert NCSNScoreNetwork(input_dim=7, hidden_dims=[8], sigma_embed_dim=4).input_dim == 7
    with pytest.raises(ValueError, match="hidden_dims must name the width of at least one hidden layer"):
        NCSNScoreNetwork(2, [])
    with pytest.raises(ValueError, match="the embedding's dim must be even and at least 4, not 5"):
        NCSNScoreNetwork(2, [8], 5)


# The residual network


def residual(shape: Sequence[int] = (3,), **options: Any) -> ResidualMLP:
    return shaken(ResidualMLP(shape, 16, 2, embedding_dim=8, **options)).double()


def test_blocks_add_to_their_input_what_the_level_scales_and_shifts() -> None:
    network: Any = residual(n_fourier=4, gain=True)
    x, noise = points(5, 3, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    angles = x @ network.fourier.projection
    h = network.input(torch.cat([x, angles.sin(), angles.cos()], dim=1))
    modulation = network.modulation(network.embedding(noise)).reshape(2, 2, 16)
    for hidden, out, (scale, shift) in zip(network.hidden, network.residual, modulation, strict=True):
        h = h + out(nn.functional.silu(hidden(h) * (1 + scale) + shift))
    # and the input by itself, as much as the level says
    gain = network.gain(network.embedding(noise))
    torch.testing.assert_close(network(x, noise), network.output(nn.functional.silu(h)) + gain * x)


def test_images_are_read_as_flat_rows() -> None:
    torch.manual_seed(0)
    image, flat = residual((2, 3, 4)), residual((24,))
    x, noise = points(5, 2, 3, 4, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    output = image(x, noise)
    assert output.shape == x.shape
    assert torch.equal(output.flatten(1), flat(x.flatten(1), noise))


def test_labels() -> None:
    network, x = residual(n_classes=3), points(4, 3, dtype=torch.float64)
    noise = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    labels = torch.tensor([0, 2, -1, 1])
    together = network(x, noise, labels)
    rows = [network(x[i : i + 1], noise[i], int(labels[i])) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(rows))
    torch.testing.assert_close(network(x, noise[0], labels)[1:2], network(x[1:2], noise[0], 2))
    outputs = [network(x, noise, label) for label in (-1, 0, 1, 2)]
    for i, output in enumerate(outputs):
        for other in outputs[:i]:
            assert (output - other).abs().min() > 1e-6


def test_label_minus_one_is_no_label() -> None:
    network, x, noise = residual(n_classes=3), points(4, 3, dtype=torch.float64), torch.tensor(0.1, dtype=torch.float64)
    for label in (-1, torch.tensor(-1), torch.full((4,), -1)):
        torch.testing.assert_close(network(x, noise, label), network(x, noise), rtol=1e-12, atol=0)


@pytest.mark.parametrize("label", [3, -2, torch.tensor([0, 1, 2, 3])])
def test_labels_beyond_the_classes_are_refused(label: Tensor | int) -> None:
    with pytest.raises(IndexError, match="out of range"):
        residual(n_classes=3)(points(4, 3, dtype=torch.float64), torch.tensor(0.1, dtype=torch.float64), label)


def test_a_label_for_a_network_without_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="a label was given to a network without classes; make it with n_classes"):
        residual()(points(4, 3, dtype=torch.float64), torch.tensor(0.1, dtype=torch.float64), torch.zeros(4).long())


def test_dropout_works_in_training_alone_and_keeps_the_mean() -> None:
    # one block and a linear way out of it: the mean over dropouts is the network without
    network = shaken(ResidualMLP((3,), 16, 1, embedding_dim=8, dropout=0.4)).double()
    units: list[Tensor] = []
    network.residual[0].register_forward_hook(lambda module, inputs, output: units.append(output))
    x, noise = points(1, 3, dtype=torch.float64).expand(4000, 3), torch.tensor(0.1, dtype=torch.float64)
    network.eval()
    assert torch.equal(network(x, noise), network(x, noise))
    network.train()
    torch.manual_seed(0)
    network(x, noise)
    plain, dropped = units[0][0], units[2]
    standard_error = dropped.std(0) / math.sqrt(4000)
    assert bool((dropped.std(0) > 1e-3).all())
    assert bool(((dropped.mean(0) - plain).abs() < 4.5 * standard_error).all())
