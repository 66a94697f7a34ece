"""The network of posteriors: what is observed stands beside the parameters at its input."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ncsn.networks import ResidualMLP
from ncsn.plan import Plan


class ObservationAtInput(nn.Module):
    """A residual perceptron that takes the context beside the parameters, and also by the scales and shifts of its blocks.

    A posterior lies where the parameters go with the observation. By scales and shifts alone a network compares the two
    poorly; and sines of the input, which draw detail in few features, learn single simulations by heart.

    Args:
        shape: Shape of the parameters, ``(D,)``.
        context_dim: Numbers in a context.
        width: Width of the blocks.
        n_blocks: Number of residual blocks.
        dropout: Share of hidden units that training leaves out.
    """

    def __init__(
        self, shape: Sequence[int], context_dim: int, width: int = 128, n_blocks: int = 2, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dim, self.context_dim = math.prod(shape), context_dim
        self.perceptron = ResidualMLP(
            (self.dim + context_dim + 1,), width, n_blocks, dropout=dropout, context_dim=context_dim
        )

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers as it trains."""
        return self.perceptron.draws

    def forward(self, x: Tensor, noise: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the network's output, ``(N, D)``.

        Args:
            x: Scaled parameters, ``(N, D)``.
            noise: The noise level's coordinate, ``()`` or ``(N,)``.
            context: Contexts, ``(N, context_dim)``; rows of NaN and None stand for no context.
        """
        told = x.new_full((len(x), self.context_dim), torch.nan) if context is None else context.to(x)
        unknown = told.isnan().any(1, keepdim=True)
        rows = torch.cat([x, told.masked_fill(unknown, 0), unknown.to(x)], dim=1)
        answer: Tensor = self.perceptron(rows, noise, context=told)
        return answer[:, : self.dim]


def observation_at_input(shape: Sequence[int], plan: Plan, n_classes: int) -> nn.Module:
    """Make the network of a posterior by the settings of a plan."""
    return ObservationAtInput(shape, plan.context_dim, plan.width, plan.n_blocks, plan.dropout)
