"""Exercises 2.5 to 2.7: the embedding of a noise level, a score network that listens to it, and a step of training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.learn.declarations import Case, Exercise, Function, Mistake, attempted
from ncsn.learn.lessons.architecture.exercises_from_3 import LinearScore, loss_reference, loss_truth
from ncsn.learn.lessons.networks import properties
from ncsn.learn.lessons.shapes import telling_shapes

__all__ = ["EMBEDDING", "NETWORK", "STEP"]


# 2.5


def embedding_truth(sigma: Tensor, frequencies: Tensor) -> Tensor:
    """Return the embedding, number by number."""
    rows = []
    for level in sigma.tolist():
        angles = [math.log(level) * frequency for frequency in frequencies.tolist()]
        rows.append([math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles])
    return torch.tensor(rows, dtype=sigma.dtype)


def embedding_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make levels over five decades, and frequencies."""
    for name, n, count, dtype in (
        ("a batch of one", 1, 3, torch.float32),
        ("7 levels and 4 frequencies", 7, 4, torch.float32),
        ("5 levels and 5 frequencies, where a wrong broadcast goes unnoticed", 5, 5, torch.float32),
        ("1,000 levels", 1000, 6, torch.float32),
        ("double precision", 9, 2, torch.float64),
    ):
        sigma = 10 ** (5 * torch.rand(n, generator=generator, dtype=dtype) - 3)
        frequencies = 0.2 + 3 * torch.rand(count, generator=generator, dtype=dtype)
        yield Case(name, (sigma, frequencies), 1e-11 if dtype == torch.float64 else None)


def _sines_first(angles: Tensor) -> Tensor:
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def embedding_reference(
    sigma: Tensor,
    frequencies: Tensor,
    *,
    hears: Callable[[Tensor], Tensor] = torch.log,
    factor: float = 1,
    power: float = 1,
    parts: Callable[[Tensor], Tensor] = _sines_first,
) -> Tensor:
    """Return the sines and then the cosines of log sigma times each frequency, ``(N, 2F)``; the switches do otherwise."""
    return parts(factor * hears(sigma)[:, None] * frequencies**power)


EMBEDDING = Exercise(
    number="2.5",
    title="an embedding of the noise level",
    name="embed",
    cases=embedding_cases,
    truth=embedding_truth,
    reference=embedding_reference,
    against="sines and cosines of plain numbers",
    tolerance=1e-4,
    observe=telling_shapes("each of the N levels meets each of the F frequencies, so the levels need a second axis"),
    mistakes=(
        Mistake(
            "an embedding of sigma itself: 0.01 and 0.02 are then next to the same. Take the logarithm first.",
            {"hears": torch.clone},
        ),
        Mistake("the common logarithm, where the natural one is asked for.", {"hears": torch.log10}),
        Mistake("the logarithm to base 2, where the natural one is asked for.", {"hears": torch.log2}),
        Mistake("the logarithm of 1 + sigma: all small levels then sound alike.", {"hears": torch.log1p}),
        Mistake("angles with a factor of 2 pi, which the frequencies here do without.", {"factor": 2 * math.pi}),
        Mistake(
            "the logarithm taken of the product: take it of sigma alone, and multiply then.",
            lambda sigma, frequencies: _sines_first((sigma[:, None] * frequencies).log()),
        ),
        Mistake("log sigma divided by the frequencies: a frequency multiplies.", {"power": -1}),
        Mistake("an embedding without its frequencies.", {"power": 0}),
        Mistake(
            "the cosines before the sines: put the sines first.",
            {"parts": lambda angles: torch.cat([angles.cos(), angles.sin()], dim=1)},
        ),
        Mistake(
            "sines and cosines in turns: put all sines first, and all cosines after them.",
            {"parts": lambda angles: torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)},
        ),
        Mistake(
            "the sines twice, and no cosines.", {"parts": lambda angles: torch.cat([angles.sin(), angles.sin()], dim=1)}
        ),
    ),
)


# 2.6

_FREQUENCIES = tuple(2.0**k for k in range(-3, 3))


def log_sigma_features(sigma: Tensor) -> Tensor:
    """Return the embedding that the notebook's network uses."""
    return embedding_reference(sigma, torch.tensor(_FREQUENCIES).to(sigma))


