"""A training loop of one's own, as the page writes it: one step at a time, on the data as they are."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.errors import DataError, DivergenceError
from ncsn.losses import ncsn_loss
from ncsn.networks.contract import trainable
from ncsn.randomness import seed_of
from ncsn.training import MovingAverage

__all__ = ["Stepper", "page_setting"]

PAGE_DEFAULTS = {"sigma_min": 0.01, "sigma_max": 10.0, "n_sigmas": 10, "lr": 1e-3}
"""What None stands for where there was no `fit`, so no data to choose from."""


def page_setting(settings: Any, name: str) -> Any:
    """Return an attribute, or the page's value where it is None."""
    value = getattr(settings, name)
    return PAGE_DEFAULTS[name] if value is None else value


class Stepper:
    """Trains a score model step by step with Adam, and averages its weights (Song & Ermon 2020, technique 5).

    Args:
        score_net: The score model; it is trained in place.
        sigmas: The discrete noise levels.
        lr: Learning rate.
        random_state: Source of levels and noise; torch's default generator when None.

    Raises:
        ValueError: The score model has no weights to train, or ``lr`` is negative.
    """

    def __init__(self, score_net: nn.Module, sigmas: Tensor, lr: float, random_state: Any = None) -> None:
        self.score_net = trainable(score_net)
        self.sigmas = sigmas
        self.optimizer = torch.optim.Adam(score_net.parameters(), lr=lr)
        self.average = MovingAverage(score_net, 0.999)
        self.generator: torch.Generator | None = None
        if random_state is not None:
            device = next(score_net.parameters()).device
            self.generator = torch.Generator(device).manual_seed(seed_of(random_state))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row.

        Raises:
            ValueError: The score model does not say.
        """
        input_dim = getattr(self.score_net, "input_dim", None)
        if input_dim is None:
            raise ValueError("sample needs score_net.input_dim, the number of columns; or call fit(X)")
        return (input_dim,)

    def step(self, x: Tensor) -> float:
        """Take one step on clean rows, ``(N, D)``, and return the loss.

        Raises:
            DataError: ``x`` is no tensor of floating-point rows.
            DivergenceError: The loss is not finite; the weights are left as they were.
        """
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 2 or not len(x):
            given = f"{x.dtype} of shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise DataError(f"train_step takes a tensor of floating-point rows, (N, D), not {given}")
        self.score_net.train()
        self.optimizer.zero_grad()
        # large levels place the mass among the modes: with sigma^2 alone they count too little to do it well
        loss = ncsn_loss(self.score_net, x, self.sigmas, weighting="edm", generator=self.generator)
        value = loss.item()
        if not math.isfinite(value):
            raise DivergenceError("the loss is not finite: check the batch for extreme values, or lower lr")
        loss.backward()
        self.optimizer.step()
        self.average.update()
        return value
