"""The average of a model's weights, over a fixed share of its training however long that is."""

import copy

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

LENGTH = 0.1
"""Standard deviation of the average in time, as a share of the steps so far."""


class MovingAverage:
    """Power-function average of a model's weights: those of step i of n count as (i / n)^gamma.

    It forgets the first weights at once, and needs not be told how long the training will be (Karras et al. 2024, section 3.1;
    with Song & Ermon 2020, technique 5, it has in common that samples come from averaged weights). Buffers, such as batch
    statistics, are taken as they are.

    Args:
        model: The model whose weights are averaged.
        length: Standard deviation of the average in time, as a share of the steps so far, above 0 and below 0.28.

    Attributes:
        model: The model with averaged weights.
        updates: How many weights are in it.
    """

    def __init__(self, model: nn.Module, length: float = LENGTH) -> None:
        self.power = power_of(length) + 1
        self.updates = 0
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._weights = list(self.model.parameters()), list(model.parameters())
        self._buffers = list(self.model.buffers()), list(model.buffers())

    def update(self) -> None:
        """Take the model's present weights into the average."""
        self.updates += 1
        kept = (1 - 1 / self.updates) ** self.power
        with torch.no_grad():
            get_ema_multi_avg_fn(kept)(*self._weights, None)
            for average, value in zip(*self._buffers, strict=True):
                average.copy_(value)


def power_of(length: float) -> float:
    """Return gamma, at least 0, of the average whose relative standard deviation is ``length`` (Karras et al. 2024, eq. 126).

    >>> round(power_of(0.1), 2)
    6.94
    """
    # (gamma + 1) / ((gamma + 2)^2 (gamma + 3)) = length^2, of which one root is not negative
    return float(np.roots([1, 7, 16 - length**-2, 12 - length**-2]).real.max())