class PlainNetwork(nn.Module):
    """Three hidden layers; the switches change the input, the features of the level, the output, and what follows it.

    Args:
        dim: Dimension of the points.
        width: Width of the layers.
        features: Features of the levels ``(N,)``.
        scale_in: What the points are multiplied by, of the levels ``(N, 1)``.
        scale_out: What the answer is multiplied by, of the levels ``(N, 1)``.
        hears: What it makes of the levels first.
        last: What follows the last layer.
        spare: Whether it has a layer that takes no part.
    """

    def __init__(
        self,
        dim: int,
        width: int,
        *,
        features: Callable[[Tensor], Tensor] = log_sigma_features,
        scale_in: Callable[[Tensor], Tensor] = lambda sigma: (1 + sigma**2).rsqrt(),
        scale_out: Callable[[Tensor], Tensor] = torch.reciprocal,
        hears: Callable[[Tensor], Tensor] = torch.clone,
        last: Callable[[], nn.Module] = nn.Identity,
        spare: bool = False,
    ) -> None:
        super().__init__()
        self.features, self.scale_in, self.scale_out, self.hears = features, scale_in, scale_out, hears
        sizes = [dim + features(torch.ones(1)).shape[1], width, width, width]
        hidden = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.SiLU())]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, dim), last())
        self.spare = nn.Linear(width, width) if spare else None

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the score ``(N, D)``."""
        level = self.hears(sigma).expand(len(x))[:, None]
        answer = self.layers(torch.cat([self.scale_in(level) * x, self.features(level[:, 0])], dim=1))
        return self.scale_out(level) * answer


def network_truth(dim: int, width: int, x: Tensor | None = None, sigma: Tensor | None = None) -> nn.Module:
    """Return a network that has all properties; the points and levels name what cases consist of, and are not used."""
    return PlainNetwork(dim, width)


def network_reference(dim: int = 2, width: int = 128) -> nn.Module:
    """Return a score network of three hidden layers, as the notebook describes it."""
    return PlainNetwork(dim, width)


def network_cases(generator: torch.Generator) -> Iterator[Case]:
    """Make points and levels to try a network on."""
    for name, n, dim, dtype in (
        ("a batch of one", 1, 1, torch.float32),
        ("7 points in the plane", 7, 2, torch.float32),
        ("1,000 points in 5 dimensions", 1000, 5, torch.float32),
        ("double precision", 6, 3, torch.float64),
    ):
        sigma = 10 ** (3 * torch.rand(n, generator=generator, dtype=dtype) - 2)
        x = (1 + sigma**2).sqrt()[:, None] * torch.randn(n, dim, generator=generator, dtype=dtype)
        yield Case(name, (dim, 32, x, sigma))


NETWORK = Exercise(
    number="2.6",
    title="a score network that listens to the noise level",
    name="ScoreNetwork",
    cases=network_cases,
    truth=network_truth,
    reference=network_reference,
    against="what is asked of it, property by property,",
    observe=properties,
    written=PlainNetwork,
    mistakes=(
        Mistake(
            "a network that does not hear the level: without it, one answer has to do for all levels at once.",
            {"features": lambda sigma: torch.zeros_like(sigma)[:, None]},
        ),
        Mistake(
            "a network that hears sigma itself instead of its logarithm: all small levels sound alike.",
            {"features": lambda sigma: torch.stack([sigma, sigma.cos()], dim=1)},
        ),
        *(
            Mistake("a non-linearity after the last layer: scores have either sign and any size.", {"last": last})
            for last in (nn.SiLU, nn.ReLU, nn.Tanh, nn.Sigmoid)
        ),
        Mistake(
            "an output that is not divided by sigma: the last layer would have to span numbers from 0.1 to 1,000.",
            {"scale_out": torch.ones_like},
        ),
        Mistake(
            "an output divided by sigma squared: scores grow like 1/sigma.", {"scale_out": lambda sigma: sigma**-2}
        ),
        Mistake(
            "noisy points that enter as they are: at large levels they are as large as the noise. "
            "Divide by the root of 1 + sigma squared.",
            {"scale_in": torch.ones_like},
        ),
        Mistake(
            "points divided by sigma: at small levels that blows up the data. Divide by the root of 1 + sigma squared.",
            {"scale_in": torch.reciprocal},
        ),
        Mistake("one level for the whole batch: each row has its own.", {"hears": torch.mean}),
        Mistake("a layer that takes no part: it is made, but forward does not use it.", {"spare": True}),
    ),
)


# 2.7

_LEARNING_RATE = 0.05


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
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    sigma: Tensor,
    noise: Tensor,
    *,
    order: str = "zbs",
    sign: float = 1,
    own: bool = False,
    after: bool = False,
) -> float:
    """Take one step of training, and return the loss before it.

    The switches do things in another order (z for zero_grad, b for backward, s for step), climb, draw noise, or return the
    loss after the step.
    """
    noise = torch.randn_like(noise) if own else noise
    loss = loss_reference(network, x, sigma, noise)
    calls: dict[str, Callable[[], Any]] = {"z": optimizer.zero_grad, "b": (sign * loss).backward, "s": optimizer.step}
    for letter in order:
        calls[letter]()
    return (loss_reference(network, x, sigma, noise) if after else loss).item()


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
            {"order": "z"},
        ),
        Mistake(
            "gradients that pile up: each step adds its gradient to the last ones, unless they are cleared first.",
            {"order": "bs"},
        ),
        Mistake(
            "a step before the gradient: the optimiser then moves along the gradient of the batch before.",
            {"order": "sb"},
        ),
        Mistake(
            "a step before the gradient: cleared as they are, there are none to move along at first.",
            {"order": "szb"},
        ),
        Mistake("a climb: the loss should fall.", {"sign": -1}),
        Mistake("two steps of the optimiser for one gradient.", {"order": "zbss"}),
        Mistake(
            "gradients that pile up, and two steps of the optimiser for one gradient: clear first, and step once.",
            {"order": "bss"},
        ),
        Mistake("noise of its own: take the noise that is given.", {"own": True}),
        Mistake("the loss after the step: the one before it is asked for, which is there already.", {"after": True}),
    ),
)
