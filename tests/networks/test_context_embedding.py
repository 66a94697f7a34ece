"""Contexts in both of the library's networks: a row of NaN is none, and each row is told its own."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ncsn import NCSN
from ncsn.errors import SettingError
from ncsn.networks import ContextEmbedding, ResidualMLP, UNet

SHAPE = (6, 5)


def network(kind: str, **told: Any) -> nn.Module:
    """Return a network whose answers are not 0, in double precision."""
    torch.manual_seed(0)
    made = ResidualMLP(SHAPE, 16, 2, **told) if kind == "mlp" else UNet(SHAPE, 8, (1, 2), 1, **told)
    with torch.no_grad():
        for weight in made.parameters():
            if not weight.any():
                weight.normal_(0, 0.1)
    return made.double().eval()


def rows() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x, noise, context = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((4, *SHAPE), (4,), (4, 3))
    )
    context[2] = torch.nan
    return x, noise, context


@pytest.mark.parametrize("kind", ["mlp", "unet"])
@pytest.mark.parametrize("n_classes", [0, 2])
def test_each_row_is_told_its_own_context_and_a_row_of_nan_none(kind: str, n_classes: int) -> None:
    net, (x, noise, context) = network(kind, context_dim=3, n_classes=n_classes), rows()
    label = torch.tensor([0, 1, -1, 1]) if n_classes else None
    together = net(x, noise, label, context)
    for i in range(4):
        told = None if i == 2 else context[i : i + 1]
        of_one = net(x[i : i + 1], noise[i : i + 1], None if label is None else label[i : i + 1], told)
        torch.testing.assert_close(together[i : i + 1], of_one)
    others = net(x, noise, label, context + 1)
    changed = (others - together).flatten(1).abs().amax(1) > 1e-6
    assert changed.tolist() == [True, True, False, True]


@pytest.mark.parametrize("kind", ["mlp", "unet"])
def test_rows_without_context_leave_the_gradients_finite(kind: str) -> None:
    net, (x, noise, context) = network(kind, context_dim=3), rows()
    net(x, noise, None, context).square().sum().backward()
    assert all(bool(weight.grad.isfinite().all()) for weight in net.parameters() if weight.grad is not None)
    nothing = net.get_parameter("context_embedding.nothing")
    assert nothing.grad is not None and float(nothing.grad.abs().max()) > 0


@pytest.mark.parametrize("kind", ["mlp", "unet"])
def test_a_context_that_does_not_fit_is_refused(kind: str) -> None:
    x, noise, context = rows()
    with pytest.raises(
        SettingError, match="a context was given to a network that takes none; make it with context_dim"
    ):
        network(kind)(x, noise, None, context)
    with pytest.raises(SettingError, match=r"contexts must have the shape \(N, 3\), not \(4, 2\)"):
        network(kind, context_dim=3)(x, noise, None, context[:, :2])
    with pytest.raises(SettingError, match="context_dim"):
        network(kind, context_dim=-1)


def test_what_stands_for_no_context_is_one_embedding() -> None:
    embedding = ContextEmbedding(2, 5)
    nn.init.normal_(embedding.nothing)
    nan = torch.tensor([[torch.nan, 1.0], [0.0, 0.0]])
    torch.testing.assert_close(embedding(nan)[0], embedding(None))


def test_images_are_drawn_given_contexts() -> None:
    rng = np.random.default_rng(0)
    grey = rng.uniform(50, 200, 40)
    x = (grey[:, None, None] + rng.normal(0, 5, (40, 8, 8))).astype(np.uint8)
    settings: dict[str, Any] = {"training_steps": 3, "width": 8, "n_blocks": 1, "batch_size": 8, "random_state": 0}
    model = NCSN(**settings).fit(x, context=grey)
    assert isinstance(model.score_model_.network, UNet)
    dark, light = (model.sample(2, context=level, steps=3, random_state=0) for level in (60.0, 190.0))
    assert dark.shape == (2, 8, 8) and dark.dtype == np.uint8
    # samples start about the mean that the context tells, which after three steps is next to nothing yet
    assert model.model_.moments.residual is not None
    assert not np.array_equal(dark, light)
