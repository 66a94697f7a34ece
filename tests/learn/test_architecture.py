"""Lesson 2: right answers written in other ways pass, and shapes that do not line up are explained."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ncsn.exact import GaussianMixtureScore
from ncsn.learn.checking import examine
from ncsn.learn.lessons import exercise_numbered
from ncsn.learn.lessons.architecture.exercises_from_3 import loss_reference
from ncsn.learn.lessons.architecture.exercises_from_5 import PlainNetwork
from ncsn.networks import NCSNScoreNetwork


def levels_by_logspace(low: float, high: float, n: int) -> Tensor:
    return torch.logspace(math.log10(high), math.log10(low), n)


def levels_by_loop(low: float, high: float, n: int) -> Tensor:
    levels = [high]
    for _ in range(n - 1):
        levels.append(levels[-1] * (low / high) ** (1 / (n - 1)))
    return torch.tensor(levels)


def levels_by_numpy(low: float, high: float, n: int) -> Tensor:
    return torch.from_numpy(np.geomspace(high, low, n))


def noise_by_loop(x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return torch.stack([a + level * b for a, level, b in zip(x, sigma, noise, strict=True)])


def noise_by_einsum(x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return x + torch.einsum("n,nd->nd", sigma, noise)


def noise_in_double(x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return (x.double() + sigma.double().reshape(-1, 1) * noise.double()).to(x.dtype)


def target_by_counting(x: Tensor, noisy: Tensor, sigma: float, edges: Tensor) -> Tensor:
    bins = torch.bucketize(noisy, edges, right=True) - 1
    kept = (bins >= 0) & (bins < len(edges) - 1)
    arrows = -(noisy - x) / sigma**2
    sums = torch.zeros(len(edges) - 1, dtype=x.dtype).index_add(0, bins[kept], arrows[kept])
    return sums / torch.bincount(bins[kept], minlength=len(edges) - 1)


def target_by_tweedie(x: Tensor, noisy: Tensor, sigma: float, edges: Tensor) -> Tensor:
    inside = [(noisy >= low) & (noisy < high) for low, high in pairwise(edges)]
    return torch.stack([(x[rows].mean() - noisy[rows].mean()) / sigma**2 for rows in inside])


def loss_by_loop(model: Callable[..., Tensor], x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    losses = []
    for i in range(len(x)):
        row = slice(i, i + 1)
        score = model(x[row] + sigma[i] * noise[row], sigma[row])
        losses.append(sigma[i] ** 2 * (score + noise[row] / sigma[i]).pow(2).mean())
    return torch.stack(losses).mean()


def loss_as_written(model: Callable[..., Tensor], x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    noisy = x + sigma.unsqueeze(1) * noise
    target = -(noisy - x) / sigma.unsqueeze(1) ** 2
    return (sigma**2 * (model(noisy, sigma) - target).square().mean(dim=1)).mean()


def embedding_by_loop(sigma: Tensor, frequencies: Tensor) -> Tensor:
    columns = [torch.sin(torch.log(sigma) * f) for f in frequencies]
    return torch.stack(columns + [torch.cos(torch.log(sigma) * f) for f in frequencies], dim=-1)


def embedding_by_outer(sigma: Tensor, frequencies: Tensor) -> Tensor:
    angles = torch.outer(sigma.log(), frequencies)
    return torch.hstack([angles.sin(), angles.cos()])


class WithZeroOutput(PlainNetwork):
    def __init__(self, dim: int, width: int) -> None:
        super().__init__(dim, width)
        for weight in self.layers[-1].parameters():
            nn.init.zeros_(weight)


class WithTanh(PlainNetwork):
    def __init__(self, dim: int, width: int) -> None:
        super().__init__(dim, width)
        self.layers = nn.Sequential(
            nn.Linear(dim + 12, width),
            nn.Tanh(),
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, dim),
        )


def step_by_network(network: nn.Module, optimizer: Any, x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    network.zero_grad()
    loss = loss_reference(network, x, sigma, noise)
    loss.backward()
    optimizer.step()
    return loss.detach()


def step_cleared_after(network: nn.Module, optimizer: Any, x: Tensor, sigma: Tensor, noise: Tensor) -> float:
    loss = loss_as_written(network, x, sigma, noise)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("2.1", levels_by_logspace),
        ("2.1", levels_by_loop),
        ("2.1", levels_by_numpy),
        ("2.2", noise_by_loop),
        ("2.2", noise_by_einsum),
        ("2.2", noise_in_double),
        ("2.3", target_by_counting),
        ("2.3", target_by_tweedie),
        ("2.4", loss_by_loop),
        ("2.4", loss_as_written),
        ("2.5", embedding_by_loop),
        ("2.5", embedding_by_outer),
        ("2.6", WithZeroOutput),
        ("2.6", WithTanh),
        ("2.6", lambda dim, width: NCSNScoreNetwork(dim, [width, width])),
        ("2.7", step_by_network),
        ("2.7", step_cleared_after),
    ],
)
def test_right_answers_written_differently_pass(number: str, answer: Callable[..., Any]) -> None:
    result = examine(exercise_numbered(number), answer)
    assert result.passed, str(result)


@pytest.mark.parametrize(
    ("number", "answer", "told"),
    [
        ("2.2", lambda x, sigma, noise: x + sigma * noise, "they need a second axis of length 1"),
        (
            "2.4",
            lambda model, x, sigma, noise: model(x + sigma * noise, sigma).mean(),
            "they need a second axis of length 1",
        ),
        ("2.4", lambda model, x, sigma, noise: (sigma[:, None] * model(x, sigma) + noise).square(), "one number"),
        (
            "2.4",
            lambda model, x, sigma, noise: model(x, sigma).detach().mean(),
            "knows nothing of the network's weights",
        ),
        ("2.5", lambda sigma, frequencies: (sigma.log() * frequencies).sin(), "the levels need a second axis"),
        ("2.6", lambda dim, width: nn.Linear(dim, dim), "raises TypeError"),
        ("2.6", lambda dim, width: torch.zeros(2), "should make a torch.nn.Module"),
    ],
)
def test_what_does_not_fit_is_explained(number: str, answer: Callable[..., Any], told: str) -> None:
    result = examine(exercise_numbered(number), answer)
    assert not result.passed
    assert told in str(result)


def test_the_mean_of_the_targets_is_the_exact_score() -> None:
    # the fact that exercise 2.3 is about, against the library's exact score
    generator = torch.Generator().manual_seed(0)
    line, sigma = GaussianMixtureScore([0.4, 0.6], [[-1.0], [1.0]], 0.0), 0.7
    x = line.sample(200_000, generator)[:, 0]
    noisy = x + sigma * torch.randn(x.shape, generator=generator)
    edges = torch.linspace(-1.5, 1.5, 16)
    means = target_by_counting(x, noisy, sigma, edges)
    middles = (edges[1:] + edges[:-1]) / 2
    # bins hold 7,000 points and more, with arrows of deviation at most 1/sigma^2; the rest is the bend within a bin
    assert float((means - line(middles[:, None], sigma)[:, 0]).abs().max()) < 4 / sigma**2 / 7000**0.5 + 0.02
