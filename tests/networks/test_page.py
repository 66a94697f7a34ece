"""The page's network against its definition."""

from typing import Any

import pytest
import torch
from torch import nn

from ncsn.errors import SettingError
from ncsn.networks import NCSNScoreNetwork

from .common import SIGMAS, Recorder, points, score_networks


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
    with pytest.raises(SettingError, match="hidden_dims must name the width of at least one hidden layer"):
        NCSNScoreNetwork(2, [])
    with pytest.raises(SettingError, match="the embedding's dim must be even and at least 4, not 5"):
        NCSNScoreNetwork(2, [8], 5)


def test_activations_are_overwritten_only_without_gradients() -> None:
    network, x = score_networks()[0], points(40, 3)
    with Recorder() as recorder:
        network(x, SIGMAS[1])
    assert len(recorder.sizes("silu_")) == 0
    with torch.no_grad(), Recorder() as recorder:
        network(x, SIGMAS[1])
    assert recorder.sizes("silu_") == [torch.Size([40, 32]), torch.Size([40, 16])]
