"""What the notebooks use and have already shown: a training loop, and a distance that shares of modes do not drown."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ncsn.evaluation import sliced_wasserstein2

__all__ = ["train", "within_modes"]


def train(
    network: nn.Module,
    data: Tensor,
    loss_of: Callable[[Tensor], Tensor],
    *,
    n_steps: int = 1500,
    batch: int = 512,
    rate: float = 6e-3,
) -> float:
    """Train a network in place by Adam, with a learning rate that rises and falls, and freeze it.

    Batches are drawn from torch's default generator.

    Args:
        network: What is trained.
        data: Points ``(N, D)``.
        loss_of: Called with a batch, it returns the loss.
        n_steps: Number of steps.
        batch: Points in a batch.
        rate: The largest learning rate.

    Returns:
        The mean loss of the last tenth of the steps.
    """
    optimizer = torch.optim.Adam(network.parameters())
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=n_steps, pct_start=0.1)
    losses = []
    for _ in range(n_steps):
        loss = loss_of(data[torch.randint(len(data), (batch,))])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
        losses.append(loss.item())
    network.requires_grad_(False).eval()
    last = losses[-max(1, n_steps // 10) :]
    return sum(last) / len(last)


def within_modes(x: Tensor, others: Tensor, modes: Tensor) -> float:
    """Return the sliced Wasserstein distance of two clouds, each point seen from the nearest mode.

    How many points lie at which mode varies from draw to draw, and drowns all else in a distance between whole clouds; here it
    does not count.

    Args:
        x: Points ``(N, D)``.
        others: Points ``(M, D)``.
        modes: Centres ``(K, D)``.

    >>> modes = torch.tensor([[-5.0], [5.0]])
    >>> x = torch.tensor([[-6.0], [-4.0], [4.0], [6.0]])
    >>> within_modes(x[:2], x[2:], modes), within_modes(x[:2], 2 * x[2:] - 5, modes) > 0.9
    (0.0, True)
    """
    one, other = (cloud - modes.to(cloud)[torch.cdist(cloud, modes.to(cloud)).argmin(dim=1)] for cloud in (x, others))
    return sliced_wasserstein2(one, other)
