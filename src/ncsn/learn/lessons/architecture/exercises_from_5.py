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


def embedding_reference(sigma: Tensor, frequencies: Tensor) -> Tensor:
    """Return the sines and then the cosines of log sigma times each frequency, ``(N, 2F)``."""
    angles = sigma.log()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _embedding_of(angles: Callable[[Tensor, Tensor], Tensor]) -> Function:
    def embedding(sigma: Tensor, frequencies: Tensor) -> Tensor:
        turned = angles(sigma[:, None], frequencies)
        return torch.cat([turned.sin(), turned.cos()], dim=1)

    return embedding


def _interleaved(sigma: Tensor, frequencies: Tensor) -> Tensor:
    angles = sigma.log()[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


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
            _embedding_of(lambda sigma, frequencies: sigma * frequencies),
        ),
        Mistake(
            "a logarithm to base 10: it works as well, but the later cells and the check mean the natural one.",
            _embedding_of(lambda sigma, frequencies: sigma.log10() * frequencies),
        ),
        Mistake(
            "a logarithm to base 2: it works as well, but the later cells and the check mean the natural one.",
            _embedding_of(lambda sigma, frequencies: sigma.log2() * frequencies),
        ),
        Mistake(
            "the logarithm taken of the product: take it of sigma alone, and multiply then.",
            _embedding_of(lambda sigma, frequencies: (sigma * frequencies).log()),
        ),
        Mistake(
            "log sigma divided by the frequencies: a frequency multiplies.",
            _embedding_of(lambda sigma, frequencies: sigma.log() / frequencies),
        ),
        Mistake(
            "the cosines before the sines: put the sines first.",
            _embedding_of(lambda sigma, frequencies: math.pi / 2 - sigma.log() * frequencies),
        ),
        Mistake(
            "sines and cosines in turns: put all sines first, and all cosines after them.",
            _interleaved,
        ),
    ),
)


# 2.6

_FREQUENCIES = tuple(2.0**k for k in range(-3, 3))


def log_sigma_features(sigma: Tensor) -> Tensor:
    """Return the embedding that the notebook's network uses."""
    return embedding_reference(sigma, torch.tensor(_FREQUENCIES).to(sigma))


