"""The residual perceptron against its definition and finite samples."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ncsn.errors import SettingError
from ncsn.networks import ResidualMLP

from .common import points, shaken


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
    with pytest.raises(SettingError, match="a label was given to a network without classes; make it with n_classes"):
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width must be a whole number of at least 1, not 0"),
        ({"width": 2.5}, "width must be a whole number of at least 1, not 2.5"),
        ({"n_blocks": 0}, "n_blocks must be a whole number of at least 1, not 0"),
        ({"n_classes": -1}, "n_classes must be a whole number of at least 0, not -1"),
        ({"dropout": -0.1}, "dropout must be a finite number of at least 0, not -0.1"),
        ({"dropout": 1.0}, "dropout must be below 1, not 1.0"),
    ],
)
def test_sizes_that_are_none_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        ResidualMLP((2,), **options)
