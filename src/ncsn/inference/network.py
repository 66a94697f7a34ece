"""The network of posteriors: what is observed stands beside the parameters at its input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ncsn.errors import SettingError, check_count
from ncsn.networks import ResidualMLP
from ncsn.plan import Plan
from ncsn.score import NO_CONTEXT, is_no_context


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
        exchangeable: Number of equal parts of the context whose order means nothing: training draws it anew for each row.
        n_summaries: Numbers of the context before these parts.

    Raises:
        SettingError: The context does not have so many equal parts.
    """

    def __init__(
        self,
        shape: Sequence[int],
        context_dim: int,
        width: int = 128,
        n_blocks: int = 2,
        dropout: float = 0.0,
        exchangeable: int = 1,
        n_summaries: int = 0,
    ) -> None:
        super().__init__()
        check_count("exchangeable", exchangeable)
        check_count("n_summaries", n_summaries, 0)
        in_parts = context_dim - n_summaries
        if in_parts < 0 or in_parts % exchangeable:
            raise SettingError(f"a context of {in_parts} numbers has no {exchangeable} equal parts")
        self.dim, self.context_dim, self.exchangeable = math.prod(shape), context_dim, exchangeable
        self.n_summaries = n_summaries
        self.perceptron = ResidualMLP(
            (self.dim + context_dim + 1,), width, n_blocks, dropout=dropout, context_dim=context_dim
        )

    def forward(self, x: Tensor, noise: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the network's output, ``(N, D)``.

        Args:
            x: Scaled parameters, ``(N, D)``.
            noise: The noise level's coordinate, ``()`` or ``(N,)``.
            context: Contexts, ``(N, context_dim)``; rows of NaN and None stand for no context.
        """
        told = x.new_full((len(x), self.context_dim), NO_CONTEXT) if context is None else context.to(x)
        if self.training and self.exchangeable > 1:
            order = torch.rand(len(x), self.exchangeable, device=x.device).argsort(1)
            summaries, parts = told.split([self.n_summaries, self.context_dim - self.n_summaries], dim=1)
            parts = parts.reshape(len(x), self.exchangeable, -1)
            drawn = parts.gather(1, order[..., None].expand_as(parts)).reshape(len(x), -1)
            told = torch.cat([summaries, drawn], dim=1)
        unknown = is_no_context(told)[:, None]
        rows = torch.cat([x, told.masked_fill(unknown, 0), unknown.to(x)], dim=1)
        answer: Tensor = self.perceptron(rows, noise, context=told)
        return answer[:, : self.dim]


@dataclass(frozen=True)
class ObservationFactory:
    """Makes an `ObservationAtInput` by the settings of a plan.

    Args:
        exchangeable, n_summaries: As there.
    """

    exchangeable: int = 1
    n_summaries: int = 0

    def __call__(self, shape: Sequence[int], plan: Plan, n_classes: int) -> nn.Module:
        """Return the network of parameters of a shape."""
        sizes = plan.width, plan.n_blocks, plan.dropout
        return ObservationAtInput(
            shape, plan.context_dim, *sizes, exchangeable=self.exchangeable, n_summaries=self.n_summaries
        )
