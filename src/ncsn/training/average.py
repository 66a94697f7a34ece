"""The moving average of a model's weights (Song & Ermon 2020, technique 5)."""

import copy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage:
    """Exponential moving average of a model's weights, which forgets its first values faster and the very first at once.

    Buffers, such as batch statistics, are taken as they are.

    Args:
        model: The model whose weights are averaged.
        decay: Share of the average that each update keeps, once it is long.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._weights = list(self.model.parameters()), list(model.parameters())
        self._buffers = list(self.model.buffers()), list(model.buffers())

    def update(self) -> None:
        """Take the model's present weights into the average."""
        decay = min(self.decay, self.updates / (self.updates + 9))
        self.updates += 1
        with torch.no_grad():
            get_ema_multi_avg_fn(decay)(*self._weights, None)
            for average, value in zip(*self._buffers, strict=True):
                average.copy_(value)
