"""A training loop of one's own, as the page writes it: one step at a time, on the data as they are."""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from ncsn.data import Encoding
from ncsn.errors import DataError, DivergenceError, SettingError
from ncsn.losses import ncsn_loss
from ncsn.methods import METHODS
from ncsn.model.model import Model
from ncsn.model.moments import Moments
from ncsn.networks.contract import say_what_is_trained, trainable
from ncsn.plan import PageSettings, Plan
from ncsn.randomness import seed_of
from ncsn.threads import threads_that_pay
from ncsn.training import MovingAverage


class Stepper:
    """Trains a score model step by step with Adam, and averages its weights (Song & Ermon 2020, technique 5).

    Args:
        score_net: The score model; it is trained in place.
        settings: The noise levels and the learning rate.
        random_state: Source of levels and noise; torch's default generator when None.

    Raises:
        SettingError: The score model has no weights to train, or a setting is out of range.
    """

    def __init__(self, score_net: nn.Module, settings: PageSettings, random_state: Any = None) -> None:
        self.score_net = trainable(score_net)
        say_what_is_trained(score_net)
        self.settings = settings
        self.sigmas = settings.sigmas
        self.optimizer = torch.optim.Adam(score_net.parameters(), lr=settings.learning_rate, fused=True)
        self.average = MovingAverage(score_net)
        self.generator: torch.Generator | None = None
        if random_state is not None:
            device = next(score_net.parameters()).device
            self.generator = torch.Generator(device).manual_seed(seed_of(random_state))

    @property
    def model(self) -> Model:
        """The model as trained so far, with averaged weights, on tensors of rows as they are.

        Raises:
            SettingError: The score model does not say how many columns it takes.
        """
        input_dim = getattr(self.score_net, "input_dim", None)
        if input_dim is None:
            raise SettingError("sample needs score_net.input_dim, the number of columns; or call fit(X)")
        encoding, moments = Encoding.identity((input_dim,)), Moments.none((input_dim,))
        # the page's settings have what sampling asks for
        plan = cast(Plan, self.settings)
        return Model(encoding, plan, METHODS["ncsn"], self.average.model, moments, [], "score_net")

    def step(self, x: Tensor) -> float:
        """Take one step on clean rows, ``(N, D)``, and return the loss.

        Raises:
            DataError: ``x`` is no tensor of floating-point rows.
            DivergenceError: The loss is not finite; the weights are left as they were.
        """
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 2 or not len(x):
            given = f"{x.dtype} of shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise DataError(f"train_step takes a tensor of floating-point rows, (N, D), not {given}")
        with threads_that_pay(self.score_net, len(x)):
            return self._step(x)

    def _step(self, x: Tensor) -> float:
        if not self.score_net.training:
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