class PlainNetwork(nn.Module):
    """Three hidden layers whose input, features of the level and output can each be changed.

    Args:
        dim: Dimension of the points.
        width: Width of the layers.
        features: Features of the levels ``(N,)``.
        scale_in: What the points are multiplied by, of the levels ``(N, 1)``.
        scale_out: What the answer is multiplied by, of the levels ``(N, 1)``.
    """

    def __init__(
        self,
        dim: int,
        width: int,
        features: Callable[[Tensor], Tensor] = log_sigma_features,
        scale_in: Callable[[Tensor], Tensor] = lambda sigma: (1 + sigma**2).rsqrt(),
        scale_out: Callable[[Tensor], Tensor] = torch.reciprocal,
    ) -> None:
        super().__init__()
        self.features, self.scale_in, self.scale_out = features, scale_in, scale_out
        sizes = [dim + features(torch.ones(1)).shape[1], width, width, width]
        hidden = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.SiLU())]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, dim))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the score ``(N, D)``."""
        level = sigma.expand(len(x))[:, None]
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


def properties(function: Function, dim: int, width: int, x: Tensor, sigma: Tensor) -> dict[str, float]:
    """Return what a class of networks keeps of what is asked, 1 for each property that holds and 0 for others.

    The network's weights are drawn anew, as some start with an output of zero.

    Raises:
        TypeError: It returns something else than a tensor.
        ValueError: The score has another shape or type than the points.
    """
    network = function(dim, width)
    if not isinstance(network, nn.Module):
        raise TypeError(f"it should make a torch.nn.Module, not {type(network).__name__}")
    network = network.to(x.dtype)
    with torch.no_grad():
        for weight in network.parameters():
            reach = 1 / math.sqrt(max(1, weight[0].numel())) if weight.ndim > 1 else 0.3
            weight.add_(reach * torch.randn(weight.shape).to(weight))

    def score(points: Tensor, levels: Tensor) -> Tensor:
        answer = attempted(network(points, levels))
        if not isinstance(answer, Tensor) or answer.shape != points.shape or answer.dtype != points.dtype:
            told = f"{answer.dtype} of shape {tuple(answer.shape)}" if isinstance(answer, Tensor) else type(answer)
            raise ValueError(f"the score should be {points.dtype} of shape {tuple(points.shape)}, like x, not {told}")
        return answer

    def unit(level: float, points: Tensor) -> Tensor:
        """Return sigma times the score at points of the size of the noisy data's."""
        return level * score(math.sqrt(1 + level**2) * points, torch.tensor(level).to(points))

    def size(values: Tensor) -> float:
        return float(values.square().mean().sqrt())

    whole = score(x, sigma)
    rows = torch.cat([score(x[i : i + 1], sigma[i : i + 1]) for i in range(min(3, len(x)))])
    gradients = torch.autograd.grad(
        whole.square().sum(), [each for each in network.parameters() if each.requires_grad], allow_unused=True
    )
    with torch.no_grad():
        zeros, draws = torch.zeros(1, dim).to(x), torch.randn(64, dim).to(x)
        fine = sum(size(unit(level, zeros) - unit(1.2 * level, zeros)) for level in (0.01, 0.02, 0.05))
        coarse = sum(size(unit(level, zeros) - unit(1.2 * level, zeros)) for level in (2.0, 5.0, 10.0))
        usual = size(unit(1.0, draws))
        growth = sum(size(unit(level, zeros)) / level for level in (0.01, 0.014, 0.02))
        growth /= sum(size(unit(level, zeros)) / level for level in (0.7, 1.0, 1.4))
        holds = {
            "[each row's score rests on its own x and sigma alone]": torch.allclose(
                rows, whole[: len(rows)], rtol=1e-3, atol=1e-3 * size(whole)
            ),
            "[every weight takes part]": all(each is not None for each in gradients),
            "[the score grows like 1/sigma where sigma is small]": 7 < growth < 1000,
            "[it answers to sigma]": fine + coarse > 1e-3 * usual,
            "[it tells small levels apart as well as large ones]": fine > 0.02 * coarse,
            "[large noisy points are scaled down]": size(unit(1e4, draws)) < 50 * usual,
            "[points at small levels are not blown up]": size(unit(1e-4, draws)) < 50 * usual,
        }
    return {name: float(held) for name, held in holds.items()}


def _network(**changes: Callable[[Tensor], Tensor]) -> Function:
    return lambda dim, width: PlainNetwork(dim, width, **changes)


class _OneLevelForAll(PlainNetwork):
    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return super().forward(x, sigma.mean())


class _SpareLayer(PlainNetwork):
    def __init__(self, dim: int, width: int) -> None:
        super().__init__(dim, width)
        self.spare = nn.Linear(width, width)


NETWORK = Exercise(
    number="2.6",
    title="a score network that listens to the noise level",
    name="ScoreNetwork",
    cases=network_cases,
    truth=network_truth,
    reference=network_reference,
    against="what is asked of it, property by property (1: holds, 0: does not)",
    observe=properties,
    mistakes=(
        Mistake(
            "a network that does not hear the level: without it, one answer has to do for all levels at once.",
            _network(features=lambda sigma: torch.zeros_like(sigma)[:, None]),
        ),
        Mistake(
            "a network that hears sigma itself instead of its logarithm: all small levels sound alike.",
            _network(features=lambda sigma: torch.stack([sigma, sigma.cos()], dim=1)),
        ),
        Mistake(
            "an output that is not divided by sigma: the last layer would have to span numbers from 0.1 to 1,000.",
            _network(scale_out=torch.ones_like),
        ),
        Mistake(
            "an output divided by sigma squared: scores grow like 1/sigma.",
            _network(scale_out=lambda sigma: sigma**-2),
        ),
        Mistake(
            "noisy points that enter as they are: at large levels they are as large as the noise. "
            "Divide by the root of 1 + sigma squared.",
            _network(scale_in=torch.ones_like),
        ),
        Mistake(
            "points divided by sigma: at small levels that blows up the data. Divide by the root of 1 + sigma squared.",
            _network(scale_in=torch.reciprocal),
        ),
        Mistake(
            "one level for the whole batch: each row has its own.",
            _OneLevelForAll,
        ),
        Mistake(
            "a layer that takes no part: it is made, but forward does not use it.",
            _SpareLayer,
        ),
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
