"""The optimisers: Muon for the matrices that a network names, AdamW for all else."""

from typing import Any

import torch
from torch import nn


def make_optimizers(model: nn.Module, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Return the optimisers of a score model's weights.

    What the network names by its method ``matrices`` is trained by Muon (Jordan et al. 2024), whose step is the momentum with
    all its singular values made equal, as large as a step of AdamW (Liu et al. 2025): of convolutions it learns as much in two
    thirds of the time.

    Args:
        model: The score model.
        learning_rate: The highest learning rate.
    """
    network: Any = getattr(model, "network", None)
    matrices: list[nn.Parameter] = network.matrices() if hasattr(network, "matrices") else []
    named = set(map(id, matrices))
    rest = [weight for weight in model.parameters() if id(weight) not in named]
    adam = torch.optim.AdamW(rest, lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    if not matrices:
        return [adam]
    return [adam, torch.optim.Muon(matrices, lr=learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")]
