"""The UNet against torch's own layers, on images of any size, and in bf16."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ncsn.data import Augmentation
from ncsn.errors import SettingError
from ncsn.networks import UNet, UNetFactory
from ncsn.networks.convolutions import Convolution, normalised
from ncsn.networks.unet import _Attention
from ncsn.parts import from_plain, to_plain
from ncsn.plan import make_plan


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=generator())


def awake(network: UNet) -> UNet:
    """Give weights that start at 0 others."""
    with torch.no_grad():
        for weight in network.parameters():
            if not weight.any():
                weight.normal_(0, 0.1, generator=generator())
    return network.eval()


def test_a_convolution_is_torchs_with_the_same_kernels() -> None:
    ours, theirs = Convolution(3, 5), nn.Conv2d(3, 5, 3, padding=1)
    kernels = ours.weight.reshape(5, 3, 3, 3)
    with torch.no_grad():
        ours.bias.normal_(generator=generator())
        theirs.bias.copy_(ours.bias)  # type: ignore[union-attr]  # there is one
        theirs.weight.copy_(kernels.permute(0, 3, 1, 2))
    x = images(2, 3, 7, 6)
    torch.testing.assert_close(ours(x), theirs(x))
    # and starts as widely
    bound = 1 / 27**0.5
    assert float(ours.weight.detach().abs().max()) <= bound
    assert float(ours.weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.15)


def test_pixels_are_normalised_over_their_channels() -> None:
    x = 3 * images(2, 64, 5, 4) + 2
    expected = nn.LayerNorm(64)(x.movedim(1, -1)).movedim(-1, 1)
    torch.testing.assert_close(normalised(x), expected)


def test_attention_is_torchs() -> None:
    attention = _Attention(64)
    with torch.no_grad():
        attention.after.weight.normal_(0, 0.2, generator=generator())
    x = images(2, 64, 3, 5)
    pixels = normalised(x).flatten(2).transpose(1, 2)
    heads = functional.linear(pixels, attention.before.weight, attention.before.bias).reshape(2, 15, 3, 2, 32)
    mixed = functional.scaled_dot_product_attention(*heads.permute(2, 0, 3, 1, 4))
    answer = functional.linear(mixed.transpose(1, 2).flatten(2), attention.after.weight, attention.after.bias)
    torch.testing.assert_close(attention(x), x + answer.transpose(1, 2).reshape(x.shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (3, 24, 40), (1, 33, 29), (4, 7, 5), (2, 1, 9)])
@pytest.mark.parametrize("patch", [1, 2])
def test_images_of_any_size_keep_it(shape: tuple[int, ...], patch: int) -> None:
    network = awake(UNet(shape, 8, (1, 2, 2), 1, patch=patch))
    x = images(2, *shape)
    for noise in (torch.tensor(0.3), torch.tensor([0.3, 0.3])):
        answer = network(x, noise)
        assert answer.shape == x.shape
        torch.testing.assert_close(answer, network(x, torch.tensor(0.3)))
    # a row's answer is its own
    torch.testing.assert_close(network(x[1:], torch.tensor(0.3)), answer[1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("width", "heads"), [(8, 1), (32, 1), (52, 1), (64, 2), (66, 2), (104, 2), (105, 3), (128, 4)])
def test_heads_share_any_number_of_channels_evenly(width: int, heads: int) -> None:
    attention = _Attention(width)
    assert attention.n_heads == heads
    assert attention(images(1, width, 2, 3)).shape == (1, width, 2, 3)


def test_an_odd_image_is_filled_up_at_its_lower_and_right_edges() -> None:
    network = awake(UNet((1, 13, 14), 8, (1, 2), 1))
    x = images(2, 1, 13, 14)
    filled = torch.cat([x, x[:, :, -1:]], dim=2)
    torch.testing.assert_close(network(x, torch.tensor(0.1)), network(filled, torch.tensor(0.1))[:, :, :13])


def test_without_attention_a_shifted_image_has_a_shifted_answer() -> None:
    network = awake(UNet((1, 48, 48), 8, (1, 2), 1, attention=0))
    x = images(1, 1, 48, 48)
    moved = x.roll((4, -6), (2, 3))
    answer, other = network(x, torch.tensor(0.1)), network(moved, torch.tensor(0.1))
    torch.testing.assert_close(answer[:, :, 18:26, 20:28], other[:, :, 22:30, 14:22], rtol=1e-4, atol=1e-5)
    # with it every pixel sees every other
    attends = awake(UNet((1, 48, 48), 8, (1, 2), 1, attention=1))
    changed = x.clone()
    changed[..., 0, 0] += 5
    assert not torch.equal(attends(x, torch.tensor(0.1))[..., 47, 47], attends(changed, torch.tensor(0.1))[..., 47, 47])
    torch.testing.assert_close(
        network(x, torch.tensor(0.1))[..., 47, 47], network(changed, torch.tensor(0.1))[..., 47, 47]
    )


def test_it_starts_at_zero_and_is_told_the_level_and_the_label() -> None:
    x, levels = images(3, 1, 12, 12), torch.tensor([0.1, 0.2, 0.1])
    network = UNet((1, 12, 12), 8, (1, 2), 1, n_classes=2)
    assert not network(x, levels).any()
    awake(network)
    answers = [network(x[:1], level, label) for level in levels[:2] for label in (0, 1, -1)]
    for i, answer in enumerate(answers):
        assert all(not torch.allclose(answer, other, atol=1e-4) for other in answers[:i])
    torch.testing.assert_close(network(x[:1], levels[0]), answers[2])
    each = network(x, levels, torch.tensor([1, -1, 0]))
    torch.testing.assert_close(each[1:2], network(x[1:2], levels[1], -1), rtol=1e-4, atol=1e-5)


def test_bf16_is_single_precision_but_for_rounding_and_float64_stays() -> None:
    network = awake(UNet((1, 16, 16), 16, (1, 2), 1))
    x, level = images(4, 1, 16, 16), torch.tensor(0.3)
    exact = network.double()(x.double(), level.double())
    assert exact.dtype == torch.float64
    network.float()
    torch.testing.assert_close(network(x, level), exact.float(), rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(x, level)
    assert rounded.dtype == torch.float32
    error = ((rounded - exact).square().mean().sqrt() / exact.std()).detach()
    assert 1e-4 < float(error) < 0.03


def test_gradients_are_those_of_differences() -> None:
    network = awake(UNet((1, 4, 4), 4, (1, 2), 1, n_classes=1)).double()
    x = images(1, 1, 4, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: network(x, torch.tensor(0.2).double(), 0), x)


def test_dropout_draws_in_training_alone() -> None:
    network = awake(UNet((1, 8, 8), 8, (1,), 1, dropout=0.5))
    x, level = images(2, 1, 8, 8), torch.tensor(0.1)
    assert network.draws
    assert torch.equal(network(x, level), network(x, level))
    network.train()
    with torch.random.fork_rng():
        assert not torch.equal(network(x, level), network(x, level))
    assert not UNet((1, 8, 8), 8, (1,), 1).draws


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shape": (5,)}, r"takes images, \(H, W\) or \(C, H, W\), not rows of shape \(5,\)"),
        ({"width": 0}, "width"),
        ({"multipliers": ()}, "multipliers must name at least one resolution"),
        ({"n_blocks": 0}, "n_blocks"),
        ({"patch": 0}, "patch"),
        ({"attention": -1}, "attention"),
        ({"dropout": 1.0}, "dropout must be below 1"),
        ({"n_classes": -1}, "n_classes"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        UNet(**{"shape": (1, 8, 8)} | settings)


def test_a_label_without_classes_is_refused() -> None:
    with pytest.raises(SettingError, match="make it with n_classes"):
        UNet((1, 8, 8), 8, (1,), 1)(images(1, 1, 8, 8), torch.tensor(0.1), 0)


def test_of_an_augmentation_zeros_say_nothing_and_the_rest_is_a_sum() -> None:
    network = awake(UNet((1, 8, 8), 8, (1,), 1, augmentation_dim=9, n_classes=2)).double()
    x, level = images(2, 1, 8, 8).double(), torch.tensor([0.1, 0.7]).double()
    told = torch.randn(2, 9, generator=generator()).double()
    assert torch.equal(network(x, level, 1), network(x, level, 1, augmentation=torch.zeros(2, 9).double()))
    assert not torch.allclose(network(x, level, 1), network(x, level, 1, augmentation=told))
    # a network that is not told, whose embedding the vectors' images under a matrix are added to
    untold = UNet((1, 8, 8), 8, (1,), 1, n_classes=2).double().eval()
    untold.load_state_dict(
        {name: weight for name, weight in network.state_dict().items() if "augmentation" not in name}
    )
    added = torch.einsum("nv,ev->ne", told, network.state_dict()["augmentation.weight"])
    untold.embedding.register_forward_hook(lambda module, given, answer: answer + added)
    torch.testing.assert_close(network(x, level, 1, augmentation=told), untold(x, level, 1))


def test_a_network_that_is_not_told_refuses_an_augmentation() -> None:
    with pytest.raises(SettingError, match="an augmentation was given to a network that is not told"):
        UNet((1, 8, 8), 8, (1,), 1)(images(1, 1, 8, 8), torch.tensor(0.1), augmentation=torch.zeros(1, 9))


def test_a_factory_takes_from_the_plan_what_it_leaves_open_and_is_plain_data() -> None:
    plan = make_plan(images(40, 3, 16, 16))
    factory = UNetFactory(width=12, multipliers=(1, 3), n_blocks=2)
    network = factory((3, 16, 16), plan, 4)
    assert (network.n_resolutions, network.n_blocks, network.n_classes) == (2, 2, 4)
    assert (network.patch, network.dropout) == (plan.patch, plan.dropout)
    for name, dim in (("none", 0), ("flips", 9), (Augmentation(scaling=0.1), 9)):
        told = factory((3, 16, 16), make_plan(images(40, 3, 16, 16), augmentation=name), 0).augmentation
        assert (0 if told is None else told.in_features) == dim
    kernels = [weight for name, weight in network.named_parameters() if name.endswith("second.weight")]
    assert [len(weight) for weight in kernels] == [12, 12, 36, 36, 12, 12]
    assert from_plain(to_plain(factory)) == factory
