"""A score network of the user's own: whether it can be trained and keeps the contract of `score.ScoreModel`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["check_contract", "trainable"]


def trainable(score_net: Any) -> nn.Module:
    """Return the network, if it is one that can be trained.

    Raises:
        ValueError: It is no module, or has no weights to train.
    """
    if not isinstance(score_net, nn.Module) or not any(weight.requires_grad for weight in score_net.parameters()):
        raise ValueError(f"score_net must be a torch.nn.Module with weights to train, not {type(score_net).__name__}")
    return score_net


def check_contract(score_net: nn.Module, rows: Tensor, labels: Tensor | None) -> None:
    """Call a score network once, on a few rows, before it is trained on many.

    Raises:
        ValueError: The call fails, or returns no score.
    """
    condition = {} if labels is None else {"label": labels}
    call = f"score_net(x, sigma{', label=label' if condition else ''}) on rows of shape {tuple(rows.shape[1:])}"
    try:
        with torch.no_grad():
            score = score_net.eval()(rows, torch.ones(len(rows)), **condition)
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{call} fails: {first}") from error
    if not isinstance(score, Tensor) or score.shape != rows.shape:
        returned = tuple(score.shape) if isinstance(score, Tensor) else type(score).__name__
        raise ValueError(f"{call} must return a score of shape {tuple(rows.shape)}, not {returned}")
