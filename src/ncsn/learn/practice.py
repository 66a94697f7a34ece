"""What the notebooks use: a training loop, shares of modes, and a distance that they do not drown."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ncsn.evaluation import sliced_wasserstein2

__all__ = ["share_at_first", "train", "within_modes"]


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


def share_at_first(x: Tensor, modes: Tensor) -> float:
    """Return the share of points to which the first of some modes is nearest.

    Args:
        x: Points ``(N, D)``.
        modes: Centres ``(K, D)``.

    >>> share_at_first(torch.tensor([[-6.0], [4.0], [6.0], [9.0]]), torch.tensor([[-5.0], [5.0]]))
    0.25
    """
    return float((_nearest(x, modes) == 0).double().mean())


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
    one, other = (cloud - modes.to(cloud)[_nearest(cloud, modes)] for cloud in (x, others))
    return sliced_wasserstein2(one, other)


def _nearest(x: Tensor, modes: Tensor) -> Tensor:
    return torch.cdist(x, modes.to(x)).argmin(dim=1)
