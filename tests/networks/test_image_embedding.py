"""Contexts that are images in both of the library's networks: each row is told its own, and one of NaN is none."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ncsn.errors import SettingError
from ncsn.networks import ImageEmbedding, ResidualMLP, UNet

SHAPE = (2, 8, 12)


def network(kind: str, **told: Any) -> nn.Module:
    """Return a network whose answers are not 0, in double precision."""
    torch.manual_seed(0)
    made = ResidualMLP(SHAPE, 16, 2, **told) if kind == "mlp" else UNet(SHAPE, 8, (1, 2), 1, **told)
    with torch.no_grad():
        for weight in made.parameters():
            if not weight.any():
                weight.normal_(0, 0.1)
    return made.double().eval()


def rows(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x, noise, context = (
        torch.randn(each, generator=generator, dtype=torch.float64) for each in ((4, *SHAPE), (4,), (4, *shape))
    )
    context[2] = torch.nan
    return x, noise, context


@pytest.mark.parametrize(
    ("kind", "shape", "beside"),
    [("mlp", (3, 5, 7), 0), ("unet", (5, 7), 0), ("unet", (8, 12), 1), ("unet", (3, 4, 6), 2)],
)
def test_each_row_is_told_its_own_image_and_one_of_nan_none(kind: str, shape: tuple[int, ...], beside: int) -> None:
    told = {"context_beside": beside} if beside else {}
    net, (x, noise, context) = network(kind, context_shape=shape, context_width=4, **told), rows(*shape)
    together = net(x, noise, None, context)
    for i in range(4):
        one = None if i == 2 else context[i : i + 1]
        torch.testing.assert_close(together[i : i + 1], net(x[i : i + 1], noise[i : i + 1], None, one))
    changed = (net(x, noise, None, context + 1) - together).flatten(1).abs().amax(1) > 1e-6
    assert changed.tolist() == [True, True, False, True]
    together.square().sum().backward()
    assert all(bool(weight.grad.isfinite().all()) for weight in net.parameters() if weight.grad is not None)


def test_a_pixel_beside_the_image_is_told_where_it_is() -> None:
    net = network("unet", context_shape=(4, 6), context_width=4, context_beside=2)
    assert isinstance(net, UNet) and net.context_embedding is not None
    # without what the embedding tells, and what attention carries further
    with torch.no_grad():
        net.get_parameter(f"context_embedding.layers.{len(net.context_embedding.layers) - 1}.weight").zero_()
        net.get_parameter("middle.0.attention.after.weight").zero_()
    x, noise, context = rows(4, 6)
    other = context.clone()
    other[0, 0, 0] += 1
    change = (net(x, noise, None, other) - net(x, noise, None, context))[0].abs().amax(0)
    assert change[:2, :2].min() > 1e-4 and change[:2, :2].max() > change[:, 9:].max()


def test_an_encoder_sees_where_a_spot_is() -> None:
    torch.manual_seed(0)
    embedding = ImageEmbedding((16, 16), 8).double()
    spots = torch.zeros(2, 16, 16, dtype=torch.float64)
    spots[0, 2, 2] = spots[1, 12, 9] = 1.0
    told = embedding(spots)
    assert not torch.allclose(told[0], told[1])
    assert torch.equal(embedding(None), embedding.nothing)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (
            {"context_shape": (4, 4), "context_beside": 2},
            r"contexts of shape \(4, 4\), 2 times as large, do not stand beside",
        ),
        ({"context_shape": (4,)}, r"a row of numbers or an image, \(H, W\) or \(C, H, W\), not \(4,\)"),
        ({"context_shape": (4, 4), "context_width": 0}, "context_width"),
        ({"context_shape": (4, 4), "context_beside": -1}, "context_beside"),
    ],
)
def test_contexts_that_do_not_fit_are_refused(told: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        network("unet", **told)


def test_images_of_another_shape_are_refused() -> None:
    x, noise, context = rows(5, 7)
    with pytest.raises(SettingError, match=r"contexts must have the shape \(N, 8, 8\), not \(4, 5, 7\)"):
        network("mlp", context_shape=(8, 8))(x, noise, None, context)
