"""What the exercises on losses share: denoising score matching with its switches, and how a loss is observed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.learn.declarations import Function, Mistake, Unfit

__all__ = ["DENOISING_MISTAKES", "REDUCTIONS", "REDUCTION_MISTAKES", "denoising_loss", "loss_and_gradient"]

REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": torch.mean,
    "sum": torch.sum,
    "rows": lambda values: values.sum(1).mean(),
    "columns": lambda values: values.sum(0).mean(),
    "root": lambda values: values.mean().sqrt(),
}

REDUCTION_MISTAKES = (
    Mistake(
        "a sum over the dimensions: take the mean over all entries, so that losses compare between dimensions.",
        {"reduce": "rows"},
    ),
    Mistake("a sum over all entries: take the mean, so that losses compare between batches.", {"reduce": "sum"}),
    Mistake("a sum over the batch: take the mean over all entries.", {"reduce": "columns"}),
    Mistake("the root of the mean square: the loss is the mean square itself.", {"reduce": "root"}),
    Mistake(
        "the absolute error: without the square, the optimum is a median and not the mean that the score is.",
        {"residual": torch.abs},
    ),
)
"""What goes wrong between an error and its mean square."""

_FOG = "noise scaled by sigma squared for sigma: sigma is the noise's standard deviation, and its square the variance."
_ROOT = "noise scaled by the root of sigma: sigma already is the standard deviation."
_THICK = "noise added without sigma: noisy points lie sigma times the noise away."

DENOISING_MISTAKES = (
    Mistake(
        "a turned sign in the target: the arrow points from the noisy point back to the clean one.",
        {"sign": 1},
    ),
    Mistake(
        "a target of -noise: you are off by exactly sigma. That is the target of a network that predicts noise.",
        {"target": 0},
    ),
    Mistake(
        "a target divided by sigma once too often: noisy - x already is sigma times the noise.",
        {"target": -2},
    ),
    Mistake("a target of x - noisy that is not divided by sigma squared.", {"target": 1}),
    Mistake("a score taken at the clean points: the loss asks at the noisy ones.", {"place": "clean"}),
    # where the target is taken from the noisy points, what is wrong with these is wrong with it, too
    Mistake(_THICK, {"fog": 0}),
    Mistake(_THICK, {"fog": 0, "target": -2}),
    Mistake(_FOG, {"fog": 2}),
    Mistake(_FOG, {"fog": 2, "target": 0}),
    Mistake(_ROOT, {"fog": 0.5}),
    Mistake(_ROOT, {"fog": 0.5, "target": -1.5}),
    Mistake("noise that is subtracted, while the target takes it as added.", {"away": -1}),
    Mistake("noise of its own: take the noise that is given, because the target is made of it.", {"own": True}),
    *REDUCTION_MISTAKES,
)
"""What goes wrong in `denoising_loss`."""


def denoising_loss(
    score: Function,
    x: Tensor,
    noise: Tensor,
    level: Any,
    *,
    place: str = "noisy",
    fog: float = 1,
    away: float = 1,
    sign: float = -1,
    target: float = -1,
    weight: float = 0,
    own: bool = False,
    residual: Callable[[Tensor], Tensor] = torch.square,
    reduce: str = "mean",
) -> Tensor:
    """Return the mean of level^weight (score - target)^2 over all entries, where the target is -noise / level.

    Args:
        score: Called with points ``(N, D)``.
        x: Clean points ``(N, D)``.
        noise: Noise like ``x``.
        level: A number, or ``(N, 1)``.
        place: ``clean`` asks for the score there.
        fog: Power of the level before the noise that is added.
        away: Sign of the noise that is added.
        sign: Sign of the target.
        target: Power of the level in the target.
        weight: Power of the level that weights the squares.
        own: Whether it draws noise of its own.
        residual: What is done with the differences.
        reduce: A name among `REDUCTIONS`.
    """
    noise = torch.randn_like(noise) if own else noise
    points = x if place == "clean" else x + away * level**fog * noise
    return REDUCTIONS[reduce](level**weight * residual(score(points) - sign * level**target * noise))


def loss_and_gradient(function: Function, network: nn.Module, *rest: Any) -> dict[str, Tensor]:
    """Return the loss and its gradient, which is what trains.

    Raises:
        Unfit: It is no loss to train with.
    """
    loss = function(network, *rest)
    if not isinstance(loss, Tensor):
        told = "a number" if isinstance(loss, float | int) else f"a {type(loss).__name__}"
        raise Unfit(
            f"should return a tensor without axes, not {told}: .item() and float(...) cut the loss off from the network, "
            "so that nothing can be trained with it"
        )
    if loss.ndim:
        raise Unfit(
            f"should return one number for the whole batch, not the shape {tuple(loss.shape)}: a mean is missing"
        )
    if not loss.requires_grad:
        raise Unfit("returns a loss that knows nothing of the network's weights, so nothing can be trained with it")
    gradient = torch.autograd.grad(loss, list(network.parameters()))
    return {"the loss": loss.detach(), "the gradient of the loss": torch.cat([each.flatten() for each in gradient])}
