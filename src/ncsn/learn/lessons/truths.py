"""What the truths of several lessons rest on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

__all__ = ["gradient_of_log_density"]


def gradient_of_log_density(distribution: Distribution, x: Tensor) -> Tensor:
    """Return the gradient of the log-density at each row of ``x``, by autograd."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(distribution.log_prob(x).sum(), x)[0]
