"""A small training: its data, its model and its recipe."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ncsn.networks import PreconditionedScore, ResidualMLP
from ncsn.noise import Geometric
from ncsn.training import Batches, Progress, Recipe, Trainer

RECIPE = Recipe(
    Geometric(sigma_min=0.05, sigma_max=5.0), steps=60, batch_size=32, learning_rate=3e-3, warm_up=10, seed=5
)


def two_clusters(n: int = 200) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    signs = 2.0 * torch.randint(0, 2, (n, 1), generator=generator) - 1
    return signs * torch.tensor([0.9, 0.8]) + 0.1 * torch.randn(n, 2, generator=generator)


def small_model(n_classes: int = 0, dropout: float = 0.0) -> PreconditionedScore:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return PreconditionedScore(ResidualMLP((2,), 16, 1, dropout=dropout, n_classes=n_classes))


def same(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def interrupt_at(step: int) -> Any:
    def callback(progress: Progress) -> None:
        if progress.step >= step:
            raise KeyboardInterrupt

    return callback


def held_out_rows(n: int = 30, labels: bool = False) -> Batches:
    """Return rows like those of `two_clusters`, and none of them."""
    data = two_clusters(200 + n)[200:]
    return Batches(data, (data[:, 0] > 0).long() if labels else None)


def trainer_of(dropout: float = 0.0, labels: bool = False, recipe: Recipe = RECIPE, held_out: bool = False) -> Trainer:
    data = two_clusters()
    codes = (data[:, 0] > 0).long() if labels else None
    watched = held_out_rows(labels=labels) if held_out else None
    return Trainer(small_model(2 if labels else 0, dropout), data, recipe, codes, held_out=watched)
