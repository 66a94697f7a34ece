"""UNets of diffusers as networks F: trained with labels, and sampled with and without."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ncsn import NCSN, DiffusersNetwork
from ncsn.errors import SettingError


def unet(**changes: Any) -> nn.Module:
    sizes: dict[str, Any] = {"layers_per_block": 1, "block_out_channels": (8,), "norm_num_groups": 4, "sample_size": 4}
    blocks: dict[str, Any] = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)}
    made: nn.Module = diffusers.UNet2DModel(**{"in_channels": 1, "out_channels": 1} | sizes | blocks | changes)
    return made


class Told(nn.Module):
    """What answers as a UNet does, and keeps what it is told."""

    def __init__(self, embedding: nn.Module | None) -> None:
        super().__init__()
        self.class_embedding = embedding
        self.seen: list[tuple[tuple[int, ...], list[float], list[int] | None]] = []

    def forward(self, x: Tensor, time: Tensor, class_labels: Tensor | None = None) -> Any:
        codes = None if class_labels is None else class_labels.tolist()
        self.seen.append((tuple(x.shape), time.tolist(), codes))
        return SimpleNamespace(sample=2 * x)


IMAGES = np.random.default_rng(0).random((20, 4, 4))


def test_levels_images_and_labels_are_brought_to_the_unets_ways() -> None:
    told = Told(nn.Embedding(4, 2))
    network = DiffusersNetwork(told, time_scale=10.0)
    x = torch.ones(3, 4, 4)
    assert torch.equal(network(x, torch.tensor(0.5), torch.tensor([2, -1, 0])), 2 * x)
    network(x.reshape(3, 1, 4, 4), torch.tensor([0.1, 0.2, 0.3]), torch.tensor(1))
    # without a label of none
    network(x, torch.tensor(0.5))
    shape = (3, 1, 4, 4)
    assert told.seen[0] == (shape, [5.0] * 3, [3, 0, 1])
    assert (told.seen[1][0], told.seen[1][2]) == (shape, [2, 2, 2])
    assert told.seen[1][1] == pytest.approx([1.0, 2.0, 3.0])
    assert told.seen[2] == (shape, [5.0] * 3, [0, 0, 0])


def test_a_unet_without_classes_is_told_of_none_unless_there_are() -> None:
    told = Told(None)
    DiffusersNetwork(told)(torch.ones(2, 4, 4), torch.tensor(0.5))
    assert told.seen[-1][2] is None
    # what has classes of its own ways is told too
    DiffusersNetwork(told)(torch.ones(2, 4, 4), torch.tensor(0.5), torch.tensor([0, 1]))
    assert told.seen[-1][2] == [1, 2]


def test_a_class_conditional_unet_is_sampled_with_a_label_and_without() -> None:
    kinds = np.arange(20) % 3
    network = DiffusersNetwork(unet(num_class_embeds=4))
    model = NCSN(network=network, training_steps=2, batch_size=8, random_state=0).fit(IMAGES, kinds)
    for how in ({}, {"label": 2}, {"label": 2, "guidance": 2.0}, {"label": [0, 1, 2]}):
        samples = model.sample(3, steps=3, **how)
        assert samples.shape == (3, 4, 4)
        assert np.isfinite(samples).all()
    assert np.isfinite(model.score_function(IMAGES[:2], 1.0)).all()


def test_a_unet_without_classes_is_trained_without() -> None:
    model = NCSN(network=DiffusersNetwork(unet()), training_steps=2, batch_size=8, random_state=0).fit(IMAGES)
    assert np.isfinite(model.sample(3, steps=3)).all()


@pytest.mark.parametrize("embeddings", [None, 3])
def test_a_unet_of_fewer_classes_than_there_are_is_refused(embeddings: int | None) -> None:
    network = DiffusersNetwork(unet(num_class_embeds=embeddings))
    with pytest.raises(SettingError, match=r"network\(x, c_noise, label=label\) .* fails: "):
        NCSN(network=network, training_steps=1, random_state=0).fit(IMAGES, np.arange(20) % 3)
