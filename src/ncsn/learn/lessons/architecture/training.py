"""Exercises 2.4 and 2.7: the loss over many noise levels, and a step of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from ncsn.learn.declarations import Case, Exercise, Function, Mistake, attempted
from ncsn.learn.lessons.shapes import telling_shapes
from ncsn.losses import denoising_score_matching
from ncsn.score import expand_sigma

__all__ = ["LOSS", "STEP"]

_LEARNING_RATE = 0.05


class LinearScore(nn.Module):
    """A score model with weights to train, that answers to each row's level.

    Args:
        dim: Dimension of the points.
        generator: Source of its weights.
        dtype: Their type.
    """

    def __init__(self, dim: int, generator: torch.Generator, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(dim, dim, generator=generator, dtype=dtype))
        self.bias = nn.Parameter(torch.randn(dim, generator=generator, dtype=dtype))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the score ``(N, D)``; ``sigma`` is ``(N,)`` or one number."""
        return (x @ self.weight + self.bias) / (0.5 + expand_sigma(sigma, x))


# 2.4


def loss_truth(score_model: nn.Module, x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Return the weighted denoising loss, the conditional score being autograd of the noise's log-density."""
    level = sigma[:, None]
    noisy = (x + level * noise).requires_grad_()
    target = torch.autograd.grad(Normal(x, level.expand_as(x)).log_prob(noisy).sum(), noisy)[0]
    gap = score_model(noisy.detach(), sigma) - target
    return (level**2 * gap**2).sum() / gap.numel()


def loss_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make score models, points, one level for each, and noise."""
    for name, n, dim, dtype in (
        ("a batch of one", 1, 1, torch.float32),
        ("7 points in the plane", 7, 2, torch.float32),
        ("4 points in 4 dimensions, where a wrong broadcast goes unnoticed", 4, 4, torch.float32),
        ("1,000 points in 5 dimensions", 1000, 5, torch.float32),
        ("double precision", 6, 3, torch.float64),
    ):
        x, noise = torch.randn(2, n, dim, generator=generator, dtype=dtype)
        sigma = 0.1 + 2 * torch.rand(n, generator=generator, dtype=dtype)
        model = LinearScore(dim, generator, dtype)
        yield Case(name, (model, x, sigma, noise), 1e-11 if dtype == torch.float64 else None)


def loss_reference(score_model: Callable[[Tensor, Tensor], Tensor], x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Return the denoising score matching loss, each row at its own level and weighted by its square."""
    return denoising_score_matching(score_model, x, sigma, noise).mean()


_SHAPES = telling_shapes("the levels (N,) go with the rows of (N, D), so they need a second axis of length 1")


def loss_and_gradient(function: Function, score_model: nn.Module, *rest: Any) -> dict[str, Tensor]:
    """Return the loss and its gradient, which is what trains."""
    loss = _SHAPES(function, score_model, *rest)
    if not isinstance(loss, Tensor):
        raise TypeError(f"the loss should be a tensor of one number, so that it can be trained with, not {type(loss)}")
    if loss.ndim:
        raise ValueError(f"the loss should be one number for the whole batch, not of shape {tuple(loss.shape)}")
    if not loss.requires_grad:
        raise RuntimeError("the loss knows nothing of the network's weights, so nothing can be trained with it")
    gradient = torch.autograd.grad(loss, list(score_model.parameters()))
    return {"the loss": loss.detach(), "the gradient of the loss": torch.cat([each.flatten() for each in gradient])}


def _loss_with(
    gap: Callable[[Tensor, Tensor, Tensor], Tensor],
    reduce: Callable[[Tensor], Tensor] = torch.mean,
) -> Function:
    """Return a loss with another weighted error than it should have, called with the score, levels (N, 1) and noise."""

    def loss(score_model: nn.Module, x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
        level = sigma[:, None]
        return reduce(gap(score_model(x + level * noise, sigma), level, noise).square())

    return loss


def _all_pairs(score_model: nn.Module, x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    gap = score_model(x + sigma[:, None] * noise, sigma) + noise / sigma[:, None]
    return (sigma.square()[:, None] * gap.square().mean(1)).mean()


LOSS = Exercise(
    number="2.4",
    title="denoising score matching over many levels",
    name="dsm_loss",
    cases=loss_cases,
    truth=loss_truth,
    reference=loss_reference,
    against="a loss whose target is autograd of the noise's log-density, in value and gradient",
    tolerance=1e-4,
    observe=loss_and_gradient,
    mistakes=(
        Mistake(
            "a turned sign in the target: the arrow points from the noisy point back to the clean one.",
            _loss_with(lambda score, level, noise: level * score - noise),
        ),
        Mistake(
            "a target of -noise: you are off by exactly sigma. That is the target of a network that predicts noise.",
            _loss_with(lambda score, level, noise: level * (score + noise)),
        ),
        Mistake(
            "a target divided by sigma once too often: noisy - x already is sigma times the noise.",
            _loss_with(lambda score, level, noise: level * (score + noise / level**2)),
        ),
        Mistake(
            "a loss without its weight: small levels, with their long arrows, then drown out all others.",
            _loss_with(lambda score, level, noise: score + noise / level),
        ),
        Mistake(
            "a weight of sigma: the loss is a square, so its weight is sigma squared.",
            _loss_with(lambda score, level, noise: level.sqrt() * (score + noise / level)),
        ),
        Mistake(
            "a weight of sigma to the fourth power: where the error is weighted before it is squared, its weight is sigma.",
            _loss_with(lambda score, level, noise: level**2 * (score + noise / level)),
        ),
        Mistake(
            "a weight of one over sigma squared: it makes the small levels louder still.",
            _loss_with(lambda score, level, noise: (score + noise / level) / level),
        ),
        Mistake(
            "weights and errors broadcast to all pairs: (N, 1) times (N,) is (N, N), so each error meets every row's weight.",
            _all_pairs,
        ),
        Mistake(
            "a sum over the dimensions: take the mean over all entries, so that a zero score has loss 1 in any dimension.",
            _loss_with(lambda score, level, noise: level * score + noise, lambda square: square.sum(1).mean()),
        ),
        Mistake(
            "a sum over the batch: take the mean over all entries.",
            _loss_with(lambda score, level, noise: level * score + noise, torch.sum),
        ),
        Mistake(
            "a score taken at the clean points: the loss asks at the noisy ones.",
            lambda model, x, sigma, noise: (sigma[:, None] * model(x, sigma) + noise).square().mean(),
        ),
        Mistake(
            "noise added without sigma: noisy points lie sigma times the noise away.",
            lambda model, x, sigma, noise: (sigma[:, None] * model(x + noise, sigma) + noise).square().mean(),
        ),
        Mistake(
            "one level told for the whole batch: the network has to hear each row's own.",
            lambda model, x, sigma, noise: (
                (sigma[:, None] * model(x + sigma[:, None] * noise, sigma.mean()) + noise).square().mean()
            ),
        ),
    ),
)


# 2.7


def step_truth(network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, sigma: Tensor, noise: Tensor) -> float:
    """Take one step of plain gradient descent by hand, and return the loss before it."""
    loss = loss_truth(network, x, sigma, noise)
    parameters = list(network.parameters())
    with torch.no_grad():
        for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.sub_(optimizer.param_groups[0]["lr"] * slope)
    return loss.item()


def step_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make a network, and three batches for it."""
    for name, n, dim, dtype in (
        ("batches of one", 1, 2, torch.float32),
        ("batches of 7 points in the plane", 7, 2, torch.float32),
        ("batches of 200 points in 5 dimensions", 200, 5, torch.float32),
        ("double precision", 6, 3, torch.float64),
    ):
        x, noise = torch.randn(2, 3, n, dim, generator=generator, dtype=dtype)
        sigma = 0.1 + 2 * torch.rand(3, n, generator=generator, dtype=dtype)
        model = LinearScore(dim, generator, dtype)
        yield Case(name, (model, x, sigma, noise), 1e-11 if dtype == torch.float64 else None)


def three_steps(function: Function, network: nn.Module, x: Tensor, sigma: Tensor, noise: Tensor) -> dict[str, Any]:
    """Return the losses of three steps of plain gradient descent, and the weights after them."""
    optimizer = torch.optim.SGD(network.parameters(), lr=_LEARNING_RATE)
    losses = [attempted(function(network, optimizer, *batch)) for batch in zip(x, sigma, noise, strict=True)]
    weights = torch.cat([each.detach().flatten() for each in network.parameters()])
    return {"the loss of the first step": losses[0], "the weights after three steps": weights}


def step_reference(
    network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, sigma: Tensor, noise: Tensor
) -> float:
    """Take one step of training, and return the loss before it."""
    loss = loss_reference(network, x, sigma, noise)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def _step_with(order: str, sign: float = 1) -> Function:
    """Return a step that does things in another order: z for zero_grad, b for backward, s for step."""

    def step(network: nn.Module, optimizer: torch.optim.Optimizer, *batch: Tensor) -> float:
        loss = sign * loss_truth(network, *batch)
        for letter in order:
            if letter == "z":
                optimizer.zero_grad()
            elif letter == "b":
                loss.backward()
            else:
                optimizer.step()
        return abs(loss.item())

    return step


STEP = Exercise(
    number="2.7",
    title="one step of training",
    name="train_step",
    cases=step_cases,
    truth=step_truth,
    reference=step_reference,
    against="gradient descent by hand",
    tolerance=1e-3,
    observe=three_steps,
    mistakes=(
        Mistake(
            "weights that do not move: a step takes the gradient and then the optimiser's step, and clearing the gradients in "
            "between undoes the first.",
            _step_with("z"),
        ),
        Mistake(
            "gradients that pile up: each step adds its gradient to the last ones, unless they are cleared first.",
            _step_with("bs"),
        ),
        Mistake(
            "a step before the gradient: the optimiser then moves along the gradient of the batch before.",
            _step_with("sb"),
        ),
        Mistake(
            "a step before the gradient: cleared as they are, there are none to move along at first.",
            _step_with("szb"),
        ),
        Mistake("a climb: the loss should fall.", _step_with("zbs", sign=-1)),
        Mistake("two steps of the optimiser for one gradient.", _step_with("zbss")),
        Mistake(
            "noise of its own: take the noise that is given.",
            lambda network, optimizer, x, sigma, noise: step_reference(
                network, optimizer, x, sigma, torch.randn_like(noise)
            ),
        ),
    ),
)
