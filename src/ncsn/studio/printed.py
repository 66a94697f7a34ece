"""The NCSN page's network as it is printed there, with its faults, to be seen beside the sound one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class _RawSigmaEmbedding(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        half = dim // 2
        self.register_buffer("rates", torch.exp(-math.log(10_000) / (half - 1) * torch.arange(half)))

    def forward(self, sigma: Tensor) -> Tensor:
        angles = sigma[:, None] * self.get_buffer("rates")
        return torch.cat([angles.sin(), angles.cos()], dim=1)


class PrintedNetwork(nn.Module):
    """The page's network: sigma itself is embedded, and the raw score is asked of it, which spans orders of magnitude.

    Args:
        input_dim: Dimension D of the data.
        hidden_dims: Widths of the hidden layers.
        sigma_embed_dim: Length of the level's embedding.
    """

    def __init__(self, input_dim: int, hidden_dims: Sequence[int], sigma_embed_dim: int = 64) -> None:
        super().__init__()
        self.input_dim = input_dim
        self.embed = nn.Sequential(
            _RawSigmaEmbedding(sigma_embed_dim),
            nn.Linear(sigma_embed_dim, sigma_embed_dim),
            nn.SiLU(),
            nn.Linear(sigma_embed_dim, sigma_embed_dim),
        )
        layers: list[nn.Module] = []
        for a, b in pairwise([input_dim + sigma_embed_dim, *hidden_dims]):
            layers += [nn.Linear(a, b), nn.SiLU()]
        last = nn.Linear(hidden_dims[-1], input_dim)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.body = nn.Sequential(*layers, last)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the score, ``(N, D)``."""
        return self.body(torch.cat([x, self.embed(sigma.expand(len(x)))], dim=1))
